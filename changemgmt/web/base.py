"""What every page stands on: who may ask, what time it is, and how a refusal comes back to the form."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from changemgmt.accounts.models import User
from changemgmt.core.errors import DomainError, Invalid, NotFound, NotPermitted
from changemgmt.core.reading import once
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.signature import WrongFactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from django_htmx.middleware import HtmxDetails

    from changemgmt.approvals.queue import Waiting

Result = TypeVar("Result")
Rest = ParamSpec("Rest")


class Request(HttpRequest):
    """What the middleware adds to a request. It only names types: none is ever made."""

    htmx: HtmxDetails
    request_id: str
    refusal: DomainError
    """What was refused, for the record."""


class PageRequest(Request):
    """A request as `page` hands it on: by somebody who is signed in, at one time."""

    user: User
    now: datetime
    queue: list[Waiting]
    """What waits for their vote, where the page has read it already."""


def page(
    *methods: str,
) -> Callable[[Callable[Concatenate[PageRequest, Rest], HttpResponseBase]], Callable[Concatenate[HttpRequest, Rest], HttpResponseBase]]:
    """A view for people who are signed in. Without `methods` it answers GET and HEAD; `request.now` is the time of the request."""

    def decorate(view: Callable[Concatenate[PageRequest, Rest], HttpResponseBase]) -> Callable[Concatenate[HttpRequest, Rest], HttpResponseBase]:
        @functools.wraps(view)
        def answer(request: HttpRequest, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponseBase:
            asked = cast("PageRequest", request)
            asked.now = utc_now()
            if not request.user.is_authenticated:
                return signed_out(request)
            refuse_unstorable(request, kwargs.values())
            return view(asked, *args, **kwargs)

        return require_http_methods(list(methods) or ["GET", "HEAD"])(answer)

    return decorate


def refuse_unstorable(request: HttpRequest, named: Iterable[object]) -> None:
    """Raise NotFound or Invalid where the address or a field holds a character that no database stores."""
    if any(isinstance(value, str) and unstorable(value) for value in named):
        raise NotFound(_("There is nothing here, or it is not yours to see."))
    for name, values in request.POST.lists():
        if any(unstorable(str(value)) for value in (name, *values)):
            raise Invalid(_("What was sent holds a character that can't be stored."))


def unstorable(text: str) -> bool:
    """NUL, or half of a surrogate pair."""
    return "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text)


def signed_out(request: HttpRequest) -> HttpResponse:
    """The way to sign in: a dialog that keeps what was typed for htmx, a redirect else."""
    if getattr(request, "htmx", False):
        return in_dialog(render(request, "errors/_signed_out.html", status=401))
    return redirect_to_login(request.get_full_path())


def attempt(request: Request, act: Callable[[], Result]) -> tuple[Result | None, DomainError | None]:
    """Run `act`; its result, or the refusal that belongs on the form that asked for it.

    A refusal of the person, or a thing they may not see, isn't something a form can mend: those go on to the middleware.
    A wrong password or code is.
    """
    try:
        return act(), None
    except WrongFactor as refusal:
        request.refusal = refusal
        return None, refusal
    except (NotPermitted, NotFound):
        raise
    except DomainError as refusal:
        request.refusal = refusal
        return None, refusal


def refused_status(request: HttpRequest, refusal: DomainError | None) -> int:
    """The HTTP status of a form that comes back: 200 without refusal; htmx reads 400 as 422."""
    if refusal is None:
        return 200
    return 422 if refusal.status == 400 and getattr(request, "htmx", False) else refusal.status


def factors_context(refusal: DomainError | None) -> dict[str, Any]:
    """For a form that asks for a password or a code: what is wrong at each of them, and the first, to which the focus goes."""
    errors = refusal.errors if isinstance(refusal, WrongFactor) else {}
    return {"factor_errors": errors, "wrong_factor": next(iter(errors), "")}


def done(request: HttpRequest, text: str, to: str) -> HttpResponse:
    """Confirm `text` as a toast and go to `to`; an htmx request goes there too."""
    messages.success(request, text)
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": to})
    return redirect(to)


def toast(response: HttpResponse, text: str, kind: str = "ok") -> HttpResponse:
    """Tell htmx to show `text`; kind is ok or bad."""
    response["HX-Trigger"] = json.dumps({"toast": {"text": text, "kind": kind}})
    return response


def in_dialog(response: HttpResponse) -> HttpResponse:
    """Make htmx put this fragment into the dialog slot, whatever it had aimed at."""
    response["HX-Retarget"], response["HX-Reswap"] = "#dialog-slot", "innerHTML"
    return response


def names_of(usernames: Iterable[str | None]) -> dict[str, str]:
    """The display name of each username, in one query; for templates as `people`."""
    wanted = {name for name in usernames if name}
    known = names_known()
    missing = wanted - known.keys()
    if missing:
        learn_names(User.objects.filter(username__in=missing).only("username", "first_name", "last_name"), known)
    return {name: known[name] for name in wanted if name in known}


@once
def names_known() -> dict[str, str]:
    """The names that were read already for this page."""
    return {}


def learn_names(users: Iterable[User], known: dict[str, str]) -> None:
    """Keep the names of people who are here anyway."""
    known.update((user.username, user.display_name) for user in users)


def seen_of(request: HttpRequest) -> str | None:
    """The ETag that the form was drawn from: what the person saw."""
    return request.POST.get("seen") or None


def said(request: HttpRequest, *names: str) -> dict[str, str]:
    """The named fields of the form, stripped; absent ones are empty."""
    return {name: request.POST.get(name, "").strip() for name in names}


def sentence_of(refusal: DomainError) -> str:
    """What to say about a refusal in one line."""
    return refusal.detail or _("That can't be done.")
