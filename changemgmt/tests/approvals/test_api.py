"""Approvals and chains over the API: thin, since the verbs decide."""

import pytest

from changemgmt.approvals.models import ActionItem, Chain, Vote
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Template
from changemgmt.tests.cast import make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def round(cast, seeded, now):
    return in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)


@pytest.fixture
def asked(round):
    """The path of the peer's seat and the digest shown with it."""
    seat = seat_of(round, "Peer")
    return f"{V1}approvals/{seat.pk}/", seat.level.digest


def test_the_queue_gives_seat_and_digest_and_the_vote_answers_the_level(api, cast, round):
    client = api(cast.petra)
    row = client.get(f"{V1}approvals/").json()["results"][0]
    assert (row["change"], row["level"], row["power"], row["changed_since_my_vote"]) == (round.change.number, "Peer review", "voter", False)
    answer = client.post(f"{V1}approvals/{row['id']}/vote/", {"digest": row["digest"], "vote": "approve"}, format="json")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["state"] == "approved"
    assert answer.json()["votes"][0]["by"] == "petra"
    assert client.get(f"{V1}approvals/").json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"vote": "approve"}, 428),
        ({"vote": "approve", "digest": "0" * 64}, 412),
        ({"vote": "perhaps", "digest": "x"}, 400),
        ({"vote": "approve", "digest": "x", "user": "rita"}, 400),
        ({"vote": "approve", "digest": "x", "state": "approved"}, 400),
        ({"vote": ["approve"], "digest": "x"}, 400),
        ({"vote": "approve", "digest": 5}, 400),
        ({"vote": "approve", "digest": "x", "conditions": "all"}, 400),
        ({"vote": "approve", "digest": "x", "conditions": [1]}, 400),
        ({"vote": "approve", "digest": "x", "comment": "a\u0000b"}, 400),
        ([], 400),
        ({}, 400),
    ],
)
def test_a_vote_that_can_not_be_taken_is_refused_with_its_status(api, cast, asked, body, status):
    answer = api(cast.petra).post(f"{asked[0]}vote/", body, format="json")
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert not Vote.objects.exists()


@pytest.mark.parametrize("who", ["rita", "ian", "vera", "olga", "ada", "aud", "max", "tina"])
def test_who_is_not_asked_gets_403_and_it_is_on_the_record(api, cast, asked, round, who):
    answer = api(getattr(cast, who)).post(f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve"}, format="json")
    assert answer.status_code == 403
    assert Change.objects.get(pk=round.change_id).state == "in_review"
    assert Event.objects.filter(action="access.denied").count() == 1


def test_without_credentials_it_is_401_and_with_a_seat_that_is_not_there_404(api, cast, asked):
    assert api().post(f"{asked[0]}vote/", {}, format="json").status_code == 401
    assert api(cast.petra).post(f"{V1}approvals/99999/vote/", {}, format="json").status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_a_vote_is_only_posted(api, cast, asked, method):
    assert getattr(api(cast.petra), method)(f"{asked[0]}vote/").status_code == 405


def test_a_condition_is_an_action_item_that_who_set_it_accepts(api, cast, round, asked):
    demand = {"text": "Show the backup", "due": "before_start", "evidence": "link", "owner": "ian"}
    answer = api(cast.petra).post(f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve", "conditions": [demand]}, format="json")
    assert answer.json()["state"] == "approved_with_conditions"
    there = f"{V1}changes/{round.change.number}/action-items/"
    item = api(cast.rita).get(there).json()["results"][0]
    assert (item["owner"], item["set_by"], item["state"]) == ("ian", "petra", "open")
    path = f"{there}{item['id']}/"
    assert api(cast.petra).post(f"{path}accept/", {}, format="json").status_code == 409
    assert api(cast.olga).post(f"{path}evidence/", {"kind": "link", "url": "https://x.test/"}, format="json").status_code == 403
    assert api(cast.ian).post(f"{path}evidence/", {"kind": "statement", "text": "done"}, format="json").status_code == 400
    assert api(cast.ian).post(f"{path}evidence/", {"kind": "link", "url": "javascript:alert(1)"}, format="json").status_code == 400
    given = api(cast.ian).post(f"{path}evidence/", {"kind": "link", "url": "https://x.test/backup"}, format="json")
    assert given.json()["state"] == "evidence_given", given.json()
    assert api(cast.ian).post(f"{path}accept/", {}, format="json").status_code == 403
    assert api(cast.petra).post(f"{path}accept/", {"comment": "seen"}, format="json").json()["state"] == "done"
    assert api(cast.petra).post(f"{path}waive/", {"reason": "x"}, format="json").status_code == 409
    assert Event.objects.filter(action="condition.accepted").count() == 1


def test_only_who_set_a_condition_waives_it_and_with_a_reason(api, cast, round, asked):
    api(cast.petra).post(f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve", "conditions": [{"text": "x"}]}, format="json")
    path = f"{V1}changes/{round.change.number}/action-items/{ActionItem.objects.get().pk}/waive/"
    assert api(cast.max).post(path, {"reason": "x"}, format="json").status_code == 403
    assert api(cast.petra).post(path, {}, format="json").status_code == 409
    assert api(cast.petra).post(path, {"reason": "not needed"}, format="json").json()["state"] == "waived"


def test_evidence_may_be_a_file(api, cast, round, asked):
    from django.core.files.uploadedfile import SimpleUploadedFile

    api(cast.petra).post(
        f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve", "conditions": [{"text": "x", "evidence": "file", "owner": "ian"}]}, format="json"
    )
    path = f"{V1}changes/{round.change.number}/action-items/{ActionItem.objects.get().pk}/evidence/"
    answer = api(cast.ian).post(path, {"kind": "file", "file": SimpleUploadedFile("proof.txt", b"it is so")}, format="multipart")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["evidence"][0]["name"] == "proof.txt"
    assert Change.objects.get(pk=round.change_id).attachments.get().evidence


def test_a_question_and_a_withdrawal(api, cast, round, asked):
    assert api(cast.petra).post(f"{asked[0]}request-information/", {}, format="json").status_code == 409
    assert api(cast.petra).post(f"{asked[0]}request-information/", {"question": "Why?"}, format="json").status_code == 200
    assert api(cast.petra).post(f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve"}, format="json").status_code == 409
    for body in ({"reason": "x"}, {"no such field": 1}):
        assert api(cast.petra).post(f"{asked[0]}withdraw/", body, format="json").status_code == 403


def test_the_approval_and_the_blockers_of_a_change(api, cast, round, django_assert_max_num_queries):
    with django_assert_max_num_queries(45):
        shape = api(cast.rita).get(f"{V1}changes/{round.change.number}/approval/").json()
    assert (shape["round"], shape["chain"], shape["chain_version"], shape["outcome"]) == (1, "Normal change", 1, "pending")
    assert shape["levels"][0]["seats"][0].keys() >= {"id", "label", "power", "people", "state", "digest"}
    blockers = api(cast.rita).get(f"{V1}changes/{round.change.number}/blockers/").json()
    assert blockers[0]["who_can_clear"] == ["paul", "petra"]
    assert blockers[0].keys() == {"what", "rule", "facts", "who_can_clear", "clears_at"}


def test_bulk_votes_answer_one_by_one_and_a_strange_id_refuses_all(api, cast, seeded, now):
    template = Template.objects.exclude(type="standard").first()
    seats = [seat_of(in_review(a_change(cast.rita, now, template=template), now), "Peer") for _ in range(2)]
    votes = [{"id": seat.pk, "digest": seat.level.digest} for seat in seats]
    assert (
        api(cast.petra)
        .post(f"{V1}approvals/bulk-vote/", {"votes": [*votes, {"id": 999, "digest": ""}], "vote": "approve"}, format="json")
        .status_code
        == 404
    )
    votes[1]["digest"] = "0" * 64
    answer = api(cast.petra).post(f"{V1}approvals/bulk-vote/", {"votes": votes, "vote": "approve", "comment": ""}, format="json")
    assert [one["ok"] for one in answer.json()] == [True, False]
    assert answer.json()[1]["problem"]["status"] == 412


def test_a_confidential_change_is_404_for_outsiders(api, cast, seeded, now):
    round = in_review(a_change(cast.rita, now, confidential=True), now)
    seat = seat_of(round, "Peer")
    assert api(cast.olga).post(f"{V1}approvals/{seat.pk}/vote/", {"digest": seat.level.digest, "vote": "approve"}, format="json").status_code == 404
    assert api(cast.olga).get(f"{V1}changes/{round.change.number}/approval/").status_code == 404
    assert api(cast.petra).get(f"{V1}approvals/").json()["results"]


# --- chains ---


def shape(**more):
    levels = [a_level(a_seat("approver", required=3), rule="count", value=2)]
    return {
        "name": "Two of three",
        "order": 5,
        "active": True,
        "applies_when": {"field": "type", "op": "eq", "value": "normal"},
        "levels": levels,
        **more,
    }


def test_a_chain_is_written_by_one_administrator_and_put_into_force_by_another(api, cast, seeded):
    made = api(cast.ada).post(f"{V1}approval-chains/", shape(), format="json")
    assert made.status_code == 201, made.json()
    assert (made.json()["active"], made.json()["pending"]) == (False, True)
    path = f"{V1}approval-chains/{made.json()['id']}/"
    assert api(cast.ada).post(f"{path}activate/", {}, format="json").status_code == 403
    answer = api(cast.otto).post(f"{path}activate/", {}, format="json").json()
    assert (answer["active"], answer["pending"], answer["version"]) == (True, False, 1)
    assert Event.objects.filter(action="chain.activated").count() == 1
    edited = api(cast.ada).patch(path, {"order": 6}, format="json").json()
    assert (edited["order"], edited["version"], edited["pending"]) == (6, 1, True)
    assert api(cast.ada).delete(path).status_code == 409


def test_an_activation_that_names_what_it_saw_is_refused_when_that_was_edited(api, cast, seeded):
    made = api(cast.ada).post(f"{V1}approval-chains/", shape(), format="json").json()
    path = f"{V1}approval-chains/{made['id']}/"
    api(cast.ada).patch(path, {"order": 6}, format="json")
    assert api(cast.otto).post(f"{path}activate/", {"digest": made["digest"]}, format="json").status_code == 412
    now_there = api(cast.otto).get(path).json()
    assert now_there["pending"] and now_there["version"] == 0
    assert api(cast.otto).post(f"{path}activate/", {"digest": now_there["digest"]}, format="json").json()["active"] is True


def test_nobody_who_wrote_at_a_version_puts_it_into_force(api, cast, seeded):
    path = f"{V1}approval-chains/{api(cast.ada).post(f'{V1}approval-chains/', shape(), format='json').json()['id']}/"
    assert api(cast.otto).patch(path, {"order": 6}, format="json").status_code == 200
    for author in (cast.ada, cast.otto):
        answer = api(author).post(f"{path}activate/", {}, format="json")
        assert answer.status_code == 403 and "You wrote at this version" in answer.json()["detail"]
    assert api(make_person("third", ("administrator",))).post(f"{path}activate/", {}, format="json").status_code == 200
    api(cast.ada).patch(path, {"order": 7}, format="json")
    api(cast.otto).patch(path, {"order": 6}, format="json")  # set back to what is in force: what was written before is gone
    api(cast.otto).patch(path, {"order": 8}, format="json")
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").status_code == 403
    assert api(cast.ada).post(f"{path}activate/", {}, format="json").json()["order"] == 8


@pytest.mark.parametrize("given", [{}, {"active": False}])
def test_the_first_activation_makes_a_chain_active_and_a_later_one_can_switch_it_off(api, cast, seeded, given):
    made = api(cast.ada).post(
        f"{V1}approval-chains/", {**{name: value for name, value in shape().items() if name != "active"}, **given}, format="json"
    )
    path = f"{V1}approval-chains/{made.json()['id']}/"
    assert (made.json()["active"], made.json()["pending"]) == (False, True)
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").json()["active"]
    assert api(cast.ada).patch(path, {"active": False}, format="json").json()["active"]
    assert not api(cast.otto).post(f"{path}activate/", {}, format="json").json()["active"]


def test_an_edit_of_a_chain_does_not_touch_changes_in_flight(api, cast, round, asked):
    chain = Chain.objects.get(name="Normal change")
    path = f"{V1}approval-chains/{chain.pk}/"
    levels = api(cast.ada).get(path).json()["levels"]
    assert api(cast.ada).patch(path, {"levels": levels[1:]}, format="json").status_code == 200
    api(cast.otto).post(f"{path}activate/", {}, format="json")
    answer = api(cast.petra).post(f"{asked[0]}vote/", {"digest": asked[1], "vote": "approve"}, format="json")
    assert answer.status_code == 200
    assert Change.objects.get(pk=round.change_id).state == "in_review"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"levels": []}, "levels"),
        ({"applies_when": {"field": "colour", "op": "eq", "value": 1}}, "applies_when.field"),
        ({"levels": [a_level(a_seat("approver"), rule="count", value=3)]}, "levels[0].rule.value"),
        ({"levels": [a_level(a_seat("approver", power="advisory"))]}, "levels[0].rule"),
        ({"levels": [a_level(a_seat("no such group"))]}, "levels[0].seats[0].group"),
        ({"levels": [a_level({"label": "x", "dynamic": "astrologer"})]}, "levels[0].seats[0].dynamic"),
        ({"levels": [a_level({"label": "x"})]}, "levels[0].seats[0]"),
        ({"levels": [a_level(a_seat("approver"), watches=["weather"])]}, "levels[0].watches"),
        ({"levels": [a_level(a_seat("approver"), rule="percent", value=101)]}, "levels[0].rule.value"),
        ({"levels": ["x"]}, "levels[0]"),
        ({"colour": 1}, "colour"),
        ({"valid_from": "tomorrow"}, "valid_from"),
        ({"valid_from": "2026-01-02T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"}, "valid_to"),
    ],
)
def test_a_chain_that_can_not_be_is_refused_at_the_field(api, cast, seeded, change, field):
    answer = api(cast.ada).post(f"{V1}approval-chains/", shape(**change), format="json")
    assert answer.status_code == 400
    assert field in answer.json()["errors"], answer.json()


def test_only_administrators_write_chains(api, cast, seeded):
    assert api(cast.rita).get(f"{V1}approval-chains/").status_code == 403
    assert api(cast.max).post(f"{V1}approval-chains/", shape(), format="json").status_code == 403
    assert api(cast.max).get(f"{V1}approval-chains/").status_code == 200


def test_the_seeded_chains_are_there_in_order_and_seeding_again_changes_nothing(cast, seeded, now):
    from changemgmt.approvals.chains import check, draft_of
    from changemgmt.approvals.seed import seed

    names = ["Emergency change", "Major change", "High priority change", "Normal change"]
    assert list(Chain.objects.values_list("name", "version")) == [(name, 1) for name in names]
    assert [check(draft_of(chain)) for chain in Chain.objects.all()] == [[], [], [], []]
    Chain.objects.filter(name="Normal change").update(order=77)
    seed(now=now)
    assert Chain.objects.get(name="Normal change").order == 77


@pytest.mark.parametrize(
    ("fields", "chain", "levels"),
    [
        ({"type": "emergency"}, "Emergency change", ["ECAB"]),
        ({"priority": "critical"}, "Emergency change", ["ECAB"]),
        ({"type": "major", "priority": "high"}, "Major change", ["CAB", "Senior management"]),
        ({"priority": "high"}, "High priority change", ["Architecture review", "Stakeholders", "CAB"]),
        ({"risk_level": "low"}, "Normal change", ["Peer review", "Change Manager"]),
        ({"risk_level": "very_high", "priority": "low"}, "Normal change", ["Peer review", "CAB"]),
    ],
)
def test_the_seeded_chains_apply_as_the_page_says(cast, seeded, now, fields, chain, levels):
    round = in_review(a_change(cast.rita, now, **fields), now)
    assert round.chain == chain
    assert list(round.levels.exclude(state="skipped").values_list("name", flat=True)) == levels


def test_an_additive_chain_runs_side_by_side(cast, seeded, now):
    a_chain(
        a_level(a_seat("security_lead"), name="Audit"),
        name="SOX",
        additive=True,
        applies_when={"field": "compliance_scope", "op": "contains", "value": "sox"},
    )
    round = in_review(a_change(cast.rita, now, compliance_scope=["sox"]), now)
    assert dict(round.levels.exclude(state="skipped").values_list("name", "state")) == {
        "Peer review": "open",
        "Audit": "open",
        "Change Manager": "waiting",
    }
    assert round.chain == "Normal change + SOX"
