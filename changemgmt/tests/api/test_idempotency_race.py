"""The same POST, many times at the same instant, with one key."""

import threading

import pytest
from django.db import connection, connections
from django.urls import path
from rest_framework.test import APIClient

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.models import IdempotencyKey, OrgUnit
from changemgmt.api.base import Resource, StrictSerializer, Text
from changemgmt.core.time import utc_now
from changemgmt.tests.cast import make_person

TIMES = 20


class UnitBody(StrictSerializer):
    name = Text(max_length=100)


class Units(Resource):
    def post(self, request):
        body = self.read(UnitBody)
        unit = OrgUnit.objects.create(slug=f"unit-{OrgUnit.objects.count()}", name=body["name"])
        return self.answer({"id": unit.pk}, 201)


urlpatterns = [path("api/v1/units/", Units.as_view())]


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_one_key_are_one_act_and_twenty_equal_answers(settings):
    settings.ROOT_URLCONF = __name__
    _, key = make_token(make_person("rita"), days=1, scope="write", name="", now=utc_now())
    start, answers = threading.Barrier(TIMES), []

    def post():
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {key}", HTTP_IDEMPOTENCY_KEY="the same")
        start.wait()
        response = client.post("/api/v1/units/", {"name": "Once"})
        answers.append((response.status_code, response.content))
        connections.close_all()

    threads = [threading.Thread(target=post) for _ in range(TIMES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == TIMES and len(set(answers)) == 1 and answers[0][0] == 201
    assert OrgUnit.objects.count() == 1 and IdempotencyKey.objects.count() == 1
    assert connection.vendor == "postgresql"
