"""Whether a level can pass with the people there are, against trying every way they could sit."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.approvals.proof.seats import Place, passes, weak_points
from changemgmt.approvals.rules import PASSED, LevelRule, SeatVote, tally

PEOPLE = ("a", "b", "c", "d")
places = st.lists(
    st.builds(
        Place,
        st.integers(0, 3),
        st.sampled_from(("voter", "veto", "deciding", "advisory")),
        st.integers(1, 4),
        st.frozensets(st.sampled_from(PEOPLE), max_size=3),
    ),
    min_size=1,
    max_size=4,
)
rules = st.one_of(
    st.just({"kind": "all", "value": None}),
    st.just({"kind": "any", "value": None}),
    st.builds(lambda value: {"kind": "count", "value": value}, st.integers(1, 4)),
    st.builds(lambda value: {"kind": "percent", "value": value}, st.integers(1, 100)),
    st.builds(lambda value: {"kind": "weight", "value": value}, st.integers(1, 9)),
)
groups = st.frozensets(st.sampled_from(PEOPLE), max_size=3)


def some_way(rule, seats, without):
    """Is there any way to sit, nobody twice, in which everybody who sits approves and the level passes?"""
    for sitting in product(*[[None, *sorted(one.people - without)] if one.power != "advisory" else [None] for one in seats]):
        taken = [person for person in sitting if person]
        votes = [SeatVote(one.power, one.weight, "approve" if person else None) for one, person in zip(seats, sitting, strict=True)]
        if len(taken) == len(set(taken)) and tally(LevelRule(**rule), votes).outcome in PASSED:
            return True
    return False


@settings(max_examples=400, deadline=None)
@given(rules, places, groups)
def test_a_level_passes_where_some_way_to_sit_makes_it_pass(rule, seats, without):
    assert passes(rule, seats, without=without)[0] is some_way(rule, seats, without)


@settings(max_examples=300, deadline=None)
@given(rules, places, groups, groups)
def test_weak_points_are_the_people_without_whom_no_way_is_left(rule, seats, requesters, implementers):
    if not passes(rule, seats)[0]:
        return
    found = {who for who, _ in weak_points(rule, seats, requesters, implementers)}
    for person in requesters | implementers:
        assert (frozenset({person}) in found) is not some_way(rule, seats, frozenset({person}))
    for pair in (frozenset({one, other}) for one in requesters for other in implementers if one != other):
        alone = any(frozenset({person}) in found for person in pair)
        if not alone:
            assert (pair in found) is not some_way(rule, seats, pair)
