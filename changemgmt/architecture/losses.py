"""What a form of export leaves out of what is there: counted, field by field, with the reason. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .archimate_words import NOT_IN_XML
from .rules import COMPONENT, RELATION

Image = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loss:
    """A field that a form can't carry, of those things for which `lost` says so."""

    object: str
    field: str
    why: str
    lost: Callable[[Image], bool]


def _always(image: Image) -> bool:
    return True


def _has(field: str) -> Callable[[Image], bool]:
    return lambda image: bool(image.get(field))


def _is_not_for_xml(field: str) -> Callable[[Image], bool]:
    return lambda image: bool(NOT_IN_XML.search(_written(image[field])))


def _written(value: Any) -> str:
    """A value as it would be written: JSON escapes control characters by itself, tags stand as they are."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ";".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


UNREADABLE = "XML can't hold some of its characters."
# Of those nobody confirmed, too: they come back confirmed.
NOBODY = "Who reads the file in confirms its relations there."
TRUST = (
    Loss(RELATION, "source_system", "It becomes the source the file is read in as.", _always),
    Loss(RELATION, "confirmed_at", NOBODY, _always),
    Loss(RELATION, "refuted_at", NOBODY, _has("refuted_at")),
    Loss(RELATION, "refuted_reason", NOBODY, _has("refuted_reason")),
)
DRAWN = (
    *(Loss(COMPONENT, field, UNREADABLE, _is_not_for_xml(field)) for field in ("key", "name", "owner", "environment", "tags", "attributes")),
    *(Loss(RELATION, field, UNREADABLE, _is_not_for_xml(field)) for field in ("key", "type", "attributes")),
)
LOSSES: Mapping[str, tuple[Loss, ...]] = {"json": (), "csv": TRUST, "archimate": TRUST, "graphml": DRAWN}


def left_out(form: str, components: Iterable[Image], relations: Iterable[Image]) -> list[dict[str, Any]]:
    """What `form` leaves out of these: object, field, why, and of how many things. Empty: it carries all of them."""
    counts: dict[Loss, int] = dict.fromkeys(LOSSES[form], 0)
    for object, images in ((COMPONENT, components), (RELATION, relations)):
        asked = [loss for loss in counts if loss.object == object]
        for image in images if asked else ():
            for loss in asked:
                counts[loss] += loss.lost(image)
    return [{"object": loss.object, "field": loss.field, "things": count, "why": loss.why} for loss, count in counts.items() if count]


def in_words(losses: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same, a line each."""
    return [f"{loss['field']} of {loss['things']} {loss['object']}{'s' * (loss['things'] != 1)}: {loss['why']}" for loss in losses]
