"""One change followed further than is set: never less far, on record, and its preview is stale until it is computed so."""

import pytest

from changemgmt.architecture.rules import CREATE, Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Preview
from changemgmt.core.errors import Invalid, NotPermitted
from changemgmt.lifecycle.compute_preview import ask_for_preview
from changemgmt.lifecycle.edit_architecture import save_propagation
from changemgmt.preview.queries import impact_of, state_of

from ..cli.calling import caller, refused
from ..web.conftest import browse, clean_html  # noqa: F401
from .conftest import NOW


@pytest.fixture
def change(do, change_of, cast):
    """It changes the first of four in a row; only the next is reached as it is set."""
    made = [Operation(CREATE, "component", key, data={"name": key, "type": "ApplicationComponent"}) for key in "abcd"]
    do(*made, *(Operation(CREATE, "relation", f"{a}{b}", source=a, target=b, relation_type="serving") for a, b in ("ab", "bc", "cd")))
    save_propagation({"max_depth": 1}, actor=cast.ada, now=NOW)
    return change_of({"operation": "update", "object": "component", "key": "a", "data": {"name": "A"}})


def reached(change):
    change = type(change).objects.get(pk=change.pk)
    return [row["key"] for row in impact_of(change)["affected"]], impact_of(change)["bounds"]


def test_it_may_look_further_and_never_less_far(change, cast):
    ask_for_preview(change.number, actor=cast.rita, now=NOW, further={"max_depth": 2, "min_score": None})
    assert reached(change) == (["b", "c"], {"max_depth": 2, "min_score": 0.05})
    ask_for_preview(change.number, actor=cast.rita, now=NOW, further={"max_depth": None, "min_score": None})
    assert reached(change)[0] == ["b", "c"], "it stays so"
    assert Event.objects.filter(action="preview.widened", change=change.number).count() == 1
    for wrong, name in (({"max_depth": 0}, "max_depth"), ({"max_depth": 51}, "max_depth"), ({"min_score": 0.5}, "min_score"), ({"min_score": 0}, "min_score"),
                        ({"min_score": float("nan")}, "min_score")):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            ask_for_preview(change.number, actor=cast.rita, now=NOW, further=wrong)
        assert name in refused.value.errors
    with pytest.raises(NotPermitted):
        ask_for_preview(change.number, actor=cast.vera, now=NOW, further={"max_depth": 2})
    save_propagation({"max_depth": 5}, actor=cast.ada, now=NOW)
    assert state_of(change) == "stale"
    ask_for_preview(change.number, actor=cast.rita, now=NOW)
    assert reached(change) == (["b", "c", "d"], {"max_depth": 5, "min_score": 0.05}), "what is set goes further by now"
    ask_for_preview(change.number, actor=cast.rita, now=NOW, further={"max_depth": 5})
    assert Preview.objects.get(change=change).further == {}, "back to what is set"


def test_page_interface_and_command_ask_for_it(change, cast, api, browse, clean_html, monkeypatch, capsys):  # noqa: F811
    path = f"/api/v1/changes/{change.number}/preview/"
    assert api(cast.rita).post(path, {"max_depth": 2}, format="json").status_code == 200
    assert api(cast.rita).get(f"/api/v1/changes/{change.number}/impact/").json()["bounds"] == {"max_depth": 2, "min_score": 0.05}
    for wrong in ({"max_depth": "far"}, {"depth": 3}, {"min_score": 2}, {"max_depth": 99}):
        assert api(cast.rita).post(path, wrong, format="json").status_code == 400, wrong
    client = browse(cast.rita)
    answer = client.post(f"/changes/{change.number}/preview/", {"next": "impact", "max_depth": "3", "min_score": "0,04"}, follow=True)
    text = clean_html(answer).content.decode()
    assert "Followed for up to 3 steps, while the score is 0.04 or more." in text
    assert [row["key"] for group in answer.context["groups"] for row in group["rows"]] == ["b", "c", "d"], "the list goes as far"
    assert client.post(f"/changes/{change.number}/preview/", {"max_depth": "x"}).status_code == 400
    call = caller("change", monkeypatch, capsys)
    call(cast.rita, "preview", change.number, "--compute", "--max-depth", 2, "--min-score", 0.03)
    assert call(cast.rita, "impact", change.number)["bounds"] == {"max_depth": 2, "min_score": 0.03}
    refused(call, cast.rita, "preview", change.number, "--compute", "--max-depth", 0, code=2)
