"""Conditions written in rows."""

import pytest
from django import forms
from hypothesis import given, settings

from changemgmt.conditions.forms import ConditionField
from changemgmt.conditions.rules import Facts, check, holds
from changemgmt.conditions.written import condition_of, written_of

from .test_rules import conditions, facts, test_of


class Form(forms.Form):
    scope = ConditionField(custom=lambda: {"fast": "boolean", "size": "number"})


def sent(*rows, join="all", **more):
    data = {"scope-join": join, "scope-rows": str(len(rows)), **more}
    for index, (field, op, value, *rest) in enumerate(rows):
        data |= {f"scope-{index}-field": field, f"scope-{index}-op": op, f"scope-{index}-value": value}
        data |= {f"scope-{index}-group": rest[0]} if rest and rest[0] else {}
        data |= {f"scope-{index}-not": "1"} if len(rest) > 1 else {}
    return data


def cleaned(data):
    form = Form(data)
    assert form.is_valid(), form.errors
    return form.cleaned_data["scope"]


def test_no_row_means_everything():
    assert cleaned(sent()) == {} and cleaned(sent(("", "eq", ""), ("", "in", " "))) == {}


def test_rows_become_tests_of_the_right_kind():
    rows = [
        ("users", "gt", "10"),
        ("risk_score", "lt", "0.5"),
        ("layers", "in", 'business, "a, b"'),
        ("template", "is_set", "no"),
        ("custom.fast", "eq", "yes"),
    ]
    assert cleaned(sent(*rows)) == {
        "all": [
            test_of("users", "gt", 10), test_of("risk_score", "lt", 0.5), test_of("layers", "in", ["business", "a, b"]), test_of("template", "is_set", False),
            test_of("custom.fast", "eq", True),
        ]
    }  # fmt: skip


def test_letters_make_groups_and_ticks_negate():
    rows = [("users", "gt", "10"), ("type", "eq", "major", "A"), ("layers", "eq", "data", "A", "not")]
    wanted = {"all": [test_of("users", "gt", 10), {"any": [test_of("type", "eq", "major"), {"not": test_of("layers", "eq", "data")}]}]}
    assert cleaned(sent(*rows)) == wanted
    assert cleaned(sent(*rows, join="any")) == {"any": [wanted["all"][0], {"all": wanted["all"][1]["any"]}]}


def test_a_mistake_stands_at_its_row():
    form = Form(sent(("users", "gt", "10"), ("risk_level", "gte", "huge"), ("", "eq", "lost")))
    assert not form.is_valid()
    assert form.errors["scope"] == ["Row 2: Give one of low, medium, high, very_high.", "Row 3: Choose a field."]
    page = str(form["scope"])
    assert page.count('class="errors"') == 2 and "Give one of low" in page and 'value="10"' in page


@pytest.mark.parametrize(
    "data",
    [
        {"scope-join": "none", "scope-rows": "-5"},
        {"scope-join": "all", "scope-rows": "999999999999"},
        sent(("__class__", "eq", "x")),
        sent(("users", "drop table", "x")),
        {"scope-join": "all", "scope-rows": "0", "scope-kept": "{" * 9000},
        {"scope-join": "all", "scope-rows": "0", "scope-kept": '{"all": 3}'},
    ],
)
def test_hostile_posts_are_refused_or_empty_and_never_break(data):
    form = Form(data)
    assert not form.is_valid() or form.cleaned_data["scope"] == {}
    str(form["scope"])


def test_what_nests_deeper_is_shown_in_words_and_kept_as_it_is():
    deep = {"any": [{"all": [{"any": [test_of("type", "eq", "major")]}]}]}
    page = str(Form(initial={"scope": deep})["scope"])
    assert "kept as it is" in page and "Type is major" in page
    kept = {"scope-join": "all", "scope-rows": "0", "scope-kept": '{"any": [{"all": [{"any": [{"field": "type", "op": "eq", "value": "major"}]}]}]}'}
    assert cleaned(kept) == deep
    assert cleaned({**kept, "scope-clear": "1"}) == {}


def test_an_unchanged_form_is_not_changed():
    for condition in ({}, test_of("type", "eq", "major"), {"all": [test_of("users", "gt", 3)]}, {"not": test_of("users", "gt", 3)}):
        form = Form(posted(condition), initial={"scope": condition})
        assert form.is_valid() and form.cleaned_data["scope"] == condition and not form.has_changed()
    assert Form(sent(("users", "gt", "4")), initial={"scope": {"all": [test_of("users", "gt", 3)]}}).has_changed()


def posted(condition):
    """What a browser sends back for a form drawn from this condition."""
    written = written_of(condition)
    rows = [(row.field, row.op, row.value, row.group, *(["not"] if row.negated else [])) for row in written.rows]
    return sent(*rows, join=written.join, **({"scope-bare": "1"} if written.bare else {}))


@settings(max_examples=150, deadline=None)
@given(conditions, facts)
def test_rows_and_back_is_the_same_condition(condition, one):
    if check(condition):
        return
    written = written_of(condition)
    back = written.kept if written.kept is not None else condition_of(written)[0]
    assert holds(back, one) is holds(condition, one)
    assert back == condition or not condition or condition in ({"all": []},)


def test_facts_are_frozen():
    with pytest.raises(AttributeError):
        Facts().type = "x"
