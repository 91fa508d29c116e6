"""Reading XML as a stream of elements, with the line of each; no document type, no entity, nothing fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from changemgmt.core.errors import Invalid

from .records import File

DEEPEST = 200
PIECE = 1 << 16
# Bounds of what one file may cost: its elements, the characters in those that are held, and bytes of a single tag or comment.
MOST_ELEMENTS = 1_500_000
MOST_TEXT = 128 * 1024 * 1024
LONGEST_TOKEN = 4 * 1024 * 1024


@dataclass(slots=True)
class Element:
    """An element that was read whole: its local name, attributes (see `attributes_of`), text, and what is inside it.

    `depth` says how many elements it lies in, itself included.
    """

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    depth: int = 0
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        return next((child for child in self.children if child.name == name), None)

    def children_named(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def inside(self) -> Iterator[Element]:
        """Everything below it, in the order of the file."""
        for child in self.children:
            yield child
            yield from child.inside()


def local(name: str) -> str:
    return name.rpartition(":")[2]


def attributes_of(attrs: Any) -> dict[str, str]:
    """Attributes by local name; the type by XML Schema (`xsi:type`) is `xsi:type`, whatever its prefix."""
    return {"xsi:type" if ":" in key and local(key) == "type" else local(key): value for key, value in attrs.items() if not key.startswith("xmlns")}


Path = tuple[str, ...]


class _Handler(ContentHandler):
    """Hands over each element below a container (`wanted(path)` says which), and forgets it."""

    def __init__(self, wanted: Callable[[Path], bool], take: Callable[[Element], None], container: Callable[[Path, dict[str, str]], None]) -> None:
        super().__init__()
        self._locator: Any = None
        self.wanted, self.take, self.container = wanted, take, container
        self.path: list[str] = []
        self.open: list[Element] = []
        self.texts: list[list[str]] = []
        self.kept = self.length = self.events = 0

    def startElement(self, name: str, attrs: Any) -> None:
        self.events += 1
        name, values = local(name), attributes_of(attrs)
        self.path.append(name)
        if len(self.path) > DEEPEST:
            raise SAXParseException(f"nested more than {DEEPEST} deep", None, self._locator)
        path = () if self.open else tuple(self.path)
        self._weigh(1, 0)
        if path and (len(path) == 1 or not self.wanted(path)):
            self.container(path, values)
        else:
            self._weigh(0, sum(map(len, values.values())))
            element = Element(name, values, self._locator.getLineNumber() or 0, depth=len(self.path))
            if self.open:
                self.open[-1].children.append(element)
            self.open.append(element)
            self.texts.append([])

    def characters(self, content: str) -> None:
        self.events += 1
        if self.open:
            self._weigh(0, len(content))
            self.texts[-1].append(content)

    def _weigh(self, elements: int, characters: int) -> None:
        self.kept += elements
        self.length += characters
        if self.kept > MOST_ELEMENTS or self.length > MOST_TEXT:
            raise SAXParseException(f"more than {MOST_ELEMENTS:,} elements, or {MOST_TEXT // 1024**2} MB of text", None, self._locator)

    def endElement(self, name: str) -> None:
        self.events += 1
        self.path.pop()
        if self.open:
            done = self.open.pop()
            done.text = "".join(self.texts.pop())
            if not self.open:
                self.take(done)


def read_elements(
    file: File, wanted: Callable[[Path], bool], take: Callable[[Element], None], container: Callable[[Path, dict[str, str]], None]
) -> None:
    """Call `take` with every element whose path is `wanted`, and `container` with the path and attributes of each around these, the root first.

    Raises Invalid with line and column where the file is no XML.
    """
    parser = DefusedExpatParser(forbid_dtd=True, forbid_entities=True, forbid_external=True)
    handler = _Handler(wanted, take, container)
    handler.setDocumentLocator(parser)
    parser.setContentHandler(handler)
    try:
        parser.feed(b"")
        with file.open() as stream:
            events, silent = 0, 0
            while piece := stream.read(PIECE):
                parser.feed(piece)
                silent = silent + len(piece) if handler.events == events else 0
                events = handler.events
                if silent > LONGEST_TOKEN:
                    raise SAXException(f"a tag or comment of more than {LONGEST_TOKEN // 1024**2} MB")
        parser.close()
    except SAXParseException as error:
        place = f"line {error.getLineNumber()}, column {(error.getColumnNumber() or 0) + 1}"
        raise Invalid.field("file", f"{file.name} is not well-formed XML: {error.getMessage()} ({place}).") from None
    except DefusedXmlException:
        raise Invalid.field("file", f"{file.name} declares a document type or entities, which are refused (line {parser.getLineNumber()}).") from None
    except (SAXException, ValueError, LookupError) as error:
        raise Invalid.field("file", f"{file.name} can't be read as XML: {error} (line {parser.getLineNumber()}).") from None
