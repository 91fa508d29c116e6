"""Every door to a decision × everybody's relation to the change × its states: only an approver whose seat is open decides."""

from __future__ import annotations

import ast
import re
from argparse import _SubParsersAction
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.core.management import load_command_class
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import get_resolver

import changemgmt
from changemgmt.approvals.models import ActionItem, Guest, InformationRequest, MailLink, Override, Round, RoundLevel, Seat, Vote
from changemgmt.changes.models import Change
from changemgmt.tests.cast import make_person
from changemgmt.tests.needs import on_postgres, rounds

from .doors import COMMANDS_DECIDE_NOTHING, DECIDERS, DECIDES_NOTHING, DOORS, NEAR, RECOUNTS, Visitor, words_of
from .making import a_change, in_review, seat_of
from .stage import STATES, Stage, set_up

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]

# --- what is expected, written once ---

ASKED = {
    "approver", "author of an old version", "approver in two seats", "manager of the implementer who is asked", "delegate of an approver",
    "approver who voted", "token to read",
}  # fmt: skip
"""Who may take the seat; everybody else is refused in every state."""
OF_THEIR_VERSION = {"co-author", "who set the risk"}
"""Whose part ended with the version they had it in: a change that was taken back is another version."""
UNKNOWN = {"inactive approver", "anonymous"}
OVERRIDERS = {"administrator", "change manager, its owner"}
WRITERS = {"requester", "change manager, its owner"}
VOTES_FELL = {"draft", "submitted", "cancelled"}

# Of each kind of door: who is asked while the seat is open, who is asked at any other time, who is not asked, who is not known.
ANSWERS = {
    "verb": (200, 409, 403, 404),
    "API": (200, 409, 403, 401),
    "API bulk": (200, 409, 404, 401),
    "API reconfirm": (409, 409, 403, 401),
    "page": (200, 409, 403, 401),
    "page bulk": (200, 409, 404, 401),
    "page reconfirm": (409, 409, 403, 401),
    "command": (200, 409, 403, 401),
    "command bulk": (200, 409, 404, 401),
    "command reconfirm": (409, 409, 403, 401),
    "link": (200, 410, 410, 410),
    "go-ahead": (403, 403, 403, 401),
    "admin": (403, 403, 403, 401),
    "shut": (404, 404, 404, 401),
    "shut command": (404, 404, 404, 401),
    "shut verb": (404, 404, 404, 404),
    "field": (403, 403, 403, 401),
}
BY_TOKEN = {"API", "API bulk", "API reconfirm", "command", "command bulk", "command reconfirm", "shut command"}
OF_THEIR_OWN = {"another's link", "guest's link", "override", "second override"}
REPEATS = {"API", "API bulk", "API reconfirm", "command", "command bulk", "command reconfirm", "verb", "page", "page bulk", "page reconfirm"}

VOTES = REPEATS | {"link", "another's link"}


def has_voted(who: str, state: str) -> bool:
    """Whose vote stands: said again it changes nothing and is answered like the first."""
    return state not in VOTES_FELL and who == "approver who voted"


def of_its_own(kind: str, who: str, state: str) -> int:
    """What doors answer that don't ask for the people of the seat: who holds a link and who may override are others."""
    if kind.endswith("override"):
        moved = kind == "second override" and state in ("draft", "submitted")
        status = 200 if state == "in_review" else 412 if moved else 409
        return status if who in OVERRIDERS else 401 if who in UNKNOWN else 403
    holder = who in UNKNOWN or (who == "approver" and kind == "another's link")
    if not holder or state not in ("in_review", "info_requested"):
        return 410
    return 403 if kind == "guest's link" else 200 if state == "in_review" else 409


def expected(kind: str, who: str, state: str) -> int:
    if kind in OF_THEIR_OWN:
        return of_its_own(kind, who, state)
    open_to_asked, later, refused, unknown = ANSWERS[kind]
    asked = who in ASKED or (who in OF_THEIR_VERSION and state in ("draft", "submitted"))
    if who in UNKNOWN:
        return 404 if (kind, who) == ("link", "anonymous") else unknown
    if kind == "field":
        return 400 if who in WRITERS else refused
    if kind == "go-ahead" and who == "approver of another change":
        return 409
    if kind in BY_TOKEN and who == "token to read":
        return 403
    if kind == "command" and state not in ("in_review", "info_requested"):
        return later
    if kind in REPEATS and has_voted(who, state):
        return 200
    if kind == "link" and asked and state == "info_requested" and not has_voted(who, state):
        return 409
    if kind == "link" and has_voted(who, state):
        return 410
    return (open_to_asked if state == "in_review" else later) if asked else refused


# --- one stage for all; every state and every cell is taken back ---

WATCHED = (Vote, Seat, RoundLevel, Round, Change, ActionItem, Override, Guest)
KEPT = {
    "changemgmt_event",
    "changemgmt_outboxentry",
    "changemgmt_stream",
    "changemgmt_personalvalue",
    "django_session",
    "changemgmt_apitoken",
    "changemgmt_maillink",
    "changemgmt_look",
}
"""Tables in which a refusal, or coming to a door, leaves its traces."""
WRITE = re.compile(r'^\s*(?:INSERT(?: OR IGNORE)? INTO|UPDATE|DELETE FROM)\s+"(\w+)"')


COUNTS = ", ".join(f"(SELECT {what} FROM {model._meta.db_table})" for model in WATCHED for what in ("COUNT(*)", "COALESCE(MAX(id), 0)"))
DENIED = "(SELECT COUNT(*) FROM changemgmt_event WHERE action = 'access.denied')"


def shot() -> tuple[int, ...]:
    """How many rows there are of everything that belongs to an approval, and the last of each; then how many refusals are on record."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COUNTS}, {DENIED}")
        return cursor.fetchone()


@contextmanager
def taken_back() -> Iterator[None]:
    """Whatever is written inside is gone afterwards."""
    point = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(point)


class Written:
    """The tables that were written to."""

    def __init__(self) -> None:
        self.tables: set[str] = set()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if found := WRITE.match(sql):
            self.tables.add(found[1])
        return execute(sql, params, many, context)


CELLS: Counter[str] = Counter()
WHOLE = rounds() >= 200
"""`make harness` tries every cell; other runs, on SQLite, every door with everybody in review, and of the rest every eleventh cell."""


def test_nobody_decides_who_may_not(cast: Any, seeded: None, now: datetime) -> None:
    """Every door and everybody in every state: the status of the table, and nothing written but the record of the refusal."""
    CELLS.clear()
    with time_machine.travel(now, tick=False):
        stage = set_up(cast, now)
        wrong = [fault for state in STATES for fault in wrong_in(stage, state)]
    print(f"{CELLS.total()} cells: {len(DOORS)} doors, {len(stage.people)} relations, {len(STATES)} states; {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
    assert set(CELLS) == set(STATES)


def wrong_in(stage: Stage, state: str) -> list[str]:
    """What is wrong while the change is in this state."""
    with taken_back():
        STATES[state](stage)
        assert stage.fresh().state == state.partition(",")[0]
        visitors = {who: Visitor(stage, who, scope="read" if who == "token to read" else "write") for who in stage.people}
        return [fault for name in DOORS for fault in wrong_at(name, visitors, stage, state)]


def wrong_at(name: str, visitors: dict[str, Visitor], stage: Stage, state: str) -> list[str]:
    """What is wrong at one door."""
    with taken_back():
        if prepare := DOORS[name].prepare:
            prepare(stage)
        before = shot()
        coming = [visitor for visitor in visitors.values() if possible(name, visitor) and (WHOLE or chosen(name, visitor, state))]
        faults = [knocked(name, visitor, state, before) for visitor in coming]
    return [fault for fault in faults if fault]


def possible(door: str, visitor: Visitor) -> bool:
    """Nobody calls a verb without an account."""
    return visitor.user is not None or "verb" not in DOORS[door].kind


def chosen(name: str, visitor: Visitor, state: str) -> bool:
    """Whether this cell is tried where not all are: so that every door and everybody meet in one state at least."""
    place = list(DOORS).index(name) + list(visitor.stage.people).index(visitor.who) + list(STATES).index(state)
    return (state == "in_review" and not on_postgres()) or place % 11 == 0


def knocked(name: str, visitor: Visitor, state: str, before: tuple[int, ...]) -> str | None:
    """What is wrong with one cell of the matrix, or None."""
    CELLS[state] += 1
    door, who, written = DOORS[name], visitor.who, Written()
    wanted = expected(door.kind, who, state)
    with taken_back(), connection.execute_wrapper(written):
        status = door.knock(visitor)
        after = shot()
        decided = wanted == 200 and not (has_voted(who, state) and door.kind in REPEATS)
        last = Vote.objects.latest("pk").by_id
    stored = [new - old for new, old in zip(after, before, strict=True)]
    faults = [
        f"answers {status} instead of {wanted}" if status != wanted else "",
        "no vote of theirs" if decided and door.kind in VOTES and (stored[0] != 1 or last != voter(visitor, door.kind).pk) else "",
        f"stored {stored}" if not decided and any(stored[:-1]) else "",
        f"wrote to {written.tables - KEPT}" if not decided and written.tables - KEPT else "",
        f"{stored[-1]} refusals on record" if stored[-1] != denials(name, who, status) else "",
    ]
    found = "; ".join(fault for fault in faults if fault)
    return f"{state} × {name} × {who}: {found}" if found else None


def voter(visitor: Visitor, kind: str) -> Any:
    """Whose vote it is: that of the account, or of whom the link is for."""
    return visitor.stage.people["approver"] if kind == "another's link" else visitor.user


def denials(name: str, who: str, status: int) -> int:
    """How many refusals are put on record: by the doors, of people they know, and of a token that does not hold at the API."""
    if "verb" in DOORS[name].kind:
        return 0
    token_sent = name.startswith(("API", "override,")) and who == "inactive approver"
    return int(status in (403, 404, 409, 410, 412) or (status == 401 and token_sent))


# --- the register is whole ---


def test_every_path_near_a_decision_stands_in_the_register() -> None:
    """A new path about approvals, votes, overrides, guests or one change belongs to a door, or says why it decides nothing."""
    found = {path for path in all_patterns(get_resolver()) if any(word in path for word in NEAR) and not path.startswith("admin/")}
    registered = {path for door in DOORS.values() for path in door.routes}
    assert found - registered - words_of(DECIDES_NOTHING) == set(), "give each a row in doors.py"
    assert words_of(DECIDES_NOTHING) - found == set(), "these are gone: take them out of doors.py"
    assert registered - set(all_patterns(get_resolver())) == set()
    assert registered & words_of(DECIDES_NOTHING) == set()


def all_patterns(resolver: Any, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        path = f"{prefix}{entry.pattern}"
        if hasattr(entry, "url_patterns"):
            yield from all_patterns(entry, path)
        else:
            yield path


def test_every_word_of_the_command_line_stands_in_the_register() -> None:
    parser = load_command_class("changemgmt", "change").create_parser("manage.py", "change")
    (acts,) = (action for action in parser._actions if isinstance(action, _SubParsersAction))
    registered = {word for door in DOORS.values() for word in door.commands}
    assert set(acts.choices) - registered - words_of(COMMANDS_DECIDE_NOTHING) == set(), "give each a row in doors.py"
    assert registered - set(acts.choices) == set()


def test_every_caller_of_what_decides_stands_in_the_register() -> None:
    """Read from the source: whoever names a function that decides is a door, or says why it is none."""
    registered = {caller for door in DOORS.values() for caller in door.callers} | words_of(RECOUNTS)
    found = {caller for file in sorted(PACKAGE.rglob("*.py")) if not {"tests", "migrations"} & set(file.parts) for caller in callers_in(file)}
    assert found - registered == set(), "give each a row in doors.py"
    assert registered - found == set(), "these call nothing that decides any more"


PACKAGE = Path(changemgmt.__file__).parent


def callers_in(file: Path) -> set[str]:
    module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    return {f"{module}:{'.'.join(place)}" for place in naming(ast.parse(file.read_text(encoding="utf-8")), []) if place}


def naming(node: ast.AST, place: list[str]) -> Iterator[list[str]]:
    """The functions in which one of DECIDERS is named, or a row of votes is made."""
    for child in ast.iter_child_nodes(node):
        here = [*place, child.name] if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else place
        name = child.id if isinstance(child, ast.Name) else child.attr if isinstance(child, ast.Attribute) else ""
        if name in DECIDERS or (name in ("create", "bulk_create") and ast.unparse(child).startswith("Vote.objects.")):
            yield here
        yield from naming(child, here)


def test_running_records_are_only_looked_at_in_the_admin(cast: Any, seeded: None, rf: Any) -> None:
    """Whichever of them the admin shows, nobody adds, changes or deletes one there."""
    request = rf.get("/admin/")
    request.user = make_person("root", ("administrator",), is_superuser=True, is_staff=True)
    shown = {model: page for model, page in admin.site._registry.items() if model in (*WATCHED, MailLink, InformationRequest)}
    assert Round in shown
    for model, page in shown.items():
        permissions = (page.has_add_permission(request), page.has_change_permission(request), page.has_delete_permission(request))
        assert (model, permissions) == (model, (False, False, False))


# --- near the doors ---


def test_a_get_decides_nothing_at_any_door(cast: Any, seeded: None, api: Any, now: datetime) -> None:
    round = in_review(a_change(cast.rita, now), now)
    seat = seat_of(round, "Peer")
    browser = Client()
    browser.force_login(cast.petra)
    for query in ("", "?vote=approve", "?vote=reject&comment=x&read=on"):
        assert browser.get(f"/approvals/{seat.pk}/vote/{query}").status_code == 200
    assert api(cast.petra).get(f"/api/v1/approvals/{seat.pk}/vote/").status_code == 405
    assert not Vote.objects.exists()


def test_the_tables_refuse_a_second_vote_of_a_person_or_at_a_seat(cast: Any, seeded: None, now: datetime) -> None:
    round = in_review(a_change(cast.rita, now), now)
    seat = seat_of(round, "Peer")
    row = {"level": seat.level, "printed_name": "x", "vote": "approve", "version": 1, "digest": "x", "at": now}
    Vote.objects.create(seat=seat, by=cast.petra, person=cast.petra.person, **row)
    for other in (
        {"seat": seat, "by": cast.paul, "person": cast.paul.person},
        {"seat": seat_of(round, "Change Manager"), "by": cast.petra, "person": cast.petra.person},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Vote.objects.create(**{**row, **other})
    with pytest.raises(IntegrityError), transaction.atomic():
        Round.objects.create(change=round.change, number=2, version=1, chain="", chain_version=1, snapshot=[], parts={}, digest="", opened_at=now)
