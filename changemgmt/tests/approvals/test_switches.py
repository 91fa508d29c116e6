"""Every switch of the approval policy bites, in each of its positions. A switch that stands in no test here fails the build."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from changemgmt.accounts.models import Delegation
from changemgmt.approvals.chain_check import LEVEL, SEAT, SWITCHES
from changemgmt.approvals.models import ActionItem, Chain, Level, RoundLevel, Seat, Slot, Vote
from changemgmt.architecture.models import Component, ComponentType, Layer
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, CustomField, TypePolicy
from changemgmt.core.errors import DomainError, Invalid, NotFound, NotPermitted, OutOfDate, Throttled, UnmetGuard
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.claim import claim_seat
from changemgmt.lifecycle.close import may_close
from changemgmt.lifecycle.configure_chain import activate_chain, save_chain
from changemgmt.lifecycle.expire import expire_condition
from changemgmt.lifecycle.go_ahead import emergency_go_ahead, reviews_due
from changemgmt.lifecycle.invite_guest import invite_guest
from changemgmt.lifecycle.reopen_review import reopen_expired
from changemgmt.lifecycle.submit import may_submit
from changemgmt.lifecycle.time_out import remind, time_out
from changemgmt.lifecycle.vote import cast_vote, withdraw_vote
from changemgmt.tests.cast import PASSWORD, make_person
from changemgmt.tests.needs import ROOT

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.needs_sqlite

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TESTED: dict[str, set] = {}
"""Switch → the positions in which a test of this file shows what it does."""


def bites(switch, *positions):
    """Note that the test shows what this switch does in these positions."""
    TESTED.setdefault(switch, set()).update(positions)
    return pytest.mark.django_db


NO_SWITCH = {
    "Chain": {"id", "name", "version", "in_force", "edited_by"},
    "Level": {"id", "chain", "name"},
    "Slot": {"id", "level", "label", "position"},
    "TypePolicy": {"id", "type"},
    "ActionItem": {
        "id", "change", "vote", "text", "owner", "set_by", "created_at", "state", "evidence", "closed_by", "closed_at", "closed_comment", "evidence_kind",
        "expires_at", "due",
    },
}  # fmt: skip
"""Fields that name or keep something and decide nothing. Due points and evidence have tests of their own (test_voting.py, test_with_verbs.py)."""
NO_POLICY = {
    "AUTH_USER_MODEL", "BASE_DIR", "BASE_URL", "PRODUCT_NAME", "LOGIN_URL", "LOGIN_THROTTLE", "PASSWORD_RESET_TIMEOUT", "PRODUCTION", "MEDIA_ROOT",
    "DATA_DIR", "SECRET_KEY", "DEFAULT_FROM_EMAIL", "SECRET_KEY_FALLBACKS", "OTP_TOTP_ISSUER", "INLINE_ITEMS",
}  # fmt: skip
"""Settings that the approvals read and that decide nothing about them."""


def test_every_switch_of_a_chain_a_level_a_slot_and_a_type_is_shown_to_bite_in_every_position():
    missing = []
    for model in (Chain, Level, Slot, TypePolicy, ActionItem):
        for field in model._meta.concrete_fields:
            name = f"{model.__name__}.{field.name}"
            if field.name in NO_SWITCH[model.__name__]:
                continue
            wanted = positions_of(field)
            left = wanted - TESTED.get(name, set())
            if left or len(TESTED.get(name, ())) < 2:
                missing.append(f"{name}: {sorted(map(str, left)) or 'two positions'}")
    assert missing == []


def positions_of(field):
    if isinstance(field, models.BooleanField):
        return {True, False}
    return {value for value, _ in field.choices} if field.choices else set()


def test_every_setting_the_approvals_read_is_shown_to_bite():
    read = set()
    for package in ("approvals", "lifecycle"):
        for path in (ROOT / "changemgmt" / package).rglob("*.py"):
            read |= set(re.findall(r"settings\.([A-Z][A-Z_]+)", path.read_text(encoding="utf-8")))
    assert {name for name in read - NO_POLICY if len(TESTED.get(name, ())) < 2} == set()


def test_every_switch_of_the_json_of_a_chain_is_one_of_these():
    names = {"rule": "rule_kind", "seats": None}
    for field in LEVEL - {"name"}:
        name = names.get(field, field)
        assert name is None or f"Level.{name}" in TESTED, field
    for field in SEAT - {"label"}:
        assert f"Slot.{field}" in TESTED, field
    assert all({True, False} <= TESTED[f"Level.{name}"] for name in SWITCHES)


def test_what_is_tabled_here_is_there():
    for name in TESTED:
        model, dot, field = name.partition(".")
        if dot:
            try:
                {"Chain": Chain, "Level": Level, "Slot": Slot, "TypePolicy": TypePolicy, "ActionItem": ActionItem}[model]._meta.get_field(field)
            except (KeyError, FieldDoesNotExist):
                pytest.fail(f"{name} is no switch any more")


# --- what is tried on ---


@pytest.fixture
def asked(cast, now):
    """A change in review at levels of one's own; a level has two approvers' seats unless it says otherwise."""

    def make(*levels, fields=None, **more):
        a_chain(*(levels or [a_level(a_seat("approver"), **more)]))
        return in_review(a_change(cast.rita, now, implementers=(cast.ian,), **(fields or {})), now)

    return make


def state(round):
    return Change.objects.get(pk=round.change_id).state


def levels(round):
    return dict(RoundLevel.objects.filter(round=round).values_list("name", "state"))


# --- switches of a level ---


@bites("Level.allow_conditions", True, False)
def test_a_level_takes_conditions_or_refuses_them(asked, cast, now):
    round = asked(
        a_level(a_seat("approver", "yes"), name="yes", allow_conditions=True), a_level(a_seat("ecab", "no"), name="no", allow_conditions=False)
    )
    vote_of(round, "yes", cast.petra, now, conditions=[{"text": "Tell them"}])
    with pytest.raises(Invalid, match="takes no conditions"):
        vote_of(round, "no", cast.eva, now, conditions=[{"text": "Tell them"}])
    vote_of(round, "no", cast.eva, now)
    assert ActionItem.objects.count() == 1


@bites("Level.require_comment_on_reject", True, False)
def test_a_rejection_needs_its_reason_or_not(asked, cast, now):
    strict = asked(require_comment_on_reject=True)
    with pytest.raises(UnmetGuard, match="Say why"):
        vote_of(strict, "approver", cast.petra, now, "reject", comment=" ")
    vote_of(strict, "approver", cast.petra, now, "reject", comment="It breaks")
    assert state(strict) == "rejected"
    Chain.objects.all().delete()
    easy = asked(require_comment_on_reject=False)
    vote_of(easy, "approver", cast.petra, now, "reject", comment="")
    assert state(easy) == "rejected"


@bites("Level.require_signature", True, False)
def test_a_vote_is_signed_or_just_given(asked, cast, now):
    round = asked(
        a_level(a_seat("approver", "signed"), name="signed", require_signature=True), a_level(a_seat("ecab", "plain"), name="plain"),
    )  # fmt: skip
    for wrong in ({}, {"password": "guess"}):
        with pytest.raises(NotPermitted):
            vote_of(round, "signed", cast.petra, now, **wrong)
    vote_of(round, "signed", cast.petra, now, password=PASSWORD)
    vote_of(round, "plain", cast.eva, now)
    kept = {vote.level.name: vote.signature for vote in Vote.objects.select_related("level")}
    assert kept["plain"] is None and kept["signed"]


@bites("Level.allow_guests", True, False)
def test_a_guest_is_asked_only_where_the_level_allows_guests(asked, cast, now):
    round = asked(
        a_level(a_seat("approver", "open"), name="open", allow_guests=True), a_level(a_seat("ecab", "closed"), name="closed", allow_guests=False)
    )
    Change.objects.filter(pk=round.change_id).update(owner=cast.max)
    anna = {"name": "Anna", "email": "anna@partner.example", "second_channel": "anna@home.example"}
    with pytest.raises(DomainError, match="guest"):
        invite_guest(round.change.number, actor=cast.max, now=now, seat=seat_of(round, "closed").pk, **anna)
    guest = invite_guest(round.change.number, actor=cast.max, now=now, seat=seat_of(round, "open").pk, **anna)
    assert guest.seat.level.name == "open"


@bites("Level.on_timeout", "escalate", "reassign", "approve", "reject")
@pytest.mark.parametrize(
    ("what", "becomes", "asks"),
    [("escalate", "open", "paul"), ("reassign", "open", "selma"), ("approve", "approved", "paul"), ("reject", "rejected", "paul")],
)
def test_what_happens_when_the_time_is_up(asked, cast, now, what, becomes, asks):
    round = asked(a_level({"label": "Peer", "user": "paul"}, on_timeout=what, sla_hours=10))
    level = round.levels.get()
    time_out(level.pk, now=now + 9 * HOUR)
    assert levels(round) == {"Level": "open"} and not Event.objects.filter(action="approval.timed_out").exists()
    time_out(level.pk, now=now + 11 * HOUR)
    assert levels(round) == {"Level": becomes}
    assert list(seat_of(round, "Peer").people.values_list("username", flat=True)) == [asks]
    told = Event.objects.filter(action="approval.timed_out").count()
    assert told == (what in ("escalate", "reject")), "those above are told; the other two have events of their own"


@bites("Level.sla_hours", 10, 20)
def test_the_time_to_decide_is_the_levels(asked, now):
    round = asked(a_level(a_seat("approver"), name="short", sla_hours=10), a_level(a_seat("ecab"), name="long", sla_hours=20))
    assert dict(round.levels.values_list("name", "due_at")) == {"short": now + 10 * HOUR, "long": now + 20 * HOUR}


@bites("Level.reminders", "50", "none")
def test_reminders_go_out_at_the_levels_percentages(asked, now):
    round = asked(
        a_level(a_seat("approver"), name="some", sla_hours=10, reminders=[50]), a_level(a_seat("ecab"), name="none", sla_hours=10, reminders=[])
    )
    for level in round.levels.all():
        remind(level.pk, now=now + 4 * HOUR)
        remind(level.pk, now=now + 6 * HOUR)
    assert dict(round.levels.values_list("name", "reminded")) == {"some": 50, "none": 0}


@bites("Level.expires_hours", 5, None)
def test_an_approval_expires_after_its_hours_or_never(asked, cast, now):
    for hours in (5, None):
        Chain.objects.all().delete()
        round = asked(expires_hours=hours)
        vote_of(round, "approver", cast.petra, now)
        number = round.change.number
        reopen_expired(number, now=now + 4 * HOUR)
        assert state(round) == "approved"
        reopen_expired(number, now=now + 6 * HOUR)
        assert state(round) == ("in_review" if hours else "approved")


@bites("Level.watches", "texts", "window")
def test_a_vote_falls_by_what_its_level_watches_and_by_nothing_else(asked, cast, now):
    round = asked(
        a_level(a_seat("approver", "texts"), name="texts", watches=["texts"]), a_level(a_seat("architect", "window"), name="window", watches=["window"]),
        a_level(a_seat("ecab", "rest"), name="rest"),
    )  # fmt: skip
    vote_of(round, "texts", cast.petra, now)
    vote_of(round, "window", cast.arno, now)
    edit.edit_change(round.change.number, {"description": "Other words"}, actor=cast.rita, now=now, seen="*")
    latest = Change.objects.get(pk=round.change_id).rounds.last()
    assert levels(latest) == {"texts": "open", "window": "approved", "rest": "open"}


@bites("Level.applies_when", "holds", "does not")
def test_a_level_whose_condition_does_not_hold_is_skipped(asked, cast, now):
    low = {"field": "risk_level", "op": "eq", "value": "low"}
    round = asked(a_level(a_seat("approver"), name="low", applies_when=low), a_level(a_seat("ecab"), name="not", applies_when={"not": low}))
    assert levels(round) == {"low": "open", "not": "skipped"}


@bites("Level.number", 1, 2)
def test_levels_of_one_number_run_side_by_side_and_a_higher_one_waits(asked, cast, now):
    round = asked(
        a_level(a_seat("approver"), name="one", number=1),
        a_level(a_seat("ecab"), name="too", number=1),
        a_level(a_seat("architect"), name="two", number=2),
    )
    assert levels(round) == {"one": "open", "too": "open", "two": "waiting"}


@bites("Level.rule_kind", "all", "any", "count", "percent", "weight")
@bites("Level.rule_value", 2, 50)
@bites("Slot.required", 1, 2)
@pytest.mark.parametrize(
    ("kind", "value", "enough"), [("all", None, 3), ("any", None, 1), ("count", 2, 2), ("percent", 50, 2), ("percent", 100, 3), ("weight", 5, 3)]
)
def test_each_rule_wants_its_votes(asked, cast, now, kind, value, enough):
    voters = [a_seat("approver", "Peer", required=2), a_seat("ecab", "Board", weight=3)]
    round = asked(a_level(*voters, rule=kind, value=value))
    assert Seat.objects.filter(label="Peer").count() == 2 and Seat.objects.filter(label="Board").count() == 1
    for given, (label, name) in enumerate((("Peer", "petra"), ("Peer", "paul"), ("Board", "eva")), 1):
        vote_of(round, label, getattr(cast, name), now)
        assert state(round) == ("approved" if given >= enough else "in_review")
        if given >= enough:
            break


# --- switches of a seat ---


@bites("Slot.power", "voter", "veto", "deciding", "advisory")
@pytest.mark.parametrize(
    ("power", "vote", "outcome"),
    [("voter", "reject", "approved"), ("veto", "reject", "rejected"), ("advisory", "reject", "in_review"), ("deciding", "approve", "approved")],
)
def test_each_power_counts_as_it_should(asked, cast, now, power, vote, outcome):
    rule = {"rule": "percent", "value": 60} if power == "deciding" else {"rule": "any"}
    round = asked(a_level(a_seat("security_lead", "Special", power=power), a_seat("approver", "Peer"), **rule))
    vote_of(round, "Special", cast.sam, now, vote)
    if power == "voter":
        assert state(round) == "in_review", "one rejection of two does not end “any one”"
    if power in ("voter", "deciding"):
        vote_of(round, "Peer", cast.petra, now, "reject" if power == "deciding" else "approve")
    assert state(round) == outcome


@bites("Slot.weight", 1, 5)
def test_a_weight_counts_as_many(asked, cast, now):
    round = asked(a_level(a_seat("approver", "light", weight=1), a_seat("ecab", "heavy", weight=5), rule="weight", value=5))
    vote_of(round, "light", cast.petra, now)
    assert state(round) == "in_review"
    vote_of(round, "heavy", cast.eva, now)
    assert state(round) == "approved"


@bites("Slot.group", "approver", "ecab")
@bites("Slot.user", "selma", "arno")
@bites("Slot.dynamic", "requester_manager", "unit_head", "component_owners:4", "")
def test_a_seat_asks_whom_it_says(asked, cast, now):
    seats = [
        {"label": "group", "group": "approver"}, {"label": "other group", "group": "ecab"}, {"label": "user", "user": "selma"}, {"label": "other", "user": "arno"},
        {"label": "manager", "dynamic": "requester_manager"}, {"label": "head", "dynamic": "unit_head"}, {"label": "owners", "dynamic": "component_owners:4"},
    ]  # fmt: skip
    layer = Layer.objects.create(name="Things", order=1)
    kind = ComponentType.objects.create(name="Thing", layer=layer)
    for key, owner, criticality in (("a", "stella", 5), ("b", "arno", 3)):
        Component.objects.create(key=key, name=key, type=kind, layer=layer, owner=owner, criticality=criticality)
    a_chain(a_level(*seats))
    change = a_change(cast.rita, now, org_unit=cast.rita.org_unit)
    for key in ("a", "b"):
        change.items.create(operation="update", object="component", key=key)
    round = in_review(change, now)
    people = {seat.label: sorted(user.username for user in seat.people.all()) for seat in Seat.objects.filter(level__round=round)}
    assert people == {
        "group": ["paul", "petra"], "other group": ["emil", "eva"], "user": ["selma"], "other": ["arno"], "manager": ["selma"], "head": ["selma"],
        "owners": ["stella"],
    }  # fmt: skip


# --- switches of a chain ---


def taken(change):
    return Change.objects.get(pk=change.pk).chain


@bites("Chain.active", True, False)
@bites("Chain.order", 1, 2)
@bites("Chain.additive", True, False)
@bites("Chain.applies_when", "holds", "does not")
@bites("Chain.valid_from", "past", "future")
@bites("Chain.valid_to", "past", "future")
def test_a_chain_is_taken_by_its_switches(cast, now):
    def chain(name, order, **more):
        a_chain(a_level(a_seat("approver")), name=name, order=order, **more)

    chain("off", 1, active=False)
    chain("not yet", 1, valid_from=(now + DAY).isoformat())
    chain("no more", 1, valid_to=(now - DAY).isoformat())
    chain("not for this", 1, applies_when={"field": "type", "op": "eq", "value": "major"})
    chain("second", 3)
    chain(
        "first",
        2,
        valid_from=(now - DAY).isoformat(),
        valid_to=(now + DAY).isoformat(),
        applies_when={"field": "type", "op": "eq", "value": "normal"},
    )
    chain("added", 9, additive=True)
    change = a_change(cast.rita, now)
    in_review(change, now)
    assert taken(change) == "first v1, added v1"


@bites("CHAINS_NEED_SECOND_ADMINISTRATOR", True, False)
def test_a_chain_needs_a_second_administrator_or_not(cast, now, settings):
    for needed in (True, False):
        settings.CHAINS_NEED_SECOND_ADMINISTRATOR = needed
        data = {"name": f"Mine {needed}", "order": 1, "active": True, "applies_when": {}, "levels": [a_level(a_seat("approver"))]}
        chain = save_chain(None, data, actor=cast.ada, now=now)
        assert bool(Chain.objects.get(pk=chain.pk).in_force) is not needed
        if needed:
            with pytest.raises(NotPermitted, match="another administrator"):
                activate_chain(chain.pk, actor=cast.ada, now=now)
            activate_chain(chain.pk, actor=cast.otto, now=now)
            assert Chain.objects.get(pk=chain.pk).in_force


# --- delegation, claims, emergencies, guests ---


@bites("DELEGATION_HOPS", 0, 1, 2)
@pytest.mark.parametrize(("hops", "able"), [(0, set()), (1, {"olga"}), (2, {"olga", "nina"})])
def test_a_vote_is_handed_on_as_many_steps_as_are_allowed(asked, cast, now, settings, hops, able):
    settings.DELEGATION_HOPS = hops
    nina = make_person("nina", ())
    for giver, taker in ((cast.sam, cast.olga), (cast.olga, nina)):
        Delegation.objects.create(
            delegator=giver, delegate=taker, starts_at=now - DAY, ends_at=now + DAY, scope_kind="all", created_by=giver, created_at=now - DAY
        )
    round = asked(a_level(a_seat("security_lead", "Security")))
    seat, found = seat_of(round, "Security"), set()
    for user in (cast.olga, nina):
        try:
            cast_vote(seat.pk, actor=user, now=now, vote="abstain", digest="stale")
        except OutOfDate:
            found.add(user.username)  # only who may sit comes as far as that
        except (NotPermitted, NotFound):
            continue
    assert found == able


@bites("CLAIM_HOURS", 1, 8)
@pytest.mark.parametrize("hours", [1, 8])
def test_a_claim_keeps_others_away_for_its_hours(asked, cast, now, settings, hours):
    settings.CLAIM_HOURS = hours
    round = asked()
    seat = claim_seat(seat_of(round, "approver").pk, actor=cast.petra, now=now)
    assert seat.claimed_until == now + hours * HOUR
    with pytest.raises(DomainError, match="claimed this vote"):
        vote_of(round, "approver", cast.paul, now + hours * HOUR - timedelta(seconds=1))
    vote_of(round, "approver", cast.paul, now + hours * HOUR)
    assert state(round) == "approved"


@bites("EMERGENCY_GO_AHEADS_PER_DAY", 1, 2)
@pytest.mark.parametrize("most", [1, 2])
def test_so_many_go_aheads_a_day_and_no_more(cast, seeded, now, settings, most):
    settings.EMERGENCY_GO_AHEADS_PER_DAY = most
    changes = [a_change(cast.rita, now, type="emergency") for _ in range(most + 1)]
    for change in changes[:most]:
        emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns", seen="*")
    with pytest.raises(Throttled):
        emergency_go_ahead(changes[-1].number, actor=cast.eva, now=now, reason="It burns", seen="*")
    emergency_go_ahead(changes[-1].number, actor=cast.eva, now=now + DAY, reason="It burns", seen="*")


@bites("EMERGENCY_REVIEW_HOURS", 10, 48)
@pytest.mark.parametrize("hours", [10, 48])
def test_an_emergency_is_to_be_reviewed_within_its_hours(cast, seeded, now, settings, hours):
    settings.EMERGENCY_REVIEW_HOURS = hours
    change = a_change(cast.rita, now, type="emergency")
    done = emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns", seen="*")
    assert reviews_due([done]) == {change.number: now + hours * HOUR}


@bites("GUEST_SMS_ADDRESS", "", "{number}@sms.example.org")
def test_a_phone_is_a_second_channel_only_with_a_gateway(asked, cast, now, settings):
    round = asked(allow_guests=True)
    Change.objects.filter(pk=round.change_id).update(owner=cast.max)

    def ask():
        phone = {"name": "Anna", "email": "anna@partner.example", "second_channel": "+43 660 1234567"}
        return invite_guest(round.change.number, actor=cast.max, now=now, seat=seat_of(round, "approver").pk, **phone)

    settings.GUEST_SMS_ADDRESS = ""
    with pytest.raises(Invalid) as refused:
        ask()
    assert "second_channel" in refused.value.errors
    settings.GUEST_SMS_ADDRESS = "{number}@sms.example.org"
    assert ask().pk


# --- conditions ---


@bites("ActionItem.on_expiry", "review", "reject")
@bites("ActionItem.advisory", True, False)
@pytest.mark.parametrize(("follows", "becomes"), [("review", "in_review"), ("reject", "rejected")])
def test_an_unmet_condition_ends_its_approval_as_it_says_and_advice_ends_nothing(asked, cast, now, follows, becomes):
    round = asked(a_level(a_seat("customer_representative", "Advice", power="advisory"), a_seat("approver", "Peer")))
    demand = {"text": "Tell them", "expires_at": (now + HOUR).isoformat(), "on_expiry": follows}
    vote_of(round, "Advice", cast.cara, now, conditions=[demand])
    vote_of(round, "Peer", cast.petra, now, conditions=[demand])
    advice, binding = ActionItem.objects.get(advisory=True), ActionItem.objects.get(advisory=False)
    expire_condition(advice.pk, now=now + 2 * HOUR)
    assert state(round) == "approved_with_conditions"
    expire_condition(binding.pk, now=now + 2 * HOUR)
    assert state(round) == becomes


# --- switches of a type ---


def submittable(change, actor):
    return {guard.guard: guard.message for guard in may_submit(change, actor=actor).guards}


@bites("TypePolicy.required_fields", "demanded", "not")
@bites("TypePolicy.required_plans", "demanded", "not")
def test_a_type_demands_fields_and_plans_before_it_is_submitted(cast, now):
    change = Change.objects.create(number="CHG-2026-88888", title="x", requester=cast.rita, created_at=now, updated_at=now, no_items_reason="paper")
    policy = TypePolicy.objects.create(type="normal", required_fields=[], required_plans=[])
    assert submittable(change, cast.rita) == {}
    policy.required_fields, policy.required_plans = ["business_justification"], ["rollback_plan"]
    policy.save()
    assert set(submittable(change, cast.rita)) == {"required_fields", "required_plans"}
    change.business_justification, change.rollback_plan = "It pays", "Undo it"
    assert submittable(change, cast.rita) == {}
    CustomField.objects.create(name="ledger", label="Ledger", required=True)
    assert submittable(change, cast.rita) == {"required_fields": "Missing: Ledger."}


@bites("TypePolicy.approval_expires_hours", 5, None)
def test_an_approval_of_a_type_expires_after_its_hours_or_never(asked, cast, now):
    for hours in (5, None):
        Chain.objects.all().delete()
        TypePolicy.objects.update_or_create(type="normal", defaults={"approval_expires_hours": hours})
        round = asked()
        vote_of(round, "approver", cast.petra, now)
        assert Change.objects.get(pk=round.change_id).approval_expires_at == (now + hours * HOUR if hours else None)


@bites("TypePolicy.review_required", True, False)
def test_a_type_demands_a_review_before_it_is_closed_or_not(cast, now):
    change = Change.objects.create(
        number="CHG-2026-88889", title="x", requester=cast.rita, owner=cast.max, created_at=now, updated_at=now, state="implemented"
    )
    for required in (True, False):
        TypePolicy.objects.update_or_create(type="normal", defaults={"review_required": required})
        verdict = may_close(change, actor=cast.max, review={})
        assert ("review" in " ".join(guard.guard for guard in verdict.guards)) is required


@pytest.mark.django_db
def test_withdrawing_is_not_a_switch_and_always_needs_a_reason(asked, cast, now):
    round = asked()
    vote_of(round, "approver", cast.petra, now)
    with pytest.raises(UnmetGuard):
        withdraw_vote(seat_of(round, "approver").pk, actor=cast.petra, now=now, reason=" ")
