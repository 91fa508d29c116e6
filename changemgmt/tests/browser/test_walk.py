"""The README's five-minute walk in Chromium: a change travels from draft to closed, page by page, person by person."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from ..site import Site
from .owner import tampered
from .samples import asked_change
from .watched import Desk, Tab

pytestmark = pytest.mark.needs_chromium

CAB = ("max", "tina", "omar", "bea", "sam", "quinn")
COMPONENT, OTHER = "CRM System", "Web portal"
CONDITION = "Rehearse the rollback"
WINDOW = "%Y-%m-%dT%H:%M"


def button(tab: Tab, name: str) -> Any:
    return tab.page.get_by_role("button", name=name, exact=True)


def link(tab: Tab, name: str) -> Any:
    return tab.page.get_by_role("link", name=name, exact=True)


def said(tab: Tab, text: str) -> None:
    """The toast that confirms what was done; where it does not come, what the open dialog says instead."""
    try:
        expect(tab.page.locator("#toasts")).to_contain_text(text)
    except AssertionError as missing:
        raise AssertionError(f"{missing}\nDialogs: {tab.page.locator('dialog[open]').all_inner_texts()}\nProblems: {tab.problems}") from missing


# --- the requester ---


def draft(rita: Tab) -> str:
    """What and why; answers the number."""
    rita.look("/changes/")
    rita.page.get_by_role("banner").get_by_role("link", name="New change").click()
    rita.page.get_by_label("Title").fill("Renew the CRM system")
    rita.page.get_by_label("What", exact=True).fill("Version 4.1 of the CRM system; the portal no longer asks it directly.")
    rita.page.get_by_label("Why").fill("The version in use is not supported any more.")
    rita.page.get_by_label("Type").select_option("normal")
    button(rita, "Save the draft and continue").click()
    rita.page.wait_for_url(re.compile(r"/changes/CHG-[\d-]+/edit/"))
    return rita.page.url.split("/")[-3]


def choose_items(rita: Tab, number: str) -> None:
    """An update of one application component, and the deletion of a relation of it."""
    link(rita, "Change a component").click()
    rita.page.get_by_label("Component", exact=True).press_sequentially("CRM")
    rita.page.get_by_role("link", name=f"Change it {COMPONENT}").click()
    rita.page.get_by_label("Name of a new attribute").first.fill("version")
    rita.page.get_by_label("Value of …").first.fill("4.1")
    button(rita, "Add it to the change").click()
    said(rita, f"{COMPONENT} is part of the change.")
    rita.page.get_by_role("link", name=f"Edit {COMPONENT}").click()
    relation = rita.page.get_by_role("complementary", name="Relations").get_by_role("listitem").filter(has_text=OTHER)
    relation.get_by_role("button", name="Remove this relation").click()
    said(rita, "The relation goes with this change.")
    expect(rita.page.locator("#items")).to_contain_text(f"{COMPONENT} → {OTHER}")


def write_plan(rita: Tab, number: str) -> None:
    """The people, the plans, and two steps by hand of which each applies one item."""
    rita.look(f"/changes/{number}/edit/?part=why")
    rita.page.get_by_label("Owner").select_option("max")
    rita.page.get_by_role("combobox", name="Implementers").fill("Ian")
    rita.page.locator(".ts-dropdown").get_by_role("option", name="Ian Irving").click()
    rita.page.keyboard.press("Escape")
    rita.page.locator("#why").get_by_role("button", name="Save and continue").click()
    said(rita, "Saved.")
    rita.look(f"/changes/{number}/edit/?part=plans")
    rita.page.get_by_label("How it is done").fill("Install 4.1, then switch the portal over.")
    rita.page.get_by_label("How to undo it").fill("Switch back to 4.0.")
    rita.page.get_by_label("Test evidence").fill("Rehearsed twice.")
    rita.page.locator("#plans").get_by_role("button", name="Save and continue").click()
    rita.look(f"/changes/{number}/plan/")
    for row, (name, item, undo) in enumerate((("Install 4.1", "Updated", "Install 4.0"), ("Cut the old link", "Removed", "Put it back"))):
        step = rita.page.locator("fieldset.steprow").nth(row)
        step.get_by_label("Step", exact=True).fill(name)
        step.locator("summary").click()
        step.get_by_label("How it is undone").fill(undo)
        step.get_by_label(item).check()
    button(rita, "Save the plan").click()
    rita.page.wait_for_url(re.compile(r"/edit/|/plan/"))


def look_at_impact(rita: Tab, number: str) -> None:
    """What is reached in the business layer, each with the path that explains it; then the preview."""
    rita.look(f"/changes/{number}/preview/")
    if (compute := button(rita, "Compute the preview")).count():
        compute.click()
    expect(rita.page.locator("#diff")).to_contain_text("4.1")
    rita.look(f"/changes/{number}/impact/?layer=business&score=0&page=1")
    status, impact, _ = rita.site.api("rita", "GET", f"changes/{number}/impact/")
    reached = [row for row in impact["affected"] if row["layer"] == "business"]
    table = rita.page.get_by_role("region", name="Impact list")
    expect(table.get_by_role("row")).to_have_count(len(reached) + 1)
    assert status == 200 and reached
    for path in table.locator("tbody tr td:last-child").all_inner_texts():
        assert re.match(rf"({COMPONENT}|{OTHER}) → .+ \(.+\)", path), path


def submit(rita: Tab, number: str) -> None:
    rita.look(f"/changes/{number}/")
    link(rita, "Submit").click()
    rita.page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    said(rita, "Submitted.")
    expect(rita.page.get_by_role("list", name="Progress of this change").locator("[aria-current=step]")).to_contain_text("In review")


# --- those who decide ---


def vote(tab: Tab, number: str, *, condition: str = "") -> None:
    """From the queue: choose the row, open the form, confirm."""
    tab.look("/approvals/")
    row = tab.page.get_by_role("article").filter(has_text=number)
    row.locator(".ttl").click()
    peek = tab.page.get_by_role("complementary", name="Selected change")
    expect(peek).to_contain_text(number)
    peek.get_by_role("link", name="conditions" if condition else "Approve", exact=not condition).click()
    form = tab.page.get_by_role("dialog")
    if condition:
        form.get_by_label("What must be true").first.fill(condition)
        form.get_by_label("Owner").first.select_option("ian")
        form.get_by_label("Due").first.select_option("before_start")
    form.get_by_label(re.compile("I read version 1")).check()
    form.get_by_role("button", name=re.compile("^Approve version 1")).click()
    said(tab, "Approved")
    assert "/approvals/" in tab.page.url


def decide(desk: Desk, number: str) -> None:
    """The peer, then the CAB; Sam's approval carries a condition."""
    vote(desk.tab("petra"), number)
    for name in CAB:
        vote(desk.tab(name), number, condition=CONDITION if name == "sam" else "")
    vera = desk.tab("vera")
    vera.look(f"/changes/{number}/")
    expect(vera.page.get_by_role("list", name="Progress of this change").locator("[aria-current=step]")).to_contain_text("Approved with conditions")


# --- the change manager ---


def freeze(site: Site, now: datetime) -> dict[str, Any]:
    """A freeze of tomorrow, which the change manager declares over the API."""
    start = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    fields = {
        "name": "Annual statement",
        "start": start.isoformat(),
        "end": (start + timedelta(days=1)).isoformat(),
        "reason": "Letters are being printed.",
    }
    status, made, _ = site.api("max", "POST", "freezes/", fields)
    assert status == 201, made
    return made


def ask_for(tab: Tab, start: datetime, end: datetime) -> None:
    form = tab.page.get_by_role("form", name="Your own window")
    form.get_by_label("Start").fill(start.strftime(WINDOW))
    form.get_by_label("End").fill(end.strftime(WINDOW))
    form.get_by_role("button", name="Schedule it").click()


def schedule(tab: Tab, number: str, now: datetime) -> None:
    """Refused in the freeze, with the reason and who can lift it; then a window that opens in five minutes."""
    tab.look(f"/changes/{number}/")
    link(tab, "Schedule").click()
    noon = (now + timedelta(days=1)).replace(hour=12, minute=0)
    with tab.refused(409):
        ask_for(tab, noon, noon + timedelta(hours=2))
        refusal = tab.page.get_by_role("alert")
        expect(refusal).to_contain_text("Annual statement")
    expect(refusal).to_contain_text("Letters are being printed.")
    expect(refusal).to_contain_text("Who can clear it: Max Moser")
    ask_for(tab, now + timedelta(minutes=5), now + timedelta(hours=3))
    said(tab, "The window is set.")


# --- the implementer ---


def meet_condition(desk: Desk, number: str) -> None:
    """Ian can't start before the condition is met: evidence, and the one who asked accepts it."""
    ian, sam = desk.tab("ian"), desk.tab("sam")
    ian.look(f"/changes/{number}/")
    duty = ian.page.get_by_role("region", name="What you can do").get_by_role("link", name="Give the evidence")
    expect(duty).to_contain_text(CONDITION)
    duty.click()
    ian.page.get_by_label("What was done").fill("Rehearsed on the test system in 12 minutes.")
    button(ian, "Give it").click()
    said(ian, "The evidence is given")
    sam.look(f"/changes/{number}/")
    button(sam, "Accept the evidence").click()
    said(sam, "The condition is met.")


def do_the_steps(ian: Tab, number: str) -> None:
    ian.look(f"/changes/{number}/")
    link(ian, "Start").click()
    ian.page.get_by_role("dialog").get_by_role("button", name="Start").click()
    ian.page.wait_for_url(re.compile(r"/executions/\d+/"))
    for step in ("Install 4.1", "Cut the old link"):
        ian.page.get_by_role("button", name=re.compile(f"^Done ?: {step}")).click()
        said(ian, "The step is done.")
    link(ian, "Complete").click()
    ian.page.get_by_role("button", name="Complete", exact=True).click()
    said(ian, "Complete")


def close(tab: Tab, number: str) -> None:
    tab.look(f"/changes/{number}/")
    link(tab, "Review and close").click()
    form = tab.page.get_by_role("dialog")
    form.get_by_label("Result").select_option("successful")
    form.get_by_role("textbox").first.fill("Done within the window.")
    form.get_by_role("button", name="Close the change").click()
    said(tab, "Closed.")
    assert tab.site.api("max", "GET", f"changes/{number}/")[1]["state"] == "closed"


# --- what is left behind ---


def architecture(site: Site) -> dict[str, dict[str, Any]]:
    """The exported components and relations by their keys."""
    status, export, _ = site.api("vera", "GET", "architecture/export/?as=json")
    assert status == 200
    return {name: {row["key"]: row for row in export[name]} for name in ("components", "relations")}


def previewed(before: dict[str, dict[str, Any]], diff: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The architecture before, with the values the preview promised."""
    after = json.loads(json.dumps(before))
    for kind in ("components", "relations"):
        for row in diff[kind]:
            if row["operation"] == "delete":
                del after[kind][row["key"]]
            for field in row["fields"] if row["operation"] == "update" else ():
                place, _, name = field["path"].rpartition(".")
                (after[kind][row["key"]][place] if place else after[kind][row["key"]])[name] = field["after"]
    return after


def test_a_change_travels_from_draft_to_closed_page_by_page(desk: Desk, site: Site) -> None:
    now = datetime.now(UTC)
    rita, max, ian = desk.tab("rita"), desk.tab("max"), desk.tab("ian")
    before = architecture(site)
    number = draft(rita)
    choose_items(rita, number)
    write_plan(rita, number)
    look_at_impact(rita, number)
    submit(rita, number)
    decide(desk, number)
    freeze(site, now)
    schedule(max, number, now)
    meet_condition(desk, number)
    _, diff, _ = site.api("rita", "GET", f"changes/{number}/diff/?as=json")
    assert diff["components"] and diff["relations"] and architecture(site) == before
    do_the_steps(ian, number)
    assert architecture(site) == previewed(before, diff)
    close(max, number)
    assert "intact" in site.manage("audit", "verify").stdout
    with tampered(site) as event:
        found = site.manage("audit", "verify", check=False)
        assert found.returncode == 1
        assert re.search(rf"{event['stream']}\W+{event['sequence']}\b", found.stdout), found.stdout
    site.manage("audit", "verify")


def test_reading_and_voting_work_without_scripts(desk: Desk, site: Site) -> None:
    number = asked_change(site, "Read and voted without scripts")
    petra = desk.tab("petra", java_script_enabled=False)
    petra.look("/approvals/")
    petra.page.get_by_role("article").filter(has_text=number).locator(".ttl").click()
    assert petra.page.url.endswith(f"/changes/{number}/")
    for heading in ("What could break", "Impact", "Before and after", "Approval"):
        expect(petra.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    petra.page.get_by_role("region", name="What you can do").get_by_role("link", name="Approve", exact=True).click()
    expect(petra.page.get_by_role("heading", level=1)).to_have_text(f"Vote on {number}")
    petra.page.get_by_label("Comment").fill("Read on paper.")
    petra.page.get_by_label(re.compile("I read version 1")).check()
    button(petra, "Approve version 1").click()
    assert petra.page.url.endswith(f"/changes/{number}/")
    said(petra, "Approved.")
    assert "Read on paper." in petra.page.locator("#approval").inner_text()


def test_a_vote_is_given_by_keyboard_alone(desk: Desk, site: Site) -> None:
    numbers = [asked_change(site, f"Voted by keyboard, {word}") for word in ("first", "second")]
    paul = desk.tab("paul")
    paul.look("/approvals/")
    keys = paul.page.keyboard
    for _row in range(paul.page.locator("[data-row]").count()):
        if numbers[1] in paul.page.locator("[data-row].sel").inner_text():
            break
        keys.press("j")
    keys.press("a")
    form = paul.page.get_by_role("dialog")
    expect(form).to_contain_text(numbers[1])
    keys.press("Escape")
    expect(form).to_have_count(0)
    keys.press("a")
    expect(form.get_by_label(re.compile("I read version 1"))).to_be_focused()
    keys.press("Shift+Tab")
    expect(form.get_by_label("Comment")).to_be_focused()
    keys.type("By keyboard.")
    keys.press("Tab")
    keys.press("Space")
    expect(form.get_by_label(re.compile("I read version 1"))).to_be_checked()
    for _stop in range(3):
        keys.press("Tab")
    expect(form.get_by_role("button", name="Approve version 1")).to_be_focused()
    keys.press("Enter")
    said(paul, "Approved.")
    assert "/approvals/" in paul.page.url
    expect(paul.page.get_by_role("article").filter(has_text=numbers[1])).to_have_count(0)


def test_a_row_of_the_queue_opens_by_keyboard(desk: Desk, site: Site) -> None:
    asked_change(site, "Opened by keyboard")
    petra = desk.tab("petra")
    petra.look("/approvals/")
    petra.page.keyboard.press("j")
    number = petra.page.locator("[data-row].sel .id").first.inner_text()
    petra.page.keyboard.press("o")
    petra.page.wait_for_url(f"{site.url}/changes/{number}/")
