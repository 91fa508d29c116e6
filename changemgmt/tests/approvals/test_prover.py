"""The prover: each kind of broken chain is found at its field, a near variant of it is not, and sound chains are left in peace."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from changemgmt.accounts.models import Identity, OrgUnit, Team, User
from changemgmt.approvals.chains import draft_of
from changemgmt.approvals.models import Chain
from changemgmt.approvals.prover import prove, prove_all, prove_stored
from changemgmt.architecture.models import Component, ComponentType
from changemgmt.changes.models import CustomField
from changemgmt.core.time import rfc3339

from ..cast import make_person
from .making import a_level, a_seat, activate_chain

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]
PATH = "/api/v1/approval-chains/"
RISKS = ["low", "medium", "high", "very_high"]


def asks(field, value, op="eq"):
    return {"field": field, "op": op, "value": value}


LOW = asks("risk_level", "low")
NORMAL = asks("type", "normal")


def a_draft(*levels, **more):
    return {"name": "Draft", "order": 35, "applies_when": NORMAL, "levels": list(levels) or [good_level()], **more}


def good_level(**more):
    return a_level(a_seat("ecab"), rule="any", **more)


def found(data, now, **more):
    return {(finding.kind, finding.path, finding.severity) for finding in prove(data, now=now, **more)}


def of_kind(kind, data, now, **more):
    return sorted((path, severity) for name, path, severity in found(data, now, **more) if name == kind)


def dynamic(value, **more):
    return {"label": "Found", "dynamic": value, **more}


def named(user, label="", **more):
    return {"label": label or user, "user": user, **more}


# --- no false alarm ---


def test_the_seeded_chains_are_left_in_peace(seeded, now):
    for chain in Chain.objects.all():
        assert prove_stored(chain, now=now) == [], chain.name


def test_the_seeded_chains_of_a_file_are_left_in_peace(seeded, now):
    assert prove_all([draft_of(chain) for chain in Chain.objects.all()], now=now) == []


def test_a_chain_beside_the_seeded_ones_that_shadows_nothing_is_left_in_peace(seeded, now):
    assert found(a_draft(good_level(), applies_when=asks("tags", "pci")), now) == set()


# --- conditions ---


@pytest.mark.parametrize(
    ("kind", "broken", "near", "path"),
    [
        ("contradiction", {"all": [LOW, asks("risk_level", "high")]}, {"any": [LOW, asks("risk_level", "high")]}, ""),
        ("contradiction", asks("affected_count", 0, "lt"), asks("affected_count", 0, "lte"), ""),
        ("contradiction", {"all": [asks("users", 5, "gt"), asks("users", 6, "lt")]}, {"all": [asks("users", 5, "gt"), asks("users", 7, "lt")]}, ""),
        ("contradiction", {"all": [NORMAL, {"all": [LOW, {"not": LOW}]}]}, {"all": [NORMAL, {"any": [LOW, asks("users", 3)]}]}, ".all[1]"),
        ("tautology", {"any": [LOW, {"not": LOW}]}, {"any": [LOW, {"not": asks("risk_level", "high")}]}, ""),
        ("tautology", asks("risk_level", RISKS, "in"), asks("risk_level", RISKS[1:], "in"), ""),
        ("tautology", asks("risk_score", 0, "gte"), asks("risk_score", 0, "gt"), ""),
        ("tautology", {"any": [asks("template", "x"), asks("template", "x", "ne")]}, asks("template", "x", "ne"), ""),
    ],
)
def test_conditions_that_hold_never_or_always_are_errors(seeded, now, kind, broken, near, path):
    chain = a_draft(good_level(), a_level(a_seat("ecab"), rule="any", name="Second", number=2, applies_when=broken))
    places = of_kind(kind, chain, now)
    assert places == [(f"levels[1].applies_when{path}", "error")]
    chain["levels"][1]["applies_when"] = near
    assert of_kind("contradiction", chain, now) == of_kind("tautology", chain, now) == []


def test_a_part_that_tells_nothing_is_a_warning_at_its_place(seeded, now):
    dead = {"any": [NORMAL, {"all": [LOW, asks("risk_level", "high")]}]}
    assert of_kind("contradiction", a_draft(applies_when=dead), now) == [("applies_when.any[1]", "warning")]
    idle = {"all": [NORMAL, asks("risk_level", RISKS, "in")]}
    assert of_kind("tautology", a_draft(applies_when=idle), now) == [("applies_when.all[1]", "warning")]
    assert of_kind("tautology", a_draft(applies_when={"all": [NORMAL, {}]}), now) == []


def test_a_value_that_does_not_exist_is_a_warning(seeded, now):
    assert of_kind("unknown_value", a_draft(applies_when=asks("org_unit", "paymnets", "within")), now) == [("applies_when.value", "warning")]
    assert of_kind("unknown_value", a_draft(applies_when=asks("org_unit", "payments", "within")), now) == []


# --- an end on every path ---


def test_levels_that_never_open_where_the_chain_applies_leave_it_without_an_end(seeded, now):
    chain = a_draft(good_level(applies_when=asks("type", "major")))
    assert of_kind("no_end", chain, now) == [("levels", "error")]
    chain["levels"][0]["applies_when"] = NORMAL
    assert of_kind("no_end", chain, now) == []


def test_changes_for_which_no_level_is_left_are_found_with_an_example(seeded, now):
    chain = a_draft(good_level(applies_when=LOW), good_level(name="High", applies_when=asks("risk_level", "high", "gte")))
    words = next(finding.message for finding in prove(chain, now=now) if finding.kind == "no_level_left")
    assert "Risk level medium" in words
    assert of_kind("no_level_left", chain, now) == [("levels", "error")]
    chain["levels"][1]["applies_when"] = {"not": LOW}
    assert of_kind("no_level_left", chain, now) == []


def test_a_chain_whose_gap_earlier_chains_take_has_no_gap(seeded, now):
    chain = a_draft(good_level(applies_when=asks("priority", ["low", "medium"], "in")))
    assert of_kind("no_level_left", chain, now) == []  # high and critical are taken by the seeded chains
    assert of_kind("no_level_left", {**chain, "order": 1}, now) == [("levels", "error")]


def test_a_level_whose_condition_excludes_that_of_the_chain_is_unreachable(seeded, now):
    chain = a_draft(good_level(), good_level(name="Major only", number=2, applies_when=asks("type", "major")))
    assert of_kind("unreachable_level", chain, now) == [("levels[1].applies_when", "error")]
    chain["levels"][1]["applies_when"] = asks("type", ["major", "normal"], "in")
    assert of_kind("unreachable_level", chain, now) == []


def test_a_level_that_only_opens_for_changes_of_an_earlier_chain_is_a_warning(seeded, now):
    chain = a_draft(good_level(), good_level(name="Critical", number=2, applies_when=asks("priority", "critical")))
    assert of_kind("unreachable_level", chain, now) == [("levels[1].applies_when", "warning")]
    assert of_kind("unreachable_level", {**chain, "order": 5}, now) == []


def test_a_level_behind_one_that_can_not_pass_never_opens(seeded, now):
    Group.objects.create(name="night_shift")
    chain = a_draft(a_level(a_seat("night_shift"), applies_when=LOW), good_level(name="Next", number=2))
    assert of_kind("unreachable_level", chain, now) == []  # it opens where the risk is not low
    chain["levels"][1]["applies_when"] = {"all": [LOW, asks("users", 5, "gt")]}
    assert of_kind("unreachable_level", chain, now) == [("levels[1].number", "warning")]
    chain["levels"][1]["number"] = 1
    assert of_kind("unreachable_level", chain, now) == []


# --- among the others ---


def test_a_chain_that_an_earlier_one_hides_is_never_used(seeded, now):
    narrow = a_draft(applies_when={"all": [asks("type", "major"), LOW]})
    assert of_kind("shadowed", narrow, now) == [("order", "warning")]
    assert of_kind("shadowed", {**narrow, "order": 15}, now) == []
    assert of_kind("shadowed", {**narrow, "additive": True}, now) == []


def test_a_chain_that_several_earlier_ones_hide_together_is_never_used(seeded, now):
    both = a_draft(applies_when={"any": [asks("type", "major"), asks("priority", "high")]})
    assert of_kind("shadowed", both, now) == [("order", "warning")]
    Chain.objects.filter(name="Major change").update(in_force=None)
    assert of_kind("shadowed", both, now) == []


def test_a_chain_that_hides_a_later_one_is_told(seeded, now):
    assert of_kind("shadows", a_draft(order=5, applies_when={}), now) == [("order", "warning")]
    assert of_kind("shadows", a_draft(order=5), now) == []


def test_two_chains_of_one_order_that_overlap_are_told(seeded, now):
    assert of_kind("same_order", a_draft(order=40), now) == [("order", "warning")]
    assert of_kind("same_order", a_draft(order=20), now) == []  # type major excludes type normal
    assert of_kind("same_order", a_draft(order=41), now) == []


def test_an_additive_chain_alone_is_never_used(seeded, now):
    chain = a_draft(additive=True)
    assert of_kind("additive_alone", chain, now) == []
    Chain.objects.filter(name__in=("Normal change", "High priority change", "Emergency change")).update(in_force=None)
    assert of_kind("additive_alone", chain, now) == [("additive", "warning")]


# --- dates and clocks ---


def test_validity_that_is_over_or_inside_out_is_an_error(seeded, now):
    past = a_draft(valid_from="2026-01-01T00:00:00Z", valid_to="2026-02-01T00:00:00Z")
    assert of_kind("expired", past, now) == [("valid_to", "error")]
    assert of_kind("expired", {**past, "valid_to": rfc3339(now + timedelta(days=1))}, now) == []
    assert of_kind("dates", {**past, "valid_from": "2026-03-01T00:00:00Z"}, now) == [("valid_to", "error")]


def test_silence_approves_at_low_risk_only(seeded, now):
    chain = a_draft(good_level(on_timeout="approve"))
    assert of_kind("silent_consent", chain, now) == [("levels[0].on_timeout", "error")]
    chain["levels"] = [good_level(on_timeout="approve", applies_when=LOW), good_level(name="Others", applies_when={"not": LOW})]
    assert of_kind("silent_consent", chain, now) == []
    assert of_kind("silent_consent", a_draft(good_level(on_timeout="approve"), applies_when={"all": [NORMAL, LOW]}), now) == []


@pytest.mark.parametrize(("reminders", "wrong"), [([50, 75, 90], False), ([], False), ([90, 50], True), ([50, 50], True)])
def test_reminders_stand_in_rising_order(seeded, now, reminders, wrong):
    assert bool(of_kind("reminders_order", a_draft(good_level(reminders=reminders)), now)) is wrong


@pytest.mark.parametrize(("expires", "wrong"), [(None, False), (24, False), (23, True)])
def test_an_approval_that_expires_before_it_may_be_decided_is_told(seeded, now, expires, wrong):
    chain = a_draft(good_level(sla_hours=24, expires_hours=expires))
    assert of_kind("expires_early", chain, now) == ([("levels[0].expires_hours", "warning")] if wrong else [])


# --- rules and powers ---


@pytest.mark.parametrize(
    ("rule", "value", "seats", "kind", "path"),
    [
        ("count", 1, ({}, {}), "one_is_enough", "rule.value"),
        ("count", 2, ({}, {}), "", ""),
        ("percent", 50, ({}, {}), "one_is_enough", "rule.value"),
        ("percent", 51, ({}, {}), "", ""),
        ("weight", 5, ({"weight": 5}, {}), "one_is_enough", "rule.value"),
        ("weight", 6, ({"weight": 5}, {}), "", ""),
        ("any", None, ({"power": "veto"}, {"power": "veto"}), "vetoes_outnumber", "rule.kind"),
        ("any", None, ({"power": "veto"}, {}), "", ""),
        ("all", None, ({"weight": 2}, {}), "weights_unused", "seats[0].weight"),
        ("percent", 60, ({"power": "deciding"}, {"power": "deciding"}), "several_deciding", "seats[1].power"),
        ("percent", 60, ({"power": "deciding"}, {}), "", ""),
    ],
)
def test_values_and_powers_without_effect_are_warnings(seeded, now, rule, value, seats, kind, path):
    asked = [a_seat(group, **more) for group, more in zip(("technical_lead", "security_lead"), seats, strict=True)]
    got = found(a_draft(a_level(*asked, rule=rule, value=value)), now)
    assert got == ({(kind, f"levels[0].{path}", "warning")} if kind else set())


def test_a_value_no_seats_can_reach_and_a_level_of_advice_only_are_errors(seeded, now):
    assert of_kind("quorum", a_draft(a_level(a_seat("ecab"), rule="count", value=2)), now) == [("levels[0].rule.value", "error")]
    assert of_kind("quorum", a_draft(a_level(a_seat("ecab", required=2), rule="count", value=2)), now) == []
    assert of_kind("advisory_only", a_draft(a_level(a_seat("ecab", power="advisory"))), now) == [("levels[0].rule", "error")]
    assert of_kind("advisory_only", a_draft(a_level(a_seat("ecab"), a_seat("architect", power="advisory"))), now) == []


def test_a_value_is_measured_by_the_seats_that_open_as_far_as_that_is_known(seeded, now):
    one = a_level(dynamic("requester_manager"), a_seat("ecab"), rule="count", value=3)
    assert of_kind("quorum", a_draft(one), now) == [("levels[0].rule.value", "error")]
    assert of_kind("quorum", a_draft({**one, "rule": {"kind": "count", "value": 2}}), now) == []
    many = a_level(dynamic("service_owner"), a_seat("ecab"), rule="count", value=3)
    assert of_kind("quorum", a_draft(many), now) == []  # there may be many owners


def test_advice_of_those_who_vote_anyway_is_told(seeded, now):
    twice = a_level(a_seat("ecab"), a_seat("ecab", "Advice", power="advisory"))
    assert of_kind("advice_twice", a_draft(twice), now) == [("levels[0].seats[1].power", "warning")]
    assert of_kind("advice_twice", a_draft(a_level(a_seat("ecab"), a_seat("architect", power="advisory"))), now) == []


# --- people ---


def test_a_group_without_anybody_who_could_vote_is_found(seeded, cast, now):
    empty = Group.objects.create(name="night_shift")
    chain = a_draft(a_level(a_seat("night_shift"), a_seat("ecab")))
    assert of_kind("empty_group", chain, now) == [("levels[0].seats[0].group", "error")]
    make_person("bot", ("night_shift",), is_service=True)
    make_person("gone", ("night_shift",), is_active=False)
    make_person("visitor", ("night_shift",), is_guest=True)
    assert of_kind("empty_group", chain, now) == [("levels[0].seats[0].group", "error")]
    chain["levels"][0]["allow_guests"] = True
    assert of_kind("empty_group", chain, now) == []
    chain["levels"][0]["allow_guests"] = False
    cast.olga.groups.add(empty)
    assert of_kind("empty_group", chain, now) == []


def test_an_empty_group_that_nothing_depends_on_is_a_warning(seeded, now):
    Group.objects.create(name="night_shift")
    chain = a_draft(a_level(a_seat("ecab"), a_seat("night_shift"), rule="any"))
    assert of_kind("empty_group", chain, now) == [("levels[0].seats[1].group", "warning")]
    chain["levels"][0]["seats"][1]["power"] = "veto"
    assert of_kind("empty_group", chain, now) == [("levels[0].seats[1].group", "error")]


def test_a_named_person_who_can_never_vote_is_found(seeded, cast, now):
    chain = a_draft(a_level(named("olga")))
    assert found(chain, now) == set()
    User.objects.filter(username="olga").update(is_active=False)
    assert of_kind("person_unable", chain, now) == [("levels[0].seats[0].user", "error")]
    User.objects.filter(username="olga").update(is_active=True, is_guest=True)
    assert of_kind("person_unable", chain, now) == [("levels[0].seats[0].user", "error")]
    chain["levels"][0]["allow_guests"] = True
    assert of_kind("person_unable", chain, now) == []


def test_one_person_needed_on_two_seats_is_found(seeded, cast, now):
    chain = a_draft(a_level(named("olga"), named("olga", "Again")))
    assert of_kind("person_twice", chain, now) == [("levels[0].seats[1].user", "error")]
    chain["levels"][0]["seats"][1] = named("vera")
    assert found(chain, now) == set()


def test_two_accounts_of_one_human_being_are_one_person(seeded, cast, now):
    chain = a_draft(a_level(named("olga"), named("vera")))
    one = Identity.objects.create(name="Olga")
    User.objects.filter(username__in=("olga", "vera")).update(identity=one)
    assert of_kind("person_twice", chain, now) == [("levels[0].seats[1].user", "error")]


def test_groups_that_share_their_people_are_matched(seeded, cast, now):
    chain = a_draft(a_level(a_seat("technical_lead"), a_seat("security_lead"), named("tina")))
    assert [severity for _, severity in of_kind("person_twice", chain, now)] == ["error"]
    cast.olga.groups.add(Group.objects.get(name="technical_lead"))
    assert of_kind("person_twice", chain, now) == []


def test_a_group_smaller_than_what_is_asked_of_it_is_found(seeded, cast, now):
    chain = a_draft(a_level(a_seat("ecab", required=3)))
    assert of_kind("quorum", chain, now) == [("levels[0].seats[0].required", "error")]
    chain["levels"][0]["rule"] = {"kind": "count", "value": 2}
    assert of_kind("quorum", chain, now) == [("levels[0].seats[0].required", "warning")]
    chain["levels"][0]["seats"][0]["required"] = 2
    assert of_kind("quorum", chain, now) == []


def test_a_quorum_that_fails_without_a_requester_is_a_warning(seeded, cast, now):
    chain = a_draft(a_level(a_seat("approver", required=2)))  # petra and paul, who both can request
    assert of_kind("quorum_without", chain, now) == [("levels[0].seats[0].group", "warning")]
    assert of_kind("quorum_without", a_draft(a_level(a_seat("approver"))), now) == []
    assert of_kind("quorum_without", a_draft(a_level(a_seat("ecab", required=2))), now) == []


def test_a_quorum_that_fails_without_a_requester_and_an_implementer_is_a_warning(seeded, cast, now):
    chain = a_draft(a_level(a_seat("approver")))
    cast.paul.groups.add(Group.objects.get(name="implementer"))
    words = next(finding.message for finding in prove(chain, now=now) if finding.kind == "quorum_without")
    assert "paul and petra" in words
    cast.olga.groups.add(Group.objects.get(name="approver"))
    assert of_kind("quorum_without", chain, now) == []


def test_a_quorum_that_fails_for_every_requester_is_an_error(seeded, cast, now):
    chain = a_draft(a_level(a_seat("approver", required=2)))
    cast.rita.groups.clear()
    assert of_kind("quorum_without", chain, now) == [("levels[0].seats[0].group", "error")]


# --- seats that the change decides on ---


def test_a_circle_of_managers_is_found(seeded, cast, now):
    chain = a_draft(a_level(dynamic("manager:3")))
    cast.selma.manager, cast.rita.manager = cast.max, cast.petra
    cast.petra.manager = cast.rita
    for user in (cast.selma, cast.rita, cast.petra):
        user.save()
    assert ("levels[0].seats[0].dynamic", "error") in of_kind("manager_circle", chain, now)
    cast.petra.manager = cast.paul
    cast.petra.save()
    User.objects.filter(username="max").update(manager=cast.olga)
    User.objects.filter(username="olga").update(manager=None)
    assert of_kind("manager_circle", chain, now) == []


def test_requesters_without_a_manager_that_high_are_counted(seeded, cast, now):
    assert found(a_draft(a_level(dynamic("requester_manager"))), now) == set()
    assert of_kind("manager_missing", a_draft(a_level(dynamic("manager:2"))), now) == [("levels[0].seats[0].dynamic", "error")]
    User.objects.filter(username="rita").update(manager=None)
    assert of_kind("manager_missing", a_draft(a_level(dynamic("requester_manager"))), now) == [("levels[0].seats[0].dynamic", "warning")]


def test_org_units_without_a_head_above_them_are_counted_and_circles_are_found(seeded, cast, now):
    chain = a_draft(a_level(dynamic("unit_head")))
    assert found(chain, now) == set()
    OrgUnit.objects.create(slug="lost", name="Lost")
    assert of_kind("unit_headless", chain, now) == [("levels[0].seats[0].dynamic", "warning")]
    OrgUnit.objects.filter(slug="lost").delete()
    company, payments = OrgUnit.objects.get(slug="company"), OrgUnit.objects.get(slug="payments")
    OrgUnit.objects.filter(pk=company.pk).update(parent=payments)
    assert of_kind("unit_circle", chain, now) == [("levels[0].seats[0].dynamic", "error")]


def test_components_without_an_owner_are_counted(seeded, cast, now):
    kind = ComponentType.objects.filter(is_service=False).first()
    common = {"type": kind, "layer": kind.layer, "criticality": 5}
    chain = a_draft(a_level(dynamic("component_owners:4"), a_seat("ecab")))
    Component.objects.create(key="a", name="A", owner="olga", **common)
    assert found(chain, now) == set()
    Component.objects.create(key="b", name="B", owner="", **common)
    Component.objects.create(key="c", name="C", owner="nobody", **{**common, "criticality": 3})
    assert "1 of 2 components" in next(finding.message for finding in prove(chain, now=now) if finding.kind == "owners_missing")
    assert of_kind("owners_missing", a_draft(a_level(dynamic("service_owner"), a_seat("ecab"))), now) == []


def test_a_level_of_owners_only_that_opens_without_any_is_a_warning(seeded, now):
    level = a_level(dynamic("component_owners:4"))
    chain = a_draft(level)
    assert of_kind("may_open_no_seat", chain, now) == [("levels[0].applies_when", "warning")]
    level["applies_when"] = asks("max_criticality", 4, "gte")
    chain["levels"].append(good_level(name="Others", number=2))
    assert of_kind("may_open_no_seat", chain, now) == []


def test_on_call_of_a_team_is_asked_of_its_people(seeded, cast, now):
    assert of_kind("shape", a_draft(a_level(dynamic("on_call:nowhere"))), now) == [("levels[0].seats[0].dynamic", "error")]
    team = Team.objects.create(slug="night", name="Night")
    chain = a_draft(a_level(dynamic("on_call:night")))
    assert of_kind("empty_team", chain, now) == [("levels[0].seats[0].dynamic", "error")]
    team.members.add(cast.olga)
    assert found(chain, now) == set()


# --- the doors ---


def test_the_check_of_the_api_answers_path_message_severity_and_kind(api, cast, seeded):
    draft = a_draft(good_level(applies_when=LOW))
    answer = api(cast.ada).post(f"{PATH}check/", draft, format="json")
    assert answer.status_code == 200
    assert [(one["path"], one["severity"], one["kind"]) for one in answer.json()] == [("levels", "error", "no_level_left")]
    assert set(answer.json()[0]) == {"path", "message", "severity", "kind"}
    assert api(cast.ada).post(f"{PATH}check/", a_draft(), format="json").json() == []
    assert api(cast.ada).post(f"{PATH}check/", [1], format="json").json()[0]["kind"] == "shape"
    assert api(cast.max).post(f"{PATH}check/", draft, format="json").status_code == 403


def test_activation_is_refused_with_the_errors_and_not_for_warnings(api, cast, seeded):
    made = api(cast.ada).post(PATH, a_draft(good_level(applies_when=LOW)), format="json")
    assert made.status_code == 201 and [one["kind"] for one in made.json()["findings"]] == ["no_level_left"]
    path = f"{PATH}{made.json()['id']}/"
    assert api(cast.ada).post(f"{path}check/", {}, format="json").json() == made.json()["findings"]
    refused = api(cast.otto).post(f"{path}activate/", {}, format="json")
    assert refused.status_code == 400 and "levels" in refused.json()["errors"]
    assert Chain.objects.get(name="Draft").in_force is None
    mended = api(cast.ada).patch(path, {"levels": [good_level(reminders=[90, 50])]}, format="json")
    assert [one["severity"] for one in mended.json()["findings"]] == ["warning"]
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").status_code == 200


def test_a_chain_that_broke_meanwhile_can_still_be_switched_off(api, cast, seeded):
    group = Group.objects.create(name="night_shift")
    cast.olga.groups.add(group)
    made = api(cast.ada).post(PATH, a_draft(a_level(a_seat("night_shift"))), format="json").json()
    path = f"{PATH}{made['id']}/"
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").status_code == 200
    cast.olga.groups.clear()
    api(cast.ada).patch(path, {"order": 36}, format="json")
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").status_code == 400
    api(cast.ada).patch(path, {"active": False}, format="json")
    answer = api(cast.otto).post(f"{path}activate/", {}, format="json")
    assert (answer.status_code, answer.json()["active"]) == (200, False)


def test_a_chain_that_names_what_is_gone_can_still_be_switched_off(api, cast, seeded):
    field = CustomField.objects.create(name="region", label="Region")
    made = api(cast.ada).post(PATH, a_draft(applies_when=asks("custom.region", "eu")), format="json").json()
    path = f"{PATH}{made['id']}/"
    assert api(cast.otto).post(f"{path}activate/", {}, format="json").status_code == 200
    field.delete()
    assert api(cast.ada).patch(path, {"order": 36}, format="json").status_code == 400
    assert api(cast.ada).patch(path, {"active": 0}, format="json").status_code == 400
    assert api(cast.ada).patch(path, {"active": False}, format="json").status_code == 200
    answer = api(cast.otto).post(f"{path}activate/", {}, format="json")
    assert (answer.status_code, answer.json()["active"]) == (200, False)


def test_one_administrator_alone_does_not_get_around_the_prover(api, cast, seeded, settings):
    settings.CHAINS_NEED_SECOND_ADMINISTRATOR = False
    broken = api(cast.ada).post(PATH, a_draft(good_level(applies_when=LOW)), format="json").json()
    assert (broken["active"], broken["pending"]) == (False, True)
    sound = api(cast.ada).post(PATH, a_draft(name="Sound", active=True), format="json").json()
    assert (sound["active"], sound["pending"], sound["findings"]) == (True, False, [])


def test_the_command_says_the_same(cast, seeded, tmp_path):
    file = tmp_path / "chains.json"
    file.write_text(json.dumps([a_draft(good_level(applies_when=LOW))]))
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("chains", "check", str(file), "--json", stdout=out)
    assert [(one["chain"], one["path"], one["severity"], one["kind"]) for one in json.loads(out.getvalue())] == [
        ("Draft", "levels", "error", "no_level_left")
    ]
    file.write_text(json.dumps(a_draft(good_level(reminders=[90, 50]))))
    out = StringIO()
    call_command("chains", "check", str(file), stdout=out)
    assert "Draft: levels[0].reminders: warning:" in out.getvalue()
    out = StringIO()
    call_command("chains", "check", stdout=out)
    assert out.getvalue() == "No mistakes.\n"


def test_an_import_tells_what_the_prover_finds_and_stays_a_draft(cast, seeded, tmp_path):
    file = tmp_path / "chains.json"
    file.write_text(json.dumps(a_draft(good_level(applies_when=LOW))))
    out = StringIO()
    call_command("chains", "import", str(file), "--as", "ada", stdout=out)
    assert "Draft: levels: error:" in out.getvalue()
    assert Chain.objects.get(name="Draft").in_force is None


def test_a_chain_is_proven_in_few_queries(seeded, now, django_assert_max_num_queries):
    for number in range(5):
        activate_chain(a_draft(name=f"More {number}", order=100 + number))
    levels = [good_level(name=f"Level {number}", number=number) for number in range(1, 7)]
    with django_assert_max_num_queries(40):
        prove(a_draft(*levels), now=now)
