"""The canonical text: one text per value, whatever order or form it came in."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.core.canonical import canonical, digest, plain
from changemgmt.core.diff import differences

scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_the_text_reads_back_as_the_plain_value(value):
    assert json.loads(canonical(value)) == plain(value)


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6))
def test_the_order_of_keys_does_not_matter(value):
    assert canonical(value) == canonical(dict(reversed(value.items())))


def test_two_spellings_of_one_letter_are_one_text():
    assert digest("e\u0301") == digest("\u00e9")


def test_a_time_is_written_in_utc_whatever_its_zone():
    moment = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
    assert canonical(moment) == canonical(moment.astimezone(timezone(timedelta(hours=5)))) == '"2026-11-22T02:00:00.000000Z"'


def test_amounts_that_are_equal_have_one_text():
    assert canonical(Decimal("1200.00")) == canonical(Decimal("1200")) == '"1200"'


def test_what_is_not_plain_data_is_refused():
    with pytest.raises(TypeError):
        canonical(object())


@given(values)
def test_the_difference_of_equal_values_is_empty(value):
    assert differences(value, value) == []


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_different_values_have_a_difference_that_names_both_sides(before, after):
    found = differences(before, after)
    assert bool(found) or before == after or all(entry in (None, {}) for entry in [*before.values(), *after.values()])
    mirrored = [(row.path, row.after, row.before) for row in differences(after, before)]
    assert [(row.path, row.before, row.after) for row in found] == mirrored
