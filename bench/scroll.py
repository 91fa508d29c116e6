"""`python -m bench.scroll`: the frames of Chromium while the difference of a thousand fields, and the picture of 500 components, are scrolled."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from changemgmt.tests.browser.samples import fields_change, wide_change
from changemgmt.tests.browser.watched import LAUNCH, Desk, Tab
from changemgmt.tests.needs import chromium
from changemgmt.tests.site import site

STEP = 120  # pixels a frame, about what a quick wheel does
# The time between frames, in ms, while the page is scrolled to its end.
SCROLL = """step => new Promise(done => {
  const frames = []; let last = performance.now();
  const next = now => { frames.push(now - last); last = now; const before = scrollY; scrollBy(0, step);
    if (scrollY === before) done(frames.slice(1)); else requestAnimationFrame(next); };
  requestAnimationFrame(next);
})"""


def measured(tab: Tab, path: str) -> str:
    """One line: how many frames, the middle one, the 95th of a hundred, the longest, and what layout took of it all."""
    tab.look(path)
    tab.page.wait_for_timeout(500)
    metrics: Any = tab.context.new_cdp_session(tab.page)
    metrics.send("Performance.enable")
    layout = lambda: {row["name"]: row["value"] for row in metrics.send("Performance.getMetrics")["metrics"]}["LayoutDuration"]  # noqa: E731
    before = layout()
    frames = sorted(tab.page.evaluate(SCROLL, STEP))
    spent, at = (layout() - before) * 1000, lambda share: frames[min(len(frames) - 1, int(len(frames) * share))]
    slow = sum(frame > 34 for frame in frames)
    return (
        f"{len(frames)} frames, median {at(0.5):.1f} ms, p95 {at(0.95):.1f} ms, longest {frames[-1]:.1f} ms, "
        f"{slow} over 34 ms, layout {spent / len(frames):.2f} ms a frame"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(LAUNCH))
        tab = Desk(browser, made).tab("rita")
        print("difference of 1,000 fields:", measured(tab, f"/changes/{fields_change(made, 1000)}/diff/"))
        print("picture of 500 components: ", measured(tab, f"/changes/{wide_change(made, 500)}/impact/"))
        browser.close()


if __name__ == "__main__":
    main()
