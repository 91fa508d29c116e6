"""Each guard by its name: what keeps a transition from happening, said with who can clear it."""

from datetime import timedelta

import pytest

from changemgmt.approvals.models import Chain
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import CustomField, Template
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, UnmetGuard
from changemgmt.lifecycle import (
    cancel,
    close,
    complete,
    discuss,
    edit,
    fail,
    go_ahead,
    reopen,
    reopen_review,
    revise,
    roll_back,
    schedule,
    start,
    steps,
    submit,
    transitions,
    verify_results,
    vote,
)
from changemgmt.scheduling.models import Freeze
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def window(now):
    return {"begins": now + HOUR, "ends": now + 3 * HOUR}


def unmet(act, *arguments, **options):
    """The guards of a refusal: name to guard."""
    with pytest.raises(UnmetGuard) as refused:
        act(*arguments, **options)
    assert all(guard.message for guard in refused.value.guards)
    return {guard.guard: guard for guard in refused.value.guards}


# --- submit ---


def test_submit_wants_fields_plans_and_items(cast, shop, now):
    CustomField.objects.create(name="cost-centre", label="Cost centre", required=True, types=["normal"])
    change = edit.create_change({"title": "Bare"}, actor=cast.rita, now=now)
    found = unmet(submit.submit, change.number, actor=cast.rita, now=now)
    assert found.keys() == {"required_fields", "required_plans", "items_or_reason"} and found["required_plans"].who_can_clear == ("rita",)
    assert "Cost centre" in found["required_fields"].message and "rollback plan" in found["required_plans"].message


def test_a_standard_change_keeps_to_its_template(cast, shop, now):
    change = estate.draft(cast, now, type="standard")
    assert unmet(submit.submit, change.number, actor=cast.rita, now=now).keys() == {"template_rules"}
    patch = edit.create_change({"title": "Patch", "template": "standard-patch", "no_items_reason": "x"}, actor=cast.rita, now=now)
    with pytest.raises(Invalid):
        edit.edit_change(patch.number, {"type": "normal"}, actor=cast.rita, now=now, seen=None)
    Template.objects.filter(slug="standard-patch").update(active=False)
    assert unmet(submit.submit, patch.number, actor=cast.rita, now=now).keys() == {"template_rules"}


def test_a_pre_approved_standard_change_is_approved_by_itself_inside_its_limits(cast, shop, now):
    apply_operations([Operation("create", "component", "lonely", data={"name": "Lonely", "type": "Node", "criticality": 1})], actor="ada", now=now)
    change = edit.create_change({"title": "Patch", "template": "standard-patch", "implementers": ["ian"]}, actor=cast.rita, now=now)
    update = {"operation": "update", "object": "component", "key": "lonely", "data": {"attributes": {"patch": "7"}}}
    edit.add_items(change.number, [update], actor=cast.rita, now=now, seen=None)
    approved = submit.submit(change.number, actor=cast.rita, now=now)
    assert approved.state == "approved" and approved.risk_level == "low" and not approved.rounds.exists() and approved.digest
    scheduled = schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen=approved.etag)
    assert start.start(change.number, actor=cast.ian, now=now + HOUR, seen=scheduled.etag).state == "implementing"


def test_a_standard_change_beyond_its_limits_goes_to_its_chain(cast, shop, now):
    change = edit.create_change({"title": "Patch", "template": "standard-patch"}, actor=cast.rita, now=now)
    edit.add_items(change.number, [estate.CUT], actor=cast.rita, now=now, seen=None)
    assert submit.submit(change.number, actor=cast.rita, now=now).state == "in_review"


def test_a_review_does_not_begin_without_a_chain_and_is_tried_again(cast, shop, now):
    in_force = dict(Chain.objects.values_list("pk", "in_force"))
    Chain.objects.update(in_force=None)
    change = estate.in_review(cast, now)
    assert change.state == "submitted"
    assert estate.last_event("approval.blocked")["data"]["guards"] == ["chain_matched"]
    (answer,) = [row for row in transitions.transitions_of(change, actor=cast.max, now=now) if row.name == "begin_review"]
    assert [guard.guard for guard in answer.verdict.guards] == ["chain_matched"] and answer.by == "system"
    with pytest.raises(NotPermitted):
        transitions.perform(change.number, "begin_review", {}, actor=cast.rita, now=now)
    for key, chain in in_force.items():
        Chain.objects.filter(pk=key).update(in_force=chain)
    assert transitions.perform(change.number, "begin_review", {}, actor=cast.max, now=now).state == "in_review"


def test_a_review_does_not_begin_while_nobody_can_take_a_seat(cast, shop, now):
    for person in (cast.petra, cast.paul):
        person.groups.clear()
    change = estate.in_review(cast, now)
    assert change.state == "submitted" and estate.last_event("approval.blocked")["data"]["guards"] == ["approvers_found"]


# --- schedule ---


def test_schedule_keeps_the_requested_window_the_calendar_and_the_past(cast, shop, now):
    asked = {"requested_start": "2026-11-21T00:00:00Z", "requested_end": "2026-11-22T00:00:00Z"}
    change = estate.approved(cast, now, **asked)
    Freeze.objects.create(name="Sale", start=now + 2 * HOUR, end=now + 20 * HOUR)

    def asked_for(begins, ends):
        return unmet(schedule.schedule, change.number, actor=cast.max, now=now, start=begins, end=ends, seen=change.etag).keys()

    assert asked_for(now + HOUR, now + 3 * HOUR) == {"requested_window", "no_freeze"}
    assert asked_for(now - 2 * HOUR, now - HOUR) == {"requested_window", "not_past"}
    assert (
        schedule.schedule(change.number, actor=cast.max, now=now, start=now + 21 * HOUR, end=now + 22 * HOUR, seen=change.etag).state == "scheduled"
    )


def test_schedule_wants_a_plan_without_errors_and_its_conditions(cast, shop, now):
    change = estate.draft(cast, now)
    edit.set_plan(change.number, {"steps": [{"id": "auto", "agent": "migration"}]}, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    seat = change.rounds.get().levels.get(state="open").seats.get()
    demand = [{"text": "Ask legal", "due": "before_schedule", "evidence": "statement"}]
    vote.cast_vote(seat.pk, actor=cast.petra, now=now, vote="approve", digest=seat.level.digest, conditions=demand)
    current = estate.decide(change, now)
    found = unmet(schedule.schedule, change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen=current.etag)
    assert found.keys() == {"plan_complete", "conditions_before_schedule"} and found["plan_complete"].who_can_clear == ("rita",)


def test_two_changes_on_one_component_do_not_run_at_the_same_time(cast, shop, now, window):
    estate.scheduled(cast, now, **window)
    other = estate.approved(cast, now)
    found = unmet(schedule.schedule, other.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=other.etag)
    assert found.keys() == {"no_hard_conflict"}


# --- start ---


def test_start_waits_for_its_window_and_ends_with_it(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    early = unmet(start.start, change.number, actor=cast.ian, now=window["begins"] - timedelta(minutes=16), seen=change.etag)["inside_window"]
    assert early.clears_at == window["begins"] - timedelta(minutes=15)
    assert unmet(start.start, change.number, actor=cast.ian, now=window["ends"] + timedelta(minutes=1), seen=change.etag).keys() == {"inside_window"}
    assert start.start(change.number, actor=cast.ian, now=window["begins"] - timedelta(minutes=15), seen=change.etag).state == "implementing"


def test_a_freeze_that_came_after_the_window_was_set_holds(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    Freeze.objects.create(name="Incident", start=now, end=window["ends"])
    found = unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    assert found.keys() == {"no_freeze"} and "Incident" in found["no_freeze"].message and found["no_freeze"].clears_at == window["ends"]


def test_what_is_not_what_was_approved_does_not_start(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    change.rollback_plan = "Smuggled in."
    change.save()
    assert unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=change.etag).keys() == {"digest_matches"}


def test_an_expired_approval_does_not_start_and_is_asked_for_again(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    change.approval_expires_at = window["begins"]
    change.save()
    assert unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=change.etag).keys() == {"approval_valid"}
    for _ in range(2):
        reopen_review.reopen_expired(change.number, now=window["begins"])
    again = estate.fresh(change)
    assert again.state in ("in_review", "approved") and again.rounds.count() == 2
    assert estate.last_event("change.review_reopened")["data"]["why"] == "expired"


def test_a_base_that_moved_underneath_is_said_with_who_moved_it(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    apply_operations([Operation("update", "component", "shop/db", data={"attributes": {"version": "15.9"}})], actor="ada", now=now, direct=True)
    found = unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    assert "base_current" in found and "version" in found["base_current"].message and found["base_current"].who_can_clear == ("rita",)


def test_entry_gates_are_asked(cast, shop, now, window):
    change = estate.draft(cast, now)
    gate = {"name": "Quiet day", "kind": "entry", "criteria": {"field": "tags", "op": "contains", "value": "quiet"}}
    edit.set_plan(change.number, {"steps": [], "gates": [gate]}, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    current = estate.decide(change, now)
    current = schedule.schedule(change.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=current.etag)
    found = unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=current.etag)
    assert found.keys() == {"entry_gates"} and "Quiet day" in found["entry_gates"].message
    edited = edit.edit_change(change.number, {"tags": ["quiet"]}, actor=cast.rita, now=now, seen=current.etag)
    assert start.start(change.number, actor=cast.ian, now=window["begins"], seen=edited.etag).state == "implementing"


def test_order_between_changes_is_kept(cast, shop, now, window):
    first = edit.create_change({"title": "First", "confidential": True}, actor=cast.petra, now=now)
    second = edit.create_change({"title": "Second"}, actor=cast.petra, now=now)
    change = estate.draft(cast, now)
    edit.link(change.number, {"kind": "depends_on", "target": second.number}, actor=cast.rita, now=now, seen=None)
    discuss.watch(first.number, "petra", actor=cast.petra, now=now)
    edit.edit_change(change.number, {"watchers": ["petra"]}, actor=cast.rita, now=now, seen=None)
    edit.link(first.number, {"kind": "blocks", "target": change.number}, actor=cast.petra, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    current = estate.decide(change, now)
    current = schedule.schedule(change.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=current.etag)
    found = unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=current.etag)
    assert found.keys() == {"dependencies_done", "not_blocked"} and second.number in found["dependencies_done"].message
    assert (
        first.number not in found["not_blocked"].message
        and "may not see" in found["not_blocked"].message
        and found["not_blocked"].who_can_clear == ()
    )
    cancel.cancel(first.number, actor=cast.petra, now=now, reason="No.")
    assert unmet(start.start, change.number, actor=cast.ian, now=window["begins"], seen=current.etag).keys() == {"dependencies_done"}


# --- complete, fail, roll back ---


def test_complete_wants_steps_checks_and_answers(cast, shop, now, window):
    lists = {"verification_checklist": [{"text": "Backup"}], "success_criteria": [{"group": "technical", "text": "Quiet"}]}
    change = estate.implementing(cast, now, **window, **lists)
    found = unmet(complete.complete, change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    assert found.keys() == {"steps_done", "verification_passed", "technical_criteria"} and "ian" in found["steps_done"].who_can_clear


def test_a_technical_criterion_that_is_missed_turns_the_change_back(cast, shop, now, window):
    before = estate.snapshot()
    change = estate.implementing(cast, now, **window, success_criteria=[{"group": "technical", "text": "Quiet"}])
    estate.do_all_steps(change, cast, window["begins"])
    verify_results.record_results(change.number, {"success_criteria": [{"index": 0, "met": False}]}, actor=cast.ian, now=window["begins"])
    turned = complete.complete(change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    execution = change.executions.get()
    assert turned.state == "implementing" and execution.state == "rolling_back" and "Quiet" in execution.reason
    for step in ("cut", "upgrade"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=window["begins"])
    assert estate.fresh(change).state == "rolled_back" and estate.snapshot() == before


def test_items_no_step_names_are_applied_when_it_is_completed(cast, shop, now, window):
    change = estate.draft(cast, now)
    edit.set_plan(change.number, {"steps": [{"id": "only", "manual": True, "compensation": {"action": "Undo"}}]}, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    current = estate.decide(change, now)
    current = schedule.schedule(change.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=current.etag)
    current = start.start(change.number, actor=cast.ian, now=window["begins"], seen=current.etag)
    before = estate.snapshot()
    steps.finish_step(change.executions.get().pk, "only", actor=cast.ian, now=window["begins"])
    assert estate.snapshot() == before
    complete.complete(change.number, actor=cast.ian, now=window["begins"], seen=current.etag)
    assert estate.snapshot() != before and "shop/api>shop/checkout" not in estate.snapshot()[1]


def test_what_can_t_be_undone_holds_and_calls_a_person(cast, shop, now, window):
    change = estate.draft(cast, now)
    plan = {"steps": [{"id": "drop", "manual": True, "irreversible": True}, {"id": "then", "manual": True, "compensation": {"action": "x"}}]}
    edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    current = estate.decide(change, now)
    current = schedule.schedule(change.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=current.etag)
    current = start.start(change.number, actor=cast.ian, now=window["begins"], seen=current.etag)
    execution = change.executions.get()
    steps.finish_step(execution.pk, "drop", actor=cast.ian, now=window["begins"])
    assert steps.fail_step(execution.pk, "then", actor=cast.ian, now=window["begins"], reason="Broke.").state == "waiting"
    found = unmet(roll_back.roll_back, change.number, actor=cast.ian, now=window["begins"], reason="Back.", seen=current.etag)
    assert found.keys() == {"compensated"} and "drop" in found["compensated"].message
    assert fail.fail(change.number, actor=cast.ian, now=window["begins"], reason="By hand.", seen=current.etag).state == "failed"
    assert close.close(change.number, actor=cast.max, now=window["begins"], seen="*").result == "failed"


def test_a_failed_undoing_is_never_silent(cast, shop, now, window):
    change = estate.implementing(cast, now, **window)
    execution = change.executions.get()
    steps.finish_step(execution.pk, "upgrade", actor=cast.ian, now=window["begins"])
    steps.fail_step(execution.pk, "cut", actor=cast.ian, now=window["begins"], reason="Broke.")
    failed = steps.fail_step(execution.pk, "cut", actor=cast.ian, now=window["begins"], reason="Broke again.")
    assert failed.state == "rollback_failed" and estate.fresh(change).state == "failed"
    assert "Broke again." in estate.last_event("execution.rollback_failed")["data"]["reason"]


def test_what_a_later_change_built_upon_is_not_rolled_back(cast, shop, now, window):
    change = estate.implementing(cast, now, **window)
    estate.do_all_steps(change, cast, window["begins"])
    done = complete.complete(change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    apply_operations([Operation("update", "component", "shop/db", data={"attributes": {"version": "17"}})], actor="ada", now=now, direct=True)
    found = unmet(roll_back.roll_back, change.number, actor=cast.max, now=window["begins"], reason="Errors.", seen=done.etag)
    assert found.keys() == {"no_later_change"} and "shop/db" in found["no_later_change"].message


def test_steps_wait_for_those_before_and_are_the_implementer_s(cast, shop, now, window):
    change = estate.implementing(cast, now, **window)
    execution = change.executions.get()
    for act, more in ((steps.finish_step, {}), (steps.fail_step, {"reason": "x"})):
        with pytest.raises(NotPossible):
            act(execution.pk, "cut", actor=cast.ian, now=window["begins"], **more)
        with pytest.raises(NotPermitted):
            act(execution.pk, "upgrade", actor=cast.max, now=window["begins"], **more)
    steps.finish_step(execution.pk, "upgrade", actor=cast.ian, now=window["begins"])
    with pytest.raises(NotPossible):
        steps.finish_step(execution.pk, "upgrade", actor=cast.ian, now=window["begins"])


def test_after_its_window_a_change_that_may_not_go_on_stands_still(cast, shop, now, window):
    change = estate.implementing(cast, now, **window, on_window_end="pause")
    found = unmet(steps.finish_step, change.executions.get().pk, "upgrade", actor=cast.ian, now=window["ends"] + HOUR)
    assert found.keys() == {"inside_window"}


# --- close ---


def test_close_wants_its_review_its_parts_and_a_decision(cast, shop, now, window):
    change = estate.implementing(cast, now, **window, type="major", description="Why.", test_plan="t", communication_plan="c")
    estate.do_all_steps(change, cast, window["begins"])
    done = complete.complete(change.number, actor=cast.ian, now=window["begins"], seen=change.etag)
    part = edit.create_change({"title": "Part", "parent": change.number}, actor=cast.rita, now=now)
    found = unmet(close.close, change.number, actor=cast.max, now=window["begins"], result="successful", seen=done.etag)
    assert found.keys() == {"review_given", "children_closed"} and part.number in found["children_closed"].message
    cancel.cancel(part.number, actor=cast.rita, now=now, reason="No.")
    with pytest.raises(Invalid) as asked:
        close.close(change.number, actor=cast.max, now=window["begins"], review={"summary": "Good."}, seen=done.etag)
    assert asked.value.errors.keys() == {"result"}
    closed = close.close(change.number, actor=cast.max, now=window["begins"], result="successful", review={"summary": "Good."}, seen=done.etag)
    assert closed.state == "closed" and closed.result == "successful"


# --- emergency ---


def test_a_go_ahead_runs_first_and_is_decided_afterwards(cast, shop, now):
    change = estate.in_review(cast, now, type="emergency")
    with pytest.raises(NotPermitted):
        go_ahead.emergency_go_ahead(change.number, actor=cast.max, now=now, reason="Burns.", seen=change.etag)
    given = go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="Burns.", seen=change.etag)
    assert given.state == "scheduled" and given.retrospective and given.planned_start == now
    begun = start.start(change.number, actor=cast.ian, now=now, seen=given.etag)
    estate.do_all_steps(change, cast, now)
    done = complete.complete(change.number, actor=cast.ian, now=now, seen=begun.etag)
    review = {"summary": "The fire is out."}
    assert unmet(close.close, change.number, actor=cast.max, now=now, result="successful", review=review, seen=done.etag).keys() == {
        "retrospective_decided"
    }
    seat = change.rounds.get().levels.get().seats.get()
    with pytest.raises(NotPermitted):
        vote.cast_vote(seat.pk, actor=cast.eva, now=now, vote="approve", digest=seat.level.digest)
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote="approve", digest=seat.level.digest)
    assert estate.fresh(change).state == "implemented"
    assert close.close(change.number, actor=cast.max, now=now, result="successful", review=review, seen="*").state == "closed"


def test_a_go_ahead_is_for_emergencies_with_a_reason_outside_freezes(cast, shop, now):
    normal = estate.in_review(cast, now)
    assert unmet(go_ahead.emergency_go_ahead, normal.number, actor=cast.eva, now=now, reason="", seen=normal.etag).keys() == {
        "emergency",
        "reason_given",
    }
    Freeze.objects.create(name="Elections", start=now - HOUR, end=now + HOUR)
    urgent = estate.in_review(cast, now, type="emergency")
    assert unmet(go_ahead.emergency_go_ahead, urgent.number, actor=cast.eva, now=now, reason="Burns.", seen=urgent.etag).keys() == {"no_freeze"}


# --- taking back and anew ---


def test_a_material_edit_releases_the_window_and_a_title_does_not(cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    titled = edit.edit_change(change.number, {"title": "Better"}, actor=cast.rita, now=now, seen=change.etag)
    assert titled.state == "scheduled" and titled.planned_start and titled.version == 1
    update = {"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "The API"}}
    amended = edit.add_items(change.number, [update], actor=cast.rita, now=now, seen=titled.etag)
    assert amended.state == "in_review" and amended.planned_start is None and amended.version == 2


def test_a_copy_keeps_what_was_asked_for_and_none_of_the_results(cast, shop, now):
    change = estate.decide(estate.in_review(cast, now, tags=["db"], verification_checklist=[{"text": "Backup"}]), now, answer="reject")
    copy = reopen.reopen_as_new(change.number, actor=cast.rita, now=now, seen=change.etag)
    assert copy.number != change.number and copy.state == "draft" and copy.copied_from == change and copy.tags == ["db"]
    assert [item.key for item in copy.items.all()] == [item.key for item in change.items.all()]
    assert [step.items for step in copy.plan.steps.all()] == [[item.pk] for item in copy.items.all()]
    assert copy.links.get().other == change and copy.verification_checklist == [{"text": "Backup", "done": False}]


def test_revise_withdraws_what_is_open_and_keeps_what_was_given(cast, shop, now):
    change = estate.in_review(cast, now)
    seat = change.rounds.get().levels.get(state="open").seats.get()
    vote.cast_vote(seat.pk, actor=cast.petra, now=now, vote="approve", digest=seat.level.digest)
    taken = revise.revise(change.number, actor=cast.rita, now=now, seen=estate.fresh(change).etag)
    assert taken.version == 2 and taken.planned_start is None and change.rounds.get().outcome == "withdrawn"
    assert change.rounds.get().levels.first().votes.count() == 1
