"""Where a modelling tool keeps a thing: its folder, and the views that show it, as references. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FOLDER, VIEW = "folder", "view"
# A component has a field for references; a relation keeps them among its attributes.
REFERENCES = "external_references"
Place = dict[str, Any]


def in_folder(path: Sequence[str]) -> Place:
    """The reference to a folder, by the names of it and those around it, the outermost first."""
    return {"kind": FOLDER, "path": list(path)}


def in_view(identifier: str, name: str) -> Place:
    """The reference to a view."""
    return {"kind": VIEW, "id": identifier, "name": name}


def is_place(reference: Any) -> bool:
    """Whether a reference is one of these two, and nothing more."""
    match reference:
        case {"kind": "folder", "path": [str(), *rest]} if len(reference) == 2:
            return all(isinstance(name, str) for name in rest)
        case {"kind": "view", "id": str(), "name": str()}:
            return len(reference) == 3
    return False


def in_order(places: Iterable[Place]) -> list[Place]:
    """Each place once: folders by their path, then views by name."""
    found = {_rank(place): place for place in places}
    return [found[rank] for rank in sorted(found)]


def _rank(place: Place) -> tuple[bool, tuple[str, ...]]:
    return (False, tuple(place["path"])) if place["kind"] == FOLDER else (True, (place["name"], place["id"]))


def are_places(references: Any) -> bool:
    """Whether these are places alone, in their order."""
    return isinstance(references, list) and all(map(is_place, references)) and references == in_order(references)


def replaced(references: Sequence[Any], places: Sequence[Place]) -> list[Any]:
    """References with these places instead of the former ones; others, such as links, stay in front."""
    others = [one for one in references if not (isinstance(one, Mapping) and one.get("kind") in (FOLDER, VIEW))]
    return [*others, *places]
