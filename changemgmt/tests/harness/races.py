"""Races of votes on a database of its own, with real connections: `python -m changemgmt.tests.harness.races --help`.

It makes a fresh SQLite file or a fresh PostgreSQL database (the audit tables refuse to be emptied, so none is reused),
runs every scenario N times with two threads behind a barrier, and prints counts as JSON. It ends with 1 if any round went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def database(kind: str) -> Iterator[None]:
    """The environment of a database that nobody else uses; it goes away afterwards."""
    with tempfile.TemporaryDirectory(prefix="countersign-races-") as folder:
        os.environ.update(DATA_DIR=folder, COUNTERSIGN_ENV="embedded", DJANGO_SETTINGS_MODULE="config.settings", REDIS_URL="")
        for name in ("broker", "broker-control", "broker-processed"):
            (Path(folder) / name).mkdir()
        if kind == "sqlite":
            os.environ["DATABASE_URL"] = ""
            yield
        else:
            yield from postgres()


def postgres() -> Iterator[None]:
    """A database of this process's own on the PostgreSQL that answers."""
    import psycopg

    from changemgmt.tests.needs import postgres_url

    server = postgres_url().rpartition("/")[0]
    name = f"countersign_races_{os.getpid()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
        # A connection for every thread of a race: each holds its own while it waits for the others.
        os.environ.update(DATABASE_URL=f"{server}/{name}", DATABASE_CONNECTIONS="32")
        try:
            yield
        finally:
            close_pools()
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def close_pools() -> None:
    from django.db import connection

    connection.close()
    if hasattr(connection, "close_pool"):
        connection.close_pool()


class NoMigrations:
    """Tables straight from the models, for a checkout that has no migrations yet."""

    def __contains__(self, label: str) -> bool:
        return True

    def __getitem__(self, label: str) -> None:
        return None


def prepare() -> None:
    """Django, the tables and the starter pack."""
    import django
    from django.conf import settings

    django.setup()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if not list((ROOT / "changemgmt" / "migrations").glob("0*.py")):
        settings.MIGRATION_MODULES = NoMigrations()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    from changemgmt.accounts.seed import seed
    from changemgmt.changes.seed import seed as seed_changes

    seed(now=NOW)
    seed_changes(now=NOW)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Run the acts in threads behind a barrier, each on a connection of its own; their results or exceptions."""
    from django.db import connection

    barrier = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def run(index: int, act: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            results[index] = act()
        except Exception as error:  # noqa: BLE001 the race's outcome, judged by the scenario
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, act)) for index, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    return results


class Arena:
    """The people, the chain, and a new change in review for every round."""

    def __init__(self) -> None:
        from changemgmt.tests.approvals.making import a_chain, a_level, a_seat
        from changemgmt.tests.cast import make_cast, make_person

        self.cast = make_cast()
        a_chain(a_level(a_seat("approver", required=2), rule="count", value=2), name="Two of them")
        self.manager = make_person("another-manager", ("change_manager",))

    def change(self):
        from changemgmt.tests.approvals.making import a_change, in_review

        return in_review(a_change(self.cast.rita, NOW, owner=self.cast.max, implementers=(self.cast.ian,)), NOW)

    def vote(self, round, user, position: int, vote: str = "approve", comment: str = "") -> Callable[[], object]:
        """A vote as a thread casts it, with the digest shown when the round opened."""
        from changemgmt.accounts.models import User
        from changemgmt.lifecycle.vote import cast_vote

        seat = round.levels.get().seats.all()[position]
        digest, username = seat.level.digest, user.username

        def cast() -> object:
            return cast_vote(seat.pk, actor=User.objects.get(username=username), now=NOW, vote=vote, digest=digest, comment=comment)

        return cast

    def stand_in(self, delegator, delegate):
        """One stands in for the other, for an hour; earlier ones are over."""
        from changemgmt.accounts.models import Delegation

        Delegation.objects.filter(revoked_at=None).update(revoked_at=NOW)
        span = {"starts_at": NOW - timedelta(hours=1), "ends_at": NOW + timedelta(hours=1)}
        return Delegation.objects.create(delegator=delegator, delegate=delegate, created_by=delegator, created_at=NOW - timedelta(hours=1), **span)

    def events(self, round, action: str) -> int:
        from changemgmt.audit.models import Event

        return Event.objects.filter(change=round.change.number, action=action).count()

    def state(self, round) -> str:
        from changemgmt.changes.models import Change

        return Change.objects.get(pk=round.change_id).state

    def votes(self, round) -> int:
        from changemgmt.approvals.models import Vote

        return Vote.objects.filter(level__round__change_id=round.change_id, superseded=False).count()


def two_approvers(arena: Arena) -> str:
    """The two last votes at the same instant: decided, once, with one event each."""
    round = arena.change()
    results = at_once(arena.vote(round, arena.cast.petra, 0), arena.vote(round, arena.cast.paul, 1))
    if any(isinstance(result, Exception) for result in results):
        return f"failed: {results}"
    if arena.state(round) != "approved":
        return "stuck"
    counts = [arena.events(round, action) for action in ("vote.cast", "approval.level_decided", "change.approved")]
    return "decided" if counts == [2, 1, 1] and arena.votes(round) == 2 else f"doubled: {counts}"


def one_person_twice(arena: Arena) -> str:
    """The same vote of one person twice at the same instant: one row, one event."""
    round = arena.change()
    vote = arena.vote(round, arena.cast.petra, 0)
    results = at_once(vote, vote)
    if any(isinstance(result, Exception) for result in results):
        return f"failed: {results}"
    if arena.votes(round) != 1 or arena.events(round, "vote.cast") != 1:
        return "doubled"
    return "decided" if arena.state(round) == "in_review" else "stuck"


def one_person_twenty_times(arena: Arena) -> str:
    """The same vote of one person twenty times in parallel: one row, one event, twenty answers that are the same."""
    round = arena.change()
    results = at_once(*[arena.vote(round, arena.cast.petra, place % 2) for place in range(20)])
    if any(isinstance(result, Exception) for result in results):
        return f"failed: {results}"
    if arena.votes(round) != 1 or arena.events(round, "vote.cast") != 1:
        return "doubled"
    if len({result.pk for result in results}) != 1:
        return f"answered differently: {results}"
    return "decided" if arena.state(round) == "in_review" else "stuck"


def another_word_at_once(arena: Arena) -> str:
    """One person says yes and no at the same instant: one of the two counts, the other is superseded or came too late."""
    from changemgmt.approvals.models import Vote
    from changemgmt.core.errors import NotPossible

    round = arena.change()
    results = at_once(arena.vote(round, arena.cast.petra, 0), arena.vote(round, arena.cast.petra, 0, "reject", comment="No."))
    if any(isinstance(result, Exception) and not isinstance(result, NotPossible) for result in results):
        return f"failed: {results}"
    standing = Vote.objects.filter(level__round__change_id=round.change_id, superseded=False)
    if standing.count() != 1:
        return f"doubled: {standing.count()}"
    wanted = {"approve": "in_review", "reject": "rejected"}[standing.get().vote]
    return "decided" if arena.state(round) == wanted else f"stuck as {arena.state(round)}"


def delegator_against_delegate(arena: Arena) -> str:
    """Who is away and who stands in for them, at the same seat at the same instant: one voice, and in the end that of the one who is asked."""
    from changemgmt.approvals.models import Vote
    from changemgmt.core.errors import NotPossible

    round = arena.change()
    arena.stand_in(arena.cast.petra, arena.cast.olga)
    results = at_once(arena.vote(round, arena.cast.petra, 0), arena.vote(round, arena.cast.olga, 0))
    if isinstance(results[0], Exception) or (isinstance(results[1], Exception) and not isinstance(results[1], NotPossible)):
        return f"failed: {results}"
    standing = list(Vote.objects.filter(level__round__change_id=round.change_id, superseded=False))
    if [vote.by.username for vote in standing] != ["petra"]:
        return f"doubled: {[(vote.by.username, vote.on_behalf_of_id) for vote in standing]}"
    return "decided" if arena.state(round) == "in_review" else "stuck"


def one_link_twice(arena: Arena) -> str:
    """One link of a mail used twice at the same instant: it counts once, and the other is told that it was used."""
    from changemgmt.approvals.links import make_link
    from changemgmt.core.errors import Gone
    from changemgmt.lifecycle.mail_links import use_link

    round = arena.change()
    seat = round.levels.get().seats.all()[0]
    token = make_link(seat, arena.cast.petra, "approve", now=NOW, expires_at=NOW + timedelta(hours=72)).split("/")[-2]
    act = lambda: use_link(token, viewer=None, now=NOW)  # noqa: E731
    results = at_once(act, act)
    failed = [result for result in results if isinstance(result, Exception)]
    if len(failed) != 1 or not isinstance(failed[0], Gone):
        return f"failed: {results}"
    counts = [arena.votes(round), arena.events(round, "vote.cast"), arena.events(round, "mail_link.used")]
    return "decided" if counts == [1, 1, 1] else f"doubled: {counts}"


def link_against_page(arena: Arena) -> str:
    """A link used while its person votes on the page at the same instant: one vote."""
    from changemgmt.approvals.links import make_link
    from changemgmt.core.errors import Gone
    from changemgmt.lifecycle.mail_links import use_link

    round = arena.change()
    seat = round.levels.get().seats.all()[0]
    token = make_link(seat, arena.cast.petra, "approve", now=NOW, expires_at=NOW + timedelta(hours=72)).split("/")[-2]
    results = at_once(lambda: use_link(token, viewer=None, now=NOW), arena.vote(round, arena.cast.petra, 0))
    if isinstance(results[1], Exception) or (isinstance(results[0], Exception) and not isinstance(results[0], Gone)):
        return f"failed: {results}"
    return "decided" if (arena.votes(round), arena.events(round, "vote.cast")) == (1, 1) else "doubled"


def two_claims(arena: Arena) -> str:
    """Two of a group claim the same vote at the same instant: one of them has it."""
    from changemgmt.accounts.models import User
    from changemgmt.approvals.models import Seat
    from changemgmt.core.errors import NotPossible
    from changemgmt.lifecycle.claim import claim_seat

    round = arena.change()
    key = round.levels.get().seats.all()[0].pk
    results = at_once(*[lambda name=name: claim_seat(key, actor=User.objects.get(username=name), now=NOW) for name in ("petra", "paul")])
    failed = [result for result in results if isinstance(result, Exception)]
    if len(failed) != 1 or not isinstance(failed[0], NotPossible):
        return f"doubled: {results}"
    holder = Seat.objects.get(pk=key).claimed_by
    return "decided" if holder is not None and arena.events(round, "seat.claimed") == 1 else "stuck"


def vote_against_revocation(arena: Arena) -> str:
    """A stand-in's vote against the end of the delegation: none that came after it counts, and none stays that decided nothing."""
    from changemgmt.accounts.models import User
    from changemgmt.core.errors import NotPermitted
    from changemgmt.lifecycle.delegate import revoke_delegation

    round = arena.change()
    row = arena.stand_in(arena.cast.petra, arena.cast.olga)
    revoke = lambda: revoke_delegation(row.pk, actor=User.objects.get(username="petra"), now=NOW)  # noqa: E731
    voted, revoked = at_once(arena.vote(round, arena.cast.olga, 0), revoke)
    if isinstance(revoked, Exception) or (isinstance(voted, Exception) and not isinstance(voted, NotPermitted)):
        return f"failed: {voted!r} {revoked!r}"
    return "decided" if arena.votes(round) == 0 else "a vote by a revoked delegation stands"


def vote_against_reassignment(arena: Arena) -> str:
    """A vote while somebody else is asked at its seat: it counts and the seat stays, or the seat moved and it is refused."""
    from changemgmt.accounts.models import User
    from changemgmt.approvals.models import Seat
    from changemgmt.core.errors import NotPermitted, NotPossible
    from changemgmt.lifecycle.claim import reassign_seat

    round = arena.change()
    key = round.levels.get().seats.all()[0].pk
    move = lambda: reassign_seat(key, actor=User.objects.get(pk=arena.manager.pk), now=NOW, to="olga", reason="Away.")  # noqa: E731
    voted, moved = at_once(arena.vote(round, arena.cast.petra, 0), move)
    asked = list(Seat.objects.get(pk=key).people.values_list("username", flat=True))
    if isinstance(voted, NotPermitted) and not isinstance(moved, Exception):
        return "decided" if arena.votes(round) == 0 and asked == ["olga"] else f"doubled: {arena.votes(round)} {asked}"
    if isinstance(moved, NotPossible) and not isinstance(voted, Exception):
        return "decided" if arena.votes(round) == 1 and "petra" in asked else f"doubled: {arena.votes(round)} {asked}"
    return f"failed: {voted!r} {moved!r}"


def vote_against_time_out(arena: Arena) -> str:
    """The last vote at the moment at which the level's clock rejects it: approved or rejected, decided once."""
    from changemgmt.core.errors import NotPossible
    from changemgmt.lifecycle.time_out import time_out

    round = arena.change()
    arena.vote(round, arena.cast.petra, 0)()
    level = round.levels.get()
    level.settings |= {"sla_hours": 1, "on_timeout": "reject"}
    level.due_at = NOW
    level.save()
    voted, ended = at_once(arena.vote(round, arena.cast.paul, 1), lambda: time_out(level.pk, now=NOW))
    if isinstance(ended, Exception) or (isinstance(voted, Exception) and not isinstance(voted, NotPossible)):
        return f"failed: {voted!r} {ended!r}"
    if arena.events(round, "approval.level_decided") != 1:
        return "doubled: the level was decided twice"
    wanted = "rejected" if isinstance(voted, Exception) else "approved"
    return "decided" if arena.state(round) == wanted else f"stuck as {arena.state(round)}"


def approval_against_edit(arena: Arena) -> str:
    """The last vote against a material edit: never approved with content nobody saw."""
    from changemgmt.accounts.models import User
    from changemgmt.changes.models import Change
    from changemgmt.core.errors import OutOfDate
    from changemgmt.lifecycle.edit import edit_change

    round = arena.change()
    arena.vote(round, arena.cast.petra, 0)()
    number, seen = round.change.number, Change.objects.get(pk=round.change_id).etag

    def edit() -> object:
        return edit_change(number, {"description": "something else"}, actor=User.objects.get(username="rita"), now=NOW, seen=seen)

    voted, edited = at_once(arena.vote(round, arena.cast.paul, 1), edit)
    change = Change.objects.get(pk=round.change_id)
    if isinstance(edited, Exception) and not isinstance(edited, OutOfDate):
        return f"failed: {edited!r}"
    if isinstance(voted, Exception) and not isinstance(voted, OutOfDate):
        return f"failed: {voted!r}"
    if change.description == "something else" and change.state != "in_review":
        return "approved unseen"
    return "decided"


def decision_against_cancel(arena: Arena) -> str:
    """The last vote against cancel: the change ends cancelled, and a vote that came too late is refused."""
    from changemgmt.accounts.models import User
    from changemgmt.core.errors import NotPossible
    from changemgmt.lifecycle.cancel import cancel

    round = arena.change()
    arena.vote(round, arena.cast.petra, 0)()
    number = round.change.number

    def give_up() -> object:
        return cancel(number, actor=User.objects.get(username="rita"), now=NOW, reason="not needed", seen="*")

    voted, cancelled = at_once(arena.vote(round, arena.cast.paul, 1), give_up)
    if isinstance(cancelled, Exception) or (isinstance(voted, Exception) and not isinstance(voted, NotPossible)):
        return f"failed: {voted!r} {cancelled!r}"
    if arena.state(round) != "cancelled":
        return f"revived as {arena.state(round)}"
    return "decided"


SCENARIOS = {
    "two_approvers": two_approvers,
    "one_person_twice": one_person_twice,
    "one_person_twenty_times": one_person_twenty_times,
    "another_word_at_once": another_word_at_once,
    "delegator_against_delegate": delegator_against_delegate,
    "one_link_twice": one_link_twice,
    "link_against_page": link_against_page,
    "two_claims": two_claims,
    "vote_against_revocation": vote_against_revocation,
    "vote_against_reassignment": vote_against_reassignment,
    "vote_against_time_out": vote_against_time_out,
    "approval_against_edit": approval_against_edit,
    "decision_against_cancel": decision_against_cancel,
}


def run(kind: str, rounds: int, scenarios: list[str]) -> dict[str, object]:
    """Every scenario `rounds` times; outcomes counted, and the seconds it took."""
    report: dict[str, object] = {"database": kind, "rounds": rounds}
    with database(kind):
        prepare()
        arena = Arena()
        for name in scenarios:
            began = time.monotonic()
            outcomes = Counter(SCENARIOS[name](arena) for _ in range(rounds))
            bad = {outcome: times for outcome, times in outcomes.items() if outcome != "decided"}
            report[name] = {
                "decided": outcomes["decided"],
                "stuck": outcomes["stuck"],
                "doubled": sum(times for outcome, times in bad.items() if outcome.startswith("doubled")),
                "other": {outcome: times for outcome, times in bad.items() if outcome != "stuck" and not outcome.startswith("doubled")},
                "seconds": round(time.monotonic() - began, 1),
            }
        close_pools()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("HARNESS_ROUNDS", "200")))
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="all unless given")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    report = run(asked.database, asked.rounds, asked.scenario or list(SCENARIOS))
    print(json.dumps(report, indent=2))
    return 0 if all(entry["decided"] == asked.rounds for entry in report.values() if isinstance(entry, dict)) else 1


if __name__ == "__main__":
    sys.exit(main())
