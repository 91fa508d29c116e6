"""Comparing: the pieces make up both sides again, equal things have no difference, and no text takes long."""

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.core.comparing import MOST_EDITS, Allowance, pieces_between, steps_between

texts = st.lists(st.sampled_from(["one ", "two ", "three. ", "four\n", "five; ", "six ", "seven, "]), max_size=40).map("".join)


@given(st.lists(st.integers(0, 3), max_size=14), st.lists(st.integers(0, 3), max_size=14))
def test_the_steps_make_both_sides_and_are_the_fewest(before, after):
    steps = steps_between(before, after)
    assert [entry for sign, entry in steps if sign != "+"] == before
    assert [entry for sign, entry in steps if sign != "-"] == after
    assert sum(sign == "=" for sign, _ in steps) == longest_common(before, after)


def longest_common(before, after):
    row = [0] * (len(after) + 1)
    for one in before:
        last = row[:]
        for place, two in enumerate(after):
            row[place + 1] = last[place] + 1 if one == two else max(row[place], last[place + 1])
    return row[-1]


@settings(deadline=None)
@given(texts | st.text(max_size=60), texts | st.text(max_size=60), st.integers(0, 2000))
def test_the_pieces_make_both_texts_however_little_may_be_spent(before, after, left):
    pieces = pieces_between(before, after, Allowance(left))
    assert "".join(text for sign, text in pieces if sign != "+") == before
    assert "".join(text for sign, text in pieces if sign != "-") == after


@given(texts)
def test_equal_texts_of_some_length_have_no_difference(text):
    if len(text.split()) >= 4:
        assert pieces_between(text, text) == [("=", text)]


def test_words_are_told_apart_within_the_line_that_changed():
    before = "Stop the queue and wait.\nCall the duty DBA at night.\nStart the queue again now.\n"
    pieces = pieces_between(before, before.replace("duty", "on-call"))
    assert [piece for piece in pieces if piece[0] != "="] == [("-", "duty "), ("+", "on-call ")]


def test_a_long_text_that_changed_in_two_places_is_still_told_word_by_word():
    before = "".join(f"Line {number} says that node {number} is drained and brought back.\n" for number in range(2000))
    after = before.replace("node 17 is", "node 17 was").replace("node 1900 is", "node 1900 was")
    assert len(before) > 100_000
    assert [text for sign, text in pieces_between(before, after) if sign != "="] == ["is ", "was ", "is ", "was "]


def test_one_long_line_is_told_by_sentences_and_words():
    before = " ".join(f"Sentence {number} says that node {number} is drained." for number in range(900))
    pieces = pieces_between(before, before.replace("node 40 is", "node 40 was"))
    assert [text for sign, text in pieces if sign != "="] == ["is ", "was "]


def test_what_differs_too_much_is_shown_whole_and_costs_no_more_than_is_allowed():
    allowance = Allowance()
    before, after = ("\n".join(f"{word} {number}" for number in range(5000)) for word in ("old", "new"))
    assert pieces_between(before, after, allowance) == [("-", before), ("+", after)]
    assert allowance.left >= 400_000 - (MOST_EDITS + 1) ** 2
    spent = Allowance(0)
    assert steps_between("ab", "cd", spent) is None
