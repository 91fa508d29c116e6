"""What people write is taken as it is, or refused with what would be right."""

import pytest

from changemgmt.core.errors import Invalid
from changemgmt.core.text import LONGEST, given_text


@pytest.mark.parametrize("value", ["", "x", "Grüezi, 東京", "a\nb\tc", "\U0001f600", "x" * LONGEST])
def test_what_can_be_stored_is_taken(value):
    assert given_text(f"  {value}  " if len(value) < LONGEST else value, "reason") == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "Give text"), (5, "Give text"), (["x"], "Give text"), ({}, "Give text"), (True, "Give text"),
        ("a\x00b", "can't be stored"), ("\ud800", "can't be stored"), ("x\udfff", "can't be stored"), ("x" * (LONGEST + 1), "20,000 characters; this has 20,001"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_at_its_field(value, words):
    with pytest.raises(Invalid) as refused:
        given_text(value, "reason")
    assert words in refused.value.errors["reason"][0]


def test_an_empty_text_is_refused_where_one_is_needed():
    with pytest.raises(Invalid):
        given_text(" \n ", "text", required=True)
