"""Out and in again: into the same installation it changes nothing, into an empty one it brings everything but what is listed."""

import io
import json
import xml.etree.ElementTree as ElementTree
from functools import partial

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.actions import write
from changemgmt.architecture.archimate_words import ELEMENTS, JUNCTION, RELATIONS
from changemgmt.architecture.exports import EXPORTS, LIVE, component_images, relation_images
from changemgmt.architecture.importers.files import of_zip, unpacked
from changemgmt.architecture.importers.records import Options
from changemgmt.architecture.imports import apply_plan, plan_import, read_records
from changemgmt.architecture.losses import LOSSES, left_out
from changemgmt.architecture.models import Claim, Component, Relation
from changemgmt.architecture.rules import RELATION_END, Image

from .conftest import DATA, MODELS, NOW
from .exchange_rules import ELEMENT_TYPES, RELATION_TYPES, SPACE, XSI, check_exchange

BACK = {"json": ("json", "a.json"), "csv": ("csv", "a.zip"), "archimate": ("archimate", "a.xml")}


def read_back(form, content, *, source="test", apply=True):
    reader, name = BACK[form]
    open_it = partial(io.BytesIO, content)
    files = of_zip(name, open_it) if name.endswith(".zip") else [unpacked(name, open_it)]
    plan = plan_import(read_records(reader, files, Options()), source=source, now=NOW)
    if apply:
        apply_plan(plan, actor="max", now=NOW)
    return plan


def everything():
    return list(component_images()), list(relation_images())


def empty():
    Claim.objects.all().delete()
    Relation.objects.all()._raw_delete(Relation.objects.db)
    Component.objects.all().delete()


def without(images, losses, object):
    """The images without the fields a form loses."""
    lost = {loss["field"] for loss in losses if loss["object"] == object}
    return [{name: value for name, value in image.items() if name not in lost} for image in images]


def moved(plan):
    """What an import would write: of what is there, the fields that differ."""
    return [
        (step.operation, step.key, {name: (step.before[name], value) for name, value in step.after.items() if step.before.get(name) != value})
        if step.operation == "update"
        else (step.operation, step.key)
        for step in plan.steps
    ]


def assert_round(form):
    """The export comes back: here as it is, elsewhere as it was."""
    before = everything()
    content = EXPORTS[form].write(LIVE)
    if form == "archimate":
        check_exchange(content.decode())
    here = read_back(form, content, source="again", apply=False)
    assert here.skipped == []
    assert moved(here) == []
    losses = left_out(form, *before)
    empty()
    there = read_back(form, content, source="elsewhere")
    assert there.skipped == []
    after = everything()
    for object, old, new in (("component", before[0], after[0]), ("relation", before[1], after[1])):
        assert without(old, losses, object) == without(new, losses, object)
    assert EXPORTS[form].write(LIVE) == content or losses
    assert read_back(form, EXPORTS[form].write(LIVE), source="elsewhere", apply=False).steps == []


@pytest.mark.parametrize("form", BACK)
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_model_comes_back_from_every_form(bring, path, form):
    bring(path, "archi" if ".archimate" in path.name else "archimate")
    assert_round(form)


@pytest.mark.parametrize("form", BACK)
def test_catalogs_and_tables_come_back_from_every_form(bring, form):
    from changemgmt.lifecycle.import_architecture import mapping_for

    bring(DATA / "backstage-catalog", "backstage", source="catalog")
    bring(DATA / "archisurance" / "archisurance.archimate", "archi", namespace="archisurance", source="archisurance")
    bring(DATA / "cmdb-osg", "csv", source="cmdb-osg", mapping=mapping_for("cmdb-osg", "csv"))
    assert_round(form)


# --- any architecture ---

KEYS = ("a", "b", "ns/c", "d e", "1f", "relation", "id-architecture", "propid-1", "node-1", "ä:ö/ü")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8) | st.sampled_from(
    [" a ", "a\rb", "a\r\nb", "a;b", "[x", "{}", "\x01", "\ufffe", "<&>\"'", "null", "5", "true", "日本語", "مرحبا"]
)
WORD = st.sampled_from(
    ["x", "y", "language", "documentation", "name", "name:nl", "documentation:de", "x:fr", "junction", "access", "modifier", "directed"]
)
NAMES = WORD | TEXT | st.sampled_from(["countersign.more", "key", "type", "attributes", "needs", "external_references", "strength"])
PLAIN = TEXT | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4)
NATIVE = st.fixed_dictionaries(
    {},
    optional={
        "access": st.sampled_from(["read", "write", "read_write", "unspecified", "other"]),
        "directed": st.sampled_from(["true", "false", "maybe"]),
        "junction": st.sampled_from(["and", "or", "xor"]),
        "language": st.sampled_from(["en", "de-CH", "not a language"]),
        "documentation": TEXT,
        "documentation:en": TEXT,
        "name:und": TEXT,
    },
)
PLACE = st.builds(lambda path: {"kind": "folder", "path": path}, st.lists(TEXT, min_size=1, max_size=2)) | st.builds(
    lambda identifier, name: {"kind": "view", "id": identifier, "name": name},
    st.sampled_from(["v", "w", "a", "1"]),
    st.sampled_from(["One", "Two", "\x01"]),
)
REFERENCES = st.lists(PLACE | st.just({"kind": "link", "url": "https://example.org"}), max_size=3)


@st.composite
def attributes(draw):
    return draw(st.dictionaries(NAMES, VALUE, max_size=4)) | draw(NATIVE)


@st.composite
def components(draw):
    type = draw(st.sampled_from(["Node", "BusinessActor", "Junction", "AndJunction", "OrJunction", "service"]))
    fields = st.fixed_dictionaries(
        {
            "name": TEXT,
            "layer": st.sampled_from(["business", "application", "data", "technology"]),
            "owner": TEXT,
            "criticality": st.integers(1, 5),
            "users": st.integers(0, 2**31 - 1),
            "status": st.sampled_from(["planned", "live", "deprecated", "retired"]),
            "environment": TEXT,
            "attributes": attributes(),
            "tags": st.lists(TEXT.filter(bool), max_size=3),
            "needs": st.dictionaries(st.sampled_from(["serving", "flow"]), st.integers(0, 3), max_size=2),
            "external_references": REFERENCES,
        }
    )
    return [{"key": key, "type": type, "org_unit": None, **draw(fields)} for key in draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4))]


@st.composite
def architectures(draw):
    parts = draw(components())
    ends = [part["key"] for part in parts]
    links = []
    for key in draw(st.lists(st.sampled_from(("a", "r1", "r2", "r|3", "connection-1")), unique=True, max_size=4)) if ends else []:
        links.append(
            {
                "key": key,
                "source": draw(st.sampled_from(ends)),
                "target": draw(st.sampled_from(ends)),
                "type": draw(st.sampled_from(["serving", "access", "influence", "association", "dependsOn"])),
                "attributes": draw(attributes()) | draw(st.fixed_dictionaries({}, optional={"external_references": REFERENCES})),
                "source_system": draw(st.sampled_from(["", "cmdb"])),
                "confirmed_at": draw(st.sampled_from([None, "2026-01-02T03:04:05Z"])),
            }
            | draw(st.sampled_from([{}, {"refuted_at": "2026-05-06T07:08:09Z", "refuted_reason": "It is gone."}]))
        )
        ends.append(f"{RELATION_END}{key}")
    return parts, links


@pytest.mark.parametrize("form", BACK)
@pytest.mark.needs_sqlite  # hundreds of imports in one transaction; the models above go through both databases
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=architectures())
def test_any_architecture_comes_back_but_for_what_is_listed(types, form, made):
    """Where blanks around a key are lost, the thing is another one: such keys are not drawn, they are counted below."""
    parts, links = made
    with transaction.atomic():
        write(
            [*(Image("component", one["key"], None, one) for one in parts), *(Image("relation", one["key"], None, one) for one in links)],
            actor="max",
            now=NOW,
        )
        assert_round(form)
        transaction.set_rollback(True)


@given(made=architectures())
def test_json_leaves_nothing_out_and_no_form_claims_to_lose_what_is_not_there(made):
    assert left_out("json", *made) == []
    for form in LOSSES:
        for loss in left_out(form, *made):
            images = made[0] if loss["object"] == "component" else made[1]
            assert 0 < loss["things"] <= sum(loss["field"] in image for image in images)


# --- all that ArchiMate has ---


def model_of(form):
    """A model with an element of every type, in one chain of relations of every type, one of them on a relation."""
    links = [(f"r{place}", kind, f"e{place}", f"e{place + 1}") for place, kind in enumerate(RELATION_TYPES)]
    links.append(("on", "Association", "e0", "r3"))
    if form == "archimate":
        elements = "".join(
            f'<element identifier="e{place}" xsi:type="{kind}"><name>{kind}</name></element>' for place, kind in enumerate(ELEMENT_TYPES)
        )
        relations = "".join(f'<relationship identifier="{key}" xsi:type="{kind}" source="{one}" target="{two}"/>' for key, kind, one, two in links)
        return (
            f'<model xmlns="{SPACE[1:-1]}" xmlns:xsi="{XSI[1:].partition("}")[0]}" identifier="m"><name>All</name>'
            f"<elements>{elements}</elements><relationships>{relations}</relationships></model>"
        )
    elements = ""
    for place, kind in enumerate(ELEMENT_TYPES):
        said = f'xsi:type="archimate:Junction" type="{kind[:-8].lower()}"' if kind.endswith("Junction") else f'xsi:type="archimate:{kind}"'
        elements += f'<element {said} name="{kind}" id="e{place}"/>'
    relations = "".join(
        f'<element xsi:type="archimate:{kind}Relationship" id="{key}" source="{one}" target="{two}"/>' for key, kind, one, two in links
    )
    return (
        f'<archimate:model xmlns:xsi="{XSI[1:].partition("}")[0]}" xmlns:archimate="http://www.archimatetool.com/archimate" name="All" id="m">'
        f'<folder name="All" id="f">{elements}</folder><folder name="Relations" id="g">{relations}</folder></archimate:model>'
    )


def test_the_standard_has_62_element_types_and_11_relation_types():
    assert (len(ELEMENT_TYPES), len(set(ELEMENT_TYPES))) == (62, 62)
    assert set(ELEMENT_TYPES) == ELEMENTS | set(JUNCTION.values())
    assert len(RELATION_TYPES) == 11 and set(RELATION_TYPES) == set(RELATIONS.values())


@pytest.mark.parametrize("form", ["archi", "archimate"])
def test_every_element_and_relation_type_arrives_and_comes_back_as_itself(bring, write_file, form):
    plan = bring(write_file("m.xml", model_of(form)), form)
    assert (plan.skipped, plan.new_types, Component.objects.count(), Relation.objects.count()) == ([], [], 62, 12)
    found = {row.name: row.type.name for row in Component.objects.select_related("type")}
    assert found == {name: "Junction" if name.endswith("Junction") else name for name in ELEMENT_TYPES}
    assert {row.attributes["junction"] for row in Component.objects.filter(type__name="Junction")} == {"and", "or"}
    assert {row.type.name for row in Relation.objects.select_related("type")} == {kind.lower() for kind in RELATION_TYPES}
    assert Relation.objects.get(key="on").target_relation.key == "r3"
    root = check_exchange(EXPORTS["archimate"].write(LIVE).decode())
    assert {one.find(f"{SPACE}name").text: one.get(XSI) for one in root.iter(f"{SPACE}element")} == {kind: kind for kind in ELEMENT_TYPES}
    assert [one.get(XSI) for one in root.iter(f"{SPACE}relationship")].count("Association") == 2
    assert {one.get(XSI) for one in root.iter(f"{SPACE}relationship")} == set(RELATION_TYPES)
    assert_round("archimate")


# --- folders, views, languages, properties ---


def shown_by(path):
    """Who is in which view, by pattern over the exchange form."""
    root = ElementTree.fromstring(path.read_bytes())
    return {
        view.find(f"{SPACE}name").text: {one.get("elementRef") for one in view.iter(f"{SPACE}node")} - {None} for view in root.iter(f"{SPACE}view")
    }


def test_folders_and_views_are_kept_as_references_and_written_again(bring):
    path = DATA / "archisurance" / "archisurance.exchange.xml"
    bring(path, "archimate")
    mail = Component.objects.get(key="id-1544")
    assert {"kind": "folder", "path": ["Business", "Actors"]} in mail.external_references
    expected = {name: keys for name, keys in shown_by(path).items() if keys}
    kept = {}
    for row in Component.objects.all():
        for place in row.external_references:
            if place["kind"] == "view":
                kept.setdefault(place["name"], set()).add(row.key)
    assert kept == expected
    root = check_exchange(EXPORTS["archimate"].write(LIVE).decode())
    again = {view.find(f"{SPACE}name").text: {one.get("elementRef") for one in view.iter(f"{SPACE}node")} for view in root.iter(f"{SPACE}view")}
    assert again == expected
    assert len(list(root.iter(f"{SPACE}connection"))) > 100


def test_both_forms_say_the_same_of_folders_and_views(bring):
    kept = []
    for name, form in (("archisurance.archimate", "archi"), ("archisurance.exchange.xml", "archimate")):
        plan = bring(DATA / "archisurance" / name, form, apply=False)
        views = {}
        for step in plan.steps:
            places = step.after["external_references"] if step.object == "component" else []
            views[step.key] = [place for place in places if place["kind"] == "view"]
        kept.append({key: places for key, places in views.items() if places})
    assert kept[0] == kept[1] and len(kept[0]) > 100


def test_who_leaves_a_view_loses_the_reference_and_keeps_others(bring, write_file):
    model = model_of("archi")
    view = '<folder name="Views" id="h"><element xsi:type="archimate:ArchimateDiagramModel" name="V" id="v"><child archimateElement="e0"/></element></folder>'
    bring(write_file("m.xml", model.replace("</archimate:model>", f"{view}</archimate:model>")), "archi")
    row = Component.objects.get(key="e0")
    assert row.external_references == [{"kind": "folder", "path": ["All"]}, {"kind": "view", "id": "v", "name": "V"}]
    link = {"kind": "link", "url": "https://example.org"}
    Component.objects.filter(key="e0").update(external_references=[*row.external_references, link])
    bring(write_file("m.xml", model), "archi")
    assert Component.objects.get(key="e0").external_references == [link, {"kind": "folder", "path": ["All"]}]


LANGUAGES = f"""<model xmlns="{SPACE[1:-1]}" xmlns:xsi="{XSI[1:].partition("}")[0]}" identifier="m"><name>M</name><elements>
<element identifier="e" xsi:type="Node"><name xml:lang="de">Kasse</name><name xml:lang="fr">Caisse</name><name xml:lang="ja">レジ</name>
<documentation xml:lang="fr">Elle encaisse.</documentation><documentation xml:lang="de">Sie kassiert.</documentation>
<properties><property propertyDefinitionRef="p"><value xml:lang="de">rot</value><value xml:lang="ar">أحمر</value></property>
<property propertyDefinitionRef="n"><value>5</value></property><property propertyDefinitionRef="n"><value>007</value></property>
<property propertyDefinitionRef="b"><value>true</value></property></properties></element></elements>
<propertyDefinitions><propertyDefinition identifier="p" type="string"><name>Farbe</name></propertyDefinition>
<propertyDefinition identifier="n" type="number"><name>Zahl</name></propertyDefinition>
<propertyDefinition identifier="b" type="boolean"><name>Ja</name></propertyDefinition></propertyDefinitions></model>"""


def test_names_and_texts_in_many_languages_are_kept_and_written_again(bring, write_file):
    bring(write_file("m.xml", LANGUAGES), "archimate")
    row = Component.objects.get()
    assert row.name == "Kasse"
    assert row.attributes == {
        "language": "de",
        "name:fr": "Caisse",
        "name:ja": "レジ",
        "documentation": "Sie kassiert.",
        "documentation:fr": "Elle encaisse.",
        "Farbe": "rot",
        "Farbe:ar": "أحمر",
        "Zahl": [5, "007"],
        "Ja": True,
    }
    text = EXPORTS["archimate"].write(LIVE).decode()
    for said in (
        '<name xml:lang="de">Kasse<',
        '<name xml:lang="ja">レジ<',
        '<documentation xml:lang="fr">Elle',
        '<value xml:lang="ar">أحمر<',
        'type="boolean"',
    ):
        assert said in text
    assert_round("archimate")


# --- GraphML ---


@pytest.mark.needs_sqlite  # hundreds of imports in one transaction; the models above go through both databases
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=architectures())
def test_graphml_has_every_component_as_a_node_and_every_relation_as_an_edge(types, made):
    parts, links = made
    with transaction.atomic():
        write(
            [*(Image("component", one["key"], None, one) for one in parts), *(Image("relation", one["key"], None, one) for one in links)],
            actor="max",
            now=NOW,
        )
        root = ElementTree.fromstring(EXPORTS["graphml"].write(LIVE))
        transaction.set_rollback(True)
    space = "{http://graphml.graphdrawing.org/xmlns}"
    declared = {one.get("id") for one in root.iter(f"{space}key")}
    nodes = [one.get("id") for one in root.iter(f"{space}node")]
    edges = [(one.get("id"), one.get("source"), one.get("target")) for one in root.iter(f"{space}edge")]
    drawn = {end for one in links for end in (one["source"], one["target"]) if end.startswith(RELATION_END)}
    assert sorted(nodes) == sorted([*(one["key"] for one in parts), *drawn])
    assert sorted(edges) == sorted((one["key"], one["source"], one["target"]) for one in links)
    assert {one.get("key") for one in root.iter(f"{space}data")} <= declared
    said = {one.get("id"): {data.get("key"): data.text for data in one} for one in root.iter(f"{space}edge")}
    lost = {loss["field"] for loss in left_out("graphml", parts, links) if loss["object"] == "relation"}
    for one in links:
        assert "attributes" in lost or json.loads(said[one["key"]].get("attributes", "{}")) == one["attributes"]
        assert said[one["key"]].get("refuted_reason", "") == one.get("refuted_reason", "")
