"""Drift on the pages, over the API and on the command line: what each person sees of it, and may do."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from changemgmt.architecture.models import Component
from changemgmt.changes.documents import write_documents
from changemgmt.changes.models import Change
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.decide_drift import adopt_drift, revert_drift
from changemgmt.preview.models import DriftCase

from ..cast import ROLES
from ..web.conftest import browse, clean_html  # noqa: F401
from .test_drift import BURST, EDGES, NODES, moved, shows  # noqa: F401

pytestmark = pytest.mark.django_db
V1 = "/api/v1/architecture/drift/"


@pytest.fixture
def case(shows):  # noqa: F811
    shows(*BURST)
    return DriftCase.objects.get()


@pytest.fixture
def hidden(shows, cast, now):  # noqa: F811
    """A case whose update an approved, confidential change of Rita's explains, and which another one of hers adopts."""
    asked = edit.create_change({"title": "Secret", "confidential": True}, actor=cast.rita, now=now)
    item = {"operation": "update", "object": "component", "key": "db", "data": {"attributes": {"version": "16"}}}
    edit.add_items(asked.number, [item], actor=cast.rita, now=now, seen=None)
    adopting = edit.create_change({"title": "Secret, too", "confidential": True}, actor=cast.rita, now=now)
    Change.objects.filter(pk=asked.pk).update(state="approved")
    write_documents([asked.pk])
    shows(*BURST)
    DriftCase.objects.update(state="adopting", change=adopting)
    return DriftCase.objects.get(), [asked.number, adopting.number]


# --- who may ---

DECIDERS = {"ada", "otto", "max"}
ACTS = {"adopt": {}, "revert": {"assignee": "ian", "due": (utc_now() + timedelta(days=1)).isoformat()}}


@pytest.mark.parametrize("who", sorted(ROLES))
@pytest.mark.parametrize("act", sorted(ACTS))
def test_everybody_reads_and_only_those_who_may_decide(case, api, browse, cast, who, act):  # noqa: F811
    """Each role at each door; who is refused decides nothing."""
    user = getattr(cast, who)
    program, pages = api(user), browse(user)
    for path in ("", f"{case.pk}/", f"{case.pk}/rows/"):
        assert program.get(V1 + path).status_code == 200
    assert pages.get("/drift/").status_code == pages.get(f"/drift/{case.pk}/").status_code == 200
    allowed = who in DECIDERS and not (act == "adopt" and "administrator" in ROLES[who])
    if not allowed:
        fields = {"assignee": "ian", "due": "2030-01-01"} if act == "revert" else {}
        assert pages.post(f"/drift/{case.pk}/{act}/", fields).status_code == 403
        assert program.post(f"{V1}{case.pk}/{act}/", {"bad": 1}, format="json").status_code == 403
    answer = program.post(f"{V1}{case.pk}/{act}/", ACTS[act], format="json")
    assert answer.status_code == (403 if not allowed else 201 if act == "adopt" else 200)
    assert (DriftCase.objects.get().state == "open") is not allowed and Change.objects.exists() is (allowed and act == "adopt")


def test_nobody_gets_in_without_signing_in(case, api, browse):  # noqa: F811
    for path in ("", f"{case.pk}/", f"{case.pk}/rows/"):
        assert api().get(V1 + path).status_code == 401
    for act in ACTS:
        assert api().post(f"{V1}{case.pk}/{act}/", {}, format="json").status_code == 401
        assert "/login/" in browse().post(f"/drift/{case.pk}/{act}/")["Location"]
    assert "/login/" in browse().get("/drift/")["Location"]


def test_a_token_that_only_reads_decides_nothing(case, api, cast):
    assert api(cast.max, scope="read").post(f"{V1}{case.pk}/adopt/", {}, format="json").status_code == 403


# --- the API ---


def test_the_api_lists_shows_adopts_and_reverts(case, api, cast):
    client = api(cast.max)
    row = client.get(f"{V1}?state=open&source=cmdb&count=true").json()["results"][0]
    assert (row["id"], row["added"], row["changed"], row["removed"], row["change"], row["run"]) == (case.pk, 2, 1, 3, None, case.run_id)
    assert client.get(f"{V1}?source=other").json()["results"] == [] == client.get(f"{V1}?state=adopted").json()["results"]
    rows = client.get(f"{V1}{case.pk}/rows/?page_size=4").json()
    assert [one["key"] for one in rows["results"]] == ["api", "cache", "db", "e1"] and rows["next"]
    db = rows["results"][2]
    assert (db["operation"], db["fields"]) == ("update", [{"path": "attributes.version", "live": "15", "source": "16"}])
    answer = client.post(f"{V1}{case.pk}/revert/", ACTS["revert"], format="json").json()
    assert (answer["state"], answer["assignee"], answer["change"]) == ("reverting", "ian", None)
    answer = client.post(f"{V1}{case.pk}/adopt/", {}, format="json")
    body = answer.json()
    assert (answer.status_code, body["state"], body["assignee"], body["left_out"]) == (201, "adopting", None, [])
    assert answer["Location"] == f"/api/v1/changes/{body['change']}/" and client.get(answer["Location"]).json()["requester"] == "max"
    assert client.post(f"{V1}{case.pk}/adopt/", {}, format="json").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "assignee"), ([], ""), ({"assignee": "ian"}, "due"), ({"assignee": 5, "due": "2030-01-01T00:00:00Z"}, "assignee"),
        ({"assignee": "ian", "due": "soon"}, "due"), ({"assignee": "ian", "due": "2000-01-01T00:00:00Z"}, "due"),
        ({"assignee": "nobody", "due": "2030-01-01T00:00:00Z"}, "assignee"), ({"assignee": "ian", "due": "2030-01-01T00:00:00Z", "x": 1}, "x"),
        ({"assignee": "ian", "due": "2030-01-01T00:00:00Z", "note": "x" * 2001}, "note"),
        ({"assignee": "ian", "due": "9999-12-31T23:59:59-12:00"}, "due"),
        ({"assignee": "a\x00b", "due": "2030-01-01T00:00:00Z"}, "assignee"),
    ],
)  # fmt: skip
def test_bad_bodies_are_named_by_their_fields(case, api, cast, body, field):
    answer = api(cast.max).post(f"{V1}{case.pk}/revert/", body, format="json")
    assert answer.status_code == 400 and (field in answer.json()["errors"] or not field)
    assert DriftCase.objects.get().state == "open"


@pytest.mark.parametrize("path", ["999/", "999/rows/", "99999999999999999999/", "x/"])
def test_what_is_not_there_is_not_found(case, api, cast, path):
    assert api(cast.max).get(V1 + path).status_code == 404


@pytest.mark.parametrize("query", ["state=no", "color=red", "ordering=key", "source=%00"])
def test_bad_queries_are_refused(case, api, cast, query):
    assert api(cast.max).get(f"{V1}?{query}").status_code == 400


# --- what is confidential ---


def test_a_confidential_change_is_named_nowhere_to_others(hidden, api, browse, cast, capsys):  # noqa: F811
    case, numbers = hidden
    texts = [api(cast.vera).get(V1 + path).content.decode() for path in ("", f"{case.pk}/", f"{case.pk}/rows/")]
    texts += [browse(cast.vera).get(path).content.decode() for path in ("/drift/", f"/drift/{case.pk}/")]
    call_command("architecture", "drift", "show", str(case.pk), "--user", "max")
    texts.append(capsys.readouterr().out)
    for text in texts:
        assert not any(number in text for number in numbers) and "Secret" not in text
    requests = [row["requested_by"] for row in api(cast.vera).get(f"{V1}{case.pk}/rows/").json()["results"]]
    assert set(requests) == {None}, "that a row is requested would tell what another change is about to do"
    rows = {row["key"]: row["requested_by"] for row in api(cast.rita).get(f"{V1}{case.pk}/rows/").json()["results"]}
    assert (rows["db"], rows["api"]) == (numbers[0], None)
    page = browse(cast.rita).get(f"/drift/{case.pk}/").content.decode()
    assert all(number in page for number in numbers)


def test_the_admin_shows_cases_without_the_change_and_writes_nothing(hidden, browse, cast, clean_html):  # noqa: F811
    case, numbers = hidden
    client, row = browse(cast.ada), case.rows.get(key="db")
    for path in ("driftcase/", f"driftcase/{case.pk}/change/", "driftrow/", f"driftrow/{row.pk}/change/"):
        page = client.get(f"/admin/changemgmt/{path}")
        assert page.status_code == 200 and not any(number in page.content.decode() for number in numbers)
    assert client.post(f"/admin/changemgmt/driftcase/{case.pk}/change/", {"source": "x"}).status_code == 403
    assert client.post(f"/admin/changemgmt/driftrow/{row.pk}/delete/", {"post": "yes"}).status_code == 403


# --- the pages ---


def test_the_page_shows_the_difference_and_adopts(case, browse, cast, clean_html, django_assert_max_num_queries):  # noqa: F811
    client = browse(cast.max)
    client.get("/drift/")
    for path in ("/drift/", "/drift/?all=1", f"/drift/{case.pk}/", "/architecture/"):
        with django_assert_max_num_queries(15):
            assert clean_html(client.get(path)).status_code == 200
    page = client.get(f"/drift/{case.pk}/")
    assert page.context["heads"] == ("Live", "Source")
    assert {key: group.what for group in page.context["groups"] for key in group.keys} == {
        "api": "Removed", "cache": "Added", "db": "Updated", "e1": "Removed", "e2": "Removed", "e3": "Added",
    }  # fmt: skip
    answer = client.post(f"/drift/{case.pk}/adopt/")
    change = Change.objects.get()
    assert (answer.status_code, answer["Location"], change.items.count()) == (302, change.get_absolute_url(), 6)
    page = client.get(f"/drift/{case.pk}/").content.decode()
    assert change.number in page and "A change adopts it already" in page
    assert client.post(f"/drift/{case.pk}/adopt/").status_code == 409


def test_the_page_of_a_revert_says_what_to_put_back(case, browse, cast, clean_html):  # noqa: F811
    client = browse(cast.max)
    answer = client.post(f"/drift/{case.pk}/revert/", {"assignee": "ian", "due": "2030-01-01", "note": "<b>Now</b>"})
    assert answer.status_code == 302
    case.refresh_from_db()
    assert case.due_at.isoformat() == "2030-01-01T23:59:59+00:00"
    page = clean_html(browse(cast.ian).get(f"/drift/{case.pk}/"))
    assert page.context["turned"] and page.context["heads"] == ("Source", "Put back")
    assert {group.keys[0]: group.what for group in page.context["groups"]}["cache"] == "Removed"
    assert "&lt;b&gt;Now&lt;/b&gt;" in page.content.decode()
    assert f"/drift/{case.pk}/" in browse(cast.ian).get("/").content.decode()
    answer = browse(cast.ian).get(f"/drift/{case.pk}/list/")
    assert answer["Content-Type"] == "text/markdown; charset=utf-8" and "| `attributes.version` | `16` | `15` |" in answer.content.decode()
    assert answer.content.decode().startswith("# Put cmdb back") and browse(cast.ian).get("/drift/999/list/").status_code == 404
    assert "/drift/" not in browse(cast.rita).get("/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [{}, {"assignee": "ian", "due": "never"}, {"assignee": "nobody", "due": "2030-01-01"}, {"assignee": "ian", "due": "2000-01-01"},
     {"assignee": "ian", "due": "9999-12-31"}],
)  # fmt: skip
def test_a_form_with_mistakes_comes_back(case, browse, cast, fields):  # noqa: F811
    answer = browse(cast.max).post(f"/drift/{case.pk}/revert/", fields)
    assert answer.status_code == 400 and DriftCase.objects.get().state == "open"
    assert fields.get("assignee", "") in answer.content.decode()


def test_a_thousand_rows_are_read_page_by_page(shows, browse, cast, clean_html, django_assert_max_num_queries):  # noqa: F811
    wide = moved(site={"version": "9"}, **{f"n{number:04}": {"version": str(number)} for number in range(1000)})
    shows(wide, EDGES)
    case, client = DriftCase.objects.get(), browse(cast.max)
    client.get("/drift/")
    with django_assert_max_num_queries(15):
        page = clean_html(client.get(f"/drift/{case.pk}/?page=11"))
    assert (page.context["total"], page.context["begin"], page.context["last"], page.context["next"]) == (1001, 1001, 1001, None)
    assert page.context["groups"][0].keys == ["n0999"]
    assert "site" in {key for group in client.get(f"/drift/{case.pk}/").context["groups"] for key in group.keys}
    assert client.get(f"/drift/{case.pk}/?page=99").context["last"] == 0
    assert client.get(f"/drift/{case.pk}/?page=x").context["begin"] == 1
    assert adopt_drift(case.pk, actor=cast.max, now=utc_now()).change.items.count() == 1001


def test_a_settled_case_keeps_what_it_was_about(case, shows, browse, cast, clean_html):  # noqa: F811
    shows()
    page = clean_html(browse(cast.vera).get(f"/drift/{case.pk}/"))
    assert page.context["total"] == 6 and "gone by itself" in page.content.decode()
    assert f"/drift/{case.pk}/" not in browse(cast.vera).get("/drift/").content.decode()
    assert f"/drift/{case.pk}/" in browse(cast.vera).get("/drift/?all=1").content.decode()
    assert browse(cast.vera).get("/drift/999/").status_code == 404


def test_what_a_source_writes_is_text_on_the_page(shows, browse, cast, clean_html):  # noqa: F811
    shows(moved(db={"version": "<script>x</script>"}, **{"<b>new": {"version": "1"}}), EDGES)
    page = clean_html(browse(cast.max).get(f"/drift/{DriftCase.objects.get().pk}/")).content.decode()
    assert "<script>x" not in page and "<b>new" not in page and "&lt;b&gt;new" in page


def test_the_report_of_the_import_leads_to_the_case(case, browse, cast, clean_html):  # noqa: F811
    page = clean_html(browse(cast.max).get(f"/imports/{case.run_id}/")).content.decode()
    assert f'href="/drift/{case.pk}/"' in page and "Nothing was written" in page


def test_a_component_keyed_drift_has_its_page(seeded, do_component, browse, cast):  # noqa: F811
    assert browse(cast.vera).get("/architecture/drift/").status_code == 200


@pytest.fixture
def do_component(cast, now):
    from changemgmt.lifecycle.edit_architecture import edit_component

    edit_component("create", "drift", {"type": "Node"}, actor=cast.ada, now=now)


# --- the command line ---


def said(capsys, *words):
    call_command("architecture", "drift", *words)
    return capsys.readouterr().out


def test_the_command_lists_shows_adopts_and_reverts(case, cast, capsys):
    key = str(case.pk)
    assert f"{key}  cmdb  open: 2 added, 1 changed, 3 removed" in said(capsys, "list")
    assert "  update component db\n    attributes.version: 15 | 16\n" in said(capsys, "show", key)
    assert len(json.loads(said(capsys, "show", key, "--json"))["rows"]) == 6
    assert "ian until 2030-01-01" in said(capsys, "revert", key, "--assignee", "ian", "--due", "2030-01-01T00:00:00Z")
    assert "adopts it" in said(capsys, "adopt", key, "--user", "max")
    assert json.loads(said(capsys, "list", "--json"))[0]["state"] == "adopting"
    for words in (("adopt", key), ("adopt", key, "--user", "vera"), ("show", "999"), ("revert", key, "--assignee", "ian", "--due", "soon")):
        with pytest.raises(CommandError) as refused:
            said(capsys, *words)
        assert refused.value.returncode == 2


def test_the_command_that_imports_says_that_nothing_was_written(shows, cast, capsys, tmp_path):  # noqa: F811
    path = tmp_path / "nodes.csv"
    path.write_text("key,type,owner,version\n" + "".join(f"{key},{','.join(row.values())}\n" for key, row in NODES.items()) + "more,Node,,1\n")
    call_command("architecture", "import", str(path), "--format", "csv", "--source", "cmdb")
    out = capsys.readouterr().out
    assert f"Nothing was written, the source is controlled: drift case {DriftCase.objects.get().pk} shows" in out
    assert not Component.objects.filter(key="more").exists()


def test_nothing_to_list_is_said(shows, capsys):  # noqa: F811
    assert said(capsys, "list") == "Nothing differs.\n"


def test_an_owner_of_everything_it_touches_reverts_from_the_page(shows, browse, cast, now):  # noqa: F811
    shows(moved(db={"version": "16"}))
    case = DriftCase.objects.get()
    assert "Have it reverted" in browse(cast.ian).get(f"/drift/{case.pk}/").content.decode()
    assert browse(cast.ian).post(f"/drift/{case.pk}/revert/", {"assignee": "ian", "due": "2030-01-01"}).status_code == 302
    assert revert_drift(case.pk, actor=cast.ada, now=now, assignee="tina", due=now + timedelta(days=1)).assignee == cast.tina
