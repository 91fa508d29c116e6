"""The same act over the API and over the page, and what must be the same before and after a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from changemgmt.accounts.models import Delegation, User
from changemgmt.approvals.models import Round, RoundLevel, Seat, Vote
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.lifecycle.vote import cast_vote
from changemgmt.tests import kept

V1 = "/api/v1/"
TRACES = {"event", "outboxentry", "stream", "personalvalue", "session", "apitoken", "notification", "throttle", "look"}
"""What a refusal and coming to a door leave: the record, what is owed to those who react, sessions and tokens; and what somebody who is asked was shown."""


class Api:
    """Acts over the API; each answers its status and keeps the answer."""

    name = "API"

    def __init__(self, client: Callable[..., Any]) -> None:
        self.client = client
        self.kept: dict[Any, Any] = {}

    def of(self, user: User | None) -> Any:
        key = user.pk if user else None
        if key not in self.kept:
            self.kept[key] = self.client(user)
        return self.kept[key]

    def post(self, user: User | None, path: str, body: Any = None) -> int:
        self.answer = self.of(user).post(f"{V1}{path}", {} if body is None else body, format="json")
        return self.answer.status_code

    def vote(self, user: User | None, seat: Seat, vote: Any = "approve", /, *, digest: Any = "its own", comment: str = "Said.", **more: Any) -> int:
        given = seat.level.digest if digest == "its own" else digest
        return self.post(user, f"approvals/{seat.pk}/vote/", {"vote": vote, "digest": given, "comment": comment, **more})

    def together(self, user: User, *seats: Seat, **more: Any) -> int:
        """Several seats at once; the status of the whole, or of the first that was refused."""
        votes = [{"id": seat.pk, "digest": seat.level.digest} for seat in seats]
        status = self.post(user, "approvals/bulk-vote/", {"votes": votes, "vote": "approve", "comment": "Said.", **more})
        refused = [one["problem"]["status"] for one in self.answer.json() if not one["ok"]] if status == 200 else []
        return refused[0] if refused else status

    def do(self, user: User, change: Change, name: str, **parameters: Any) -> int:
        return self.post(user, f"changes/{change.number}/transitions/{name}/", parameters)

    def edit(self, user: User, change: Change, **fields: Any) -> int:
        seen = Change.objects.get(pk=change.pk).etag
        self.answer = self.of(user).patch(f"{V1}changes/{change.number}/", fields, format="json", HTTP_IF_MATCH=f'"{seen}"')
        return self.answer.status_code


class Page:
    """The same acts as forms of pages."""

    name = "page"

    def __init__(self) -> None:
        self.kept: dict[Any, Client] = {}

    def of(self, user: User | None) -> Client:
        key = user.pk if user else None
        if key not in self.kept:
            self.kept[key] = Client()
            if user is not None:
                self.kept[key].force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return self.kept[key]

    def post(self, user: User | None, path: str, fields: Any = None) -> int:
        """The status; a way on after the act is 200, the way to the sign-in 401."""
        self.answer = self.of(user).post(path, fields or {})
        if self.answer.status_code == 302:
            return 401 if "/login/" in self.answer["Location"] else 200
        return self.answer.status_code

    def vote(self, user: User | None, seat: Seat, vote: Any = "approve", /, *, digest: Any = "its own", comment: str = "Said.", **more: Any) -> int:
        given = seat.level.digest if digest == "its own" else digest
        fields = {"vote": vote, "read": "on", "comment": comment, **({"digest": given} if given is not None else {}), **more}
        return self.post(user, f"/approvals/{seat.pk}/vote/", fields)

    def together(self, user: User, *seats: Seat, **more: Any) -> int:
        """Several seats at once; 409 where one was left out."""
        from django.contrib.messages import get_messages

        digests = {f"digest-{seat.pk}": seat.level.digest for seat in seats}
        status = self.post(user, "/approvals/bulk/", {"id": [seat.pk for seat in seats], **digests, "comment": "Said.", **more})
        left_out = status == 200 and any("left out" in str(said) for said in get_messages(self.answer.wsgi_request))
        return 409 if left_out else status

    def do(self, user: User, change: Change, name: str, **parameters: Any) -> int:
        seen = Change.objects.get(pk=change.pk).etag
        return self.post(user, f"/changes/{change.number}/do/{name}/", {"seen": seen, **parameters})


# --- what tests of both say in short ---


def seat_of(change: Change, label: str = "Peer", place: int = 0) -> Seat:
    """A seat with this label in the newest round."""
    seats = Seat.objects.filter(level__round__change=change, label=label).select_related("level__round__change")
    return seats.order_by("-level__round__number", "position")[place]


def join(user: User, *groups: str) -> User:
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in groups))
    return user


def state(change: Change) -> str:
    return Change.objects.get(pk=change.pk).state


def standing(change: Change) -> list[str]:
    """Usernames of those whose votes count."""
    return sorted(Vote.objects.filter(level__round__change=change, superseded=False).values_list("by__username", flat=True))


def say(seat: Seat, user: User, now: datetime, answer: str = "approve", **more: Any) -> Seat:
    """A vote past the doors."""
    return cast_vote(seat.pk, actor=user, now=now, vote=answer, digest=seat.level.digest, comment="Said.", **more)


def stands_in(delegator: User, delegate: User, now: datetime, **more: Any) -> Delegation:
    """A delegation past its verb, of yesterday until tomorrow unless said otherwise."""
    day = timedelta(days=1)
    given = {"starts_at": now - day, "ends_at": now + day, "created_by": delegator, "created_at": now - day, **more}
    return Delegation.objects.create(delegator=delegator, delegate=delegate, **given)


# --- before and after ---


def everything() -> dict[str, Any]:
    """Rows and last key of every table but those of traces; what belongs to an approval, value by value."""
    tables = zip(kept.models(), kept.state(), strict=True)
    found: dict[str, Any] = {model._meta.model_name: row for model, row in tables if model._meta.model_name not in TRACES}
    for model in (Change, Round, RoundLevel, Seat, Vote):
        found[f"rows of {model._meta.model_name}"] = list(model.objects.order_by("pk").values_list())
    return found


@contextmanager
def nothing_stored(denied: int | None = 1) -> Iterator[None]:
    """Nothing is written inside but `denied` refusals on record (None: however many)."""
    before, refusals = everything(), Event.objects.filter(action="access.denied").count()
    yield
    after = everything()
    moved = {name for name in before if before[name] != after[name]}
    assert not moved, moved
    if denied is not None:
        assert Event.objects.filter(action="access.denied").count() == refusals + denied
