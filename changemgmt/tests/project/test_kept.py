"""What a fixture wrote is put back exactly, and only where the tables are as they were."""

import pytest
from django.db import transaction

from changemgmt.accounts.models import OrgUnit
from changemgmt.approvals.models import Chain
from changemgmt.approvals.seed import seed

from .. import kept


def contents():
    return {model: {key: kept.values(row) for key, row in here.items()} for model, here in kept.rows().items()}


class Undone(Exception):
    """Takes back what a block wrote."""


def test_what_is_put_back_is_what_was_made(cast, now):
    seen, calls = [], []

    def make():
        calls.append(1)
        seed(now=now)
        return list(Chain.objects.order_by("pk"))

    for _ in range(2):
        with pytest.raises(Undone), transaction.atomic():
            answer = kept.keep("test", make)
            seen.append((contents(), answer))
            raise Undone
    assert len(calls) == 1
    assert seen[0] == seen[1] and seen[0][1]
    assert seen[0][1][0] is not seen[1][1][0]


def test_other_tables_are_written_anew(cast, now):
    calls = []
    for _ in range(2):
        OrgUnit.objects.create(slug=f"unit-{len(calls)}", name="One more")
        kept.keep("anew", lambda: calls.append(1))
    assert len(calls) == 2


def test_a_fixture_that_changes_what_was_there_can_not_be_kept(cast):
    with pytest.raises(AssertionError, match="was there already"):
        kept.keep("changes", lambda: OrgUnit.objects.update(name="Other"))
