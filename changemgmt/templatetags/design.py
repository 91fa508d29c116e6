"""The small repeated parts of the design: no page builds these by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changemgmt.changes.models import Priority, Result, Scale, State, Type
from changemgmt.core.markdown import to_html, to_text
from changemgmt.core.time import utc_now
from changemgmt.web.base import names_of

register = template.Library()

RING = 37.7
# Markup of our own only: what somebody wrote goes through format_html.
NOTHING, UNSPOKEN, LIT = SafeString(""), SafeString('aria-hidden="true"'), SafeString(' class="on"')
TYPE_LOOK = {"standard": ("", "repeat"), "normal": ("acc", ""), "emergency": ("bad", "bolt"), "major": ("warn", "layers")}
STATE_LOOK = {
    "in_review": "acc",
    "info_requested": "info",
    "approved": "ok",
    "approved_with_conditions": "warn",
    "rejected": "bad",
    "scheduled": "acc",
    "implementing": "acc",
    "implemented": "ok",
    "failed": "bad",
    "rolled_back": "warn",
}
SEAT_ICONS = {"y": "check", "c": "check", "n": "x", "a": "minus", "q": "question"}
RISK_STEPS = {"low": 1, "medium": 2, "high": 3, "very_high": 4}


@register.simple_tag
def icon(name: str, more: str = "") -> SafeString:
    """An icon of the sprite; `more` are further classes. Always beside a word or inside a labelled control."""
    return format_html('<svg class="i{}" aria-hidden="true"><use href="{}#{}"/></svg>', f" {more}" if more else "", static("img/icons.svg"), name)


@register.simple_tag
def bar(percent: float | str | None, kind: str = "", label: str = "") -> SafeString:
    """A bar filled to `percent` (0 to 100). With a label it speaks; without one the number has to stand beside it."""
    width = max(0, min(100, round(float(percent or 0))))
    spoken = format_html('role="img" aria-label="{}"', label) if label else UNSPOKEN
    return format_html(
        '<svg class="bar {}" viewBox="0 0 100 4" preserveAspectRatio="none" {}><rect width="{}" height="4"/></svg>', kind, spoken, width
    )


@register.simple_tag
def risk(level: str | None, score: float | None = None) -> SafeString:
    """Risk as word, number and four-step mark."""
    step = RISK_STEPS.get(level or "", 0)
    boxes = format_html_join("", '<rect x="{}" y="0" width="6" height="8" rx="1"{}/>', ((n * 7, LIT if n < step else "") for n in range(4)))
    word = Scale(level).label if level and step else _("Not assessed")
    number = format_html(' <span class="dim">{}</span>', f"{score:.2f}") if score is not None and step else ""
    return format_html(
        '<span class="risk" data-l="{}"><svg viewBox="0 0 27 8" aria-hidden="true">{}</svg><span><span class="vh">{} </span>{}{}</span></span>',
        step,
        boxes,
        _("Risk"),
        word,
        number,
    )


@register.simple_tag
def type_chip(value: str) -> SafeString:
    """A change type."""
    look, sign = TYPE_LOOK.get(value, ("", ""))
    return format_html('<span class="chip {}">{}{}</span>', look, icon(sign) if sign else "", Type(value).label if value in Type.values else value)


@register.simple_tag
def state_chip(value: str) -> SafeString:
    """A state of a change, in words."""
    return format_html('<span class="chip {}">{}</span>', STATE_LOOK.get(value, ""), State(value).label if value in State.values else value)


@register.simple_tag
def result_chip(value: str | None) -> SafeString:
    """How a change ended."""
    if not value:
        return NOTHING
    look = {"successful": "ok", "successful_with_issues": "warn"}.get(value, "bad")
    return format_html('<span class="chip {}">{}</span>', look, Result(value).label if value in Result.values else value)


@register.simple_tag
def priority_chip(value: str) -> SafeString:
    """A priority, loud only when it is high."""
    look = {"critical": "bad", "high": "warn"}.get(value, "")
    label = {"critical": _("Critical priority"), "high": _("High priority"), "medium": _("Medium priority"), "low": _("Low priority")}
    return format_html(
        '<span class="chip {}">{}{}</span>', look, icon("flag"), label.get(value, Priority(value).label if value in Priority.values else value)
    )


@register.simple_tag(takes_context=True)
def person(context: Any, who: Any) -> str:
    """The name of a user, or of a username through the page's `people`."""
    if not who:
        return _("nobody")
    return who.display_name if hasattr(who, "display_name") else (context.get("people") or {}).get(who, who)


@register.simple_tag(takes_context=True)
def people_of(context: Any, guards: Any) -> dict[str, str]:
    """The page's `people`, and the names of those who can clear the guards."""
    known = context.get("people") or {}
    missing = {name for guard in guards for name in guard.who_can_clear if name not in known}
    return known | names_of(missing) if missing else known


@register.filter
def initials(user: Any) -> str:
    """Two letters for the round mark."""
    words = user.display_name.replace(".", " ").split()
    return "".join(word[0] for word in [words[0], words[-1]][: len(words)]).upper() if words else "?"


def as_moment(value: Any) -> datetime | None:
    """A datetime, or the API's text of one."""
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value)
    return value or None


def shown(moment: datetime, form: str, now: datetime) -> str:
    """`moment` in the viewer's zone: form is full, date, day or time; the year only when it isn't this one."""
    local = timezone.localtime(moment)
    if form == "time":
        return date_format(local, "H:i")
    year = "" if local.year == timezone.localtime(now).year else " Y"
    return date_format(local, {"date": "j M", "day": "D j M", "full": "D j M"}[form] + year + (", H:i" if form == "full" else ""))


@register.simple_tag
def when(value: Any, form: str = "full") -> SafeString:
    """A moment in the viewer's zone, with exact UTC in its title. form: full, date, day, time."""
    moment = as_moment(value)
    if moment is None:
        return NOTHING
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>', exact.isoformat(), exact.strftime("%Y-%m-%d %H:%M:%S"), shown(moment, form, utc_now())
    )


@register.simple_tag
def span(start: Any, end: Any) -> SafeString:
    """A range: "Sun 22 Nov, 02:00 to 04:30", or with both days when it crosses midnight."""
    first, last = as_moment(start), as_moment(end)
    if first is None or last is None:
        return when(first or last)
    same = timezone.localtime(first).date() == timezone.localtime(last).date()
    # Translators: a range of two times
    return format_html(_("{} to {}"), when(first), when(last, "time" if same else "full"))


def duration_words(seconds: float) -> str:
    """ "5 h 18 min", "2 d 4 h", "12 min"."""
    minutes = int(abs(seconds)) // 60
    days, hours, left = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours} if hours else _("%(days)d d") % {"days": days}
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": left} if left else _("%(hours)d h") % {"hours": hours}
    return _("%(minutes)d min") % {"minutes": left}


@register.filter
def duration(value: Any) -> str:
    """Seconds or a timedelta in words; nothing for nothing."""
    if value is None or value == "":
        return ""
    return duration_words(value.total_seconds() if isinstance(value, timedelta) else float(value))


@register.simple_tag(takes_context=True)
def sla(context: Any, due: Any, opened: Any = None, paused: bool = False) -> SafeString:
    """A clock: ring and words. Amber under a quarter or 8 h left, red under 1 h; stands still while paused."""
    if paused:
        return format_html('<span class="sla">{}{}</span>', icon("pause"), _("Stopped, waiting for answer"))
    end = as_moment(due)
    if end is None:
        return NOTHING
    now = context.get("server_now") or utc_now()
    left = (end - now).total_seconds()
    total = max(1.0, (end - (as_moment(opened) or now - timedelta(days=1))).total_seconds())
    used = max(0.0, min(1.0, 1 - left / total))
    look = "now" if left < 3600 else "soon" if left < 8 * 3600 or used > 0.75 else ""
    words = _("Late by %(time)s") % {"time": duration_words(left)} if left < 0 else _("%(time)s left") % {"time": duration_words(left)}
    return format_html(
        '<span class="sla {}"><svg class="ring" viewBox="0 0 16 16" aria-hidden="true"><circle class="trk" cx="8" cy="8" r="6" fill="none" stroke-width="2.5"/>'
        '<circle class="val" cx="8" cy="8" r="6" fill="none" stroke-width="2.5" stroke-dasharray="{} {}"/></svg><span data-countdown="{}">{}</span></span>',
        look,
        f"{RING * used:.1f}",
        RING,
        end.isoformat(),
        words,
    )


def seat_look(seat: dict[str, Any], votes: dict[int, dict[str, Any]], me: str) -> str:
    """The class of one seat: how it voted, or whom it waits for."""
    vote = votes.get(seat["id"])
    if vote:
        return {"reject": "n", "abstain": "a"}.get(vote["vote"], "c" if vote.get("conditions") else "y")
    if seat.get("state") == "closed":
        return "skip-seat"
    return "w you" if seat.get("state") == "open" and me in seat.get("people", ()) else "w"


def seat_box(look: str) -> SafeString:
    """One box."""
    sign = SEAT_ICONS.get(look, "")
    return format_html('<span class="seat {}">{}</span>', look, icon(sign) if sign else "")


def level_words(level: dict[str, Any], looks: list[str]) -> str:
    """What the boxes of one level say, for those who hear them."""
    yes, no = sum(look in ("y", "c") for look in looks), looks.count("n")
    words = {
        "name": level["name"],
        "approved": ngettext("%(n)d approved", "%(n)d approved", yes) % {"n": yes},
        "rejected": ngettext("%(n)d rejected", "%(n)d rejected", no) % {"n": no},
        "open": ngettext("%(n)d open", "%(n)d open", looks.count("w") + looks.count("w you")) % {"n": looks.count("w") + looks.count("w you")},
    }
    return _("%(name)s: %(approved)s, %(rejected)s, %(open)s") % words


@register.simple_tag
def seats(levels: Any, me: str = "", large: bool = False) -> SafeString:
    """One box per vote of the levels (as the API shows them); a hairline parts levels, +N stands for levels not open yet."""
    boxes: list[SafeString] = []
    spoken, later = [], 0
    for level in levels or ():
        if level["state"] in ("skipped", "superseded"):
            continue
        votes = {vote["seat"]: vote for vote in level["votes"] if not vote.get("superseded")}
        looks = [seat_look(seat, votes, me) for seat in level["seats"]]
        spoken.append(level_words(level, looks))
        if level["state"] == "waiting" and not votes:
            later += len(looks)
            continue
        boxes += [SafeString('<span class="gapbar"></span>')] * bool(boxes) + [seat_box(look) for look in looks]
    if later:
        boxes += [SafeString('<span class="gapbar"></span>')] * bool(boxes) + [format_html('<span class="later">+{}</span>', later)]
    if not boxes:
        return NOTHING
    return format_html(
        '<span class="seats {}" role="img" aria-label="{}">{}</span>', "xl" if large else "", ". ".join(spoken), SafeString("".join(boxes))
    )


@register.simple_tag
def seat_mark(vote: Any = None, state: str = "waiting", mine: bool = False) -> SafeString:
    """The box of a single vote (API shape) or of a seat without one."""
    if vote:
        return seat_box({"reject": "n", "abstain": "a"}.get(vote["vote"], "c" if vote.get("conditions") else "y"))
    return seat_box("skip-seat" if state == "closed" else "w you" if mine else "w")


@register.simple_tag
def vote_at(level: dict[str, Any], seat: dict[str, Any]) -> dict[str, Any] | None:
    """The vote of a seat that counts, if one was given."""
    return next((vote for vote in level["votes"] if vote["seat"] == seat["id"] and not vote["superseded"]), None)


@register.simple_tag
def seat_of(vote: dict[str, Any] | None, seat: dict[str, Any], me: str) -> SafeString:
    """The box of a seat with or without its vote."""
    return seat_mark(vote, seat["state"], seat["state"] == "open" and me in seat["people"])


@register.inclusion_tag("parts/brief.html", takes_context=True)
def brief(context: Any, answers: Any, mini: bool = False) -> dict[str, Any]:
    """The seven answers of `web.brief.brief_of`, in their fixed order."""
    return {"answers": answers, "mini": mini, "large": not mini}


@register.inclusion_tag("parts/vote_buttons.html")
def vote_buttons(seat: int, small: bool = False, conditions: bool = True, in_queue: bool = False) -> dict[str, Any]:
    """The four acts at a seat: each opens the vote form. Votes that are begun `in_queue` lead back to it."""
    return {"path": f"/approvals/{seat}/vote/", "small": small, "conditions": conditions, "more": "&next=queue" if in_queue else ""}


@register.inclusion_tag("parts/pager.html")
def pager(next: str | None, previous: str | None, first: str | None = None) -> dict[str, Any]:
    """Links to the pages before and after; each argument is a URL or nothing."""
    return {"next": next, "previous": previous, "first": first}


@register.filter(is_safe=True)
def markdown(text: str | None) -> SafeString:
    """People's Markdown, rendered and sanitised."""
    return SafeString(to_html(text)) if text else NOTHING


@register.filter
def plain_text(text: str | None, limit: int = 90) -> str:
    """The beginning of people's Markdown as plain words."""
    return to_text(text, limit) if text else ""


@register.filter
def scale_x(score: float | None) -> str:
    """Where a score of 0 to 1 stands on the risk scale of 280 units."""
    return f"{8 + 264 * max(0.0, min(1.0, score or 0)):.1f}"


@register.filter
def two(value: float | None) -> str:
    """A score with two digits."""
    return f"{value:.2f}" if value is not None else ""


@register.filter
def percent(value: float | None) -> int:
    """A share of 0 to 1 as whole percent."""
    return round(100 * (value or 0))


@register.filter
def lookup(mapping: Any, key: Any) -> Any:
    """mapping[key], or nothing."""
    return mapping.get(key) if mapping else None


@register.filter
def plain_value(value: Any) -> str:
    """A JSON value as a person reads it."""
    if value is None:
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(plain_value(entry) for entry in value) or _("empty")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain_value(entry)}" for key, entry in value.items()) or _("empty")
    return str(value)


@register.filter
def day_of(value: Any) -> date | None:
    """The day of a moment in the viewer's zone, for grouping."""
    moment = as_moment(value)
    return timezone.localtime(moment).date() if moment else None


@register.filter
def minutes_long(minutes: int) -> str:
    """A length in minutes, in words."""
    return duration_words(minutes * 60)
