"""After a test, the document of every change says what its row and its people say."""

import json
from collections.abc import Iterator

import pytest

from changemgmt.changes.models import Change
from changemgmt.changes.queries import representation


@pytest.fixture(autouse=True)
def documents_are_true(db: None) -> Iterator[None]:
    yield
    for change in Change.objects.order_by("-pk")[:20]:
        assert json.loads(change.document) == representation(change), f"the document of {change.number} is behind its row"
