"""How approvals were got round elsewhere, each tried here, over the API and over the page, with variants of our own.

The names say in short which case it is. Refused means: the status, nothing stored, one refusal on record.
"""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.models import ProtectedError
from django.test import Client

from changemgmt.accounts.models import OrgUnit, User
from changemgmt.approvals.chains import chain_shape
from changemgmt.approvals.models import Chain, Override, Round, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, ChangeRight, Template
from changemgmt.core.errors import DomainError, Invalid, NotPermitted, NotPossible
from changemgmt.lifecycle import cancel, configure_chain, edit, go_ahead, manage_people, reopen, submit, vote
from changemgmt.lifecycle.claim import reassign_seat
from changemgmt.lifecycle.reopen_review import rebase, reopen_expired
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.tests import estate
from changemgmt.tests.cast import PASSWORD, make_person

from .making import a_chain, a_level, a_seat
from .ways import Api, join, nothing_stored, say, seat_of, standing, stands_in, state

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite, pytest.mark.usefixtures("clock")]
DAY = timedelta(days=1)


def in_review(cast, now, **fields):
    return estate.in_review(cast, now, **fields)


# --- a requester approves by a request of their own making ---


def test_a_requester_who_makes_the_call_by_hand(cast, shop, now, way):
    change = in_review(cast, now)
    join(cast.rita, "approver", "security_lead", "change_manager", "administrator")
    with nothing_stored():
        assert way.vote(cast.rita, seat_of(change)) == 403
    with nothing_stored():
        assert way.vote(cast.rita, seat_of(change, "Security")) == 403
    for name in ("approve", "approve_with_conditions", "auto_approve"):
        with nothing_stored():
            assert way.do(cast.rita, change, name) == 404
    assert state(change) == "in_review"


def test_a_requester_named_by_somebody_else_and_who_named_them(cast, shop, now, way):
    join(cast.max, "approver"), make_person("pia", ("approver",)), make_person("pit", ("approver",))
    draft = estate.draft(cast, now)
    edit.edit_change(draft.number, {"requester": "petra"}, actor=cast.max, now=now, seen="*")
    submit.submit(draft.number, actor=cast.petra, now=now)
    for who in (cast.petra, cast.max):
        with nothing_stored():
            assert way.vote(who, seat_of(draft)) == 403


# --- a committer's second identity ---


def test_one_person_with_two_linked_accounts(cast, shop, now, way):
    second = make_person("rita.two", ("approver",))
    manage_people.link_identities(["rita", "rita.two"], actor=cast.ada, now=now)
    change = in_review(cast, now)
    with nothing_stored():
        assert way.vote(second, seat_of(change)) == 403


def test_accounts_that_are_linked_only_after_the_round_opened(cast, shop, now, way):
    second = make_person("ian.two", ("approver",))
    change = in_review(cast, now)
    manage_people.link_identities(["ian", "ian.two"], actor=cast.ada, now=now)
    with nothing_stored():
        assert way.vote(second, seat_of(change)) == 403


def test_two_accounts_with_one_verified_mail_address(cast, shop, now, way):
    second = make_person("rita.mail", ("approver",), email="Rita@Example.org", email_verified=False)
    second = manage_people.change_password(second, now=now, password=PASSWORD, by_mail=True)
    change = in_review(cast, now)
    with nothing_stored():
        assert way.vote(second, seat_of(change)) == 403


def test_edits_with_one_account_and_approves_with_the_other(cast, shop, now, way):
    second = make_person("paul.two", ("approver",))
    change = in_review(cast, now, owner="paul")
    edit.edit_change(change.number, {"description": "By Paul."}, actor=cast.paul, now=now, seen="*")
    manage_people.link_identities(["paul", "paul.two"], actor=cast.ada, now=now)
    with nothing_stored():
        assert way.vote(second, seat_of(change)) == 403


# --- the only approver is oneself ---


def alone(cast):
    for user in (cast.petra, cast.paul):
        user.groups.remove(Group.objects.get(name="approver"))
    join(cast.rita, "approver")


def test_the_requester_is_the_only_member_of_the_group(cast, shop, now, way):
    alone(cast)
    change = submit.submit(estate.draft(cast, now).number, actor=cast.rita, now=now)
    assert state(change) in ("submitted", "in_review")
    assert not Round.objects.filter(change=change).exclude(outcome="pending").exists()
    assert Event.objects.filter(change=change.number, action__in=["approval.no_approver", "approval.blocked"]).exists()
    for seat in Seat.objects.filter(level__round__change=change):
        with nothing_stored():
            assert way.vote(cast.rita, seat) == 403


def test_the_requester_is_left_as_the_only_one_while_it_is_asked(cast, shop, now, way):
    change = in_review(cast, now)
    alone(cast)
    with nothing_stored():
        assert way.vote(cast.rita, seat_of(change)) == 403
    assert way.vote(cast.petra, seat_of(change)) == 403
    assert state(change) == "in_review"


def test_a_group_without_anybody_passes_nothing(cast, shop, now):
    Group.objects.get(name="approver").user_set.clear()
    change = submit.submit(estate.draft(cast, now).number, actor=cast.rita, now=now)
    assert state(change) in ("submitted", "in_review") and not standing(change)
    assert Event.objects.filter(change=change.number, action__in=["approval.no_approver", "approval.blocked"]).exists()


# --- the rule is taken away ---


@pytest.mark.parametrize("alter", ["quorum", "level", "off", "group"])
def test_a_rule_that_is_loosened_while_a_change_waits(cast, shop, now, over_api, alter):
    change = in_review(cast, now)
    chain = Chain.objects.get(name="Test chain")
    shape = over_api.of(cast.ada).get(f"/api/v1/approval-chains/{chain.pk}/").json()
    levels = shape["levels"]
    changed = {
        "quorum": {"levels": [{**levels[0], "rule": {"kind": "any", "value": None}}, *levels[1:]]},
        "level": {"levels": levels[1:]},
        "off": {"active": False},
        "group": {"levels": [{**levels[0], "seats": [{"label": "Peer", "group": "viewer", "required": 1}]}, *levels[1:]]},
    }[alter]
    assert over_api.of(cast.ada).patch(f"/api/v1/approval-chains/{chain.pk}/", changed, format="json").status_code == 200
    with nothing_stored():
        assert over_api.post(cast.ada, f"approval-chains/{chain.pk}/activate/") == 403
    over_api.post(cast.otto, f"approval-chains/{chain.pk}/activate/")
    assert over_api.vote(cast.petra, seat_of(change)) == 200
    assert over_api.vote(cast.vera, seat_of(change)) == 403
    assert (state(change), seat_of(change).level.state) == ("in_review", "open")


def test_a_rule_written_by_the_requester_is_put_into_force_by_nobody_but_another(cast, shop, now, over_page):
    chain = Chain.objects.get(name="Test chain")
    configure_chain.save_chain(chain.pk, {"order": 2}, actor=cast.ada, now=now, partial=True)
    second = make_person("ada.two", ("administrator",), is_staff=True)
    manage_people.link_identities(["ada", "ada.two"], actor=cast.otto, now=now)
    for who in (User.objects.get(username="ada"), User.objects.get(pk=second.pk)):
        with pytest.raises(NotPermitted):
            configure_chain.activate_chain(chain.pk, actor=who, now=now)
        seen = {f"digest-{chain.pk}": chain_shape(chain)["digest"]}
        over_page.post(who, "/admin/changemgmt/chain/", {"action": "activate", "_selected_action": [chain.pk], "confirmed": "yes", **seen})
        assert Chain.objects.get(pk=chain.pk).version == chain.version


# --- content comes in from the side after approval ---


def upload():
    return SimpleUploadedFile("other.txt", b"something else")


SIDES = {
    "item": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/items/{item}/", {"data": {"name": "X"}}, format="json"),
    "new item": lambda client, number, item: client.post(
        f"/api/v1/changes/{number}/items/", {"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "A"}}, format="json"
    ),
    "item taken away": lambda client, number, item: client.delete(f"/api/v1/changes/{number}/items/{item}/"),
    "items of a file": lambda client, number, item: client.post(
        f"/api/v1/changes/{number}/items/import/",
        {
            "file": SimpleUploadedFile("i.csv", b"operation,object,key,name,type,layer\ncreate,component,new/one,One,Node,technology\n"),
            "format": "csv",
        },
        format="multipart",
    ),
    "attachment": lambda client, number, item: client.post(f"/api/v1/changes/{number}/attachments/", {"file": upload()}, format="multipart"),
    "link": lambda client, number, item: client.post(f"/api/v1/changes/{number}/links/", {"kind": "pull_request", "target": "PR-7"}, format="json"),
    "step": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/plan/steps/upgrade/", {"action": "rm -rf"}, format="json"),
    "way back": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/", {"rollback_plan": "Hope."}, format="json"),
    "target": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/", {"org_unit": "payments"}, format="json"),
    "window": lambda client, number, item: client.patch(
        f"/api/v1/changes/{number}/", {"requested_start": "2026-12-01T00:00:00Z", "requested_end": "2026-12-02T00:00:00Z"}, format="json"
    ),
    "who does it": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/", {"implementers": ["ian", "otto"]}, format="json"),
    "type with a weaker rule": lambda client, number, item: client.patch(f"/api/v1/changes/{number}/", {"type": "major"}, format="json"),
}


@pytest.mark.parametrize(("side", "moment"), [(side, ("voted", "approved")[place % 2]) for place, side in enumerate(SIDES)])
def test_content_that_comes_from_a_side_takes_the_votes_with_it_in_the_same_answer(cast, shop, now, api, side, moment):
    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now)
    if moment == "approved":
        say(seat_of(change, place=1), cast.paul, now)
        say(seat_of(change, "Security"), cast.sam, now)
        assert state(change) == "approved"
    item = change.items.order_by("pk").first().pk
    answer = SIDES[side](api(cast.rita, HTTP_IF_MATCH=f'"{estate.fresh(change).etag}"'), change.number, item)
    assert answer.status_code in (200, 201, 204), answer.content
    assert (state(change), standing(change)) == ("in_review", [])
    assert estate.fresh(change).version == 2


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("attachments/", {"file": None}),
        ("links/", {"kind": "incident", "target": "INC-1"}),
        ("items/{item}/remove/", {}),
    ],
)
def test_content_from_a_side_on_the_page(cast, shop, now, over_page, path, fields):
    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now)
    given = {name: upload() if value is None else value for name, value in fields.items()}
    where = f"/changes/{change.number}/{path.format(item=change.items.order_by('pk').last().pk)}"
    assert over_page.post(cast.rita, where, {"seen": estate.fresh(change).etag, **given}) == 200
    assert (state(change), standing(change)) == ("in_review", [])


def test_a_stranger_brings_nothing_in_from_any_side(cast, shop, now, api):
    change = estate.decide(in_review(cast, now), now)
    client = api(cast.olga, HTTP_IF_MATCH=f'"{change.etag}"')
    for side, act in SIDES.items():
        with nothing_stored():
            assert act(client, change.number, change.items.order_by("pk").first().pk).status_code == 403, side
    assert state(change) == "approved"


def test_an_architecture_that_moved_is_no_way_round_the_votes(cast, shop, now):
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation

    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now)
    grown = {"name": "Mobile", "type": "ApplicationComponent", "layer": "application"}
    apply_operations(
        [
            Operation("create", "component", "shop/mobile", None, None, None, grown),
            Operation("create", "relation", "shop/db>shop/mobile", "shop/db", "shop/mobile", "serving", {}),
        ],
        actor="ada",
        now=now,
        reason="grown",
    )
    rebase(change.number, now=now)
    assert standing(change) == [] and state(change) == "in_review"


def test_content_put_back_as_it_was_does_not_bring_the_votes_back(cast, shop, now):
    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now)
    for words in ("Else.", change.description):
        edit.edit_change(change.number, {"description": words}, actor=cast.rita, now=now, seen="*")
    assert standing(change) == [] and estate.fresh(change).version == 3


# --- before rules were there ---


def test_without_a_rule_it_is_blocked_and_nobody_decides(cast, shop, now, way):
    Chain.objects.update(in_force=None)
    change = submit.submit(estate.draft(cast, now).number, actor=cast.rita, now=now)
    assert state(change) == "submitted"
    assert Event.objects.filter(change=change.number, action="approval.blocked").exists()
    for name in ("approve", "schedule", "start"):
        assert way.do(cast.max, change, name, start="2026-11-21T00:00:00Z", end="2026-11-21T02:00:00Z") in (400, 403, 404, 409)
    assert state(change) == "submitted"


# --- one person counts once ---


def test_the_same_vote_twenty_times_is_one_vote(cast, shop, now, way):
    change = in_review(cast, now)
    seats = [seat_of(change, place=place % 2) for place in range(20)]
    assert {way.vote(cast.petra, seat) for seat in seats} == {200}
    assert standing(change) == ["petra"] and Event.objects.filter(action="vote.cast").count() == 1
    assert state(change) == "in_review" and seat_of(change).level.state == "open"


def test_somebody_in_two_groups_of_a_level_fills_one_seat(cast, seeded, now, way):
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer"), a_seat("stakeholder", "Owner"), name="Both"))
    join(cast.petra, "stakeholder")
    change = in_review(cast, now)
    assert way.vote(cast.petra, seat_of(change)) == 200
    assert way.vote(cast.petra, seat_of(change, "Owner")) == 200
    assert standing(change) == ["petra"] and state(change) == "in_review"


def test_two_accounts_of_one_approver_count_once(cast, shop, now, way):
    second = make_person("petra.two", ("approver",))
    manage_people.link_identities(["petra", "petra.two"], actor=cast.ada, now=now)
    change = in_review(cast, now)
    assert way.vote(cast.petra, seat_of(change)) == 200
    way.vote(second, seat_of(change, place=1))
    assert len(standing(change)) == 1 and seat_of(change).level.state == "open"


# --- a password that nobody checked ---


@pytest.fixture
def signed(cast, seeded, now):
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer"), require_signature=True, name="Signed"))
    Template.objects.create(slug="plain", name="Plain", type="normal")
    return in_review(cast, now, template="plain")


PASSWORDS = [None, "", "guess", " " + PASSWORD, PASSWORD.upper()]


def test_a_wrong_or_missing_password_signs_nothing(cast, signed, now, way):
    for password in PASSWORDS:
        said = {} if password is None else {"password": password}
        for comment in ("Said.", f"/approve {PASSWORD}", f"password: {PASSWORD}"):
            assert way.vote(cast.petra, seat_of(signed), comment=comment, **said) in (403, 429)
        assert standing(signed) == [] and state(signed) == "in_review"


def test_a_wrong_password_signs_nothing_together_nor_by_a_mail_link_nor_by_command(cast, signed, now, way, monkeypatch):
    from changemgmt.approvals.links import make_link

    if isinstance(way, Api):
        assert way.together(cast.petra, seat_of(signed), password="guess") in (400, 403)
        assert way.together(cast.petra, seat_of(signed)) in (400, 403)
    else:
        way.together(cast.petra, seat_of(signed), password="guess")
        link = make_link(seat_of(signed), cast.petra, "approve", now=now, expires_at=now + DAY)
        assert way.post(None, link, {"password": "guess"}) == 403
        assert way.post(None, link, {}) == 403
    assert standing(signed) == []
    from changemgmt.accounts.actions import make_token

    monkeypatch.setenv("COUNTERSIGN_TOKEN", make_token(cast.petra, days=1, scope="write", name="t", now=now)[1])
    with pytest.raises(SystemExit):
        call_command("change", "vote", signed.number, "--vote", "approve", "--digest", seat_of(signed).level.digest, stderr=StringIO())
    assert standing(signed) == []


def test_the_right_password_signs(cast, signed, now, way):
    assert way.vote(cast.petra, seat_of(signed), password=PASSWORD) == 200
    assert state(signed) == "approved"


# --- somebody with rights touches it ---


def test_somebody_with_rights_who_touches_a_change_has_not_approved_it(cast, shop, now, over_api):
    change = in_review(cast, now)
    join(cast.max, "approver", "security_lead")
    assert over_api.post(cast.max, f"changes/{change.number}/comments/", {"text": "/approve\napproved, LGTM"}) == 201
    assert over_api.post(cast.max, f"changes/{change.number}/watchers/", {"username": "max"}) in (200, 201, 204)
    for fields in ({"tags": ["approved"]}, {"owner": "selma"}, {"watchers": ["petra", "paul"]}):
        assert over_api.edit(cast.max, change, **fields) == 200
    assert standing(change) == [] and state(change) == "in_review"


# --- what is over comes back ---


def test_a_vote_does_not_bring_back_what_is_over(cast, shop, now, way):
    change = in_review(cast, now)
    seat = seat_of(change)
    cancel.cancel(change.number, actor=cast.rita, now=now, reason="No.", seen="*")
    for answer in ("approve", "reject", "abstain"):
        with nothing_stored():
            assert way.vote(cast.petra, seat, answer) == 409
    for name in ("start", "schedule", "complete", "provide_info", "revise"):
        parameters = {"schedule": {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T02:00:00Z"}, "provide_info": {"answer": "x"}}.get(name, {})
        assert way.do(cast.ian if name in ("start", "complete") else cast.rita, change, name, **parameters) in (403, 404, 409)
    assert state(change) == "cancelled"


def test_a_copy_of_what_was_rejected_needs_its_own_votes(cast, shop, now, way):
    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now, "reject")
    copy = reopen.reopen_as_new(change.number, actor=cast.rita, now=now, seen="*")
    assert copy.state == "draft" and not Vote.objects.filter(level__round__change=copy).exists()
    assert way.do(cast.ian, copy, "start") == 409


def test_taken_back_and_handed_in_again_it_is_asked_again(cast, shop, now):
    from changemgmt.lifecycle import revise

    change = estate.decide(in_review(cast, now), now)
    revise.revise(change.number, actor=cast.rita, now=now, seen="*")
    submit.submit(change.number, actor=cast.rita, now=now)
    assert state(change) == "in_review" and standing(change) == []


# --- it runs by itself once approved ---


def test_a_start_asks_for_the_approval_again_whatever_was_scheduled_before(cast, shop, now, way):
    change = estate.scheduled(cast, now, begins=now, ends=now + timedelta(hours=2))
    vote.withdraw_vote(seat_of(change).pk, actor=cast.petra, now=now, reason="I saw something.")
    with nothing_stored():
        assert way.do(cast.ian, change, "start") == 409
    assert state(change) == "in_review"


def test_who_may_not_start_it_does_not_start_it_however_it_was_armed(cast, shop, now, way):
    change = estate.scheduled(cast, now, begins=now, ends=now + timedelta(hours=2))
    for who in (cast.rita, cast.max, cast.petra, cast.ada, make_person("root", is_superuser=True)):
        with nothing_stored():
            assert way.do(who, change, "start") == 403


def test_an_approval_that_expired_starts_nothing_and_is_asked_for_again(cast, shop, now, way):
    change = estate.scheduled(cast, now, begins=now, ends=now + timedelta(hours=2))
    Change.objects.filter(pk=change.pk).update(approval_expires_at=now)
    with nothing_stored():
        assert way.do(cast.ian, change, "start") == 409
    reopen_expired(change.number, now=now)
    assert state(change) in ("in_review", "approved")


# --- denied, and it ran ---


def test_after_a_rejection_nothing_carries_it_out(cast, shop, now, way, monkeypatch):
    change = in_review(cast, now)
    say(seat_of(change), cast.petra, now, "reject")
    assert state(change) == "rejected"
    window = {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T02:00:00Z"}
    for name, who, parameters in (
        ("schedule", cast.max, window), ("start", cast.ian, {}), ("complete", cast.ian, {}), ("roll_back", cast.ian, {"reason": "x"}),
        ("close", cast.max, {"result": "successful"}), ("emergency_go_ahead", cast.eva, {"reason": "x"}), ("begin_review", cast.max, {}),
    ):  # fmt: skip
        assert way.do(who, change, name, **parameters) in (400, 403, 404, 409), name
    if isinstance(way, Api):
        assert way.post(cast.ian, f"changes/{change.number}/executions/") == 409
        assert not way.of(cast.ian).get(f"/api/v1/changes/{change.number}/gate/").json()["allowed"]
    from changemgmt.accounts.actions import make_token

    monkeypatch.setenv("COUNTERSIGN_TOKEN", make_token(cast.ian, days=1, scope="write", name="t", now=now)[1])
    with pytest.raises(SystemExit):
        call_command("change", "execute", change.number, stderr=StringIO())
    from changemgmt.orchestrator.tasks import sweep

    sweep()
    assert state(change) == "rejected" and not change.executions.exists()


# --- a colleague answers what was asked of somebody else ---


def test_a_vote_asked_of_one_person_is_not_given_by_a_colleague(cast, seeded, now, way):
    estate.build(now)
    a_chain(a_level({"label": "Petra herself", "user": "petra"}, name="Named"))
    change = in_review(cast, now)
    for who in (cast.paul, cast.selma, cast.max, cast.ada):
        with nothing_stored():
            assert way.vote(who, seat_of(change, "Petra herself")) == 403
    assert way.vote(cast.petra, seat_of(change, "Petra herself")) == 200


def test_a_vote_that_was_given_to_somebody_else_is_not_the_groups_any_more(cast, shop, now, way):
    change = in_review(cast, now)
    manager = join(cast.quinn, "change_manager")
    seat = reassign_seat(seat_of(change).pk, actor=manager, now=now, to="tina")
    answers = [way.vote(who, seat_of(change)) for who in (cast.petra, cast.paul)]
    assert set(answers) <= {200, 403}
    assert not Vote.objects.filter(seat=seat, superseded=False).exists()
    assert way.vote(cast.tina, seat_of(change)) == 200


# --- everybody approved, and it still waits ---


def test_with_the_last_vote_it_is_approved_in_the_same_answer(cast, shop, now, way):
    change = in_review(cast, now)
    for who, label, place in ((cast.petra, "Peer", 0), (cast.paul, "Peer", 1), (cast.sam, "Security", 0)):
        assert state(change) == "in_review"
        assert way.vote(who, seat_of(change, label, place)) == 200
    assert state(change) == "approved"
    if isinstance(way, Api):
        assert way.answer.json()["state"] == "approved"
    assert all(not queue_of(who, now) for who in (cast.petra, cast.paul, cast.sam))


# --- an approved change is updated by a stranger, or by a friend ---


def test_a_stranger_does_not_edit_an_approved_change_and_a_collaborator_takes_its_votes(cast, shop, now, over_api):
    change = estate.decide(in_review(cast, now), now)
    for who in (cast.olga, cast.petra, cast.vera, cast.ada, cast.ian):
        with nothing_stored():
            assert over_api.edit(who, change, description="Mine.") == 403
    assert over_api.edit(cast.max, change, description="His.") == 200
    assert (state(change), standing(change)) == ("in_review", [])
    with nothing_stored():
        assert over_api.do(cast.ian, change, "start") == 409


# --- the approver did not see what they approved ---


DIGESTS = [(None, (428,)), ("", (428,)), ("0" * 64, (412,)), ("not a digest", (412,))]


def test_a_vote_on_something_else_than_was_shown(cast, shop, now, way):
    change = in_review(cast, now)
    for digest, statuses in DIGESTS:
        with nothing_stored(denied=None):
            assert way.vote(cast.petra, seat_of(change), digest=digest) in statuses


def test_a_vote_on_what_was_shown_before_it_was_edited(cast, shop, now, way):
    change = in_review(cast, now)
    old = seat_of(change)
    edit.edit_change(change.number, {"description": "Else."}, actor=cast.rita, now=now, seen="*")
    with nothing_stored():
        assert way.vote(cast.petra, old, digest=old.level.digest) == 412
    new = seat_of(change)
    with nothing_stored():
        assert way.vote(cast.petra, new, digest=old.level.digest) == 412
    assert way.vote(cast.petra, new) == 200


def test_the_form_carries_the_digest_it_was_drawn_from(cast, shop, now, over_page):
    change = in_review(cast, now)
    seat = seat_of(change)
    assert seat.level.digest in over_page.of(cast.petra).get(f"/approvals/{seat.pk}/vote/").content.decode()


# --- page and API look at different things ---


def test_a_level_whose_turn_has_not_come_takes_no_vote(cast, shop, now, way):
    change = in_review(cast, now)
    with nothing_stored():
        assert way.vote(cast.sam, seat_of(change, "Security")) == 409
    say(seat_of(change), cast.petra, now)
    with nothing_stored():
        assert way.vote(cast.sam, seat_of(change, "Security")) == 409


def test_while_information_is_requested_nobody_votes(cast, shop, now, way):
    change = in_review(cast, now)
    vote.request_information(seat_of(change).pk, actor=cast.petra, now=now, question="Why?")
    for who in (cast.petra, cast.paul):
        with nothing_stored():
            assert way.vote(who, seat_of(change)) == 409


# --- votes are rows that anybody writes ---


METHODS = ["get", "put", "patch", "delete", "head", "options"]


def test_a_vote_is_only_posted(cast, shop, now, over_api):
    change = in_review(cast, now)
    for method in METHODS:
        say(seat_of(change), cast.petra, now)
        with nothing_stored(denied=None):
            assert getattr(over_api.of(cast.petra), method)(f"/api/v1/approvals/{seat_of(change).pk}/vote/").status_code == 405
        for path in ("votes/", f"votes/{Vote.objects.get().pk}/", f"approvals/{seat_of(change).pk}/", f"changes/{change.number}/votes/"):
            assert getattr(over_api.of(cast.ada), method)(f"/api/v1/{path}").status_code in (404, 405)


THE_SYSTEMS = ("user", "by", "person", "state", "level", "seat", "superseded", "version", "on_behalf_of", "at")


def test_a_field_that_is_not_theirs_is_refused_and_on_a_page_ignored(cast, shop, now, over_api, over_page):
    change = in_review(cast, now)
    for field in THE_SYSTEMS:
        with nothing_stored(denied=None):
            assert over_api.vote(cast.petra, seat_of(change), **{field: "paul"}) == 400, field
    assert over_page.vote(cast.petra, seat_of(change), **dict.fromkeys(THE_SYSTEMS, "paul")) == 200
    assert (standing(change), Vote.objects.get().on_behalf_of) == (["petra"], None)


# --- a superuser gets past in silence ---


def test_a_superuser_and_an_administrator_get_no_seat(cast, shop, now, way):
    change = in_review(cast, now)
    for who in (cast.ada, make_person("root", is_superuser=True, is_staff=True)):
        with nothing_stored():
            assert way.vote(who, seat_of(change)) == 403


def test_an_override_is_named_takes_two_and_stands_in_the_record(cast, shop, now, way):
    change = in_review(cast, now)
    base = f"changes/{change.number}/override/" if isinstance(way, Api) else f"/changes/{change.number}/override/"
    assert way.post(cast.ada, base, {"level": "Peers", "decision": "approve", "reason": ""}) == 409
    assert way.post(cast.ada, base, {"level": "Peers", "decision": "approve", "reason": "Nobody is there."}) in (200, 201)
    row = Override.objects.get()
    confirm = f"{base}{row.pk}/confirm/" if isinstance(way, Api) else f"{base}{row.pk}/"
    for who in (cast.ada, cast.rita, cast.petra, cast.vera, cast.aud):
        with nothing_stored():
            assert way.post(who, confirm) == 403
    assert way.post(cast.otto, confirm) == 200
    actions = list(Event.objects.filter(change=change.number, action__startswith="override.").order_by("pk").values_list("action", flat=True))
    assert actions == ["override.asked", "override.confirmed"]
    assert seat_of(change).level.state == "approved" and state(change) == "in_review"


# --- votes are removed afterwards ---


def test_a_decided_vote_is_neither_altered_nor_removed(cast, shop, now, way):
    change = estate.implementing(cast, now, begins=now, ends=now + timedelta(hours=2))
    seat, given = seat_of(change), Vote.objects.filter(level__round__change=change, by=cast.petra).get()
    with nothing_stored():
        assert way.vote(cast.petra, seat, "reject") == 409
    if isinstance(way, Api):
        with nothing_stored():
            assert way.post(cast.petra, f"approvals/{seat.pk}/withdraw/", {"reason": "x"}) == 409
    with pytest.raises(ProtectedError):
        cast.petra.delete()
    manage_people.deactivate("petra", actor=cast.ada, now=now)
    type(cast.petra).objects.filter(pk=cast.petra.pk).update(first_name="Gone")
    given.refresh_from_db()
    assert (given.printed_name, given.superseded) == ("Petra", False)


# --- a picture approves ---


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("headers", [{}, {"HTTP_PURPOSE": "prefetch"}, {"HTTP_SEC_PURPOSE": "prefetch"}, {"HTTP_HX_REQUEST": "true"}])
def test_looking_is_never_deciding(cast, shop, now, over_page, over_api, method, headers):
    from changemgmt.approvals.links import make_link

    change = in_review(cast, now)
    seat = seat_of(change)
    link = make_link(seat, cast.petra, "approve", now=now, expires_at=now + DAY)
    query = f"?vote=approve&read=on&digest={seat.level.digest}&comment=x&id={seat.pk}"
    votes = Vote.objects.count()
    for path in (
        f"/approvals/{seat.pk}/vote/",
        f"/approvals/{seat.pk}/reconfirm/",
        "/approvals/bulk/",
        link,
        f"/changes/{change.number}/do/approve/",
    ):
        assert getattr(over_page.of(cast.petra), method)(path + query, **headers).status_code in (200, 302, 404, 405)
    for path in (f"approvals/{seat.pk}/vote/", "approvals/bulk-vote/", f"approvals/{seat.pk}/reconfirm/"):
        assert getattr(over_api.of(cast.petra), method)(f"/api/v1/{path}{query}", **headers).status_code in (400, 405)
    assert Vote.objects.count() == votes and state(change) == "in_review"


# --- who it is stands in the message ---


def test_a_name_in_body_or_header_is_nobody(cast, shop, now, over_api, over_page):
    change = in_review(cast, now)
    seat = seat_of(change)
    headers = {
        "HTTP_X_USER": "petra",
        "HTTP_REMOTE_USER": "petra",
        "HTTP_X_FORWARDED_USER": "petra",
        "HTTP_X_REMOTE_USER": "petra",
        "HTTP_FROM": "petra@example.org",
    }
    body = {"vote": "approve", "digest": seat.level.digest, "read": "on"}
    for user in (cast.olga, cast.rita):
        with nothing_stored():
            assert (
                over_api.of(user)
                .post(f"/api/v1/approvals/{seat.pk}/vote/", {k: body[k] for k in ("vote", "digest")}, format="json", **headers)
                .status_code
                == 403
            )
        with nothing_stored():
            assert over_page.of(user).post(f"/approvals/{seat.pk}/vote/", {**body, "user": "petra"}, **headers).status_code == 403
    assert over_page.of(None).post(f"/approvals/{seat.pk}/vote/", body, **headers).status_code == 302
    assert standing(change) == []


# --- readers answer; forged forms answer ---


def test_readers_do_not_answer(cast, shop, now, way):
    change = in_review(cast, now)
    for who in (cast.vera, cast.aud):
        with nothing_stored():
            assert way.vote(who, seat_of(change)) == 403


def test_a_form_without_its_token_does_not_answer(cast, shop, now):
    from changemgmt.approvals.links import make_link

    change = in_review(cast, now)
    seat = seat_of(change)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.petra)
    fields = {"vote": "approve", "digest": seat.level.digest, "read": "on"}
    link = make_link(seat, cast.petra, "approve", now=now, expires_at=now + DAY)
    for path in (f"/approvals/{seat.pk}/vote/", "/approvals/bulk/", f"/approvals/{seat.pk}/reconfirm/", link):
        assert browser.post(path, {**fields, "id": [seat.pk], f"digest-{seat.pk}": seat.level.digest}).status_code == 403
    assert browser.post(f"/api/v1/approvals/{seat.pk}/vote/", '{"vote": "approve"}', content_type="application/json").status_code in (401, 403)
    assert browser.post(f"/api/v1/approvals/{seat.pk}/vote/", '{"vote": "approve"}', content_type="text/plain").status_code in (401, 403, 415)
    assert standing(change) == []


# --- programs approve ---


def test_a_program_is_no_voter_and_no_member_of_approvers(cast, shop, now, way):
    robot = make_person("robot", ("approver", "security_lead"), is_service=True)
    change = in_review(cast, now)
    with nothing_stored():
        assert way.vote(robot, seat_of(change)) == 403
    bare = make_person("robot.two", is_service=True)
    for role in ("approver", "cab_member", "ecab", "change_manager", "administrator"):
        with pytest.raises(DomainError):
            manage_people.grant_role(bare.username, role, actor=cast.ada, now=now)
    assert not bare.groups.exists()
    assert "robot" not in [person.username for person in seat_of(change).people.all()]


# --- rights that are left behind ---


def test_rights_go_with_the_change_they_were_for(cast, shop, now):
    draft = edit.create_change({"title": "A draft", "confidential": True, "watchers": ["olga"]}, actor=cast.rita, now=now)
    key = draft.pk
    assert ChangeRight.objects.filter(content_object_id=key).exists()
    Change.objects.get(pk=key).delete()
    assert not ChangeRight.objects.filter(content_object_id=key).exists()


def test_the_right_to_vote_ends_with_the_request(cast, shop, now):
    change = in_review(cast, now)
    votes = ChangeRight.objects.filter(content_object=change, permission__codename="vote_change")
    assert votes.exists()
    estate.decide(change, now)
    settle_rights(estate.fresh(change), now=now)
    assert not votes.exists()


# --- standing in ---


@pytest.mark.parametrize("part", ["rita", "ian"])
def test_who_stands_in_for_requester_or_implementer_gives_no_vote_for_them(cast, shop, now, way, part):
    join(getattr(cast, part), "approver")
    change = in_review(cast, now)
    stands_in(getattr(cast, part), cast.olga, now)
    with nothing_stored():
        assert way.vote(cast.olga, seat_of(change)) == 403


@pytest.mark.parametrize("part", ["rita", "ian"])
def test_requester_and_implementer_stand_in_for_nobody(cast, shop, now, way, part):
    change = in_review(cast, now)
    stands_in(cast.petra, getattr(cast, part), now)
    with nothing_stored():
        assert way.vote(getattr(cast, part), seat_of(change)) == 403


@pytest.mark.parametrize(
    "given",
    [
        {"ends": -timedelta(seconds=1)},
        {"starts": timedelta(seconds=1)},
        {"revoked": timedelta(0)},
        {"scope": ("type", "major")},
        {"scope": ("chain", "Another chain")},
    ],
)
def test_a_delegation_that_does_not_hold_gives_no_vote(cast, shop, now, way, given):
    change = in_review(cast, now)
    kind, value = given.get("scope", ("all", ""))
    row = {"starts_at": now + given.get("starts", -DAY), "ends_at": now + given.get("ends", DAY), "scope_kind": kind, "scope_value": value}
    stands_in(cast.petra, cast.olga, now, **row, revoked_at=now if "revoked" in given else None)
    with nothing_stored():
        assert way.vote(cast.olga, seat_of(change)) == 403


def test_a_delegation_over_two_people_and_one_made_for_this_change_after_it_was_seen(cast, shop, now, way):
    change = in_review(cast, now)
    stands_in(cast.petra, cast.stella, now)
    stands_in(cast.stella, cast.olga, now)
    stands_in(cast.paul, cast.arno, now, scope_kind="change", scope_value=change.number, created_at=now + timedelta(seconds=1))
    for who in (cast.olga, cast.arno):
        with nothing_stored():
            assert way.vote(who, seat_of(change)) == 403


def test_a_delegate_who_votes_for_themselves_too_counts_once(cast, shop, now, way):
    change = in_review(cast, now)
    stands_in(cast.paul, cast.petra, now)
    for place in (0, 1):
        way.vote(cast.petra, seat_of(change, place=place))
    assert standing(change) == ["petra"] and seat_of(change).level.state == "open"


# --- two roles ---


def test_somebody_in_the_board_and_owner_of_the_service_fills_one_seat(cast, seeded, now, way):
    estate.build(now)
    OrgUnit.objects.filter(slug="payments").update(head=cast.sam)
    a_chain(a_level(a_seat("security_lead", "Security"), {"label": "Head", "dynamic": "unit_head"}, name="Both", rule="all"))
    join(cast.quinn, "security_lead")
    change = in_review(cast, now, org_unit="payments")
    assert way.vote(cast.sam, seat_of(change, "Security")) == 200
    way.vote(cast.sam, seat_of(change, "Head"))
    assert standing(change) == ["sam"] and state(change) == "in_review"


# --- emergencies ---


def test_an_emergency_skips_only_what_it_may(cast, seeded, now, way):
    estate.build(now)
    join(cast.rita, "ecab")
    change = in_review(cast, now, type="emergency")
    with nothing_stored():
        assert way.do(cast.rita, change, "emergency_go_ahead", reason="It burns.") == 403
    assert way.do(cast.eva, change, "emergency_go_ahead", reason="It burns.") == 200
    after = estate.fresh(change)
    assert (after.state, after.retrospective) == ("scheduled", True)
    seat = seat_of(change, "ECAB member")
    assert seat.level.due_at is not None and seat.level.due_at <= now + timedelta(hours=48)
    for who in (cast.eva, cast.rita):
        with nothing_stored():
            assert way.vote(who, seat) == 403
    assert way.vote(cast.emil, seat) == 200


def test_an_emergency_is_not_closed_before_it_was_reviewed(cast, seeded, now, way):
    estate.build(now)
    change = in_review(cast, now, type="emergency")
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    assert way.do(cast.ian, change, "start") == 200
    estate.do_all_steps(change, cast, now)
    assert way.do(cast.ian, change, "complete") == 200
    body = {"result": "successful", "review": {"summary": "Fine."}} if isinstance(way, Api) else {"result": "successful", "summary": "Fine."}
    with nothing_stored():
        assert way.do(cast.max, change, "close", **body) == 409


# --- whatever is configured does something ---


@pytest.mark.parametrize(
    ("switch", "said", "on", "off"),
    [
        ("allow_conditions", {"conditions": [{"text": "Tell the desk"}]}, 200, 400),
        ("require_comment_on_reject", {"vote": "reject", "comment": ""}, 409, 200),
        ("require_signature", {}, 403, 200),
    ],
)
def test_each_switch_of_a_level_bites(cast, seeded, now, over_api, switch, said, on, off):
    estate.build(now)
    for value, status in ((True, on), (False, off)):
        Chain.objects.update(in_force=None)
        a_chain(a_level(a_seat("approver", "Peer"), name="Peers", **{switch: value}), name=f"{switch} {value}", order=1)
        assert over_api.vote(cast.petra, seat_of(in_review(cast, now)), **said) == status


# --- nothing but the error of the person who asked ---


def test_the_unlikely_errors_are_none_of_ours(cast, shop, now):
    with pytest.raises(NotPossible):
        configure_chain.remove_chain(Chain.objects.get(name="Test chain").pk, actor=cast.ada, now=now)
    with pytest.raises(Invalid):
        configure_chain.save_chain(None, {"name": ""}, actor=cast.ada, now=now)
