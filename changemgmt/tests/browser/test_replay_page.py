"""The replay of a chain in the admin: reached from the chain's page, and readable for everybody at every width."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ..site import Site
from .samples import call
from .watched import Desk

pytestmark = [pytest.mark.needs_chromium, pytest.mark.needs_sqlite]


@pytest.mark.parametrize("width", [1440, 390])
def test_a_chain_is_replayed_from_its_page(desk: Desk, site: Site, width: int) -> None:
    level = {"number": 1, "name": "Second look", "rule": {"kind": "any", "value": None}, "seats": [{"label": "Architect", "group": "architect"}]}
    body = {
        "name": f"To replay at {width}",
        "order": 35,
        "applies_when": {"not": {"field": "risk_level", "op": "eq", "value": "low"}},
        "levels": [level],
    }
    pk = call(site, "ada", "POST", "approval-chains/", body)["id"]
    tab = desk.tab("ada", viewport={"width": width, "height": 900})
    tab.look(f"/admin/changemgmt/chain/{pk}/change/")
    tab.page.get_by_role("link", name="Replay over past changes").click()
    today = datetime.now(UTC).date()
    tab.page.get_by_label("Changes submitted from").fill((today - timedelta(days=365)).isoformat())
    tab.page.get_by_role("button", name="Replay").click()
    tab.page.get_by_text("From which way to which").wait_for()
    path = "/" + tab.page.url.split("/", 3)[3]
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        assert tab.look(path) == 200
        assert tab.sideways() == []
        assert tab.axe() == []
    tab.problems[:] = [problem for problem in tab.problems if "style-src" not in problem]  # axe's own
