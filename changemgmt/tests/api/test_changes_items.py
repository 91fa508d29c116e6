"""Items of a change over the API: written, cascaded, imported; and the plan that names them."""

import json
import lzma
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changemgmt.architecture.models import Component
from changemgmt.changes.models import Change, Item
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db
PLANS = Path(__file__).parents[3] / "data" / "terraform-plans"


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def draft(cast, shop, now):
    return estate.draft(cast, now)


@pytest.fixture
def blank(cast, shop, api):
    """The number of a draft without items."""
    return api(cast.rita).post("/api/v1/changes/", {"title": "Blank"}).json()["number"]


def items(number):
    return f"/api/v1/changes/{number}/items/"


def test_an_item_is_written_and_answered_with_what_was_there(api, cast, blank):
    answer = api(cast.rita).post(items(blank), estate.UPGRADE)
    assert answer.status_code == 201 and answer["ETag"] == '"1.2"'
    body = answer.json()
    assert body["operation"] == "update" and body["key"] == "shop/db" and body["source"] is None and body["relation_type"] is None
    assert body["data"] == {"attributes": {"version": "16"}} and body["before"]["name"] == "Database" and body["layer"] == "technology"
    assert api(cast.vera).get(answer["Location"]).json() == body
    assert api(cast.vera).get(items(blank)).json()["results"] == [body]


def test_a_relation_is_addressed_by_its_ends_where_that_is_unambiguous(api, cast, blank):
    body = (
        api(cast.rita)
        .post(
            items(blank), {"operation": "delete", "object": "relation", "source": "shop/api", "relation_type": "serving", "target": "shop/checkout"}
        )
        .json()
    )
    assert body["key"] == "shop/api>shop/checkout" and body["source"] == "shop/api" and body["target"] == "shop/checkout"


def test_deleting_a_component_takes_its_relations_along_when_asked(api, cast, blank):
    gone = {"operation": "delete", "object": "component", "key": "shop/api"}
    refused = api(cast.rita).post(items(blank), gone)
    assert refused.status_code == 400 and "cascade" in refused.json()["detail"]
    answer = api(cast.rita).post(f"{items(blank)}?cascade=true", gone)
    assert answer.status_code == 201 and {item["key"] for item in answer.json()["cascaded"]} == {"shop/db>shop/api", "shop/api>shop/checkout"}
    assert Item.objects.count() == 3


def test_several_items_are_written_at_once_or_not_at_all(api, cast, blank):
    client = api(cast.rita)
    refused = client.post(items(blank), [estate.UPGRADE, {"operation": "create", "object": "component", "key": "shop/db"}])
    assert refused.status_code == 400 and any(name.startswith("items.1") for name in refused.json()["errors"]) and Item.objects.count() == 0
    answer = client.post(items(blank), [estate.UPGRADE, estate.CUT])
    assert answer.status_code == 201 and [item["key"] for item in answer.json()] == ["shop/db", "shop/api>shop/checkout"]


IMPOSSIBLE = [
    {},
    [],
    7,
    {"operation": "explode", "object": "component", "key": "shop/db"},
    {"operation": "update", "object": "component", "key": "shop/nowhere", "data": {"name": "x"}},
    {"operation": "update", "object": "component", "key": "shop/db", "data": {}},
    {"operation": "update", "object": "component", "key": "shop/db", "data": {"criticality": 9}},
    {"operation": "update", "object": "component", "key": "shop/db", "data": {"unknown": 9}},
    {"operation": "create", "object": "component", "key": "a\x01b", "data": {"name": "x", "type": "Node"}},
    {"operation": "create", "object": "component", "key": "x" * 301, "data": {"name": "x", "type": "Node"}},
    {"operation": "create", "object": "component", "key": "new", "data": {"name": "x", "type": "Unheard"}},
    {"operation": "create", "object": "relation", "source": "shop/db", "relation_type": "serving", "target": "shop/nowhere"},
    {"operation": "update", "object": "component", "key": "shop/db", "data": {"name": "x"}, "colour": "red"},
]


def test_what_can_t_be_done_to_the_architecture_is_refused_at_its_field(api, cast, blank):
    for item in IMPOSSIBLE:
        answer = api(cast.rita).post(items(blank), item, format="json")
        assert answer.status_code == 400 and (answer.json()["errors"] or item == []) and Item.objects.count() == 0


def test_an_item_is_altered_and_taken_back(api, cast, blank):
    client = api(cast.rita)
    made = client.post(items(blank), estate.UPGRADE)
    path, body = made["Location"], made.json()
    altered = client.patch(path, {**body, "data": {"attributes": {"version": "17"}}})
    assert altered.status_code == 200 and altered.json()["data"] == {"attributes": {"version": "17"}}
    assert client.patch(path, {"before": None}).status_code == 400 and client.patch(path, {"id": 9}).status_code == 400
    assert client.patch(path, {"data": {"criticality": "high"}}).status_code == 400
    assert client.delete(path, headers={"If-Match": '"1.2"'}).status_code == 412
    gone = client.delete(path, headers={"If-Match": altered["ETag"]})
    assert gone.status_code == 204 and gone["ETag"] == '"1.4"' and client.get(path).status_code == 404


def test_items_are_the_requester_s_and_need_the_version_beyond_draft(api, cast, shop, now):
    change = estate.in_review(cast, now)
    path = items(change.number)
    more = {"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "The API"}}
    for person in (cast.vera, cast.olga, cast.aud, cast.petra):
        assert api(person).post(path, {}).status_code == 403
    client = api(cast.rita)
    assert client.post(path, {}).status_code == 400
    assert client.post(path, more).status_code == 428
    assert client.post(path, more, headers={"If-Match": '"1.77"'}).status_code == 412
    assert change.items.count() == 2
    done = client.post(path, more, headers={"If-Match": f'"{change.etag}"'})
    assert done.status_code == 201 and done["ETag"] == '"2.1"' and estate.fresh(change).state == "in_review"


def test_an_item_of_another_change_is_not_found_here(api, cast, draft, blank):
    assert api(cast.rita).delete(f"{items(blank)}{draft.items.first().pk}/").status_code == 404
    assert draft.items.count() == 2


def upload(client, number, data, format, **fields):
    file = SimpleUploadedFile("items", data if isinstance(data, bytes) else data.encode())
    return client.post(f"{items(number)}import/", {"file": file, "format": format, **fields}, format="multipart")


def test_items_come_in_from_csv_and_what_can_t_is_skipped_with_its_line(api, cast, blank):
    text = (
        "operation,object,key,name,type,criticality,version,source,relation_type,target\n"
        "update,component,shop/db,,,5,16,,,\n"
        "create,component,cache,Cache,Node,3,,,,\n"
        "create,relation,,,,,,cache,serving,shop/api\n"
        "update,component,shop/none,None,,,,,,\n"
        "delete,component,shop/gone,,,,,,,\n"
        "create,component,odd,Odd,Unheard,,,,,\n"
        "update,component,shop/api,,,many,,,,\n"
    )
    answer = upload(api(cast.rita), blank, text, "csv")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert [(item["operation"], item["object"]) for item in body["items"]] == [
        ("update", "component"),
        ("create", "component"),
        ("create", "relation"),
    ]
    assert body["items"][0]["data"] == {"criticality": 5, "attributes": {"version": "16"}}
    assert [row["where"] for row in body["skipped"]] == ["line 5", "line 6", "line 7", "line 8"] and all(row["reason"] for row in body["skipped"])


def test_items_come_in_from_json_in_a_namespace(api, cast, blank):
    rows = [
        {"operation": "update", "key": "db", "data": {"name": "DB"}},
        {"operation": "create", "key": "queue", "data": {"name": "Q", "type": "Node"}},
        7,
    ]
    body = upload(api(cast.rita), blank, json.dumps({"items": rows}), "json", namespace="shop").json()
    assert [item["key"] for item in body["items"]] == ["shop/db", "shop/queue"] and body["skipped"] == [
        {"where": "items.2", "reason": "An item is an object."}
    ]


def test_a_terraform_plan_becomes_items(api, cast, blank):
    def change(actions, before, after, **more):
        return {"actions": actions, "before": before, "after": after, **more}

    secret = change(
        ["update"],
        {"size": 1, "password": "old"},
        {"size": 2, "password": "new"},
        before_sensitive={"password": True},
        after_sensitive={"password": True},
    )
    resources = [
        {"address": "aws_db.main", "mode": "managed", "type": "aws_db", "change": secret},
        {
            "address": "aws_vm.web",
            "mode": "managed",
            "type": "aws_vm",
            "change": change(["delete", "create"], {"ami": "a"}, {"ami": "b"}, after_unknown={"id": True}),
        },
        {
            "address": "aws_vm.new",
            "mode": "managed",
            "type": "aws_vm",
            "change": change(["create"], None, {"ami": "c", "tags": None}, after_unknown={"id": True}),
        },
        {"address": "aws_vm.old", "mode": "managed", "type": "aws_vm", "change": change(["delete"], {"ami": "d"}, None)},
        {"address": "aws_vm.same", "mode": "managed", "type": "aws_vm", "change": change(["no-op"], {}, {})},
        {"address": "data.aws_ami.x", "mode": "data", "type": "aws_ami", "change": change(["read"], None, {})},
    ]
    client = api(cast.rita)
    first = upload(client, blank, json.dumps({"resource_changes": resources}), "terraform_plan", namespace="tf").json()
    assert [item["key"] for item in first["items"]] == ["tf/aws_vm.new"] and len(first["skipped"]) == 3
    assert first["items"][0]["data"]["attributes"] == {"terraform_type": "aws_vm", "provider": "", "ami": "c", "id": "(known after apply)"}
    for key in ("aws_db.main", "aws_vm.web", "aws_vm.old"):
        Component.objects.create(
            key=f"tf/{key}", name=key, type=Component.objects.first().type, layer=Component.objects.first().layer, attributes={"size": 1}, revision=1
        )
    second = upload(client, blank, json.dumps({"resource_changes": resources[:2] + resources[3:]}), "terraform_plan", namespace="tf").json()
    assert [(item["key"], item["operation"], item["replace"]) for item in second["items"]] == [
        ("tf/aws_db.main", "update", False),
        ("tf/aws_vm.web", "update", True),
        ("tf/aws_vm.old", "delete", False),
    ]
    assert second["items"][0]["data"] == {"attributes": {"size": 2}} and "new" not in json.dumps(second["items"][0]["data"])
    assert second["items"][1]["data"] == {"attributes": {"ami": "b", "id": "(known after apply)"}}


@pytest.mark.parametrize(
    ("name", "creates", "updates"),
    [("infracost-example", 5, 0), ("aws-modules-checkov", 4, 0), ("complex-update-opentofu", 0, 1), ("drift-opentofu", 0, 2)],
)
def test_real_terraform_plans_are_read(api, cast, blank, name, creates, updates):
    from changemgmt.changes.item_files import read

    plan = lzma.decompress((PLANS / f"{name}.json.xz").read_bytes())
    found = read(plan, format="terraform_plan", namespace="tf")
    operations = [proposal.item["operation"] for proposal in found.items]
    assert (operations.count("create"), operations.count("update")) == (creates, updates)
    body = upload(api(cast.rita), blank, plan, "terraform_plan", namespace="tf", create_missing="true").json()
    assert [item["operation"] for item in body["items"]] == ["create"] * (creates + updates)
    drift = ["resource_drift.0, tfcoremock_simple_resource.base"] if name == "drift-opentofu" else []
    assert [one["where"] for one in body["skipped"]] == drift


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_plan_meets_the_components_that_its_state_brought(api, cast, blank, encoding):
    """Without create_missing: each item finds its component, a moved one under its former address, and nothing sensitive is stored."""
    document = json.loads(lzma.decompress((PLANS / "drift-opentofu.json.xz").read_bytes()))
    secret = {"actions": ["update"], "before": {"password": "old1"}, "after": {"password": "new1"}, "before_sensitive": {"password": True}}
    rows = [
        {"address": "vm.b", "previous_address": "vm.a", "change": {"actions": ["no-op"], "before": {}, "after": {}}},
        {"address": "db.main", "change": secret | {"after_sensitive": {"password": True}}},
    ]
    document["resource_changes"] += rows
    document["prior_state"]["values"]["root_module"]["resources"] += [
        {"address": "vm.a", "values": {}},
        {"address": "db.main", "values": {"password": "old1"}, "sensitive_values": {"password": True}},
    ]
    state = SimpleUploadedFile("s.json", json.dumps(document["prior_state"]).encode(encoding))
    fields = {"format": "terraform_state", "mode": "apply", "source": "tf", "namespace": "tf"}
    assert api(cast.max).post("/api/v1/architecture/imports/", {"file": state, **fields}, format="multipart").json()["components"]["adds"] == 4
    body = upload(api(cast.rita), blank, json.dumps(document).encode(encoding), "terraform_plan", namespace="tf").json()
    assert [(item["operation"], item["key"]) for item in body["items"]] == [
        ("update", "tf/tfcoremock_simple_resource.base"),
        ("update", "tf/tfcoremock_simple_resource.dependent"),
        ("update", "tf/vm.a"),
        ("update", "tf/db.main"),
    ]
    assert body["items"][2]["data"] == {"name": "vm.b"} and body["items"][3]["data"] == {"attributes": {"password": "(sensitive)"}}
    assert [row["where"] for row in body["skipped"]] == ["resource_drift.0, tfcoremock_simple_resource.base"]
    assert not {"old1", "new1"} & set(json.dumps([body, list(Component.objects.values_list("attributes"))]).replace('"', " ").split())


UNREADABLE = [
    (b"{", "json", {}),
    (b"{}", "json", {}),
    (b"[" * 100_000, "json", {}),
    (b'[{"key": NaN}]', "json", {}),
    (b"\xff\xfe", "csv", {}),
    (b"", "csv", {}),
    (b"name,type\nx,y\n", "csv", {}),
    (b"key,key\nx,y\n", "csv", {}),
    (b'key\n"open\n', "csv", {}),
    (b"key\n\x00\n", "csv", {}),
    (b"{}", "terraform_plan", {}),
    (b"[]", "terraform_plan", {}),
    (b"[]", "yaml", {}),
    (b'{"resource_changes": [{"address": "\\ud800", "change": {"actions": ["forget"]}}]}', "terraform_plan", {}),
    (b"[]", "json", {"create_missing": "perhaps"}),
    (b"[]", "json", {"colour": "red"}),
    (b"[]", "json", {"namespace": "a\nb"}),
]


def test_a_file_that_can_t_be_read_is_refused_with_the_place_and_nothing_is_stored(api, cast, blank):
    for data, format, fields in UNREADABLE:
        answer = upload(api(cast.rita), blank, data, format, **fields)
        assert answer.status_code == 400 and answer.json()["errors"] and Item.objects.count() == 0


def test_an_import_is_multipart_and_the_requester_s(api, cast, draft):
    path = f"{items(draft.number)}import/"
    assert api(cast.rita).post(path, {}, format="json").status_code == 415
    assert upload(api(cast.vera), draft.number, "[]", "nonsense").status_code == 403


# --- the plan ---


def plan(number):
    return f"/api/v1/changes/{number}/plan/"


def test_the_plan_is_read_with_its_findings_and_replaced_whole(api, cast, draft):
    client = api(cast.rita)
    first = client.get(plan(draft.number))
    body = first.json()
    assert [step["id"] for step in body["steps"]] == ["upgrade", "cut"] and body["strategy"] == "all_at_once" and body["findings"]
    assert {"name", "agent", "action", "parameters", "depends_on", "timeout_seconds", "retries", "manual", "irreversible", "items"} <= body["steps"][
        0
    ].keys()
    body["steps"] = body["steps"][:1]
    answer = client.put(plan(draft.number), body, headers={"If-Match": first["ETag"]})
    assert answer.status_code == 200 and len(answer.json()["steps"]) == 1 and answer["ETag"] != first["ETag"]
    assert client.put(plan(draft.number), body, headers={"If-Match": first["ETag"]}).status_code == 412


def test_steps_are_added_altered_moved_and_removed(api, cast, draft):
    client, path = api(cast.rita), f"{plan(draft.number)}steps/"
    added = client.post(path, {"id": "tell", "name": "Tell", "manual": True, "position": 1, "compensation": {"action": "Tell again"}})
    assert added.status_code == 201 and added.json()["agent"] == "person"
    assert [row["id"] for row in client.get(path).json()["results"]] == ["tell", "upgrade", "cut"]
    altered = client.patch(f"{path}cut/", {"depends_on": ["upgrade"], "position": 2})
    assert altered.status_code == 200 and altered.json()["depends_on"] == ["upgrade"] and altered.json()["items"]
    renamed = client.patch(f"{path}upgrade/", {"id": "update"})
    assert renamed.status_code == 200 and client.get(f"{path}cut/").json()["depends_on"] == ["update"]
    assert client.delete(f"{path}update/").status_code == 400
    assert client.delete(f"{path}cut/").status_code == 204
    assert [row["id"] for row in client.get(path).json()["results"]] == ["tell", "update"]
    assert client.get(f"{path}cut/").status_code == 404


NO_PLANS = [
    {"steps": "all"},
    {"steps": [{"id": "a b"}]},
    {"steps": [{"id": "a"}, {"id": "a"}]},
    {"steps": [{"id": "a", "depends_on": ["b"]}]},
    {"steps": [{"id": "a", "depends_on": ["a"]}]},
    {"steps": [{"id": "a", "items": [999999]}]},
    {"steps": [{"id": "a", "timeout_seconds": 0}]},
    {"steps": [{"id": "a", "colour": "red"}]},
    {"strategy": "hope"},
    {"on_failure": "cry"},
    {"gates": [{"kind": "secret"}]},
    {"colour": "red"},
    {"gates": [{"name": "g", "kind": "entry", "criteria": {"field": "password", "op": "eq", "value": 1}}]},
]


def test_a_plan_that_can_t_be_is_refused_at_the_place(api, cast, draft):
    for body in NO_PLANS:
        answer = api(cast.rita).put(plan(draft.number), body)
        assert answer.status_code == 400 and answer.json()["errors"], answer.content
        assert Change.objects.get().edits == draft.edits


def test_the_plan_is_refused_to_others_and_without_the_version(api, cast, shop, now):
    change = estate.in_review(cast, now)
    assert api(cast.vera).put(plan(change.number), {"colour": 1}).status_code == 403
    client = api(cast.rita)
    assert client.put(plan(change.number), {"colour": 1}).status_code == 400
    assert client.put(plan(change.number), {"steps": []}).status_code == 428
    assert client.post(f"{plan(change.number)}steps/", {"id": "x"}).status_code == 428
    assert client.post(f"{plan(change.number)}steps/", {"id": "no good"}).status_code == 400
