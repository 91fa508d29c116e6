"""What was typed into one form of a page is not lost without a word when another is sent."""

from __future__ import annotations

import pytest

from ..site import Site
from .samples import call
from .watched import Desk

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]


def test_another_form_is_not_sent_over_what_was_typed_unless_one_says_so(desk: Desk, site: Site) -> None:
    number = call(site, "rita", "POST", "changes/", {"title": "Typed in two places"})["number"]
    tab = desk.tab("rita")
    tab.look(f"/changes/{number}/edit/?part=why")
    asked: list[str] = []
    page = tab.page
    forms = page.locator("form[data-typed]")
    forms.first.locator("textarea").first.fill("Typed and not saved.")
    assert forms.first.get_attribute("data-typed") == "yes"
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.evaluate("document.querySelectorAll('form[data-typed]')[1].requestSubmit()")
    assert len(asked) == 1 and "not saved" in asked[0]
    assert forms.first.locator("textarea").first.input_value() == "Typed and not saved."
    with page.expect_navigation():
        page.evaluate("document.querySelectorAll('form[data-typed]')[0].requestSubmit()")
    assert len(asked) == 1
    assert "Typed and not saved." in str(call(site, "rita", "GET", f"changes/{number}/"))
