"""Reads of drift cases: what they show, what of it is requested already, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from changemgmt.accounts.models import Team, User
from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.models import Component
from changemgmt.architecture.queries import portions
from changemgmt.architecture.rules import COMPONENT, Image
from changemgmt.architecture.rules import ends as ends_of
from changemgmt.changes.models import APPROVED, BEFORE_IMPLEMENTING, Change, Item, State
from changemgmt.changes.queries import visible_to

from .drift import proposal_of
from .models import DriftCase, DriftRow
from .queries import HIDDEN
from .rules import overlaid
from .sources import Key, explains, key_of

IN_HAND = (*APPROVED, State.SCHEDULED, State.IMPLEMENTING)
"""The states of a change that is approved and not done yet."""
UNDER_WAY = (*BEFORE_IMPLEMENTING, State.IMPLEMENTING)
"""The states of a change that may still be done."""


def cases() -> QuerySet[DriftCase]:
    """Every case with how many things it shows as added, changed and removed; everybody who sees the architecture sees them."""
    shown = Q(rows__gone_at=None) | ~Q(state__in=DriftCase.ACTIVE)
    counted = {name: Count("rows", filter=shown & Q(rows__operation=operation)) for name, operation in COUNTED.items()}
    return DriftCase.objects.select_related("change", "assignee").annotate(**counted)


COUNTED = {"added": "create", "changed": "update", "removed": "delete"}


def rows_of(case: DriftCase) -> QuerySet[DriftRow]:
    """What the case shows: what still differs, and of a settled one everything it ever was about."""
    return case.rows.filter(gone_at=None) if case.is_active else case.rows.all()


def requested(rows: Iterable[Image], viewer: User | None = None) -> dict[Key, Change]:
    """Those of the rows which an approved change that is not done yet is about to bring about, with the change.

    For a viewer only changes they may see: that a row is requested would tell what another is about to do.
    """
    wanted = {key_of(row): row for row in rows}
    catalogue = Catalogue.load() if wanted else None
    found: dict[Key, Change] = {}
    for portion in portions(sorted({key for _, key in wanted})):
        items = (
            Item.objects.filter(key__in=portion, change__state__in=IN_HAND, change__imported=False).select_related("change").order_by("change", "pk")
        )
        for item in items if viewer is None else items.filter(change__in=visible_to(viewer)):
            row = wanted.get((item.object, item.key))
            if row is not None and catalogue is not None and explains(written(item, row, catalogue), row):
                found.setdefault(key_of(row), item.change)
    return found


def requested_of(case: DriftCase, viewer: User) -> dict[Key, Change]:
    """The same of a case that is not settled, without reading the rows that no such change is about."""
    if not case.is_active:
        return {}
    items = Item.objects.filter(change__state__in=IN_HAND, change__imported=False)
    return requested((row.image for row in rows_of(case).filter(key__in=items.values("key"))), viewer)


def written(item: Item, row: Image, catalogue: Catalogue) -> Image:
    """What the item would make of the thing as it is live."""
    image = overlaid(proposal_of(item), row.before)
    if image.after is None or image.object != COMPONENT:
        return image
    return Image(image.object, image.key, image.before, catalogue.completed(image.after))


def names_for(changes: Iterable[Change | None], viewer: User) -> dict[int, str]:
    """By primary key, the numbers of the changes, and other words for those the viewer may not see."""
    wanted = {change.pk: change.number for change in changes if change is not None}
    seen = set(visible_to(viewer).filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
    return {key: number if key in seen else HIDDEN for key, number in wanted.items()}


# Whom it concerns.


def owners_of(rows: Iterable[Image]) -> dict[Key, set[str]]:
    """The owners (users and teams) of each thing as it is live: of a component, and of the components at the ends of a relation."""
    touched = {key_of(row): components_of(row) for row in rows}
    owners: dict[str, str] = {}
    for portion in portions(sorted({key for keys in touched.values() for key in keys})):
        owners |= dict(Component.objects.filter(key__in=portion).exclude(owner="").values_list("key", "owner"))
    return {key: {owners[name] for name in names if name in owners} for key, names in touched.items()}


def components_of(row: Image) -> set[str]:
    """The keys of the components a row is about."""
    if row.object == COMPONENT:
        return {row.key}
    return {key for side in (row.before, row.after) if side for object, key in ends_of(side) if object == COMPONENT}


def names_of_owner(user: User) -> set[str]:
    """By what names a component is this person's: their own, and those of their teams."""
    return {user.username, *Team.objects.filter(members=user).values_list("slug", flat=True)}


def people_behind(owners: Iterable[str]) -> QuerySet[User]:
    """The people who are meant by names of owners: users, and the members of teams."""
    names = set(owners)
    return User.objects.filter(Q(username__in=names) | Q(teams__slug__in=names)).distinct().order_by("username")


def unadopted(rows: QuerySet[DriftCase]) -> QuerySet[DriftCase]:
    """Those of the cases about which nobody decided, or whose adoption came to nothing."""
    given_up = Q(state=DriftCase.State.ADOPTING) & ~Q(change__state__in=[*UNDER_WAY, State.IMPLEMENTED, State.CLOSED])
    return rows.filter(Q(state=DriftCase.State.OPEN) | given_up)


def concerning(user: User, *, everything: bool) -> QuerySet[DriftCase]:
    """What this person has to see to: cases they are to revert, and undecided ones: all of them, or those that touch what they own."""
    theirs = DriftCase.objects.filter(state=DriftCase.State.REVERTING, assignee=user)
    waiting = unadopted(DriftCase.objects.all())
    if not everything:
        own = Q(owner=user.username) | Q(owner__in=Team.objects.filter(members=user).values("slug"))
        owned = Component.objects.filter(own, key=OuterRef("key"))
        waiting = waiting.filter(Exists(DriftRow.objects.filter(Exists(owned), case=OuterRef("pk"), object=COMPONENT, gone_at=None)))
    return cases().filter(Q(pk__in=theirs.values("pk")) | Q(pk__in=waiting.values("pk")))


def images_of(rows: Iterable[DriftRow]) -> list[Image]:
    return [row.image for row in rows]
