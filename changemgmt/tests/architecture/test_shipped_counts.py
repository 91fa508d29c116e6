"""Every shipped file that holds an architecture: what arrives is what the file holds, counted without our readers."""

import csv
import io
import json
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from changemgmt.architecture.models import Component, Relation
from changemgmt.lifecycle.import_architecture import mapping_for

from .conftest import DATA, MODELS

PLANS = sorted((DATA / "terraform-plans").glob("*.json.xz"))
GONE = re.compile(r"^The (\S+) relation ends on .* which is not there\.$")
SKIPPED_WHY = {
    "dangling": GONE,
    "looked up": re.compile(r"is a data source: it is looked up there, not managed\.$"),
}
REFERENCES = ("owner", "system", "domain", "subdomainOf", "subcomponentOf", "dependsOn", "providesApis", "consumesApis", "parent", "memberOf")
TURNED = ("children", "members", "dependencyOf")


def raw(path):
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def count_model(path):
    """Tags and types found by pattern. In Archi's form views are elements too; their types end in Model."""
    text = raw(path).decode("utf-8-sig")
    if "opengroup.org/xsd/archimate" in text[:1000]:
        return Counter(elements=len(re.findall(r"<element[\s>]", text)), relations=len(re.findall(r"<relationship[\s>]", text)))
    kinds = re.findall(r'<element\s[^>]*?xsi:type="archimate:(\w+)"', text)
    relations = sum(kind.endswith("Relationship") for kind in kinds)
    return Counter(elements=len(kinds) - relations - sum(kind.endswith("Model") for kind in kinds), relations=relations)


def end(text, kind, namespace):
    """The whole name a reference stands for."""
    kind, text = text.split(":", 1) if ":" in text else (kind, text)
    return f"{kind.lower()}:{text if '/' in text else f'{namespace}/{text}'}"


BARE = {"owner": "group", "system": "system", "domain": "domain", "subdomainOf": "domain", "providesApis": "api", "consumesApis": "api"}
BARE |= {"parent": "group", "children": "group", "memberOf": "group", "members": "user"}
WORDS = {"system": "partOf", "domain": "partOf", "subcomponentOf": "partOf", "subdomainOf": "partOf", "children": "childOf", "parent": "childOf"}
WORDS |= {"members": "memberOf", "dependencyOf": "dependsOn"}


def count_catalog(path):
    """Every entity, and each thing two entities are to each other once, however often it is said."""
    keys, said = set(), set()
    for file in sorted(path.rglob("*.yaml")):
        for entity in filter(None, yaml.safe_load_all(file.read_text())):
            namespace = entity["metadata"].get("namespace", "default")
            key = f"{entity['kind'].lower()}:{namespace}/{entity['metadata']['name']}"
            keys.add(key)
            for field in (*REFERENCES, *TURNED):
                value = entity["spec"].get(field) or []
                for text in value if isinstance(value, list) else [value]:
                    other = end(text, BARE.get(field, "component"), namespace)
                    said.add((WORDS.get(field, field), *((other, key) if field in TURNED else (key, other))))
    there = {one for one in said if {one[1], one[2]} <= keys}
    return Counter(elements=len(keys), relations=len(there), dangling=len(said - there))


def count_tables(path):
    nodes, edges = ([row for file in path.glob(f"{name}.csv*") for row in rows_of(file)] for name in ("nodes", "edges"))
    keys = {row.get("id") or row["name"] for row in nodes}
    there = sum({row.get("source") or row["from"], row.get("target") or row["to"]} <= keys for row in edges)
    return Counter(elements=len(keys), relations=there, dangling=len(edges) - there)


def rows_of(path):
    return list(csv.DictReader(io.StringIO(raw(path).decode())))


def state_of(path):
    """The state a shipped plan began from."""
    return json.loads(raw(path)).get("prior_state")


def count_state(document):
    """By pattern over the text: addresses and modes stand beside each other in each resource."""
    text = json.dumps(document, sort_keys=True)
    modes = Counter(re.findall(r'"mode": "(managed|data)", "name": "', text))
    depends = sum(len(re.findall('"', inner)) // 2 for inner in re.findall(r'"depends_on": \[([^\]]*)\]', text))
    return Counter({"elements": modes["managed"], "looked up": modes["data"], "relations": depends})


# Form, what is imported (a path below data, or the state in a plan), and how it is counted.
SHIPPED = [("archi" if ".archimate" in path.name else "archimate", path, count_model) for path in MODELS]
SHIPPED += [("backstage", DATA / "backstage-catalog", count_catalog), ("csv", DATA / "cmdb-osg", count_tables)]
SHIPPED += [("csv", DATA / "microservices-online-boutique", count_tables)]
SHIPPED += [("terraform_state", path, lambda path: count_state(state_of(path))) for path in PLANS if state_of(path)]
EXPECTED = {
    "archisurance-archi-tool.archimate.xz": Counter(elements=120, relations=176),
    "cloud-native-architecture.archimate.xz": Counter(elements=459, relations=260),
    "cloud-native-architecture.exchange.xml.xz": Counter(elements=459, relations=260),
    "enroll-system.archimate.xz": Counter(elements=324, relations=340),
    "enroll-system.exchange.xml.xz": Counter(elements=324, relations=340),
    "k8s.archimate.xz": Counter(elements=92, relations=130),
    "k8s.exchange.xml.xz": Counter(elements=92, relations=130),
    "surfconext-invite.archimate.xz": Counter(elements=33, relations=45),
    "surfconext-invite.exchange.xml.xz": Counter(elements=33, relations=45),
    "archisurance.archimate": Counter(elements=120, relations=176),
    "archisurance.exchange.xml": Counter(elements=120, relations=176),
    "cmdb-osg": Counter(elements=2367, relations=4351),
    "microservices-online-boutique": Counter(elements=13, relations=17),
    "backstage-catalog": Counter(elements=50, relations=68, dangling=2),
    "aws-modules-checkov.json.xz": Counter({"looked up": 6}),
    "complex-update-opentofu.json.xz": Counter(elements=1),
    "drift-opentofu.json.xz": Counter(elements=2, relations=1),
}


@pytest.mark.parametrize(("form", "path", "count"), SHIPPED, ids=lambda part: part.name if isinstance(part, Path) else None)
def test_what_arrives_is_what_the_file_holds(bring, write_file, form, path, count):
    inside = write_file("state.json", json.dumps(state_of(path))) if form == "terraform_state" else path
    plan = bring(inside, form, source=path.name, mapping=mapping_for(path.name, form))
    found = Counter(elements=Component.objects.count(), relations=Relation.objects.count())
    for one in plan.skipped:
        (why,) = [name for name, pattern in SKIPPED_WHY.items() if pattern.search(one.reason)]
        found[why] += 1
    assert found == count(path) == EXPECTED[path.name]


@pytest.mark.needs_sqlite
def test_the_packages_of_debian(bring):
    """Planned and not written: whatever ends on something that is no package is left out, and said."""
    plan = bring(DATA / "dependency-graph-debian", "csv", source="debian-bookworm", mapping=mapping_for("debian-bookworm", "csv"), apply=False)
    names = {row["name"] for row in rows_of(DATA / "dependency-graph-debian" / "bookworm-nodes.csv.xz")}
    ends = [{row["from"], row["to"]} for row in rows_of(DATA / "dependency-graph-debian" / "bookworm-edges.csv.xz")]
    there = sum(pair <= names for pair in ends)
    assert (plan.counts("component")["adds"], plan.counts("relation")["adds"], len(plan.skipped)) == (len(names), there, len(ends) - there)
    assert (len(names), there, len(ends) - there) == (63_436, 317_520, 97_151)
    assert all(GONE.match(one.reason) and "edges" in one.where for one in plan.skipped)


def test_no_shipped_file_is_forgotten():
    """A folder below data that holds an architecture stands in the table above."""
    told = {path.relative_to(DATA).parts[0] for _, path, _ in SHIPPED}
    told.add("dependency-graph-debian")
    others = {"change-log-osg", "freeze-calendar-k8s", "licences", "mappings"}
    assert {path.name for path in DATA.iterdir() if path.is_dir()} == told | others
