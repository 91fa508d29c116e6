"""Which chains a change takes, which seats their levels open, and whether they can be filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from changemgmt.accounts.models import User
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.conditions.rules import holds
from changemgmt.core.time import parse_instant

from . import rules
from .eligibility import Asked, asked_by, involved_persons
from .models import Chain, Power, Round

if TYPE_CHECKING:
    from changemgmt.conditions.rules import Facts


def match(facts: Facts, *, now: datetime) -> list[dict[str, Any]]:
    """Snapshots of the chains a change with these facts takes: the first that applies and every additive one.

    Only what was activated counts. Empty where no chain of its own applies.
    """
    chains = [in_force(chain) for chain in Chain.objects.filter(in_force__isnull=False)]
    chosen = rules.choose(chains, lambda condition: holds(condition, facts), now)
    return [chain["snapshot"] for chain in chosen] if any(not chain["additive"] for chain in chosen) else []


def in_force(chain: Chain) -> dict[str, Any]:
    """What `rules.choose` asks of a chain, and the snapshot a round keeps."""
    snapshot = {"id": chain.pk, "version": chain.version, **(chain.in_force or {})}
    dates = {name: parse_instant(snapshot[name], field=name) if snapshot[name] else None for name in ("valid_from", "valid_to")}
    return {**snapshot, **dates, "snapshot": snapshot}


def chains_for(change: Change, facts: Facts, *, now: datetime) -> list[dict[str, Any]]:
    """The chains of the next round: those an open submission runs already, as they were, and those that match now.

    So an amendment never takes a level away, and a chain edited meanwhile doesn't touch an open change.
    """
    last = change.rounds.last()
    kept = list(last.snapshot) if last is not None and not taken_back(change, last) else []
    names = {chain["name"] for chain in kept}
    return kept + [chain for chain in match(facts, now=now) if chain["name"] not in names]


def taken_back(change: Change, round: Round) -> bool:
    """Whether the change went back to draft after this round: its votes count no more."""
    return Event.objects.filter(change=change.number, action="change.revised", at__gte=round.opened_at).exists()


def chain_text(chains: Iterable[Mapping[str, Any]]) -> str:
    """Names and versions in one line, as a change's digest signs them."""
    return ", ".join(f"{chain['name']} v{chain['version']}" for chain in chains)


def levels_of(chains: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(chain, level) in the order in which they run: by number, side by side over chains."""
    pairs = [(chain, level) for chain in chains for level in chain["levels"]]
    return sorted(pairs, key=lambda pair: pair[1]["number"])


def unfilled(change: Change, chains: Sequence[Mapping[str, Any]], *, facts: Facts) -> list[tuple[str, str]]:
    """(label, why) of the seats that nobody can take and without which a level can't be passed."""
    involved = involved_persons(change)
    found = []
    for _, level in levels_of(chains):
        if holds(level["applies_when"], facts):
            found += unfilled_seats(level, change, facts, involved)
    return found


def unfilled_seats(level: Mapping[str, Any], change: Change, facts: Facts, involved: Mapping[str, str]) -> list[tuple[str, str]]:
    opened = seats_to_open(level, change, facts)
    people = {number: persons_of(asked.people, involved) for number, (_, asked) in enumerate(opened)}
    powers = {number: slot["power"] for number, (slot, _) in enumerate(opened)}
    taken = rules.seating({number: people[number] for number in by_strength(powers) if powers[number] != Power.ADVISORY})
    votes = [
        rules.SeatVote(slot["power"], slot["weight"], "approve" if number in taken else None, fillable=number in taken)
        for number, (slot, _) in enumerate(opened)
    ]
    if rules.tally(rules.LevelRule(**level["rule"]), votes).outcome in rules.PASSED:
        return []
    empty = [asked for number, (slot, asked) in enumerate(opened) if number not in taken and slot["power"] != Power.ADVISORY]
    return [(asked.label, why_empty(asked, involved)) for asked in empty] or [(level["name"], "no seat of it could be opened")]


def by_strength(powers: Mapping[int, str]) -> list[int]:
    return sorted(powers, key=lambda number: (rules.STRENGTH[rules.Power(powers[number])], number))


def why_empty(asked: Asked, involved: Mapping[str, str]) -> str:
    """Why nobody can take a seat, naming those who were taken out."""
    out = [f"{user.username} {involved[user.person]}" for user in asked.people if user.person in involved]
    if out:
        return f"{', '.join(out)}."
    return f"everybody asked sits elsewhere on the level ({asked.why})." if asked.people else f"{asked.why}: nobody."


def seats_to_open(level: Mapping[str, Any], change: Change, facts: Facts) -> list[tuple[Mapping[str, Any], Asked]]:
    """(slot, who is asked) for every seat the level opens, in order."""
    return [(slot, asked) for slot in level["seats"] for asked in asked_by(slot, change, facts)]


def persons_of(people: Iterable[User], involved: Mapping[str, str]) -> frozenset[str]:
    """The persons among these accounts who have no part in the change."""
    return frozenset(user.person for user in people) - involved.keys()
