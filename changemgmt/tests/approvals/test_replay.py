"""Replay: what a draft chain would have meant for past changes, by rule and on the real log. Nothing is stored."""

import json
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from changemgmt.approvals import routes
from changemgmt.approvals.models import Chain, Round
from changemgmt.approvals.replay import draft_to_replay, period_of, replay
from changemgmt.approvals.routes import Route, hours_given, moves_of, replaced, route_of, votes_asked
from changemgmt.architecture.models import Component
from changemgmt.changes.facts import facts_of, facts_of_all
from changemgmt.changes.models import Change, Template
from changemgmt.conditions.facts import FIELDS, Facts
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle.import_changes import import_changes

from .making import a_chain, a_change, a_level, a_seat, in_review

pytestmark = pytest.mark.needs_sqlite

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAYS = {"from": "2026-11-01", "to": "2026-11-30"}
SENT = "/api/v1/approval-chains/replay/"
LOW = {"field": "risk_level", "op": "eq", "value": "low"}


def chain(name="A", *levels, order=1, **more):
    whole = {"id": order, "name": name, "order": order, "active": True, "additive": False, "valid_from": None, "valid_to": None, "applies_when": {}}
    return {**whole, "levels": list(levels), **more}


def level(number, name, hours, *seats, when=None):
    return {"number": number, "name": name, "sla_hours": hours, "applies_when": when or {}, "seats": list(seats) or [{"group": "x", "required": 1}]}


# --- the pure part ---


def test_a_route_adds_up_levels_that_wait_for_one_another_and_takes_the_longest_of_those_side_by_side():
    levels = [level(1, "A", 24), level(1, "B", 72), level(2, "C", 8), level(2, "D", 4)]
    assert hours_given(levels) == 80
    assert hours_given([]) == 0


def test_a_slot_that_needs_three_of_a_group_asks_three_and_one_found_by_the_change_asks_one():
    assert votes_asked([level(1, "A", 1, {"group": "x", "required": 3}, {"dynamic": "unit_head", "required": 1}), level(2, "B", 1)]) == 5


def test_a_route_is_what_a_submission_would_take():
    chains = [
        chain("Two", level(2, "Late", 10), level(1, "First", 5), level(3, "Never", 5, when=LOW), order=2),
        chain("Other", level(1, "Other", 5), order=3),
        chain("More", level(1, "Extra", 7), order=9, additive=True),
        chain("Not for this", level(1, "No", 5), order=1, applies_when=LOW),
    ]
    found = route_of(chains, Facts(risk_level="high"), now=NOW)
    assert found == Route("chain", ("Two", "More"), ("First", "Extra", "Late"), 3, 17)


def test_a_change_that_no_chain_of_its_own_takes_or_no_level_of_it_is_blocked():
    assert route_of([], Facts(), now=NOW) == Route("blocked")
    assert route_of([chain("More", level(1, "A", 1), additive=True)], Facts(), now=NOW) == Route("blocked")
    assert route_of([chain("A", level(1, "A", 1, when=LOW))], Facts(), now=NOW) == Route("blocked", ("A",))


def test_chains_that_are_off_or_out_of_their_dates_take_nothing():
    off = chain("Off", level(1, "A", 1), active=False)
    gone = chain("Gone", level(1, "A", 1), valid_to=NOW)
    assert route_of([off, gone], Facts(), now=NOW) == Route("blocked")


def test_a_draft_takes_the_place_of_the_chain_with_its_id_or_name_whatever_its_dates():
    one, two = chain("A", order=1), chain("B", order=2)
    draft = {**chain("B renamed", order=2), "valid_from": "2030-01-01T00:00:00Z", "valid_to": "2031-01-01T00:00:00Z"}
    assert [(each["name"], each["valid_from"], each["valid_to"]) for each in replaced([one, two], draft)] == [
        ("A", None, None),
        ("B renamed", None, None),
    ]
    nameless = {name: value for name, value in chain("A", order=7).items() if name != "id"}
    assert [(each["name"], each["order"]) for each in replaced([one, two], nameless)] == [("B", 2), ("A", 7)]


def test_a_draft_that_is_off_takes_a_chain_out_and_one_that_never_was_in_force_is_taken_as_on():
    one, off = chain("A"), chain("A", active=False)
    assert [each["active"] for each in replaced([one], off)] == [False]
    assert [each["active"] for each in replaced([chain("B", order=2)], off)] == [True, True]
    assert [each["active"] for each in replaced([off], off)] == [True]


def test_moves_are_added_up_those_that_move_first_and_the_most_frequent_first():
    a, b, c = Route("chain", ("A",)), Route("chain", ("B",)), Route("blocked")
    pairs = [(a, a, "open"), (a, a, "open"), (a, a, "open"), (a, b, "failed"), (a, c, "open"), (a, c, "failed")]
    found = moves_of(pairs)
    assert [(move.before, move.after, move.moved, move.changes, dict(move.outcomes)) for move in found] == [
        (a, c, True, 2, {"open": 1, "failed": 1}),
        (a, b, True, 1, {"failed": 1}),
        (a, a, False, 3, {"open": 3}),
    ]


def test_the_attributes_asked_are_those_of_chains_and_levels():
    asked = routes.fields_asked([chain("A", level(1, "A", 1, when={"not": LOW}), applies_when={"any": [{"field": "type", "op": "is_set"}, {}]})])
    assert asked == {"risk_level", "type"}
    assert routes.fields_asked([]) == set()


@pytest.mark.parametrize(
    ("first", "last", "wrong"),
    [
        ("2026-13-01", "2026-12-01", {"from"}), ("2026-11-01", "soon", {"to"}), ("", "", {"from", "to"}), (None, 5, {"from", "to"}),
        ("20261101", "2026-11-02", {"from"}), ("2026-11-01T00:00:00Z", "2026-11-02", {"from"}), ("2026-11-02", "2026-11-01", {"to"}),
        ("2026-W47-1", "2026-11-30", {"from"}), ("٢٠٢٦-١١-٠١", "2026-11-30", {"from"}),
    ],
)  # fmt: skip
def test_days_that_are_none_or_the_wrong_way_round_are_refused_at_their_place(first, last, wrong):
    with pytest.raises(Invalid) as refused:
        period_of(first, last)
    assert refused.value.errors.keys() == wrong


def test_a_period_reaches_from_the_first_moment_of_its_first_day_to_the_last_of_its_last():
    period = period_of("0001-01-01", "9999-12-31")
    assert period.begins() == datetime(1, 1, 1, tzinfo=UTC) and period.ends().date().year == 9999
    assert period_of("2026-11-01", "2026-11-01").ends() - period_of("2026-11-01", "2026-11-01").begins() > timedelta(hours=23, minutes=59)


# --- on changes ---


@pytest.fixture
def past(cast, seeded, now):
    """Three submitted changes: of low and of high risk, and a confidential one."""
    return [
        a_change(cast.rita, now, title="Small"),
        a_change(cast.rita, now, risk_level="high", title="Large"),
        a_change(cast.petra, now, risk_level="high", title="Secret", confidential=True),
    ]


def stricter():
    """The normal chain with an architecture review for high risk, as a draft."""
    draft = draft_to_replay(Chain.objects.get(name="Normal change"))
    review = a_level(a_seat("architect"), name="Architecture review", number=1, applies_when={"not": LOW}, sla_hours=30)
    return {**draft, "levels": [*draft["levels"], review]}


@pytest.mark.django_db
def test_what_would_move_stands_in_a_table_with_votes_hours_and_outcomes(cast, past, now):
    Change.objects.filter(title="Large").update(result="failed")
    found = replay(stricter(), period_of(*DAYS.values()), now=now, viewer=cast.rita)
    assert (found["changes"], found["moved"], found["not_shown"]) == (3, 2, 1)
    moved = found["moves"][0]
    assert moved["before"]["words"] == "Normal change: Peer review → CAB"
    assert moved["after"]["words"] == "Normal change: Peer review → Architecture review → CAB"
    assert (moved["changes"], moved["more_votes"], moved["more_hours"], moved["outcomes"]) == (2, 2, 12, {"failed": 1, "open": 1})
    stays = found["moves"][1]
    assert not stays["moved"] and stays["before"]["words"] == "Normal change: Peer review → Change Manager" and stays["changes"] == 1
    assert found["totals"]["votes"] == {"before": 18, "after": 20, "more": 2}
    assert found["totals"]["hours"] == {"before": 48 + 96 * 2, "after": 48 + 102 * 2, "more": 12}
    assert found["totals"]["outcomes"] == {"failed": 1, "open": 1}
    assert [row["title"] for row in found["list"]] == ["Large"]


@pytest.mark.django_db
def test_confidential_changes_count_and_are_named_only_to_those_who_may_see_them(api, cast, past, now):
    draft = {name: value for name, value in stricter().items() if name not in ("id",)}
    answer = api(cast.ada).post(SENT, {"chain": draft, **DAYS}, format="json")
    assert answer.json()["moved"] == 2 and answer.json()["not_shown"] == 1
    assert b"Secret" not in answer.content and past[2].number.encode() not in answer.content
    seen = replay(stricter(), period_of(*DAYS.values()), now=now, viewer=cast.aud)
    assert seen["not_shown"] == 0 and {row["title"] for row in seen["list"]} == {"Large", "Secret"}
    nobody = replay(stricter(), period_of(*DAYS.values()), now=now, viewer=None)
    assert nobody["not_shown"] == 1


@pytest.mark.django_db
def test_only_what_was_submitted_in_the_time_counts(cast, past, now):
    Change.objects.filter(title="Small").update(submitted_at=now - timedelta(days=40))
    Change.objects.create(number="CHG-2026-77777", title="Draft", requester=cast.rita, created_at=now, updated_at=now)
    assert replay(stricter(), period_of(*DAYS.values()), now=now, viewer=None)["changes"] == 2
    assert replay(stricter(), period_of("2026-10-01", "2026-10-31"), now=now, viewer=None)["changes"] == 1
    assert replay(stricter(), period_of("2020-01-01", "2020-01-31"), now=now, viewer=None)["moves"] == []


@pytest.mark.django_db
def test_what_its_template_approved_stays_automatic_whatever_the_draft(cast, past, now):
    template = Template.objects.first()
    Change.objects.filter(title="Large").update(template=template, decided_at=now, state="approved", type="standard")
    found = replay(stricter(), period_of(*DAYS.values()), now=now, viewer=cast.ada)
    assert {"approved by its template"} == {move["before"]["words"] for move in found["moves"] if move["before"]["kind"] == "automatic"}
    assert found["moved"] == 1
    in_review(Change.objects.get(title="Secret"), now)
    Change.objects.filter(title="Secret").update(template=template, decided_at=now)
    again = replay(stricter(), period_of(*DAYS.values()), now=now, viewer=cast.ada)
    assert again["moved"] == 1, "a change that people were asked about was not automatic"


@pytest.mark.django_db
def test_a_draft_that_takes_everything_away_is_seen_to_block(cast, past, now):
    off = {**draft_to_replay(Chain.objects.get(name="Normal change")), "active": False}
    found = replay(off, period_of(*DAYS.values()), now=now, viewer=cast.ada)
    assert {move["after"]["words"] for move in found["moves"]} == {"blocked: no chain applies"} and found["moved"] == 3
    assert found["notes"][-1] == "The draft is switched off: this is how it would be without the chain."
    fresh = a_chain(a_level(a_seat("architect"), applies_when=LOW), name="New", order=1)
    Chain.objects.filter(pk=fresh.pk).update(in_force=None, active=False)
    found = replay(draft_to_replay(Chain.objects.get(name="New")), period_of(*DAYS.values()), now=now, viewer=cast.ada)
    assert "The draft is taken as switched on." in found["notes"]
    assert {move["after"]["words"] for move in found["moves"]} == {"New: Level", "blocked: no level of New opens"}


@pytest.mark.django_db
def test_the_list_is_cut_and_goes_on(api, cast, past, now):
    draft = {name: value for name, value in stricter().items() if name != "id"}
    Change.objects.update(confidential=False)
    first = api(cast.ada).post(SENT, {"chain": draft, **DAYS, "limit": 1}, format="json").json()
    second = api(cast.ada).post(SENT, {"chain": draft, **DAYS, "limit": 1, "offset": first["next_offset"]}, format="json").json()
    assert len(first["list"]) == len(second["list"]) == 1 and second["next_offset"] is None
    assert {first["list"][0]["title"], second["list"][0]["title"]} == {"Large", "Secret"}


@pytest.mark.django_db
def test_the_same_number_of_queries_for_one_change_and_for_many(cast, past, now, django_assert_num_queries):
    draft = stricter()
    replay(draft, period_of(*DAYS.values()), now=now, viewer=cast.ada)
    for _ in range(10):
        a_change(cast.petra, now, risk_level="high", no_items_reason="x")
    with django_assert_num_queries(9):
        replay(draft, period_of(*DAYS.values()), now=now, viewer=cast.ada)


# --- the doors ---


@pytest.mark.django_db
def test_the_stored_configuration_of_a_chain_is_replayed_not_what_is_in_force(api, cast, past):
    stored = Chain.objects.get(name="Normal change")
    level = stored.levels.get(name="CAB")
    level.sla_hours += 10
    level.save()
    found = api(cast.ada).post(f"/api/v1/approval-chains/{stored.pk}/replay/", DAYS, format="json").json()
    assert found["totals"]["hours"]["more"] == 20 and found["from"] == DAYS["from"] and found["to"] == DAYS["to"]
    assert not Round.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["max", "aud", "rita", "vera"])
def test_only_administrators_replay(api, cast, seeded, who):
    stored = Chain.objects.get(name="Normal change")
    assert api(getattr(cast, who)).post(f"/api/v1/approval-chains/{stored.pk}/replay/", DAYS, format="json").status_code == 403
    assert api(getattr(cast, who)).post(SENT, {}, format="json").status_code == 403
    assert api().post(SENT, {}, format="json").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "from"), ({"from": "2026-11-01"}, "to"), ({"from": "x", "to": "2026-11-01"}, "from"), ({"from": 5, "to": "2026-11-01"}, "from"),
        ({**DAYS, "to": "2026-10-01"}, "to"), ({**DAYS, "limit": 501}, "limit"), ({**DAYS, "limit": -1}, "limit"), ({**DAYS, "offset": "x"}, "offset"),
        ({**DAYS, "months": 3}, "months"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_at_its_field(api, cast, seeded, body, field):
    stored = Chain.objects.get(name="Normal change")
    answer = api(cast.ada).post(f"/api/v1/approval-chains/{stored.pk}/replay/", body, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("chain", "field"),
    [
        (None, "chain"), ("x", "chain"), ({}, "chain.name"), ({"name": "X", "levels": []}, "chain.levels"),
        ({"name": "X", "levels": [a_level(a_seat("nobody"))]}, "chain.levels[0].seats[0].group"),
        ({"name": "X", "levels": [a_level(a_seat("ecab"))], "applies_when": {"field": "colour", "op": "eq", "value": 1}}, "chain.applies_when.field"),
    ],
)  # fmt: skip
def test_a_chain_with_mistakes_is_refused_at_each_of_them(api, cast, seeded, chain, field):
    answer = api(cast.ada).post(SENT, {"chain": chain, **DAYS}, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]


@pytest.mark.django_db
def test_a_chain_that_is_sent_with_the_least_it_needs_is_replayed(api, cast, past):
    least = {"name": "New", "order": 1, "levels": [{"number": 1, "name": "One", "rule": {"kind": "any"}, "seats": [{"label": "E", "group": "ecab"}]}]}
    found = api(cast.ada).post(SENT, {"chain": least, **DAYS}, format="json").json()
    assert {move["after"]["words"] for move in found["moves"]} == {"New: One"} and found["moves"][0]["after"]["hours"] == 48
    assert not Chain.objects.filter(name="New").exists()


@pytest.mark.django_db
def test_the_page_in_the_admin_shows_the_table_and_names_what_is_wrong(client, cast, past, django_assert_max_num_queries):
    stored = Chain.objects.get(name="Normal change")
    stored.levels.filter(name="CAB").update(sla_hours=100)
    client.force_login(cast.ada)
    address = f"/admin/changemgmt/chain/{stored.pk}/replay/"
    assert address in client.get(f"/admin/changemgmt/chain/{stored.pk}/change/").content.decode()
    assert 'type="date"' in client.get(address).content.decode()
    with django_assert_max_num_queries(35):
        page = client.get(address, DAYS).content.decode()
    assert "Peer review → CAB" in page and "Large" in page and "Secret" not in page and "counted and not named" in page
    assert "It lies before the beginning." in client.get(address, {**DAYS, "to": "2020-01-01"}).content.decode()
    assert "Give a date" in client.get(address, {"from": "<b>"}).content.decode()
    for wrong in ("0", "999999", "x"):
        assert client.get(f"/admin/changemgmt/chain/{wrong}/replay/", DAYS).status_code == 404
    for name in ("max", "aud"):
        client.force_login(getattr(cast, name))
        assert client.get(address).status_code in (302, 403)


@pytest.mark.django_db
def test_the_command_says_the_same(cast, past, capsys, tmp_path):
    file = tmp_path / "chain.json"
    file.write_text(json.dumps({name: value for name, value in stricter().items() if name != "id"}))
    days = ["--from", DAYS["from"], "--to", DAYS["to"]]
    call_command("chains", "replay", "--file", str(file), *days)
    said = capsys.readouterr().out
    assert "2 would take another way" in said and "Votes asked: 18 → 20 (+2)" in said and "Large" in said and "Secret" not in said
    call_command("chains", "replay", "--file", str(file), *days, "--as", "aud", "--json")
    assert json.loads(capsys.readouterr().out)["not_shown"] == 0
    call_command("chains", "replay", "Normal change", *days)
    assert "0 would take another way" in capsys.readouterr().out
    wrong = ([], ["Normal change", "--file", str(file)], ["No such chain"], ["Normal change", "--as", "nobody"])
    for arguments in wrong:
        with pytest.raises(CommandError):
            call_command("chains", "replay", *arguments, *days)
    with pytest.raises(CommandError, match="to: It lies before"):
        call_command("chains", "replay", "Normal change", "--from", "2026-11-02", "--to", "2026-11-01")


# --- the real log ---


@pytest.mark.django_db
def test_the_imported_log_is_replayed_within_a_second_in_nine_queries(cast, seeded, django_assert_num_queries):
    call_command("architecture", "import", str(settings.BASE_DIR / "data" / "cmdb-osg"), "--format", "csv", "--source", "cmdb-osg", verbosity=0)
    import_changes(settings.BASE_DIR / "data" / "change-log-osg", now=NOW)
    outage = {"field": "impact", "op": "in", "value": ["high", "very_high"]}
    draft = {**draft_to_replay(Chain.objects.get(name="High priority change")), "applies_when": outage}
    period = period_of("2010-01-01", "2026-11-20")
    begun = perf_counter()
    with django_assert_num_queries(9):
        found = replay(draft, period, now=NOW, viewer=cast.ada)
    assert perf_counter() - begun < 5, "0.3 s when measured alone"
    assert (found["changes"], found["moved"], len(found["list"]), found["next_offset"]) == (1360, 676, 100, 100)
    assert found["moves"][0]["before"]["words"] == "Normal change: Peer review → CAB" and found["moves"][0]["more_votes"] == 676
    assert found["moves"][0]["outcomes"] == {"cancelled": 21, "unknown": 655}
    assert found["unknown"]["changes"] == 1360 and found["unknown"]["asked"] == ["risk_level"]
    assert "such a test does not hold" in found["unknown"]["words"] and not set(found["unknown"]["attributes"]) - set(FIELDS)


@pytest.mark.django_db
def test_facts_read_for_many_changes_are_those_read_for_one(archisurance, cast, now):
    keys = list(Component.objects.order_by("key").values_list("key", flat=True)[:4])
    for number, key in enumerate(keys):
        change = a_change(cast.rita, now, org_unit=cast.rita.org_unit, tags=[key], cost_estimate=number, custom_fields={"n": number})
        change.items.create(operation="update", object="component", key=key, data={"name": "x"})
        change.items.create(operation="create", object="component", key=f"new-{number}", layer="Application", data={"type": "Node", "criticality": 5})
        change.items.create(operation="create", object="relation", key=f"r{number}", source=keys[0], target=keys[-1], relation_type="flow")
    a_change(cast.petra, now)
    many = {change.pk: facts for change, facts in facts_of_all(Change.objects.all())}
    assert len(many) == 5
    for change in Change.objects.all():
        assert many[change.pk] == facts_of(change)
