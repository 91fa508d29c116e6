"""`python -m changemgmt.tests.browser.pictures` walks the README's walk and takes the pictures of the docs on its way."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from ..needs import ROOT, chromium
from ..site import Site, site
from . import test_walk as walk
from .samples import wide_change
from .watched import LAUNCH, Desk, Tab

FOLDER = ROOT / "docs" / "images"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}


def take(tab: Tab, name: str, *, height: int = 900, to: str = "") -> None:
    """A picture of what is in the window, scrolled to the element `to` when there is one."""
    width = (tab.page.viewport_size or {})["width"]
    tab.page.set_viewport_size({"width": width, "height": height})
    if to:
        tab.page.locator(to).first.evaluate("element => scrollTo(0, element.getBoundingClientRect().top + scrollY - 80)")
    tab.page.locator("#toasts > *").evaluate_all("toasts => toasts.forEach(toast => toast.remove())")
    tab.page.mouse.move(0, 0)
    tab.page.screenshot(path=FOLDER / f"{name}.png")


def of_the_request(desk: Desk) -> str:
    """What the requester sees."""
    rita = desk.tab("rita")
    number = walk.draft(rita)
    walk.choose_items(rita, number)
    walk.write_plan(rita, number)
    walk.look_at_impact(rita, number)
    rita.look(f"/changes/{number}/impact/")
    take(rita, "impact", height=1000)
    walk.submit(rita, number)
    take(rita, "change", height=1080)
    return number


def of_the_votes(desk: Desk, number: str) -> None:
    """What those who decide see."""
    phone = desk.tab("petra", **PHONE)
    phone.look("/approvals/")
    take(phone, "queue-phone", height=844)
    walk.vote(desk.tab("petra"), number)
    for name in walk.CAB:
        if name == "sam":
            sam = desk.tab("sam")
            sam.look(f"/changes/{number}/")
            sam.page.get_by_role("link", name="Approve with conditions").click()
            form = sam.page.get_by_role("dialog")
            form.get_by_label("What must be true").first.fill(walk.CONDITION)
            form.get_by_label("Owner").first.select_option("ian")
            take(sam, "vote", height=900)
        walk.vote(desk.tab(name), number, condition=walk.CONDITION if name == "sam" else "")
    vera = desk.tab("vera", color_scheme="dark")
    vera.look(f"/changes/{number}/")
    take(vera, "change-dark", height=900)


def of_the_window(desk: Desk, made: Site, number: str) -> None:
    """What the change manager sees."""
    now = datetime.now(UTC)
    walk.freeze(made, now)
    max, noon = desk.tab("max"), (now + timedelta(days=1)).replace(hour=12, minute=0)
    max.look(f"/changes/{number}/schedule/")
    with max.refused(409):
        walk.ask_for(max, noon, noon + timedelta(hours=2))
        max.page.get_by_role("alert").wait_for()
    take(max, "freeze", height=900)
    walk.ask_for(max, now + timedelta(minutes=5), now + timedelta(hours=3))
    walk.said(max, "The window is set.")
    max.look("/calendar/")
    take(max, "calendar", height=900)


def of_the_work(desk: Desk, number: str) -> None:
    """What the implementer sees, and what is left afterwards."""
    walk.meet_condition(desk, number)
    ian = desk.tab("ian")
    ian.look(f"/changes/{number}/do/start/")
    ian.page.get_by_role("button", name="Start", exact=True).click()
    ian.page.wait_for_url(re.compile(r"/executions/\d+/"))
    ian.page.get_by_role("button", name=re.compile("^Done ?: Install")).click()
    walk.said(ian, "The step is done.")
    take(ian, "execution", height=700)
    phone = desk.tab("ian", **PHONE)
    phone.look(ian.page.url.removeprefix(ian.site.url))
    take(phone, "execution-phone", height=844)
    ian.page.get_by_role("button", name=re.compile("^Done ?: Cut")).click()
    walk.link(ian, "Complete").click()
    walk.button(ian, "Complete").click()
    walk.said(ian, "Complete")
    walk.close(desk.tab("max"), number)


def of_the_record(desk: Desk) -> None:
    """The component afterwards, and the record."""
    vera = desk.tab("vera")
    vera.look("/architecture/?q=CRM")
    vera.page.get_by_role("link", name=walk.COMPONENT).first.click()
    vera.page.wait_for_url(re.compile("/architecture/.+/"))
    take(vera, "component", height=900)
    aud = desk.tab("aud")
    aud.look("/audit/")
    walk.button(aud, "Verify now").click()
    aud.page.get_by_text("Record intact").wait_for(timeout=60_000)
    take(aud, "audit", height=900)


def of_the_layers(desk: Desk, made: Site) -> None:
    """A change that reaches three hundred components."""
    number = wide_change(made, 300)
    rita = desk.tab("rita")
    rita.look(f"/changes/{number}/impact/")
    rita.page.locator("#picture").screenshot(path=FOLDER / "layers.png")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as made, sync_playwright() as playwright:
        browser: Any = playwright.chromium.launch(executable_path=chromium(), args=list(LAUNCH))
        desk = Desk(browser, made)
        number = of_the_request(desk)
        of_the_votes(desk, number)
        of_the_window(desk, made, number)
        of_the_work(desk, number)
        of_the_record(desk)
        of_the_layers(desk, made)
        problems = desk.close()
        browser.close()
    for picture in sorted(FOLDER.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size // 1024} kB")
    assert not problems, problems


if __name__ == "__main__":
    main()
