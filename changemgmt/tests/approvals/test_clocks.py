"""The clock of a level: reminders, what follows when the time is up, and that each happens once."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import User
from changemgmt.approvals.models import RoundLevel, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle.claim import claim_seat
from changemgmt.lifecycle.time_out import remind, time_out
from changemgmt.lifecycle.vote import provide_information, request_information
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.sla import queries
from changemgmt.sla.tasks import act_on

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def asked(cast, seeded, now):
    """Two approvers are asked with ten hours; what follows is up to the test."""

    def make(on_timeout="escalate", *, seats=None, hours=10, requester=None, fields=None, **more):
        seats = seats or (a_seat("approver", required=2),)
        a_chain(a_level(*seats, sla_hours=hours, on_timeout=on_timeout, **more))
        return in_review(a_change(requester or cast.rita, now, implementers=(cast.ian,), **(fields or {})), now)

    return make


def level_of(round) -> RoundLevel:
    return RoundLevel.objects.get(round=round)


def state_of(round) -> str:
    return Change.objects.get(pk=round.change_id).state


def events(action):
    return representations(Event.objects.filter(action=action).order_by("pk"))


# --- reminders ---


def test_reminders_go_out_at_the_percentages_of_the_level_each_once(asked, now):
    round = asked()
    act_on(now + 4 * HOUR)
    assert events("approval.reminded") == []
    for hour in (5, 6, 7.5, 8, 9, 9.5):
        act_on(now + timedelta(hours=hour))
        act_on(now + timedelta(hours=hour))
    assert [row["data"]["percent"] for row in events("approval.reminded")] == [50, 75, 90]
    assert level_of(round).reminded == 90


def test_after_a_pause_only_the_newest_reminder_goes_out(asked, now):
    asked()
    act_on(now + timedelta(hours=9.2))
    assert [row["data"]["percent"] for row in events("approval.reminded")] == [90]


def test_the_percentages_are_those_of_the_level(asked, now):
    asked(reminders=[20])
    act_on(now + 3 * HOUR)
    act_on(now + 9 * HOUR)
    assert [row["data"]["percent"] for row in events("approval.reminded")] == [20]


def test_those_who_have_not_voted_are_reminded_and_who_stands_in_for_them(asked, cast, now):
    from changemgmt.accounts.models import Delegation

    round = asked()
    Delegation.objects.create(
        delegator=cast.paul, delegate=cast.olga, starts_at=now - HOUR, ends_at=now + 90 * HOUR, created_by=cast.paul, created_at=now - HOUR
    )
    vote_of(round, "approver", cast.petra, now)
    remind(level_of(round).pk, now=now + 5 * HOUR)
    (event,) = events("approval.reminded")
    assert event["data"]["asked"] == ["olga", "paul"] and event["actor"] == "system"
    tell(event["id"])
    assert set(Notification.objects.filter(kind="approval.reminded").values_list("recipient__username", flat=True)) == {"olga", "paul"}


def test_a_level_that_is_decided_reminds_nobody(asked, cast, now):
    round = asked()
    level = level_of(round).pk
    for user in (cast.petra, cast.paul):
        vote_of(round, "approver", user, now)
    remind(level, now=now + 9 * HOUR)
    time_out(level, now=now + 11 * HOUR)
    act_on(now + 11 * HOUR)
    assert events("approval.reminded") == events("approval.timed_out") == []


def test_the_clock_stands_still_while_information_is_requested(asked, cast, now):
    round = asked()
    request_information(seat_of(round, "approver").pk, actor=cast.petra, now=now + 4 * HOUR, question="Why?")
    act_on(now + 20 * HOUR)
    assert events("approval.reminded") == events("approval.timed_out") == []
    provide_information(round.change.number, actor=cast.rita, now=now + 24 * HOUR, answer="Because.")
    assert level_of(round).due_at == now + 30 * HOUR
    act_on(now + timedelta(hours=24.5))
    assert events("approval.reminded") == []
    act_on(now + 25 * HOUR)
    assert [row["data"]["percent"] for row in events("approval.reminded")] == [50]


def test_a_question_after_the_time_was_up_starts_no_clock_again(asked, cast, now):
    round = asked()
    act_on(now + 11 * HOUR)
    request_information(seat_of(round, "approver").pk, actor=cast.petra, now=now + 12 * HOUR, question="Why?")
    provide_information(round.change.number, actor=cast.rita, now=now + 24 * HOUR, answer="Because.")
    act_on(now + 99 * HOUR)
    assert len(events("approval.timed_out")) == 1


# --- escalate ---


def test_a_level_whose_time_is_up_escalates_once_to_managers_and_change_managers(asked, cast, now):
    round = asked()
    for hour in (10, 11, 50):
        act_on(now + hour * HOUR)
    (event,) = events("approval.timed_out")
    assert event["data"]["done"] == "escalate" and event["data"]["asked"] == ["paul", "petra"]
    assert level_of(round).timed_out_at == now + 10 * HOUR and state_of(round) == "in_review"
    tell(event["id"])
    told = set(Notification.objects.filter(kind="approval.timed_out").values_list("recipient__username", flat=True))
    assert told == {"selma", "max"}


def test_nothing_is_due_a_moment_before_its_time(asked, now):
    asked()
    just_before = now + 10 * HOUR - timedelta(seconds=1)
    assert queries.levels_timed_out(just_before) == []
    assert len(queries.levels_timed_out(now + 10 * HOUR)) == 1


def test_a_level_nobody_can_decide_is_told_to_the_managers_of_those_it_asks(asked, cast, now):
    a_chain(a_level(a_seat("approver", required=2)), order=0, name="Two")
    round = asked()
    for user in (cast.petra, cast.paul):
        vote_of(round, "approver", user, now, vote="abstain")
    (event,) = events("approval.no_approver")
    tell(event["id"])
    assert {"max", "ada", "otto"} <= set(Notification.objects.filter(kind="approval.no_approver").values_list("recipient__username", flat=True))


# --- reassign ---


def test_the_open_seats_ask_the_managers_of_those_they_asked_who_get_the_same_time(asked, cast, now):
    round = asked("reassign", seats=(a_seat("approver"),))
    act_on(now + 10 * HOUR)
    seat = Seat.objects.get(level__round=round)
    assert [user.username for user in seat.people.all()] == ["selma"] and seat.group == "" and seat.reassigned_from == "approver"
    assert level_of(round).due_at == now + 20 * HOUR
    assert [row.change.pk for row in queue_of(cast.selma, now + 11 * HOUR)] == [round.change_id]
    assert queue_of(cast.petra, now + 11 * HOUR) == []
    with pytest.raises(NotPermitted):
        vote_of(round, "approver", cast.petra, now + 11 * HOUR)
    (event,) = events("approval.reassigned")
    assert event["data"]["asked"] == ["selma"]
    act_on(now + 15 * HOUR)
    assert events("approval.reminded")[-1]["data"]["asked"] == ["selma"]
    vote_of(round, "approver", cast.selma, now + 16 * HOUR)
    assert state_of(round) == "approved"


def test_when_the_managers_do_not_decide_in_time_either_those_above_are_told(asked, cast, now):
    round = asked("reassign", seats=(a_seat("approver"),))
    for hour in (10, 20, 30, 99):
        act_on(now + hour * HOUR)
    assert len(events("approval.reassigned")) == len(events("approval.timed_out")) == 1
    assert [user.username for user in Seat.objects.get(level__round=round).people.all()] == ["selma"]


def test_one_manager_takes_one_seat_and_the_others_stay_as_they_are(asked, cast, now):
    round = asked("reassign")
    act_on(now + 10 * HOUR)
    people = sorted(tuple(seat.people.order_by("username").values_list("username", flat=True)) for seat in Seat.objects.filter(level__round=round))
    assert people == [("paul", "petra"), ("selma",)]
    assert len(events("approval.timed_out")) == len(events("approval.no_approver")) == 1


def test_a_manager_who_sits_or_has_a_part_is_passed_over_for_the_next_one_up(asked, cast, now):
    for person, boss in ((cast.petra, cast.ian), (cast.paul, cast.ian), (cast.ian, cast.stella)):
        User.objects.filter(pk=person.pk).update(manager=boss)
    round = asked("reassign", seats=(a_seat("approver"), a_seat("stakeholder", "Stakeholder")), rule="all")
    act_on(now + 10 * HOUR)
    seats = {seat.label: [user.username for user in seat.people.all()] for seat in Seat.objects.filter(level__round=round)}
    assert seats["approver"] == ["selma"]
    assert seats["Stakeholder"] == ["stella"]


def test_nobody_to_ask_instead_is_an_alarm(asked, cast, now):
    User.objects.update(manager=None)
    round = asked("reassign")
    act_on(now + 10 * HOUR)
    assert [row["data"]["done"] for row in events("approval.timed_out")] == ["escalate"]
    assert len(events("approval.no_approver")) == 1 and events("approval.reassigned") == []
    vote_of(round, "approver", cast.petra, now + 11 * HOUR)


# --- silent consent ---


def test_silence_approves_at_low_risk_as_the_decision_of_the_system(asked, now):
    round = asked("approve")
    act_on(now + 10 * HOUR)
    act_on(now + 11 * HOUR)
    assert state_of(round) == "approved" and not Vote.objects.exists()
    (event,) = events("approval.silent_consent")
    assert event["actor"] == "system" and event["data"]["rule"] == "All must approve" and event["data"]["asked"] == ["paul", "petra"]
    assert events("approval.level_decided")[-1]["data"]["outcome"] == "approved"


@pytest.mark.parametrize("risk", ["medium", "high", "very_high", None])
def test_silence_approves_nothing_at_any_other_risk(asked, now, risk):
    round = asked("approve")
    Change.objects.filter(pk=round.change_id).update(risk_level=risk)
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []
    assert [row["data"]["done"] for row in events("approval.timed_out")] == ["escalate"]


def rejected_by_one(round, cast, now):
    vote_of(round, "approver", cast.petra, now, vote="reject")


def nobody_left(round, cast, now):
    for user in (cast.petra, cast.paul):
        user.groups.clear()


def content_moved(round, cast, now):
    Change.objects.filter(pk=round.change_id).update(rollback_plan="smuggled in")


@pytest.mark.parametrize("against", [rejected_by_one, nobody_left, content_moved])
def test_silence_approves_nothing_where_something_stands_against_it(asked, cast, now, against):
    round = asked("approve", seats=(a_seat("approver", required=2),), rule="any")
    against(round, cast, now)
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []


def test_a_claim_that_keeps_the_others_from_objecting_is_no_silence(asked, cast, now):
    round = asked("approve", seats=(a_seat("approver"),))
    claim_seat(seat_of(round, "approver").pk, actor=cast.petra, now=now + 9 * HOUR)
    with pytest.raises(NotPossible):
        vote_of(round, "approver", cast.paul, now + 9 * HOUR, vote="reject")
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []
    assert "claimed" in events("approval.timed_out")[0]["data"]["why"]


def test_a_veto_of_somebody_who_lost_the_role_was_not_heard(asked, cast, now):
    round = asked("approve", seats=(a_seat("approver"), a_seat("security_lead", "Security", power="veto")))
    vote_of(round, "Security", cast.sam, now)
    cast.sam.groups.clear()
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []


def test_a_veto_that_was_not_heard_holds_against_silence(asked, cast, now):
    round = asked("approve", seats=(a_seat("approver"), a_seat("security_lead", "Security", power="veto")), rule="any")
    vote_of(round, "approver", cast.petra, now)
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []


def test_abstentions_alone_are_no_consent(asked, cast, now):
    round = asked("approve")
    for user in (cast.petra, cast.paul):
        vote_of(round, "approver", user, now, vote="abstain")
    act_on(now + 10 * HOUR)
    assert state_of(round) == "in_review" and events("approval.silent_consent") == []


# --- reject ---


def test_a_level_may_be_rejected_by_its_clock(asked, cast, now):
    round = asked("reject")
    vote_of(round, "approver", cast.petra, now)
    act_on(now + 10 * HOUR)
    act_on(now + 11 * HOUR)
    assert state_of(round) == "rejected" and level_of(round).state == "rejected"
    assert [row["data"]["done"] for row in events("approval.timed_out")] == ["reject"]
    assert Vote.objects.get().superseded is False
    assert queue_of(cast.paul, now + 12 * HOUR) == []


def test_a_decision_in_time_leaves_the_clock_nothing_to_do(asked, cast, now):
    round = asked("reject", rule="any")
    level = level_of(round).pk
    vote_of(round, "approver", cast.petra, now + 9 * HOUR)
    time_out(level, now=now + 10 * HOUR)
    assert state_of(round) == "approved" and events("approval.timed_out") == []


def test_the_next_level_has_a_clock_of_its_own(cast, seeded, now):
    a_chain(a_level(a_seat("approver"), sla_hours=10), a_level(a_seat("security_lead"), number=2, name="Next", sla_hours=10))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now + 9 * HOUR)
    act_on(now + 12 * HOUR)
    assert events("approval.timed_out") == []
    act_on(now + 19 * HOUR)
    assert [row["data"]["level"] for row in events("approval.timed_out")] == ["Next"]


def test_looking_for_what_is_due_takes_few_queries_whatever_is_open(asked, cast, now, django_assert_max_num_queries):
    asked()
    for _ in range(5):
        in_review(a_change(cast.rita, now), now)
    with django_assert_max_num_queries(12):
        act_on(now + HOUR)


def test_the_scheduler_rings_tasks_that_there_are():
    from changemgmt import tasks
    from config.celery import app

    app.loader.import_default_modules()
    rung = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert tasks.act_on_due.name in rung and rung <= set(app.tasks)
