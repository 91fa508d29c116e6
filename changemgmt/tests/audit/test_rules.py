"""The form of the record, by properties."""

import json
from datetime import UTC, datetime
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.audit.rules import MASK, Act, Personal, commit, commitment_of, commitments, hash_of, reveal, secret, short, text_of
from changemgmt.core.canonical import plain

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
words = st.text(max_size=20)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)
with_personal = st.recursive(
    st.none() | st.integers() | words | st.builds(Personal, words | st.lists(words, max_size=2)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)


def salts():
    numbers = count()
    return lambda: f"{next(numbers):032x}"


def act(data, **more):
    return Act(action="change.updated", object="change:A", at=AT, actor="rita", data=data, **more)


def cleared(value):
    """What a reader should see: personal values as they are."""
    match value:
        case Personal():
            return cleared(value.value)
        case dict():
            return {key: cleared(item) for key, item in value.items()}
        case list():
            return [cleared(item) for item in value]
        case str():
            return "".join("\ufffd" if sign == "\0" or "\ud800" <= sign <= "\udfff" else sign for sign in value)
    return value


@settings(max_examples=60)
@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), plain_values, max_size=4))
def test_equal_acts_have_equal_texts_and_the_text_is_canonical(data):
    one, _ = text_of(act(data), "A", 1, salts())
    other, _ = text_of(act(dict(reversed(data.items()))), "A", 1, salts())
    assert one == other == json.dumps(json.loads(one), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(one)["data"] == plain(cleared(data))


@settings(max_examples=60)
@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), with_personal, max_size=4))
def test_what_was_hidden_is_revealed_by_its_clear_values(data):
    text, clears = text_of(act(data), "A", 1, salts())
    body = reveal(json.loads(text), {clear.path: clear.value for clear in clears})
    assert plain(body["data"]) == plain(cleared(data))
    assert body["actor"] == "rita"


@settings(max_examples=60)
@given(with_personal)
def test_every_commitment_opens_with_its_clear_value_and_no_other(value):
    shown, clears = commit(value, "data", salts())
    held = dict(commitments(shown, "data"))
    assert held.keys() == {clear.path for clear in clears}
    assert all(held[clear.path] == commitment_of(clear.salt, clear.value) for clear in clears)
    assert all(held[clear.path] != commitment_of(clear.salt, clear.value + "x") for clear in clears)


@settings(max_examples=40)
@given(st.text("abcdefghij", min_size=4, max_size=20))
def test_a_personal_value_never_stands_in_the_text(word):
    name = f"Person {word}"
    text, _ = text_of(act({"who": Personal(name)}), "A", 1, salts())
    assert name not in text


def test_the_same_value_is_committed_differently_each_time():
    shown, _ = commit([Personal("rita"), Personal("rita")], "data", salts())
    assert shown[0] != shown[1]


def test_the_hash_is_the_published_formula():
    import hashlib

    assert hash_of("0" * 64, "{}") == hashlib.sha256(("0" * 64 + "\n{}").encode()).hexdigest()


@settings(max_examples=40)
@given(
    st.sampled_from(["password", "api_token", "clientSecret", "key_hash", "Authorization", "private_key", "tokens"]),
    st.text("abcdefghij0123", min_size=4, max_size=20),
)
def test_a_secret_is_masked_wherever_it_stands(name, value):
    moved = {"path": f"x.{name}", "before": f"<{value}>", "after": f"<{value}>2"}
    text, _ = text_of(act({"deep": [{name: f"<{value}>"}]}, differences=(moved,)), "A", 1, salts())
    assert f"<{value}>" not in text and MASK in text


def test_what_is_only_about_a_secret_is_not_one():
    assert not any(map(secret, ["token_id", "token_name", "key", "title", "description", "author", "broken", "keyboard"]))


def test_a_long_path_is_kept_short_and_apart():
    assert len(short("x" * 500)) == 120 and short("x" * 500) != short("x" * 501) and short("x.y") == "x.y"


def test_no_float_stands_in_a_text():
    text, _ = text_of(act({"score": 0.1 + 0.2}), "A", 1, salts())
    assert json.loads(text)["data"] == {"score": "0.3"}
