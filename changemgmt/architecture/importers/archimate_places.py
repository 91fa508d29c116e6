"""Who is kept in which folder and shown in which view of an ArchiMate model, in both its forms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from changemgmt.architecture.places import Place, in_folder, in_view

from .xml import Element, Path

ITEM, SHOWN = ("organizations", "item"), ("views", "diagrams", "view")
DIAGRAMS = ("ArchimateDiagramModel", "SketchModel", "CanvasModel", "DiagramModel")
# Attributes of what is drawn in a view that name what it stands for: of the exchange format, of Archi, and of old versions of it.
STANDS_FOR = ("elementRef", "relationshipRef", "archimateElement", "archimateRelationship", "relationship")


class Places:
    """The places of every identifier, while a file is read. `said`: the file speaks of folders or views at all."""

    def __init__(self) -> None:
        self.found: dict[str, list[Place]] = defaultdict(list)
        self.said = False
        self.folders: list[str] = []

    def open_folder(self, depth: int, name: str) -> None:
        """Archi: a folder begins, so many elements deep. The model is the first."""
        self.folders[depth - 2 :] = [name]
        self.said = True

    def wanted(self, path: Path) -> bool:
        """Whether an element of the exchange form speaks of places."""
        return path[1:] in (ITEM, SHOWN)

    def take(self, element: Element, *, archi: bool) -> bool:
        """Note what an element says of places. Whether it is no more than that: a folder or a view."""
        if element.name == "view" or (archi and element.attributes.get("xsi:type", "").rpartition(":")[2] in DIAGRAMS):
            self._view(element)
            return True
        if element.name == "item":
            self._item(element, ())
            return True
        if archi and (folder := self.folders[: element.depth - 2]):
            self.found[element.attributes.get("id", "")].append(in_folder(folder))
        return False

    def _item(self, item: Element, folder: Sequence[str]) -> None:
        """An item of the exchange form is a folder, or what lies in one."""
        self.said = True
        if identifier := item.attributes.get("identifierRef"):
            if folder:
                self.found[identifier].append(in_folder(folder))
            return
        label = item.child("label")
        for inner in item.children_named("item"):
            self._item(inner, [*folder, label.text] if label else folder)

    def _view(self, view: Element) -> None:
        self.said = True
        name = view.child("name")
        shown = in_view(view.attributes.get("identifier") or view.attributes.get("id", ""), name.text if name else view.attributes.get("name", ""))
        for part in view.inside():
            for attribute in STANDS_FOR:
                if identifier := part.attributes.get(attribute):
                    self.found[identifier].append(shown)
