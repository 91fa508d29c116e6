"""The page of a change's risk."""

import pytest

from changemgmt.accounts.actions import grant
from changemgmt.assessment.queries import assessment_of
from changemgmt.changes.models import Change
from changemgmt.tests.scheduling.surroundings import change_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(cast, now):
    made = change_of(cast.rita, now, "orders", rollback_plan="Back.", testing_evidence="Green.")
    grant("edit", cast.rita, made)
    return made


def test_the_requester_answers_and_the_change_manager_sets_the_level_by_hand(cast, client, change):
    where = f"/changes/{change.number}/risk/"
    client.force_login(cast.rita)
    assert b"How much revenue" in client.get(where).content
    assert client.post(where, {"act": "answer", "revenue": "0.5", "reputation": "0.0", "seen": change.etag}).status_code == 302
    page = client.get(where).content.decode()
    assert '<option value="0.5" selected>' in page and "Only a change manager" in page and "What would lower it" in page
    assert client.post(where, {"act": "override", "level": "low", "reason": "x"}).status_code == 403
    client.force_login(cast.max)
    refused = client.post(where, {"act": "override", "level": "high", "reason": " "})
    assert refused.status_code == 409 and b"Give the reason" in refused.content
    assert client.post(where, {"act": "override", "level": "high", "reason": "New vendor."}).status_code == 302
    assert assessment_of(change)["override"]["reason"] == "New vendor."
    assert b"As computed" in client.get(where).content
    client.post(where, {"act": "override", "level": "lift", "reason": "Not new."})
    assert assessment_of(Change.objects.get(pk=change.pk))["override"] is None


def test_nonsense_is_refused_and_others_only_read(cast, client, change):
    where = f"/changes/{change.number}/risk/"
    client.force_login(cast.rita)
    assert client.post(where, {"act": "answer", "revenue": "lots", "reputation": "0.1"}).status_code == 400
    client.force_login(cast.vera)
    assert b"How much revenue" not in client.get(where).content
    assert client.post(where, {"act": "answer", "revenue": "0.5", "reputation": "0.5"}).status_code == 403
    Change.objects.filter(pk=change.pk).update(confidential=True)
    assert client.get(where).status_code == 404
