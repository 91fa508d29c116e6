"""The filters of a list of changes: the same for the API and the pages. Anything unknown is refused, nothing is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, TextField, Value

from changemgmt.accounts.models import User
from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant

from .models import Change, Item, Priority, Scale, State, Type

if TYPE_CHECKING:
    from django.db.models import QuerySet

Row = TypeVar("Row")
Awaited = Callable[[User], Iterable[int]]
ENUMERATIONS = {"state": State, "type": Type, "priority": Priority, "risk_level": Scale}
TEXTS = {
    "requester": "requester__username",
    "owner": "owner__username",
    "org_unit": "org_unit_id",
    "template": "template_id",
}
INSTANTS = {
    "planned_after": "planned_start__gte",
    "planned_before": "planned_start__lt",
    "created_after": "created_at__gte",
    "created_before": "created_at__lt",
}
OVER = (State.CLOSED, State.CANCELLED)
RETROSPECTIVE = {"unreviewed": ~Q(state__in=OVER), "reviewed": Q(state=State.CLOSED), "any": ~Q(state=None)}
SEARCHED = ("number", "title", "description", "business_justification")
LONGEST = 300
MOST_VALUES = 200
MOST_WORDS = 10


class HoldsText(Func):
    """Whether a JSON list (first expression) holds a text (second)."""

    output_field = BooleanField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        return self.written(compiler, "EXISTS(SELECT 1 FROM json_each({column}) WHERE json_each.value = {value})")

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        return self.written(compiler, "{column} @> jsonb_build_array({value}::text)")

    def written(self, compiler: Any, template: str) -> tuple[str, tuple[Any, ...]]:
        (column, first), (value, second) = (compiler.compile(expression) for expression in self.get_source_expressions())
        return template.format(column=column, value=value), (*first, *second)


def filtered(rows: QuerySet[Change, Row], params: Mapping[str, Sequence[str]], viewer: User, awaited: Awaited) -> QuerySet[Change, Row]:
    """`rows` narrowed by every parameter. `params` maps one of NAMES to its values, of which any may hold; empty values narrow nothing.

    `awaited` answers the primary keys of the changes that wait for somebody's vote: approvals know that, changes don't.
    Raises Invalid at the name of the parameter that is unknown or has a value that can't be.
    """
    for name, given in params.items():
        if name not in NAMES:
            raise Invalid.field(name[:60], f"There is no such filter; there are: {', '.join(NAMES)}.")
        values = [value for value in given if value != ""]
        check_values(name, values)
        if values:
            rows = rows.filter(of_awaiting(values, viewer, awaited) if name == "awaiting" else FILTERS[name](name, values, viewer))
    return rows


def check_values(name: str, values: Sequence[str]) -> None:
    if len(values) > MOST_VALUES:
        raise Invalid.field(name, f"At most {MOST_VALUES} values.")
    if any(len(value) > LONGEST for value in values):
        raise Invalid.field(name, f"A value has at most {LONGEST} characters.")
    if any("\x00" in value for value in values):
        raise Invalid.field(name, "The value holds a character that can't be stored.")


def of_enumeration(name: str, values: Sequence[str], viewer: User) -> Q:
    """One of the values of an enumeration; `__in` takes several with commas."""
    field = name.removesuffix("__in")
    wanted = [part for value in values for part in value.split(",")] if name.endswith("__in") else list(values)
    known = ENUMERATIONS[field].values
    unknown = [value for value in wanted if value not in known]
    if unknown:
        raise Invalid.field(name, f"“{unknown[0][:60]}” is none of {', '.join(known)}.")
    return Q(**{f"{field}__in": wanted})


def of_text(name: str, values: Sequence[str], viewer: User) -> Q:
    return Q(**{f"{TEXTS[name]}__in": values})


def of_instant(name: str, values: Sequence[str], viewer: User) -> Q:
    """A time, or a day (which begins at midnight UTC). With several values each has to hold."""
    wanted = Q()
    for value in values:
        wanted &= Q(**{INSTANTS[name]: moment_of(value, name)})
    return wanted


def moment_of(value: str, name: str) -> datetime:
    return parse_instant(f"{value}T00:00:00Z" if len(value) == len("2026-11-22") else value, field=name)


def of_implementer(name: str, values: Sequence[str], viewer: User) -> Q:
    tied = Change.implementers.through.objects.filter(change=OuterRef("pk"), user__username__in=values)
    return Q(Exists(tied))


def of_retrospective(name: str, values: Sequence[str], viewer: User) -> Q:
    """Changes that ran on an emergency go-ahead: any, those not reviewed and closed yet, or those that are."""
    unknown = [value for value in values if value not in RETROSPECTIVE]
    if unknown:
        raise Invalid.field(name, f"“{unknown[0][:60]}” is none of {', '.join(RETROSPECTIVE)}.")
    wanted = Q()
    for value in values:
        wanted |= RETROSPECTIVE[value]
    return Q(retrospective=True) & wanted


def of_component(name: str, values: Sequence[str], viewer: User) -> Q:
    """Changes whose items are about the component, or about a relation that ends on it."""
    about = Q(object=Item.Object.COMPONENT, key__in=values) | Q(source__in=values) | Q(target__in=values)
    return Q(Exists(Item.objects.filter(about, change=OuterRef("pk"))))


def of_layer(name: str, values: Sequence[str], viewer: User) -> Q:
    return Q(Exists(Item.objects.filter(change=OuterRef("pk"), layer__in=values)))


def of_tag(name: str, values: Sequence[str], viewer: User) -> Q:
    wanted = Q()
    for value in values:
        wanted |= Q(HoldsText(F("tags"), Value(value, output_field=TextField())))
    return wanted


def of_awaiting(values: Sequence[str], viewer: User, awaited: Awaited) -> Q:
    """Changes that wait for the vote of one of these people; `me` is who asks."""
    names = [viewer.username if value == "me" else value for value in values]
    people = User.objects.filter(username__in=names, is_active=True, is_service=False)
    return Q(pk__in=sorted({key for user in people for key in awaited(user)}))


def of_words(name: str, values: Sequence[str], viewer: User) -> Q:
    """Every word occurs in the number, the title, the description or the justification."""
    wanted = Q()
    for word in " ".join(values).split()[:MOST_WORDS]:
        found = Q()
        for column in SEARCHED:
            found |= Q(**{f"{column}__icontains": word})
        wanted &= found
    return wanted


FILTERS: dict[str, Callable[[str, Sequence[str], User], Q]] = {
    **{name + suffix: of_enumeration for name in ENUMERATIONS for suffix in ("", "__in")},
    **dict.fromkeys(TEXTS, of_text),
    "implementer": of_implementer,
    "retrospective": of_retrospective,
    "component": of_component,
    "layer": of_layer,
    "tag": of_tag,
    **dict.fromkeys(INSTANTS, of_instant),
    "q": of_words,
}
NAMES = (*FILTERS, "awaiting")
