"""Who is told, in what words, by properties."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.notifications.rules import MOST_PEOPLE, TELLINGS, Happened, filled, mentioned, messages, parts_needed, values_of

names = st.sampled_from(["rita", "max", "sam", "ian", "tina", "omar"])
people = st.fixed_dictionaries({}, optional={part: st.lists(names, max_size=4) for kind in TELLINGS for part in parts_needed(kind)})
values = st.dictionaries(st.sampled_from(["number", "title", "actor", "reason", "question", "text", "why", "level", "vote"]), st.text(max_size=400))


@settings(max_examples=80)
@given(st.sampled_from(sorted(TELLINGS)), people, names, values)
def test_nobody_is_told_what_they_did_and_everybody_told_has_a_part(kind, parts, actor, said):
    told = messages(Happened(kind, actor, said), parts)
    assert told.keys() <= {name for part in parts_needed(kind) for name in parts.get(part, ())}
    if not any(telling.even_actor for telling in TELLINGS[kind]):
        assert actor not in told
    assert all("\n" not in message.title and len(message.title) <= 300 for message in told.values())


@settings(max_examples=50)
@given(st.sampled_from(sorted(TELLINGS)), people, names)
def test_everybody_with_a_part_is_told_but_who_did_it(kind, parts, actor):
    told = messages(Happened(kind, actor, {}), parts)
    assert {name for part in parts_needed(kind) for name in parts.get(part, ())} - {actor} <= told.keys()


@given(st.text(string.printable, max_size=100))
def test_values_are_put_in_as_they_are_whatever_they_hold(text):
    assert filled("<%(text)s>", {"text": text}) == (f"<{text}>" if text else None)


def test_a_value_is_never_read_as_a_template():
    assert filled("%(title)s", {"title": "%(actor)s {0} {{7*7}} %s", "actor": "rita"}) == "%(actor)s {0} {{7*7}} %s"


def test_the_first_part_decides_the_words():
    happened = Happened("comment.added", "rita", {"actor": "Rita", "number": "CHG-1", "title": "T", "text": "Look, @sam"})
    told = messages(happened, {"mentioned": ["sam"], "watchers": ["sam", "ian"], "requester": ["rita"]})
    assert "mentioned you" in told["sam"].title and "commented" in told["ian"].title and "rita" not in told


def test_a_line_without_its_value_is_left_out():
    told = messages(Happened("change.cancelled", "max", {"number": "CHG-1", "title": "T", "actor": "Max"}), {"requester": ["rita"]})
    assert told["rita"].text == "By Max."


def test_a_flood_is_capped():
    told = messages(Happened("change.closed", "max", {"number": "C", "title": "T"}), {"watchers": [f"u{n}" for n in range(10_000)]})
    assert len(told) == MOST_PEOPLE


def test_names_are_found_where_they_are_written():
    assert mentioned("Hi @sam, and @tina.lead. Not mail@omar nor a@b; @sam again (@ian)") == ["sam", "tina.lead", "ian"]
    assert mentioned("@" * 50 + " @ @.") == []


def test_texts_name_only_values_that_events_have():
    known = {
        "number", "title", "actor", "risk", "reason", "comment", "question", "answer", "level", "why", "outcome", "version", "start", "end", "result", "conditions",
        "vote", "text", "step", "name", "first_bad", "kind", "percent", "due_at", "decision", "asked_by", "delegate", "delegator", "scope", "from", "chain",
        "source", "rows", "note", "settled_as",
    }  # fmt: skip
    texts = [text for tellings in TELLINGS.values() for telling in tellings for text in (telling.title, *telling.lines)]
    assert {name for text in texts for _, name, _, _ in [(0, word.partition(")")[0], 0, 0) for word in text.split("%(")[1:]]} <= known


def test_plain_values_are_taken_from_what_the_event_says():
    data = {"reason": "late", "steps": 3, "ok": False, "nested": {"a": 1}, "conditions": [{"text": "One", "owner": "ian"}, {"text": "Two"}]}
    assert values_of(data, actor="Max") == {"reason": "late", "steps": "3", "conditions": "One; Two", "actor": "Max"}
