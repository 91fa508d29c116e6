"""A page of Chromium that misses nothing: console errors, policy violations, requests elsewhere, answers that say no."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from ..site import Site

LAUNCH = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
TIMEOUT = 45_000  # milliseconds; a page may take long where everything runs on two cores at once
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LISTENER = "addEventListener('securitypolicyviolation', e => reportViolation(`${e.violatedDirective} blocked ${e.blockedURI} ${e.sample}`))"
# The rules that a theme can break; what a page is made of is the same in both.
COLOURS = ["color-contrast", "link-in-text-block"]
RUN_AXE = """async runOnly => (await axe.run(document, {runOnly, resultTypes: ["violations"]})).violations
    .map(v => `${v.impact}: ${v.id}: ${v.help}: ` + v.nodes.slice(0, 4).map(n => `${n.html.slice(0, 160)} [${n.failureSummary.slice(0, 260)}]`).join(" | "))"""
# What sticks out to the right of the window, unless a box around it scrolls or cuts it off.
SIDEWAYS = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll-x, .tabs"))
    .slice(0, 5).map(e => `${e.tagName.toLowerCase()}.${e.className} reaches ${Math.round(e.getBoundingClientRect().right)}`)
    .concat(`the page is ${document.documentElement.scrollWidth} px wide`)"""


@dataclass(eq=False)
class Tab:
    """One person's page. `problems` is what went wrong on it so far; `look` moves it along the site."""

    page: Page
    site: Site
    context: BrowserContext
    problems: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def watch(self) -> None:
        """Begin to listen, before the first page is opened."""
        self.page.expose_function("reportViolation", lambda text: self.note(f"Content-Security-Policy: {text}"))
        self.page.add_init_script(LISTENER)
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.note(f"script error: {error}"))
        self.page.on("request", self.on_request)
        self.page.on("response", self.on_response)

    def note(self, text: str) -> None:
        self.problems.append(f"{self.page.url}: {text}")

    def on_console(self, message: ConsoleMessage) -> None:
        # An answer that says no is judged by `on_response`, which knows whether it was expected.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.note(f"console: {message.text}")

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.site.url}/", "data:")):
            self.note(f"asked another host: {request.url}")

    def on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.note(f"{response.request.method} {response.url} answered {response.status}")

    @contextlib.contextmanager
    def refused(self, *statuses: int) -> Iterator[None]:
        """Inside, an answer with one of these statuses is what is wanted."""
        self.expected = set(statuses)
        yield
        self.page.wait_for_load_state()
        self.expected = set()

    def look(self, path: str) -> int:
        """Open a path; answers the status."""
        answer = self.page.goto(f"{self.site.url}{path}", wait_until="load")
        return answer.status if answer else 0

    def text(self) -> str:
        """All the text of the main part."""
        return self.page.locator("main").inner_text()

    def axe(self, *, colours_only: bool = False) -> list[str]:
        """What axe finds against the standards."""
        if not self.page.evaluate("typeof axe !== 'undefined'"):
            self.page.evaluate(AXE.read_text())
        rules = {"type": "rule", "values": COLOURS} if colours_only else {"type": "tag", "values": STANDARDS}
        return self.page.evaluate(RUN_AXE, rules)

    def sideways(self) -> list[str]:
        """What makes the page scroll sideways."""
        return self.page.evaluate(SIDEWAYS)


class Desk:
    """Everybody's places: each person signs in once, and gets tabs from then on."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self.browser, self.site = browser, site
        self.signed_in: dict[str, Any] = {}
        self.tabs: list[Tab] = []
        self.kept: dict[str, Tab] = {}

    def again(self, username: str = "") -> Tab:
        """The tab this person had before in this module, or a new one: quicker, and it goes on with what was there."""
        if username not in self.kept:
            self.kept[username] = self.tab(username)
        return self.kept[username]

    def tab(self, username: str = "", **settings: Any) -> Tab:
        """A fresh tab as this person, or of nobody; `settings` are the context's, such as `java_script_enabled`."""
        state = self.state_of(username) if username else None
        tab = self.open(storage_state=state, **settings)
        tab.watch()
        self.tabs.append(tab)
        return tab

    def open(self, **settings: Any) -> Tab:
        context = self.browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **settings})
        context.set_default_timeout(TIMEOUT)
        return Tab(context.new_page(), self.site, context)

    def state_of(self, username: str) -> Any:
        """The cookies of this person, who signs in on the page the first time."""
        if username not in self.signed_in:
            tab = self.open()
            tab.look("/login/")
            tab.page.get_by_label("Username").fill(username)
            tab.page.get_by_label("Password").fill(self.site.people[username]["password"])
            tab.page.get_by_role("button", name="Sign in").click()
            tab.page.wait_for_url(f"{self.site.url}/")
            self.signed_in[username] = tab.context.storage_state()
            tab.context.close()
        return self.signed_in[username]

    def close(self) -> list[str]:
        """Close all tabs but those that are kept; answers what went wrong on any of them."""
        problems = [problem for tab in self.tabs for problem in tab.problems]
        for tab in self.tabs:
            tab.problems.clear()
            if tab not in self.kept.values():
                tab.context.close()
        self.tabs = list(self.kept.values())
        return problems
