"""Times: always aware, always UTC inside. The clock is read at a door and passed in as `now`."""

from datetime import UTC, datetime

from .errors import Invalid


def utc_now() -> datetime:
    """The clock. Only doors (web, API, commands, tasks) call this."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """`moment` in UTC; a naive one is an error of the program."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def rfc3339(moment: datetime | None) -> str | None:
    """`moment` as the API writes it, to the second unless there are microseconds."""
    if moment is None:
        return None
    return as_utc(moment).isoformat().replace("+00:00", "Z")


def parse_instant(text: str, *, field: str) -> datetime:
    """An RFC 3339 time with a zone, or `Invalid` at `field`."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Invalid.field(field, "Give a time such as 2026-11-22T02:00:00Z.") from None
    if moment.tzinfo is None:
        raise Invalid.field(field, "Add the zone to the time, for example a final Z for UTC.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid.field(field, "The time is outside what a calendar can hold.") from None
