"""Chains as an administrator writes them: in the admin, as files, and by one administrator and another."""

import json
import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from changemgmt.accounts.models import Team
from changemgmt.approvals.chains import chain_shape, draft_of
from changemgmt.approvals.models import Chain
from changemgmt.changes.models import Category
from changemgmt.core.errors import NotPermitted
from changemgmt.lifecycle.configure_chain import activate_chain, save_chain

pytestmark = pytest.mark.django_db


def level_form(index, **more):
    """What the browser sends of one level."""
    prefix = f"levels-{index}"
    fields = {
        "id": "", "chain": "", "number": "1", "name": "Board", "rule_kind": "count", "rule_value": "2", "sla_hours": "24", "expires_hours": "",
        "on_timeout": "escalate", "reminders": "50, 75, 90",
        "allow_conditions": "on", "require_comment_on_reject": "on", "watches": ["items", "plan"], "applies_when-join": "all", "applies_when-rows": "0",
        "seats-rows": "2", "seats-0-label": "Lead", "seats-0-kind": "group", "seats-0-who": "technical_lead", "seats-0-power": "veto", "seats-0-weight": "1",
        "seats-0-required": "1", "seats-1-label": "Peer", "seats-1-kind": "group", "seats-1-who": "approver", "seats-1-power": "voter", "seats-1-weight": "1",
        "seats-1-required": "1",
    }  # fmt: skip
    return {f"{prefix}-{name}": value for name, value in (fields | more).items()}


def chain_form(*levels, **more):
    management = {"levels-TOTAL_FORMS": str(len(levels)), "levels-INITIAL_FORMS": "0", "levels-MIN_NUM_FORMS": "1", "levels-MAX_NUM_FORMS": "1000"}
    condition = {
        "applies_when-join": "all",
        "applies_when-rows": "1",
        "applies_when-0-field": "type",
        "applies_when-0-op": "eq",
        "applies_when-0-value": "normal",
    }
    data = {"name": "From the admin", "order": "7", "active": "on", **condition, **management}
    for level in levels:
        data |= level
    return data | more


def mistakes_of(page):
    formset = page.context["inline_admin_formsets"][0].formset
    return page.context["adminform"].form.errors, formset.errors, formset.non_form_errors()


@pytest.fixture
def ada(client, cast, seeded):
    client.force_login(cast.ada)
    return client


def test_an_administrator_configures_a_chain_with_levels_and_seats_in_one_form(ada):
    assert ada.get("/admin/changemgmt/chain/add/").status_code == 200
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0)))
    assert answer.status_code == 302, mistakes_of(answer)
    shape = chain_shape(Chain.objects.get(name="From the admin"))
    assert "'value': 'normal'" in str(shape["applies_when"])
    assert shape["levels"][0]["rule"] == {"kind": "count", "value": 2}
    assert shape["levels"][0]["watches"] == ["items", "plan"]
    assert shape["levels"][0]["seats"][0] == {"label": "Lead", "group": "technical_lead", "power": "veto", "weight": 1, "required": 1}
    assert (shape["active"], shape["pending"]) == (False, True)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ({"rule_value": "3"}, "can&#x27;t be met"),
        ({"rule_value": ""}, "whole number"),
        ({"seats-0-who": "astronauts"}, "There is no group astronauts"),
        ({"seats-0-kind": "dynamic", "seats-0-who": "tarot"}, "Use requester_manager"),
        ({"seats-rows": "0"}, "Say whom this level asks"),
        ({"applies_when-rows": "1", "applies_when-0-field": "risk_score", "applies_when-0-op": "gt", "applies_when-0-value": "much"}, "Row 1"),
    ],
)
def test_a_mistake_stands_at_its_field_and_nothing_is_stored(ada, level, words):
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, **level)))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Chain.objects.filter(name="From the admin").exists()


def test_all_mistakes_are_told_in_one_round(ada):
    wrong = {
        "seats-0-who": "astronauts", "sla_hours": "soon", "reminders": "often", "rule_value": "", "applies_when-rows": "3",
        "applies_when-0-field": "users", "applies_when-0-op": "gt", "applies_when-0-value": "9", "applies_when-1-field": "type",
        "applies_when-1-op": "eq", "applies_when-1-value": "normall",
    }  # fmt: skip
    page = ada.post(
        "/admin/changemgmt/chain/add/", chain_form(level_form(0, **wrong), level_form(1), level_form(2, number="", name="Third"), name="")
    )
    chain, levels, whole = mistakes_of(page)
    assert set(chain) == {"name"} and "Board is there twice" in str(whole)
    assert set(levels[0]) == {"seats", "sla_hours", "reminders", "rule_value", "applies_when"}
    assert (levels[1], set(levels[2])) == ({}, {"number"})
    assert levels[0]["seats"] == ["Row 1, group: There is no group astronauts."]
    words = page.content.decode()
    assert words.count('<tr class="errors" data-condition-row>') == 1 and words.count('<tbody data-order-row class="errors">') == 1


def test_a_new_level_comes_with_the_next_number(ada):
    assert ada.get("/admin/changemgmt/chain/add/").context["inline_admin_formsets"][0].formset.forms[0]["number"].value() == 1
    chain = Chain.objects.get(name="Major change")
    sent = as_sent(ada.get(f"/admin/changemgmt/chain/{chain.pk}/change/"))
    page = ada.post(f"/admin/changemgmt/chain/{chain.pk}/change/", sent | {"levels-TOTAL_FORMS": "3", "name": ""})
    last = max(level.number for level in chain.levels.all())
    assert page.context["inline_admin_formsets"][0].formset.forms[2]["number"].value() is None
    assert page.context["inline_admin_formsets"][0].formset.forms[2].fields["number"].initial == last + 1


def test_who_can_be_asked_and_the_values_of_conditions_are_offered(ada, cast):
    cast.vera.is_active = False
    cast.vera.save()
    cast.tina.first_name, cast.tina.last_name = "Tina", "Tester"
    cast.tina.save()
    Team.objects.create(slug="dba", name="Database people")
    page = ada.get("/admin/changemgmt/chain/add/")
    words = page.content.decode()
    for option in (
        ("user", "tina", "Tina Tester"),
        ("group", "ecab", "group"),
        ("dynamic", "on_call:dba", "Database people"),
        ("dynamic", "unit_head", "found by"),
    ):
        assert '<option value="{1}" data-kind="{0}" label="{2}"></option>'.format(*option) in words
    assert 'value="vera"' not in words
    assert set(Category.objects.values_list("slug", flat=True)) == set(json.loads(page.context["offers"])["category"]) != set()


def test_levels_say_on_the_form_beside_what_they_run(ada):
    answer = ada.post(
        "/admin/changemgmt/chain/add/",
        chain_form(level_form(0, name="Peer"), level_form(1, number="2", name="Manager"), level_form(2, number="2", name="CAB", sla_hours="x")),
    )
    assert [form.beside for form in answer.context["inline_admin_formsets"][0].formset.forms] == [[], ["CAB"], ["Manager"]]
    assert answer.content.decode().count("Runs beside: CAB") == 1


def test_two_levels_of_one_name_are_refused(ada):
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0), level_form(1)))
    assert "is there twice" in answer.content.decode()


def test_a_stored_chain_opens_in_the_form_as_it_was_and_saves_unchanged(ada):
    chain = Chain.objects.get(name="Normal change")
    before = chain_shape(chain)
    page = ada.get(f"/admin/changemgmt/chain/{chain.pk}/change/")
    assert page.status_code == 200
    assert "Security Lead" in page.content.decode()
    assert "Nothing: an end can be reached" in page.content.decode()
    ada.post(f"/admin/changemgmt/chain/{chain.pk}/change/", as_sent(page))
    assert chain_shape(Chain.objects.get(pk=chain.pk)) == before


class Sent(HTMLParser):
    """What a browser would send of the fields of a page."""

    def __init__(self):
        super().__init__()
        self.found, self.select = [], ""

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "select":
            self.select, self.first = name, True
        elif tag == "option" and self.select and ("selected" in given or self.first):
            self.found = [(one, value) for one, value in self.found if one != self.select] + [(self.select, given.get("value", ""))]
            self.first = False
        elif tag == "input" and name and kind not in ("submit", "button") and (kind not in ("checkbox", "radio") or "checked" in given):
            self.found.append((name, given.get("value", "on")))

    def handle_endtag(self, tag):
        self.select = "" if tag == "select" else self.select


def as_sent(page):
    """The fields of the forms as they are drawn, as if nothing was touched."""
    sent = Sent()
    sent.feed(page.content.decode())
    data = {}
    for name, value in sent.found:
        if "__prefix__" not in name:
            data.setdefault(name, []).append(value)
    return data


def test_clocks_and_switches_of_a_level_are_set_in_the_form(ada):
    more = {
        "on_timeout": "reject", "reminders": "25 %, 80", "expires_hours": "200", "require_signature": "on", "allow_guests": "on", "allow_conditions": "",
        "require_comment_on_reject": "",
    }  # fmt: skip
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, **more)))
    assert answer.status_code == 302, mistakes_of(answer)
    level = chain_shape(Chain.objects.get(name="From the admin"))["levels"][0]
    assert (level["on_timeout"], level["reminders"], level["expires_hours"]) == ("reject", [25, 80], 200)
    assert (level["require_signature"], level["allow_guests"], level["allow_conditions"], level["require_comment_on_reject"]) == (
        True,
        True,
        False,
        False,
    )


@pytest.mark.parametrize("written", ["often", "0, 50", "50; 75", "101", "-1", "1e1"])
def test_reminders_that_are_no_percentages_are_refused_at_their_field(ada, written):
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, reminders=written)))
    assert "Write whole percentages" in str(answer.context["inline_admin_formsets"][0].formset.errors[0]["reminders"])


def test_seats_are_stored_by_the_places_written(ada):
    ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, **{"seats-0-position": "2", "seats-1-position": "1"})))
    assert [seat["label"] for seat in draft_of(Chain.objects.get(name="From the admin"))["levels"][0]["seats"]] == ["Peer", "Lead"]


def test_levels_are_stored_by_their_numbers(ada):
    ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, number="2"), level_form(1, number="1", name="First")))
    assert [level["name"] for level in draft_of(Chain.objects.get(name="From the admin"))["levels"]] == ["First", "Board"]


def test_what_the_prover_finds_stands_at_its_field_its_row_and_in_the_summary(ada):
    twice = {"seats-1-who": "technical_lead", "reminders": "90, 50"}
    gap = {
        "applies_when-rows": "1",
        "applies_when-0-field": "risk_level",
        "applies_when-0-op": "in",
        "applies_when-0-value": "low, medium, high, very_high",
    }
    answer = ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, **twice, **gap)))
    chain = Chain.objects.get(name="From the admin")
    assert answer.url == f"/admin/changemgmt/chain/{chain.pk}/change/"  # errors: back to the chain, whatever button was pressed
    page = ada.get(answer.url)
    words = page.content.decode()
    assert "be activated yet: the prover finds 2 error(s)" in words
    level = page.context["inline_admin_formsets"][0].formset.initial_forms[0]
    assert "rising order" in level.fields["reminders"].findings[0]["message"]
    assert "Needed on two seats" in level.fields["seats"].widget.notes[1][0]["message"]
    assert "holds of every change" in level.fields["applies_when"].findings[0]["message"] or level.fields["applies_when"].widget.notes
    assert words.count("Write the reminders in rising order") == 2  # at the field and in the summary
    assert 'href="#id_levels-0-reminders"' in words


def test_a_finding_inside_a_condition_stands_at_its_row(ada):
    rows = {
        "applies_when-rows": "2", "applies_when-1-field": "risk_level", "applies_when-1-op": "in", "applies_when-1-value": "low, medium, high, very_high",
    }  # fmt: skip
    ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0), **rows))
    chain = Chain.objects.get(name="From the admin")
    page = ada.get(f"/admin/changemgmt/chain/{chain.pk}/change/")
    assert "always holds" in page.context["adminform"].form.fields["applies_when"].widget.notes[1][0]["message"]
    assert "applies when, row 2" in page.content.decode()


def test_a_chain_with_errors_is_not_activated_in_the_admin_either(ada, client, cast):
    ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0, **{"seats-1-who": "technical_lead"})))
    chain = Chain.objects.get(name="From the admin")
    client.force_login(cast.otto)
    page = client.post("/admin/changemgmt/chain/", confirmed(client, chain), follow=True)
    assert "mistake(s)" in page.content.decode()
    assert Chain.objects.get(pk=chain.pk).in_force is None


def test_the_page_of_a_chain_stays_within_its_queries(ada, django_assert_max_num_queries):
    chain = Chain.objects.get(name="High priority change")
    with django_assert_max_num_queries(60):
        ada.get(f"/admin/changemgmt/chain/{chain.pk}/change/")


def test_activation_in_the_admin_is_for_another_administrator(ada, client, cast):
    ada.post("/admin/changemgmt/chain/add/", chain_form(level_form(0)))
    chain = Chain.objects.get(name="From the admin")
    ada.post("/admin/changemgmt/chain/", confirmed(ada, chain))
    assert Chain.objects.get(pk=chain.pk).in_force is None
    client.force_login(cast.otto)
    client.post("/admin/changemgmt/chain/", confirmed(client, chain))
    assert Chain.objects.get(pk=chain.pk).in_force["active"]


def test_activation_in_the_admin_shows_what_it_changes_and_is_bound_to_that(ada, client, cast, now):
    chain = Chain.objects.get(name="High priority change")
    ada_too = save_chain(chain.pk, {"order": 31}, actor=cast.ada, now=now, partial=True)
    client.force_login(cast.otto)
    seen = confirmed(client, chain)
    assert Chain.objects.get(pk=chain.pk).version == chain.version, "the first page only asks"
    save_chain(chain.pk, {"order": 32}, actor=cast.ada, now=now, partial=True)
    page = client.post("/admin/changemgmt/chain/", seen, follow=True).content.decode()
    assert "was edited after you looked" in page and Chain.objects.get(pk=chain.pk).version == ada_too.version
    client.post("/admin/changemgmt/chain/", confirmed(client, chain))
    assert Chain.objects.get(pk=chain.pk).in_force["order"] == 32


def asked(browser, *chains):
    """The page that asks before chains are put into force, as the words on it."""
    page = browser.post("/admin/changemgmt/chain/", {"action": "activate", "_selected_action": [str(chain.pk) for chain in chains]}).content.decode()
    return " ".join(re.sub(r"<[^>]*>", " ", page[page.index('id="content"') :]).split())


def test_the_page_that_asks_before_an_activation_speaks_as_the_form_does(ada, cast, now):
    chain = Chain.objects.get(name="Normal change")
    levels = draft_of(chain)["levels"]
    levels[0] |= {"require_signature": True, "sla_hours": 12, "reminders": [], "rule": {"kind": "count", "value": 1}, "on_timeout": "reject"}
    levels[0]["seats"].append({"label": "DBA", "user": "tina", "power": "veto", "weight": 1, "required": 1})
    condition = {"all": [{"field": "type", "op": "eq", "value": "normal"}, {"field": "risk_score", "op": "gte", "value": 40}]}
    save_chain(chain.pk, {"applies_when": condition, "levels": [*levels[:-1], levels[-1] | {"name": "Board"}]}, actor=cast.ada, now=now, partial=True)
    words = asked(ada, chain)
    assert f"Saved by {cast.ada.display_name} on {now.day} {now:%b %Y, %H:%M} UTC." in words
    assert "Applies when everything Type is normal and Risk score is at least 40" in words
    assert f"Level “{levels[0]['name']}” Setting In force Saved" in words and "Rule any one at least 1" in words
    assert "Time to decide, hours 24 12" in words and "50 %, 75 %, 90 % none" in words and "reject by itself" in words
    assert "Require signature no yes" in words and "Asks: DBA – person tina, voter with veto" in words
    assert "Level “Board” – new" in words and f"Level “{levels[-1]['name']}” – taken away" in words
    assert not re.search(r"[{}\[\]]|\bTrue\b|\bFalse\b|\bNone\b|applies_when|sla_hours", words)


def test_the_page_that_asks_says_what_the_prover_finds_and_that_errors_refuse(ada, cast, now):
    chain = Chain.objects.get(name="Normal change")
    levels = draft_of(chain)["levels"]
    save_chain(chain.pk, {"levels": [levels[0] | {"reminders": [90, 50]}, *levels[1:]]}, actor=cast.ada, now=now, partial=True)
    assert "None of it refuses activation. Warning at Level “Peer review”, reminders, percent: Write the reminders in rising order" in asked(
        ada, chain
    )
    twice = levels[0]["seats"][0] | {"label": "Again"}
    save_chain(chain.pk, {"levels": [levels[0] | {"seats": [twice], "on_timeout": "approve"}, *levels[1:]]}, actor=cast.ada, now=now, partial=True)
    assert "Errors refuse activation" in asked(ada, chain)


def test_the_order_of_seats_alone_is_a_difference_that_is_shown(ada, cast, now):
    chain = Chain.objects.get(name="Normal change")
    levels = draft_of(chain)["levels"]
    level = max(levels, key=lambda one: len(one["seats"]))
    level["seats"].reverse()
    save_chain(chain.pk, {"levels": levels}, actor=cast.ada, now=now, partial=True)
    order = [seat["label"] for seat in level["seats"]]
    assert f"Order of the seats {', '.join(reversed(order))} {', '.join(order)}" in asked(ada, chain)
    assert "Nothing differs from what is in force." in asked(ada, Chain.objects.get(name="Major change"))


def confirmed(browser, chain):
    """What the page that asks sends when the answer is yes."""
    act = {"action": "activate", "_selected_action": [str(chain.pk)]}
    page = browser.post("/admin/changemgmt/chain/", act).content.decode()
    return act | {"confirmed": "yes", f"digest-{chain.pk}": re.search(rf'name="digest-{chain.pk}" value="(\w+)"', page)[1]}


def test_who_is_no_administrator_can_not_configure_one_a_superuser_included(cast, seeded, now):
    cast.olga.is_superuser = True
    cast.olga.save()
    with pytest.raises(NotPermitted):
        save_chain(None, {}, actor=cast.olga, now=now)
    with pytest.raises(NotPermitted):
        activate_chain(Chain.objects.first().pk, actor=cast.max, now=now)


def exported(*names):
    out = StringIO()
    call_command("chains", "export", *names, stdout=out)
    return json.loads(out.getvalue())


def test_what_is_exported_is_imported_without_a_difference(cast, seeded, tmp_path):
    chains = exported()
    file = tmp_path / "chains.json"
    file.write_text(json.dumps(chains))
    out = StringIO()
    call_command("chains", "check", str(file), stdout=out)
    call_command("chains", "import", str(file), "--as", "ada", stdout=out)
    assert exported() == chains
    assert not any(chain_shape(chain)["pending"] for chain in Chain.objects.all())


def test_an_import_with_a_mistake_imports_nothing(cast, seeded, tmp_path):
    chains = exported()
    chains[1]["levels"][0]["seats"][0]["group"] = "astronauts"
    file = tmp_path / "chains.json"
    file.write_text(json.dumps(chains))
    with pytest.raises(CommandError):
        call_command("chains", "import", str(file), "--as", "ada", stdout=StringIO())
    with pytest.raises(SystemExit):
        call_command("chains", "check", str(file), stdout=StringIO())
    with pytest.raises(CommandError):
        call_command("chains", "import", str(file), "--as", "rita", stdout=StringIO())
    file.write_text("[{")
    with pytest.raises(CommandError):
        call_command("chains", "check", str(file), stdout=StringIO())
