"""Reading a change log of another system: a mapping says which of our fields is which of its columns.

Pure: rows and a mapping in, plain fields out. Who stores them is `lifecycle.import_changes`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from changemgmt.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TEXTS = {"title": 300, "description": 100_000, "business_justification": 100_000}
CHOICES = {
    "type": ("standard", "normal", "emergency", "major"),
    "priority": ("critical", "high", "medium", "low"),
    "urgency": ("low", "normal", "high"),
    "impact": ("low", "medium", "high", "very_high"),
    "state": ("closed", "cancelled"),
}
TIMES = ("created_at", "submitted_at", "decided_at", "closed_at", "planned_start", "planned_end", "actual_start", "actual_end")
LISTS = ("tags", "compliance_scope")
FIELDS = (*TEXTS, *CHOICES, *TIMES, *LISTS)
WINDOWS = (("planned_start", "planned_end"), ("actual_start", "actual_end"))
HOW = {"column", "values", "value", "default", "format", "split"}


@dataclass(frozen=True, slots=True)
class LogMapping:
    """A checked mapping. `fields` says for each of our fields how its value is made of a row."""

    system: str
    zone: ZoneInfo
    id_column: str
    fields: Mapping[str, Mapping[str, Any]]
    component_column: str = ""
    component_types: tuple[str, ...] = ()

    def columns(self) -> set[str]:
        """Every column it reads."""
        named = {self.id_column} | ({self.component_column} if self.component_column else set())
        return named.union(*(columns_of(how) for how in self.fields.values()))


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of the log, in our words. `where` is its line in the file."""

    where: str
    id: str
    component: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Reading:
    """What was read: the entries, and what could not be used, each with its place."""

    entries: list[Entry] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


def columns_of(how: Mapping[str, Any]) -> set[str]:
    """The columns one field is made of."""
    if "format" in how:
        return {name for _, name, _, _ in Formatter().parse(how["format"]) if name}
    column = how.get("column", ())
    return {column} if isinstance(column, str) else set(column)


def read_mapping(data: Any) -> LogMapping:
    """The mapping in `data`, as loaded from YAML. Raises Invalid, which names the part that is wrong."""
    if not isinstance(data, dict):
        raise Invalid.field("mapping", "A mapping is an object with system, id and fields; see data/mappings/change-log-osg.yaml.")
    unknown = sorted(map(str, data.keys() - {"system", "zone", "id", "fields", "component"}))
    if unknown:
        raise Invalid.field("mapping", f"Unknown: {', '.join(unknown)}. A mapping has system, zone, id, fields and component.")
    component = data.get("component") or {}
    if isinstance(component, str):
        component = {"column": component}
    return LogMapping(
        system=text_at(data, "system"),
        zone=zone_of(data.get("zone", "UTC")),
        id_column=text_at(data, "id"),
        fields=read_fields(data.get("fields")),
        component_column=component.get("column", ""),
        component_types=tuple(component.get("types", ())),
    )


def text_at(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Invalid.field("mapping", f"{name} is missing.")
    return value.strip()


def zone_of(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.field("mapping", f"zone: {name} is no time zone; one is for example Europe/Vienna.") from None


def read_fields(data: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(data, dict):
        raise Invalid.field("mapping", "fields is missing: an object of our field and its column.")
    fields = {name: {"column": how} if isinstance(how, str) else how for name, how in data.items()}
    for name, how in fields.items():
        check_field(name, how)
    missing = [name for name in ("title", "created_at") if name not in fields]
    if missing:
        raise Invalid.field("mapping", f"fields: {' and '.join(missing)} must be mapped.")
    return fields


def check_field(name: Any, how: Any) -> None:
    if name not in FIELDS:
        raise Invalid.field("mapping", f"fields: {name} is none of ours; those are {', '.join(FIELDS)}.")
    if not isinstance(how, dict) or not how.keys() <= HOW or not how.keys() & {"column", "value", "format"}:
        raise Invalid.field("mapping", f"fields.{name}: give a column's name, or an object of {', '.join(sorted(HOW))}.")
    table = how.get("values", {})
    if not isinstance(table, dict):
        raise Invalid.field("mapping", f"fields.{name}.values: a table of their value and ours.")
    wrong = [value for value in (*table.values(), *([how["default"]] if "default" in how else ())) if value not in CHOICES.get(name, (value,))]
    if wrong:
        raise Invalid.field("mapping", f"fields.{name}: {wrong[0]} is not one of {', '.join(CHOICES[name])}.")


def fits(mapping: LogMapping, header: Iterable[str]) -> bool:
    """Whether a file with this header has every column the mapping reads."""
    return mapping.columns() <= set(header)


def read_rows(rows: Iterable[tuple[str, Mapping[str, str]]], mapping: LogMapping, *, now: datetime) -> Reading:
    """Every row as an entry, oldest first. `rows` are (where, row); one that can't be used is skipped with its reason."""
    reading, seen = Reading(), Counter[str]()
    for where, row in rows:
        try:
            entry = read_row(where, row, mapping, now=now)
        except ValueError as error:
            reading.skipped.append({"where": where, "reason": str(error)})
            continue
        seen[entry.id] += 1
        if seen[entry.id] > 1:
            reading.skipped.append({"where": where, "reason": f"The id {entry.id} came before; the first is kept."})
        else:
            reading.entries.append(entry)
    reading.entries.sort(key=lambda entry: (entry.fields["created_at"], entry.id))
    return reading


def read_row(where: str, row: Mapping[str, str], mapping: LogMapping, *, now: datetime) -> Entry:
    """One row in our words; ValueError says what is wrong with it."""
    identity = (row.get(mapping.id_column) or "").strip()
    if not identity:
        raise ValueError(f"{mapping.id_column} is empty.")
    fields = {name: value_of(name, how, row, mapping.zone) for name, how in mapping.fields.items()}
    if fields["created_at"] is None:
        raise ValueError("There is no time at which it was created.")
    fields["title"] = fields["title"] or identity
    for start, end in WINDOWS:
        keep_sound_window(fields, start, end)
    if (ended := fields.get("actual_end")) and ended > now:
        fields["actual_start"] = fields["actual_end"] = None
    if (closed := fields.get("closed_at")) and closed > now:
        fields["closed_at"] = None
    # What is over has no window ahead: logs write an end like the year 2100 for "until further notice".
    if (ends := fields.get("planned_end")) and ends > now:
        fields["planned_start"] = fields["planned_end"] = None
    component = (row.get(mapping.component_column) or "").strip() if mapping.component_column else ""
    return Entry(where=where, id=identity, component=component, fields=fields)


def keep_sound_window(fields: dict[str, Any], start: str, end: str) -> None:
    """A window that lacks an end or has no length is not known at all."""
    begins, ends = fields.get(start), fields.get(end)
    if begins is None or ends is None or ends <= begins:
        fields.update({name: None for name in (start, end) if name in fields})


def value_of(name: str, how: Mapping[str, Any], row: Mapping[str, str], zone: ZoneInfo) -> Any:
    """The value of one of our fields, of the type it has with us."""
    raw = raw_of(how, row)
    if name in TIMES:
        return moment_of(raw, zone)
    if name in LISTS:
        return sorted({part.strip() for part in raw.split(how.get("split", ";"))} - {""})
    if name in CHOICES:
        return choice_of(name, raw)
    return raw[: TEXTS[name]]


def raw_of(how: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """The text before it is made ours: constant, formatted, or the first column that is not empty, through the value table."""
    if "value" in how:
        return str(how["value"])
    if "format" in how:
        return how["format"].format_map({name: (value or "").strip() for name, value in row.items() if name}).replace("\x00", "")
    columns = [how["column"]] if isinstance(how["column"], str) else how["column"]
    raw = next((value for column in columns if (value := (row.get(column) or "").strip())), "")
    return str(how.get("values", {}).get(raw, how.get("default", raw))).replace("\x00", "")


def choice_of(name: str, raw: str) -> str:
    if raw not in CHOICES[name]:
        raise ValueError(f"{name}: “{raw}” has no meaning here; add it to the mapping's value table.")
    return raw


def moment_of(raw: str, zone: ZoneInfo) -> datetime | None:
    """A time, in UTC; one without a zone is taken to be in the mapping's."""
    if not raw:
        return None
    try:
        moment = datetime.fromisoformat(raw)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"“{raw}” is no time such as 2026-11-22T02:00:00Z.") from None


def choose(components: Sequence[tuple[str, str]], types: Sequence[str]) -> str:
    """The key of the component that is meant, of those with one name as (key, type); empty when that can't be told."""
    preferred = [key for key, kind in components if kind.casefold() in {name.casefold() for name in types}] if types else []
    found = preferred or [key for key, _ in components]
    return found[0] if len(found) == 1 else ""
