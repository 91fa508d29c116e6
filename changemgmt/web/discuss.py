"""What people add to a change: comments, attachments, links, watching, conditions met."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpResponse
from django.utils.translation import gettext as _

from changemgmt.changes.models import Attachment
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.lifecycle import discuss, edit, obligations

from .base import PageRequest, done, page, said, seen_of


def there(number: str, place: str = "") -> str:
    return f"/changes/{number}/{place}"


@page("POST")
def comment(request: PageRequest, number: str) -> HttpResponse:
    """Say something; @names are told."""
    discuss.add_comment(number, request.POST.get("text", "").strip(), actor=request.user, now=request.now)
    return done(request, _("Your comment is there."), there(number, "#activity"))


@page("POST")
def watch(request: PageRequest, number: str) -> HttpResponse:
    """Follow it, or stop following."""
    act, text = (discuss.unwatch, _("You don't follow it any more.")) if request.POST.get("stop") else (discuss.watch, _("You follow it now."))
    act(number, request.user.username, actor=request.user, now=request.now)
    return done(request, text, there(number))


@page("POST")
def attach(request: PageRequest, number: str) -> HttpResponse:
    """Add a file."""
    file = request.FILES.get("file")
    if file is None:
        raise Invalid.field("file", _("Choose a file first."))
    edit.attach(number, file=file, actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("The file is attached."), there(number, "#related"))


@page("POST")
def detach(request: PageRequest, number: str, attachment: int) -> HttpResponse:
    edit.detach(number, attachment, actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("The file is taken away."), there(number, "#related"))


@page()
def download(request: PageRequest, number: str, uuid: Any) -> FileResponse:
    """An attachment, always as a download."""
    change = visible(request.user, number)
    row = Attachment.objects.filter(change=change, uuid=uuid).first()
    if row is None or not row.file.name or not row.file.storage.exists(row.file.name):
        raise NotFound(_("There is no such file."))
    response = FileResponse(row.file.open("rb"), as_attachment=True, filename=row.name, content_type="application/octet-stream")
    response["X-Content-Type-Options"] = "nosniff"
    return response


@page("POST")
def link(request: PageRequest, number: str) -> HttpResponse:
    """Tie it to another change or to something elsewhere."""
    fields = said(request, "kind", "target", "system", "url")
    edit.link(number, fields, actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("Linked."), there(number, "#related"))


@page("POST")
def unlink(request: PageRequest, number: str, link: int) -> HttpResponse:
    edit.unlink(number, link, actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("The link is gone."), there(number, "#related"))


@page("POST")
def evidence(request: PageRequest, number: str, condition: int) -> HttpResponse:
    """Show that a condition is met: a statement, a link or a file."""
    given = {name: value for name, value in said(request, "kind", "text", "url").items() if value}
    obligations.give_evidence(condition, given, actor=request.user, now=request.now, file=request.FILES.get("file"), number=number)
    return done(request, _("The evidence is given; it waits to be accepted."), there(number, "#conditions"))


@page("POST")
def accept(request: PageRequest, number: str, condition: int) -> HttpResponse:
    """The evidence is good."""
    obligations.accept(condition, actor=request.user, now=request.now, number=number, **said(request, "comment"))
    return done(request, _("The condition is met."), there(number, "#conditions"))


@page("POST")
def waive(request: PageRequest, number: str, condition: int) -> HttpResponse:
    """It is asked for no more."""
    obligations.waive(condition, actor=request.user, now=request.now, number=number, **said(request, "reason"))
    return done(request, _("The condition is waived."), there(number, "#conditions"))
