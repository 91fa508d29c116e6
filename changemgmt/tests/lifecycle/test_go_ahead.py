"""Emergencies: who may let one run, how often, who judges it afterwards, and what stays unreviewed."""

from datetime import timedelta

import pytest
from django.test import Client

from changemgmt.accounts.models import Identity, User
from changemgmt.approvals.models import Chain, Seat, Vote
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.documents import write_documents
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPermitted, NotPossible, Throttled, UnmetGuard
from changemgmt.lifecycle import close, complete, edit, schedule, start, vote
from changemgmt.lifecycle.go_ahead import emergency_go_ahead
from changemgmt.lifecycle.membership import join
from changemgmt.lifecycle.verify_results import record_results
from changemgmt.sla.tasks import act_on
from changemgmt.tests import estate
from changemgmt.tests.approvals.making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of
from changemgmt.tests.cast import make_person

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
EMERGENCY = {"type": "emergency", "title": "Stop the leak"}
REVIEW = {"summary": "The fire is out."}


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


def burning(cast, now, **fields):
    """An emergency in review, without items: quick to make."""
    if not Chain.objects.filter(name="Burning").exists():
        a_chain(a_level(a_seat("ecab"), name="ECAB"), order=0, name="Burning")
    return in_review(a_change(cast.rita, now, implementers=(cast.ian,), type="emergency", **fields), now).change


def go(change, actor, now):
    return emergency_go_ahead(change.number, actor=actor, now=now, reason="It burns.", seen="*")


def done(cast, now, **fields):
    """An emergency that ran on Eva's go-ahead and is implemented."""
    change = estate.in_review(cast, now, **EMERGENCY | fields)
    go(change, cast.eva, now)
    start.start(change.number, actor=cast.ian, now=now, seen="*")
    estate.do_all_steps(change, cast, now)
    return complete.complete(change.number, actor=cast.ian, now=now, seen="*")


def judged(change, cast, now, answer="approve"):
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=cast.emil, now=now, vote=answer, digest=seat.level.digest, comment="Said.")


def closing(change, actor, now, **more):
    return close.close(change.number, actor=actor, now=now, **{"result": "successful", "review": REVIEW, "seen": "*"} | more)


def events(action):
    return representations(Event.objects.filter(action=action).order_by("pk"))


# --- who gives it ---


@pytest.mark.parametrize("name", ["rita", "ian", "max", "ada", "sam", "vera", "aud", "olga"])
def test_without_the_right_nobody_gives_a_go_ahead(cast, seeded, now, api, name):
    change = burning(cast, now)
    with pytest.raises(NotPermitted):
        go(change, getattr(cast, name), now)
    path = f"/api/v1/changes/{change.number}/transitions/emergency_go_ahead/"
    assert api(getattr(cast, name)).post(path, {"reason": "It burns."}, format="json", headers={"If-Match": "*"}).status_code == 403


def rewritten(change, **values):
    """The row with other values, and its document as the row is."""
    if values:
        Change.objects.filter(pk=change.pk).update(**values)
    write_documents([change.pk])


def as_requester(change, user):
    rewritten(change, requester=user)


def as_author(change, user):
    change.authorships.create(version=change.version, user=user)


def as_implementer(change, user):
    change.implementers.add(user)
    rewritten(change)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("part", [as_requester, as_author, as_implementer])
def test_who_has_a_part_in_it_gives_none_with_whichever_account(cast, seeded, now, part, linked):
    change = burning(cast, now)
    involved = make_person("twin", ("requester",)) if linked else cast.eva
    if linked:
        User.objects.filter(username__in=["eva", "twin"]).update(identity=Identity.objects.create(name="Eva"))
    part(change, involved)
    with pytest.raises(NotPermitted) as refused:
        go(change, User.objects.get(username="eva"), now)
    assert [guard.guard for guard in refused.value.guards] == ["not_involved"]


def test_who_wrote_an_earlier_version_may(cast, seeded, now):
    change = burning(cast, now)
    change.authorships.create(version=change.version + 5, user=cast.eva)
    assert go(change, cast.eva, now).state == "scheduled"


# --- how often ---


def test_the_sixth_go_ahead_within_a_day_is_stopped_and_alarms(cast, seeded, now, settings):
    assert settings.EMERGENCY_GO_AHEADS_PER_DAY == 5
    for hour in range(5):
        go(burning(cast, now), cast.eva, now + hour * HOUR)
    sixth = burning(cast, now)
    with pytest.raises(Throttled) as refused:
        go(sixth, cast.eva, now + 5 * HOUR)
    assert refused.value.retry_after == 19 * 3600 and "5" in refused.value.detail
    assert Change.objects.get(pk=sixth.pk).state == "in_review" and not sixth.rounds.get().retrospective
    (alarm,) = events("emergency.limit_reached")
    assert alarm["actor"] == "eva" and alarm["change"] == sixth.number
    assert go(sixth, cast.emil, now + 5 * HOUR).state == "scheduled"
    assert go(burning(cast, now), cast.eva, now + 24 * HOUR).state == "scheduled"


def test_all_accounts_of_one_person_count_together(cast, seeded, now, settings):
    settings.EMERGENCY_GO_AHEADS_PER_DAY = 1
    User.objects.filter(username__in=["eva", "emil"]).update(identity=Identity.objects.create(name="One"))
    go(burning(cast, now), User.objects.get(username="eva"), now)
    with pytest.raises(Throttled):
        go(burning(cast, now), User.objects.get(username="emil"), now + HOUR)


def test_the_limit_is_a_429_at_the_api_and_on_the_page_and_is_told(cast, seeded, now, api, settings):
    from changemgmt.notifications.actions import tell
    from changemgmt.notifications.models import Notification

    settings.EMERGENCY_GO_AHEADS_PER_DAY = 0
    change = burning(cast, now)
    path = f"/api/v1/changes/{change.number}/transitions/emergency_go_ahead/"
    answer = api(cast.eva).post(path, {"reason": "It burns."}, format="json", headers={"If-Match": change.etag})
    assert answer.status_code == 429 and answer.json()["type"].endswith("/throttled") and answer.headers["Retry-After"]
    browser = Client()
    browser.force_login(cast.eva)
    page = browser.post(f"/changes/{change.number}/do/emergency_go_ahead/", {"reason": "It burns.", "seen": change.etag})
    assert page.status_code == 429 and "somebody else of the emergency CAB" in page.content.decode()
    found = events("emergency.limit_reached")
    assert len(found) == 2
    tell(found[0]["id"])
    assert set(Notification.objects.values_list("recipient__username", flat=True)) == {"max", "aud"}


def test_who_may_not_is_refused_before_they_are_counted(cast, seeded, now, settings):
    settings.EMERGENCY_GO_AHEADS_PER_DAY = 0
    with pytest.raises(NotPermitted):
        go(burning(cast, now), cast.max, now)
    assert events("emergency.limit_reached") == []


# --- who judges it ---


def test_who_gave_it_does_not_vote_afterwards_with_whichever_account(cast, shop, now):
    change = done(cast, now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    twin = make_person("twin", ("ecab",))
    User.objects.filter(username__in=["eva", "twin"]).update(identity=Identity.objects.create(name="Eva"))
    for name in ("eva", "twin"):
        with pytest.raises(NotPermitted):
            vote.cast_vote(seat.pk, actor=User.objects.get(username=name), now=now, vote="approve", digest=seat.level.digest)
    assert twin and not Vote.objects.exists()


@pytest.mark.parametrize(("who", "why"), [("rita", "requested it"), ("eva", "gave its go-ahead")])
@pytest.mark.parametrize("linked", [False, True])
def test_who_asked_for_it_or_let_it_run_does_not_review_it(cast, shop, now, who, why, linked):
    change = done(cast, now)
    judged(change, cast, now)
    reviewer = getattr(cast, who)
    if linked:
        User.objects.filter(username__in=[who, "max"]).update(identity=Identity.objects.create(name="One"))
        reviewer = cast.max
    rewritten(change, owner=reviewer)
    with pytest.raises(UnmetGuard) as unmet:
        closing(change, User.objects.get(pk=reviewer.pk), now)
    (guard,) = unmet.value.guards
    assert guard.guard == "review_given" and why in guard.message and who not in guard.who_can_clear
    rewritten(change, owner=cast.bea)
    assert closing(change, cast.bea, now).state == "closed"


def test_its_review_is_never_left_out(cast, shop, now):
    change = done(cast, now)
    judged(change, cast, now)
    with pytest.raises(UnmetGuard) as unmet:
        closing(change, cast.max, now, review=None)
    assert [guard.guard for guard in unmet.value.guards] == ["review_given"]


def test_the_owner_of_what_was_no_emergency_reviews_what_they_asked_for(cast, shop, now):
    change = estate.implementing(cast, now, begins=now, ends=now + 3 * HOUR)
    estate.do_all_steps(change, cast, now)
    complete.complete(change.number, actor=cast.ian, now=now, seen="*")
    rewritten(change, owner=cast.rita)
    assert closing(change, cast.rita, now).state == "closed"


def test_close_names_those_whose_decision_is_missing(cast, shop, now):
    change = done(cast, now)
    with pytest.raises(UnmetGuard) as unmet:
        closing(change, cast.max, now)
    (guard,) = unmet.value.guards
    assert guard.guard == "retrospective_decided" and guard.who_can_clear == ("emil",)


# --- what a rejection afterwards demands ---


def test_a_rejection_afterwards_keeps_it_from_starting(cast, shop, now):
    change = estate.in_review(cast, now, **EMERGENCY)
    go(change, cast.eva, now)
    judged(change, cast, now, "reject")
    with pytest.raises(UnmetGuard) as unmet:
        start.start(change.number, actor=cast.ian, now=now, seen="*")
    assert [guard.guard for guard in unmet.value.guards] == ["approval_valid"]
    with pytest.raises(NotPossible):
        schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen="*")


def test_a_rejection_afterwards_demands_a_normal_follow_up_and_another_emergency_is_none(cast, shop, now):
    change = done(cast, now)
    judged(change, cast, now, "reject")
    other = edit.create_change({"title": "Burn again", "type": "emergency"}, actor=cast.rita, now=now)
    edit.link(other.number, {"kind": "related", "target": change.number}, actor=cast.rita, now=now, seen=None)
    with pytest.raises(UnmetGuard) as unmet:
        closing(change, cast.max, now)
    assert [guard.guard for guard in unmet.value.guards] == ["retrospective_decided"]
    proper = edit.create_change({"title": "Do it properly"}, actor=cast.rita, now=now)
    edit.link(proper.number, {"kind": "related", "target": change.number}, actor=cast.rita, now=now, seen=None)
    assert closing(change, cast.max, now).state == "closed"


# --- the result is said ---


@pytest.mark.parametrize("review", [None, REVIEW])
def test_closing_what_is_implemented_asks_for_its_result(cast, shop, now, api, review):
    change = done(cast, now)
    judged(change, cast, now)
    path = f"/api/v1/changes/{change.number}/transitions/close/"
    body = {"review": review} if review else {}
    answer = api(cast.max).post(path, body, format="json", headers={"If-Match": estate.fresh(change).etag})
    assert answer.status_code == 400 and answer.json()["errors"].keys() == {"result"}
    assert estate.fresh(change).state == "implemented"
    assert api(cast.vera).post(path, body, format="json", headers={"If-Match": "*"}).status_code == 403


# --- the clock of what is decided afterwards ---


def test_what_is_decided_afterwards_has_its_time_from_the_go_ahead_on(cast, seeded, now):
    a_chain(a_level(a_seat("ecab"), name="ECAB", sla_hours=4), order=0, name="Burning")
    change = burning(cast, now)
    act_on(now + 5 * HOUR)
    assert len(events("approval.timed_out")) == 1
    go(change, cast.eva, now + 6 * HOUR)
    level = change.rounds.get().levels.get()
    assert level.due_at == now + 10 * HOUR and level.timed_out_at is None
    act_on(now + 8 * HOUR)
    assert events("approval.reminded")[-1]["data"]["asked"] == ["emil"]
    act_on(now + 10 * HOUR)
    assert len(events("approval.timed_out")) == 2


# --- unreviewed ---


def test_what_is_not_reviewed_in_time_stands_out_once(cast, shop, now, settings):
    assert settings.EMERGENCY_REVIEW_HOURS == 48
    change = done(cast, now)
    act_on(now + 47 * HOUR)
    assert events("emergency.review_overdue") == []
    for hour in (48, 49, 90):
        act_on(now + hour * HOUR)
    (event,) = events("emergency.review_overdue")
    assert event["change"] == change.number and event["data"]["due_at"] == "2026-11-22T09:00:00Z"


def test_what_was_reviewed_in_time_does_not(cast, shop, now):
    change = done(cast, now)
    judged(change, cast, now)
    closing(change, cast.max, now)
    act_on(now + 90 * HOUR)
    assert events("emergency.review_overdue") == []


def test_change_managers_and_auditors_see_what_is_unreviewed(cast, shop, now, api):
    change = done(cast, now)
    reviewed = go(burning(cast, now), cast.eva, now)
    rewritten(reviewed, state="closed")
    normal = edit.create_change({"title": "Nothing burns"}, actor=cast.rita, now=now)
    client = api(cast.vera)

    def listed(value):
        return {row["number"] for row in client.get("/api/v1/changes/", {"retrospective": value}).json()["results"]}

    assert listed("unreviewed") == {change.number} and listed("reviewed") == {reviewed.number}
    assert listed("any") == {change.number, reviewed.number} and normal.number not in listed("any")
    assert client.get("/api/v1/changes/", {"retrospective": "maybe"}).status_code == 400
    for user, seen in ((cast.max, True), (cast.aud, True), (cast.rita, False)):
        browser = Client()
        browser.force_login(user)
        page = browser.get("/").content.decode()
        assert ("Emergencies without a review" in page) is seen
    browser = Client()
    browser.force_login(cast.max)
    page = browser.get("/changes/?retrospective=unreviewed").content.decode()
    assert change.number in page and reviewed.number not in page


# --- who joins later ---


def test_who_joins_a_group_later_sees_and_decides_what_it_is_asked(cast, seeded, now, api):
    a_chain(a_level(a_seat("approver"), name="Peers"), name="Secret", order=0)
    round = in_review(a_change(cast.rita, now, confidential=True), now)
    assert api(cast.olga).get(f"/api/v1/changes/{round.change.number}/").status_code == 404
    cast.olga.groups.set(cast.petra.groups.filter(name="approver"))
    assert join("olga", now=now) == [round.change.number] and join("olga", now=now) == []
    olga = User.objects.get(pk=cast.olga.pk)
    assert api(olga).get(f"/api/v1/changes/{round.change.number}/").status_code == 200
    assert olga in seat_of(round, "approver").people.all()
    vote_of(round, "approver", olga, now)
    assert Change.objects.get(pk=round.change_id).state == "approved"


def test_a_role_that_is_granted_leads_there_and_a_part_in_the_change_does_not(cast, seeded, now):
    from changemgmt.lifecycle.manage_people import grant_role
    from changemgmt.orchestrator.tasks import ask_newcomer

    a_chain(a_level(a_seat("approver"), name="Peers"), name="Secret", order=0)
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,), confidential=True), now)
    for user in (cast.olga, cast.ian):
        grant_role(user.username, "approver", actor=cast.ada, now=now)
        ask_newcomer(event_id=Event.objects.filter(action="role.granted").latest("pk").pk)
    people = set(seat_of(round, "approver").people.values_list("username", flat=True))
    assert "olga" in people and "ian" not in people


def test_results_can_be_recorded_while_a_go_ahead_runs(cast, shop, now):
    change = estate.in_review(cast, now, **EMERGENCY, success_criteria=[{"group": "technical", "text": "Quiet"}])
    go(change, cast.eva, now)
    start.start(change.number, actor=cast.ian, now=now, seen="*")
    record_results(change.number, {"success_criteria": [{"index": 0, "met": True}]}, actor=cast.ian, now=now)
    assert estate.fresh(change).success_criteria[0]["met"] is True
