"""Reads of the preview. A GET computes nothing that is stored: it answers what is kept and says when that is stale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from changemgmt.accounts.models import User
from changemgmt.architecture.impact import trusted
from changemgmt.architecture.models import Component, Revision
from changemgmt.architecture.queries import current_revision, images, portions
from changemgmt.architecture.rules import CREATE, OBJECTS, Image
from changemgmt.architecture.trust import JUDGED
from changemgmt.changes.digest import item_content
from changemgmt.changes.models import OPEN, Change, Item, Preview, Reach
from changemgmt.changes.queries import visible_to
from changemgmt.computations.queries import Progress, progress_of
from changemgmt.core.canonical import digest
from changemgmt.core.reading import active, once

from .diff_files import Told, told
from .differing import Known
from .drift import Base, base_of
from .models import AppliedItem
from .rebasing import conflicts_of, digest_of
from .reverting import undoing
from .rules import overlap, same, written_fields

if TYPE_CHECKING:
    from .compute import Computed

KNOWN = ("key", "name", "owner", "criticality", "layer__name")
HIDDEN = "a change you may not see"
MOST_MEETINGS = 5000


def made_from(change: Change, further: dict[str, Any]) -> str:
    """The digest of what is computed from: every item with the base it was written against, and how much further it is followed."""
    items: list[Any] = [item_content(item) | {"before": item.before} for item in change.items.all()]
    return digest([*items, *([{"further": further}] if further else [])])


def further_of(change: Change) -> dict[str, Any]:
    """How much further than is set this change is followed; empty where nobody asked."""
    return Preview.objects.filter(change=change).values_list("further", flat=True).first() or {}


@once
def stored(change: Change) -> Preview | None:
    """What is kept of the change's preview, whole."""
    return Preview.objects.filter(change=change).first()


@once
def state_of(change: Change) -> str:
    """`ready`, `running`, `stale` or `conflict`. Stale: the items changed since, or the architecture moved within the reach."""
    few = Preview.objects.filter(change=change).only("state", "items_digest", "revision", "change", "further")
    preview = stored(change) if active() else few.first()
    if preview is None or preview.state == Preview.State.FAILED:
        return "stale"
    if preview.state == Preview.State.RUNNING:
        return "running"
    if has_applied(change):
        return "ready"
    if preview.items_digest != made_from(change, preview.further) or moved_within(change, preview.revision):
        return "stale"
    return preview.state


def has_applied(change: Change) -> bool:
    """Whether anything of it was ever written into the live architecture: then its preview is history, and does not fall stale."""
    if active() and change.actual_start is None:
        return False  # nothing is applied before it starts
    return AppliedItem.objects.filter(change=change).exists()


@once
def moved_within(change: Change, revision: int) -> bool:
    touched = touched_since(revision)
    if not touched:
        return False
    if of_everybody(touched):
        return True
    if any(key.startswith(JUDGED) for key in touched) and Preview.objects.filter(change=change, impact__untrusted__gt=0).exists():
        return True
    own = {item.key for item in change.items.all()}
    return bool(own & touched) or bool(touched.intersection(change.reach.values_list("key", flat=True)))


def touched_since(revision: int) -> set[str]:
    """The keys that the revisions after this one wrote."""
    touched: set[str] = set()
    for keys in Revision.objects.filter(number__gt=revision).values_list("touched", flat=True):
        touched |= set(keys)
    return touched


def of_everybody(touched: Iterable[str]) -> bool:
    """Whether what was touched concerns every change: everything, or how a type conducts."""
    return any(key == "*" or key.startswith("type:") for key in touched)


def moved_under(computed: Computed, revision: int) -> bool:
    """Whether the architecture moved after this revision within what was computed since."""
    touched = touched_since(revision)
    if any(key.startswith(JUDGED) for key in touched) and computed.impact["untrusted"]:
        return True
    own = {image.key for image in computed.images} | {key for key, _, _ in computed.reach}
    return of_everybody(touched) or bool(own & touched)


def moved_under_all(changes: QuerySet[Change]) -> Iterable[Change]:
    """Those of the changes whose preview the architecture moved under, a thousand at a time, with a constant number of queries for each."""
    rows = list(changes.filter(preview__isnull=False).order_by("pk").values_list("pk", "preview__revision", "preview__impact__untrusted"))
    if not rows:
        return
    last = last_touched(min(revision for _, revision, _ in rows))
    everybody = max((number for key, number in last.items() if of_everybody([key])), default=0)
    judged = max((number for key, number in last.items() if key.startswith(JUDGED)), default=0)
    for place in range(0, len(rows) if last else 0, 1000):
        portion = {pk: revision for pk, revision, _ in rows[place : place + 1000]}
        doubtful = {pk for pk, _, untrusted in rows[place : place + 1000] if untrusted}
        moved = {pk for pk, revision in portion.items() if revision < everybody or (pk in doubtful and revision < judged)}
        for table in (Item, Reach):
            own = table.objects.filter(change__in=portion.keys() - moved).values_list("change", "key").iterator()
            moved |= {pk for pk, key in own if last.get(key, 0) > portion[pk]}
        yield from Change.objects.filter(pk__in=moved).order_by("pk")


def last_touched(revision: int) -> dict[str, int]:
    """The last revision after this one that wrote each key."""
    later = Revision.objects.filter(number__gt=revision).order_by("number").values_list("number", "touched")
    return {key: number for number, keys in later.iterator() for key in keys}


def preview_of(change: Change, viewer: User | None = None) -> dict[str, Any]:
    """The preview as the API shows it. For a viewer, changes they may not see are not named."""
    preview, state = stored(change), state_of(change)
    at = running(change, preview) if state in {"running", "stale"} else None
    told = {"state": "running", "progress": at.share, "phase": at.phase} if at else {"state": state}
    if preview is None or preview.computed_at is None:
        nothing = {"added": 0, "changed": 0, "removed": 0, "affected": 0}
        told |= {"error": preview.error} if preview else {}
        return {**told, "revision": None, "base_revision": base_revision(change), "summary": nothing, "checks": [], "drift": []}
    return {
        **told,
        "error": preview.error,
        "revision": preview.revision,
        "base_revision": base_revision(change),
        "version": preview.version,
        "computed_at": preview.computed_at,
        "summary": preview.summary,
        "checks": preview.checks,
        "drift": masked(preview.drift, viewer),
    }


def computation_of(number: str) -> str:
    """The name under which the preview of a change is computed."""
    return f"preview:{number}"


def running(change: Change, preview: Preview | None) -> Progress | None:
    """How far its computation is, also one that waits to be begun (0); None where it is neither asked for nor computed."""
    asked = preview is not None and preview.state == Preview.State.RUNNING
    return progress_of(computation_of(change.number)) or (Progress() if asked else None)


def base_revision(change: Change) -> int | None:
    """The oldest revision its items were written against."""
    return min((item.base_revision for item in change.items.all()), default=None)


def masked(drift: list[dict[str, Any]], viewer: User | None) -> list[dict[str, Any]]:
    """Drift rows without the numbers of changes the viewer may not see."""
    numbers = {row["moved_by"] for row in drift if row["moved_by"]}
    if viewer is None or not numbers:
        return drift
    known = set(Change.objects.filter(number__in=numbers).values_list("number", flat=True))
    seen = set(visible_to(viewer).filter(number__in=known).values_list("number", flat=True))
    return [row | {"moved_by": HIDDEN} if row["moved_by"] in known - seen else row for row in drift]


def rebase_of(change: Change, viewer: User | None = None) -> dict[str, Any]:
    """What a re-base has to decide at this very moment: the conflicts with their choices, the digest of them, and how much moves without one."""
    base = base_of(change)
    found = conflicts_of(base.moved, base.live)
    return {
        "revision": current_revision(),
        "digest": digest_of(found) if found else "",
        "conflicts": masked([conflict.as_dict() for conflict in found], viewer),
        "clean": sum(not row.conflict for row in base.drift) + moved_elsewhere(base),
    }


def moved_elsewhere(base: Base) -> int:
    """How many items' live things moved where the item says nothing."""
    spoken_of = {item.item_id for item, _ in base.moved}
    return sum(
        item.item_id not in spoken_of and item.operation != CREATE and not same(item.before, base.live[item.object].get(item.key))
        for item in base.proposals
    )


def public_name(by: str, change: Change) -> str:
    """Who moved something, in words that stay on the record for everybody: a confidential change other than this one is not named."""
    return HIDDEN if by != change.number and Change.objects.filter(number=by, confidential=True).exists() else by


def impact_of(change: Change, viewer: User | None = None) -> dict[str, Any]:
    """The stored impact with the collisions of this moment, as the API shows it."""
    preview = stored(change)
    empty: dict[str, Any] = {"revision": None, "version": change.version, "direct": [], "affected": [], "by_layer": {}, "users": 0, "services": []}
    empty |= {"by_owner": {}, "by_criticality": {}}
    empty["untrusted"] = 0
    kept = preview.impact if preview else empty
    return {**empty, **kept, "state": state_of(change), "collisions": collisions_of(change, viewer)}


def layout_of(change: Change) -> dict[str, Any]:
    """The positions of the picture; empty where nothing was computed."""
    preview = stored(change)
    return (preview.layout if preview else None) or {}


def diff_of(change: Change) -> dict[str, Any]:
    """The difference, field by field, as the API shows it."""
    preview = stored(change)
    return (preview.diff if preview else None) or {"components": [], "relations": []}


def known_of(diff: dict[str, Any], change: Change | None = None) -> dict[str, Known]:
    """What ranks and names the components of a difference and the ends of its relations: read live, and from the reach of the change."""
    keys = {entry["key"] for entry in diff["components"]} | {entry.get(end) or "" for entry in diff["relations"] for end in ("source", "target")}
    scores = dict(change.reach.values_list("key", "score")) if change else {}
    found = {}
    for portion in portions(sorted(keys)):
        for key, name, owner, criticality, layer in Component.objects.filter(key__in=portion).values_list(*KNOWN):
            found[key] = Known(name or key, owner, criticality, scores.get(key, 0.0), layer)
    return found


def told_of(change: Change, title: str = "") -> Told:
    """The difference of a change as its files tell it, with what it reaches."""
    diff, preview = diff_of(change), stored(change)
    reached = trusted(preview.impact.get("affected", [])) if preview else []
    return told(title or str(change), diff, known_of(diff, change), [row["key"] for row in reached])


def drift_of(change: Change) -> list[dict[str, Any]]:
    """The drift of this very moment, computed fresh: what the guard of `start` asks."""
    return [row.as_dict() for row in base_of(change).drift]


# Collisions: open changes whose items or reach meet this one.


def collisions_of(change: Change, viewer: User | None) -> list[dict[str, Any]]:
    """Other open changes that write the same fields (`field`) or things (`component`), or reach the same components (`reach`).

    Of those the viewer may not see it says that there are some, once for each kind, and not what they touch.
    """
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    secret = set()
    for other, confidential, kind, key in (*_same_things(change), *_same_reach(change)):
        found[other, kind].add(key)
        secret |= {other} if confidential else set()
    seen = {other for other, _ in found}
    if viewer is not None and secret:
        seen -= secret - set(visible_to(viewer).filter(number__in=secret).values_list("number", flat=True))
    rows = [{"number": other, "kind": kind, "keys": sorted(keys)[:100], "count": len(keys)} for (other, kind), keys in found.items() if other in seen]
    hidden = {kind for other, kind in found if other not in seen}
    rows += [{"number": HIDDEN, "kind": kind, "keys": [], "count": 0} for kind in hidden]
    return sorted(rows, key=lambda row: (("field", "component", "reach").index(row["kind"]), row["number"], row["keys"]))


def _same_things(change: Change) -> Iterable[tuple[str, bool, str, str]]:
    own = {(item.object, item.key): item for item in change.items.all()}
    if not own:
        return
    keys = change.items.values("key")
    others = Item.objects.filter(key__in=keys, change__state__in=OPEN, change__imported=False).exclude(change=change)
    others = others.annotate(number=F("change__number"), secret=F("change__confidential"))
    for other in others.order_by("pk")[:MOST_MEETINGS]:
        mine = own.get((other.object, other.key))
        if mine is not None:
            fields = [written_fields(item.operation, item.object, item.data) for item in (mine, other)]
            yield other.number, other.secret, "field" if overlap(*fields) else "component", other.key


def _same_reach(change: Change) -> Iterable[tuple[str, bool, str, str]]:
    if active() and (preview := stored(change)) is not None and not (preview.impact.get("affected") or preview.impact.get("direct")):
        return
    mine = change.reach.filter(key=OuterRef("key")).values("direct")[:1]
    meetings = Reach.objects.filter(key__in=change.reach.values("key"), change__state__in=OPEN).exclude(change=change).annotate(mine=Subquery(mine))
    rows = meetings.order_by("change", "key").values_list("change__number", "change__confidential", "key", "direct", "mine")
    for other, secret, key, direct, own in rows[:MOST_MEETINGS]:
        if not (direct and own):
            yield other, secret, "reach", key


# Revisions.


def revisions_shown(found: list[Revision], viewer: User) -> list[dict[str, Any]]:
    """Revisions without the numbers of changes the viewer may not see."""
    numbers = {row.change for row in found if row.change}
    seen = set(visible_to(viewer).filter(number__in=numbers).values_list("number", flat=True))
    return [
        {
            "number": row.number,
            "at": row.at,
            "actor": row.actor,
            "change": row.change if row.change in seen else None,
            "reason": row.reason,
            "touched": row.touched[:1000],
        }
        for row in found
    ]


# Reverts.


def not_as_written(written: Iterable[Image]) -> list[str]:
    """Keys of the things that are not, live, what a write made of them."""
    wanted = {(image.object, image.key): image.after for image in written}
    live = {(object, key): thing for object in OBJECTS for key, thing in images(object, [key for kind, key in wanted if kind == object]).items()}
    return sorted(key for (object, key), after in wanted.items() if not same(as_stored(live.get((object, key))), as_stored(after)))


def as_stored(value: Any) -> Any:
    """A value with very large floats as whole numbers: PostgreSQL gives 1e20 back as 100000000000000000000, SQLite as it was written."""
    match value:
        case dict():
            return {name: as_stored(part) for name, part in value.items()}
        case list():
            return [as_stored(part) for part in value]
        case float() if abs(value) >= 1e16:
            return int(Decimal(repr(value)))
    return value


def later_changes(change: Change, viewer: User | None = None) -> list[str]:
    """What stands in the way of reverting, one sentence each; changes the viewer may not see are not named."""
    problems = undoing(change).problems
    movers = {by for _, _, by in problems if by}
    hidden = set()
    if viewer is not None and movers:
        known = set(Change.objects.filter(number__in=movers).values_list("number", flat=True))
        hidden = known - set(visible_to(viewer).filter(number__in=known).values_list("number", flat=True))
    return [f"{sentence} ({HIDDEN if by in hidden else by})." if by else f"{sentence}." for _, sentence, by in problems]
