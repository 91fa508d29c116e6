"""Chromium at a real site, on the database of this run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from ..needs import chromium, on_postgres
from ..site import Site
from ..site import site as real_site
from .watched import LAUNCH, TIMEOUT, Desk

expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Countersign with its demo, in processes of its own."""
    with real_site(tmp_path_factory.mktemp("site"), postgres=on_postgres()) as made:
        yield made


# Not for the whole session: while Playwright runs, Django takes this thread for an asynchronous one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(LAUNCH))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def people(browser: Browser, site: Site) -> Desk:
    """Everybody who signed in already."""
    return Desk(browser, site)


@pytest.fixture
def desk(people: Desk) -> Iterator[Desk]:
    """`desk.tab("rita")` is a page as Rita. What goes wrong on any of them fails the test."""
    yield people
    assert people.close() == []
