"""What is wrong with whom a chain asks: empty groups, quorums that can't be met, seats that must differ and can't, lines that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.conditions.proof import every_test, example, implies

from .directory import Directory, able
from .rules import ERROR, WARNING, Case, Finding, asked
from .seats import Place, passes, weak_points

SHOWN = 3


def people_findings(case: Case, directory: Directory) -> Iterator[Finding]:
    """Everything that depends on who and what is there."""
    yield from value_names(case, directory)
    for path, level in case.levels:
        yield from level_people(level, path, directory)
        yield from dynamic_people(case, level, path, directory)
    yield from waiting_levels(case, directory)
    yield from levels_behind(case, directory)


def listed(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


# --- values that are not there ---


def value_names(case: Case, directory: Directory) -> Iterator[Finding]:
    conditions = [("applies_when", case.own), *((f"{path}.applies_when", level["applies_when"]) for path, level in case.levels)]
    for path, condition in conditions:
        for at, test in every_test(condition):
            if test["op"] in ("eq", "ne", "in", "not_in", "within", "contains") and test["field"] in directory.values:
                wanted = test["value"] if isinstance(test["value"], list) else [test["value"]]
                missing = sorted(set(map(str, wanted)) - directory.values[test["field"]])
                if missing:
                    words = f"There is no {', no '.join(missing[:SHOWN])} among the values of this field now."
                    yield Finding(f"{path}.{at}".rstrip(".") + ".value", words, WARNING, "unknown_value")


# --- seats of a level ---


def level_people(level: Mapping[str, Any], path: str, directory: Directory) -> Iterator[Finding]:
    """Can the level pass at all, and with each requester or implementer taken out?"""
    places = places_of(level, directory)
    ok, left = passes(level["rule"], places)
    stuck = not ok and not open_ended(level)
    gone = {index for index, seat in enumerate(level["seats"]) if not any(place.people for place in places if place.slot == index)}
    short = {places[one].slot for one in left}
    for index in sorted(gone):
        yield empty_seat(level["seats"][index], f"{path}.seats[{index}]", directory, needed=stuck and index in short)
    for index in sorted(short - gone):
        yield doubled(level["seats"][index], f"{path}.seats[{index}]", people_at(places, index), directory, needed=stuck)
    if stuck and not left:
        yield Finding(f"{path}.rule.value", "It can't be met, even if every seat approves.", ERROR, "quorum")
    if ok:
        yield from weak_level(level, path, places, directory)


def open_ended(level: Mapping[str, Any]) -> bool:
    """Does the number of votes that a value is measured by depend on the change?"""
    many = any(
        str(seat.get("dynamic") or "").startswith(("component_owners", "service_owner")) for seat in level["seats"] if seat["power"] != "advisory"
    )
    return many and level["rule"]["kind"] in ("count", "percent", "weight")


def levels_behind(case: Case, directory: Directory) -> Iterator[Finding]:
    """Levels that wait for one that can't pass wherever they open."""
    stuck = [level for _, level in case.levels if not passes(level["rule"], places_of(level, directory))[0] and not open_ended(level)]
    for path, level in case.levels:
        asked_here = {"all": [case.own, level["applies_when"]]}
        before = [one for one in stuck if one["number"] < level["number"] and implies(asked_here, one["applies_when"], case.world)]
        if before and case.possible(asked_here):
            yield Finding(f"{path}.number", f"The level never opens: “{before[0]['name']}” comes first and can't pass.", WARNING, "unreachable_level")


def places_of(level: Mapping[str, Any], directory: Directory) -> list[Place]:
    return [
        Place(index, seat["power"], seat["weight"], people_of(seat, f"{index}.{number}", directory, guests=level["allow_guests"]))
        for index, seat in enumerate(level["seats"])
        for number in range(seat["required"])
    ]


def people_of(seat: Mapping[str, Any], name: str, directory: Directory, *, guests: bool) -> frozenset[str]:
    """Who may take a seat; somebody unknown where the change decides."""
    kind, value = asked(seat)
    if kind == "dynamic" and not value.startswith("on_call:"):
        return frozenset({f"?{name}"})
    return frozenset(user.person for user in accounts_of(kind, value, directory) if able(user, guests=guests))


def accounts_of(kind: str, value: str, directory: Directory) -> Sequence[User]:
    match kind:
        case "group":
            return directory.members.get(value, [])
        case "user":
            return [directory.users[value]] if value in directory.users else []
    return directory.teams.get(value.removeprefix("on_call:"), ())


def empty_seat(seat: Mapping[str, Any], path: str, directory: Directory, *, needed: bool) -> Finding:
    kind, value = asked(seat)
    effect = "The level can't pass." if needed else "The seat stays empty."
    severity = ERROR if needed else WARNING
    if kind == "user":
        return Finding(
            f"{path}.user",
            f"{value} can't vote here: inactive, a service account, or a guest at a level without guests. {effect}",
            severity,
            "person_unable",
        )
    if kind == "dynamic":
        return Finding(
            f"{path}.dynamic",
            f"The team {value.removeprefix('on_call:')} has neither a lead nor a member who could vote. {effect}",
            severity,
            "empty_team",
        )
    members = directory.members.get(value, [])
    why = "has only members who can't vote (inactive, service accounts or guests)" if members else "has no members"
    return Finding(f"{path}.group", f"The group {value} {why}. {effect}", severity, "empty_group")


def people_at(places: Sequence[Place], slot: int) -> frozenset[str]:
    return next(place.people for place in places if place.slot == slot)


def doubled(seat: Mapping[str, Any], path: str, people: frozenset[str], directory: Directory, *, needed: bool) -> Finding:
    """Somebody could take the seat, and yet it stays empty: people would have to sit twice, or there are too few."""
    kind, value = asked(seat)
    effect, severity = ("The level can't pass.", ERROR) if needed else ("A seat stays empty.", WARNING)
    if kind == "group" and len(people) < seat["required"]:
        words = f"It asks {seat['required']} people of the group {value}, and {len(people)} of its members could vote. {effect}"
        return Finding(f"{path}.required", words, severity, "quorum")
    who = listed(sorted(directory.names.get(person, person) for person in people))
    return Finding(f"{path}.{kind}", f"Needed on two seats of this level, and a person sits once: {who}. {effect}", severity, "person_twice")


def weak_level(level: Mapping[str, Any], path: str, places: Sequence[Place], directory: Directory) -> Iterator[Finding]:
    """Levels that pass, but not when one of those they ask has a part in the change."""
    requesters, implementers = directory.persons("requester"), directory.persons("implementer")
    found = list(weak_points(level["rule"], places, requesters, implementers))
    if not found:
        return
    without = [" and ".join(sorted(directory.names.get(person, person) for person in who)) for who, _ in found]
    slot = places[found[0][1][0]].slot
    always = requesters and all(any(who == {person} for who, _ in found) for person in requesters)
    words = f"Who requests or implements a change can't vote on it. Without one of these the level can't pass: {listed(without)}."
    if always:
        words += " Nobody else can request changes, so no change ever passes."
    kind, _ = asked(level["seats"][slot])
    yield Finding(f"{path}.seats[{slot}].{kind}", words, ERROR if always else WARNING, "quorum_without")


# --- seats that the change decides on ---


def dynamic_people(case: Case, level: Mapping[str, Any], path: str, directory: Directory) -> Iterator[Finding]:
    for index, seat in enumerate(level["seats"]):
        kind, _, argument = (seat.get("dynamic") or "").partition(":")
        at = f"{path}.seats[{index}].dynamic"
        match kind:
            case "requester_manager" | "manager":
                yield from manager_lines(int(argument or 1), at, directory)
            case "unit_head":
                yield from unit_heads(at, directory)
            case "component_owners":
                yield from missing_owners(
                    [row for row in directory.components if row[1] >= int(argument or 1)], f"of criticality {argument or 1} or more", at, directory
                )
            case "service_owner":
                yield from missing_owners([row for row in directory.components if row[2]], "that are services", at, directory)


def manager_lines(steps: int, path: str, directory: Directory) -> Iterator[Finding]:
    """Requesters whose line of managers ends too early, or comes back to itself before."""
    lines = {user.username: line_up(user, steps, directory.accounts) for user in directory.members.get("requester", []) if able(user)}
    circles = sorted(name for name, found in lines.items() if found == "circle")
    short = sorted(name for name, found in lines.items() if found == "short")
    if circles:
        words = f"The line of managers comes back to itself for {listed(circles)}, so nobody is found {steps} up. Correct who manages whom."
        yield Finding(path, words, ERROR, "manager_circle")
    if short:
        everybody = len(short) == len(lines)
        words = f"{len(short)} of {len(lines)} people who can request a change have nobody {steps} up who could vote: {listed(short)}."
        yield Finding(path, words, ERROR if everybody else WARNING, "manager_missing")


def line_up(user: User, steps: int, accounts: Mapping[int, User]) -> str:
    """`circle`, `short`, or nothing where somebody is found; deactivated managers are passed over, as the resolution does."""
    seen, current, left = {user.pk}, accounts[user.pk], steps
    while left > 0:
        above = accounts.get(current.manager_id or 0)
        if above is None:
            return "short"
        if above.pk in seen:
            return "circle"
        seen.add(above.pk)
        left -= above.is_active
        current = above
    return "" if able(current) else "short"


def unit_heads(path: str, directory: Directory) -> Iterator[Finding]:
    """Units for which no head is found, neither their own nor above."""
    if directory.circle_units:
        words = f"The org tree comes back to itself above {listed(directory.circle_units)}. Correct the units' parents."
        yield Finding(path, words, ERROR, "unit_circle")
    without = sorted(slug for slug, line in directory.unit_lines.items() if not headed(line, directory))
    if without or not directory.units:
        words = f"No head who could vote is found for {len(without)} of {len(directory.units)} units: {listed(without) or 'there is no unit'}."
        yield Finding(path, words, ERROR if len(without) == len(directory.units) else WARNING, "unit_headless")


def headed(line: Iterable[str], directory: Directory) -> bool:
    nearest = next((directory.units[slug].head for slug in line if directory.units[slug].head_id), None)
    return able(nearest)


def missing_owners(rows: Sequence[tuple[str, int, bool, str]], which: str, path: str, directory: Directory) -> Iterator[Finding]:
    missing = [key for key, _, _, owner in rows if owner not in directory.owners]
    if missing:
        words = f"{len(missing)} of {len(rows)} components {which} have no owner who could vote: {listed(missing)}. A change of one is blocked."
        yield Finding(path, words, WARNING, "owners_missing")


def waiting_levels(case: Case, directory: Directory) -> Iterator[Finding]:
    """Levels that ask owners only, and open for changes that touch nothing with an owner: such a level opens no seat and never passes."""
    for path, level in case.levels:
        untouched = [untouched_by(seat.get("dynamic") or "") for seat in level["seats"] if seat["power"] != "advisory"]
        if not untouched or None in untouched:
            continue
        conditions = [condition for condition in untouched if condition]
        found = example(case.own, *case.not_taken, level["applies_when"], *conditions, world=case.world)
        if found is not None:
            words = f"A change that reaches none of what it asks the owners of opens no seat here and is blocked, for example: {found}. Ask for it in the condition."
            yield Finding(f"{path}.applies_when", words, WARNING, "may_open_no_seat")


def untouched_by(dynamic: str) -> Mapping[str, Any] | None:
    """The condition under which a slot opens no seat; None where it always opens one."""
    kind, _, argument = dynamic.partition(":")
    if kind == "component_owners":
        return {"field": "max_criticality", "op": "lt", "value": int(argument or 1)}
    return {"field": "services", "op": "is_set", "value": False} if kind == "service_owner" else None
