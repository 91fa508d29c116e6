"""Terraform states, Compose files and CycloneDX bills of materials: what is taken, what is never stored, and what hangs on what."""

import json
import lzma

import pytest

from changemgmt.architecture.models import Component, ComponentType, Relation
from changemgmt.architecture.queries import current_revision
from changemgmt.core.errors import Invalid

from .conftest import DATA

PLANS = DATA / "terraform-plans"
SECRET = "hunter2"


def stored():
    """Everything the architecture holds, as one text."""
    rows = [list(model.objects.values_list("key", "attributes")) for model in (Component, Relation)]
    return json.dumps([rows, list(Component.objects.values_list("name", "owner", "tags"))])


def attributes(key):
    return Component.objects.get(key=key).attributes


def ends():
    return sorted((row.source.key, row.type.name, row.target.key) for row in Relation.objects.select_related("source", "target", "type"))


# --- terraform ---


def shown(*resources, modules=()):
    return json.dumps({"format_version": "1.0", "values": {"outputs": {"o": {"value": SECRET}}, "root_module": module(*resources, modules=modules)}})


def module(*resources, modules=(), address=""):
    return {"address": address, "resources": list(resources), "child_modules": list(modules)}


def resource(address, *depends_on, values=None, mode="managed", **more):
    kind, name = address.split(".")[-2:]
    row = {"address": address, "mode": mode, "type": kind, "name": name, "provider_name": "acme/cloud", "depends_on": list(depends_on)}
    return row | ({"values": values, "sensitive_values": {}} if values is not None else {}) | more


def test_a_state_becomes_components_with_what_they_depend_on(bring, write_file):
    inner = module(resource("module.net.vm.web[0]", "module.net.subnet.a", values={"size": 2}), address="module.net")
    inner["resources"].append(resource("module.net.subnet.a", values={"range": "10.0.0.0/8", "tags": None}))
    path = write_file("state.json", shown(resource("dns.www", "module.net.vm.web", values={"ttl": 60}), modules=[inner]))
    plan = bring(path, "terraform_state", namespace="prod")
    assert plan.skipped == []
    assert ends() == [
        ("prod/dns.www", "dependsOn", "prod/module.net.vm.web[0]"),
        ("prod/module.net.vm.web[0]", "dependsOn", "prod/module.net.subnet.a"),
    ]
    subnet = Component.objects.select_related("type", "layer").get(key="prod/module.net.subnet.a")
    assert (subnet.name, subnet.type.name, subnet.layer.name) == ("module.net.subnet.a", "resource", "technology")
    assert subnet.attributes == {"terraform_type": "subnet", "provider": "acme/cloud", "module": "module.net", "range": "10.0.0.0/8"}
    assert bring(path, "terraform_state", namespace="prod").steps == []
    assert current_revision() == 1


def test_a_dependency_stays_within_the_instance_of_a_module(bring, write_file):
    modules = [
        module(
            resource(f'module.shop["{name}"].vm.web', "module.shop.db.main", "disk.shared", values={}),
            resource(f'module.shop["{name}"].db.main', values={}),
            address=f'module.shop["{name}"]',
        )
        for name in ("eu", "us")
    ]
    bring(
        write_file("s.json", shown(resource("disk.shared[0]", values={}), resource("disk.shared[1]", values={}), modules=modules)), "terraform_state"
    )
    for name in ("eu", "us"):
        targets = [end[2] for end in ends() if end[0] == f'module.shop["{name}"].vm.web']
        assert targets == ["disk.shared[0]", "disk.shared[1]", f'module.shop["{name}"].db.main']


def test_data_sources_and_leftovers_are_reported_and_not_taken(bring, write_file):
    rows = [
        resource("vm.web", "data.image.base", "vm.gone", values={}),
        resource("data.image.base", mode="data", values={"id": "x"}),
        resource("vm.web", values={}, deposed_key="ab12"),
        {"mode": "managed"},
    ]
    plan = bring(write_file("s.json", shown(*rows)), "terraform_state")
    assert [(one.where.removeprefix("s.json, values.root_module."), one.reason) for one in plan.skipped] == [
        ("resources[1]", "'data.image.base' is a data source: it is looked up there, not managed."),
        ("resources[2]", "It is what a replacement left behind of 'vm.web'."),
        ("resources[3]", "It has no address."),
        ("resources[0].depends_on", "The dependsOn relation ends on 'vm.gone', which is not there."),
    ]
    assert Component.objects.count() == 1


def test_nothing_sensitive_of_a_state_is_stored(bring, write_file):
    values = {
        "name": "main",
        "password": SECRET,
        "admin": {"login": "root", "pin": SECRET},
        "keys": [{"id": 1, "value": SECRET}, {"id": 2, "value": "open"}],
        "api_token": SECRET,
        "get_password_data": False,
        "url": f"https://root:{SECRET}@db.example.org/",
        "pem": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}",
    }
    marks = {"password": True, "admin": {"pin": True}, "keys": [{"value": True}]}
    unmarked = resource("vm.old", values={"anything": SECRET})
    del unmarked["sensitive_values"]
    whole = resource("vm.all", values={"anything": SECRET}, sensitive_values=True)
    bring(write_file("s.json", shown(resource("db.main", values=values, sensitive_values=marks), unmarked, whole)), "terraform_state")
    assert SECRET not in stored()
    hidden = "(sensitive)"
    assert attributes("db.main") == {
        "terraform_type": "db",
        "provider": "acme/cloud",
        "name": "main",
        "password": hidden,
        "admin": {"login": "root", "pin": hidden},
        "keys": [{"id": 1, "value": hidden}, {"id": 2, "value": "open"}],
        "api_token": hidden,
        "get_password_data": False,
        "url": hidden,
        "pem": hidden,
    }
    assert attributes("vm.old")["attribute_names"] == attributes("vm.all")["attribute_names"] == ["anything"]


def test_of_a_state_file_itself_only_names_are_kept(bring, write_file):
    instances = [
        {"index_key": key, "attributes": {"password": SECRET, "id": "i-1"}, "sensitive_attributes": [], "private": SECRET, "dependencies": ["net.a"]}
        for key in (0, 'say "x"')
    ]
    state = {
        "version": 4,
        "serial": 7,
        "lineage": "x",
        "outputs": {"password": {"value": SECRET, "type": "string", "sensitive": True}},
        "resources": [
            {"module": "module.m", "mode": "managed", "type": "vm", "name": "web", "provider": 'provider["acme/cloud"]', "instances": instances},
            {"mode": "managed", "type": "net", "name": "a", "provider": 'provider["acme/cloud"]', "instances": [{"attributes": {}}, 7]},
            {"mode": "data", "type": "image", "name": "base", "provider": "", "instances": [{"attributes": {"id": SECRET}}]},
            {"mode": "managed"},
        ],
    }
    plan = bring(write_file("terraform.tfstate", json.dumps(state)), "terraform_state")
    assert SECRET not in stored()
    assert ends() == [('module.m.vm.web["say \\"x\\""]', "dependsOn", "net.a"), ("module.m.vm.web[0]", "dependsOn", "net.a")]
    expected = {"terraform_type": "vm", "provider": "acme/cloud", "module": "module.m", "attribute_names": ["id", "password"]}
    assert attributes("module.m.vm.web[0]") == expected
    assert [one.where.partition(", ")[2] for one in plan.skipped] == ["resources[1].instances[1]", "resources[2].instances[0]", "resources[3]"]


def test_addresses_of_old_states_are_completed_by_module_and_instance(bring, write_file):
    rows = [resource("disk.a", values={"x": 1}, index=number) for number in (0, "b")]
    inner = module(resource("vm.web"), resource("module.net.vm.db"), address="module.net")
    bring(write_file("s.json", shown(*rows, modules=[inner])), "terraform_state")
    keys = sorted(Component.objects.values_list("key", flat=True))
    assert keys == ['disk.a["b"]', "disk.a[0]", "module.net.vm.db", "module.net.vm.web"]


def test_a_dependency_on_very_many_instances_is_told_and_not_drawn(bring, write_file):
    many = [resource(f"disk.all[{number}]", values={}) for number in range(201)]
    plan = bring(write_file("s.json", shown(resource("vm.web", "disk.all", values={}), *many)), "terraform_state")
    assert [one.reason for one in plan.skipped] == ["'vm.web' depends on 201 instances of 'disk.all'; more than 200 are not drawn."]
    assert (Component.objects.count(), Relation.objects.count()) == (202, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"])
def test_a_state_is_read_in_the_encodings_shells_write(bring, write_file, encoding):
    text = shown(resource("vm.grün", values={"city": "Zürich"}))
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom" else text.encode(encoding)
    bring(write_file("s.json", content), "terraform_state")
    assert attributes("vm.grün")["city"] == "Zürich"


def test_an_empty_state_removes_what_its_source_claimed(bring, write_file):
    bring(write_file("s.json", shown(resource("vm.web", values={}))), "terraform_state")
    plan = bring(write_file("s.json", '{"format_version": "1.0", "terraform_version": "1.9.0"}'), "terraform_state")
    assert (plan.counts("component")["removes"], Component.objects.count()) == (1, 0)


@pytest.mark.parametrize("name", ["drift-opentofu", "complex-update-opentofu"])
def test_a_plan_speaks_of_the_components_its_state_made(bring, write_file, name):
    """What a plan says was there before is what the state brought: keys and values are the same on both ways."""
    from changemgmt.changes.item_files import read

    raw = lzma.decompress((PLANS / f"{name}.json.xz").read_bytes())
    bring(write_file("s.json", json.dumps(json.loads(raw)["prior_state"])), "terraform_state")
    for proposal in read(raw, format="terraform_plan").items:
        live = attributes(proposal.item["key"])
        assert proposal.item["operation"] == "update" and proposal.item["data"]["attributes"]
        assert {"terraform_type", "provider"} <= live.keys() & proposal.whole["attributes"].keys()
        assert live["id"] == proposal.whole["attributes"]["id"]


# --- compose ---

SHOP = f"""
name: shop
x-env: &env
  DB_PASSWORD: {SECRET}
  MODE: live
services:
  web:
    image: shop/web:4
    build: {{context: ., args: {{TOKEN: {SECRET}}}}}
    command: serve --password {SECRET}
    depends_on:
      db: {{condition: service_healthy}}
      cache: {{condition: service_started}}
    links: ["cache:redis"]
    networks: {{front: {{aliases: [www]}}, default: }}
    volumes: ["uploads:/up", "./conf:/etc/web:ro", "/var/run/x:/x", "C:\\\\data:/d", "/anonymous"]
    environment: *env
    labels: {{"traefik.auth.users": "admin:{SECRET}"}}
    ports: ["80:8080", {{target: 9090, published: "9090", protocol: tcp}}]
    secrets: [db, {{source: cert, target: /c}}]
    configs: [site]
    deploy: {{replicas: 3}}
  db:
    image: postgres:16
    hostname: "postgres://root:{SECRET}@db/"
    volumes:
      - {{type: volume, source: uploads, target: /a}}
      - {{type: volume, source: uploads, target: /b}}
      - {{type: bind, source: ./x, target: /x}}
    environment: ["POSTGRES_PASSWORD={SECRET}", "PGDATA"]
    networks: [front]
  cache: {{image: "redis:${{REDIS_TOKEN:-{SECRET}}}"}}
  sidecar: {{network_mode: "service:web", volumes_from: ["db:ro", "container:other"], extends: {{service: cache}}}}
networks:
  front: {{driver: overlay}}
volumes:
  uploads: {{external: true, driver_opts: {{o: "password={SECRET}"}}}}
secrets:
  db: {{environment: DB}}
  cert: {{file: ./cert.pem}}
configs:
  site: {{content: "{SECRET}"}}
"""


def test_a_compose_file_becomes_services_and_what_they_use(bring, write_file):
    path = write_file("compose.yaml", SHOP)
    plan = bring(path, "compose")
    assert plan.skipped == [] and plan.new_types == []
    assert sorted(Component.objects.values_list("key", "type__name", "layer__name")) == [
        ("cache", "service", "application"),
        ("config:site", "config", "technology"),
        ("db", "service", "application"),
        ("network:default", "network", "technology"),
        ("network:front", "network", "technology"),
        ("secret:cert", "secret", "technology"),
        ("secret:db", "secret", "technology"),
        ("sidecar", "service", "application"),
        ("volume:uploads", "volume", "data"),
        ("web", "service", "application"),
    ]
    assert ends() == [
        ("db", "uses", "network:front"),
        ("db", "uses", "volume:uploads"),
        ("sidecar", "dependsOn", "db"),
        ("sidecar", "dependsOn", "web"),
        ("sidecar", "specialization", "cache"),
        ("web", "dependsOn", "cache"),
        ("web", "dependsOn", "db"),
        ("web", "uses", "config:site"),
        ("web", "uses", "network:default"),
        ("web", "uses", "network:front"),
        ("web", "uses", "secret:cert"),
        ("web", "uses", "secret:db"),
        ("web", "uses", "volume:uploads"),
    ]
    assert Relation.objects.get(source__key="web", target__key="db").attributes == {"condition": "service_healthy"}
    assert Relation.objects.get(source__key="db", target__key="volume:uploads").attributes == {"targets": ["/a", "/b"]}
    assert bring(path, "compose").steps == []


def test_of_environment_labels_and_secrets_only_names_are_stored(bring, write_file):
    bring(write_file("compose.yaml", SHOP), "compose", namespace="shop")
    assert SECRET not in stored()
    assert attributes("shop/web") == {
        "image": "shop/web:4",
        "build": ".",
        "environment": ["DB_PASSWORD", "MODE"],
        "labels": ["traefik.auth.users"],
        "ports": ["80:8080", "9090:9090/tcp"],
        "replicas": 3,
        "project": "shop",
    }
    assert attributes("shop/db") == {
        "image": "postgres:16",
        "hostname": "(sensitive)",
        "environment": ["PGDATA", "POSTGRES_PASSWORD"],
        "project": "shop",
    }
    assert attributes("shop/volume:uploads") == {"external": True, "project": "shop"}
    assert attributes("shop/config:site") == {"project": "shop"}


def test_what_a_compose_file_points_to_in_vain_is_reported(bring, write_file):
    text = """
include: [other.yaml]
services:
  a: {depends_on: [b, ghost, 7], networks: [nowhere], volumes: [5, "vol:/v"], extends: {file: x.yaml, service: y}}
  b: {depends_on: [a], ports: 80, secrets: [[1]]}
  c: just text
"""
    plan = bring(write_file("compose.yml", text), "compose")
    assert sorted(Component.objects.values_list("key", flat=True)) == ["a", "b"]
    assert ends() == [("a", "dependsOn", "b"), ("b", "dependsOn", "a")]
    follow = "Other files are not followed: give what `docker compose config` prints."
    assert [(one.where.removeprefix("compose.yml, "), one.reason) for one in plan.skipped] == [
        ("include", follow),
        ("services.a.depends_on", "It holds int, where a name is expected."),
        ("services.a.extends", follow),
        ("services.a.volumes", "It holds int, where a name is expected."),
        ("services.b.secrets", "It holds list, where a name is expected."),
        ("services.c", "A service is an object."),
        ("services.a", "The dependsOn relation ends on 'ghost', which is not there."),
        ("services.a", "The uses relation ends on 'volume:vol', which is not there."),
        ("services.a", "The uses relation ends on 'network:nowhere', which is not there."),
    ]


# --- CycloneDX ---

UUID = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"
BILL = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"type": "application", "name": "shop", "version": "2", "bom-ref": "shop@2"}},
    "components": [
        {
            "type": "library",
            "group": "org.acme",
            "name": "json",
            "version": "1.2",
            "bom-ref": UUID,
            "purl": "pkg:maven/org.acme/json@1.2",
            "supplier": {"name": "Acme", "contact": [{"email": "someone@example.org"}]},
            "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "House"}}, {"expression": "MIT OR Apache-2.0"}],
            "hashes": [{"alg": "SHA-1", "content": "ab"}],
            "properties": [{"name": "token", "value": SECRET}],
            "components": [{"type": "file", "name": "inner", "bom-ref": "inner"}],
        },
        {"type": "library", "group": "g", "name": "plain", "version": "3"},
    ],
    "services": [{"name": "billing", "bom-ref": "svc", "endpoints": [f"https://u:{SECRET}@b.example.org"]}],
    "dependencies": [
        {"ref": "shop@2", "dependsOn": [UUID, "svc", UUID]},
        {"ref": UUID, "dependsOn": ["shop@2"], "provides": ["inner"]},
        {"ref": "svc"},
    ],
}
BILL_XML = f"""<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.6" version="1">
<metadata><tools><component type="library"><name>maker</name></component></tools>
<component type="application" bom-ref="shop@2"><name>shop</name><version>2</version></component></metadata>
<components><component type="library" bom-ref="{UUID}"><supplier><name>Acme</name></supplier><group>org.acme</group><name>json</name><version>1.2</version>
<hashes><hash alg="SHA-1">ab</hash></hashes>
<licenses><license><id>MIT</id></license><license><name>House</name></license><expression>MIT OR Apache-2.0</expression></licenses>
<purl>pkg:maven/org.acme/json@1.2</purl><properties><property name="token">{SECRET}</property></properties>
<components><component type="file" bom-ref="inner"><name>inner</name></component></components></component>
<component type="library"><group>g</group><name>plain</name><version>3</version></component></components>
<services><service bom-ref="svc"><name>billing</name><endpoints><endpoint>https://u:{SECRET}@b.example.org</endpoint></endpoints></service></services>
<dependencies><dependency ref="shop@2"><dependency ref="{UUID}"/><dependency ref="svc"/><dependency ref="{UUID}"/></dependency>
<dependency ref="{UUID}"><dependency ref="shop@2"/><provides ref="inner"/></dependency><dependency ref="svc"/></dependencies>
</bom>"""


@pytest.mark.parametrize(("name", "content"), [("bom.json", json.dumps(BILL)), ("bom.xml", BILL_XML), ("bom.cdx", BILL_XML)])
def test_a_bill_of_materials_arrives_from_both_forms_alike(bring, write_file, name, content):
    path = write_file(name, content)
    plan = bring(path, "cyclonedx")
    assert plan.skipped == [] and plan.new_types == []
    package = "pkg:maven/org.acme/json@1.2"
    assert sorted(Component.objects.values_list("key", "name", "type__name", "layer__name")) == [
        ("g/plain@3", "plain", "library", "application"),
        ("inner", "inner", "file", "technology"),
        (package, "json", "library", "application"),
        ("shop@2", "shop", "application", "application"),
        ("svc", "billing", "service", "application"),
    ]
    assert ends() == [
        (package, "composition", "inner"),
        (package, "dependsOn", "shop@2"),
        (package, "provides", "inner"),
        ("shop@2", "dependsOn", package),
        ("shop@2", "dependsOn", "svc"),
    ]
    assert attributes(package) == {
        "group": "org.acme",
        "version": "1.2",
        "purl": package,
        "supplier": "Acme",
        "licenses": ["MIT", "House", "MIT OR Apache-2.0"],
        "hashes": {"SHA-1": "ab"},
    }
    assert SECRET not in stored() and "example.org" not in stored()
    assert bring(path, "cyclonedx").steps == []


def test_broken_parts_of_a_bill_are_reported_with_their_place(bring, write_file):
    bill = {
        "bomFormat": "CycloneDX",
        "components": [{"type": "library", "name": "a", "bom-ref": "a"}, {"type": "library"}, 5, {"type": "library", "name": "b", "bom-ref": "a"}],
        "dependencies": [{"ref": "a", "dependsOn": ["ghost", 5]}, {"dependsOn": []}, "x"],
    }
    plan = bring(write_file("bom.json", json.dumps(bill)), "cyclonedx")
    assert [(one.where.removeprefix("bom.json, "), one.reason) for one in plan.skipped] == [
        ("components[1]", "A component is an object with a name."),
        ("components[2]", "A component is an object with a name."),
        ("components[3]", "The key 'a' was there before, at bom.json, components[0]."),
        ("dependencies[0], dependsOn", "It holds something that is no reference."),
        ("dependencies[1]", "A dependency is an object with a ref."),
        ("dependencies[2]", "A dependency is an object with a ref."),
        ("dependencies[0]", "The dependsOn relation ends on 'ghost', which is not there."),
    ]


# --- all of them ---

EXAMPLES = {
    "terraform_state": ("s.json", shown(resource("vm.web", "net.a", values={}), resource("net.a", values={}))),
    "compose": ("compose.yaml", SHOP),
    "cyclonedx": ("bom.json", json.dumps(BILL)),
}


@pytest.mark.parametrize("form", EXAMPLES)
def test_a_preview_writes_nothing_and_a_thing_stays_while_another_source_claims_it(bring, write_file, form):
    name, content = EXAMPLES[form]
    path = write_file(name, content)
    preview = bring(path, form, apply=False)
    assert preview.counts("component")["adds"] > 1 and not Component.objects.exists()
    bring(path, form, source="one")
    count = Component.objects.count()
    bring(path, form, source="two")
    nothing = write_file("empty.json", '{"components": [], "relations": []}')
    assert bring(nothing, "json", source="one").steps == [] and Component.objects.count() == count
    bring(nothing, "json", source="two")
    assert not Component.objects.exists() and not Relation.objects.exists()


@pytest.mark.parametrize("form", EXAMPLES)
def test_types_nobody_knows_are_left_out_when_none_may_be_made(bring, write_file, form):
    ComponentType.objects.filter(name__in=["resource", "service", "library"]).delete()
    name, content = EXAMPLES[form]
    plan = bring(write_file(name, content), form, create_types=False)
    assert any("There is no component type" in one.reason for one in plan.skipped)


OF_FORM = {"archi": "model", "archimate": "model", "backstage": "catalog", "csv": "table"}
FORMS = ("archimate", "archi", "backstage", "terraform_state", "compose", "cyclonedx", "csv", "json")


@pytest.mark.parametrize(
    ("form", "example"),
    [(form, example) for form in FORMS for example in [*EXAMPLES, "model", "catalog", "table"] if OF_FORM.get(form, form) != example],
)
def test_a_file_of_another_format_is_refused_and_removes_nothing(bring, write_file, form, example):
    others = {
        "model": ("m.archimate", (DATA / "archisurance" / "archisurance.archimate").read_bytes()),
        "catalog": ("c.yaml", (DATA / "backstage-catalog" / "components" / "petstore-component.yaml").read_bytes()),
        "table": ("nodes.csv", b"key,type\na,Node\n"),
    }
    bring(write_file("old.csv", "key,type\nkept,Node\n"), "csv", source="s")
    name, content = (EXAMPLES | others)[example]
    with pytest.raises(Invalid):
        bring(write_file(name, content), form, source="s")
    assert list(Component.objects.values_list("key", flat=True)) == ["kept"]
