"""Files of other tools: everything in them arrives, the same again changes nothing, bad ones are refused with their place."""

import json
import lzma
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import Counter

import pytest
import yaml

from changemgmt.architecture.exports import EXPORTS, LIVE, as_json
from changemgmt.architecture.models import Claim, Component, ComponentType, Relation, RelationType
from changemgmt.architecture.queries import current_revision
from changemgmt.core.errors import Invalid

from .conftest import DATA, MODELS

XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
EXCHANGE = "{http://www.opengroup.org/xsd/archimate/3.0/}"


def counted(path):
    """Elements and relations of a model, counted without our reader."""
    raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    root = ElementTree.fromstring(raw)
    if root.tag == f"{EXCHANGE}model":
        return len(root.findall(f"{EXCHANGE}elements/{EXCHANGE}element")), len(root.findall(f"{EXCHANGE}relationships/{EXCHANGE}relationship"))
    kinds = [element.get(XSI, "") for element in root.iter("element")]
    relations = sum(kind.endswith("Relationship") for kind in kinds)
    return len(kinds) - relations - sum("Model" in kind for kind in kinds), relations


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_every_element_and_relation_of_a_model_arrives_and_again_changes_nothing(bring, path):
    form = "archi" if ".archimate" in path.name else "archimate"
    elements, relations = counted(path)
    plan = bring(path, form)
    assert (Component.objects.count(), Relation.objects.count()) == (elements, relations)
    assert plan.counts("component")["adds"] == elements
    assert plan.skipped == []
    again = bring(path, form)
    assert (again.steps, again.counts("relation")["unchanged"], current_revision()) == ([], relations, 1)


def test_both_forms_of_a_model_say_the_same(bring):
    """But for identifiers: the exchange form puts `id-` before those that begin with a digit."""
    for name in ("enroll-system", "k8s", "cloud-native-architecture"):
        shapes = []
        for form, ending in (("archi", "archimate.xz"), ("archimate", "exchange.xml.xz")):
            plan = bring(DATA / "archimate-models" / f"{name}.{ending}", form, apply=False)
            parts = Counter(
                (step.after["name"].strip(), step.after["type"], step.after["layer"]) for step in plan.steps if step.object == "component"
            )
            shapes.append((parts, Counter(step.after["type"] for step in plan.steps if step.object == "relation")))
        assert shapes[0] == shapes[1], name


def test_documentation_and_properties_become_attributes(bring):
    bring(DATA / "archimate-models" / "enroll-system.archimate.xz", "archi")
    attributes = Component.objects.get(key="20781f3e-269d-4203-897d-54e675f3dac9").attributes
    assert attributes == {"hbx_id": "String", "profile_id": "BSON::ObjectId", "effective_begin_on": "Date", "effective_end_on": "Date"}


def test_a_namespace_goes_before_keys_that_have_none(bring):
    bring(DATA / "archisurance" / "archisurance.archimate", "archi", namespace="archisurance")
    relation = Relation.objects.get(key="archisurance/id-693")
    assert (relation.source.key, relation.target.key, relation.type.name) == ("archisurance/id-564", "archisurance/id-674", "access")


def test_relations_on_relations_arrive(bring, write_file):
    model = """<archimate:model xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:archimate="http://www.archimatetool.com/archimate" name="m" id="m">
    <folder name="a" id="f" type="application"><element xsi:type="archimate:ApplicationComponent" name="" id="a"/>
    <element xsi:type="archimate:Junction" type="or" id="j"/></folder><folder name="r" id="g">
    <element xsi:type="archimate:AssociationRelationship" id="q" source="a" target="r"/><element xsi:type="archimate:FlowRelationship" id="r" source="a" target="j"/>
    </folder></archimate:model>"""
    plan = bring(write_file("m.archimate", model), "archi", namespace="n")
    assert plan.skipped == []
    assert Relation.objects.get(key="n/q").target_relation.key == "n/r"
    assert Component.objects.get(key="n/j").attributes == {"junction": "or"}


RELATIONS = ("owner", "system", "domain", "subcomponentOf", "dependsOn", "providesApis", "consumesApis", "parent", "children", "memberOf")


def entities():
    for path in sorted((DATA / "backstage-catalog").rglob("*.yaml")):
        yield from (document for document in yaml.safe_load_all(path.read_text()) if document)


def test_every_entity_of_a_catalog_arrives_with_its_relations(bring):
    kinds = Counter(entity["kind"].lower() for entity in entities())
    plan = bring(DATA / "backstage-catalog", "backstage")
    assert Counter(Component.objects.values_list("type__name", flat=True)) == kinds
    assert sum(kinds.values()) == 50
    said = Counter()
    for entity in entities():
        for name in RELATIONS:
            value = entity["spec"].get(name) or []
            said[name] += len(value) if isinstance(value, list) else 1
    found = Counter(Relation.objects.values_list("type__name", flat=True)) + Counter(
        one.reason.split()[1] for one in plan.skipped if "is not there" in one.reason
    )
    assert found["providesApi"] == said["providesApis"]
    assert found["consumesApi"] == said["consumesApis"]
    assert found["ownedBy"] == said["owner"]
    assert found["memberOf"] == said["memberOf"]
    assert found["partOf"] == said["system"] + said["domain"] + said["subcomponentOf"]
    assert found["dependsOn"] == said["dependsOn"]
    again = bring(DATA / "backstage-catalog", "backstage")
    assert again.steps == []


def test_the_cmdb_arrives_whole_by_its_shipped_mapping(bring):
    from changemgmt.lifecycle.import_architecture import mapping_for

    plan = bring(DATA / "cmdb-osg", "csv", source="cmdb-osg", mapping=mapping_for("cmdb-osg", "csv"))
    assert plan.skipped == []
    assert (Component.objects.count(), Relation.objects.count()) == (2367, 4351)
    assert Component.objects.get(key="facility:ACCRE").type.name == "facility" if Component.objects.filter(key="facility:ACCRE") else True
    assert plan.new_types == []
    assert bring(DATA / "cmdb-osg", "csv", source="cmdb-osg", mapping=mapping_for("cmdb-osg", "csv")).steps == []


def test_a_zip_of_tables_is_read_and_other_columns_are_attributes(bring, tmp_path):
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nodes.csv", "name,kind\ncart,service\nredis,datastore\n")
        archive.writestr("edges.csv", "from,to,type,port\ncart,redis,calls,6379\ncart,redis,calls,6380\ncart,ghost,calls,1\n")
    plan = bring(path, "csv")
    assert {row.key: row.attributes["port"] for row in Relation.objects.all()} == {"cart|calls|redis": "6379", "cart|calls|redis|2": "6380"}
    assert [(one.where, "ghost" in one.reason) for one in plan.skipped] == [("edges.csv, line 4", True)]


def test_a_mapping_names_columns_tables_of_values_and_separators(bring, write_file):
    path = write_file("nodes.csv", "No,What,Level,Labels,Extra\n7,Till,high,a;b,x\n8,Drawer,low,,\n")
    mapping = {
        "key": "No",
        "name": "What",
        "type": {"value": "device"},
        "criticality": {"column": "Level", "values": {"high": 5}, "default": 2},
        "tags": "Labels",
    }
    bring(path, "csv", mapping=mapping)
    till = Component.objects.get(key="7")
    assert (till.name, till.criticality, till.tags, till.attributes) == ("Till", 5, ["a", "b"], {"Extra": "x"})
    assert Component.objects.get(key="8").criticality == 2


def test_unknown_types_are_made_and_told_or_left_out(bring, write_file):
    path = write_file("nodes.csv", "key,name,type\na,A,Robot\nb,B,Node\n")
    assert bring(path, "csv", create_types=False).skipped[0].reason == "type: There is no component type 'Robot'."
    assert not ComponentType.objects.filter(name="Robot").exists()
    assert bring(path, "csv").new_types == ["component type Robot"]
    assert not RelationType.objects.filter(name="Robot").exists()


def test_a_thing_goes_only_when_no_source_claims_it(bring, write_file):
    both = write_file("one/nodes.csv", "key,type\na,Node\nb,Node\n").parent
    write_file("one/edges.csv", "source,target,type\na,b,flow\n")
    fewer = write_file("two/nodes.csv", "key,type\na,Node\n")
    bring(both, "csv", source="one")
    bring(both, "csv", source="other")
    assert bring(fewer, "csv", source="one").steps == []
    assert Component.objects.count() == 2
    plan = bring(fewer, "csv", source="other")
    assert plan.counts("component")["removes"] == plan.counts("relation")["removes"] == 1
    assert list(Component.objects.values_list("key", flat=True)) == ["a"]
    assert not Claim.objects.filter(key="b").exists()


def test_a_row_that_is_wrong_now_does_not_remove_the_thing(bring, write_file):
    bring(write_file("nodes.csv", "key,type,criticality\na,Node,3\n"), "csv")
    plan = bring(write_file("nodes.csv", "key,type,criticality\na,Node,lots\n"), "csv")
    assert (plan.steps, plan.skipped[0].where) == ([], "nodes.csv, line 2")
    assert Component.objects.filter(key="a").exists()


def test_an_import_changes_what_it_speaks_of_and_nothing_else(bring, write_file, do):
    from changemgmt.architecture.rules import Operation

    bring(write_file("nodes.csv", "key,type,color\na,Node,red\n"), "csv")
    do(Operation("update", "component", "a", data={"criticality": 5, "attributes": {"version": "2"}}))
    assert bring(write_file("nodes.csv", "key,type,color\na,Node,red\n"), "csv").steps == []
    plan = bring(write_file("nodes.csv", "key,type,color\na,Node,blue\n"), "csv")
    assert plan.counts("component") == {"adds": 0, "updates": 1, "removes": 0, "unchanged": 0}
    row = Component.objects.get(key="a")
    assert (row.criticality, row.attributes) == (5, {"version": "2", "color": "blue"})


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><model identifier="m">&b;</model>'
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><model identifier="m"/>'
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{two}: &{two} [{','.join([f'*{one}'] * 9)}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("form", "name", "content", "says"),
    [
        ("archimate", "m.xml", "<model identifier='m'>\n<elements>\n<element", "line 3"),
        ("archimate", "m.xml", "", "line 1"),
        ("archimate", "m.xml", BOMB, "line 1"),
        ("archimate", "m.xml", OUTSIDE, "document type"),
        ("archimate", "m.xml", "<html/>", "root is <html>"),
        ("archimate", "m.xml", "<?xml version='1.0' encoding='x-none'?><model/>", "line"),
        ("archimate", "m.xml", "<?xml version='1.0' encoding='utf-8'?>\n<model identifier='m'>\xff\xfe</model>".encode("latin-1"), "line 2"),
        ("archimate", "m.xml", "<a>" * 5000, "line"),
        ("backstage", "c.yaml", "kind: [\n", "line 2"),
        ("backstage", "c.yaml", b"kind: \xff", "UTF-8"),
        ("backstage", "c.yaml", "kind: \x01", "line 1"),
        ("backstage", "c.yaml", LAUGHS, "unfolds"),
        ("backstage", "c.yaml", "a: &a [*a]", "holds itself"),
        ("backstage", "c.yaml", "!!python/object/apply:os.system ['true']", "line 1"),
        ("backstage", "c.yaml", "[" * 5000, "nested"),
        ("csv", "nodes.csv", b"key,type\na\xff,b\n", "UTF-8"),
        ("csv", "nodes.csv", 'key,type\n"a,b\n', "line"),
        ("csv", "nodes.csv", "color,size\n1,2\n", "no column 'key'"),
        ("csv", "data.txt", "key\n", "no CSV"),
        ("json", "a.json", '{"components": [}', "line 1, column 17"),
        ("json", "a.json", "[]", "object"),
        ("json", "a.json", "[" * 100_000, "JSON"),
        ("archimate", "m.xml.xz", b"not packed at all", "unpacked"),
        ("csv", "x.zip", b"PK no zip", "zip"),
    ],
)
def test_a_bad_file_is_refused_with_its_place_and_nothing_lands(bring, write_file, form, name, content, says):
    with pytest.raises(Invalid, match="(?i)" + says.replace("[", r"\[")):
        bring(write_file(name, content), form)
    assert not Component.objects.exists()


def test_the_export_is_byte_equal_after_a_round_trip(bring, write_file):
    bring(DATA / "archisurance" / "archisurance.archimate", "archi", namespace="archisurance")
    bring(DATA / "backstage-catalog", "backstage", source="catalog")
    first = "".join(as_json())
    names = json.loads(first)
    Relation.objects.all().delete()
    Component.objects.all().delete()
    Claim.objects.all().delete()
    bring(write_file("architecture.json", first), "json")
    second = json.loads("".join(as_json()))
    assert second["components"] == names["components"]
    assert [row | {"source_system": ""} for row in second["relations"]] == [row | {"source_system": ""} for row in names["relations"]]


def test_exchange_and_csv_exports_are_read_back_without_loss(bring, write_file):
    bring(DATA / "archimate-models" / "enroll-system.archimate.xz", "archi")
    parts = {row.key: (row.name, row.type.name, row.attributes) for row in Component.objects.select_related("type")}
    links = {row.key: (row.type.name, row.attributes) for row in Relation.objects.select_related("type")}
    for form, name in (("archimate", "a.xml"), ("csv", "a.zip")):
        plan = bring(write_file(name, EXPORTS[form].write(LIVE)), form, apply=False, source="back")
        assert plan.counts("component") == {"adds": 0, "updates": 0, "removes": 0, "unchanged": len(parts)}, [
            step for step in plan.steps if step.before
        ][:2]
        assert plan.counts("relation")["unchanged"] == len(links)
    ElementTree.fromstring(EXPORTS["graphml"].write(LIVE))
