"""Every page for everybody: axe in both themes on a wide and a narrow screen, 320 px without scrolling sideways, a clean console.

The pages are those of the URL configuration. One without parameters is looked at by itself; one with parameters needs a
sample in `SAMPLES`, and its test says so. What answers only to POST is an act and has no page.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern
from playwright.sync_api import Locator, expect

from changemgmt.web import accounts, urls

from ..site import Site
from .samples import asked_change, call, decided_change, drafted_change, finished, moved_change, partners_change, rows, seats_of, started_change
from .watched import Desk, Tab

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]

ROUTES: dict[str, URLPattern] = {str(pattern.pattern): pattern for pattern in (*urls.urlpatterns, *accounts.urlpatterns)}
WHO = "max"
WIDE = {"width": 1440, "height": 900}
# Names of routes that hand out a file.
FILES = {"change-download", "drift-list"}
# For the name of a route, or the route of one without a name: who looks at which path. In braces stands what `things` made.
SAMPLES: dict[str, tuple[str, ...]] = {
    "home": ("rita /", "petra /"),
    "my-approvals": (
        "petra /approvals/",
        "vera /approvals/",
        "petra /approvals/?for=group&type=normal&colour=red",
        "petra /approvals/?q=nothingmatches",
    ),
    "approval-reassign": ("max /approvals/{seat}/reassign/",),
    "approval-withdraw": ("paul /approvals/{voted}/withdraw/",),
    "approval-peek": ("petra /approvals/{seat}/",),
    "approval-vote": tuple(f"petra /approvals/{{seat}}/vote/?vote={act}" for act in ("approve", "conditions", "info", "reject", "abstain")),
    "changes": ("rita /changes/", "rita /changes/?q=nothingmatches"),
    "change-new": ("rita /changes/new/", "vera /changes/new/"),
    "change": ("rita {draft}", "petra {asked}", "sam {decided}", "ian {running}", "vera {closed}"),
    "change-edit": tuple(f"rita {{draft}}edit/?part={part}" for part in ("why", "items", "plans", "when", "submit")),
    "item-add": ("rita {draft}items/add/?q=claim",),
    "item-component": ("rita {draft}items/component/?key={component}",),
    "item-component-new": ("rita {draft}items/component/new/",),
    "item-component-delete": ("rita {draft}items/component/delete/?key={component}",),
    "item-relation-new": ("rita {draft}items/relation/new/?source={component}&target_q=claim",),
    "item": ("rita {draft}items/{item}/",),
    "change-plan": ("rita {draft}plan/", "vera {asked}plan/"),
    "change-impact": ("rita {asked}impact/",),
    "change-diff": ("rita {asked}diff/", "rita {asked}diff/?view=unified&by=owner&words=note", "rita {draft}diff/?words=nothingmatches"),
    "change-preview": ("rita {asked}preview/", "rita {draft}preview/"),
    "change-stacked": ("rita {asked}preview/stacked/",),
    "change-rebase": ("rita {moved}preview/rebase/",),
    "sandbox": ("rita {draft}sandbox/?q=claim", "vera {moved}sandbox/?touched=on"),
    "sandbox-component-edit": ("rita {moved}sandbox/component/edit/?key={component}",),
    "sandbox-relation": ("rita {draft}sandbox/relation/?key={relation}",),
    "sandbox-remove": ("rita {draft}sandbox/remove/?object=component&key={component}",),
    "sandbox-component": ("rita {draft}sandbox/component/?key={component}",),
    "change-schedule": ("max {decided}schedule/",),
    "changes/<str:number>/do/schedule/": ("max {decided}do/schedule/",),
    "change-act": ("rita {draft}do/submit/", "max {asked}do/cancel/", "rita {closed}do/reopen_as_new/"),
    "change-risk": ("rita {draft}risk/", "max {asked}risk/"),
    "execution": ("ian /executions/{execution}/", "vera /executions/{execution}/"),
    "architecture": ("vera /architecture/", "vera /architecture/?q=claim"),
    "component": ("vera /architecture/{component}/",),
    "audit": ("aud /audit/", "aud /audit/?open={event}", "rita /audit/?actor=nobody"),
    "overrides": ("aud /audit/overrides/", "max /audit/overrides/?kind=go_ahead"),
    "override-ask": ("max {asked}override/",),
    "override": ("ada {asked}override/{override}/",),
    "calendar": ("max /calendar/", "max /calendar/?view=month", "max /calendar/?view=list"),
    "calendar-freezes-one": ("max /calendar/freezes/{freeze}/",),
    "calendar-windows-one": ("max /calendar/windows/{window}/",),
    "imports": ("ada /imports/",),
    "import": ("ada /imports/{import}/",),
    "drift": ("vera /drift/", "max /drift/?all=1"),
    "drift-case": ("max /drift/{drift}/", "vera /drift/{drift}/"),
    "notifications": ("petra /notifications/",),
    "profile": ("rita /profile/",),
    "delegations": ("petra /profile/delegations/", "ada /profile/delegations/", "vera /profile/delegations/"),
    "delegation": ("petra /profile/delegations/{delegation}/",),
    "coverage": ("max /approvals/coverage/?days=90",),
    "change-guests": ("max {partners}guests/", "vera {partners}guests/"),
    "second-factor": ("petra /profile/second-factor/",),
    "approval-link": (" {mailed}", "petra {mailed}", " {invited}"),
    "login": (" /login/",),
    "password_reset": (" /password/forgotten/",),
    "password_reset_done": (" /password/sent/",),
    "password_reset_confirm": (" {reset}",),
    "invitation": (),  # see REFUSALS
}
# Who opens which dialog, on which page, by pressing what.
DIALOGS = {
    "keys": ("rita", "/", "button", "Keyboard shortcuts"),
    "approve": ("petra", "{asked}", "link", "Approve"),
    "conditions": ("petra", "{asked}", "link", "Approve with conditions"),
    "question": ("petra", "{asked}", "link", "Request information"),
    "reject": ("petra", "{asked}", "link", "Reject"),
    "submit": ("rita", "{draft}", "link", "Submit"),
    "cancel": ("rita", "{asked}", "link", "Cancel the change"),
    "go ahead": ("rita", "{asked}", "link", "Take back to draft"),
}
# Who is refused what, with which status.
REFUSALS = {
    "nothing there": ("rita", "/nowhere/", 404),
    "no such change": ("vera", "/changes/CHG-1999-00001/", 404),
    "somebody else's seat": ("vera", "/approvals/{seat}/vote/", 403),
    "a mail link nobody was sent": ("", "/approvals/link/" + "A" * 43 + "/", 404),
    "a link that does not count": ("", "/invitation/MQ/bqx2f4-not-a-token/", 400),
}


@pytest.fixture(scope="module")
def things(site: Site) -> Iterator[dict[str, Any]]:
    """Something of every kind that a page can be about."""
    draft, asked, decided = drafted_change(site, "Sample draft"), asked_change(site, "Sample in review"), decided_change(site, "Sample approved")
    running, execution = started_change(site, "Sample under way")
    for path, body in (("comments/", {"text": "A **word**, @max."}), ("links/", {"kind": "related", "target": asked})):
        call(site, "rita", "POST", f"changes/{draft}/{path}", body, If_Match=site.api("rita", "GET", f"changes/{draft}/")[2]["ETag"])
    changes = {name: f"/changes/{number}/" for name, number in {"draft": draft, "asked": asked, "decided": decided, "running": running}.items()}
    yield changes | {
        "moved": f"/changes/{moved_change(site, 'Sample that was moved')}/",
        "closed": f"/changes/{first(site, 'changes/?state=closed')['number']}/",
        "execution": execution,
        "seat": next(seat["id"] for person, seat in seats_of(site, asked)),
        "override": override_of(site, asked),
        "voted": voted_by(site, decided, "paul"),
        "item": first(site, f"changes/{draft}/items/")["id"],
        "component": first(site, "components/?type=ApplicationComponent")["key"],
        "relation": first(site, "relations/")["key"],
        "freeze": first(site, "freezes/")["id"],
        "window": first(site, "maintenance-windows/")["id"],
        "import": first(site, "architecture/imports/", "ada")["id"],
        "delegation": call(site, "petra", "POST", "delegations/", away_until(7))["id"],
        "event": first(site, f"audit/events/?change={asked}", "aud")["id"],
        "reset": reset_link(site),
        "drift": drifted(site),
        **partners(site),
    }
    finished(site, running, execution)


def drifted(site: Site) -> int:
    """The case of a controlled source that shows a thing more, one less, and one that moved."""
    path = site.data_dir / "sample.csv"
    command = ("architecture", "import", str(path), "--format", "csv", "--source", "sample", "--json")
    path.write_text("key,type,version\nsample/a,Node,1\nsample/b,Node,1\n")
    site.manage(*command)
    site.manage("shell", "-c", "from changemgmt.architecture.models import Source; Source.objects.filter(name='sample').update(controlled=True)")
    path.write_text("key,type,version\nsample/a,Node,2\nsample/c,Node,1\n")
    return json.loads(site.manage(*command).stdout)["drift_case"]


def override_of(site: Site, number: str) -> int:
    """Max asks to override the level that is open."""
    level = next(one for one in call(site, "max", "GET", f"changes/{number}/approval/")["levels"] if one["state"] == "open")
    body = {"level": level["id"], "decision": "approve", "reason": "Nobody can be reached before the window."}
    return call(site, "max", "POST", f"changes/{number}/override/", body)["id"]


def voted_by(site: Site, number: str, person: str) -> int:
    """The seat at which this person voted."""
    levels = call(site, "max", "GET", f"changes/{number}/approval/")["levels"]
    return next(vote["seat"] for level in levels for vote in level["votes"] if vote["by"] == person)


def away_until(days: int) -> dict[str, Any]:
    """Petra's out-of-office note."""
    return {"delegate": "paul", "ends_at": (datetime.now(UTC) + timedelta(days=days)).isoformat(), "out_of_office": True, "reason": "Holiday"}


def partners(site: Site) -> dict[str, str]:
    """A change whose level takes signatures and guests: its page, Petra's mail link and a guest's."""
    number = partners_change(site, "Sample for partners")
    seat = next(seat["id"] for _, seat in seats_of(site, number))
    guest = {"seat": seat, "name": "Dr. Anna Gast", "email": "anna@partner.example", "second_channel": "anna@home.example"}
    call(site, "max", "POST", f"changes/{number}/guests/", guest)
    found = {"mailed": mail_link(site, "petra@archisurance.example", number), "invited": mail_link(site, guest["email"], number)}
    return found | {"partners": f"/changes/{number}/"}


def mail_link(site: Site, address: str, number: str) -> str:
    """The path of the first link to a vote in the mail about this change to this address."""
    return mailed(site, lambda text: f"To: {address}" in text and number in text, r"/approvals/link/[\w-]+/")


def mailed(site: Site, wanted: Callable[[str], bool], link: str) -> str:
    """The first link of this form in a mail that is wanted, the newest first."""
    for _ in range(300):
        for file in sorted(Path(site.data_dir, "mail").glob("*"), reverse=True):
            for text in filter(wanted, file.read_text().split("-" * 79)):
                parts = message_from_string(text.strip()).walk()
                bodies = [str(part.get_payload(decode=True), "utf-8") for part in parts if part.get_content_type() == "text/plain"]  # type: ignore[arg-type]
                if found := re.search(link, "".join(bodies)):
                    return found.group(0)
        time.sleep(0.1)  # the worker, a process of its own, sends it when it comes to it
    raise AssertionError(f"no mail with {link} came within half a minute")


def first(site: Site, path: str, who: str = "max") -> Any:
    return rows(site, who, path)[0]


def reset_link(site: Site) -> str:
    """The path of the link that Stella gets by mail when she forgot her password."""
    forgotten = f"{site.url}/password/forgotten/"
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', opener.open(forgotten).read().decode())
    assert token
    body = urllib.parse.urlencode({"csrfmiddlewaretoken": token.group(1), "email": "stella@archisurance.example"}).encode()
    opener.open(urllib.request.Request(forgotten, body, {"Referer": forgotten}))
    return mailed(site, lambda text: "To: stella@" in text, r"/password/[^/\s]+/[^/\s]+/")


def checked(tab: Tab) -> list[str]:
    """What is wrong with the page as it stands, in both themes and widths."""
    wrong = []
    for width in (1440, 390):
        tab.page.set_viewport_size(WIDE | {"width": width})
        for theme in ("light", "dark"):
            tab.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            wrong += [f"{theme} at {width}: {finding}" for finding in tab.axe(colours_only=theme == "dark")]
    tab.page.set_viewport_size(WIDE | {"width": 320})
    return wrong + [f"at 320: {finding}" for finding in tab.sideways()]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route or "/")
def test_every_page_is_for_everybody(desk: Desk, things: dict[str, Any], route: str) -> None:
    name = ROUTES[route].name or route
    if name in FILES or name not in SAMPLES and is_no_page(desk, route, things):
        return
    assert name in SAMPLES or "<" not in route, f"add a sample of {route!r} to SAMPLES, by its name {name!r}"
    wrong = []
    for sample in SAMPLES.get(name, (f"{WHO} /{route}",)):
        who, _, path = sample.partition(" ")
        tab = desk.again(who)
        tab.page.set_viewport_size(WIDE)
        assert tab.look(path.format(**things)) == 200, sample
        wrong += [f"{sample}: {finding}" for finding in checked(tab)]
    assert not wrong, "\n".join(wrong)


def is_no_page(desk: Desk, route: str, things: dict[str, Any]) -> bool:
    """Whether a GET is refused because it is an act, or answers something else than a page."""
    some = {"str:number": things["asked"].split("/")[2], "uuid:uuid": "00000000-0000-0000-0000-000000000000"}
    path = re.sub("<(.+?)>", lambda found: some.get(found.group(1), "1"), route)
    answer = desk.again(WHO).context.request.get(f"{desk.site.url}/{path}")
    return answer.status in (204, 405) or answer.ok and "text/html" not in answer.headers.get("content-type", "")


@pytest.mark.parametrize("name", DIALOGS)
def test_every_dialog_is_for_everybody(desk: Desk, things: dict[str, Any], name: str) -> None:
    who, path, role, opener = DIALOGS[name]
    tab = desk.again(who)
    tab.page.set_viewport_size(WIDE)
    tab.look(path.format(**things))
    pressed = tab.page.get_by_role(role, name=opener, exact=True).first
    pressed.click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    wrong = checked(tab)
    assert not wrong, "\n".join(wrong)
    tab.page.set_viewport_size(WIDE)
    assert_focus_stays(tab, dialog)
    tab.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(pressed).to_be_focused()


def assert_focus_stays(tab: Tab, dialog: Locator) -> None:
    """Tab goes round inside the dialog: never to the page under it."""
    for _stop in range(15):
        tab.page.keyboard.press("Tab")
        assert dialog.evaluate("dialog => dialog.contains(document.activeElement) || document.activeElement === document.body")


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_is_for_everybody(desk: Desk, things: dict[str, Any], name: str) -> None:
    who, path, status = REFUSALS[name]
    tab = desk.again(who)
    with tab.refused(status):
        assert tab.look(path.format(**things)) == status
    wrong = checked(tab)
    assert not wrong, "\n".join(wrong)


def test_the_menu_of_a_narrow_screen_opens(desk: Desk, site: Site) -> None:
    tab = desk.tab("ada", viewport={"width": 390, "height": 844})
    tab.look("/")
    tab.page.get_by_role("button", name="More").click()
    expect(tab.page.get_by_role("dialog", name="More")).to_be_visible()
    assert tab.axe() == []


@pytest.mark.parametrize("path", ["/admin/", "/admin/changemgmt/chain/", "{chain}", "/api/docs/"])
def test_the_back_rooms_keep_to_the_policy(desk: Desk, site: Site, path: str) -> None:
    tab = desk.tab("ada")
    if path == "{chain}":
        tab.look("/admin/changemgmt/chain/")
        path = tab.page.locator("#result_list th a").first.get_attribute("href") or ""
    assert tab.look(path) == 200
    tab.page.wait_for_load_state("networkidle")
