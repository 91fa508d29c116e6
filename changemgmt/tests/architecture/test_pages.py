"""The pages of the architecture: browse, one component, import."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from changemgmt.architecture.models import Component, ImportRun
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change, Item

from ..web.conftest import clean_html  # noqa: F401
from .conftest import DATA, NOW
from .test_states_and_bills import EXAMPLES

pytestmark = pytest.mark.django_db
MODEL = DATA / "archisurance" / "archisurance.archimate"


@pytest.fixture
def browse(cast):
    def signed_in(user):
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def surance(seeded, bring):
    return bring(MODEL, "archi", namespace="archisurance")


def test_components_are_browsed_in_pages_and_narrowed(surance, browse, cast, clean_html, django_assert_max_num_queries):  # noqa: F811
    client = browse(cast.vera)
    with django_assert_max_num_queries(15):
        answer = clean_html(client.get("/architecture/"))
    assert answer.status_code == 200
    assert len(answer.context["rows"]) == 50
    assert "page=2" in answer.content.decode()
    assert len(client.get("/architecture/?page=3").context["rows"]) == 20
    names = [row.name for row in client.get("/architecture/?q=crm").context["rows"]]
    assert names and all("crm" in name.lower() for name in names)
    assert {row.layer.name for row in client.get("/architecture/?layer=technology").context["rows"]} == {"technology"}
    assert client.get("/architecture/?layer=nowhere").status_code == 400
    assert "No component matches" in client.get("/architecture/?q=zzzz").content.decode()


def test_a_component_shows_its_folders_and_views(surance, browse, cast, clean_html):  # noqa: F811
    row = next(row for row in Component.objects.order_by("key") if sum(place["kind"] == "view" for place in row.external_references) > 1)
    answer = clean_html(browse(cast.vera).get(f"/architecture/{row.key}/"))
    assert answer.context["folders"] == [" / ".join(place["path"]) for place in row.external_references if place["kind"] == "folder"]
    assert all(place["name"] in answer.content.decode() for place in row.external_references if place["kind"] == "view")


def test_every_component_of_the_model_has_a_page(surance, browse, cast, clean_html):  # noqa: F811
    client = browse(cast.vera)
    for key in list(Component.objects.order_by("key").values_list("key", flat=True))[::12]:
        answer = clean_html(client.get(f"/architecture/{key}/"))
        assert (answer.status_code, key in answer.content.decode()) == (200, True)
    assert client.get("/architecture/none/").status_code == 404


def test_a_page_shows_neighbours_history_and_the_changes_one_may_see(seeded, do, browse, cast, clean_html, django_assert_max_num_queries):  # noqa: F811
    do(
        Operation("create", "component", "pay/till", data={"name": "<b>Till</b>", "type": "Node", "attributes": {"port": {"http": 80}}}),
        Operation("create", "component", "shop", data={"name": "Shop", "type": "ApplicationComponent"}),
        Operation("create", "relation", "r", "pay/till", "shop", "serving"),
    )
    for number, hidden in (("CHG-2026-00001", False), ("CHG-2026-00002", True)):
        change = Change.objects.create(
            number=number, title=f"Swap {number}", requester=cast.rita, confidential=hidden, created_at=NOW, updated_at=NOW
        )
        Item.objects.create(change=change, operation="update", object="component", key="pay/till", data={"owner": "x"})
    do(Operation("update", "component", "pay/till", data={"owner": "sam"}), change="CHG-2026-00002")
    client = browse(cast.vera)
    client.get("/architecture/pay/till/")
    with django_assert_max_num_queries(20):
        answer = clean_html(client.get("/architecture/pay/till/"))
    text = answer.content.decode()
    assert "<b>Till</b>" not in text
    assert "port.http" in text and "Shop" in text and "Swap CHG-2026-00001" in text
    assert "CHG-2026-00002" not in text and "a change you may not see" in text
    assert [node["key"] for node in answer.context["picture"]["nodes"]] == ["shop", "pay/till"]
    assert [(entry["what"], len(entry["fields"])) for entry in answer.context["history"]] == [("Updated", 1), ("Added", 0)]


def upload(client, mode="preview", **fields):
    values = {
        "file": SimpleUploadedFile("a.archimate", MODEL.read_bytes()),
        "format": "archi",
        "source": "surance",
        "create_types": "on",
        "mode": mode,
    }
    return client.post("/imports/", values | fields)


def test_an_import_is_seen_first_and_then_applied(seeded, browse, cast, clean_html):  # noqa: F811
    client = browse(cast.max)
    assert clean_html(client.get("/imports/")).status_code == 200
    answer = upload(client)
    run = ImportRun.objects.get()
    assert (answer.status_code, answer["Location"], Component.objects.count()) == (302, f"/imports/{run.pk}/", 0)
    page = clean_html(client.get(answer["Location"])).content.decode()
    assert "Import this" in page and "120" in page
    assert browse(cast.ada).post(f"/imports/{run.pk}/apply/").status_code == 409
    answer = client.post(f"/imports/{run.pk}/apply/")
    assert (answer.status_code, Component.objects.count()) == (302, 120)
    assert clean_html(client.get(answer["Location"])).status_code == 200
    assert client.post(f"/imports/{run.pk}/apply/").status_code == 409


def test_a_bad_file_comes_back_with_its_place(seeded, browse, cast):
    answer = upload(browse(cast.max), mode="apply", file=SimpleUploadedFile("a.archimate", b"<model>\n<"))
    assert answer.status_code == 400
    assert "line 2" in answer.content.decode()
    assert Component.objects.count() == 0


def test_every_format_can_be_chosen_on_the_page():
    from changemgmt.architecture.imports import READERS
    from changemgmt.web.imports import FORMATS

    assert {name for name, _ in FORMATS} == READERS.keys()


@pytest.mark.parametrize("form", EXAMPLES)
def test_states_compose_files_and_bills_are_seen_first_and_then_applied(seeded, browse, cast, form):
    name, content = EXAMPLES[form]
    client = browse(cast.max)
    answer = upload(client, file=SimpleUploadedFile(name, content.encode()), format=form)
    assert answer.status_code == 302 and not Component.objects.exists()
    assert client.post(f"{answer['Location']}apply/").status_code == 302
    assert Component.objects.count() == ImportRun.objects.latest("pk").components["adds"] > 1


def test_others_do_not_import(seeded, browse, cast):
    for person in (cast.vera, cast.rita, cast.aud):
        assert browse(person).get("/imports/").status_code == 403
        assert upload(browse(person)).status_code == 403


def test_administrators_describe_the_architecture_in_the_admin(surance, browse, cast):
    from changemgmt.architecture.models import ComponentType, RelationType
    from changemgmt.architecture.queries import current_revision

    client, before = browse(cast.ada), current_revision()
    for model in ("layer", "componenttype", "relationtype", "source", "component", "relation", "revision", "importrun"):
        assert client.get(f"/admin/changemgmt/{model}/").status_code == 200, model
    kind = RelationType.objects.get(name="serving")
    path = f"/admin/changemgmt/relationtype/{kind.pk}/change/"
    assert "A change of" in client.get(path).content.decode()
    answer = client.post(path, {"name": "serving", "inverse": "served by", "propagation": "forward", "weight": "0.7", "layers": []})
    assert (answer.status_code, RelationType.objects.get(pk=kind.pk).weight, current_revision()) == (302, 0.7, before + 1)
    node = ComponentType.objects.get(name="Node")
    path, form = f"/admin/changemgmt/componenttype/{node.pk}/change/", {"name": "Node", "layer": node.layer_id, "icon": ""}
    assert client.post(path, form | {"schema": '{"type": 3}'}).status_code == 200
    assert client.post(path, form | {"schema": '{"required": ["os"]}', "interface_attributes": "port\nos"}).status_code == 302
    node.refresh_from_db()
    assert (node.schema, node.interface_attributes) == ({"required": ["os"]}, ["port", "os"])
    assert browse(cast.vera).get(path).status_code in (302, 403, 404)
