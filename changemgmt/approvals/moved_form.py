"""What activating a chain would change, as the form names it: for the page that asks before it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from changemgmt.conditions.rules import describe
from changemgmt.core.time import parse_instant

from .chain_check import SWITCHES
from .chains import draft_of
from .findings_form import show
from .forms import KINDS, PART_WORDS, ChainForm, LevelForm
from .models import Chain, Level, Power, RuleKind
from .proof.rules import Finding

OWN = ("name", "order", "active", "additive", "valid_from", "valid_to", "applies_when")
LEVEL_ROWS = ("number", "rule", "applies_when", "watches", "sla_hours", "on_timeout", "reminders", "expires_hours", *SWITCHES)
Setting = tuple[Any, str]
NONE: Setting = (None, "")  # where the other side has no such setting
LETTERS = {RuleKind.COUNT: "N", RuleKind.PERCENT: "P", RuleKind.WEIGHT: "W"}


class Row(NamedTuple):
    """One setting that differs: its label and both values in words; empty where there was or will be none."""

    label: str
    before: str
    after: str


class Part(NamedTuple):
    """The chain itself (without a name) or one level, with what differs in it. `fate` is "new", "gone" or empty."""

    name: str
    fate: str
    rows: list[Row]


def moved_parts(chain: Chain) -> list[Part]:
    """What would differ, the chain's own settings first, then its levels in their order; levels are told apart by their names."""
    before, after = chain.in_force or {}, draft_of(chain)
    after["active"] = after["active"] or not chain.version  # what never was in force becomes active by being activated
    parts = [Part("", "" if before else "new", differing(own_words(before), own_words(after)))]
    was, will = ({level["name"]: level for level in one.get("levels", ())} for one in (before, after))
    parts += [level_part(name, was.get(name), will.get(name)) for name in [*will, *(name for name in was if name not in will)]]
    return [part for part in parts if part.rows]


def level_part(name: str, was: Mapping[str, Any] | None, will: Mapping[str, Any] | None) -> Part:
    rows = differing(level_words(was or {}), level_words(will or {}))
    order = [seat_order(was), seat_order(will)]
    if was and will and sorted(order[0]) == sorted(order[1]) and order[0] != order[1]:
        rows.append(Row(_("Order of the seats"), ", ".join(order[0]), ", ".join(order[1])))
    return Part(name, "new" if not was else "gone" if not will else "", rows)


def differing(before: Mapping[str, Setting], after: Mapping[str, Setting]) -> list[Row]:
    """The settings whose values differ, in the order of the form; what two values are called may be the same."""
    labels = [label for label in {**after, **before} if before.get(label, NONE)[0] != after.get(label, NONE)[0]]
    return [Row(label, before.get(label, NONE)[1], after.get(label, NONE)[1]) for label in labels]


def own_words(chain: Mapping[str, Any]) -> dict[str, Setting]:
    """label → value and words of the chain's own settings."""
    return {str(ChainForm.base_fields[name].label): (chain[name], words(name, chain[name])) for name in OWN if name in chain}


def level_words(level: Mapping[str, Any]) -> dict[str, Setting]:
    """label → value and words of the settings of a level, and of each seat."""
    settings = {level_label(name): (level[name], words(name, level[name])) for name in LEVEL_ROWS if name in level}
    return settings | {_("Asks: %(seat)s") % {"seat": label}: (seat, seat_words(seat)) for label, seat in seats_by_label(level).items()}


def level_label(name: str) -> str:
    return str(LevelForm.base_fields["rule_kind" if name == "rule" else name].label)


def seats_by_label(level: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The seats by their labels; of a label that is there twice, the second one is numbered."""
    found: dict[str, Mapping[str, Any]] = {}
    for seat in level.get("seats", ()):
        same = sum(1 for other in found.values() if other["label"] == seat["label"])
        found[f"{seat['label']} ({same + 1})" if same else seat["label"]] = seat
    return found


def seat_order(level: Mapping[str, Any] | None) -> list[str]:
    return [seat["label"] for seat in (level or {}).get("seats", ())]


def seat_words(seat: Mapping[str, Any]) -> str:
    """Whom a seat asks: `group ecab, voter with veto, 2 of them`."""
    asked = next(f"{label} {seat[kind]}" for kind, label in KINDS if seat.get(kind))
    weight = _("weight %(weight)d") % {"weight": seat["weight"]} if seat["weight"] != 1 else ""
    many = _("%(count)d of them") % {"count": seat["required"]} if seat["required"] != 1 else ""
    return ", ".join(part for part in (asked, str(Power(seat["power"]).label), weight, many) if part)


def words(name: str, value: Any) -> str:
    """The value of one setting as a person reads it."""
    match name:
        case "applies_when":
            return describe(value)
        case "rule":
            return rule_words(value["kind"], value["value"])
        case "watches":
            return ", ".join(str(PART_WORDS[part]) for part in value)
        case "on_timeout":
            return str(Level.OnTimeout(value).label)
        case "reminders":
            return ", ".join(f"{percent} %" for percent in value) or _("none")
        case "valid_from" | "valid_to":
            return day_words(parse_instant(value, field=name)) if value else _("not set")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return _("not set") if value is None else str(value)


def rule_words(kind: str, value: int | None) -> str:
    """`at least 2`: the rule with its number in the place of the letter."""
    label, letter = str(RuleKind(kind).label), LETTERS.get(RuleKind(kind))
    return label.replace(letter, str(value)) if letter else label


def day_words(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def placed(findings: Iterable[Finding], chain: Chain) -> list[dict[str, str]]:
    """What the prover finds in the draft, each with its place in words."""
    levels = [LevelForm(instance=level) for level in chain.levels.prefetch_related("slots__group", "slots__user")]
    return show(findings, ChainForm(instance=chain), levels)
