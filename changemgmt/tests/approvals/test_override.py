"""Override: a level decided by two named people, with a reason, on record; and nobody's silent way."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.models import Identity, User
from changemgmt.approvals.models import Override, RoundLevel, Vote
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible, OutOfDate, UnmetGuard
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.override import ask_override, confirm_override, withdraw_override
from changemgmt.lifecycle.vote import provide_information, request_information
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.tests.cast import make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, vote_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def stuck(cast, seeded, now):
    """Two approvers are asked; one of them rejected it, and the other is not to be had."""
    a_chain(a_level(a_seat("approver", required=2), rule="any", name="Peers"), a_level(a_seat("security_lead"), number=2, name="Next"))
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,)), now)
    vote_of(round, "approver", cast.petra, now, vote="reject")
    return round


def ask(round, actor, now, **more):
    said = {"level": "Peers", "decision": "approve", "reason": "Paul can't be reached and the window closes."} | more
    return ask_override(round.change.number, actor=actor, now=now, **said)


def confirm(row, actor, now):
    return confirm_override(row.change.number, row.pk, actor=actor, now=now)


def level_of(round, name="Peers"):
    return RoundLevel.objects.get(round=round, name=name)


def events(action):
    return representations(Event.objects.filter(action=action).order_by("pk"))


# --- it works ---


def test_asking_alone_decides_nothing(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    assert row.confirmed_by is None and row.digest == level_of(stuck).digest
    assert level_of(stuck).state == "open" and Change.objects.get(pk=stuck.change_id).state == "in_review"


def test_two_people_decide_a_level_and_its_votes_stay(stuck, cast, now):
    row = confirm(ask(stuck, cast.max, now), cast.ada, now + HOUR)
    assert (row.confirmed_by, row.confirmed_at) == (cast.ada, now + HOUR)
    assert level_of(stuck).state == "approved" and level_of(stuck, "Next").state == "open"
    vote = Vote.objects.get()
    assert vote.vote == "reject" and not vote.superseded
    vote_of(stuck, "security_lead", cast.sam, now + HOUR)
    assert Change.objects.get(pk=stuck.change_id).state == "approved"
    assert level_of(stuck).state == "approved"


def test_a_rejection_by_override_rejects_the_change(stuck, cast, now):
    confirm(ask(stuck, cast.ada, now, decision="reject"), cast.otto, now)
    assert Change.objects.get(pk=stuck.change_id).state == "rejected" and level_of(stuck).state == "rejected"


def test_each_act_is_an_event_of_its_own_with_the_votes_that_stood(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    withdraw_override(row.change.number, row.pk, actor=cast.max, now=now)
    confirm(ask(stuck, cast.max, now), cast.ada, now)
    assert [len(events(f"override.{name}")) for name in ("asked", "withdrawn", "confirmed")] == [2, 1, 1]
    (confirmed,) = events("override.confirmed")
    assert confirmed["actor"] == "ada" and confirmed["data"]["asked_by"] == "max" and confirmed["data"]["level"] == "Peers"
    assert confirmed["data"]["votes"] == [{"label": "approver", "by": "petra", "vote": "reject"}]
    assert confirmed["data"]["reason"].startswith("Paul can't")


def test_those_whom_it_concerns_are_told(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    tell(events("override.asked")[0]["id"])
    confirm(row, cast.ada, now)
    tell(events("override.confirmed")[0]["id"])
    for kind, actor in (("override.asked", "max"), ("override.confirmed", "ada")):
        told = set(Notification.objects.filter(kind=kind).values_list("recipient__username", flat=True))
        assert {"rita", "petra", "paul", "aud", "otto"} <= told and actor not in told


def test_conditions_of_the_votes_that_stood_stay_obligations(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=2), name="Peers"))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now, conditions=[{"text": "Tell the desk"}])
    confirm(ask(round, cast.max, now), cast.ada, now)
    assert Change.objects.get(pk=round.change_id).state == "approved_with_conditions"
    assert round.change.action_items.get().state == "open"


def test_a_level_is_named_by_name_number_or_id(stuck, cast, now):
    for name in ("Peers", 1, "1", level_of(stuck).pk):
        row = ask(stuck, cast.max, now, level=name)
        assert row.level == level_of(stuck)
        withdraw_override(row.change.number, row.pk, actor=cast.max, now=now)


def test_the_same_said_again_by_the_same_person_is_one(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    assert ask(stuck, cast.max, now).pk == row.pk
    assert confirm(row, cast.ada, now).confirmed_at == confirm(row, cast.ada, now + HOUR).confirmed_at
    assert len(events("override.asked")) == len(events("override.confirmed")) == 1


# --- who may not ---


@pytest.mark.parametrize("name", ["rita", "petra", "sam", "aud", "vera", "olga", "eva", "ian"])
def test_others_than_administrators_and_change_managers_do_not_override(stuck, cast, now, name):
    with pytest.raises(NotPermitted):
        ask(stuck, getattr(cast, name), now)
    row = ask(stuck, cast.max, now)
    with pytest.raises(NotPermitted):
        confirm(row, getattr(cast, name), now)
    assert level_of(stuck).state == "open"


def test_a_superuser_has_no_silent_way(stuck, now):
    root = User.objects.create_user("root", is_superuser=True, is_staff=True)
    with pytest.raises(NotPermitted):
        ask(stuck, root, now)
    with pytest.raises(NotPermitted):
        vote_of(stuck, "approver", root, now)


def as_requester(change, user, now):
    Change.objects.filter(pk=change.pk).update(requester=user)


def as_author(change, user, now):
    change.authorships.create(version=change.version, user=user)


def as_implementer(change, user, now):
    change.implementers.add(user)


def as_go_ahead(change, user, now):
    Change.objects.filter(pk=change.pk).update(go_ahead_by=user)


def as_risk_setter(change, user, now):
    change.assessments.create(
        version=change.version, inputs_digest="x", technical=0, business=0, overall=0, level="low", override_level="low", override_by=user, at=now
    )


PARTS = (as_requester, as_author, as_implementer, as_go_ahead, as_risk_setter)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("linked", [False, True])
def test_who_has_a_part_in_the_change_neither_asks_nor_confirms(stuck, cast, now, part, linked):
    row = ask(stuck, cast.otto, now)
    involved = make_person("twin", ("requester",)) if linked else cast.ada
    if linked:
        identity = Identity.objects.create(name="Ada")
        User.objects.filter(username__in=["ada", "twin"]).update(identity=identity)
    part(stuck.change, involved, now)
    ada = User.objects.get(username="ada")
    with pytest.raises(NotPermitted):
        confirm(row, ada, now)
    withdraw_override(row.change.number, row.pk, actor=cast.otto, now=now)
    with pytest.raises(NotPermitted):
        ask(stuck, ada, now)


def test_who_asked_does_not_confirm_with_whichever_account(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    with pytest.raises(NotPermitted):
        confirm(row, cast.max, now)
    User.objects.filter(username__in=["max", "ada"]).update(identity=Identity.objects.create(name="One of two"))
    with pytest.raises(NotPermitted) as refused:
        confirm(row, User.objects.get(username="ada"), now)
    assert refused.value.guards[0].guard == "second_person"
    assert level_of(stuck).state == "open"


def test_a_service_account_is_no_second_person(stuck, cast, now):
    User.objects.filter(pk=cast.ada.pk).update(is_service=True)
    row = ask(stuck, cast.max, now)
    with pytest.raises(NotPermitted):
        confirm(row, User.objects.get(pk=cast.ada.pk), now)


def test_who_asked_and_could_not_ask_any_more_asked_in_vain(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    Change.objects.filter(pk=stuck.change_id).update(go_ahead_by=cast.max)
    with pytest.raises(NotPossible):
        confirm(row, cast.ada, now)
    Change.objects.filter(pk=stuck.change_id).update(go_ahead_by=None)
    cast.max.groups.clear()
    with pytest.raises(NotPossible):
        confirm(row, cast.ada, now)


def test_only_who_asked_withdraws(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    with pytest.raises(NotPermitted):
        withdraw_override(row.change.number, row.pk, actor=cast.ada, now=now)
    withdraw_override(row.change.number, row.pk, actor=cast.max, now=now)
    with pytest.raises(NotPossible):
        confirm(row, cast.ada, now)
    done = confirm(ask(stuck, cast.max, now), cast.ada, now)
    with pytest.raises(NotPossible):
        withdraw_override(done.change.number, done.pk, actor=cast.max, now=now)


# --- when it may not ---


def test_it_takes_a_reason_a_decision_and_a_level_that_is_there(stuck, cast, now):
    with pytest.raises(UnmetGuard) as unmet:
        ask(stuck, cast.max, now, reason="  ")
    assert [guard.guard for guard in unmet.value.guards] == ["reason_given"]
    for wrong in (
        {"decision": "abstain"},
        {"decision": None},
        {"level": "CAB"},
        {"level": ""},
        {"level": True},
        {"level": 7},
        {"reason": "x" * 20_001},
    ):
        with pytest.raises(Invalid):
            ask(stuck, cast.max, now, **wrong)


def test_only_an_open_level_is_overridden(stuck, cast, now):
    with pytest.raises(NotPossible):
        ask(stuck, cast.max, now, level="Next")
    row = ask(stuck, cast.max, now)
    vote_of(stuck, "approver", cast.paul, now)
    assert level_of(stuck).state == "approved"
    with pytest.raises(NotPossible):
        confirm(row, cast.ada, now)
    with pytest.raises(NotPossible):
        ask(stuck, cast.max, now)


def test_one_override_waits_at_a_level_at_a_time(stuck, cast, now):
    ask(stuck, cast.max, now)
    with pytest.raises(NotPossible):
        ask(stuck, cast.ada, now, decision="reject")
    assert Override.objects.count() == 1


def test_a_question_holds_an_override_as_it_holds_votes(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    request_information(level_of(stuck).seats.get(state="open").pk, actor=cast.paul, now=now, question="Why?")
    with pytest.raises(NotPossible):
        confirm(row, cast.ada, now)
    provide_information(stuck.change.number, actor=cast.rita, now=now, answer="Because.")
    assert confirm(row, cast.ada, now).confirmed_at == now


def test_content_that_moved_in_between_is_not_what_was_overridden(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    change = Change.objects.get(pk=stuck.change_id)
    edit.edit_change(change.number, {"rollback_plan": "Another way."}, actor=cast.rita, now=now, seen=change.etag)
    with pytest.raises(OutOfDate):
        confirm(row, cast.ada, now)
    assert Change.objects.get(pk=change.pk).state == "in_review"


def test_an_override_holds_for_its_round_alone(stuck, cast, now):
    confirm(ask(stuck, cast.max, now), cast.ada, now)
    change = Change.objects.get(pk=stuck.change_id)
    edit.edit_change(change.number, {"rollback_plan": "Another way."}, actor=cast.rita, now=now, seen=change.etag)
    assert level_of(change.rounds.last()).state == "open"


def test_what_one_may_not_see_one_does_not_override(stuck, cast, now):
    Change.objects.filter(pk=stuck.change_id).update(confidential=True)
    with pytest.raises(NotFound):
        ask(stuck, cast.otto, now)


def test_the_votes_of_a_level_that_was_overridden_change_nothing_any_more(stuck, cast, now):
    confirm(ask(stuck, cast.max, now), cast.ada, now)
    with pytest.raises(NotPossible):
        vote_of(stuck, "approver", cast.paul, now, vote="reject")
    assert level_of(stuck).state == "approved"


# --- the API ---


def path(round, rest=""):
    return f"/api/v1/changes/{round.change.number}/override/{rest}"


BODY = {"level": "Peers", "decision": "approve", "reason": "Nobody else is there."}


def test_the_api_asks_confirms_and_lists(stuck, cast, api):
    asked = api(cast.max).post(path(stuck), BODY, format="json")
    assert asked.status_code == 201 and asked.json()["state"] == "asked" and asked.json()["asked_by"] == "max"
    row = asked.json()["id"]
    assert api(cast.max).post(path(stuck, f"{row}/confirm/"), {}, format="json").status_code == 403
    assert api(cast.rita).post(path(stuck, f"{row}/confirm/"), {}, format="json").status_code == 403
    assert api(cast.ada).get(path(stuck, f"{row}/confirm/")).status_code == 405
    confirmed = api(cast.ada).post(path(stuck, f"{row}/confirm/"), {}, format="json")
    assert confirmed.status_code == 200 and confirmed.json()["state"] == "confirmed" and confirmed.json()["votes"][0]["by"] == "petra"
    assert api(cast.rita).get(path(stuck)).json()["results"][0]["confirmed_by"] == "ada"
    assert [one["id"] for one in api(cast.aud).get("/api/v1/overrides/").json()["results"]] == [row]


def test_the_api_refuses_with_the_stated_codes(stuck, cast, api, now):
    client = api(cast.max)
    for body, status in (
        ({**BODY, "reason": ""}, 409), ({**BODY, "decision": "maybe"}, 400), ({**BODY, "level": "Nowhere"}, 400), ({**BODY, "actor": "ada"}, 400),
        ({**BODY, "level": "Next"}, 409), ({"level": "Peers"}, 400), ({**BODY, "level": None}, 400), ({**BODY, "level": ["Peers"]}, 400),
    ):  # fmt: skip
        assert client.post(path(stuck), body, format="json").status_code == status, body
    assert client.post(path(stuck), BODY, format="json", headers={"If-Match": '"9.9"'}).status_code == 412
    assert api(cast.vera).post(path(stuck), BODY, format="json").status_code == 403
    assert api(cast.max, scope="read").post(path(stuck), BODY, format="json").status_code == 403
    assert client.post(path(stuck, "999/confirm/"), {}, format="json").status_code == 404
    assert Override.objects.count() == 0
    assert Event.objects.filter(action="access.denied").count() >= 3


def test_the_api_answers_412_when_the_content_moved(stuck, cast, api, now):
    row = ask(stuck, cast.max, now)
    change = Change.objects.get(pk=stuck.change_id)
    edit.edit_change(change.number, {"rollback_plan": "Another way."}, actor=cast.rita, now=now, seen=change.etag)
    assert api(cast.ada).post(path(stuck, f"{row.pk}/confirm/"), {}, format="json").status_code == 412


def test_the_list_of_all_is_for_those_who_look_after_it_and_hides_what_they_may_not_see(stuck, cast, api, now):
    ask(stuck, cast.max, now)
    for user, status in ((cast.aud, 200), (cast.max, 200), (cast.ada, 200), (cast.rita, 403), (cast.vera, 403), (cast.petra, 403)):
        assert api(user).get("/api/v1/overrides/").status_code == status
    later = (now + HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert api(cast.aud).get("/api/v1/overrides/", {"after": later}).json()["results"] == []
    assert len(api(cast.aud).get("/api/v1/overrides/", {"before": later}).json()["results"]) == 1
    assert api(cast.aud).get("/api/v1/overrides/", {"after": "yesterday"}).status_code == 400
    Change.objects.filter(pk=stuck.change_id).update(confidential=True)
    assert len(api(cast.aud).get("/api/v1/overrides/").json()["results"]) == 1
    assert api(cast.otto).get("/api/v1/overrides/").json()["results"] == []


def test_the_list_costs_the_same_whatever_it_holds(stuck, cast, api, now, django_assert_max_num_queries):
    for _ in range(4):
        row = ask(stuck, cast.max, now)
        withdraw_override(row.change.number, row.pk, actor=cast.max, now=now)
    client = api(cast.aud)
    client.get("/api/v1/overrides/")
    with django_assert_max_num_queries(9):
        assert len(client.get("/api/v1/overrides/").json()["results"]) == 4


# --- the pages ---


def browser_of(user):
    browser = Client()
    browser.force_login(user)
    return browser


def test_the_page_asks_and_a_second_person_confirms(stuck, cast):
    max, ada, number = browser_of(cast.max), browser_of(cast.ada), stuck.change.number
    assert "Override" in max.get(f"/changes/{number}/").content.decode()
    form = max.get(f"/changes/{number}/override/?level={level_of(stuck).pk}")
    assert form.status_code == 200 and "checked" in form.content.decode()
    asked = max.post(f"/changes/{number}/override/", {"level": level_of(stuck).pk, "decision": "approve", "reason": "Nobody else is there."})
    row = Override.objects.get()
    assert asked.status_code == 302 and asked["Location"] == f"/changes/{number}/override/{row.pk}/"
    assert "Withdraw it" in max.get(f"/changes/{number}/override/{row.pk}/").content.decode()
    assert max.post(f"/changes/{number}/override/{row.pk}/").status_code == 403
    shown = ada.get(f"/changes/{number}/override/{row.pk}/").content.decode()
    assert "Confirm: approve the level" in shown and "Nobody else is there." in shown and "rejected" in shown
    assert "Look and confirm" in ada.get(f"/changes/{number}/").content.decode()
    assert ada.post(f"/changes/{number}/override/{row.pk}/").status_code == 302
    assert level_of(stuck).state == "approved"
    assert "was approved by override" in browser_of(cast.rita).get(f"/changes/{number}/").content.decode()


def test_the_page_refuses_with_the_form_and_others_altogether(stuck, cast, now):
    number = stuck.change.number
    refused = browser_of(cast.max).post(f"/changes/{number}/override/", {"level": "Peers", "decision": "approve", "reason": ""})
    assert refused.status_code == 409 and "Nothing was changed" in refused.content.decode()
    for user in (cast.rita, cast.petra, cast.aud):
        assert browser_of(user).get(f"/changes/{number}/override/").status_code == 403
        assert browser_of(user).post(f"/changes/{number}/override/", {"level": "Peers", "decision": "approve", "reason": "x"}).status_code == 403
    row = ask(stuck, cast.max, now)
    for user in (cast.rita, cast.vera):
        page = browser_of(user).get(f"/changes/{number}/override/{row.pk}/")
        assert page.status_code == 200 and "Confirm:" not in page.content.decode()
    assert browser_of(cast.max).get(f"/changes/{number}/override/{row.pk}/withdraw/").status_code == 405
    assert browser_of(cast.max).post(f"/changes/{number}/override/{row.pk}/withdraw/").status_code == 302
    assert Override.objects.get().withdrawn_at and not Override.objects.exclude(confirmed_at=None).exists()


def test_a_get_confirms_nothing(stuck, cast, now):
    row = ask(stuck, cast.max, now)
    for query in ("", "?confirm=1", "?seen=1.1"):
        browser_of(cast.ada).get(f"/changes/{stuck.change.number}/override/{row.pk}/{query}")
    assert level_of(stuck).state == "open"


def test_the_report_shows_overrides_go_aheads_and_silent_consents_to_those_who_look_after_it(stuck, cast, now):
    from changemgmt.lifecycle.go_ahead import emergency_go_ahead
    from changemgmt.sla.tasks import act_on

    confirm(ask(stuck, cast.max, now), cast.ada, now)
    a_chain(a_level(a_seat("ecab"), name="ECAB"), order=0, name="Burning", applies_when={"field": "type", "op": "eq", "value": "emergency"})
    burning = in_review(a_change(cast.rita, now, type="emergency", title="Stop the leak"), now)
    emergency_go_ahead(burning.change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    a_chain(
        a_level(a_seat("approver"), on_timeout="approve", sla_hours=1),
        order=0,
        name="Quiet",
        applies_when={"field": "tags", "op": "contains", "value": "quiet"},
    )
    in_review(a_change(cast.rita, now, title="A small thing", tags=["quiet"]), now)
    act_on(now + HOUR)
    for user, status in ((cast.aud, 200), (cast.max, 200), (cast.ada, 200), (cast.rita, 403), (cast.vera, 403)):
        assert browser_of(user).get("/audit/overrides/").status_code == status
    auditor = browser_of(cast.aud)
    shown = auditor.get("/audit/overrides/").content.decode()
    assert "Paul can&#x27;t be reached" in shown and "Confirmed" in shown and "Petra" in shown and "rejected" in shown
    assert "It burns." in auditor.get("/audit/overrides/?kind=go_ahead").content.decode()
    silent = auditor.get("/audit/overrides/?kind=silent_consent").content.decode()
    assert "A small thing" in silent and "All must approve" in silent
    assert "Nothing of this kind" in auditor.get("/audit/overrides/?since=2027-01-01").content.decode()
    assert auditor.get("/audit/overrides/?since=never").status_code == 400
    Change.objects.update(confidential=True)
    hidden = browser_of(cast.otto)
    for kind in ("override", "go_ahead", "silent_consent"):
        assert "Nothing of this kind" in hidden.get(f"/audit/overrides/?kind={kind}").content.decode()


# --- the command ---


def test_the_command_asks_and_a_second_person_confirms(stuck, cast, monkeypatch):
    number = stuck.change.number

    def run(user, *words, code=0):
        _, key = make_token(user, days=1, scope="write", name="t", now=utc_now() - HOUR)
        monkeypatch.setenv("COUNTERSIGN_TOKEN", key)
        out = StringIO()
        if code:
            with pytest.raises(SystemExit) as ended:
                call_command("change", "override", number, *words, "--json", stdout=out, stderr=StringIO())
            assert ended.value.code == code
            return {}
        call_command("change", "override", number, *words, "--json", stdout=out)
        return json.loads(out.getvalue())

    asked = run(cast.max, "--level", "Peers", "--decision", "approve", "--reason", "Nobody else is there.")
    assert asked["state"] == "asked"
    run(cast.max, "--confirm", str(asked["id"]), code=1)
    run(cast.rita, "--level", "1", "--decision", "reject", "--reason", "x", code=1)
    assert run(cast.max, "--withdraw", str(asked["id"]))["state"] == "withdrawn"
    asked = run(cast.max, "--level", "1", "--decision", "approve", "--reason", "Nobody else is there.")
    assert run(cast.ada, "--confirm", str(asked["id"]))["state"] == "confirmed"
    assert level_of(stuck).state == "approved"
