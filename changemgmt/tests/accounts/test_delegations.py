"""Standing in for each other: giving, changing and ending a delegation, who is told, and what is refused beforehand."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.accounts.actions import grant
from changemgmt.accounts.delegations import away_by, delegation_shape, delegations_seen_by, scope_path, standing_of, voting_for
from changemgmt.accounts.models import Delegation, Identity, OrgUnit
from changemgmt.accounts.rules import StandIn, forbidden_path, scopes_meet
from changemgmt.audit.models import Event, PersonalValue
from changemgmt.audit.queries import event_shown
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle.delegate import begin_due_delegations, change_delegation, come_back, delegate, revoke_delegation
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.tests.approvals.making import a_change
from changemgmt.tests.cast import make_person

pytestmark = pytest.mark.needs_sqlite

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
database = pytest.mark.django_db
HERE = "/api/v1/delegations/"


def kinds():
    return list(Event.objects.filter(action__startswith="delegation.").order_by("pk").values_list("action", flat=True))


def give(cast, now, *, to="paul", by=None, **more):
    return delegate(to, actor=by or cast.petra, now=now, **{"ends_at": now + 7 * DAY, **more})


def wrong(field, act, *args, **more):
    """The message at the only field that is wrong."""
    with pytest.raises(Invalid) as refused:
        act(*args, **more)
    assert list(refused.value.errors) == [field], refused.value.errors
    return refused.value.errors[field][0]


# --- the rules, without a database ---


def row(giver, taker, start=0, end=10, scope=()):
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return StandIn(giver, taker, at + start * HOUR, at + end * HOUR, scope)


class TestPaths:
    def test_one_step_is_fine_and_two_are_not(self):
        assert forbidden_path(row("a", "b"), [row("c", "d"), row("a", "d"), row("d", "b")], hops=1) == ()
        assert len(forbidden_path(row("b", "c"), [row("a", "b")], hops=1)) == 2
        assert len(forbidden_path(row("a", "b"), [row("b", "c")], hops=1)) == 2

    @pytest.mark.parametrize("hops", [1, 2, 3])
    def test_as_many_steps_as_are_allowed_and_no_more(self, hops):
        line = [row(str(step), str(step + 1)) for step in range(4)]
        assert forbidden_path(line[hops - 1], line[: hops - 1], hops=hops) == ()
        assert forbidden_path(line[hops], line[:hops], hops=hops) == tuple(line[: hops + 1])
        assert forbidden_path(line[0], line[1 : hops + 1], hops=hops) == tuple(line[: hops + 1])

    @pytest.mark.parametrize("hops", [1, 2, 3, 4])
    @pytest.mark.parametrize("length", [2, 3])
    def test_a_circle_is_never_fine(self, hops, length):
        ring = [row(str(step), str((step + 1) % length)) for step in range(length)]
        for new in ring:
            others = [one for one in ring if one is not new]
            assert forbidden_path(new, others, hops=hops) or hops < length - 1

    def test_what_does_not_meet_in_time_or_scope_makes_no_path(self):
        assert forbidden_path(row("b", "a", 10, 20), [row("a", "b", 0, 10)], hops=1) == ()
        assert forbidden_path(row("b", "a", 9, 20), [row("a", "b", 0, 10)], hops=1)
        assert forbidden_path(row("b", "c", scope=("type", "major")), [row("a", "b", scope=("type", "normal"))], hops=1) == ()
        assert forbidden_path(row("b", "c", scope=("type", "major")), [row("a", "b", scope=("type", "major"))], hops=1)
        assert forbidden_path(row("b", "c", scope=("type", "major")), [row("a", "b", scope=("chain", "X"))], hops=1)
        three = [row("a", "b", 0, 5), row("c", "d", 5, 10)]
        assert forbidden_path(row("b", "c", 0, 10), three, hops=2) == ()

    def test_an_org_unit_meets_those_above_and_below_it_and_not_those_beside_it(self):
        company, payments, sales = ("org_unit", "company"), ("org_unit", "company", "payments"), ("org_unit", "company", "sales")
        assert scopes_meet(company, payments) and scopes_meet(payments, company) and scopes_meet((), payments)
        assert not scopes_meet(sales, payments)

    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(0, 5), st.integers(1, 5)), max_size=8), st.integers(1, 3))
    def test_whatever_is_taken_in_no_vote_ever_goes_round_or_too_far(self, asked, hops):
        taken = []
        for giver, taker, start, length in asked:
            new = row(giver, taker, start, start + length)
            if giver != taker and not forbidden_path(new, taken, hops=hops):
                taken.append(new)
        for hour in range(11):
            at = row("", "", hour, hour + 1).start
            holding = [one for one in taken if one.start <= at < one.end]
            for start in "abcd":
                reached, front = [start], {start}
                for _ in range(hops + 1):
                    front = {one.taker for one in holding if one.giver in front}
                    reached += front
                    assert start not in front
                assert not front, (hour, start, reached)

    def test_a_circle_is_named_before_a_way_that_is_only_too_long(self):
        path = forbidden_path(row("b", "a"), [row("x", "b"), row("a", "b")], hops=1)
        assert path[0].giver == path[-1].taker


# --- giving ---


@database
class TestGiving:
    def test_it_is_kept_with_who_when_and_why_and_stands_on_the_record(self, cast, now):
        made = give(cast, now, reason="On holiday")
        assert (made.delegator, made.delegate, made.created_by, made.begun_at) == (cast.petra, cast.paul, cast.petra, now)
        assert delegation_shape(made, now) | {"id": 0} == {
            "id": 0, "delegator": "petra", "delegate": "paul", "scope": {"kind": "all", "value": None}, "starts_at": now, "ends_at": now + 7 * DAY,
            "reason": "On holiday", "out_of_office": False, "created_at": now, "begun_at": now, "revoked_at": None, "active": True,
            "created_by": "petra", "revoked_by": None,
        }  # fmt: skip
        event = event_shown(Event.objects.get(action="delegation.created").pk)
        assert (event["actor"], event["object"], event["stream"]) == ("petra", f"delegation:{made.pk}", "admin")
        assert event["data"]["delegate"] == "paul" and event["data"]["reason"] == "On holiday"
        text = Event.objects.get(action="delegation.created").text
        assert "paul" not in text and "On holiday" not in text, "names and words can be erased"

    def test_an_administrator_gives_somebody_else_s_and_never_to_themselves(self, cast, now):
        made = give(cast, now, by=cast.ada, delegator="petra")
        assert (made.delegator, made.created_by) == (cast.petra, cast.ada)
        with pytest.raises(NotPermitted):
            give(cast, now, by=cast.ada, delegator="petra", to="ada")
        other = make_person("ada.private")
        link(cast.ada, other)
        with pytest.raises(NotPermitted):
            give(cast, now, by=cast.ada, delegator="petra", to="ada.private")

    @pytest.mark.parametrize("who", ["paul", "max", "rita", "selma", "aud"])
    def test_nobody_else_gives_what_is_not_theirs(self, cast, now, who):
        with pytest.raises(NotPermitted):
            give(cast, now, by=getattr(cast, who), delegator="petra", to="olga")
        assert not Delegation.objects.exists()

    @pytest.mark.parametrize("who", ["vera", "aud"])
    def test_who_only_reads_gives_nothing(self, cast, now, who):
        with pytest.raises(NotPermitted):
            give(cast, now, by=getattr(cast, who))

    def test_a_program_and_a_guest_give_nothing_and_get_nothing(self, cast, now):
        for name, more in {"robot": {"is_service": True}, "visitor": {"is_guest": True}}.items():
            user = make_person(name, **more)
            with pytest.raises(NotPermitted):
                give(cast, now, by=user)
            assert "never votes" in wrong("delegate", give, cast, now, to=name)
            assert "never votes" in wrong("delegator", give, cast, now, by=cast.ada, delegator=name)

    def test_to_nobody_somebody_deactivated_or_oneself_is_wrong(self, cast, now):
        make_person("gone", is_active=False)
        for name in ("nobody", "gone", "", "x" * 200):
            assert "nobody active" in wrong("delegate", give, cast, now, to=name)
        assert "themselves" in wrong("delegate", give, cast, now, to="petra")
        second = make_person("petra.second")
        link(cast.petra, second)
        assert "another account" in wrong("delegate", give, cast, now, to="petra.second")

    @pytest.mark.parametrize(
        ("start", "end", "field"),
        [
            (timedelta(0), timedelta(0), "ends_at"),
            (HOUR, -HOUR, "ends_at"),
            (HOUR, HOUR, "ends_at"),
            (timedelta(minutes=-5, seconds=-1), DAY, "starts_at"),
            (-DAY, DAY, "starts_at"),
            (timedelta(minutes=-4), timedelta(minutes=-1), "ends_at"),
            (timedelta(0), timedelta(days=366, seconds=1), "ends_at"),
            (30 * DAY, timedelta(days=396, seconds=1), "ends_at"),
        ],
    )
    def test_not_back_to_front_nor_in_the_past_nor_for_ever(self, cast, now, start, end, field):
        wrong(field, give, cast, now, starts_at=now + start, ends_at=now + end)
        assert not Delegation.objects.exists() and not kinds()

    @pytest.mark.parametrize(
        ("start", "end"), [(timedelta(minutes=-5), timedelta(seconds=1)), (timedelta(0), timedelta(days=366)), (300 * DAY, 301 * DAY)]
    )
    def test_up_to_the_limits_it_is_fine(self, cast, now, start, end):
        assert give(cast, now, starts_at=now + start, ends_at=now + end).pk

    @pytest.mark.parametrize("reason", ["x" * 301, "a\x00b", 7])
    def test_the_reason_is_short_text(self, cast, now, reason):
        wrong("reason", give, cast, now, reason=reason)

    def test_there_is_an_end_to_how_many(self, cast, now, monkeypatch):
        monkeypatch.setattr("changemgmt.lifecycle.delegation_checks.MOST", 2)
        give(cast, now)
        give(cast, now, to="olga")
        assert "At most 2" in wrong("delegate", give, cast, now, to="max")


@database
class TestScope:
    @pytest.mark.parametrize("scope", [("chain", "Normal change"), ("type", "emergency"), ("org_unit", "payments"), ("all", "")])
    def test_what_there_is_can_be_given(self, cast, seeded, now, scope):
        made = give(cast, now, scope=scope)
        assert (made.scope_kind, made.scope_value) == scope

    @pytest.mark.parametrize(
        "scope",
        [
            ("chain", "No such"), ("chain", ""), ("type", "tiny"), ("type", ""), ("org_unit", "moon"), ("org_unit", ""), ("change", "CHG-2026-99999"),
            ("change", ""), ("all", "x"), ("everything", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_what_there_isn_t_can_t(self, cast, seeded, now, scope):
        wrong("scope", give, cast, now, scope=scope)

    def test_a_change_one_doesn_t_see_is_one_there_isn_t(self, cast, seeded, now):
        change = a_change(cast.rita, now, confidential=True)
        hidden = wrong("scope", give, cast, now, scope=("change", change.number))
        assert hidden == wrong("scope", give, cast, now, scope=("change", "CHG-2026-99999"))

    @pytest.mark.parametrize("who", ["rita", "ian", "rita.second"])
    def test_who_has_a_part_in_the_change_can_t_be_named_for_it(self, cast, seeded, now, who):
        link(cast.rita, make_person("rita.second"))
        change = a_change(cast.rita, now, implementers=(cast.ian,))
        assert "can't vote on this change" in wrong("delegate", give, cast, now, to=who, scope=("change", change.number))
        assert give(cast, now, to=who).pk, "for everything they can: what they have a part in stays out when they vote"

    def test_one_for_a_change_stands_on_that_change_s_record(self, cast, seeded, now):
        change = a_change(cast.rita, now)
        give(cast, now, scope=("change", change.number))
        event = Event.objects.get(action="delegation.created")
        assert (event.change, event.stream) == (change.number, change.number)

    def test_who_is_away_gives_everything(self, cast, seeded, now):
        assert give(cast, now, out_of_office=True).out_of_office
        wrong("scope", give, cast, now, out_of_office=True, scope=("type", "major"))


@database
class TestCirclesAndSteps:
    def test_there_and_back_is_refused_by_name(self, cast, now):
        give(cast, now)
        message = wrong("delegate", give, cast, now, by=cast.paul, to="petra")
        assert "come back to Paul" in message and "Paul stands in for Petra" in message

    def test_not_when_the_one_is_over_before_the_other(self, cast, now):
        give(cast, now)
        assert give(cast, now, by=cast.paul, to="petra", starts_at=now + 7 * DAY, ends_at=now + 8 * DAY).pk

    def test_a_linked_account_closes_a_circle_too(self, cast, now):
        link(cast.petra, make_person("petra.second"))
        give(cast, now)
        assert "come back" in wrong("delegate", give, cast, now, by=cast.paul, to="petra.second")

    def test_what_one_holds_is_not_passed_on(self, cast, now):
        give(cast, now)
        message = wrong("delegate", give, cast, now, by=cast.paul, to="olga")
        assert message == "Paul stands in for Petra in that time, and a vote is not passed on that far. Petra can name Olga directly."

    def test_nor_given_to_who_gave_theirs_away(self, cast, now):
        give(cast, now, by=cast.paul, to="olga")
        message = wrong("delegate", give, cast, now)
        assert "Paul gives their own votes to Olga" in message and "Name Olga directly" in message

    def test_a_revoked_one_is_in_nobody_s_way(self, cast, now):
        revoke_delegation(give(cast, now).pk, actor=cast.petra, now=now)
        assert give(cast, now, by=cast.paul, to="petra").pk

    def test_other_scopes_are_other_ways(self, cast, seeded, now):
        give(cast, now, scope=("type", "normal"))
        assert give(cast, now, by=cast.paul, to="olga", scope=("type", "major")).pk
        wrong("delegate", give, cast, now, by=cast.paul, to="olga", scope=("chain", "Normal change"))
        OrgUnit.objects.create(slug="sales", name="Sales", parent=OrgUnit.objects.get(slug="company"))
        give(cast, now, by=cast.max, to="tina", scope=("org_unit", "payments"))
        assert give(cast, now, by=cast.tina, to="omar", scope=("org_unit", "sales")).pk
        wrong("delegate", give, cast, now, by=cast.tina, to="omar", scope=("org_unit", "company"))

    def test_the_setting_allows_more_steps(self, cast, now, settings):
        settings.DELEGATION_HOPS = 2
        give(cast, now)
        assert give(cast, now, by=cast.paul, to="olga").pk
        wrong("delegate", give, cast, now, by=cast.olga, to="max")
        wrong("delegate", give, cast, now, by=cast.olga, to="petra")

    def test_an_extension_is_checked_again(self, cast, now):
        first = give(cast, now, ends_at=now + DAY)
        give(cast, now, by=cast.paul, to="olga", starts_at=now + 2 * DAY, ends_at=now + 3 * DAY)
        wrong("delegate", change_delegation, first.pk, actor=cast.petra, now=now, ends_at=now + 4 * DAY)
        assert change_delegation(first.pk, actor=cast.petra, now=now, ends_at=now + 2 * DAY).pk

    def test_units_are_read_with_what_is_above_them(self):
        assert scope_path("org_unit", "payments", {"payments": "company", "company": None}) == ("org_unit", "company", "payments")
        assert scope_path("org_unit", "a", {"a": "b", "b": "a"}) == ("org_unit", "b", "a")
        assert scope_path("all", "", {}) == () and scope_path("type", "major", {}) == ("type", "major")


# --- changing and ending ---


@database
class TestChanging:
    def test_end_and_reason_change_with_the_difference_on_record(self, cast, now):
        made = give(cast, now, reason="Holiday")
        changed = change_delegation(made.pk, actor=cast.petra, now=now + HOUR, ends_at=now + 9 * DAY, reason="Longer holiday")
        assert (changed.ends_at, changed.reason) == (now + 9 * DAY, "Longer holiday")
        event = event_shown(Event.objects.get(action="delegation.changed").pk)
        assert [one["path"] for one in event["differences"]] == ["ends_at", "reason"]
        assert event["differences"][1] == {"path": "reason", "before": "Holiday", "after": "Longer holiday"}
        assert "Longer holiday" not in event["text"] and PersonalValue.objects.filter(event=event["id"], value="Longer holiday").exists()
        assert change_delegation(made.pk, actor=cast.petra, now=now + HOUR, reason="Longer holiday").pk
        assert kinds().count("delegation.changed") == 1, "saying the same again is nothing"

    def test_an_end_just_now_ends_it_now_and_one_before_is_wrong(self, cast, now):
        made, later = give(cast, now), now + HOUR
        wrong("ends_at", change_delegation, made.pk, actor=cast.petra, now=later, ends_at=later - timedelta(minutes=6))
        ended = change_delegation(made.pk, actor=cast.petra, now=later, ends_at=later - timedelta(minutes=1))
        assert ended.ends_at == later and standing_of(ended, later) == "over"

    def test_an_end_before_its_beginning_or_too_late_is_wrong(self, cast, now):
        planned = give(cast, now, starts_at=now + DAY)
        for end in (now, now + HOUR, now + DAY):
            wrong("ends_at", change_delegation, planned.pk, actor=cast.petra, now=now, ends_at=end)
        wrong("ends_at", change_delegation, planned.pk, actor=cast.petra, now=now, ends_at=now + 368 * DAY)

    def test_it_isn_t_extended_to_somebody_who_left(self, cast, now):
        made = give(cast, now)
        cast.paul.is_active = False
        cast.paul.save()
        wrong("delegate", change_delegation, made.pk, actor=cast.petra, now=now, ends_at=now + 9 * DAY)
        assert change_delegation(made.pk, actor=cast.petra, now=now, ends_at=now + DAY).pk

    def test_it_isn_t_extended_for_a_change_they_have_a_part_in_by_now(self, cast, seeded, now):
        change = a_change(cast.rita, now)
        made = give(cast, now, scope=("change", change.number))
        change.implementers.add(cast.paul)
        assert "is to implement it" in wrong("delegate", change_delegation, made.pk, actor=cast.petra, now=now, ends_at=now + 9 * DAY)

    def test_who_holds_it_doesn_t_change_it_and_strangers_don_t_know_of_it(self, cast, now):
        made = give(cast, now)
        with pytest.raises(NotPermitted):
            change_delegation(made.pk, actor=cast.paul, now=now, ends_at=now + 30 * DAY)
        with pytest.raises(NotPermitted):
            change_delegation(made.pk, actor=cast.aud, now=now, reason="x")
        with pytest.raises(NotFound):
            change_delegation(made.pk, actor=cast.max, now=now, reason="x")
        assert change_delegation(made.pk, actor=cast.ada, now=now, ends_at=now + 8 * DAY).pk
        held = give(cast, now, by=cast.sam, to="ada")
        with pytest.raises(NotPermitted):
            change_delegation(held.pk, actor=cast.ada, now=now, ends_at=now + 30 * DAY)

    def test_what_is_over_or_revoked_stays_so(self, cast, now):
        made = give(cast, now)
        with pytest.raises(NotPossible):
            change_delegation(made.pk, actor=cast.petra, now=now + 7 * DAY, ends_at=now + 20 * DAY)
        revoke_delegation(made.pk, actor=cast.petra, now=now)
        with pytest.raises(NotPossible):
            change_delegation(made.pk, actor=cast.petra, now=now, ends_at=now + 20 * DAY)


@database
class TestRevoking:
    @pytest.mark.parametrize("who", ["petra", "paul", "ada"])
    def test_giver_holder_and_administrator_end_it_at_once_and_the_record_stays(self, cast, now, who):
        made = give(cast, now)
        ended = revoke_delegation(made.pk, actor=getattr(cast, who), now=now + HOUR)
        assert (ended.revoked_at, ended.revoked_by.username) == (now + HOUR, who)
        assert Delegation.objects.count() == 1 and not delegation_shape(ended, now + HOUR)["active"]
        again = revoke_delegation(made.pk, actor=cast.petra, now=now + 2 * HOUR)
        assert (again.revoked_at, kinds().count("delegation.revoked")) == (now + HOUR, 1)

    def test_strangers_don_t_know_of_it_and_auditors_only_read(self, cast, now):
        made = give(cast, now)
        with pytest.raises(NotFound):
            revoke_delegation(made.pk, actor=cast.max, now=now)
        with pytest.raises(NotPermitted):
            revoke_delegation(made.pk, actor=cast.aud, now=now)

    def test_what_ended_by_itself_needs_no_end(self, cast, now):
        with pytest.raises(NotPossible):
            revoke_delegation(give(cast, now).pk, actor=cast.petra, now=now + 7 * DAY)

    def test_who_is_back_ends_their_notes_and_nothing_else(self, cast, now):
        away, other = give(cast, now, out_of_office=True), give(cast, now, to="olga")
        later = give(cast, now, to="olga", out_of_office=True, starts_at=now + 20 * DAY, ends_at=now + 30 * DAY)
        assert [row.pk for row in away_by(cast.petra, now)] == [away.pk]
        assert [row.pk for row in come_back(actor=cast.petra, now=now + DAY)] == [away.pk]
        assert [standing_of(Delegation.objects.get(pk=row.pk), now + DAY) for row in (away, other, later)] == ["revoked", "running", "planned"]
        assert come_back(actor=cast.petra, now=now + DAY) == []


@database
def test_it_runs_from_its_first_moment_up_to_its_last(cast, now):
    made = give(cast, now, starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    tick = timedelta(seconds=1)
    found = {moment: standing_of(made, moment) for moment in (now, now + HOUR - tick, now + HOUR, now + 2 * HOUR - tick, now + 2 * HOUR)}
    assert list(found.values()) == ["planned", "planned", "running", "running", "over"]
    for moment, standing in found.items():
        assert [row.pk for row in voting_for(cast.paul, moment)] == ([made.pk] if standing == "running" else [])


@database
def test_who_sees_what(cast, now):
    mine, other = give(cast, now), give(cast, now, by=cast.sam, to="tina")
    seen = {
        name: set(delegations_seen_by(getattr(cast, name)).values_list("pk", flat=True)) for name in ("petra", "paul", "sam", "max", "ada", "aud")
    }
    both = {mine.pk, other.pk}
    assert seen == {"petra": {mine.pk}, "paul": {mine.pk}, "sam": {other.pk}, "max": set(), "ada": both, "aud": both}


# --- who is told ---


def told(kind=None):
    events = Event.objects.filter(action__startswith="delegation.").order_by("pk")
    Notification.objects.all().delete()
    for event in events.filter(action=kind) if kind else events:
        tell(event.pk)
        tell(event.pk)
    return {row.recipient.username: row for row in Notification.objects.filter(channel="app").select_related("recipient")}


@database
class TestTelling:
    def test_the_delegate_hears_of_a_planned_one_and_again_when_it_begins(self, cast, now):
        give(cast, now, starts_at=now + DAY, ends_at=now + 2 * DAY, reason="Holiday")
        assert begin_due_delegations(now=now) == 0
        first = told()
        assert first.keys() == {"paul"} and first["paul"].title == "You are to vote for Petra" and first["paul"].url == "/profile/delegations/"
        assert "From Sat 21 Nov 2026, 09:00 UTC to Sun 22 Nov 2026, 09:00 UTC." in first["paul"].text and "Reason: Holiday" in first["paul"].text
        assert (begin_due_delegations(now=now + DAY), begin_due_delegations(now=now + DAY + HOUR)) == (1, 0)
        begun = told("delegation.begun")
        assert begun.keys() == {"paul"} and begun["paul"].title == "You vote for Petra now" and "all votes" in begun["paul"].text

    def test_one_that_begins_at_once_is_told_once(self, cast, now):
        give(cast, now)
        assert kinds() == ["delegation.created", "delegation.begun"]
        assert told().keys() == {"paul"} and Notification.objects.filter(channel="app").count() == 1

    def test_what_was_missed_or_revoked_never_begins(self, cast, now):
        give(cast, now, starts_at=now + DAY, ends_at=now + 2 * DAY)
        revoke_delegation(give(cast, now, to="olga", starts_at=now + DAY, ends_at=now + 9 * DAY).pk, actor=cast.petra, now=now)
        assert begin_due_delegations(now=now + 3 * DAY) == 0

    def test_who_didn_t_do_it_hears_of_it(self, cast, now):
        made = give(cast, now, by=cast.ada, delegator="petra", starts_at=now + DAY)
        assert {name: row.title for name, row in told("delegation.created").items()} == {
            "paul": "You are to vote for Petra", "petra": "Paul is to vote for you",
        }  # fmt: skip
        change_delegation(made.pk, actor=cast.petra, now=now, ends_at=now + 3 * DAY)
        assert {name: row.title for name, row in told("delegation.changed").items()} == {
            "paul": "You vote for Petra until Mon 23 Nov 2026, 09:00 UTC"
        }
        revoke_delegation(made.pk, actor=cast.paul, now=now)
        assert {name: row.title for name, row in told("delegation.revoked").items()} == {"petra": "Paul votes for you no more"}

    def test_a_delegate_hears_of_one_for_a_change_that_they_don_t_see_yet(self, cast, seeded, now):
        change = a_change(cast.rita, now, confidential=True, owner=cast.petra)
        grant("view", cast.petra, change)
        give(cast, now, scope=("change", change.number), starts_at=now + DAY)
        assert told().keys() == {"paul"} and f"one change: {change.number}" in told()["paul"].text and "Move the ledger" not in told()["paul"].text


# --- the API ---


@pytest.fixture
def soon():
    """The API reads the clock: times from now on, as it writes them."""
    start = utc_now() + HOUR
    return {"starts_at": rfc3339(start), "ends_at": rfc3339(start + DAY)}


@database
class TestApi:
    def test_it_is_made_listed_read_changed_and_revoked(self, api, cast, seeded, soon):
        client = api(cast.petra)
        answer = client.post(HERE, {"delegate": "paul", **soon, "scope": {"kind": "chain", "value": "Normal change"}, "reason": "Holiday"})
        made = answer.json()
        assert answer.status_code == 201 and answer["Location"] == f"{HERE}{made['id']}/", made
        assert {name: made[name] for name in ("delegator", "delegate", "scope", "reason", "active", "starts_at")} == {
            "delegator": "petra", "delegate": "paul", "scope": {"kind": "chain", "value": "Normal change"}, "reason": "Holiday", "active": False,
            "starts_at": soon["starts_at"],
        }  # fmt: skip
        for who in (cast.petra, cast.paul, cast.ada, cast.aud):
            assert api(who).get(HERE).json()["results"] == [made] and api(who).get(f"{HERE}{made['id']}/").json() == made
        assert api(cast.max).get(HERE, {"count": "true"}).json() == {"next": None, "previous": None, "results": [], "count": 0}
        changed = client.patch(f"{HERE}{made['id']}/", {**made, "reason": "Longer"}).json()
        assert changed["reason"] == "Longer", changed
        assert client.delete(f"{HERE}{made['id']}/").status_code == client.delete(f"{HERE}{made['id']}/").status_code == 204
        kept = client.get(f"{HERE}{made['id']}/").json()
        assert (kept["active"], kept["revoked_by"]) == (False, "petra")
        assert client.patch(f"{HERE}{made['id']}/", {"reason": "x"}).status_code == 409

    def test_it_begins_now_and_covers_everything_unless_it_says(self, api, cast, soon):
        made = api(cast.petra).post(HERE, {"delegate": "paul", "ends_at": soon["ends_at"]}).json()
        assert made["active"] and made["scope"] == {"kind": "all", "value": None} and made["begun_at"]

    @pytest.mark.parametrize(
        "body",
        [
            {}, [], {"delegate": "paul"}, {"delegate": None}, {"delegate": ["paul"]}, {"delegate": 7}, {"delegate": "petra"}, {"delegate": "nobody"},
            {"delegate": "paul", "ends_at": "tomorrow"}, {"delegate": "paul", "ends_at": "2026-01-01T00:00:00"},
            {"delegate": "paul", "ends_at": "0001-01-01T00:00:00+14:00"}, {"delegate": "paul", "starts_at": "2020-01-01T00:00:00Z"},
            {"delegate": "paul", "scope": "all"}, {"delegate": "paul", "scope": {}}, {"delegate": "paul", "scope": None},
            {"delegate": "paul", "scope": {"kind": "all", "value": "x"}}, {"delegate": "paul", "scope": {"kind": "chain"}},
            {"delegate": "paul", "scope": {"kind": "chain", "value": "No such"}}, {"delegate": "paul", "scope": {"kind": "world"}},
            {"delegate": "paul", "scope": {"kind": "type", "value": ["normal"]}}, {"delegate": "paul", "scope": {"kind": "type", "value": "normal", "x": 1}},
            {"delegate": "paul", "reason": "x" * 301}, {"delegate": "paul", "reason": 7}, {"delegate": "paul", "out_of_office": "yes"},
            {"delegate": "paul", "active": True}, {"delegate": "paul", "revoked_at": None, "created_by": "ada"}, {"delegate": "paul", "colour": "red"},
            {"delegate": "paul", "out_of_office": True, "scope": {"kind": "type", "value": "normal"}},
        ],
    )  # fmt: skip
    def test_what_can_t_be_is_refused_and_nothing_is_kept(self, api, cast, seeded, soon, body):
        whole = {**soon, **body} if isinstance(body, dict) and body and body != {"delegate": "paul"} else body
        answer = api(cast.petra).post(HERE, whole)
        assert answer.status_code == 400, answer.content
        assert answer["Content-Type"] == "application/problem+json" and not Delegation.objects.exists()

    def test_the_field_that_is_wrong_is_named(self, api, cast, soon):
        answer = api(cast.petra).post(HERE, {"delegate": "petra", **soon}).json()
        assert list(answer["errors"]) == ["delegate"]

    def test_who_may_not_is_refused_before_the_body_is_read_and_it_is_on_record(self, api, cast, soon):
        robot = make_person("robot", is_service=True)
        for user in (cast.vera, cast.aud, robot):
            assert api(user).post(HERE, {}).status_code == 403
        assert api(cast.petra).post(HERE, {"delegate": "olga", "delegator": "sam", **soon}).status_code == 403
        assert api(cast.ada).post(HERE, {"delegate": "ada", "delegator": "sam", **soon}).status_code == 403
        assert api(cast.petra, scope="read").post(HERE, {"delegate": "paul", **soon}).status_code == 403
        assert Event.objects.filter(action="access.denied").count() >= 5 and not Delegation.objects.exists()
        assert api().post(HERE, {}).status_code == api().get(HERE).status_code == 401

    def test_strangers_get_404_and_who_holds_it_may_decline_only(self, api, cast, soon):
        made = api(cast.petra).post(HERE, {"delegate": "paul", **soon}).json()
        at = f"{HERE}{made['id']}/"
        for method in ("get", "patch", "delete"):
            assert getattr(api(cast.max), method)(at).status_code == getattr(api(cast.max), method)(f"{HERE}99999/").status_code == 404
        assert api(cast.paul).patch(at, {"ends_at": soon["ends_at"]}).status_code == 403
        assert api(cast.aud).delete(at).status_code == api(cast.aud).patch(at, {}).status_code == 403
        assert api(cast.petra).put(at, {}).status_code == 405
        assert api(cast.paul).delete(at).status_code == 204

    @pytest.mark.parametrize(
        "body",
        [
            {"delegate": "olga"},
            {"scope": {"kind": "type", "value": "major"}},
            {"delegator": "sam"},
            {"starts_at": "2027-01-01T00:00:00Z"},
            {"active": True},
        ],
    )
    def test_only_end_and_reason_change(self, api, cast, soon, body):
        made = api(cast.petra).post(HERE, {"delegate": "paul", **soon}).json()
        assert api(cast.petra).patch(f"{HERE}{made['id']}/", body).status_code == 400

    def test_the_list_asks_the_database_the_same_however_long_it_is(self, api, cast, now, django_assert_max_num_queries):
        people = [make_person(f"helper{number}") for number in range(12)]
        for number, helper in enumerate(people):
            give(cast, utc_now(), to=helper.username, ends_at=utc_now() + (number + 1) * DAY)
        client = api(cast.ada)
        with django_assert_max_num_queries(6):
            assert len(client.get(HERE).json()["results"]) == 12
        seen = client.get(HERE, {"ordering": "ends_at", "page_size": 5, "fields": "id,ends_at"}).json()["results"]
        assert len(seen) == 5 and seen[0].keys() == {"id", "ends_at"} and seen[0]["ends_at"] < seen[1]["ends_at"]


def link(*users):
    identity = Identity.objects.create(name="one human being")
    for user in users:
        user.identity = identity
        user.save()
