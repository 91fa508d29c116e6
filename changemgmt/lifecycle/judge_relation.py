"""Whether a relation is so: an owner of either end confirms it or refutes it, on the spot and on the record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import Team, User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.actions import lock, write
from changemgmt.architecture.models import Relation
from changemgmt.architecture.queries import relation, relation_image, relation_owners
from changemgmt.architecture.rules import RELATION, Image
from changemgmt.architecture.trust import JUDGED
from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.core.text import given_text
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import YES, Verdict

from .import_architecture import EDITORS

LONGEST_REASON = 500


def confirm_relation(key: str, *, actor: User, now: datetime) -> Relation:
    """Say that it is so: it is relied upon from now on, also where it was refuted. A revision of the architecture."""
    return _judge("confirmed", key, {"confirmed_at": rfc3339(now)}, "", actor=actor, now=now)


def refute_relation(key: str, *, actor: User, now: datetime, reason: str) -> Relation:
    """Say that it is not so: it conducts nothing any more, and stays on record until a change removes it. A revision of the architecture."""
    return _judge("refuted", key, {"refuted_at": rfc3339(now)}, reason, actor=actor, now=now)


def _judge(verb: str, key: str, fields: dict[str, Any], reason: str, *, actor: User, now: datetime) -> Relation:
    with transaction.atomic():
        lock()
        row = relation(key)
        may_judge(key, actor=actor).enforce()
        if verb == "refuted":
            reason = given_text(reason, "reason", LONGEST_REASON, required=True)
            fields |= {"refuted_reason": reason}
            may_refute(row).enforce()
        before = relation_image(row)
        after = {name: value for name, value in before.items() if not name.startswith("refuted_")} | fields
        said = f"relation {verb}: {reason}" if reason else f"relation {verb}"
        applied = write([Image(RELATION, key, before, after)], actor=actor.username, now=now, reason=said, also=[f"{JUDGED}{key}"])
        record(
            f"relation.{verb}",
            actor=actor.username,
            object=f"relation:{key}",
            now=now,
            differences=differences(before, after),
            data={"revision": applied.revision} | ({"reason": reason} if reason else {}),
        )
    return relation(key)


def may_judge(key: str, *, actor: User) -> Verdict:
    """Whether this person may confirm or refute the relation of this key."""
    return may_judge_all([key], actor=actor)[key]


def may_judge_rows(rows: Sequence[Relation], *, actor: User) -> dict[str, Verdict]:
    """The same for relations whose ends were read with them, by key."""
    known = {row.key: {row.source.owner, row.target.owner} - {""} for row in rows if row.source and row.target}
    return may_judge_all([row.key for row in rows], actor=actor, known=known)


def may_judge_all(keys: Iterable[str], *, actor: User, known: Mapping[str, set[str]] | None = None) -> dict[str, Verdict]:
    """The same for many relations, in a fixed number of queries (one more for each level of relations on relations).

    `known` are owners that were read already, by key.
    """
    wanted = list(keys)
    if has_role(actor, *EDITORS):
        return dict.fromkeys(wanted, YES)
    owners = dict(known or {})
    owners |= relation_owners([key for key in wanted if key not in owners])
    own = {actor.username, *Team.objects.filter(members=actor).values_list("slug", flat=True)} if owners else set()
    return {key: _verdict(found, own) for key, found in owners.items()}


def _verdict(owners: Collection[str], own: set[str]) -> Verdict:
    if own & set(owners):
        return YES
    asked = f"of {', '.join(sorted(owners))}" if owners else "of the components at its ends, which have no owner"
    return Verdict(refusal=f"Only an owner of one of its ends may say whether it is so ({asked}), or an administrator or change manager.")


def may_refute(row: Relation) -> Verdict:
    """Whether there is anything left to refute."""
    return Verdict(impossible="It is refuted already: a change can remove it.") if row.refuted_at else YES
