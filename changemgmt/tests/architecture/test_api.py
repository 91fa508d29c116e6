"""The architecture over the API, and on the command line."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from changemgmt.architecture.models import Component, ImportRun, Relation
from changemgmt.architecture.queries import current_revision
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event

from .conftest import DATA
from .test_states_and_bills import EXAMPLES

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def shop(seeded, do):
    do(
        Operation("create", "component", "pay/till", data={"name": "Till", "type": "Node", "users": 5}),
        Operation("create", "component", "shop", data={"name": "Shop", "type": "ApplicationComponent", "tags": ["front"]}),
        Operation("create", "relation", "r/1", "pay/till", "shop", "serving"),
    )


def test_components_are_listed_searched_and_filtered(shop, api, cast, django_assert_max_num_queries):
    client = api(cast.vera)
    with django_assert_max_num_queries(15):
        answer = client.get(f"{V1}components/?count=true").json()
    assert (answer["count"], [row["key"] for row in answer["results"]]) == (2, ["pay/till", "shop"])
    assert answer["results"][0]["revision"] == 1
    assert [row["key"] for row in client.get(f"{V1}components/?q=TIL").json()["results"]] == ["pay/till"]
    assert [row["key"] for row in client.get(f"{V1}components/?layer=application&layer=data").json()["results"]] == ["shop"]
    assert [row["key"] for row in client.get(f"{V1}components/?tag=front").json()["results"]] == ["shop"]
    assert client.get(f"{V1}components/?bogus=1").status_code == 400


def test_a_key_with_a_slash_stands_in_the_path_plain_or_encoded(shop, api, cast):
    client = api(cast.vera)
    for path in ("pay/till", "pay%2Ftill"):
        assert client.get(f"{V1}components/{path}/").json()["name"] == "Till"
    number = Relation.objects.get().pk
    assert client.get(f"{V1}relations/r/1/").json() == client.get(f"{V1}relations/{number}/").json()
    assert client.get(f"{V1}components/none/").status_code == 404


def test_only_administrators_and_change_managers_edit_directly_and_it_is_on_the_record(shop, api, cast):
    body = {"key": "new/one", "name": "One", "type": "Node"}
    for user in (cast.vera, cast.rita, cast.ian, cast.aud):
        assert api(user).post(f"{V1}components/", body, format="json").status_code == 403
    answer = api(cast.max).post(f"{V1}components/", body, format="json")
    assert (answer.status_code, answer.json()["layer"], answer.json()["revision"]) == (201, "technology", 2)
    answer = api(cast.ada).patch(f"{V1}components/new/one/", {"criticality": 5, "attributes": {"a": 1}}, format="json")
    assert (answer.status_code, answer.json()["criticality"]) == (200, 5)
    assert api(cast.ada).delete(f"{V1}components/new/one/").status_code == 204
    actions = list(Event.objects.filter(object="component:new/one").order_by("pk").values_list("action", flat=True))
    assert actions == ["component.created", "component.updated", "component.deleted"]


def test_wrong_bodies_are_named_by_field(shop, api, cast):
    client = api(cast.max)
    for body, field in [
        ({"key": "x", "type": "Unheard"}, "type"),
        ({"key": "x"}, "type"),
        ({"key": "", "type": "Node"}, "key"),
        ({"key": "x", "type": "Node", "bogus": 1}, "bogus"),
        ({"key": "x", "type": "Node", "revision": 7}, "revision"),
        ({"key": "shop", "type": "Node"}, "key"),
        ([], "body"),
    ]:
        answer = client.post(f"{V1}components/", body, format="json")
        assert (answer.status_code, field in answer.json()["errors"]) == (400, True), answer.content
    assert client.patch(f"{V1}components/shop/", {"key": "other"}, format="json").status_code == 400


def test_deleting_a_component_names_its_relations_or_takes_them_along(shop, api, cast):
    client = api(cast.max)
    answer = client.delete(f"{V1}components/shop/")
    assert answer.status_code == 400 and "r/1" in answer.json()["detail"]
    assert client.delete(f"{V1}components/shop/?cascade=true").status_code == 204
    assert not Relation.objects.exists()


def test_relations_are_made_changed_and_deleted(shop, api, cast):
    client = api(cast.max)
    answer = client.post(f"{V1}relations/", {"source": "shop", "target": "pay/till", "type": "flow"}, format="json")
    assert (answer.status_code, answer.json()["key"]) == (201, "shop|flow|pay/till")
    path = f"{V1}relations/{answer.json()['id']}/"
    assert client.patch(path, {"attributes": {"port": 1}}, format="json").json()["attributes"] == {"port": 1}
    assert client.patch(path, {"target": "shop"}, format="json").status_code == 400
    assert client.post(f"{V1}relations/", {"source": "shop", "target": "none", "type": "flow"}, format="json").json()["errors"].keys() == {"target"}
    assert [row["key"] for row in client.get(f"{V1}relations/?component=shop").json()["results"]] == ["r/1", "shop|flow|pay/till"]
    assert client.delete(path).status_code == 204


def test_layers_and_types_are_kept_and_what_they_conduct_takes_effect_at_once(shop, api, cast):
    client = api(cast.ada)
    assert {row["name"] for row in client.get(f"{V1}layers/").json()["results"]} == {"business", "application", "data", "technology"}
    ask = lambda: client.post(f"{V1}architecture/impact/", {"components": ["pay/till"]}, format="json").json()  # noqa: E731
    assert ask()["affected"][0]["score"] == 0.72
    assert client.patch(f"{V1}relation-types/serving/", {"weight": 0.5}, format="json").status_code == 200
    assert ask()["affected"][0]["score"] == 0.4
    assert client.patch(f"{V1}relation-types/serving/", {"layers": ["business"]}, format="json").json()["layers"] == ["business"]
    assert ask()["affected"] == []
    assert client.delete(f"{V1}relation-types/serving/").status_code == 409
    assert client.patch(f"{V1}relation-types/serving/", {"weight": 2}, format="json").status_code == 400
    assert client.post(f"{V1}layers/", {"name": "space", "order": 9}, format="json").status_code == 201
    assert client.post(f"{V1}layers/", {"name": "space", "order": 9}, format="json").status_code == 400
    made = client.post(f"{V1}component-types/", {"name": "Probe", "layer": "space", "schema": {"required": ["mass"]}}, format="json")
    assert made.status_code == 201
    assert client.post(f"{V1}component-types/", {"name": "Bad", "layer": "space", "schema": {"type": 7}}, format="json").status_code == 400
    answer = client.post(f"{V1}components/", {"key": "p", "type": "Probe"}, format="json")
    assert answer.json()["errors"].keys() == {"attributes"}
    assert api(cast.vera).patch(f"{V1}layers/space/", {"order": 1}, format="json").status_code == 403


def test_impact_says_what_is_reached_and_why(shop, api, cast):
    answer = api(cast.vera).post(f"{V1}architecture/impact/", {"components": ["pay/till"], "operation": "delete"}, format="json").json()
    assert (answer["direct"], answer["users"], answer["by_layer"]) == (["pay/till"], 5, {"application": 1})
    (row,) = answer["affected"]
    assert (row["key"], row["score"], row["distance"], row["effect"]) == ("shop", 0.9, 1, "degraded")
    assert row["path"] == [{"key": "pay/till"}, {"relation": "serving", "direction": "forward", "key": "shop"}]
    assert api(cast.vera).post(f"{V1}architecture/impact/", {"components": ["ghost"]}, format="json").status_code == 400
    assert api(cast.vera).post(f"{V1}architecture/impact/", {"components": "shop"}, format="json").status_code == 400


def upload(client, name, content, **fields):
    return client.post(f"{V1}architecture/imports/", {"file": SimpleUploadedFile(name, content), **fields}, format="multipart")


MODEL = (DATA / "archisurance" / "archisurance.archimate").read_bytes()


def test_an_import_is_previewed_applied_and_idempotent(shop, api, cast):
    client, before = api(cast.max), current_revision()
    answer = upload(client, "a.archimate", MODEL, format="archi", mode="preview", source="archisurance")
    assert (answer.status_code, answer.json()["state"], answer.json()["components"]["adds"]) == (200, "done", 120)
    assert (Component.objects.count(), current_revision()) == (2, before)
    answer = upload(client, "a.archimate", MODEL, format="archi", mode="apply", source="archisurance").json()
    assert (answer["relations"], answer["revision"]) == ({"adds": 176, "updates": 0, "removes": 0, "unchanged": 0}, before + 1)
    answer = upload(client, "a.archimate", MODEL, format="archi", mode="apply", source="archisurance").json()
    assert (answer["components"]["unchanged"], answer["relations"]["unchanged"], answer["revision"]) == (120, 176, before + 1)
    assert client.get(f"{V1}architecture/imports/{answer['id']}/").json() == answer
    assert Event.objects.filter(action="import.applied").count() == 2
    assert Component.objects.filter(key="shop").exists()


@pytest.mark.parametrize("form", EXAMPLES)
def test_states_compose_files_and_bills_come_in_by_every_door(shop, api, cast, tmp_path, capsys, form):
    name, content = EXAMPLES[form]
    seen = upload(api(cast.max), name, content.encode(), format=form, mode="preview", source="s", namespace="n").json()
    adds = seen["components"]["adds"]
    assert seen["state"] == "done" and adds > 1 and seen["relations"]["adds"] and Component.objects.count() == 2
    done = upload(api(cast.max), name, content.encode(), format=form, mode="apply", source="s", namespace="n").json()
    assert (done["components"], Component.objects.count()) == (seen["components"], 2 + adds)
    path = tmp_path / name
    path.write_text(content)
    call_command("architecture", "import", str(path), "--format", form, "--source", "s", "--namespace", "n", "--user", "max", "--json")
    again = json.loads(capsys.readouterr().out)
    assert (again["components"]["unchanged"], again["components"]["adds"], again["revision"]) == (adds, 0, done["revision"])
    bad = upload(api(cast.max), name, (content + "\n]}").encode(), format=form, mode="apply", source="s")
    assert bad.status_code == 400 and "line" in bad.json()["detail"] and Component.objects.count() == 2 + adds


def test_tables_come_as_nodes_and_edges_or_as_one_zip(shop, api, cast):
    import gzip

    nodes, edges = b"key,title,type\na/1,A,Thing\na/2,B,Thing\n", b"source,target,type\na/1,a/2,uses\na/1,a/9,uses\n"
    fields = {"format": "csv", "mode": "preview", "source": "tables", "mapping": '{"nodes": {"name": "title"}}'}
    parts = {"nodes": SimpleUploadedFile("n.csv.gz", gzip.compress(nodes)), "edges": SimpleUploadedFile("anything.csv", edges)}
    answer = api(cast.max).post(f"{V1}architecture/imports/", {**parts, **fields}, format="multipart")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["components"]["adds"], answer.json()["relations"]["adds"]) == (2, 1)
    assert answer.json()["skipped"] == [{"where": "edges.csv, line 3", "reason": "The uses relation ends on 'a/9', which is not there."}]
    refused = api(cast.max).post(
        f"{V1}architecture/imports/", {"edges": SimpleUploadedFile("e.csv", edges), **fields, "format": "json"}, format="multipart"
    )
    assert refused.status_code == 400 and refused.json()["errors"].keys() == {"format"}


def test_a_bad_upload_is_a_400_with_the_place_and_a_failed_run(shop, api, cast):
    client = api(cast.max)
    answer = upload(client, "a.archimate", MODEL[:5000], format="archi", mode="apply", source="x")
    assert answer.status_code == 400 and "line" in answer.json()["detail"]
    assert (ImportRun.objects.get().state, Component.objects.count()) == ("failed", 2)
    assert ImportRun.objects.get().error == answer.json()["detail"]
    assert upload(client, "a.xml", b"<a/>", format="magic", mode="apply", source="x").status_code == 400
    assert upload(client, "a.xml", b"<a/>", format="archi", mode="later", source="x").status_code == 400
    assert upload(client, "a.xml", b"<a/>", format="archi", mode="apply").json()["errors"].keys() == {"source"}
    assert upload(client, "a.csv", b"key\n", format="csv", mode="apply", source="x", mapping="{").status_code == 400
    assert upload(api(cast.rita), "a.archimate", MODEL, format="archi", mode="preview", source="x").status_code == 403
    assert client.post(f"{V1}architecture/imports/", {}, format="json").status_code == 415


def test_a_large_upload_is_done_by_a_worker(shop, api, cast, monkeypatch):
    from changemgmt.core.time import utc_now
    from changemgmt.lifecycle.import_architecture import finish_import

    monkeypatch.setattr("changemgmt.api.imports.INLINE_BYTES", 10)
    answer = upload(api(cast.max), "a.archimate", MODEL, format="archi", mode="apply", source="archisurance")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    for _ in range(2):
        run = finish_import(answer.json()["id"], now=utc_now())
        assert (run.state, run.components["adds"], Component.objects.count()) == ("done", 120, 122)


def test_a_controlled_source_applies_once_and_then_opens_a_drift_case(shop, api, cast):
    from changemgmt.architecture.models import Source

    client = api(cast.max)
    table = b"key,type\nn,Node\n"
    assert upload(client, "nodes.csv", table, format="csv", mode="apply", source="cmdb").status_code == 200
    Source.objects.update(controlled=True)
    answer = upload(client, "nodes.csv", table, format="csv", mode="apply", source="cmdb")
    assert (answer.status_code, answer.json()["revision"], answer.json()["drift_case"]) == (200, None, None)
    answer = upload(client, "nodes.csv", table + b"m,Node\n", format="csv", mode="apply", source="cmdb").json()
    assert answer["drift_case"] and answer["components"]["adds"] == 1 and not Component.objects.filter(key="m").exists()
    assert upload(client, "nodes.csv", table, format="csv", mode="preview", source="cmdb").status_code == 200


def test_the_export_is_complete_and_byte_equal(shop, api, cast):
    client = api(cast.vera)
    one, two = (client.get(f"{V1}architecture/export/?as=json").content for _ in range(2))
    assert one == two
    document = json.loads(one)
    assert [len(document[name]) for name in ("components", "relations")] == [2, 1]
    for form in ("csv", "archimate", "graphml"):
        assert client.get(f"{V1}architecture/export/?as={form}").status_code == 200
    assert client.get(f"{V1}architecture/export/?as=pdf").status_code == 400
    assert client.get(f"{V1}architecture/export/?as=json&losses=1").json() == {"as": "json", "left_out": []}
    lost = client.get(f"{V1}architecture/export/?as=csv&losses=1").json()["left_out"]
    assert [(one["object"], one["field"]) for one in lost] == [("relation", "source_system"), ("relation", "confirmed_at")]
    assert {one["things"] for one in lost} == {Relation.objects.count()} and all(one["why"] for one in lost)
    assert client.get(f"{V1}architecture/export/?losses=yes").status_code == 400


def test_revisions_are_listed_without_the_numbers_of_hidden_changes(shop, api, cast, do):
    from changemgmt.changes.models import Change

    from .conftest import NOW

    Change.objects.create(number="CHG-2026-00009", title="x", requester=cast.rita, confidential=True, created_at=NOW, updated_at=NOW)
    do(Operation("update", "component", "shop", data={"owner": "x"}), change="CHG-2026-00009")
    rows = api(cast.vera).get(f"{V1}architecture/revisions/").json()["results"]
    assert [(row["number"], row["change"]) for row in rows] == [(2, None), (1, None), (0, None)]
    assert api(cast.aud).get(f"{V1}architecture/revisions/").json()["results"][0]["change"] == "CHG-2026-00009"


def test_the_commands_import_export_and_ask(seeded, cast, tmp_path, capsys):
    call_command("architecture", "import", str(DATA / "cmdb-osg"), "--format", "csv", "--source", "cmdb-osg", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["components"]["adds"], report["relations"]["adds"], report["skipped"]) == (2367, 4351, [])
    call_command("architecture", "import", str(DATA / "cmdb-osg"), "--format", "csv", "--source", "cmdb-osg")
    assert "2367 unchanged" in capsys.readouterr().out
    call_command("architecture", "export", "--output", str(tmp_path / "a.json"))
    assert len(json.loads((tmp_path / "a.json").read_text())["components"]) == 2367
    assert capsys.readouterr().err == ""
    call_command("architecture", "export", "--as", "csv", "--output", str(tmp_path / "a.zip"))
    assert "Left out by csv: confirmed_at of 4351 relations: Who reads" in capsys.readouterr().err
    resource = Component.objects.filter(type__name="resource", incoming__type__name="contains").first()
    call_command("architecture", "impact", resource.key)
    assert "← contains ←" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no file") as caught:
        call_command("architecture", "import", str(tmp_path / "none"), "--format", "csv")
    assert caught.value.returncode == 2
