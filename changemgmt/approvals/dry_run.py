"""Dry run: which chain a change would take, which levels would open, who would be asked, and why. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import OrgUnit, User
from changemgmt.accounts.queries import unit_chain
from changemgmt.changes.models import Change, CustomField
from changemgmt.conditions.checking import wrong_value
from changemgmt.conditions.facts import CUSTOM, FIELDS, Facts, Field, Kind, fields_with
from changemgmt.conditions.rules import explain, holds
from changemgmt.core.errors import Invalid

from . import rules
from .chains import draft_of
from .eligibility import ABLE, able_members, asked_by, involved_persons
from .matching import in_force, levels_of
from .models import Chain
from .routes import replaced


def dry_run(facts: Facts, *, now: datetime, change: Change | None = None, draft: Chain | None = None) -> dict[str, Any]:
    """What an approval begun now would be. Without a change, seats that depend on one stay unresolved.

    `draft` is taken as it is saved, whatever its dates, in the place of what is in force of it.
    """
    chains: Sequence[Mapping[str, Any]] = [in_force(chain) for chain in Chain.objects.filter(in_force__isnull=False)]
    if draft is not None:
        chains = replaced(chains, {"id": draft.pk, "version": draft.version + 1, **draft_of(draft)})
    valid = sorted((chain for chain in chains if rules.in_force(chain, now)), key=lambda chain: (chain["order"], chain["name"]))
    chosen = rules.choose(chains, lambda condition: holds(condition, facts), now)
    own = [chain for chain in chosen if not chain["additive"]]
    used = {chain["name"] for chain in chosen} if own else set()
    levels = [one_level(chain, level, facts, change) for chain, level in levels_of([chain for chain in chosen if chain["name"] in used])]
    return {
        "blocked": not any(level["opens"] for level in levels),
        "chains": [one_chain(chain, facts, used) for chain in valid],
        "levels": levels,
    }


def one_chain(chain: Mapping[str, Any], facts: Facts, used: set[str]) -> dict[str, Any]:
    return {
        "name": chain["name"],
        "version": chain["version"],
        "additive": chain["additive"],
        "applies": holds(chain["applies_when"], facts),
        "used": chain["name"] in used,
        "why": reasons(chain["applies_when"], facts),
    }


def one_level(chain: Mapping[str, Any], level: Mapping[str, Any], facts: Facts, change: Change | None) -> dict[str, Any]:
    opens = holds(level["applies_when"], facts)
    return {
        "chain": chain["name"],
        "number": level["number"],
        "name": level["name"],
        "opens": opens,
        "rule": level["rule"],
        "why": reasons(level["applies_when"], facts),
        "seats": [seat for slot in level["seats"] for seat in seats_of(slot, facts, change)] if opens else [],
    }


def reasons(condition: Mapping[str, Any], facts: Facts) -> list[dict[str, Any]]:
    """The condition row by row, each with what the change has and whether it holds."""
    return [{"text": row.text, "holds": row.holds} for row in explain(condition, facts)]


def seats_of(slot: Mapping[str, Any], facts: Facts, change: Change | None) -> list[dict[str, Any]]:
    """The seats a slot would open, with who could take them: nobody who has a part in the change."""
    if change is not None:
        involved = involved_persons(change)
        return [
            seat(asked.label, slot["power"], (user for user in asked.people if user.person not in involved), asked.why)
            for asked in asked_by(slot, change, facts)
        ]
    if slot.get("dynamic"):
        return [seat(slot["label"] or slot["dynamic"], slot["power"], (), f"{slot['dynamic']}: depends on the change")]
    if slot.get("group"):
        return [seat(slot["label"], slot["power"], able_members(slot["group"]), f"member of {slot['group']}")] * slot["required"]
    people = User.objects.filter(ABLE, username=slot["user"])
    return [seat(slot["label"], slot["power"], people, f"{slot['user']} is named in the chain")] * slot["required"]


def seat(label: str, power: str, people: Iterable[User], why: str) -> dict[str, Any]:
    return {"label": label, "power": power, "people": [user.username for user in people], "why": why}


# --- facts without a change ---


def facts_from(attributes: Mapping[str, Any]) -> Facts:
    """Facts as somebody types them: the fields of conditions, custom ones as `custom.<name>`. Raises Invalid at each that is wrong."""
    fields = fields_with(dict(CustomField.objects.values_list("name", "kind")))
    errors = {str(name)[:100]: message for name, value in attributes.items() if (message := mistake(fields.get(name), value))}
    if errors:
        raise Invalid("Some attributes are not as conditions know them.", errors={f"attributes.{name}": [words] for name, words in errors.items()})
    given = {name: value for name, value in attributes.items() if value is not None}
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in FIELDS}
    custom = {name.removeprefix(CUSTOM): value for name, value in given.items() if name.startswith(CUSTOM)}
    unit = OrgUnit.objects.filter(slug=plain.get("org_unit") or "").first()
    return Facts(**plain, org_unit_chain=tuple(one.slug for one in unit_chain(unit)) if unit else (), custom=custom)


def mistake(field: Field | None, value: Any) -> str:
    """What is wrong with one attribute: judged as the value of a test in a condition."""
    if field is None:
        return f"There is no such attribute; known are {', '.join(sorted(FIELDS))} and custom.<name>."
    if value is None or (field.kind is Kind.TEXTS and value == []):
        return ""
    return wrong_value(field, "in" if field.kind is Kind.TEXTS else "eq", value)
