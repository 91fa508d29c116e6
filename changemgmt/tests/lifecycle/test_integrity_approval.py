"""An approval covers what runs, and nothing else: votes, risk, templates, expiry and go-aheads under attack."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from changemgmt.approvals.models import ActionItem, Round, Seat, Vote
from changemgmt.audit.models import Event
from changemgmt.changes.models import Link, Template, TypePolicy
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, OutOfDate, UnmetGuard
from changemgmt.lifecycle import assess, cancel, close, complete, edit, go_ahead, reopen, revise, schedule, start, steps, submit, vote
from changemgmt.lifecycle.reopen_review import rebase, reopen_expired
from changemgmt.lifecycle.transitions import perform, transitions_of
from changemgmt.planning.queries import plan_of

from .. import estate

pytestmark = pytest.mark.django_db


@pytest.fixture
def later(now):
    return now + timedelta(hours=1)


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


def guards_of(refused) -> list[str]:
    return [guard.guard for guard in refused.value.guards]


def open_seats(change) -> int:
    return Seat.objects.filter(level__round__change=change, state="open").count()


# Taking back


def test_what_was_taken_back_keeps_its_votes_on_record_as_superseded(cast, shop, now):
    change = estate.approved(cast, now)
    assert Vote.objects.filter(level__round__change=change, superseded=False).exists()
    revise.revise(change.number, actor=cast.rita, now=now, seen="*")
    votes = Vote.objects.filter(level__round__change=change)
    assert votes.exists() and not votes.filter(superseded=False).exists()


def test_the_conditions_of_votes_that_were_taken_back_bind_nobody(cast, shop, now):
    change = estate.in_review(cast, now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    demand = {"text": "Tell the desk", "due": "before_start", "evidence": "statement"}
    vote.cast_vote(seat.pk, actor=seat.people.first(), now=now, vote="approve", digest=seat.level.digest, conditions=[demand])
    revise.revise(change.number, actor=cast.rita, now=now, seen="*")
    assert ActionItem.objects.get(change=change).state == "waived"


# Risk


def test_the_risk_is_that_of_the_content_that_is_submitted(cast, shop, now):
    change = estate.draft(cast, now)
    assess.reassess(change.number, actor=cast.rita, now=now)
    from changemgmt.lifecycle.compute_preview import ask_for_preview

    ask_for_preview(change.number, actor=cast.rita, now=now)
    before = estate.fresh(change).risk_score
    answers = {"revenue_at_stake": 1, "reputation_at_stake": 1, "expected_downtime_minutes": 600, "testing_evidence": "", "impact": "very_high"}
    edit.edit_change(change.number, answers, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    assert estate.fresh(change).risk_score > before


def test_a_level_of_risk_set_by_hand_ends_with_its_version(cast, shop, now):
    change = estate.draft(cast, now)
    submit.submit(change.number, actor=cast.rita, now=now)
    assert estate.fresh(change).risk_level != "very_high"
    revise.revise(change.number, actor=cast.rita, now=now, seen="*")
    assess.override(change.number, actor=cast.max, now=now, level="very_high", reason="Season.", seen="*")
    submit.submit(change.number, actor=cast.rita, now=now)
    assert estate.fresh(change).risk_level == "very_high"
    revise.revise(change.number, actor=cast.rita, now=now, seen="*")
    submit.submit(change.number, actor=cast.rita, now=now)
    submitted = estate.fresh(change)
    assert submitted.risk_level == submitted.assessments.last().level and submitted.assessments.last().version == submitted.version


def test_steps_that_cannot_be_undone_are_counted_in_a_copy_and_from_a_template(cast, shop, now):
    change = estate.draft(cast, now)
    plan = plan_of(change)
    plan["steps"][0] |= {"irreversible": True, "compensation": {}}
    edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=None)
    assert estate.fresh(change).irreversible_steps == 1
    cancel.cancel(change.number, actor=cast.rita, now=now, reason="Later.")
    copy = reopen.reopen_as_new(change.number, actor=cast.rita, now=now, seen="*")
    assert estate.fresh(copy).irreversible_steps == 1
    Template.objects.create(slug="burn", name="Burn", plan={"steps": [{"id": "burn", "manual": True, "irreversible": True}]})
    made = edit.create_change({"title": "Burn it", "template": "burn"}, actor=cast.rita, now=now)
    assert estate.fresh(made).irreversible_steps == 1


# Templates


def test_a_template_put_on_later_fixes_what_it_fixes(cast, shop, now):
    Template.objects.create(
        slug="quick", name="Quick", type="standard", pre_approved=True, fields={"implementation_plan": {"mode": "fixed", "value": "Follow the book."}}
    )
    change = edit.create_change({"title": "Quick one", "no_items_reason": "paper", "implementation_plan": "My own way."}, actor=cast.rita, now=now)
    edit.edit_change(change.number, {"template": "quick", "type": "standard"}, actor=cast.rita, now=now, seen=None)
    with pytest.raises(UnmetGuard) as refused:
        submit.submit(change.number, actor=cast.rita, now=now)
    assert guards_of(refused) == ["template_rules"] and estate.fresh(change).state == "draft"


def test_a_fixed_field_without_a_value_is_no_fault_of_the_requester(cast, shop, now):
    Template.objects.create(slug="odd", name="Odd", fields={"description": {"mode": "fixed"}})
    with pytest.raises(Invalid):
        edit.create_change({"title": "Odd", "template": "odd", "description": "Mine."}, actor=cast.rita, now=now)


def test_required_fields_may_be_people_and_are_not_met_by_blanks(cast, shop, now):
    TypePolicy.objects.filter(type="normal").update(required_fields=["title", "business_justification", "implementers"], required_plans=[])
    fields = {"title": "Thin", "business_justification": "  ", "no_items_reason": "paper"}
    change = edit.create_change(fields, actor=cast.rita, now=now)
    with pytest.raises(UnmetGuard) as refused:
        submit.submit(change.number, actor=cast.rita, now=now)
    assert guards_of(refused) == ["required_fields"]
    assert "business justification" in refused.value.detail and "implementers" in refused.value.detail


# Who requested it


def test_naming_another_requester_is_material_and_frees_nobody_who_wrote_it(cast, shop, now):
    cast.selma.groups.add(Group.objects.get(name="change_manager"))
    change = estate.in_review(cast, now)
    edit.edit_change(change.number, {"requester": "petra"}, actor=cast.max, now=now, seen="*")
    moved = estate.fresh(change)
    assert moved.version == 2 and moved.state == "in_review" and moved.rounds.count() == 2
    cast.rita.groups.add(*cast.paul.groups.all())
    seat = Seat.objects.filter(level__round=moved.rounds.last(), state="open").first()
    for actor in (cast.rita, cast.petra, cast.max):
        with pytest.raises(NotPermitted):
            vote.cast_vote(seat.pk, actor=actor, now=now, vote="approve", digest=seat.level.digest)


# Expiry


def test_an_approval_expires_as_its_type_says(cast, shop, now):
    TypePolicy.objects.filter(type="normal").update(approval_expires_hours=10)
    change = estate.approved(cast, now)
    assert change.approval_expires_at == now + timedelta(hours=10)


def test_a_pre_approved_change_expires_too(cast, shop, now):
    TypePolicy.objects.filter(type="standard").update(approval_expires_hours=10)
    Template.objects.create(slug="paper", name="Paper", type="standard", pre_approved=True)
    fields = {
        "title": "Paper",
        "template": "paper",
        "no_items_reason": "paper",
        "testing_evidence": "Yes.",
        "rollback_plan": "Back.",
        "rollback_rehearsed": True,
    }
    change = edit.create_change(fields, actor=cast.rita, now=now)
    submit.submit(change.number, actor=cast.rita, now=now)
    approved = estate.fresh(change)
    assert approved.state == "approved" and approved.approval_expires_at == now + timedelta(hours=10)


def test_an_expired_approval_is_asked_for_again_and_does_not_renew_itself(cast, shop, now):
    TypePolicy.objects.filter(type="normal").update(approval_expires_hours=10)
    change = estate.approved(cast, now)
    late = now + timedelta(hours=11)
    reopen_expired(change.number, now=late)
    again = estate.fresh(change)
    assert again.state == "in_review" and open_seats(change)
    assert not Vote.objects.filter(level__round=again.rounds.last(), superseded=False).exists()
    before = Event.objects.filter(change=change.number).count()
    reopen_expired(change.number, now=late)
    assert Event.objects.filter(change=change.number).count() == before


def test_a_level_that_expired_is_asked_again_and_one_that_did_not_keeps_its_votes(cast, shop, now):
    from ..approvals.making import a_chain, a_level, a_seat

    a_chain(
        a_level(a_seat("approver"), name="Short", expires_hours=5),
        a_level(a_seat("technical_lead"), name="Long", number=2),
    )
    change = estate.approved(cast, now)
    reopen_expired(change.number, now=now + timedelta(hours=6))
    states = dict(estate.fresh(change).rounds.last().levels.values_list("name", "state"))
    assert states == {"Short": "open", "Long": "waiting"}
    assert (
        Vote.objects.filter(level__round=estate.fresh(change).rounds.last(), superseded=False).values_list("level__name", flat=True).get() == "Long"
    )


def test_a_vote_that_is_carried_does_not_live_longer_than_it_would_have(cast, shop, now):
    from ..approvals.making import a_chain, a_level, a_seat

    a_chain(a_level(a_seat("approver"), name="Short", expires_hours=5, watches=["items"]), a_level(a_seat("technical_lead"), name="Texts", number=2))
    change = estate.approved(cast, now)
    late = now + timedelta(hours=4)
    edit.edit_change(change.number, {"description": "More."}, actor=cast.rita, now=late, seen="*")
    estate.decide(change, late)
    assert estate.fresh(change).approval_expires_at == now + timedelta(hours=5)


# Emergencies


EMERGENCY = {"type": "emergency", "title": "Stop the leak"}


def gone_ahead(cast, now, **fields):
    change = estate.in_review(cast, now, **EMERGENCY, **fields)
    return go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")


def test_a_refused_go_ahead_names_its_guard(cast, shop, now):
    change = estate.in_review(cast, now, **EMERGENCY)
    for actor, name in ((cast.vera, "may_go_ahead"), (cast.rita, "may_go_ahead")):
        with pytest.raises(NotPermitted) as refused:
            go_ahead.emergency_go_ahead(change.number, actor=actor, now=now, reason="It burns.", seen="*")
        assert guards_of(refused) == [name]
    cast.ian.groups.add(*cast.eva.groups.all())
    with pytest.raises(NotPermitted) as refused:
        go_ahead.emergency_go_ahead(change.number, actor=cast.ian, now=now, reason="It burns.", seen="*")
    assert guards_of(refused) == ["not_involved"]


def test_who_gave_the_go_ahead_is_not_asked_to_review_it(cast, shop, now):
    change = gone_ahead(cast, now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    with pytest.raises(NotPermitted):
        vote.cast_vote(seat.pk, actor=cast.eva, now=now, vote="approve", digest=seat.level.digest)


def test_a_vote_given_before_the_go_ahead_by_who_gives_it_falls(cast, shop, now):
    from ..approvals.making import a_chain, a_level, a_seat

    a_chain(a_level(a_seat("ecab", required=2), rule="count", value=2), name="Two of ECAB")
    change = estate.in_review(cast, now, **EMERGENCY)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=cast.eva, now=now, vote="approve", digest=seat.level.digest)
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    assert not Vote.objects.filter(level__round__change=change, superseded=False).exists()


def test_a_go_ahead_that_leaves_nobody_to_review_it_says_so(cast, shop, now):
    cast.emil.groups.clear()
    change = gone_ahead(cast, now)
    assert Event.objects.filter(change=change.number, action="approval.no_approver").exists()


def test_after_a_retrospective_rejection_nothing_is_done_any_more(cast, shop, now):
    change = gone_ahead(cast, now)
    run = start.start(change.number, actor=cast.ian, now=now, seen="*").executions.get()
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote="reject", digest=seat.level.digest, comment="Not like this.")
    with pytest.raises(UnmetGuard) as refused:
        steps.finish_step(run.pk, "cut", actor=cast.ian, now=now)
    assert guards_of(refused) == ["approval_valid"]
    steps.fail_step(run.pk, "cut", actor=cast.ian, now=now, reason="It was rejected.")
    for step in ("cut", "upgrade"):
        steps.finish_step(run.pk, step, actor=cast.ian, now=now)
    assert estate.fresh(change).state == "rolled_back"


def test_a_retrospective_rejection_demands_a_roll_back_or_a_follow_up(cast, shop, now):
    change = gone_ahead(cast, now)
    start.start(change.number, actor=cast.ian, now=now, seen="*")
    estate.do_all_steps(change, cast, now)
    complete.complete(change.number, actor=cast.ian, now=now, seen="*")
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote="reject", digest=seat.level.digest, comment="Not like this.")
    review = {"summary": "It was rejected afterwards."}
    with pytest.raises(UnmetGuard) as refused:
        close.close(change.number, actor=cast.max, now=now, result="successful", review=review, seen="*")
    assert guards_of(refused) == ["retrospective_decided"]
    follow_up = edit.create_change({"title": "Do it properly"}, actor=cast.rita, now=now)
    edit.link(follow_up.number, {"kind": "related", "target": change.number}, actor=cast.rita, now=now, seen=None)
    closed = close.close(change.number, actor=cast.max, now=now, result="successful", review=review, seen="*")
    assert closed.state == "closed"


def test_a_go_ahead_is_for_the_content_it_was_given_for(cast, shop, now):
    change = gone_ahead(cast, now)
    edit.edit_change(change.number, {"description": "Something else."}, actor=cast.rita, now=now, seen="*")
    amended = estate.fresh(change)
    assert amended.state == "in_review" and not amended.retrospective
    with pytest.raises(NotPossible):
        start.start(change.number, actor=cast.ian, now=now, seen="*")


def test_a_go_ahead_survives_the_architecture_moving_under_it(cast, shop, now):
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation

    change = gone_ahead(cast, now)
    grown = [
        Operation("create", "component", "shop/mobile", None, None, None, {"name": "Mobile", "type": "ApplicationComponent", "layer": "application"}),
        Operation("create", "relation", "shop/db>shop/mobile", "shop/db", "shop/mobile", "serving", {}),
    ]
    apply_operations(grown, actor="ada", now=now, reason="grown")
    rebase(change.number, now=now)
    moved = estate.fresh(change)
    assert moved.state == "scheduled" and moved.retrospective
    seat = Seat.objects.filter(level__round=moved.rounds.last(), state="open").first()
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote="approve", digest=seat.level.digest)
    assert moved.rounds.last().outcome == "approved"
    assert start.start(change.number, actor=cast.ian, now=now, seen="*").state == "implementing"


def test_an_earlier_approval_does_not_let_a_go_ahead_be_rescheduled(cast, shop, now, later):
    change = estate.approved(cast, now, **EMERGENCY)
    edit.edit_change(change.number, {"description": "Another leak."}, actor=cast.rita, now=now, seen="*")
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    with pytest.raises(NotPossible):
        schedule.schedule(change.number, actor=cast.max, now=now, start=later, end=later + timedelta(hours=1), seen="*")


# Reopening


def touch(key, now):
    """The component moves in a way that no preview shows."""
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation

    apply_operations([Operation("update", "component", key, None, None, None, {"tags": ["seen"]})], actor="ada", now=now, reason="touched")


def test_a_higher_risk_of_the_same_result_is_asked_about_again(cast, shop, now):
    from changemgmt.changes.models import Change

    change = estate.approved(cast, now)
    Change.objects.filter(pk=change.pk).update(risk_level="low")
    assert estate.fresh(change).assessments.last().level != "low"
    touch("shop/checkout", now)
    rebase(change.number, now=now)
    assert estate.fresh(change).state in {"in_review", "approved"}
    assert Event.objects.filter(change=change.number, action="change.review_reopened").exists()


def test_a_review_without_a_round_is_taken_up_by_the_sweep(cast, shop, now):
    from changemgmt.approvals.actions import close_round
    from changemgmt.orchestrator.tasks import sweep

    change = estate.in_review(cast, now)
    close_round(change.rounds.last(), outcome=Round.Outcome.WITHDRAWN, now=now)
    sweep()
    assert estate.fresh(change).rounds.last().outcome == "pending"


# The transitions by name


def test_beginning_a_review_is_refused_where_there_is_none_to_begin(cast, shop, now):
    change = estate.draft(cast, now)
    with pytest.raises(NotPossible):
        perform(change.number, "begin_review", {}, actor=cast.max, now=now, seen="*")
    (answer,) = [one for one in transitions_of(estate.in_review(cast, now), actor=cast.vera, now=now) if one.name == "begin_review"]
    assert not answer.verdict.allowed


def test_questions_and_answers_are_refused_on_a_stale_version(cast, shop, now):
    change = estate.in_review(cast, now)
    petra = Seat.objects.filter(level__round__change=change, state="open").first().people.first()
    with pytest.raises(OutOfDate):
        perform(change.number, "request_info", {"question": "Why?"}, actor=petra, now=now, seen="1.99")
    perform(change.number, "request_info", {"question": "Why?"}, actor=petra, now=now, seen=estate.fresh(change).etag)
    with pytest.raises(OutOfDate):
        perform(change.number, "provide_info", {"answer": "So."}, actor=cast.rita, now=now, seen="1.99")
    assert estate.fresh(change).state == "info_requested"


# Ties


def test_a_circle_of_parents_does_not_hang_an_edit(cast, shop, now):
    from changemgmt.changes.documents import write_documents
    from changemgmt.changes.models import Change

    one, two, three = (edit.create_change({"title": name}, actor=cast.rita, now=now) for name in ("One", "Two", "Three"))
    Change.objects.filter(pk=one.pk).update(parent=two.pk)
    Change.objects.filter(pk=two.pk).update(parent=one.pk)
    write_documents([one.pk, two.pk])
    edit.edit_change(three.number, {"parent": one.number}, actor=cast.rita, now=now, seen=None)


def test_an_item_can_be_taken_back_while_others_are_wrong(cast, shop, now):
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation

    change = edit.create_change({"title": "Three new ones"}, actor=cast.rita, now=now)
    data = {"name": "New", "type": "ApplicationComponent", "layer": "application"}
    keys = ("new/a", "new/b", "new/c")
    items = [{"operation": "create", "object": "component", "key": key, "data": data} for key in keys]
    edit.add_items(change.number, items, actor=cast.rita, now=now, seen=None)
    apply_operations([Operation("create", "component", key, None, None, None, data) for key in keys[:2]], actor="ada", now=now, reason="first")
    for item in list(change.items.all()):
        edit.remove_item(change.number, item.pk, actor=cast.rita, now=now, seen=None)
    assert not change.items.exists()


def test_an_item_others_need_is_not_taken_from_under_them(cast, shop, now):
    change = edit.create_change({"title": "A new one"}, actor=cast.rita, now=now)
    items = [
        {"operation": "create", "object": "component", "key": "new/a", "data": {"name": "A", "type": "ApplicationComponent", "layer": "application"}},
        {"operation": "create", "object": "relation", "source": "new/a", "target": "shop/api", "relation_type": "serving"},
    ]
    edit.add_items(change.number, items, actor=cast.rita, now=now, seen=None)
    with pytest.raises(Invalid):
        edit.remove_item(change.number, change.items.first().pk, actor=cast.rita, now=now, seen=None)
    assert Link.objects.count() == 0 and change.items.count() == 2


def test_the_title_of_a_cancelled_change_can_still_be_mended(cast, shop, now):
    change = estate.draft(cast, now)
    cancel.cancel(change.number, actor=cast.rita, now=now, reason="Later.")
    edit.edit_change(change.number, {"title": "Better"}, actor=cast.rita, now=now, seen="*")
    with pytest.raises(NotPossible):
        edit.edit_change(change.number, {"description": "Better"}, actor=cast.rita, now=now, seen="*")


def test_an_architecture_that_moves_while_information_is_asked_for_is_looked_at_with_the_answer(cast, shop, now):
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation
    from changemgmt.audit.models import Event as Record
    from changemgmt.orchestrator.tasks import compute_asked_preview

    change = estate.in_review(cast, now)
    perform(change.number, "request_info", {"question": "Why?"}, actor=cast.petra, now=now)
    grown = [
        Operation("create", "component", "shop/mobile", None, None, None, {"name": "Mobile", "type": "ApplicationComponent", "layer": "application"}),
        Operation("create", "relation", "shop/db>shop/mobile", "shop/db", "shop/mobile", "serving", {}),
    ]
    apply_operations(grown, actor="ada", now=now, reason="grown")
    rebase(change.number, now=now)
    assert estate.fresh(change).state == "info_requested" and estate.fresh(change).rounds.count() == 1
    perform(change.number, "provide_info", {"answer": "So."}, actor=cast.rita, now=now)
    compute_asked_preview(event_id=Record.objects.filter(action="information.provided").latest("pk").pk)
    assert estate.fresh(change).rounds.count() == 2
    assert estate.decide(change, now).state == "approved"


def test_the_gate_is_shut_once_it_was_rejected_afterwards_or_is_being_rolled_back(cast, shop, now):
    from changemgmt.lifecycle import roll_back

    change = gone_ahead(cast, now)
    start.start(change.number, actor=cast.ian, now=now, seen="*")
    assert start.gate_of(estate.fresh(change), now=now, viewer=cast.ian)["allowed"]
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote="reject", digest=seat.level.digest, comment="Not like this.")
    assert not start.gate_of(estate.fresh(change), now=now, viewer=cast.ian)["allowed"]
    roll_back.roll_back(change.number, actor=cast.ian, now=now, reason="Rejected.", seen="*")
    assert not start.gate_of(estate.fresh(change), now=now, viewer=cast.ian)["allowed"]
