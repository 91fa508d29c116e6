"""Lists: keyset cursors that stay right while rows are added, an allow-list of orderings, trimmed fields."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Q
from django.utils.translation import gettext as _

from changemgmt.core.errors import Invalid

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from rest_framework.request import Request

PAGE_SIZE = 50
LARGEST_PAGE = 200
PARAMETERS = frozenset({"page_size", "cursor", "ordering", "count", "fields"})


@dataclass(frozen=True)
class Order:
    """One ordering: a column (empty values last), ties broken by the primary key."""

    field: str
    descending: bool
    nullable: bool

    def sorted(self, *, reverse: bool) -> list[Any]:
        """Arguments of `order_by`, or of the opposite direction."""
        down = self.descending != reverse
        if not self.nullable:
            sign = "-" if down else ""
            return [sign + self.field, f"{sign}pk"] if self.field != "pk" else [f"{sign}pk"]
        column = F(self.field)
        nulls = {"nulls_first": True} if reverse else {"nulls_last": True}
        return [column.desc(**nulls) if down else column.asc(**nulls), "-pk" if down else "pk"]

    def after(self, value: Any, pk: Any, *, reverse: bool) -> Q:
        """Rows beyond the row with this value and key, in the direction asked."""
        ahead = "lt" if self.descending != reverse else "gt"
        tie = Q(**{f"pk__{ahead}": pk})
        if self.field == "pk":
            return tie
        if value is None:
            beyond = Q(**{f"{self.field}__isnull": True}) & tie
            return beyond | Q(**{f"{self.field}__isnull": False}) if reverse else beyond
        # The first factor says nothing new, but lets the database use the index.
        beyond = Q(**{f"{self.field}__{ahead}e": value}) & (Q(**{f"{self.field}__{ahead}": value}) | tie)
        return beyond | Q(**{f"{self.field}__isnull": True}) if self.nullable and not reverse else beyond


@dataclass(frozen=True)
class Page:
    """The rows of one page and the cursors beside it."""

    rows: list[Any]
    next: str | None
    previous: str | None
    count: int | None = None


def page_of(request: Request, queryset: QuerySet, *, orderings: Mapping[str, str], default: str) -> Page:
    """One page of `queryset` as the query parameters ask. `orderings` maps a public name to a column."""
    order = order_of(queryset.model, request.query_params.get("ordering", default), orderings)
    size = size_of(request)
    back, position = False, None
    if cursor := request.query_params.get("cursor"):
        back, value, pk = read_cursor(cursor, queryset.model, order)
        position = order.after(value, pk, reverse=back)
    count = queryset.count() if wants_count(request) else None
    rows = queryset if position is None else queryset.filter(position)
    found = list(rows.order_by(*order.sorted(reverse=back))[: size + 1])
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    return Page(
        rows=found,
        next=link(request, found[-1], order, back=False) if found and (back or more) else None,
        previous=link(request, found[0], order, back=True) if found and (more if back else position is not None) else None,
        count=count,
    )


def first_page(request: Request, found: list[Any], *, order: Order) -> Page:
    """The first page out of rows that were read already: a page of the usual size and one row more, if there is one."""
    rows = found[:PAGE_SIZE]
    return Page(rows=rows, next=link(request, rows[-1], order, back=False) if len(found) > PAGE_SIZE else None, previous=None)


def order_of(model: type[Model], asked: str, orderings: Mapping[str, str]) -> Order:
    """The ordering asked for, or Invalid with those there are."""
    name = asked.removeprefix("-")
    if name not in orderings:
        raise Invalid.field("ordering", _("Order by one of: %(names)s (with - for descending).") % {"names": ", ".join(sorted(orderings))})
    return Order(orderings[name], asked.startswith("-"), nullable(model, orderings[name]))


def nullable(model: type[Model], path: str) -> bool:
    """May the column be empty? Columns that are computed may."""
    field = None
    try:
        for step in path.split("__"):
            field = model._meta.pk if step == "pk" else model._meta.get_field(step)
            if field.null:
                return True
            model = field.related_model or model
    except FieldDoesNotExist:
        return True
    return False


def size_of(request: Request) -> int:
    """The page size, 1 to 200, or Invalid."""
    text = request.query_params.get("page_size", str(PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LARGEST_PAGE):
        raise Invalid.field("page_size", _("A page has 1 to %(largest)s rows.") % {"largest": LARGEST_PAGE})
    return int(text)


def wants_count(request: Request) -> bool:
    asked = request.query_params.get("count", "false")
    if asked not in {"true", "false"}:
        raise Invalid.field("count", _("Ask for the count with count=true."))
    return asked == "true"


def link(request: Request, row: Any, order: Order, *, back: bool) -> str:
    """The address of the page beyond `row`."""
    value, pk = column_value(row, order.field), column_value(row, "pk")
    cursor = base64.urlsafe_b64encode(orjson.dumps([back, value, pk], default=str)).decode().rstrip("=")
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def column_value(row: Any, path: str) -> Any:
    """The value of a column in a row, which is an instance or, from `.values()`, a dict."""
    if isinstance(row, dict):
        return row[path]
    for step in path.split("__"):
        row = getattr(row, step) if row is not None else None
    return row


def read_cursor(text: str, model: type[Model], order: Order) -> tuple[bool, Any, Any]:
    """Direction, value and key of a cursor we made; Invalid for anything else."""
    try:
        back, value, pk = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        pk = model._meta.pk.to_python(pk)
        value = None if value is None else column_of(model, order.field).to_python(value)
        if not isinstance(back, bool) or pk is None or "\0" in f"{value}{pk}":
            raise ValueError
        return back, value, pk
    except (ValueError, TypeError, binascii.Error, ValidationError, OverflowError):
        raise Invalid.field("cursor", _("Take the cursor from `next` or `previous` of an answer.")) from None


def column_of(model: type[Model], path: str) -> Any:
    *steps, last = path.split("__")
    for step in steps:
        model = model._meta.get_field(step).related_model or model
    if last == "pk":
        return model._meta.pk
    try:
        return model._meta.get_field(last)
    except FieldDoesNotExist:
        return Raw()


class Raw:
    """The column of an annotation: its value is taken as it stands."""

    @staticmethod
    def to_python(value: Any) -> Any:
        return value


def listed(request: Request, page: Page, represent: Callable[[list[Any]], Iterable[Any]], names: Sequence[str] = ()) -> dict[str, Any]:
    """The answer of a list: `represent` turns the rows into plain objects, `?fields=` trims them to some of `names`."""
    kept = fields_of(request, names)
    results = list(represent(page.rows))
    if kept is not None:
        results = [{name: row[name] for name in row if name in kept} for row in results]
    answer: dict[str, Any] = {"next": page.next, "previous": page.previous, "results": results}
    if page.count is not None:
        answer["count"] = page.count
    return answer


def fields_of(request: Request, names: Sequence[str]) -> frozenset[str] | None:
    """The fields asked for by `?fields=a,b`, or None for all; Invalid names those there are."""
    asked = [name for text in request.query_params.getlist("fields") for name in text.split(",") if name]
    if not asked:
        return None
    unknown = sorted(set(asked) - set(names))
    if unknown:
        raise Invalid.field("fields", _("There are these fields: %(names)s.") % {"names": ", ".join(names)})
    return frozenset(asked)
