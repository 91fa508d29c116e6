"""Levels and seats of a chain put into order in the admin: by button, by dragging, and by hand without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from ..site import Site
from .samples import call
from .watched import Desk

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]


def a_chain(site: Site, name: str) -> int:
    """A draft with two levels, the first of three seats."""
    seats = [{"label": label, "group": group} for label, group in (("A", "ecab"), ("B", "architect"), ("C", "stakeholder"))]
    levels = [
        {"number": 1, "name": "First", "rule": {"kind": "all", "value": None}, "seats": seats},
        {"number": 2, "name": "Second", "rule": {"kind": "all", "value": None}, "seats": seats[:1]},
    ]
    body = {"name": name, "order": 500, "additive": True, "applies_when": {"field": "tags", "op": "eq", "value": name}, "levels": levels}
    return call(site, "ada", "POST", "approval-chains/", body)["id"]


def stored(site: Site, pk: int) -> list[tuple[int, str, str]]:
    levels = call(site, "ada", "GET", f"approval-chains/{pk}/")["levels"]
    return [(level["number"], level["name"], "".join(seat["label"] for seat in level["seats"])) for level in levels]


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/changemgmt/chain/")


def test_buttons_move_seats_and_levels_and_keep_the_focus(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "by-button"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    up = tab.page.locator("#levels-0 .seats-rows [data-order-row]").nth(2).get_by_role("button", name="Move up")
    up.focus()
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Move up"
    assert tab.page.locator("#order-status").inner_text() == "Moved to place 1 of 6"
    tab.page.locator("#levels-1").get_by_role("button", name="Move the level up").click()
    save(tab.page)
    assert stored(site, pk) == [(1, "Second", "A"), (2, "First", "CAB")]


def test_a_seat_is_dragged_to_another_place(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "by-hand"), desk.tab("ada", viewport={"width": 1440, "height": 1200})
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    rows = tab.page.locator("#levels-0 .seats-rows [data-order-row]")
    rows.nth(0).scroll_into_view_if_needed()
    grip, goal = rows.nth(2).locator(".order-handle").bounding_box(), rows.nth(0).bounding_box()
    assert grip and goal
    tab.page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    tab.page.mouse.down()
    tab.page.mouse.move(goal["x"] + 60, goal["y"] + goal["height"] + 4, steps=6)
    tab.page.mouse.move(goal["x"] + 60, goal["y"] + 4, steps=6)
    tab.page.mouse.up()
    assert [row.input_value() for row in tab.page.locator("#levels-0 .seats-rows input[name$='-label']").all()[:3]] == ["C", "A", "B"]
    save(tab.page)
    assert stored(site, pk)[0] == (1, "First", "CAB")


def test_a_level_that_is_added_can_be_moved_too(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "added"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.locator("#levels-group .add-row").get_by_text("Add another").click()
    level = tab.page.locator("#levels-2")
    assert level.locator("input[name='levels-2-number']").input_value() == "3"
    level.locator("input[name='levels-2-name']").fill("Third")
    level.locator("input[name='levels-2-seats-0-label']").fill("Z")
    level.locator("input[name='levels-2-seats-0-who']").fill("ecab")
    level.get_by_role("button", name="Move the level up").click()
    save(tab.page)
    assert stored(site, pk) == [(1, "First", "ABC"), (2, "Third", "Z"), (3, "Second", "A")]


def test_without_scripts_the_numbers_put_them_into_order(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "plain"), desk.tab("ada", java_script_enabled=False)
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    assert tab.page.locator(".order-button").count() == 0
    tab.page.locator("input[name='levels-0-seats-2-position']").fill("0")
    tab.page.locator("input[name='levels-1-number']").fill("1")
    tab.page.locator("input[name='levels-0-number']").fill("4")
    save(tab.page)
    assert stored(site, pk) == [(1, "Second", "A"), (4, "First", "CAB")]


@pytest.mark.parametrize("width", [1440, 390])
def test_a_chain_with_findings_and_its_dry_run_are_for_everybody(desk: Desk, site: Site, width: int) -> None:
    pk, tab = a_chain(site, f"broken-{width}"), desk.tab("ada", viewport={"width": width, "height": 900})
    levels = call(site, "ada", "GET", f"approval-chains/{pk}/")["levels"]
    levels[0]["seats"][1] = levels[0]["seats"][0] | {"label": "Once more"}
    call(site, "ada", "PATCH", f"approval-chains/{pk}/", {"levels": [levels[0] | {"reminders": [90, 50], "on_timeout": "approve"}]})
    for path in (f"/admin/changemgmt/chain/{pk}/change/", f"/admin/changemgmt/chain/dry-run/?draft={pk}&with-tags=broken"):
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.look(path) == 200
            assert tab.sideways() == []
            assert tab.axe() == []
    tab.problems[:] = [problem for problem in tab.problems if "style-src" not in problem]  # axe's own
