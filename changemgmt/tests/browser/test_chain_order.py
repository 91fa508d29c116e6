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


def three_levels(site: Site, name: str) -> int:
    """A draft with one level and then two side by side."""
    pk = a_chain(site, name)
    one = call(site, "ada", "GET", f"approval-chains/{pk}/")["levels"][1]
    levels = [one | {"number": number, "name": called} for number, called in ((1, "Peer"), (2, "Manager"), (2, "Board"))]
    call(site, "ada", "PATCH", f"approval-chains/{pk}/", {"levels": levels})
    return pk


def beside(page: Page) -> dict[str, str]:
    """What each level says of those beside it, by its name, in the order shown."""
    rows = page.locator("#levels-group [data-order-row]:not(.empty-form):has([data-order-beside-words])").all()
    return {row.locator("input[name$='-name']").input_value(): row.locator("[data-order-beside-words]").inner_text() for row in rows}


def numbers(site: Site, pk: int) -> set[tuple[int, str]]:
    return {(number, name) for number, name, _ in stored(site, pk)}


def test_what_runs_side_by_side_still_does_when_a_level_moves_past_it(desk: Desk, site: Site) -> None:
    pk, tab = three_levels(site, "side-by-side"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    assert beside(tab.page) == {"Peer": "", "Manager": "Runs beside: Board", "Board": "Runs beside: Manager"}
    down = tab.page.locator("#levels-0").get_by_role("button", name="Move the level down")
    down.focus()
    tab.page.keyboard.press("Enter")
    assert list(beside(tab.page).items()) == [("Manager", "Runs beside: Board"), ("Board", "Runs beside: Manager"), ("Peer", "")]
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Move the level down"
    save(tab.page)
    assert numbers(site, pk) == {(1, "Manager"), (1, "Board"), (2, "Peer")}
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.locator("#levels-2").get_by_role("button", name="Move the level up").click()
    save(tab.page)
    assert numbers(site, pk) == {(1, "Peer"), (2, "Manager"), (2, "Board")}
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.locator("#levels-1").get_by_role("button", name="Move the level up").click()
    assert tab.page.locator("#order-status").inner_text() == "Moved to place 1 of 3. Runs beside: Board"
    save(tab.page)
    assert numbers(site, pk) == {(1, "Manager"), (1, "Board"), (2, "Peer")}, "who runs beside it comes along"


DROP = """([moved, other]) => {
    const row = document.getElementById(moved), list = row.closest("[data-order]"), dataTransfer = new DataTransfer();
    row.dispatchEvent(new DragEvent("dragstart", {bubbles: true, dataTransfer}));
    document.getElementById(other).before(row);
    list.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer}));
    row.dispatchEvent(new DragEvent("dragend", {bubbles: true, dataTransfer}));
}"""


@pytest.mark.parametrize(
    ("moved", "before", "wanted"),
    [
        ("levels-0", "levels-2", {"Peer": "1", "Manager": "1", "Board": "1"}),
        ("levels-2", "levels-0", {"Board": "1", "Peer": "2", "Manager": "3"}),
        ("levels-2", "levels-1", {"Peer": "1", "Board": "2", "Manager": "2"}),
    ],
    ids=["between two it joins them", "elsewhere it stands alone", "beside its own it stays"],
)
def test_a_level_is_dropped(desk: Desk, site: Site, moved: str, before: str, wanted: dict[str, str]) -> None:
    pk, tab = three_levels(site, f"dropped-{moved}-{before}"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.evaluate(DROP, [moved, before])
    shown = {tab.page.locator(f"#id_levels-{at}-name").input_value(): tab.page.locator(f"#id_levels-{at}-number").input_value() for at in range(3)}
    assert shown == wanted


def test_a_number_that_is_written_says_beside_what_the_level_runs(desk: Desk, site: Site) -> None:
    pk, tab = three_levels(site, "written"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.locator("input[name='levels-2-number']").fill("1")
    assert beside(tab.page) == {"Peer": "Runs beside: Board", "Manager": "", "Board": "Runs beside: Peer"}
    tab.page.locator("input[name='levels-0-name']").fill("Colleagues")
    assert beside(tab.page)["Board"] == "Runs beside: Colleagues"


def test_seats_are_added_as_many_as_it_takes(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "more-seats"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    level = tab.page.locator("#levels-0")
    level.locator(".seats-rows [data-order-row]").nth(5).get_by_role("button", name="Move up").click()
    for place, label, who in ((6, "F", "vera"), (7, "G", "aud")):
        level.locator("[data-seats-add]").click()
        assert tab.page.evaluate("document.activeElement.name") == f"levels-0-seats-{place}-label"
        tab.page.keyboard.type(label)
        tab.page.locator(f"input[name='levels-0-seats-{place}-who']").fill(who)
        tab.page.keyboard.press("Tab")
        assert tab.page.locator(f"select[name='levels-0-seats-{place}-kind']").input_value() == "user", "the kind follows who is chosen"
    level.locator(".seats-rows [data-order-row]").nth(7).get_by_role("button", name="Move up").click()
    save(tab.page)
    assert stored(site, pk)[0] == (1, "First", "ABCGF")
    tab.look("/admin/changemgmt/chain/add/")
    tab.page.locator("#levels-group .add-row").get_by_text("Add another").click()
    tab.page.locator("#levels-1 [data-seats-add]").click()
    assert tab.page.locator("#levels-1 .seats-rows [data-order-row]").count() == 4
    assert tab.page.locator("input[name='levels-1-seats-rows']").input_value() == "4"


def test_a_value_that_is_not_there_is_told_while_it_is_typed_and_only_its_row_is_marked(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "misspelt"), desk.tab("ada")
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    row = tab.page.locator("#levels-0 [data-condition-row]").nth(1)
    row.locator("select[name$='-field']").select_option("category")
    value = row.locator("input[name$='-value']")
    value.fill("no-such-category")
    value.blur()
    assert "There is no such value" in row.locator(".condition-doubt").inner_text()
    row.locator("select[name$='-field']").select_option("type")
    assert "standard, normal, emergency, major" in row.locator(".condition-doubt").inner_text()
    value.fill("normal")
    value.blur()
    assert row.locator(".condition-doubt").count() == 0
    value.fill("normall")
    tab.page.get_by_role("button", name="Save", exact=True).click()
    rows = tab.page.locator("#levels-0 [data-condition-row]")
    rows.first.wait_for()
    colours = [one.locator("input[name$='-value']").evaluate("e => getComputedStyle(e).borderTopColor") for one in rows.all()]
    assert tab.page.locator("#levels-0 [data-condition-row].errors").count() == 1
    assert len(set(colours)) == 2 and colours.count(colours[0]) == 1, "the first row is the wrong one, and it alone is marked"


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


def test_fields_and_their_help_keep_their_distance(desk: Desk, site: Site) -> None:
    pk, tab = a_chain(site, "spaced"), desk.tab("ada", viewport={"width": 1440, "height": 900})
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    left, right = (tab.page.locator(f"#id_levels-0-{name}_helptext").bounding_box() for name in ("allow_conditions", "require_comment_on_reject"))
    assert left and right and (right["x"] - left["x"] - left["width"] >= 8 or right["y"] >= left["y"] + left["height"])
    tab.page.set_viewport_size({"width": 390, "height": 900})
    panel, field = tab.page.locator("fieldset.module").first.bounding_box(), tab.page.locator("#id_name").bounding_box()
    assert panel and field and field["x"] - panel["x"] >= 8 and panel["x"] + panel["width"] - field["x"] - field["width"] >= 8


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_that_asks_and_a_template_are_for_everybody(desk: Desk, site: Site, width: int) -> None:
    a_chain(site, f"asked-{width}")
    tab = desk.tab("ada", viewport={"width": width, "height": 900})
    assert tab.look("/admin/changemgmt/template/add/") == 200
    assert tab.axe() == []
    tab.look(f"/admin/changemgmt/chain/?q=asked-{width}")
    tab.page.locator("input.action-select").check()
    tab.page.locator("select[name='action']").select_option("activate")
    tab.page.get_by_role("button", name="Run").or_(tab.page.get_by_role("button", name="Go")).click()
    tab.page.get_by_text("Put chains into force").first.wait_for()
    assert tab.page.get_by_role("table", name="Level “First” – new").is_visible()
    assert tab.sideways() == []
    assert tab.axe() == []
    tab.problems[:] = [problem for problem in tab.problems if "style-src" not in problem]  # axe's own


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
