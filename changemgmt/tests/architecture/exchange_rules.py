"""The rules of the exchange format's schema, checked on a file without any of our code."""

import re
import xml.etree.ElementTree as ElementTree

SPACE = "{http://www.opengroup.org/xsd/archimate/3.0/}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NCNAME = re.compile(r"[A-Za-z_][\w.\-]*")
LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")

# The standard's element types by layer, and its relationships.
ELEMENT_NAMES = """
BusinessActor BusinessRole BusinessCollaboration BusinessInterface BusinessProcess BusinessFunction BusinessInteraction BusinessEvent
BusinessService BusinessObject Contract Representation Product ApplicationComponent ApplicationCollaboration ApplicationInterface
ApplicationFunction ApplicationInteraction ApplicationProcess ApplicationEvent ApplicationService DataObject Node Device SystemSoftware
TechnologyCollaboration TechnologyInterface Path CommunicationNetwork TechnologyFunction TechnologyProcess TechnologyInteraction
TechnologyEvent TechnologyService Artifact Equipment Facility DistributionNetwork Material Stakeholder Driver Assessment Goal Outcome
Principle Requirement Constraint Meaning Value Resource Capability ValueStream CourseOfAction WorkPackage Deliverable ImplementationEvent
Plateau Gap Grouping Location AndJunction OrJunction
"""
ELEMENT_TYPES = ELEMENT_NAMES.split()
RELATION_TYPES = [
    "Composition",
    "Aggregation",
    "Assignment",
    "Realization",
    "Serving",
    "Access",
    "Influence",
    "Triggering",
    "Flow",
    "Specialization",
    "Association",
]

CHILDREN = {
    "model": ["name", "documentation", "properties", "metadata", "elements", "relationships", "organizations", "propertyDefinitions", "views"],
    "element": ["name", "documentation", "properties"],
    "relationship": ["name", "documentation", "properties"],
    "elements": ["element"],
    "relationships": ["relationship"],
    "organizations": ["item"],
    "propertyDefinitions": ["propertyDefinition"],
    "propertyDefinition": ["name"],
    "properties": ["property"],
    "property": ["value"],
    "views": ["diagrams"],
    "diagrams": ["view"],
    "view": ["name", "node", "connection"],
    "item": ["label", "item"],
    "name": [],
    "documentation": [],
    "value": [],
    "label": [],
    "node": [],
    "connection": [],
}
NEEDED = {
    "model": {"identifier"},
    "element": {"identifier", XSI},
    "relationship": {"identifier", XSI, "source", "target"},
    "propertyDefinition": {"identifier", "type"},
    "property": {"propertyDefinitionRef"},
    "view": {"identifier", XSI},
    "node": {"identifier", XSI, "elementRef", "x", "y", "w", "h"},
    "connection": {"identifier", XSI, "relationshipRef", "source", "target"},
}
MAY = {
    "relationship": {"accessType", "modifier", "isDirected"},
    "item": {"identifierRef"},
    "model": {"{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"},
    **{tag: {LANG} for tag in ("name", "documentation", "value", "label")},
}
ONLY = {
    "accessType": ("Access", {"Access", "Read", "Write", "ReadWrite"}),
    "modifier": ("Influence", None),
    "isDirected": ("Association", {"true", "false"}),
}


def check_exchange(text):
    """Raise AssertionError where the file breaks a rule of the schema; answers its root."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SPACE}model"
    _structure(root, "model")
    found = [one.get("identifier") for one in root.iter() if one.get("identifier") is not None]
    assert all(NCNAME.fullmatch(one) for one in found), "an identifier is no NCName"
    assert len(found) == len(set(found)), "an identifier stands twice"
    _references(root)
    return root


def _structure(node, tag):
    order = CHILDREN[tag]
    inside = [child.tag.removeprefix(SPACE) for child in node]
    assert set(inside) <= set(order), (tag, inside)
    assert [order.index(one) for one in inside] == sorted(order.index(one) for one in inside), f"the parts of {tag} are out of order"
    assert inside or order == [] or tag in ("element", "relationship", "item"), f"{tag} is empty"
    assert NEEDED.get(tag, set()) <= set(node.attrib) <= NEEDED.get(tag, set()) | MAY.get(tag, set()), (tag, node.attrib)
    if LANG in node.attrib:
        assert LANGUAGE.fullmatch(node.get(LANG))
    if tag in ("model", "element", "view", "propertyDefinition"):
        assert "name" in inside
    if tag == "item":
        assert ("identifierRef" in node.attrib) != ("label" in inside), "an item is a folder or a reference"
    for child in node:
        _structure(child, child.tag.removeprefix(SPACE))


def _ids(root, tag):
    return {one.get("identifier") for one in root.iter(f"{SPACE}{tag}")}


def _references(root):
    elements, relations = _ids(root, "element"), _ids(root, "relationship")
    for one in root.iter(f"{SPACE}element"):
        assert one.get(XSI) in ELEMENT_TYPES, one.get(XSI)
    for one in root.iter(f"{SPACE}relationship"):
        assert one.get(XSI) in RELATION_TYPES, one.get(XSI)
        assert {one.get("source"), one.get("target")} <= elements | relations
        for name, (kind, values) in ONLY.items():
            if name in one.attrib:
                assert one.get(XSI) == kind and (values is None or one.get(name) in values)
    defined = _ids(root, "propertyDefinition")
    assert {one.get("propertyDefinitionRef") for one in root.iter(f"{SPACE}property")} == defined
    assert {one.get("type") for one in root.iter(f"{SPACE}propertyDefinition")} <= {"string", "boolean", "currency", "date", "time", "number"}
    assert {one.get("identifierRef") for one in root.iter(f"{SPACE}item")} <= {None} | elements | relations | _ids(root, "view")
    for view in root.iter(f"{SPACE}view"):
        assert view.get(XSI) == "Diagram"
        drawn = _ids(view, "node") | _ids(view, "connection")
        assert all(one.get("elementRef") in elements and one.get(XSI) == "Element" for one in view.iter(f"{SPACE}node"))
        for one in view.iter(f"{SPACE}connection"):
            assert one.get("relationshipRef") in relations and one.get(XSI) == "Relationship"
            assert {one.get("source"), one.get("target")} <= drawn
