"""What is large stays readable: the layer picture of three and five hundred components, and the difference of a thousand fields."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, expect

from bench.scroll import SCROLL

from ..site import Site
from .samples import fields_change, wide_change
from .watched import Desk

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]


@pytest.fixture(scope="module")
def reached(site: Site) -> dict[int, str]:
    return {reach: f"/changes/{wide_change(site, reach)}/impact/" for reach in (300, 500)}


@pytest.mark.parametrize("reach", [300, 500])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_layer_picture_is_for_everybody(desk: Desk, reached: dict[int, str], reach: int, width: int) -> None:
    tab = desk.tab("vera", viewport={"width": width, "height": 900})
    assert tab.look(reached[reach]) == 200
    expect(tab.page.locator("a.b")).to_have_count(min(500, reach + 3))
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        assert tab.axe(colours_only=scheme == "dark") == []
    assert tab.sideways() == []
    assert tab.look(f"{reached[reach]}?as=table") == 200
    assert tab.axe() == [] and tab.sideways() == []


def test_no_name_sticks_out_of_its_component(desk: Desk, reached: dict[int, str]) -> None:
    tab = desk.tab("vera")
    tab.look(reached[300])
    wide = """nodes => nodes.filter(n => [...n.querySelectorAll("text")].some(t => {
        const r = n.querySelector("rect").getBBox(), b = t.getBBox(); return b.x + b.width > r.x + r.width }))
        .map(n => n.querySelector("text").textContent)"""
    assert tab.page.locator("a.b").evaluate_all(wide) == []


def test_pointing_lights_the_path_and_says_it(desk: Desk, reached: dict[int, str]) -> None:
    tab = desk.tab("vera")
    tab.look(reached[300])
    tab.page.locator("a.b.indirect").first.hover()
    lit = tab.page.locator("a.b.lit").count()
    assert 1 < lit < 60 and tab.page.locator(".e.lit").count() >= lit - 1
    expect(tab.page.locator("[data-board-says]")).to_have_text(
        re.compile(r"^(Data centre North|Gateway 2|Legacy gateway) → .+: reached through others")
    )
    tab.page.mouse.move(0, 0)
    expect(tab.page.locator("a.b.lit")).to_have_count(0)


def test_the_keys_move_between_components_and_enter_opens_one(desk: Desk, reached: dict[int, str]) -> None:
    tab = desk.tab("vera")
    tab.look(reached[300])
    assert tab.page.locator('a.b[tabindex="0"]').count() == 1
    tab.page.locator('a.b[tabindex="0"]').focus()
    seen = []
    for key in ("Home", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "End"):
        tab.page.keyboard.press(key)
        seen.append(tab.page.evaluate("document.activeElement.dataset.n"))
    assert seen[0] == seen[4] == "0" and seen[1] == "1" and seen[5] == "302" and len(set(seen)) == 5
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url(re.compile("/architecture/wide-300/"))


def test_it_is_made_larger_smaller_and_fitted(desk: Desk, reached: dict[int, str]) -> None:
    tab = desk.tab("vera", viewport={"width": 1440, "height": 900})
    tab.look(reached[500])
    board, before = tab.page.locator("svg[data-board]"), 0
    width = lambda: board.bounding_box()["width"]  # noqa: E731
    before = width()
    tab.page.get_by_role("button", name="Larger").click()
    assert width() > before and tab.sideways() == []
    tab.page.get_by_role("button", name="Whole").click()
    assert board.bounding_box()["height"] <= 900
    tab.page.get_by_role("button", name="Full width").click()
    assert abs(width() - before) < 40


def test_without_scripts_the_picture_scrolls_and_its_table_is_a_link_away(desk: Desk, reached: dict[int, str]) -> None:
    tab = desk.tab("vera", java_script_enabled=False, viewport={"width": 390, "height": 844})
    tab.look(reached[300])
    expect(tab.page.get_by_role("region", name="Layer picture, scrolls sideways")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Larger")).to_have_count(0)
    tab.page.get_by_role("link", name="Table", exact=True).click()
    expect(tab.page.locator("table.boardt tbody tr")).to_have_count(303)


# The difference of a thousand fields.


@pytest.fixture(scope="module")
def renewed(site: Site) -> str:
    return f"/changes/{fields_change(site, 1000)}/diff/"


@pytest.mark.parametrize("view", ["side", "unified"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_long_difference_is_for_everybody(desk: Desk, renewed: str, width: int, view: str) -> None:
    tab = desk.tab("vera", viewport={"width": width, "height": 900})
    assert tab.look(f"{renewed}?view={view}&layer=data") == 200
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        assert tab.axe(colours_only=scheme == "dark") == []
    assert tab.look(f"{renewed}?view={view}") == 200
    assert tab.sideways() == []


def test_scrolling_through_a_thousand_fields_lays_nothing_out_again(desk: Desk, renewed: str) -> None:
    tab = desk.tab("vera")
    tab.look(renewed)
    assert tab.page.locator("table.difft tbody tr").count() > 900
    metrics = tab.context.new_cdp_session(tab.page)
    metrics.send("Performance.enable")
    tab.page.wait_for_timeout(300)
    before = laid_out(metrics)
    frames = tab.page.evaluate(SCROLL, 400)
    assert len(frames) > 50 and laid_out(metrics) - before < len(frames) / 10


def laid_out(metrics: CDPSession) -> float:
    """How often the page was laid out so far."""
    return next(row["value"] for row in metrics.send("Performance.getMetrics")["metrics"] if row["name"] == "LayoutCount")


def test_a_difference_narrows_while_one_types_and_the_address_remembers(desk: Desk, renewed: str) -> None:
    tab = desk.tab("vera")
    tab.look(f"{renewed}?view=unified")
    tab.page.get_by_label("Words in names, fields and values").press_sequentially("pool.min")
    expect(tab.page.locator("table.difft tbody tr").first).to_contain_text("attributes.settings.pool.min")
    expect(tab.page.get_by_role("status").first).to_contain_text("of 50 things")
    expect(tab.page.get_by_label("Words in names, fields and values")).to_be_focused()
    assert "words=pool.min" in tab.page.url and "view=unified" in tab.page.url
    tab.page.get_by_role("link", name="Side by side").click()
    expect(tab.page.locator("table.difft tbody tr").first).to_contain_text("attributes.settings.pool.min")


def test_a_difference_narrows_without_scripts(desk: Desk, renewed: str) -> None:
    tab = desk.tab("vera", java_script_enabled=False, viewport={"width": 390, "height": 844})
    tab.look(renewed)
    tab.page.get_by_label("Field, and what is below it").fill("attributes.version")
    tab.page.get_by_role("button", name="Show").click()
    expect(tab.page.locator("table.difft tbody tr td:first-child").first).to_have_text("attributes.version")
    tab.page.get_by_role("link", name=re.compile("^Data")).click()
    expect(tab.page.get_by_role("heading", name="Data", exact=True)).to_be_visible()
    expect(tab.page.get_by_role("heading", name="Business", exact=True)).to_have_count(0)


def test_the_page_that_stands_alone_opens_from_disk(desk: Desk, site: Site, renewed: str, tmp_path: Path) -> None:
    tab = desk.tab("vera")
    tab.look(renewed)
    with tab.page.expect_download() as begun:
        tab.page.get_by_role("link", name="HTML").click()
    file = tmp_path / begun.value.suggested_filename
    begun.value.save_as(file)
    assert file.name.endswith("-diff.html")
    alone = desk.open().page
    alone.goto(file.as_uri())
    assert alone.get_by_role("heading", name="The graph").is_visible() and alone.locator("tr").count() > 900
    assert alone.locator("td del").first.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(248, 220, 216)"
    alone.context.close()
