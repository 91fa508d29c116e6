"""Files that are damaged, hostile or too large: refused with their place, in bounded memory, with nothing half imported."""

import gzip
import io
import json
import lzma
import time
import tracemalloc

import pytest
import yaml

from changemgmt.architecture.importers import jsontext, xml
from changemgmt.architecture.importers.records import File, FoundComponent, FoundRelation, Options, Skipped
from changemgmt.architecture.imports import read_records
from changemgmt.architecture.models import Component, Relation
from changemgmt.core.errors import Invalid

from .test_states_and_bills import EXAMPLES

# --- JSON ---

HEADS = {
    "json": '{"components": ',
    "terraform_state": '{"format_version": "1.0", "values": ',
    "cyclonedx": '{"bomFormat": "CycloneDX", "components": ',
}
JSON_FAULTS = [
    ("", r"line 1, column \d+"),
    ("[", r"line 1, column \d+"),
    ("[{}\n{}]}", r"line 2, column 1"),
    ("NaN}", "NaN is no number"),
    ("7" * 10_000 + "}", "can't be read as JSON"),
    ('"\\ud800"}', "half a surrogate pair"),
    ('{"a": 1,\n"a": 2}}', r"has the key 'a' twice in one object \(line 2, column 1\)"),
    ('[{"b": {"\\u0061": 1, "c": [{"a": ":"}], "a": 2}}]}', r"'a' twice in one object \(line 1, column \d+\)"),
    ("[" * 101 + "]" * 101 + "}", r"nested more than 100 deep \(line 1, column \d+\)"),
    ('{"a":\n' * 500_000, r"nested more than 100 deep \(line 10\d, column 1\)"),
    ("[" + "[]," * 10_000_000 + "1]}", "more than 8,000,000 values"),
    ("[" + "{}," * 4_000_001, "more than 8,000,000 values"),
]


@pytest.mark.parametrize("form", HEADS)
@pytest.mark.parametrize(("rest", "says"), JSON_FAULTS, ids=range(len(JSON_FAULTS)))
def test_bad_json_is_refused_with_its_place(bring, write_file, form, rest, says):
    refused(bring, write_file("file.json", HEADS[form] + rest), form, f"file.json .*{says}")


def refused(bring, path, form, says):
    with pytest.raises(Invalid, match=f"(?is){says}"):
        bring(path, form)
    assert not Component.objects.exists() and not Relation.objects.exists()


SHAPES = [
    ("json", '{"components": {}}', "components is no list"),
    ("json", '{"version": 1}', "no architecture"),
    ("terraform_state", "[]", "no terraform state"),
    ("terraform_state", '{"version": 3, "modules": []}', "version 3; version 4 is read"),
    ("terraform_state", '{"version": 4, "resources": {}}', "resources is no list"),
    ("terraform_state", '{"version": 4, "resources": [{"type": "a", "name": "b", "instances": 5}]}', r"resources\[0\]\.instances is no list"),
    ("terraform_state", '{"format_version": "1.0", "values": 5}', "no terraform state"),
    ("terraform_state", '{"format_version": "1.0", "values": {"root_module": []}}', "values.root_module is no object"),
    ("terraform_state", '{"format_version": "1.0", "values": {"root_module": {"child_modules": [7]}}}', r"child_modules\[0\] is no object"),
    ("terraform_state", '{"resource_changes": []}', "is a terraform plan"),
    ("cyclonedx", '{"spdxVersion": "SPDX-2.3"}', "no CycloneDX"),
    ("cyclonedx", '{"bomFormat": "CycloneDX", "components": {"a": 1}}', "components is no list"),
    ("cyclonedx", '{"bomFormat": "CycloneDX", "dependencies": [{"ref": "a", "dependsOn": "b"}]}', r"dependencies\[0\]\.dependsOn is no list"),
]


@pytest.mark.parametrize(("form", "content", "says"), SHAPES)
def test_json_of_another_shape_is_refused_with_its_place(bring, write_file, form, content, says):
    refused(bring, write_file("file.json", content), form, f"file.json.*{says}")


# --- YAML ---

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{two}: &{two} [{','.join([f'*{one}'] * 9)}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG = "services:\n a: &a " + "x" * 100_000 + "\n b: [" + "*a," * 100_000 + "]\n"
MERGES = "a: &a {k: v, l: w}\n" + "".join(
    f"{two}: &{two} {{<<: [{','.join([f'*{one}'] * 30)}]}}\n" for one, two in zip("abcde", "bcdef", strict=True)
)
YAML_FAULTS = [
    ("services: [\n", "line 2"),
    ("services:\n  a:\n b: {}\n", "line 3"),
    ("services: {}\nservices: {}\n", r"has the key 'services' twice in one object \(line 2, column 1\)"),
    ("services:\n  web: {image: a}\n  web: {image: b}\n", r"'web' twice in one object \(line 3, column 3\)"),
    ("services: !!python/object/apply:os.system ['true']\n", "line 1"),
    ("services: !reset {}\n", "line 1"),
    ("services: *nowhere\n", "line 1"),
    ("services: &a {b: *a}\n", "holds itself"),
    (LAUGHS, "unfolds to more than"),
    (LONG, "unfolds to more than"),
    (MERGES, "unfolds to more than"),
    ("services: " + "[" * 5000, "nested"),
    ("services: " + "{a: " * 150 + "}" * 150, "nested"),
    ("services: {a: \x01}\n", "line 1"),
    (b"services: {a: \xff}\n", "UTF-8: line 1"),
    ("x" * (11 * 1024 * 1024), "larger than 10 MB"),
    ("", "empty"),
    ("# nothing\n---\n", "compose|object|empty"),
]


@pytest.mark.parametrize("form", ["compose", "backstage"])
@pytest.mark.parametrize(("content", "says"), YAML_FAULTS, ids=range(len(YAML_FAULTS)))
def test_bad_yaml_is_refused_with_its_place(bring, write_file, form, content, says):
    refused(bring, write_file("file.yaml", content), form, says)


@pytest.mark.parametrize(
    "text", [LAUGHS, "a: &a [*a]", "key: id\nkey: no", "!!python/object/apply:os.system ['true']", "{", "[]", "", "k: " + "v" * 100_000]
)
def test_a_bad_mapping_is_refused_before_it_is_unfolded(text):
    from changemgmt.lifecycle.import_architecture import mapping_of

    with pytest.raises(Invalid) as refusal:
        mapping_of(text)
    assert refusal.value.errors.keys() == {"mapping"}


# --- XML ---

ROOTS = {"archimate": ("model", "identifier='m'"), "archi": ("model", "id='m'"), "cyclonedx": ("bom", "")}
ENTITIES = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
XML_FAULTS = [
    ("{dtd}<{root}>&b;</{root}>", "document type or entities.*line 1"),
    ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><{root}/>', "document type or entities"),
    ('<!DOCTYPE r [<!ENTITY x SYSTEM "http://192.0.2.1/">]><{root}>&x;</{root}>', "document type or entities"),
    ("<{root}>&b;</{root}>", "line 1"),
    ("<{root}>\n<elements>\n<element", "line 3"),
    ("<{root}>\n</elements>", "line 2"),
    ("<{root} a='1' a='2'/>", "line 1"),
    ("<html/>", "root is <html>"),
    ("<{root}>" + "<a>" * 5000, "nested more than 200 deep.*line 1"),
    ("<?xml version='1.0' encoding='x-none'?><{root}/>", "line 1"),
    ("<{root} x='" + "y" * (6 * 1024 * 1024) + "'/>", "tag or comment of more than 4 MB"),
    ("<{root}><!--" + "y" * (6 * 1024 * 1024) + "--></{root}>", "tag or comment of more than 4 MB"),
]


@pytest.mark.parametrize("form", ROOTS)
@pytest.mark.parametrize(("content", "says"), XML_FAULTS, ids=range(len(XML_FAULTS)))
def test_bad_xml_is_refused_with_its_place(bring, write_file, form, content, says):
    name, attributes = ROOTS[form]
    text = content.replace("{dtd}", ENTITIES).replace("<{root}", f"<{name} {attributes}").replace("{root}", name)
    refused(bring, write_file("file.xml", text), form, f"file.xml.*{says}")


@pytest.mark.parametrize("form", ROOTS)
def test_xml_of_too_many_elements_or_too_much_text_is_refused(bring, write_file, monkeypatch, form):
    name, attributes = ROOTS[form]
    inside = {"archimate": ("<elements>", "</elements>"), "archi": ("<folder>", "</folder>"), "cyclonedx": ("<components>", "</components>")}[form]
    tag = "component" if form == "cyclonedx" else "element"
    text = f"<{name} {attributes}>{inside[0]}" + f"<{tag} id='a' identifier='a'><name>{'n' * 100}</name></{tag}>\n" * 100 + f"{inside[1]}</{name}>"
    for limit, value in (("MOST_ELEMENTS", 50), ("MOST_TEXT", 5_000)):
        with monkeypatch.context() as patch:
            patch.setattr(xml, limit, value)
            refused(bring, write_file("file.xml", text), form, r"file.xml.*more than .*elements.*line \d+")


# --- memory ---


def peak_of(act):
    """The most memory that was held while `act` ran, in bytes."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BLANKS = 200 * 1024 * 1024


@pytest.mark.parametrize(("form", "name"), [("compose", "c.yaml.xz"), ("backstage", "c.yaml.gz")])
def test_a_packed_file_that_unfolds_beyond_what_is_read_is_left_there(bring, write_file, form, name):
    pack = lzma.compress if name.endswith("xz") else gzip.compress
    path = write_file(name, pack(b" " * BLANKS))
    assert peak_of(lambda: refused(bring, path, form, "larger than 10 MB")) < 64 * 1024 * 1024


@pytest.mark.parametrize("form", HEADS)
def test_a_large_json_file_is_left_beyond_its_limit(bring, write_file, monkeypatch, form):
    monkeypatch.setattr(jsontext, "LARGEST", 1024 * 1024)
    path = write_file("file.json.gz", gzip.compress(HEADS[form].encode() + b" " * BLANKS))
    assert peak_of(lambda: refused(bring, path, form, "larger than 1 MB")) < 16 * 1024 * 1024


# --- 100 MB ---

FILLED = 100 * 1024 * 1024
LARGE = [
    ("csv", "nodes.csv", b"key,type\n", b"x", b"\n", "row of more than 8 million characters.*line 2"),
    ("csv", "nodes.csv", b"key,type\n", b'"a\n",', b"\n", "row of more than 8 million characters.*line [0-9]+"),
    ("csv", "nodes.csv", b"key,type\n", b"\x00", b"\n", "NUL|row of more than"),
    ("json", "a.json", b'{"components": [', b" ", b"}", r"line 1, column \d+"),
    ("json", "a.json", b'{"components": ["', b"x", b'"', r"line 1, column \d+"),
    ("terraform_state", "a.json", b'{"format_version": "1.0", "values": [', b"\n", b"}", r"line \d+, column 1"),
    ("cyclonedx", "a.json", b'{"bomFormat": "CycloneDX", "components": [', b" ", b"}", r"line 1, column \d+"),
    ("cyclonedx", "a.xml", b"<bom>", b" ", b"</bon>", "line 1"),
    ("archimate", "a.xml", b"<model identifier='m'>", b" ", b"</models>", "line 1"),
    ("archimate", "a.xml", b"<model identifier='m'>", b"\x00", b"</model>", "line 1"),
    ("archi", "a.archimate", b"<model id='m'>", b"\n<a/>", b"</models>", r"more than 1,500,000 elements.*line \d+"),
    ("archi", "a.archimate", b"<model id='m'><!--", b"x", b"--></model>", "tag or comment of more than 4 MB"),
    ("backstage", "a.yaml", b"kind: ", b"x", b"\n", "larger than 10 MB"),
    ("compose", "a.yaml", b"services:\n", b" ", b"\n", "larger than 10 MB"),
]


@pytest.mark.parametrize(("form", "name", "head", "filling", "end", "says"), LARGE, ids=range(len(LARGE)))
def test_100_mb_of_any_format_are_refused_in_bounded_memory_and_time(bring, write_file, form, name, head, filling, end, says):
    piece = filling * (1024 * 1024 // len(filling))
    path = write_file(name, head)
    with path.open("ab") as file:
        for _ in range(FILLED // len(piece) + 1):
            file.write(piece)
        file.write(end)
    began = time.process_time()
    if len(filling) == 1:
        # A JSON text is held as bytes, then as text.
        assert peak_of(lambda: refused(bring, path, form, f"{name}.*{says}")) < 4 * FILLED
    else:
        # Watching the memory of millions of small pieces would take longer than reading them.
        refused(bring, path, form, f"{name}.*{says}")
    assert time.process_time() - began < 60
    path.unlink()


# --- the wrong format ---

SOUND = {
    "archi": ("a.archimate", "<model id='m'><folder name='f'><element xsi:type='archimate:Node' id='a'/></folder></model>"),
    "archimate": ("a.xml", "<model identifier='m'><elements><element identifier='a' xsi:type='Node'/></elements></model>"),
    "backstage": ("a.yaml", "apiVersion: backstage.io/v1\nkind: Component\nmetadata: {name: a}\nspec: {}\n"),
    "terraform_state": ("a.json", json.dumps({"version": 4, "resources": []} | {"serial": 1})),
    "compose": ("compose.yaml", "services: {a: {image: b}}\n"),
    "cyclonedx": ("a.json", '{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"type": "library", "name": "a"}]}'),
    "csv": ("nodes.csv", "key,type\na,Node\n"),
    "json": ("a.json", '{"components": [{"key": "a", "type": "Node"}], "relations": []}'),
}
SAME = {"archi", "archimate"}  # which of the two it is, its root says


@pytest.mark.parametrize("form", SOUND)
@pytest.mark.parametrize("other", SOUND)
def test_a_file_of_another_format_is_refused_in_words_whatever_it_is_called(bring, write_file, form, other):
    name, content = SOUND[form][0], SOUND[other][1].replace("<model ", "<model xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' ")
    for called in (name, SOUND[other][0]):
        if form == other or {form, other} == SAME:
            bring(write_file(called, content), form, apply=False)
        else:
            refused(bring, write_file(called, content), form, r"\w+ .*\w")


# --- what is odd within a good file ---


def test_a_record_that_can_t_be_stored_is_left_out_and_the_others_land(bring, write_file):
    deep = value = {}
    for _ in range(40):
        value["in"] = value = {}
    rows = [
        {"key": "good", "type": "Node"},
        {"key": "deep", "type": "Node", "attributes": deep},
        {"key": "infinite", "type": "Node", "attributes": {"a": 1e999}},
        {"key": "huge", "type": "Node", "attributes": {"a": 2**70}},
        {"key": "long", "type": "Node", "attributes": {"a": "x" * 200_001}},
        {"key": "k" * 301, "type": "Node"},
        {"key": "nul", "type": "Node", "name": "a\x00"},
    ]
    text = json.dumps({"components": rows}).replace("Infinity", "1e999")
    plan = bring(write_file("file.json", text), "json")
    assert list(Component.objects.values_list("key", flat=True)) == ["good"]
    assert sorted(one.where for one in plan.skipped) == [f"file.json, components[{number}]" for number in range(1, 7)]
    assert all(one.reason for one in plan.skipped)


ODD = (None, 5, "text", [None], [[1]], {"a": {"b": [1]}})


def places(value, path=()):
    """The path of every part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in parts:
        yield from places(inner, (*path, name))


def with_other(value, path, other):
    """A copy of the value in which `other` stands at `path`."""
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = with_other(value[path[0]], path[1:], other)
    return copy


RAW_STATE = {
    "version": 4,
    "resources": [
        {
            "module": "module.m",
            "mode": "managed",
            "type": "vm",
            "name": "web",
            "provider": 'provider["acme/cloud"]',
            "instances": [{"index_key": 0, "attributes": {"a": 1}, "dependencies": ["vm.db"], "deposed": ""}],
        }
    ],
}


def usable(record):
    """Whether a record is what planning builds on: keys and ends are text, attributes an object, and what is left out has its place and reason."""
    match record:
        case FoundComponent(key, fields, where):
            return isinstance(key, str) and isinstance(fields["name"], str) and isinstance(fields["attributes"], dict) and bool(where)
        case FoundRelation(key, source, target, kind, attributes):
            return all(isinstance(text, str) for text in (key, source, target, kind)) and isinstance(attributes, dict)
        case Skipped(where, reason, key):
            return bool(where and reason) and isinstance(key, str)


WHOLE = [("terraform_state", RAW_STATE), *((form, yaml.safe_load(content)) for form, (_, content) in EXAMPLES.items())]


@pytest.mark.parametrize(("form", "document"), WHOLE, ids=["raw", *EXAMPLES])
def test_any_part_may_be_anything_without_more_than_a_refusal(form, document):
    """Each part of a good file in turn is something else: it is read, or refused in words."""
    outcomes = set()
    for path in places(document):
        for other in ODD:
            text = json.dumps(with_other(document, path, other))
            file = File("file.yaml" if form == "compose" else "file.json", lambda text=text: io.BytesIO(text.encode()))
            try:
                records = read_records(form, [file], Options())
            except Invalid as refusal:
                outcomes.add("refused")
                assert refusal.errors.keys() == {"file"}
            else:
                outcomes.add("read")
                assert all(map(usable, records))
    assert outcomes == {"read", "refused"}


def test_cycles_are_no_fault(bring, write_file):
    text = "services: {a: {depends_on: [b]}, b: {depends_on: [c]}, c: {depends_on: [a, c]}}"
    plan = bring(write_file("c.yaml", text), "compose")
    assert (plan.skipped, Component.objects.count(), Relation.objects.count()) == ([], 3, 4)


def test_a_table_with_a_column_twice_is_refused(bring, write_file):
    refused(bring, write_file("nodes.csv", "key,type,color,color\na,Node,red,blue\n"), "csv", r"nodes.csv has the column 'color' twice \(line 1\)")
