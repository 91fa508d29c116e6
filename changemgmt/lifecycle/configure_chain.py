"""Chains are under control too: an administrator edits one, another administrator puts it into force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, same_person, usernames_with_role
from changemgmt.approvals import actions
from changemgmt.approvals.chains import check, draft_of, refuse, store
from changemgmt.approvals.models import Chain
from changemgmt.approvals.proof.rules import worst
from changemgmt.approvals.prover import prove_stored, refuse_unproven
from changemgmt.audit.actions import record
from changemgmt.audit.models import Event
from changemgmt.audit.queries import event_shown
from changemgmt.core.canonical import digest
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotFound, NotPossible, OutOfDate
from changemgmt.core.verdict import Verdict

MOST_EDITS = 1000
READ_ONLY = {"id", "version", "pending", "digest", "findings"}


def may_configure(actor: User) -> Verdict:
    """Administrators only; being a superuser grants nothing."""
    return Verdict(refusal="" if has_role(actor, "administrator") and not actor.is_service else "Only an administrator configures approval chains.")


def two_administrators() -> bool:
    """Whether a chain needs a second administrator to come into force. Always in production."""
    return settings.CHAINS_NEED_SECOND_ADMINISTRATOR


def save_chain(chain_id: int | None, data: Mapping[str, Any], *, actor: User, now: datetime, partial: bool = False) -> Chain:
    """Write the configuration of a chain, new or there, from the contract's JSON. What is in force stays until it is activated."""
    may_configure(actor).enforce()
    if not isinstance(data, Mapping):
        raise Invalid("A chain is an object.")
    with transaction.atomic():
        chain = Chain() if chain_id is None else locked_chain(chain_id)
        before = draft_of(chain) if chain.pk else {}
        given = {name: value for name, value in data.items() if name not in READ_ONLY}
        if partial and chain.pk and list(given) == ["active"] and given["active"] is False:
            actions.switch_off(chain, by=actor)  # also where something it names is gone meanwhile
        else:
            store(chain, {**before, **given} if partial else given, by=actor)
        edited(chain, before, actor=actor, now=now)
    return chain


def edited(chain: Chain, before: Mapping[str, Any], *, actor: User, now: datetime) -> None:
    """Record an edit that was stored and, where one administrator is enough and the prover finds no error, put it into force at once."""
    found = differences(before, draft_of(chain))
    if not found:
        return
    record(
        "chain.edited",
        actor=actor.username,
        object=f"chain:{chain.name}",
        now=now,
        differences=found,
        data={"id": chain.pk, "in_force": chain.version, "as_in_force": draft_of(chain) == chain.in_force},
    )
    if not two_administrators() and not (chain.active and worst(prove_stored(chain, now=now))):
        put_into_force(chain, actor=actor, now=now)


def locked_chain(chain_id: int) -> Chain:
    chain = Chain.objects.select_for_update().filter(pk=chain_id).first()
    if chain is None:
        raise NotFound("There is no approval chain with this id.")
    return chain


def edits_of(chain: Chain) -> QuerySet[Event]:
    """The events that may tell of edits of this chain, newest first; the text of one says whether it does."""
    return Event.objects.filter(action="chain.edited", text__contains=f'"id":{chain.pk},').order_by("-id")


def last_saved(chain: Chain) -> datetime | None:
    """When the configuration was edited last; None where it never was by a person."""
    return next((event.at for event in edits_of(chain)[:MOST_EDITS] if json.loads(event.text)["data"]["id"] == chain.pk), None)


def edits_that_wait(chain: Chain) -> list[int]:
    """Keys of the events that made the version that waits, newest first: since the last activation, or since it was set back to what is in force."""
    found = []
    for key, text in edits_of(chain).values_list("pk", "text")[:MOST_EDITS]:
        about = json.loads(text)["data"]
        if about["id"] != chain.pk:
            continue
        if about["in_force"] != chain.version or about.get("as_in_force"):
            break
        found.append(key)
    return found


def authors_of(chain: Chain) -> list[User]:
    """Everybody who edited the version that waits."""
    names: set[str] = {chain.edited_by.username} if chain.edited_by else set()
    names |= {shown["actor"] for key in edits_that_wait(chain) if (shown := event_shown(key))}
    return list(User.objects.filter(username__in=names))


def waits(chain: Chain, *, now: datetime) -> bool:
    """Whether there is something to put into force, and it could be: the prover finds no error in it, or it is to be switched off."""
    if chain.in_force == draft_of(chain):
        return False
    return not ((chain.active or not chain.version) and worst(prove_stored(chain, now=now)))


def may_activate(chain: Chain, *, actor: User) -> Verdict:
    """An administrator who wrote nothing of this version."""
    refusal = may_configure(actor).refusal
    if not refusal and two_administrators():
        authors = authors_of(chain)
        if any(same_person(actor, author) for author in authors):
            others = [name for name in usernames_with_role("administrator") if name not in {author.username for author in authors}]
            refusal = f"You wrote at this version; another administrator, who did not, activates it ({', '.join(others) or 'there is none yet'})."
    return Verdict(refusal=refusal)


def activate_chain(chain_id: int, *, actor: User, now: datetime, seen: str | None = None) -> Chain:
    """Put the configuration of a chain into force. Activated again unchanged, nothing happens. Open rounds keep the version they began with.

    `seen` is the digest of the configuration the actor looked at: OutOfDate where it was edited since.

    A chain that never was in force becomes active by this; later, `active` is as configured, so that a chain can be switched off.
    Raises Invalid with every error of the prover at its field; a chain that is switched off is not asked whether it could work.
    """
    with transaction.atomic():
        chain = locked_chain(chain_id)
        may_activate(chain, actor=actor).enforce()
        if seen is not None and seen != digest(draft_of(chain)):
            raise OutOfDate("The chain was edited after you looked at it: look at what is saved now, then activate it.")
        chain.active = chain.active or not chain.version
        if chain.in_force != draft_of(chain):
            if chain.active:
                refuse_unproven(chain, now=now)
            put_into_force(chain, actor=actor, now=now)
    return chain


def put_into_force(chain: Chain, *, actor: User, now: datetime) -> None:
    before = chain.in_force or {}
    after = actions.activate(chain)
    data = {"version": chain.version, "written_by": chain.edited_by.username if chain.edited_by else "", "active": chain.active}
    record("chain.activated", actor=actor.username, object=f"chain:{chain.name}", now=now, differences=differences(before, after), data=data)


def remove_chain(chain_id: int, *, actor: User, now: datetime) -> None:
    """Delete a chain that is not in force; one that is is switched off first, by two administrators like any change of it."""
    may_configure(actor).enforce()
    with transaction.atomic():
        chain = locked_chain(chain_id)
        if chain.in_force and chain.in_force["active"]:
            raise NotPossible("This chain is in force: set active to false and have that activated first.")
        record(
            "chain.removed",
            actor=actor.username,
            object=f"chain:{chain.name}",
            now=now,
            differences=differences(draft_of(chain), {}),
            data={"id": chain.pk},
        )
        chain.delete()


def check_stored(chain: Chain) -> None:
    """Raise Invalid with every finding of the configuration as it is stored."""
    refuse(check(draft_of(chain)))
