"""Assessing stored changes: inputs, rows, overrides, the API and the administrator's settings."""

from datetime import timedelta

import pytest

from changemgmt.accounts.actions import grant
from changemgmt.assessment.actions import assess_change
from changemgmt.assessment.models import RiskRule, RiskSettings
from changemgmt.assessment.queries import assessment_of, inputs_of, settings_now
from changemgmt.audit.models import Event
from changemgmt.changes.models import Assessment, Change, Item, Preview, State
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, UnmetGuard
from changemgmt.lifecycle import assess, configure_risk
from changemgmt.planning.models import Plan, Step
from changemgmt.tests.cast import make_person
from changemgmt.tests.scheduling.surroundings import change_of, component

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(cast, now):
    made = change_of(cast.rita, now, "orders", rollback_plan="Deploy the release before.", rollback_rehearsed=True, testing_evidence="Green.")
    grant("edit", cast.rita, made)
    return made


def preview(change, now, *affected, users=0):
    document = {
        "affected": [
            {"key": key, "layer": "business", "type": "app", "criticality": level, "distance": distance} for key, level, distance in affected
        ]
    }
    Preview.objects.create(change=change, state="ready", version=1, items_digest="x", revision=0, impact=document | {"users": users}, started_at=now)


def overall(change, now):
    return assess_change(change, now=now).overall


def test_inputs_come_from_items_preview_plan_and_record(change, cast, now):
    component("hot", tags=["performance"], criticality=2)
    Item.objects.create(change=change, operation="update", object="component", key="hot", layer="application")
    preview(change, now, ("shop", 5, 1), ("bank", 3, 2), users=700)
    plan = Plan.objects.create(change=change)
    Step.objects.create(plan=plan, step_id="a", position=1, name="a", irreversible=True, compensation={})
    Step.objects.create(plan=plan, step_id="b", position=2, name="b", compensation={"action": "undo"})
    change.compliance_scope, change.revenue_at_stake = ["sox"], 0.5
    found = inputs_of(change)
    assert (found.items, found.layers, found.reached, found.reached_directly, found.users, found.max_criticality) == (
        2,
        ("application",),
        2,
        1,
        700,
        5,
    )
    assert (found.steps, found.irreversible_steps, found.compensations, found.performance_components) == (2, 1, 1, ("hot",))
    assert (found.compliance_scope, found.revenue, found.testing_evidence, found.rollback_plan) == (("sox",), 0.5, True, True)


def test_the_row_says_every_number_and_the_change_takes_level_and_score(change, now):
    preview(change, now, ("shop", 5, 1), users=5_000)
    row = assess_change(change, now=now)
    assert (change.risk_level, change.risk_score) == (row.level, row.overall) == ("low", pytest.approx(0.4 * (0.3 + 0.1)))
    assert Change.objects.get(pk=change.pk).risk_level is None  # saving is the caller's
    shown = assessment_of(change)
    assert {"version", "technical", "business", "overall", "level", "risks", "factors", "success_score", "override"} <= shown.keys()
    assert shown["factors"]["affected_users"]["score"] == 0.5 and shown["factors"]["affected_users"]["weight"] == 0.2
    assert shown["override"] is None


def test_the_same_inputs_keep_the_row_and_others_make_a_new_one(change, now):
    first = assess_change(change, now=now)
    assert assess_change(change, now=now + timedelta(hours=1)) == first
    change.testing_evidence = ""
    second = assess_change(change, now=now)
    assert second.pk != first.pk and Assessment.objects.count() == 2
    first.refresh_from_db()
    assert first.technical == 0  # never overwritten
    change.version = 2
    assert assess_change(change, now=now).version == 2 and Assessment.objects.count() == 3


def test_success_of_similar_changes_is_shown_with_its_sample_and_never_mixed_in(change, cast, now):
    before = overall(change, now)
    for result in ("successful", "successful_with_issues", "failed", "cancelled", None):
        change_of(cast.petra, now, "orders", state=State.CLOSED, result=result)
    change_of(cast.petra, now, "orders", state=State.CLOSED, result="failed", confidential=True)
    change_of(cast.petra, now, "other", state=State.CLOSED, result="failed")
    change.version = 2
    assert overall(change, now) == before
    assert assessment_of(change)["success_score"] == {"value": 0.6667, "sample": 3}


def test_a_rule_of_the_administrator_raises_its_risk_where_it_holds(change, now):
    RiskRule.objects.create(
        name="Orders", condition={"field": "components", "op": "eq", "value": "orders"}, category="orders", likelihood="very_high", impact="high", mitigation="Ask.",
        evidence="Because.",
    )  # fmt: skip
    RiskRule.objects.create(name="Off", active=False, category="off", likelihood="very_high", impact="very_high", mitigation="x", evidence="x")
    RiskRule.objects.create(
        name="Else",
        condition={"field": "components", "op": "eq", "value": "x"},
        category="else",
        likelihood="very_high",
        impact="very_high",
        mitigation="x",
        evidence="x",
    )
    assert [risk["category"] for risk in assess_change(change, now=now).risks] == ["orders"]


def test_a_rule_may_not_ask_for_the_risk_it_makes():
    for condition in (
        {"field": "risk_level", "op": "eq", "value": "high"},
        {"all": [{"not": {"field": "risk_score", "op": "gt", "value": 0}}]},
        {"field": "no"},
    ):
        with pytest.raises(Exception, match=r"risk that comes out|Unknown field"):
            RiskRule(name="x", condition=condition, category="x", likelihood="low", impact="low", mitigation="x", evidence="x").full_clean()


# Answering and overriding


def test_answers_raise_the_business_impact_of_a_draft(change, cast, now):
    assess.answer(change.number, {"revenue": 1, "reputation": 0.5}, actor=cast.rita, now=now, seen=change.etag)
    change = Change.objects.get(pk=change.pk)
    assert change.risk_score == pytest.approx(0.4 * (0.3 * 0.5 + 0.25 + 0.1 * 0.5))
    assert assessment_of(change)["factors"]["revenue"]["score"] == 1 and change.edits == 2
    assert Event.objects.filter(change=change.number, action="change.updated").exists()


@pytest.mark.parametrize("wrong", [{}, {"revenue": 0.3}, {"revenue": True}, {"score": 1}, {"technical": 0}, {"reputation": "1"}, {"revenue": None}])
def test_only_what_is_asked_can_be_answered_and_never_the_score(change, cast, now, wrong):
    with pytest.raises(Invalid):
        assess.answer(change.number, wrong, actor=cast.rita, now=now)
    assert not Assessment.objects.exists()


def test_outsiders_answer_nothing(change, cast, now):
    for person in (cast.vera, cast.ian, cast.sam):
        with pytest.raises(NotPermitted):
            assess.answer(change.number, {"revenue": 1}, actor=person, now=now)


def test_a_change_manager_overrides_with_a_reason_and_it_stays_for_the_version(change, cast, now):
    assess_change(change, now=now)
    assess.override(change.number, level="high", reason="New vendor.", actor=cast.max, now=now)
    change = Change.objects.get(pk=change.pk)
    shown = assessment_of(change)
    assert change.risk_level == shown["level"] == "high" and shown["computed_level"] == "low"
    assert shown["override"] == {"level": "high", "reason": "New vendor.", "by": "max"}
    change.testing_evidence = ""
    assess_change(change, now=now)
    assert change.risk_level == "high"
    change.version = 2
    assess_change(change, now=now)
    assert change.risk_level == "medium" and assessment_of(change)["override"] is None
    event = Event.objects.get(action="assessment.overridden")
    assert "New vendor." in event.text


def test_lifting_an_override_brings_the_computed_level_back(change, cast, now):
    assess_change(change, now=now)
    with pytest.raises(NotPossible):
        assess.override(change.number, level=None, reason="x", actor=cast.max, now=now)
    assess.override(change.number, level="high", reason="x", actor=cast.max, now=now)
    assess.override(change.number, level=None, reason="It was wrong.", actor=cast.max, now=now)
    assert Change.objects.get(pk=change.pk).risk_level == "low" and assessment_of(change)["override"] is None


def test_an_override_needs_a_change_manager_who_did_not_request_it_a_reason_and_the_right_moment(change, cast, now):
    def override(actor, **more):
        return assess.override(change.number, **{"level": "low", "reason": "x", **more}, actor=actor, now=now)

    for person in (cast.rita, cast.ada, cast.sam, cast.vera):
        with pytest.raises(NotPermitted):
            override(person)
    with pytest.raises(UnmetGuard) as refused:
        override(cast.max, reason=" ")
    assert refused.value.guards[0].guard == "reason_given"
    with pytest.raises(Invalid):
        override(cast.max, level="huge")
    own = change_of(cast.max, now, "orders")
    with pytest.raises(NotPermitted):
        assess.override(own.number, level="low", reason="x", actor=cast.max, now=now)
    done = change_of(cast.rita, now, "orders", state=State.CLOSED)
    with pytest.raises(NotPossible):
        assess.override(done.number, level="low", reason="x", actor=cast.max, now=now)


def test_an_override_in_review_makes_the_next_version_and_keeps_the_level(seeded, cast, now):
    from changemgmt.lifecycle.submit import submit

    made = change_of(
        cast.rita, now, "orders", title="T", business_justification="B", implementation_plan="I", rollback_plan="R", rollback_rehearsed=True, testing_evidence="Green.",
        owner=cast.max,
    )  # fmt: skip
    grant("edit", cast.rita, made)
    mia = make_person("mia", ("change_manager",))
    submit(made.number, actor=cast.rita, now=now)
    made = Change.objects.get(pk=made.pk)
    assert made.state == State.IN_REVIEW and made.risk_level == "low"
    assess.override(made.number, level="very_high", reason="Black Friday.", actor=mia, now=now, seen=made.etag)
    after = Change.objects.get(pk=made.pk)
    assert (after.version, after.risk_level, after.state) == (made.version + 1, "very_high", State.IN_REVIEW)
    assert after.digest != made.digest and assessment_of(after)["override"]["by"] == "mia"


# The API


def test_the_api_shows_computes_answers_and_overrides(change, cast, api):
    where = f"/api/v1/changes/{change.number}/assessment/"
    empty = api(cast.vera).get(where)
    assert empty.status_code == 200 and empty.json()["level"] is None
    assert api(cast.rita).post(where).json()["level"] == "low"
    answered = api(cast.rita).post(where, {"revenue": 1}, format="json")
    assert answered.status_code == 200 and answered.json()["factors"]["revenue"]["score"] == 1
    refused = api(cast.max).post(where, {"override": {"level": "high", "reason": ""}}, format="json")
    assert refused.status_code == 409 and refused.json()["guards"][0]["guard"] == "reason_given"
    done = api(cast.max).post(where, {"override": {"level": "high", "reason": "Because."}}, format="json")
    assert done.status_code == 200 and done.json()["override"]["level"] == "high" == done.json()["level"]
    assert api(cast.vera).post(where).status_code == 403
    assert api().get(where).status_code == 401
    for wrong in (
        {"revenue": 2},
        {"x": 1},
        {"override": 3},
        {"override": {"level": "x", "reason": "y"}},
        {"revenue": 1, "override": {"level": "low", "reason": "y"}},
        [1],
    ):
        assert api(cast.rita).post(where, wrong, format="json").status_code == 400, wrong


# The administrator's settings


def test_new_weights_need_two_administrators(cast, now):
    with pytest.raises(NotPermitted):
        configure_risk.propose_settings({"technical_weight": 0.5, "business_weight": 0.5}, actor=cast.max, now=now)
    with pytest.raises(Invalid):
        configure_risk.propose_settings({"technical_weight": 0.5}, actor=cast.ada, now=now)
    with pytest.raises(NotPossible):
        configure_risk.activate_settings(actor=cast.otto, now=now)
    configure_risk.propose_settings({"technical_weight": 0.5, "business_weight": 0.5}, actor=cast.ada, now=now)
    assert settings_now().technical_weight == 0.6
    with pytest.raises(NotPermitted):
        configure_risk.activate_settings(actor=cast.ada, now=now)
    configure_risk.activate_settings(actor=cast.otto, now=now)
    assert settings_now().technical_weight == 0.5 and RiskSettings.objects.count() == 1
    assert list(Event.objects.order_by("pk").values_list("action", flat=True))[-2:] == ["risk_settings.proposed", "risk_settings.activated"]


def test_new_weights_give_a_new_assessment(change, cast, now):
    before = assess_change(change, now=now)
    RiskSettings.objects.create(technical_weight=0.5, business_weight=0.5)
    assert assess_change(change, now=now).pk != before.pk


def test_the_admin_proposes_and_another_activates(cast, client):
    client.force_login(cast.ada)
    page = client.get("/admin/changemgmt/risksettings/add/")
    assert page.status_code == 200
    values = dict(page.context["adminform"].form.initial)
    fields = {name: field.initial for name, field in page.context["adminform"].form.fields.items()} | values
    answer = client.post("/admin/changemgmt/risksettings/add/", {**fields, "technical_weight": 0.7, "business_weight": 0.3})
    assert answer.status_code == 302, answer.context["errors"]
    assert settings_now().technical_weight == 0.6 and RiskSettings.objects.get().pending["technical_weight"] == 0.7
    act = {"action": "activate", "_selected_action": "1"}
    assert b"proposed" in client.post("/admin/changemgmt/risksettings/", act).content
    client.post("/admin/changemgmt/risksettings/", {**act, "confirmed": "yes"})
    assert settings_now().technical_weight == 0.6
    client.force_login(cast.otto)
    client.post("/admin/changemgmt/risksettings/", {**act, "confirmed": "yes"})
    assert settings_now().technical_weight == 0.7


def test_a_rule_is_written_in_rows_and_is_on_the_record(cast, client):
    client.force_login(cast.ada)
    data = {
        "name": "Night", "active": "on", "category": "night", "likelihood": "high", "impact": "high", "mitigation": "Ask.", "evidence": "Late.",
        "condition-join": "all", "condition-rows": "1", "condition-0-field": "layers", "condition-0-op": "eq", "condition-0-value": "data",
    }  # fmt: skip
    assert client.post("/admin/changemgmt/riskrule/add/", data).status_code == 302
    assert RiskRule.objects.get().condition == {"all": [{"field": "layers", "op": "eq", "value": "data"}]}
    assert Event.objects.filter(action="riskrule.created").exists()
    wrong = client.post("/admin/changemgmt/riskrule/add/", {**data, "name": "B", "condition-0-field": "risk_level", "condition-0-value": "low"})
    assert b"risk that comes out of it" in wrong.content
    assert client.get(f"/admin/changemgmt/riskrule/{RiskRule.objects.get().pk}/change/").status_code == 200
