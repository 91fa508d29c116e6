"""My approvals in Chromium: by keyboard in three presses, claimed by a key, and from a phone without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from ..site import Site
from .samples import asked_change, call
from .watched import Desk

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]
PHONE = {"width": 390, "height": 844}


class Keys:
    """The keyboard of a page; counts the presses."""

    def __init__(self, page: Page) -> None:
        self.page, self.pressed = page, 0

    def press(self, *names: str) -> None:
        for name in names:
            self.page.keyboard.press(name)
            self.pressed += 1


@pytest.fixture
def number(site: Site) -> Iterator[str]:
    yield asked_change(site, "Decided in the queue")


def select(page: Page, number: str) -> None:
    """Go down with `j` until this row is chosen and its brief stands beside the list."""
    for _row in range(page.locator("[data-row]").count()):
        if number in page.locator("[data-row].sel").inner_text():
            break
        page.keyboard.press("j")
    expect(page.get_by_role("complementary", name="Selected change")).to_contain_text(number)


def state(site: Site, number: str) -> str:
    return site.api("max", "GET", f"changes/{number}/approval/")[1]["levels"][0]["state"]


def test_after_reading_three_key_presses_decide(desk: Desk, site: Site, number: str) -> None:
    petra = desk.tab("petra")
    petra.look("/approvals/")
    select(petra.page, number)
    keys = Keys(petra.page)
    keys.press("a")
    read = petra.page.get_by_role("dialog").get_by_label(re.compile("I read version 1"))
    expect(read).to_be_focused()
    keys.press("Space", "Enter")
    expect(petra.page.locator("#toasts")).to_contain_text("Approved.")
    assert petra.page.url.startswith(f"{site.url}/approvals/")
    expect(petra.page.get_by_role("article").filter(has_text=number)).to_have_count(0)
    assert keys.pressed == 3
    assert state(site, number) == "approved"


def test_after_a_vote_the_focus_is_on_the_next_row_and_its_brief_stands_beside(desk: Desk, site: Site, number: str) -> None:
    following = asked_change(site, "Decided after it")
    petra = desk.tab("petra")
    petra.look("/approvals/")
    select(petra.page, number)
    petra.page.keyboard.press("a")
    expect(petra.page.get_by_role("dialog").get_by_label(re.compile("I read version 1"))).to_be_focused()
    petra.page.keyboard.press("Space")
    petra.page.keyboard.press("Enter")
    expect(petra.page.locator("#toasts")).to_contain_text("Approved.")
    chosen = petra.page.locator("[data-row].sel")
    expect(chosen.locator(".ttl")).to_be_focused()
    expect(chosen).to_contain_text(following)
    expect(petra.page.get_by_role("complementary", name="Selected change")).to_contain_text(following)


def test_in_a_narrow_window_the_same_keys_decide(desk: Desk, site: Site, number: str) -> None:
    paul = desk.tab("paul", viewport={"width": 900, "height": 800})
    paul.look("/approvals/")
    for _row in range(paul.page.locator("[data-row]").count()):
        if number in paul.page.locator("[data-row].sel").inner_text():
            break
        paul.page.keyboard.press("j")
    keys = Keys(paul.page)
    keys.press("a")
    expect(paul.page.get_by_role("dialog").get_by_label(re.compile("I read version 1"))).to_be_focused()
    keys.press("Space", "Enter")
    expect(paul.page.locator("#toasts")).to_contain_text("Approved.")
    assert paul.page.url.startswith(f"{site.url}/approvals/")
    assert state(site, number) == "approved"
    assert keys.pressed == 3


def test_a_key_claims_the_row_and_releases_it(desk: Desk, site: Site, number: str) -> None:
    petra, paul = desk.tab("petra"), desk.tab("paul")
    petra.look("/approvals/")
    select(petra.page, number)
    petra.page.keyboard.press("l")
    expect(petra.page.locator("#toasts")).to_contain_text("Claimed")
    expect(petra.page.get_by_role("article").filter(has_text=number)).to_contain_text("Claimed by you")
    paul.look("/approvals/")
    expect(paul.page.get_by_role("article").filter(has_text=number)).to_have_count(0)
    select(petra.page, number)
    petra.page.keyboard.press("l")
    expect(petra.page.locator("#toasts")).to_contain_text("Released")
    paul.look("/approvals/")
    expect(paul.page.get_by_role("article").filter(has_text=number)).to_have_count(1)


def test_every_key_of_the_queue_is_in_the_list_of_keys(desk: Desk, number: str) -> None:
    petra = desk.tab("petra")
    petra.look("/approvals/")
    petra.page.keyboard.press("?")
    shown = set(petra.page.get_by_role("dialog").locator("kbd").all_inner_texts())
    assert shown >= set("jkoarcixl?/")


@pytest.mark.parametrize("key", ["a", "c", "i", "r"])
def test_a_vote_key_opens_its_form_and_votes_nothing(desk: Desk, site: Site, number: str, key: str) -> None:
    petra = desk.tab("petra")
    petra.look("/approvals/")
    select(petra.page, number)
    petra.page.keyboard.press(key)
    expect(petra.page.get_by_role("dialog")).to_contain_text(number)
    petra.page.keyboard.press("Escape")
    expect(petra.page.get_by_role("dialog")).to_have_count(0)
    assert state(site, number) == "open"


def test_from_a_phone_without_scripts_a_change_is_read_claimed_and_decided(desk: Desk, site: Site, number: str) -> None:
    petra = desk.tab("petra", java_script_enabled=False, viewport=PHONE, has_touch=True, is_mobile=True)
    petra.look("/approvals/")
    row = petra.page.get_by_role("article").filter(has_text=number)
    row.get_by_role("button", name="Claim").click()
    expect(petra.page.get_by_role("article").filter(has_text=number)).to_contain_text("Claimed by you")
    petra.page.get_by_role("article").filter(has_text=number).locator(".ttl").click()
    expect(petra.page.get_by_role("heading", name="Before and after", exact=True)).to_be_visible()
    petra.page.get_by_role("region", name="What you can do").get_by_role("link", name="Approve", exact=True).click()
    petra.page.get_by_label(re.compile("I read version 1")).check()
    petra.page.get_by_role("button", name="Approve version 1").click()
    assert petra.page.url.endswith(f"/changes/{number}/")
    assert state(site, number) == "approved"


def test_a_filter_is_kept_and_used_without_scripts(desk: Desk, site: Site, number: str) -> None:
    petra = desk.tab("petra", java_script_enabled=False)
    petra.look("/approvals/?q=Decided")
    petra.page.get_by_label("Name of this filter").fill("Decided ones")
    petra.page.get_by_role("button", name="Keep it").click()
    petra.look("/approvals/")
    petra.page.get_by_role("navigation", name="Saved filters").get_by_role("link", name="Decided ones").click()
    assert petra.page.url.endswith("/approvals/?q=Decided")
    for row in call(site, "petra", "GET", "saved-filters/")["results"]:
        site.api("petra", "DELETE", f"saved-filters/{row['id']}/")
