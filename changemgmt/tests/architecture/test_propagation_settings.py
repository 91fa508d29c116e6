"""How far a change is followed: set by administrators, in force at once, on record, and previews fall stale by it."""

import pytest

from changemgmt.architecture import graphs
from changemgmt.architecture.graphs import graph_at
from changemgmt.architecture.impact import impact_of_components
from changemgmt.architecture.models import PropagationSettings
from changemgmt.architecture.rules import CREATE, Operation
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.core.errors import Invalid, NotPermitted
from changemgmt.lifecycle.edit_architecture import save_propagation
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import state_of

from ..preview.conftest import change_of  # noqa: F401
from .conftest import NOW

PATH = "/api/v1/architecture/propagation/"


@pytest.fixture
def line(do):
    """a serves b serves c serves d."""
    made = [Operation(CREATE, "component", key, data={"name": key, "type": "ApplicationComponent"}) for key in "abcd"]
    do(*made, *(Operation(CREATE, "relation", f"{a}{b}", source=a, target=b, relation_type="serving") for a, b in ("ab", "bc", "cd")))


def reached(**bounds):
    return [(row["key"], row["score"]) for row in impact_of_components(["a"], bounds=bounds, now=NOW)["affected"]]


def test_what_is_set_is_in_force_at_once_and_a_question_may_ask_otherwise(line, cast):
    assert [key for key, _ in reached()] == ["b", "c", "d"]
    save_propagation({"max_depth": 2, "update_weight": 0.5}, actor=cast.ada, now=NOW)
    assert reached() == [("b", 0.45), ("c", 0.405)]
    assert reached(max_depth=3, min_score=0.37) == [("b", 0.45), ("c", 0.405)]
    save_propagation({"relation_types": ["flow"]}, actor=cast.ada, now=NOW)
    assert reached() == []
    save_propagation({"relation_types": [], "layers": ["business"], "max_depth": 6}, actor=cast.ada, now=NOW)
    assert reached() == [] and len(reached(layers=None)) == 3


def test_what_is_reached_is_counted_by_owner_and_criticality(line, cast, do):
    for key, owner, criticality in (("b", "ops", 5), ("c", "ops", 3), ("d", "", 5)):
        do(Operation("update", "component", key, data={"owner": owner, "criticality": criticality}))
    found = impact_of_components(["a"], now=NOW)
    assert list(found["by_owner"].items()) == [("ops", 2), ("", 1)] and list(found["by_criticality"].items()) == [("5", 2), ("3", 1)]


def test_previews_fall_stale_and_the_arrays_stay(line, cast, change_of, monkeypatch):  # noqa: F811
    change = change_of({"operation": "update", "object": "component", "key": "a", "data": {"name": "A"}})
    store(change, compute(change, now=NOW), now=NOW)
    assert state_of(change) == "ready"
    save_propagation({"max_depth": 1}, actor=cast.ada, now=NOW)
    assert state_of(change) == "stale"
    monkeypatch.setattr(graphs, "_from_live", lambda number: pytest.fail("nothing of the graph moved"))
    assert graph_at().size == 4
    assert [row["key"] for row in compute(change, now=NOW).impact["affected"]] == ["b"]


def test_only_who_may_write_the_architecture_sets_it_and_it_is_on_record(line, cast):
    for who in (cast.rita, cast.max):
        with pytest.raises(NotPermitted):
            save_propagation({"max_depth": 2}, actor=who, now=NOW)
    for fields, name in (({"layers": ["nowhere"]}, "layers"), ({"relation_types": ["nothing"]}, "relation_types")):
        with pytest.raises(Invalid) as refused:
            save_propagation(fields, actor=cast.ada, now=NOW)
        assert name in refused.value.errors
    assert not PropagationSettings.objects.exists()
    for depth in (2, 3):
        save_propagation({"max_depth": depth}, actor=cast.ada, now=NOW)
    said = list(Event.objects.filter(object="propagationsettings:propagation").order_by("pk"))
    assert [event.action for event in said] == ["propagationsettings.created", "propagationsettings.updated"]
    assert representations(said)[1]["differences"] == [{"path": "max_depth", "before": 2, "after": 3}]


def test_the_interface_shows_the_defaults_and_writes_what_is_given(line, api, cast):
    client = api(cast.ada)
    shown = client.get(PATH).json()
    assert (shown["max_depth"], shown["min_score"], shown["layers"], shown["delete_weight"]) == (6, 0.05, [], 1.0)
    answer = client.patch(PATH, {"min_score": 0.3, "layers": ["application"]}, format="json")
    assert answer.status_code == 200 and (answer.json()["min_score"], answer.json()["layers"]) == (0.3, ["application"])
    for wrong in ({"max_depth": 0}, {"min_score": 0}, {"create_weight": 2}, {"layers": ["nowhere"]}, {"depth": 3}):
        assert client.patch(PATH, wrong, format="json").status_code == 400, wrong
    assert api(cast.rita).patch(PATH, {"max_depth": 2}, format="json").status_code == 403
    assert api(cast.vera).get(PATH).json()["min_score"] == 0.3


def test_the_admin_has_one_row_whose_saving_is_a_revision(line, client, cast):
    client.force_login(cast.ada)
    page = client.get("/admin/changemgmt/propagationsettings/add/")
    values = {name: field.initial for name, field in page.context["adminform"].form.fields.items() if field.initial is not None}
    before = graph_at().revision
    answer = client.post("/admin/changemgmt/propagationsettings/add/", {**values, "max_depth": 2})
    assert answer.status_code == 302, answer.context["errors"]
    assert [key for key, _ in reached()] == ["b", "c"] and graph_at().revision == before + 1
    assert client.get("/admin/changemgmt/propagationsettings/add/").status_code == 403
