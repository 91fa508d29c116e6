"""The small parts: patches, plan rows, words for times, marks of a difference."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.architecture.rules import merge_patch
from changemgmt.core.comparing import Allowance, pieces_between
from changemgmt.core.markdown import to_html, to_text
from changemgmt.preview.capture import patch_between
from changemgmt.preview.differing import Row
from changemgmt.templatetags.design import duration_words, seats
from changemgmt.web.diff import around, cut, groups_of, shown
from changemgmt.web.plan import new_id

values = st.recursive(
    st.integers() | st.text(max_size=5) | st.booleans(), lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(st.text(max_size=3), values, max_size=4)


@settings(max_examples=60, deadline=None)
@given(objects, objects)
def test_a_patch_makes_the_one_of_the_other(base, wanted):
    assert merge_patch(base, patch_between(base, wanted)) == wanted


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 min"), (59 * 60, "59 min"), (3600, "1 h"), (5 * 3600 + 18 * 60, "5 h 18 min"), (2 * 86400 + 4 * 3600, "2 d 4 h")]
)
def test_durations_are_said_in_two_units(seconds, words):
    assert duration_words(seconds) == words


def draw(text, **context):
    return Template("{% load design %}" + text).render(Context(context))


def test_a_moment_stands_in_the_viewers_zone_with_utc_in_its_title():
    import zoneinfo

    with timezone.override(zoneinfo.ZoneInfo("Europe/Oslo")):
        html = draw("{% when moment %}", moment=datetime(2020, 11, 22, 1, 0, tzinfo=UTC))
    assert "Sun 22 Nov 2020, 02:00" in html and 'title="2020-11-22 01:00:00 UTC"' in html


def test_a_clock_is_loud_only_when_it_is_near():
    now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    look = {
        hours: draw("{% sla due opened %}", due=now + timedelta(hours=hours), opened=now - timedelta(hours=1), server_now=now)
        for hours in (0.5, 5, 48, -1)
    }
    assert "sla now" in look[0.5] and "sla soon" in look[5] and 'class="sla "' in look[48] and "Late by 1 h" in look[-1]


def test_names_are_escaped_wherever_they_stand():
    html = draw("{% person who %}{% state_chip state %}{% icon name %}", who="<b>", state="<i>", name='"><x', people={})
    assert "<b>" not in html and "<i>" not in html and "<x" not in html


def test_seats_say_what_they_show():
    level = {
        "name": "CAB",
        "state": "open",
        "seats": [{"id": 1, "state": "voted", "people": ["a"]}, {"id": 2, "state": "open", "people": ["me"]}],
        "votes": [{"seat": 1, "vote": "approve", "conditions": [], "superseded": False}],
    }
    waiting = level | {"name": "Board", "state": "waiting", "votes": []}
    html = seats([level, waiting], "me")
    assert 'class="seat y"' in html and 'class="seat w you"' in html and "+2" in html and "CAB: 1 approved" in html


def test_changed_words_are_marked_and_equal_updates_are_folded():
    row = Row("note", "note", "Switch over by hand and call", "Switch over with care and call")
    side, unified = (shown(row, None, Allowance(), view) for view in ("side", "unified"))
    assert "<del>by hand " in side.before and "<ins>with care " in side.after and "<span>Switch over </span>" in side.before
    assert unified.both == "<span>Switch over </span><del>by hand </del><ins>with care </ins><span>and call</span>"
    field = {"path": "attributes.version", "before": "15.8", "after": "16.6"}
    same = [{"key": key, "operation": "update", "fields": [field]} for key in ("a", "b")]
    folded, left = groups_of({"components": same, "relations": []}, [], {"a": "A"})
    assert left == 0
    assert [group.names for group in folded] == [["A", "b"]]
    drifted, _ = groups_of({"components": same, "relations": []}, [{"key": "a", "field": "attributes.version"}], {})
    assert len(drifted) == 2 and drifted[0].fields[0].drift


def test_of_a_long_text_what_stayed_the_same_is_left_out_and_said_so():
    assert around("x" * 200, False, False) == "x" * 200
    assert around("<" * 900, False, False) == "&lt;" * 120 + '<i class="same">… 660 characters the same …</i>' + "&lt;" * 120
    assert around("a" * 300, True, False).startswith('<i class="same">… 180 characters') and around("a" * 300, False, True).endswith("…</i>")
    assert cut("y" * 5000).startswith("y" * 4000 + "… and 1000 more characters")


def test_ids_of_steps_are_made_of_their_names():
    assert new_id("Upgrade pg-core!", set()) == "upgrade-pg-core"
    assert new_id("Upgrade pg-core!", {"upgrade-pg-core"}) == "upgrade-pg-core-2"


def test_markdown_comes_out_clean():
    html = to_html("# Head\n\n<img src=x onerror=y> [a](javascript:z) ![p](https://elsewhere/p.png) ![q](/q.png) | a | b |\n")
    assert (
        "<h1" not in html
        and "onerror=y>" not in html.replace("&gt;", "")
        and "javascript" not in html.split("</p>")[0].replace("[a](javascript:z)", "")
    )
    assert "elsewhere" not in html and 'src="/q.png"' in html
    assert to_text("**Support** ends on *30 Nov*.") == "Support ends on 30 Nov."


def test_a_text_of_marks_is_compared_in_the_time_of_its_length():
    """A longest match from every mark on takes the square of it: minutes for what one attribute may hold."""
    before = "one two three four " + "!" * 200_000 + "x"
    pieces = pieces_between(before, before.replace("one", "six", 1))
    assert "".join(text for sign, text in pieces if sign != "+") == before
