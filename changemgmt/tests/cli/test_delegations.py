"""`manage.py delegations …`: standing in for each other on the command line."""

import json
from datetime import timedelta

import pytest

from changemgmt.accounts.models import Delegation
from changemgmt.core.time import rfc3339

from .calling import refused

pytestmark = pytest.mark.django_db


def test_it_gives_lists_changes_and_revokes(delegations, cast, seeded, now):
    words = ("add", "paul", "--until", "2099-01-01", "--from", "2098-12-01", "--scope", "type=major", "--reason", "Holiday")
    made = delegations(cast.petra, *words)
    assert made["scope"] == {"kind": "type", "value": "major"} and made["starts_at"] == "2098-12-01T00:00:00Z"
    assert delegations(cast.paul, "list") == [made] and delegations(cast.max, "list") == []
    text = delegations(cast.petra, "list", as_text=True)
    assert f"{made['id']}  paul votes for petra, 2098-12-01 00:00 to 2099-01-01 00:00 UTC, type=major, planned" in text
    moved = delegations(cast.petra, "change", made["id"], "--until", "2098-12-24")
    assert (moved["ends_at"], moved["reason"]) == ("2098-12-24T00:00:00Z", "Holiday")
    assert delegations(cast.paul, "revoke", made["id"])["revoked_by"] == "paul"
    assert delegations(cast.max, "list", as_text=True).strip() == "None."
    assert delegations(cast.ada, "add", "paul", "--until", rfc3339(now + timedelta(days=1)), "--for", "petra", "--out-of-office")["active"]


@pytest.mark.parametrize(
    ("who", "words", "code"),
    [
        ("petra", ("add", "paul", "--until", "yesterday"), 2), ("petra", ("add", "petra", "--until", "2026-12-31"), 2),
        ("petra", ("add", "paul", "--until", "2001-01-01"), 2), ("petra", ("add", "paul", "--until", "2026-12-31", "--scope", "type=tiny"), 2),
        ("petra", ("add", "paul", "--until", "2026-12-31", "--for", "sam"), 1), ("vera", ("add", "paul", "--until", "2026-12-31"), 1),
        ("petra", ("change", 99999, "--reason", "x"), 1), ("petra", ("revoke", 99999), 1), ("petra", ("coverage",), 1),
        ("max", ("coverage", "--days", 0), 2), ("max", ("coverage", "--days", 91), 2),
        (None, ("list",), 2), (None, ("add", "paul", "--until", "2026-12-31"), 2),
    ],
)  # fmt: skip
def test_a_refusal_ends_with_its_code(delegations, cast, seeded, who, words, code):
    said = refused(delegations, getattr(cast, who) if who else None, *words, code=code)
    assert json.loads(said.err)["status"] >= 400
    assert not Delegation.objects.exists()


def test_a_token_that_only_reads_gives_nothing(delegations, cast):
    refused(delegations, cast.petra, "add", "paul", "--until", "2026-12-31", scope="read")
    assert delegations(cast.petra, "list", scope="read") == []


def test_it_looks_ahead(delegations, cast, seeded):
    assert delegations(cast.max, "coverage") == []
    assert "Every seat has somebody" in delegations(cast.aud, "coverage", "--days", 7, as_text=True)
    cast.eva.groups.clear()
    cast.emil.groups.clear()
    assert [row["seat"] for row in delegations(cast.max, "coverage", "--days", 2)] == ["ECAB member"] * 2
    assert "Emergency change, ECAB: ECAB member" in delegations(cast.ada, "coverage", as_text=True)
