"""Folders and views of an ArchiMate model, written from who is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .archimate_words import NOT_IN_XML
from .places import FOLDER, REFERENCES, VIEW, Place, are_places
from .rules import COMPONENT, RELATION, end_of

if TYPE_CHECKING:
    from .archimate_export import Identifiers
    from .exports import _Xml

Thing = tuple[str, str]
# Nodes stand in rows, as nobody kept where they stood.
PER_ROW, WIDTH, HEIGHT, GAP = 6, 120, 55, 40


class Arranged:
    """Who is in which folder and view. `told`: things whose references these say whole; those of the others have to be said elsewhere."""

    def __init__(self, components: Sequence[Mapping[str, Any]], relations: Sequence[Mapping[str, Any]], identifiers: Identifiers) -> None:
        self.identifiers = identifiers
        self.ends = {image["key"]: (end_of(image["source"]), end_of(image["target"])) for image in relations}
        things: dict[Thing, Any] = {(COMPONENT, image["key"]): image[REFERENCES] for image in components}
        things |= {(RELATION, image["key"]): image["attributes"].get(REFERENCES, []) for image in relations}
        # No places at all is what a component has by default; of a relation it is an attribute like others.
        placed = {thing: places for thing, places in things.items() if are_places(places) and (places or thing[0] == COMPONENT)}
        self.views = self._named_views(placed)
        self.folders: dict[Thing, list[tuple[str, ...]]] = {}
        self.shown: dict[str, dict[Thing, None]] = {identifier: {} for identifier in self.views}
        for thing, places in placed.items():
            self._place(thing, places)
        for drawn in self.shown.values():
            self._drop_unconnected(drawn)
        self.told = {thing for thing, places in placed.items() if all(self._says(thing, place) for place in places)}

    def _named_views(self, placed: Mapping[Thing, Sequence[Place]]) -> dict[str, str]:
        """Views by identifier, with their names: those whose identifier can stand in the file and means one name."""
        names: dict[str, set[str]] = {}
        for place in (place for places in placed.values() for place in places if place["kind"] == VIEW):
            names.setdefault(place["id"], set()).add(place["name"])
        return {
            identifier: next(iter(found))
            for identifier, found in sorted(names.items())
            if len(found) == 1 and self.identifiers.free(identifier) and not NOT_IN_XML.search(next(iter(found)))
        }

    def _place(self, thing: Thing, places: Sequence[Place]) -> None:
        for place in places:
            if place["kind"] == FOLDER and not any(NOT_IN_XML.search(name) for name in place["path"]):
                self.folders.setdefault(thing, []).append(tuple(place["path"]))
            elif place["kind"] == VIEW and place["id"] in self.shown:
                self.shown[place["id"]][thing] = None

    def _drop_unconnected(self, drawn: dict[Thing, None]) -> None:
        """A relation is drawn between its ends: where one of these is not in the view, neither is it."""
        lost: list[Thing] | None = None
        while lost is None or lost:
            lost = [thing for thing in drawn if thing[0] == RELATION and not all(end in drawn for end in self.ends[thing[1]])]
            for thing in lost:
                del drawn[thing]

    def _says(self, thing: Thing, place: Place) -> bool:
        if place["kind"] == FOLDER:
            return tuple(place["path"]) in self.folders.get(thing, ())
        return thing in self.shown.get(place["id"], ())

    def write_folders(self, xml: _Xml) -> None:
        """Folders by name, in each the folders within it before what lies in it."""
        inside: dict[tuple[str, ...], list[str]] = {}
        for thing, paths in self.folders.items():
            for path in paths:
                inside.setdefault(path, []).append(self.identifiers.of[thing])
        if not inside:
            return
        paths = sorted({path[:length] for path in inside for length in range(1, len(path) + 1)})
        xml.open("organizations")
        self._folders(xml, paths, inside)
        xml.close("organizations")

    def _folders(self, xml: _Xml, paths: Sequence[tuple[str, ...]], inside: Mapping[tuple[str, ...], Sequence[str]]) -> None:
        """Sorted paths have each folder before what is in it: what is not in the last one closes it."""
        open_ones: list[tuple[str, ...]] = []
        for path in [*paths, ()]:
            while open_ones and path[: len(open_ones[-1])] != open_ones[-1]:
                for identifier in inside.get(open_ones.pop(), ()):
                    xml.leaf("item", identifierRef=identifier)
                xml.close("item")
            if path:
                xml.open("item")
                xml.leaf("label", path[-1])
                open_ones.append(path)

    def write_views(self, xml: _Xml) -> None:
        """Every view that still shows something."""
        if not any(self.shown.values()):
            return
        xml.open("views")
        xml.open("diagrams")
        number = 0
        for identifier, drawn in self.shown.items():
            if drawn:
                xml.open("view", identifier=identifier, xsi__type="Diagram")
                xml.leaf("name", self.views[identifier])
                self._draw(xml, drawn, number)
                xml.close("view")
                number += len(drawn)
        xml.close("diagrams")
        xml.close("views")

    def _draw(self, xml: _Xml, drawn: Mapping[Thing, None], number: int) -> None:
        """Nodes first, then the connections between them. `number`: how many were drawn in the views before."""
        names = {thing: f"{'node' if thing[0] == COMPONENT else 'connection'}-{number + place}" for place, thing in enumerate(drawn, 1)}
        for place, thing in enumerate(thing for thing in drawn if thing[0] == COMPONENT):
            row, column = divmod(place, PER_ROW)
            where = {"x": GAP + column * (WIDTH + GAP), "y": GAP + row * (HEIGHT + GAP), "w": WIDTH, "h": HEIGHT}
            said = {name: str(value) for name, value in where.items()}
            xml.leaf("node", identifier=names[thing], elementRef=self.identifiers.of[thing], xsi__type="Element", **said)
        for thing in (thing for thing in drawn if thing[0] == RELATION):
            source, target = (names[end] for end in self.ends[thing[1]])
            told = self.identifiers.of[thing]
            xml.leaf("connection", identifier=names[thing], relationshipRef=told, xsi__type="Relationship", source=source, target=target)
