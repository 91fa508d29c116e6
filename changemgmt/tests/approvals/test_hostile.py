"""Attacks on the approval flow, each with the refusal that is stated for it; nothing is stored, and no answer holds a secret."""

from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.models import Delegation
from changemgmt.approvals.links import LIFE, make_link
from changemgmt.approvals.models import Chain, MailLink, Round, Vote
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Template
from changemgmt.core.errors import DomainError
from changemgmt.lifecycle import cancel, edit, manage_people, reopen, submit, vote
from changemgmt.lifecycle.claim import reassign_seat
from changemgmt.tests import estate
from changemgmt.tests.accounts.test_second_factor import code_of, set_up
from changemgmt.tests.cast import PASSWORD, make_person

from .making import a_chain, a_level, a_seat
from .ways import Api, everything, join, nothing_stored, say, seat_of, standing, stands_in, state

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite, pytest.mark.usefixtures("clock")]
DAY = timedelta(days=1)
WINDOW = {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T02:00:00Z"}


def commanded(user, now, monkeypatch, *words):
    """The exit code of `manage.py change …` by this person."""
    monkeypatch.setenv("COUNTERSIGN_TOKEN", make_token(user, days=1, scope="write", name="t", now=now)[1])
    try:
        call_command("change", *words, stdout=StringIO(), stderr=StringIO())
    except SystemExit as end:
        return end.code
    except CommandError:
        return 2
    return 0


# --- the one and the many ---


def test_one_foreign_id_among_nine_of_ones_own_does_none(cast, shop, now, way):
    Template.objects.create(slug="plain", name="Plain", type="normal")
    mine = [seat_of(estate.in_review(cast, now, template="plain")) for _ in range(9)]
    foreign = seat_of(estate.in_review(cast, now, template="plain"), "Security")
    for seats in ([*mine, foreign], [foreign, *mine], [*mine[:4], foreign, *mine[4:]]):
        with nothing_stored():
            assert way.together(cast.petra, *seats) == 404
    hidden = estate.in_review(cast, now, template="plain", confidential=True)
    with nothing_stored():
        assert way.together(cast.sam, seat_of(hidden, "Security"), *mine) == 404


NO_IDS = [[0], [-1], [2**63], ["1"], [True], [None], [1.5], [[]], [{}], [99999999]]


def test_ids_that_are_none_in_a_bulk(cast, shop, now, over_api):
    seat = seat_of(estate.in_review(cast, now))
    for ids in NO_IDS:
        with nothing_stored(denied=None):
            votes = [{"id": seat.pk, "digest": seat.level.digest}, *({"id": one, "digest": ""} for one in ids)]
            assert over_api.post(cast.petra, "approvals/bulk-vote/", {"votes": votes, "vote": "approve"}) in (400, 404)
        assert over_api.post(cast.petra, "approvals/bulk-vote/", {"votes": [], "vote": "approve"}) == 400
        assert over_api.post(cast.petra, "approvals/bulk-vote/", {"votes": [votes[0]] * 201, "vote": "approve"}) == 400


NO_IDS_OF_A_FORM = [[], ["x"], ["-1"], ["9" * 30], ["²"], [""]]


def test_ids_that_are_none_in_a_form(cast, shop, now, over_page):
    for ids in NO_IDS_OF_A_FORM:
        with nothing_stored(denied=None):
            assert over_page.post(cast.petra, "/approvals/bulk/", {"id": ids}) in (400, 404)
    seat = seat_of(estate.in_review(cast, now))
    for ids in ([seat.pk, "x"], [seat.pk] * 201):
        with nothing_stored(denied=None):
            assert over_page.post(cast.petra, "/approvals/bulk/", {"id": ids, f"digest-{seat.pk}": seat.level.digest}) == 400


FIELDS_THAT_THE_SYSTEM_WRITES_ARE_REFUSE = [
        ("state", "approved"), ("version", 9), ("number", "CHG-2026-99999"), ("digest", "0" * 64), ("risk_level", "low"), ("risk_score", 0.0),
        ("decided_at", "2026-01-01T00:00:00Z"), ("result", "successful"), ("approval_expires_at", None), ("affected_count", 0),
        ("retrospective", True), ("imported", True), ("outcome", "approved"), ("rounds", []), ("votes", []), ("chain", "x"), ("go_ahead_by", "eva"),
    ]  # fmt: skip


def test_fields_that_the_system_writes_are_refused_and_not_dropped(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for field, value in FIELDS_THAT_THE_SYSTEM_WRITES_ARE_REFUSE:
        Change.objects.filter(pk=change.pk).update(approval_expires_at=now + DAY)
        with nothing_stored(denied=None):
            assert over_api.edit(cast.rita, change, **{field: value}) == 400
            assert over_api.post(cast.rita, "changes/", {"title": "x", field: value}) == 400


# --- one's own ---


def test_nobody_approves_their_own_by_any_way(cast, shop, now, way, monkeypatch):
    join(cast.rita, "approver", "security_lead")
    Template.objects.create(slug="plain", name="Plain", type="normal")
    change = estate.in_review(cast, now, template="plain")
    seat = seat_of(change)
    with nothing_stored():
        assert way.vote(cast.rita, seat) == 403
    with nothing_stored():
        assert way.together(cast.rita, seat) == 404
    link = make_link(seat, cast.rita, "approve", now=now, expires_at=now + DAY)
    if not isinstance(way, Api):
        with nothing_stored():
            assert way.post(cast.rita, link) == 410
        assert way.post(cast.rita, f"/changes/{change.number}/comments/", {"text": "/approve"}) == 200
    else:
        assert way.post(cast.rita, f"changes/{change.number}/comments/", {"text": "/approve"}) == 201
    assert commanded(cast.rita, now, monkeypatch, "vote", change.number, "--vote", "approve", "--digest", seat.level.digest) == 1
    assert standing(change) == []


@pytest.mark.parametrize("part", ["implementer", "co-author", "who set the risk", "delegate of the requester", "delegate of the implementer"])
def test_nobody_with_a_part_in_it_approves_it(cast, shop, now, way, part):
    from changemgmt.lifecycle import assess

    make_person("pia", ("approver",))
    draft = estate.draft(cast, now, **({"owner": "paul"} if part == "co-author" else {}))
    if part == "co-author":
        edit.edit_change(draft.number, {"description": "By Paul."}, actor=cast.paul, now=now, seen=None)
    if part == "who set the risk":
        assess.override(draft.number, actor=join(cast.max, "approver"), now=now, level="very_high", reason="Season.", seen="*")
    submit.submit(draft.number, actor=cast.rita, now=now)
    stands_in(join(cast.rita, "approver"), cast.olga, now)
    stands_in(join(cast.ian, "approver"), cast.vera, now)
    who = {"implementer": cast.ian, "co-author": cast.paul, "who set the risk": cast.max, "delegate of the requester": cast.olga}.get(part, cast.vera)
    with nothing_stored():
        assert way.vote(who, seat_of(draft)) == 403


def test_one_person_through_two_seats_or_two_accounts(cast, shop, now, way):
    second = make_person("petra.two", ("approver",))
    manage_people.link_identities(["petra", "petra.two"], actor=cast.ada, now=now)
    change = estate.in_review(cast, now)
    for who, place in ((cast.petra, 0), (cast.petra, 1), (second, 0), (second, 1)):
        assert way.vote(who, seat_of(change, place=place)) in (200, 403, 409)
    assert len(standing(change)) == 1 and seat_of(change).level.state == "open"


def test_the_same_vote_over_and_over_is_answered_the_same(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    answers = []
    for _ in range(20):
        assert over_api.vote(cast.petra, seat_of(change)) == 200
        answers.append(over_api.answer.json())
    assert all(answer == answers[0] for answer in answers)
    assert Vote.objects.count() == 1 and Event.objects.filter(action="vote.cast").count() == 1


# --- at the wrong moment, on the wrong content ---


def over(change, cast, now, how):
    match how:
        case "decided":
            estate.decide(change, now)
        case "withdrawn":
            from changemgmt.lifecycle import revise

            revise.revise(change.number, actor=cast.rita, now=now, seen="*")
        case "cancelled":
            cancel.cancel(change.number, actor=cast.rita, now=now, reason="No.", seen="*")
        case "expired":
            estate.decide(change, now)
            Change.objects.filter(pk=change.pk).update(approval_expires_at=now)
        case "rejected":
            say(seat_of(change), cast.paul, now, "reject")


@pytest.mark.parametrize("answer", ["approve", "reject", "abstain"])
@pytest.mark.parametrize("how", ["decided", "withdrawn", "cancelled", "expired", "rejected"])
def test_a_vote_on_what_is_over(cast, shop, now, way, how, answer):
    change = estate.in_review(cast, now)
    extra = make_person("pia", ("approver",))
    over(change, cast, now, how)
    with nothing_stored():
        assert way.vote(extra, seat_of(change), answer) == 409


DIGESTS = [(None, 428), ("", 428), ("0" * 64, 412), ("A" * 64, 412), ("x", 412), ("é" * 64, 412)]


def test_a_vote_without_a_digest_or_with_another(cast, shop, now, way):
    change = estate.in_review(cast, now)
    for digest, status in DIGESTS:
        with nothing_stored(denied=None):
            assert way.vote(cast.petra, seat_of(change), digest=digest) == status


def test_the_digest_of_another_level_or_of_another_change(cast, seeded, now, way):
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer", required=2), name="Peers"), a_level(a_seat("security_lead", "Security"), number=2, watches=["items"]))
    change, other = estate.in_review(cast, now), estate.in_review(cast, now, description="Another.")
    for digest in (seat_of(change, "Security").level.digest, seat_of(other).level.digest, change.digest[::-1]):
        assert digest != seat_of(change).level.digest
        with nothing_stored():
            assert way.vote(cast.petra, seat_of(change), digest=digest) == 412


@pytest.mark.parametrize("field", ["description", "business_justification", "rollback_plan", "priority", "org_unit", "on_window_end", "type"])
def test_a_material_edit_takes_the_votes_in_the_same_answer(cast, shop, now, over_api, field):
    change = estate.decide(estate.in_review(cast, now), now)
    value = {"priority": "high", "org_unit": "payments", "on_window_end": "pause", "type": "major"}.get(field, "Something else.")
    assert over_api.edit(cast.rita, change, **{field: value}) == 200
    assert (over_api.answer.json()["state"], standing(change)) == ("in_review", [])


# --- the rule while it waits ---


def test_what_is_configured_meanwhile_does_not_touch_what_runs(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for who in (cast.rita, cast.max, cast.vera, cast.petra):
        with nothing_stored():
            chain = Chain.objects.get(name="Test chain")
            assert over_api.of(who).patch(f"/api/v1/approval-chains/{chain.pk}/", {"active": False}, format="json").status_code == 403
    cast.paul.groups.clear()
    assert over_api.vote(cast.paul, seat_of(change)) == 403
    assert over_api.vote(cast.petra, seat_of(change)) == 200
    assert state(change) == "in_review" and seat_of(change).level.state == "open"


def test_who_leaves_the_group_after_voting_has_not_voted(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    pia = make_person("pia", ("approver",))
    assert over_api.vote(pia, seat_of(change)) == 200
    pia.groups.clear()
    assert over_api.vote(cast.petra, seat_of(change, place=1)) == 200
    assert standing(change) == ["petra"] and seat_of(change).level.state == "open"


# --- standing in ---


@pytest.mark.parametrize(
    "what", ["oneself", "second account", "service", "guest", "back-dated", "over", "backwards", "loop", "another's", "two steps"]
)
def test_delegations_that_can_not_be(cast, shop, now, over_api, what):
    second = make_person("petra.two")
    manage_people.link_identities(["petra", "petra.two"], actor=cast.ada, now=now)
    robot, guest = make_person("robot", is_service=True), make_person("guest", is_guest=True)
    later, body = (now + DAY).isoformat(), {"delegate": "olga", "starts_at": now.isoformat(), "ends_at": (now + 2 * DAY).isoformat()}
    body |= {
        "oneself": {"delegate": "petra"},
        "second account": {"delegate": second.username},
        "service": {"delegate": robot.username},
        "guest": {"delegate": guest.username},
        "back-dated": {"starts_at": (now - DAY).isoformat()},
        "over": {"starts_at": (now - 2 * DAY).isoformat(), "ends_at": (now - DAY).isoformat()},
        "backwards": {"starts_at": later, "ends_at": now.isoformat()},
        "another's": {"delegator": "sam"},
    }.get(what, {})
    if what == "loop":
        stands_in(cast.olga, cast.petra, now)
    if what == "two steps":
        stands_in(cast.olga, cast.stella, now)
    with nothing_stored(denied=None):
        assert over_api.post(cast.petra, "delegations/", body) in (400, 403)


def test_a_delegation_to_the_requester_gives_no_vote_and_one_of_somebody_without_rights_none_either(cast, shop, now, way):
    change = estate.in_review(cast, now)
    stands_in(cast.petra, cast.rita, now)
    stands_in(cast.vera, cast.olga, now)
    for who in (cast.rita, cast.olga):
        with nothing_stored():
            assert way.vote(who, seat_of(change)) == 403


# --- links in mails ---


LOOKING = ["get", "head", "options"]


def test_a_link_that_is_looked_at_decides_nothing(cast, shop, now, over_page):
    change = estate.in_review(cast, now)
    link = make_link(seat_of(change), cast.petra, "approve", now=now, expires_at=now + LIFE)
    for method in LOOKING:
        for headers in ({}, {"HTTP_PURPOSE": "prefetch"}, {"HTTP_SEC_PURPOSE": "prefetch;prerender"}):
            before = everything()
            assert getattr(over_page.of(None), method)(link + "?vote=approve&step=vote&read=on", **headers).status_code in (200, 405)
            assert everything() == before
        assert standing(change) == []


def test_a_link_that_does_not_count_any_more(cast, shop, now, over_page):
    change = estate.in_review(cast, now)
    seat = seat_of(change)

    def link(user=cast.petra, **more):
        return make_link(seat, user, "approve", now=now, **{"expires_at": now + LIFE, **more})

    old, forwarded = link(expires_at=now), link()
    for who, path in ((None, old), (cast.petra, old), (cast.paul, forwarded), (cast.rita, forwarded), (cast.ada, forwarded)):
        with nothing_stored():
            assert over_page.post(who, path) == 410
    used = link()
    assert over_page.post(None, used, {"comment": "Said."}) == 200
    for who in (None, cast.petra):
        with nothing_stored():
            assert over_page.post(who, used) == 410
    given_away = link(cast.paul)
    reassign_seat(seat_of(change, place=1).pk, actor=join(cast.quinn, "change_manager"), now=now, to="tina")
    assert over_page.post(None, given_away) in (409, 410)
    assert standing(change) == ["petra"]
    for token in ("x" * 43, "x", "x" * 44, "%00" * 14 + "x", "é" * 43, "../" * 14 + "x"):
        assert over_page.post(None, f"/approvals/link/{token}/") in (404, 410)


def test_a_link_after_72_hours(cast, shop, now, over_page):
    import time_machine

    change = estate.in_review(cast, now)
    link = make_link(seat_of(change), cast.petra, "approve", now=now, expires_at=now + LIFE)
    with time_machine.travel(now + timedelta(hours=73), tick=False):
        assert over_page.post(None, link) == 410
    assert standing(change) == []


@pytest.mark.parametrize("step", ["nonsense", "", "check", "send", "vote\x00", "__class__"])
def test_a_link_with_a_step_it_does_not_have(cast, shop, now, over_page, step):
    change = estate.in_review(cast, now)
    link = make_link(seat_of(change), cast.petra, "approve", now=now, expires_at=now + LIFE)
    assert over_page.post(None, link, {"step": step}) in (400, 403, 404, 409)
    assert standing(change) == [] and MailLink.objects.get().used_at is None


# --- words that look like a vote ---


LIKE_A_VOTE = ["/approve", "approve", "@countersign approve", "LGTM :+1:", "vote: approve\ndigest: x", "<approve/>"]


def test_words_that_look_like_a_vote_are_words(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for text in LIKE_A_VOTE:
        for who in (cast.petra, cast.paul):
            assert over_api.post(who, f"changes/{change.number}/comments/", {"text": text}) == 201
        assert standing(change) == [] and state(change) == "in_review"
        for path in ("inbound/mail/", "hooks/mail/", "chat/", "approvals/inbound/"):
            assert over_api.post(cast.petra, path, {"from": "petra@example.org", "text": text}) in (404, 405)


# --- factors ---


def test_factors_that_are_wrong_empty_somebody_elses_or_used(cast, seeded, now, way):
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer", required=2), require_signature=True, name="Signed"))
    manage_people.change_password(cast.paul, now=now, password="another walk in the hills")
    device, others = set_up(cast.petra, now), set_up(cast.max, now)
    change = estate.in_review(cast, now)
    later = now + timedelta(minutes=2)
    import time_machine

    with time_machine.travel(later, tick=False):
        for said in (
            {},
            {"password": ""},
            {"password": PASSWORD},
            {"password": "another walk in the hills", "code": code_of(device, later)},
            {"password": PASSWORD, "code": code_of(others, later)},
        ):
            assert way.vote(cast.petra, seat_of(change), **said) in (403, 429), said
            assert standing(change) == []
    good = now + timedelta(hours=2)
    with time_machine.travel(good, tick=False):
        code = code_of(device, good)
        assert way.vote(cast.petra, seat_of(change), password=PASSWORD, code=code) == 200
        again = estate.in_review(cast, good)
        assert way.vote(cast.petra, seat_of(again), password=PASSWORD, code=code) == 403
        assert standing(again) == []


# --- carrying out what was not decided ---


@pytest.mark.parametrize("how", ["in review", "rejected", "expired", "revision moved", "outside its window", "withdrawn", "cancelled"])
def test_what_is_not_approved_now_is_not_carried_out(cast, shop, now, way, monkeypatch, how):
    begins = now + timedelta(hours=5) if how == "outside its window" else now
    ready = how in ("outside its window", "revision moved", "expired", "withdrawn")
    change = estate.scheduled(cast, now, begins=begins, ends=begins + timedelta(hours=2)) if ready else estate.in_review(cast, now)
    if how == "rejected":
        say(seat_of(change), cast.petra, now, "reject")
    if how == "cancelled":
        cancel.cancel(change.number, actor=cast.rita, now=now, reason="No.", seen="*")
    if how == "expired":
        Change.objects.filter(pk=change.pk).update(approval_expires_at=now)
    if how == "revision moved":
        edit.edit_change(change.number, {"description": "Else."}, actor=cast.rita, now=now, seen="*")
    if how == "withdrawn":
        vote.withdraw_vote(seat_of(change).pk, actor=cast.petra, now=now, reason="I saw something.")
    with nothing_stored():
        assert way.do(cast.ian, change, "start") == 409
    if isinstance(way, Api):
        with nothing_stored():
            assert way.post(cast.ian, f"changes/{change.number}/executions/") == 409
    assert commanded(cast.ian, now, monkeypatch, "execute", change.number) == 1
    assert not change.executions.exists()


def test_content_written_past_every_verb_is_not_what_was_approved(cast, shop, now, way):
    change = estate.scheduled(cast, now, begins=now, ends=now + timedelta(hours=2))
    item = change.items.order_by("pk").first()
    item.data = {"attributes": {"version": "666"}}
    item.save()
    with nothing_stored():
        assert way.do(cast.ian, change, "start") == 409


TRIED_AGAIN = ["start", "schedule", "begin_review", "complete", "provide_info", "submit"]


def test_what_was_rejected_is_not_tried_again(cast, shop, now, way):
    change = estate.in_review(cast, now)
    say(seat_of(change), cast.petra, now, "reject")
    for name in TRIED_AGAIN:
        who = {"start": cast.ian, "complete": cast.ian, "schedule": cast.max, "begin_review": cast.max}.get(name, cast.rita)
        parameters = WINDOW if name == "schedule" else {"answer": "x"} if name == "provide_info" else {}
        with nothing_stored(denied=None):
            assert way.do(who, change, name, **parameters) in (400, 409)


def test_a_copy_of_what_was_rejected_has_no_approval(cast, shop, now, way):
    change = estate.in_review(cast, now)
    say(seat_of(change), cast.petra, now, "reject")
    copy = reopen.reopen_as_new(change.number, actor=cast.rita, now=now, seen="*")
    for who, name in ((cast.ian, "start"), (cast.max, "schedule")):
        with nothing_stored():
            assert way.do(who, copy, name, **(WINDOW if name == "schedule" else {})) == 409
    assert not Round.objects.filter(change=copy).exists()


def test_a_type_with_a_weaker_rule_runs_the_levels_of_both(cast, seeded, now, over_api):
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer"), name="Weak"), name="Weak", order=1, applies_when={"field": "type", "op": "eq", "value": "normal"})
    a_chain(
        a_level(a_seat("security_lead", "Strong"), name="Strong"),
        name="Strong",
        order=2,
        applies_when={"field": "type", "op": "eq", "value": "major"},
    )
    change = estate.in_review(cast, now, type="major", description="Big.", test_plan="Look.", communication_plan="Tell.")
    say(seat_of(change, "Strong"), cast.sam, now, "abstain")
    assert over_api.edit(cast.rita, change, type="normal") == 200
    names = set(estate.fresh(change).rounds.last().levels.exclude(state="skipped").values_list("name", flat=True))
    assert names == {"Weak", "Strong"} and standing(change) == []
    assert over_api.vote(cast.petra, seat_of(change, "Peer")) == 200
    assert state(change) == "in_review"


# --- what is on record stays ---


def test_changes_with_votes_votes_and_voters_are_not_deleted(cast, shop, now, over_api, over_page):
    change = estate.in_review(cast, now)
    say(seat_of(change), cast.petra, now)
    for path in (f"changes/{change.number}/", f"approvals/{seat_of(change).pk}/vote/", f"approvals/{seat_of(change).pk}/"):
        with nothing_stored(denied=None):
            assert over_api.of(cast.rita).delete(f"/api/v1/{path}").status_code in (404, 405)
    with pytest.raises(ProtectedError):
        Change.objects.get(pk=change.pk).delete()
    with pytest.raises(ProtectedError):
        cast.petra.delete()
    over_page.post(cast.ada, f"/admin/changemgmt/user/{cast.petra.pk}/delete/", {"post": "yes"})
    assert standing(change) == ["petra"] and Vote.objects.get().printed_name == "Petra"


def test_nothing_is_made_as_approved(cast, shop, now, over_api, monkeypatch, tmp_path):
    for body in (
        {"title": "x", "state": "approved"},
        {"title": "x", "decided_at": "2026-01-01T00:00:00Z"},
        {"title": "x", "version": 2, "digest": "0" * 64},
        {"title": "x", "rounds": [{"outcome": "approved"}]},
        {"title": "x", "imported": True},
    ):
        with nothing_stored(denied=None):
            assert over_api.post(cast.rita, "changes/", body) == 400
    with nothing_stored(denied=None):
        assert commanded(cast.rita, now, monkeypatch, "submit", "--draft", "--title", "x", "--set", "state=approved") == 2
    file = tmp_path / "change.md"
    file.write_text("---\ntitle: x\nstate: approved\n---\nText.\n")
    with nothing_stored(denied=None):
        assert commanded(cast.rita, now, monkeypatch, "submit", "--draft", "--file", str(file)) == 2


def test_an_imported_log_makes_nothing_approved(cast, shop, now, tmp_path):
    from changemgmt.lifecycle.import_changes import import_changes

    log, mapping = tmp_path / "log.csv", tmp_path / "m.yaml"
    log.write_text("id,title,created,state\n1,One,2026-01-01T00:00:00Z,approved\n")
    mapping.write_text(
        "system: x\nid: id\nfields:\n  title: title\n  created_at: created\n  state: state\nvalues:\n  state: {approved: approved}\n",
        encoding="utf-8",
    )
    with nothing_stored(denied=None):
        with suppress(DomainError):
            import_changes(log, now=now, mapping=mapping)
    assert not Change.objects.filter(state="approved").exists()


# --- emergencies ---


def test_an_emergency_without_the_right_and_the_sixth_of_a_day(cast, seeded, now, way):
    estate.build(now)
    change = estate.in_review(cast, now, type="emergency")
    for who in (cast.rita, cast.ian, cast.max, cast.ada, cast.petra, cast.vera):
        with nothing_stored():
            assert way.do(who, change, "emergency_go_ahead", reason="It burns.") == 403
    normal = estate.in_review(cast, now)
    with nothing_stored():
        assert way.do(cast.eva, normal, "emergency_go_ahead", reason="It burns.") == 409
    for number in range(5):
        one = estate.in_review(cast, now, type="emergency", title=f"Leak {number}")
        assert way.do(cast.eva, one, "emergency_go_ahead", reason="It burns.") == 200
    assert way.do(cast.eva, change, "emergency_go_ahead", reason="It burns.") == 429
    assert Event.objects.filter(action="emergency.limit_reached").exists() and state(change) == "in_review"


# --- programs ---


def test_a_program_neither_votes_nor_signs_nor_stands_in(cast, shop, now, way):
    robot = make_person("robot", ("approver", "security_lead", "change_manager", "administrator", "ecab"), is_service=True)
    change = estate.in_review(cast, now)
    seat = seat_of(change)
    with nothing_stored():
        assert way.vote(robot, seat, password=PASSWORD) == 403
    stands_in(cast.petra, robot, now)
    with nothing_stored():
        assert way.vote(robot, seat) == 403
    if not isinstance(way, Api):
        return
    body = {"delegate": "olga", "starts_at": now.isoformat(), "ends_at": (now + DAY).isoformat()}
    for path, given in (
        ("delegations/", body),
        (f"changes/{change.number}/override/", {"level": "Peers", "decision": "approve", "reason": "x"}),
        (f"changes/{change.number}/transitions/emergency_go_ahead/", {"reason": "x"}),
        (f"approvals/{seat.pk}/reassign/", {"to": "olga"}),
        (f"changes/{change.number}/guests/", {"seat": seat.pk, "name": "G", "email": "g@example.net", "second_channel": "h@example.net"}),
        (f"approvals/{seat.pk}/claim/", {}),
    ):
        with nothing_stored():
            assert way.post(robot, path, given) == 403, path


# --- bad input ---


NO_VOTES = ["perhaps", "", "APPROVE", "approve ", "approve\x00", "approved", "yes", None, 1, True, [], {}, ["approve"], "x" * 10_000]


def test_words_that_are_no_vote(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for word in NO_VOTES:
        with nothing_stored(denied=None):
            assert over_api.vote(cast.petra, seat_of(change), word) == 400


NO_VOTES_OF_A_FORM = ["perhaps", "APPROVE", "approve ", "approved", "yes", "x" * 10_000]


def test_words_that_are_no_vote_in_a_form(cast, shop, now, over_page):
    """A form with an unknown act casts no vote."""
    change = estate.in_review(cast, now)
    for word in NO_VOTES_OF_A_FORM:
        with nothing_stored(denied=None):
            assert over_page.vote(cast.petra, seat_of(change), word) == 400


NO_VOTES_ON_THE_COMMAND_LI = ["perhaps", "APPROVE", ""]


def test_words_that_are_no_vote_on_the_command_line(cast, shop, now, monkeypatch):
    change = estate.in_review(cast, now)
    for word in NO_VOTES_ON_THE_COMMAND_LI:
        assert commanded(cast.petra, now, monkeypatch, "vote", change.number, "--vote", word, "--digest", seat_of(change).level.digest) == 2
        assert standing(change) == []


NO_CONDITIONS = [
        [{"text": ""}], [{"text": "   "}], [{}], [{"text": None}], [{"text": 5}], [{"text": "x", "due": "never"}], [{"text": "x", "evidence": "hope"}],
        [{"text": "x", "owner": "nobody"}], [{"text": "x", "owner": ""}, {"text": ""}], [{"text": "x" * 100_000}], [{"text": "a\x00b"}], [None], "x", {"text": "x"},
        [{"text": "x", "colour": 1}], [{"text": "x"}] * 1000,
    ]  # fmt: skip


def test_conditions_that_say_nothing_or_too_much(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for conditions in NO_CONDITIONS:
        with nothing_stored(denied=None):
            assert over_api.vote(cast.petra, seat_of(change), conditions=conditions) == 400


def test_conditions_without_text_in_a_form_and_on_the_command_line(cast, shop, now, over_page, monkeypatch):
    change = estate.in_review(cast, now)
    for rows in (
        {},
        {"text-0": ""},
        {"text-0": "   "},
        {"text-0": "x" * 100_000},
        {"text-0": "x", "due-0": "never"},
        {"text-0": "x", "owner-0": "nobody"},
    ):
        with nothing_stored(denied=None):
            assert over_page.vote(cast.petra, seat_of(change), "conditions", **rows) == 400, rows
    for text in ("", ";before_start", "x;never", "x;before_start;nobody"):
        words = ("vote", change.number, "--vote", "approve", "--digest", seat_of(change).level.digest, "--condition", text)
        assert commanded(cast.petra, now, monkeypatch, *words) == 2, text
    assert standing(change) == []


LONG = ["x" * 20_001, "x" * 1_000_000]


def test_comments_that_are_too_long(cast, shop, now, way, monkeypatch):
    change = estate.in_review(cast, now)
    for comment in LONG:
        with nothing_stored(denied=None):
            assert way.vote(cast.petra, seat_of(change), comment=comment) == 400
            words = ("vote", change.number, "--vote", "approve", "--digest", seat_of(change).level.digest, "--comment", comment)
            assert commanded(cast.petra, now, monkeypatch, *words) == 2


NO_TEXT = [None, 5, [], {}, "a\x00b", True]


def test_comments_that_are_no_text(cast, shop, now, over_api):
    change = estate.in_review(cast, now)
    for comment in NO_TEXT:
        with nothing_stored(denied=None):
            assert over_api.vote(cast.petra, seat_of(change), comment=comment) == 400


NO_SEATS = ["0", "-1", "999999", "9" * 30, "x", "1.5", "%00", "²"]


def test_seats_that_are_not_there(cast, shop, now, over_api, over_page):
    for pk in NO_SEATS:
        for act in ("vote", "claim", "release", "withdraw", "reconfirm", "reassign", "request-information"):
            assert over_api.post(cast.petra, f"approvals/{pk}/{act}/", {"to": "tina", "digest": "x", "vote": "approve"}) == 404
        for act in ("vote", "claim", "release", "reconfirm", "reassign"):
            assert over_page.post(cast.max, f"/approvals/{pk}/{act}/", {"digest": "x"}) == 404


def test_a_reason_that_is_empty(cast, shop, now, way, monkeypatch):
    change = estate.in_review(cast, now)
    for comment in ("", "   "):
        with nothing_stored():
            assert way.vote(cast.petra, seat_of(change), "reject", comment=comment) == 409
    words = ("vote", change.number, "--vote", "reject", "--digest", seat_of(change).level.digest)
    assert commanded(cast.petra, now, monkeypatch, *words) == 1
    assert standing(change) == [] and Delegation.objects.count() == 0 and Group.objects.filter(name="approver").exists()
