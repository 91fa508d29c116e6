"""Conditions of an approval: each blocks exactly its due point at every door; who shows, accepts and waives them; and how they run out."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from changemgmt.accounts.models import Identity, User
from changemgmt.approvals.models import ActionItem, Seat, Vote
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, UnmetGuard
from changemgmt.lifecycle import close, complete, edit, go_ahead, obligations, schedule, start, steps, vote
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.expire import expire_condition
from changemgmt.sla.tasks import act_on
from changemgmt.tests import estate
from changemgmt.tests.approvals.making import a_chain, a_level, a_seat

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]
HOUR = timedelta(hours=1)
DUES = ("before_schedule", "before_start", "during", "before_close")


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def demanded(cast, shop, now):
    """A change approved by Petra and Sam, Petra on one condition; answers the change and the condition."""

    def make(*, levels=None, decide=True, fields=None, **condition):
        a_chain(*(levels or (a_level(a_seat("approver"), name="Peers"), a_level(a_seat("security_lead"), number=2, name="Security"))))
        change = estate.in_review(cast, now, **(fields or {}))
        demand(change, cast.petra, now, **condition)
        if decide:
            change = estate.decide(change, now)
        return estate.fresh(change), ActionItem.objects.get(change=change)

    return make


def demand(change, voter, now, **condition):
    seat = Seat.objects.filter(level__round__change=change, state="open").order_by("pk").first()
    vote.cast_vote(
        seat.pk, actor=voter, now=now, vote="approve", digest=seat.level.digest, conditions=[{"text": "Tell the desk", "owner": "ian", **condition}]
    )


def met(item, cast, now):
    kind = {"file": {"kind": "file"}, "link": {"kind": "link", "url": "https://example.org/1"}}.get(
        item.evidence_kind, {"kind": "statement", "text": "Done."}
    )
    obligations.give_evidence(item.pk, kind, actor=cast.ian, now=now)
    obligations.accept(item.pk, actor=cast.petra, now=now)


def events(action):
    return representations(Event.objects.filter(action=action).order_by("pk"))


# --- each due point blocks exactly its transition, at every door ---


class World:
    """One change on its way, and the doors at which its transitions are asked for."""

    def __init__(self, change, cast, now, api):
        self.number, self.cast, self.now, self.api = change.number, cast, now, api

    @property
    def change(self):
        return Change.objects.get(number=self.number)

    def guards(self, door, name, actor, **parameters):
        """The guards this transition is refused with, or nothing where it went through."""
        return getattr(self, f"by_{door}")(name, actor, parameters)

    def by_verb(self, name, actor, parameters):
        verb = {"schedule": schedule.schedule, "start": start.start, "complete": complete.complete, "close": close.close}[name]
        try:
            verb(self.number, actor=actor, now=self.now, seen="*", **parameters)
        except UnmetGuard as unmet:
            return [guard.guard for guard in unmet.guards]
        return []

    def by_api(self, name, actor, parameters):
        client = self.api(actor)
        answer = client.post(
            f"/api/v1/changes/{self.number}/transitions/{name}/", plain(parameters), format="json", headers={"If-Match": self.change.etag}
        )
        assert answer.status_code in (200, 409), answer.json()
        return [guard["guard"] for guard in answer.json()["guards"]] if answer.status_code == 409 else []

    def by_page(self, name, actor, parameters):
        browser = Client()
        browser.force_login(actor)
        given = {field: value for field, value in plain(parameters).items() if field != "review"} | (parameters.get("review") or {})
        path = f"/changes/{self.number}/schedule/" if name == "schedule" else f"/changes/{self.number}/do/{name}/"
        if name == "schedule":
            given = {"start": f"{parameters['start']:%Y-%m-%dT%H:%M}", "end": f"{parameters['end']:%Y-%m-%dT%H:%M}"}
        answer = browser.post(path, given | {"seen": self.change.etag})
        assert answer.status_code in (302, 409), answer.content.decode()
        refusal = answer.context.get("problem") if answer.status_code == 409 else None
        return [guard.guard for guard in refusal.guards] if refusal else []


def plain(parameters):
    return {name: value if isinstance(value, str | dict) else value.isoformat() for name, value in parameters.items()}


def steps_of(cast, now):
    """Each transition in order: its name, who asks for it, its parameters, and the due point that is its own."""
    return (
        ("schedule", cast.max, {"start": now + HOUR, "end": now + 30 * HOUR}, "before_schedule"),
        ("start", cast.ian, {}, "before_start"),
        ("complete", cast.ian, {}, "during"),
        ("close", cast.max, {"result": "successful", "review": {"summary": "Good."}}, "before_close"),
    )


NAMED = {
    "schedule": "conditions_before_schedule",
    "start": "conditions_before_start",
    "complete": "conditions_during",
    "close": "conditions_before_close",
}


@pytest.mark.parametrize("door", ["verb", "api", "page"])
@pytest.mark.parametrize("due", DUES)
def test_a_condition_blocks_exactly_its_due_point_at_every_door(demanded, cast, now, api, monkeypatch, due, door):
    change, item = demanded(due=due)
    world = World(change, cast, now, api)
    for name, actor, parameters, own in steps_of(cast, now):
        if name == "start":
            world.now = now + HOUR
        for module in ("changemgmt.api.base", "changemgmt.web.base"):
            monkeypatch.setattr(f"{module}.utc_now", lambda: world.now)
        if name == "complete":
            estate.do_all_steps(change, cast, world.now)
        before = world.change.state
        if due == own:
            assert world.guards(door, name, actor, **parameters) == [NAMED[name]]
            assert world.change.state == before
            if name == "schedule":
                assert any("Tell the desk" in row["what"] for row in all_blockers(world.change, actor=cast.vera, now=world.now))
            met(item, cast, world.now)
        assert world.guards(door, name, actor, **parameters) == [], name
        assert world.change.state != before
    assert world.change.state == "closed"


def test_a_condition_before_scheduling_blocks_a_new_window_too(demanded, cast, now):
    """A change that was scheduled on an earlier approval and asked for again meets it before it gets another window."""
    change, item = demanded(due="before_schedule")
    met(item, cast, now)
    schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen="*")
    ActionItem.objects.filter(pk=item.pk).update(state="open")
    with pytest.raises(UnmetGuard) as unmet:
        schedule.schedule(change.number, actor=cast.max, now=now, start=now + 3 * HOUR, end=now + 4 * HOUR, seen="*")
    assert [guard.guard for guard in unmet.value.guards] == ["conditions_before_schedule"]


@pytest.mark.parametrize("due", ["before_schedule", "before_start"])
def test_a_go_ahead_does_not_jump_a_condition(cast, shop, now, due):
    a_chain(a_level(a_seat("ecab"), name="One"), a_level(a_seat("security_lead"), number=2, name="Two"), name="Burning")
    change = estate.in_review(cast, now, type="emergency")
    demand(change, cast.emil, now, due=due)
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    with pytest.raises(UnmetGuard) as unmet:
        start.start(change.number, actor=cast.ian, now=now, seen="*")
    assert [guard.guard for guard in unmet.value.guards] == ["conditions_before_start"]
    item = change.action_items.get()
    obligations.give_evidence(item.pk, {"kind": "statement", "text": "Done."}, actor=cast.ian, now=now)
    obligations.accept(item.pk, actor=cast.emil, now=now)
    assert start.start(change.number, actor=cast.ian, now=now, seen="*").state == "implementing"


def test_a_step_is_not_tried_again_before_what_was_to_be_met_before_the_start(cast, shop, now):
    a_chain(a_level(a_seat("ecab"), name="One"), name="Burning")
    change = estate.in_review(cast, now, type="emergency")
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    run = start.start(change.number, actor=cast.ian, now=now, seen="*").executions.get()
    change.executions.update(on_failure="hold")
    steps.fail_step(run.pk, "upgrade", actor=cast.ian, now=now, reason="Not yet.")
    demand(change, cast.emil, now, due="before_start")
    with pytest.raises(UnmetGuard):
        steps.retry_step(run.pk, "upgrade", actor=cast.ian, now=now)
    obligations.waive(change.action_items.get().pk, actor=cast.emil, now=now, reason="Not needed after all.")
    assert steps.retry_step(run.pk, "upgrade", actor=cast.ian, now=now).state == "running"


def test_a_recommendation_blocks_nothing(cast, shop, now):
    a_chain(a_level(a_seat("approver", power="advisory"), a_seat("security_lead"), name="Both"))
    change = estate.in_review(cast, now)
    demand(change, cast.petra, now, due="before_schedule")
    change = estate.decide(change, now)
    assert change.action_items.get().advisory
    assert schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen="*").state == "scheduled"


# --- evidence, acceptance, waiver ---


LINK = {"kind": "link", "url": "https://ci.example.org/runs/7"}
STATEMENT = {"kind": "statement", "text": "They know."}
FILE = {"kind": "file"}
FITS = {
    "statement": ("statement", "link", "file"),
    "file": ("file",),
    "link": ("link",),
    "check": ("link", "file"),
    "vote": ("statement", "link", "file"),
}


@pytest.mark.parametrize("given", ["statement", "link", "file"])
@pytest.mark.parametrize("wanted", FITS)
def test_evidence_is_of_the_kind_that_was_demanded(demanded, cast, now, wanted, given):
    _, item = demanded(evidence=wanted)
    evidence = {"statement": STATEMENT, "link": LINK, "file": FILE}[given]
    file = SimpleUploadedFile("report.txt", b"All green.") if given == "file" else None
    if given in FITS[wanted]:
        assert obligations.give_evidence(item.pk, evidence, actor=cast.ian, now=now, file=file).state == "evidence_given"
    else:
        with pytest.raises(Invalid) as refused:
            obligations.give_evidence(item.pk, evidence, actor=cast.ian, now=now, file=file)
        assert refused.value.errors.keys() == {"kind"}


@pytest.mark.parametrize(
    "wrong", [{}, {"kind": "check"}, {"kind": "statement", "text": " "}, {"kind": "link", "url": "javascript:alert(1)"}, {"kind": "file"}]
)
def test_evidence_that_is_none_is_refused(demanded, cast, now, wrong):
    _, item = demanded()
    with pytest.raises(Invalid):
        obligations.give_evidence(item.pk, wrong, actor=cast.ian, now=now)


@pytest.mark.parametrize("name", ["petra", "sam", "max", "rita", "vera", "ada", "aud"])
def test_only_its_owner_or_an_implementer_gives_evidence(demanded, cast, now, name):
    _, item = demanded()
    with pytest.raises(NotPermitted):
        obligations.give_evidence(item.pk, STATEMENT, actor=getattr(cast, name), now=now)


@pytest.mark.parametrize(
    ("name", "may"), [("petra", True), ("max", True), ("sam", False), ("ian", False), ("rita", False), ("ada", False), ("vera", False)]
)
def test_who_set_it_or_a_change_manager_accepts(demanded, cast, now, name, may):
    _, item = demanded()
    with pytest.raises(UnmetGuard):
        obligations.accept(item.pk, actor=cast.petra, now=now)
    obligations.give_evidence(item.pk, STATEMENT, actor=cast.ian, now=now)
    if may:
        assert obligations.accept(item.pk, actor=getattr(cast, name), now=now).state == "done"
        with pytest.raises(NotPossible):
            obligations.give_evidence(item.pk, STATEMENT, actor=cast.ian, now=now)
    else:
        with pytest.raises(NotPermitted):
            obligations.accept(item.pk, actor=getattr(cast, name), now=now)


def test_a_change_manager_who_owns_it_does_not_accept_it(demanded, cast, now):
    _, item = demanded(owner="max")
    obligations.give_evidence(item.pk, STATEMENT, actor=cast.ian, now=now)
    with pytest.raises(NotPermitted):
        obligations.accept(item.pk, actor=cast.max, now=now)


def test_nobody_accepts_their_own_evidence_with_whichever_account(demanded, cast, now):
    change, item = demanded(owner="petra")
    obligations.give_evidence(item.pk, STATEMENT, actor=cast.petra, now=now)
    with pytest.raises(NotPermitted):
        obligations.accept(item.pk, actor=cast.petra, now=now)
    User.objects.filter(username__in=["petra", "max"]).update(identity=Identity.objects.create(name="One"))
    with pytest.raises(NotPermitted):
        obligations.accept(item.pk, actor=User.objects.get(username="max"), now=now)


def test_a_second_persons_word_is_not_the_owners(demanded, cast, now):
    _, item = demanded(evidence="vote", owner="petra")
    obligations.give_evidence(item.pk, STATEMENT, actor=cast.ian, now=now)
    with pytest.raises(NotPermitted):
        obligations.accept(item.pk, actor=cast.petra, now=now)
    assert obligations.accept(item.pk, actor=cast.max, now=now).state == "done"


@pytest.mark.parametrize(("name", "may"), [("petra", True), ("max", False), ("sam", False), ("ian", False), ("rita", False), ("ada", False)])
def test_only_who_set_it_waives_it_and_says_why(demanded, cast, now, name, may):
    change, item = demanded(due="before_schedule")
    if not may:
        with pytest.raises(NotPermitted):
            obligations.waive(item.pk, actor=getattr(cast, name), now=now, reason="No.")
        return
    with pytest.raises(UnmetGuard):
        obligations.waive(item.pk, actor=cast.petra, now=now, reason=" ")
    obligations.waive(item.pk, actor=cast.petra, now=now, reason="Not needed.")
    assert schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 2 * HOUR, seen="*").state == "scheduled"


# --- running out ---


def until(now, hours=5):
    return (now + hours * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "wrong",
    [{"expires_at": "soon"}, {"expires_at": "2026-11-19T09:00:00Z"}, {"expires_at": "2026-11-20T09:00:00Z"}, {"expires_at": 7}, {"expires_at": "2026-11-30T09:00:00"},
     {"on_expiry": "reject"}, {"expires_at": "2026-11-30T09:00:00Z", "on_expiry": "cancel"}, {"expires_at": "2026-11-30T09:00:00Z", "on_expiry": ["reject"]}],
)  # fmt: skip
def test_an_expiry_that_can_not_be_is_refused_at_its_place(demanded, now, wrong):
    with pytest.raises(Invalid) as refused:
        demanded(**wrong)
    assert all(name.startswith("conditions[0].") for name in refused.value.errors)


def test_an_unmet_condition_that_runs_out_opens_the_review_again(demanded, cast, now):
    change, item = demanded(due="before_close", expires_at=until(now))
    act_on(now + 4 * HOUR)
    assert estate.fresh(change).state == "approved_with_conditions"
    for _ in range(2):
        act_on(now + 5 * HOUR)
    change = estate.fresh(change)
    assert change.state == "in_review" and change.rounds.count() == 2
    votes = {row.by.username: row.superseded for row in Vote.objects.filter(level__round__change=change, carried_from=None)}
    assert votes["petra"] is True
    assert Vote.objects.filter(level__round=change.rounds.last(), superseded=False).values_list("by__username", flat=True).get() == "sam"
    item.refresh_from_db()
    assert item.state == "expired" and len(events("condition.expired")) == 1
    assert events("change.review_reopened")[-1]["data"]["why"] == "condition_expired"
    demand(change, cast.petra, now + 6 * HOUR)
    assert estate.fresh(change).state == "approved_with_conditions"


def test_a_condition_that_runs_out_may_reject(demanded, cast, now):
    change, item = demanded(due="before_close", expires_at=until(now), on_expiry="reject")
    schedule.schedule(change.number, actor=cast.max, now=now, start=now + 6 * HOUR, end=now + 8 * HOUR, seen="*")
    for _ in range(2):
        act_on(now + 5 * HOUR)
    change = estate.fresh(change)
    assert change.state == "rejected" and change.rounds.last().outcome == "rejected"
    assert change.rounds.last().levels.get(name="Peers").state == "rejected"
    with pytest.raises(NotPossible):
        start.start(change.number, actor=cast.ian, now=now + 6 * HOUR, seen="*")
    assert [event["data"]["done"] for event in events("condition.expired")] == ["reject"]


@pytest.mark.parametrize(("follows", "state"), [("review", "in_review"), ("reject", "rejected")])
def test_a_condition_may_run_out_while_other_levels_are_open(demanded, cast, now, follows, state):
    change, item = demanded(decide=False, expires_at=until(now), on_expiry=follows)
    act_on(now + 5 * HOUR)
    change = estate.fresh(change)
    assert change.state == state
    if follows == "review":
        assert change.rounds.last().levels.get(name="Peers").state == "open"


@pytest.mark.parametrize(("follows", "state"), [("review", "in_review"), ("reject", "rejected")])
def test_a_condition_may_run_out_at_a_level_that_is_still_open(demanded, cast, now, follows, state):
    levels = (a_level(a_seat("approver", required=2), name="Peers"),)
    change, item = demanded(levels=levels, decide=False, expires_at=until(now), on_expiry=follows)
    act_on(now + 5 * HOUR)
    change = estate.fresh(change)
    assert change.state == state and change.rounds.count() == 1
    assert not Vote.objects.filter(superseded=False).exists()


@pytest.mark.parametrize("done", ["met", "waived"])
def test_what_is_met_or_waived_does_not_run_out(demanded, cast, now, done):
    change, item = demanded(expires_at=until(now))
    if done == "met":
        met(item, cast, now)
    else:
        obligations.waive(item.pk, actor=cast.petra, now=now, reason="Not needed.")
    act_on(now + 6 * HOUR)
    assert estate.fresh(change).state == "approved_with_conditions" and events("condition.expired") == []


def test_evidence_nobody_accepted_in_time_does_not_meet_it(demanded, cast, now):
    change, item = demanded(expires_at=until(now))
    obligations.give_evidence(item.pk, STATEMENT, actor=cast.ian, now=now)
    act_on(now + 5 * HOUR)
    assert estate.fresh(change).state == "in_review"


def test_once_the_work_has_begun_an_expiry_only_alarms_and_the_due_point_stays_blocked(demanded, cast, now):
    change, item = demanded(due="before_close", expires_at=until(now))
    schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 8 * HOUR, seen="*")
    start.start(change.number, actor=cast.ian, now=now + HOUR, seen="*")
    for _ in range(2):
        act_on(now + 5 * HOUR)
    assert estate.fresh(change).state == "implementing" and [event["data"]["done"] for event in events("condition.expired")] == ["alarm"]
    estate.do_all_steps(change, cast, now + 5 * HOUR)
    complete.complete(change.number, actor=cast.ian, now=now + 5 * HOUR, seen="*")
    with pytest.raises(UnmetGuard) as unmet:
        close.close(change.number, actor=cast.max, now=now + 6 * HOUR, result="successful", review={"summary": "Good."}, seen="*")
    assert [guard.guard for guard in unmet.value.guards] == ["conditions_before_close"]
    met(ActionItem.objects.get(), cast, now + 6 * HOUR)
    act_on(now + 7 * HOUR)
    assert len(events("condition.expired")) == 1
    assert (
        close.close(change.number, actor=cast.max, now=now + 7 * HOUR, result="successful", review={"summary": "Good."}, seen="*").state == "closed"
    )


def test_nothing_starts_between_an_expiry_and_what_follows_from_it(demanded, cast, now):
    change, _ = demanded(due="before_close", expires_at=until(now))
    schedule.schedule(change.number, actor=cast.max, now=now, start=now + HOUR, end=now + 8 * HOUR, seen="*")
    with pytest.raises(UnmetGuard) as unmet:
        start.start(change.number, actor=cast.ian, now=now + 5 * HOUR, seen="*")
    assert [guard.guard for guard in unmet.value.guards] == ["approval_valid"]


def test_while_information_is_requested_a_condition_does_not_run_out(demanded, cast, now):
    change, item = demanded(decide=False, expires_at=until(now))
    seat = Seat.objects.get(level__round__change=change, state="open")
    vote.request_information(seat.pk, actor=cast.sam, now=now, question="Why?")
    act_on(now + 5 * HOUR)
    expire_condition(item.pk, now=now + 5 * HOUR)
    assert events("condition.expired") == [] and estate.fresh(change).state == "info_requested"
    vote.provide_information(change.number, actor=cast.rita, now=now + 6 * HOUR, answer="Because.")
    act_on(now + 6 * HOUR)
    assert len(events("condition.expired")) == 1 and estate.fresh(change).state == "in_review"


def test_a_condition_whose_vote_fell_does_not_run_out(demanded, cast, now):
    change, item = demanded(expires_at=until(now))
    edit.edit_change(change.number, {"rollback_plan": "Another way."}, actor=cast.rita, now=now, seen="*")
    act_on(now + 6 * HOUR)
    assert events("condition.expired") == []


def test_those_it_concerns_are_told_that_it_ran_out(demanded, cast, now):
    from changemgmt.notifications.actions import tell
    from changemgmt.notifications.models import Notification

    demanded(expires_at=until(now))
    act_on(now + 5 * HOUR)
    tell(events("condition.expired")[0]["id"])
    assert {"ian", "petra", "rita", "max"} <= set(Notification.objects.filter(kind="condition.expired").values_list("recipient__username", flat=True))


# --- an expiry at each door ---


def asked_seat(cast, now):
    a_chain(a_level(a_seat("approver"), name="Peers"))
    change = estate.in_review(cast, now)
    return change, Seat.objects.get(level__round__change=change, state="open")


def test_the_api_takes_and_shows_an_expiry(cast, shop, now, api):
    change, seat = asked_seat(cast, now)
    condition = {"text": "Tell the desk", "owner": "ian", "expires_at": "2099-01-01T00:00:00Z", "on_expiry": "reject"}
    body = {"vote": "approve", "digest": seat.level.digest, "conditions": [condition]}
    answer = api(cast.petra).post(f"/api/v1/approvals/{seat.pk}/vote/", body, format="json")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["votes"][0]["conditions"][0]["on_expiry"] == "reject"
    (item,) = api(cast.ian).get(f"/api/v1/changes/{change.number}/action-items/").json()["results"]
    assert item["expires_at"] == "2099-01-01T00:00:00Z" and item["on_expiry"] == "reject"
    past = {**body, "conditions": [{**condition, "expires_at": "2001-01-01T00:00:00Z"}]}
    assert api(cast.petra).post(f"/api/v1/approvals/{seat.pk}/vote/", past, format="json").status_code == 400


def test_the_form_takes_an_expiry_where_the_reader_is_and_the_page_shows_it(cast, shop, now):
    change, seat = asked_seat(cast, now)
    User.objects.filter(pk=cast.petra.pk).update(time_zone="Europe/Berlin")
    browser = Client()
    browser.force_login(User.objects.get(pk=cast.petra.pk))
    form = {"vote": "conditions", "digest": seat.level.digest, "read": "on", "text-0": "Tell the desk", "owner-0": "ian", "due-0": "before_start",
            "evidence-0": "check", "expires_at-0": "2099-07-01T12:00", "on_expiry-0": "reject"}  # fmt: skip
    wrong = browser.post(f"/approvals/{seat.pk}/vote/?vote=conditions", {**form, "expires_at-0": "2001-07-01T12:00"})
    assert wrong.status_code == 400 and 'value="2001-07-01T12:00"' in wrong.content.decode()
    assert browser.post(f"/approvals/{seat.pk}/vote/?vote=conditions", form).status_code == 302
    item = ActionItem.objects.get()
    assert item.expires_at.isoformat() == "2099-07-01T10:00:00+00:00" and item.on_expiry == "reject" and item.evidence_kind == "check"
    ian = Client()
    ian.force_login(cast.ian)
    shown = ian.get(f"/changes/{change.number}/").content.decode()
    assert "Runs out:" in shown and "Link to the run of the check" in shown


def test_the_command_takes_an_expiry(cast, shop, now, monkeypatch):
    from changemgmt.accounts.actions import make_token
    from changemgmt.core.time import utc_now

    change, seat = asked_seat(cast, now)
    _, key = make_token(cast.petra, days=1, scope="write", name="t", now=utc_now() - HOUR)
    monkeypatch.setenv("COUNTERSIGN_TOKEN", key)
    words = [
        "vote",
        change.number,
        "--vote",
        "approve",
        "--digest",
        seat.level.digest,
        "--condition",
        "Tell the desk;before_close;ian;link;2099-01-01T00:00:00Z;reject",
    ]
    call_command("change", *words, stdout=StringIO())
    item = ActionItem.objects.get()
    assert (item.due, item.evidence_kind, item.on_expiry, item.expires_at.year) == ("before_close", "link", "reject", 2099)
