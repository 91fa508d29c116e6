"""The OpenAPI description: complete, without a warning, and open to read."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from changemgmt.api.urls import v1


def routes(patterns, prefix=""):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, prefix + str(pattern.pattern))
        else:
            yield prefix + str(pattern.pattern), pattern.callback.view_class


def test_it_is_valid_and_nothing_in_it_had_to_be_guessed(capsys):
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


@pytest.mark.django_db
def test_it_describes_every_route_and_every_method_and_anybody_may_read_it(client):
    document = json.loads(client.get("/api/schema/").content)
    described = {(operation["operationId"]) for methods in document["paths"].values() for operation in methods.values()}
    wanted = [(path, view) for path, view in routes(v1) if getattr(view, "schema", True) is not None]
    methods = sum(hasattr(view, name) for _path, view in wanted for name in ("get", "post", "put", "patch", "delete"))
    assert len(described) == methods
    assert client.get("/api/docs/").status_code == 200
    assert client.post("/api/schema/").status_code == 405


@pytest.mark.django_db
def test_only_the_docs_page_may_show_pictures_from_data(client):
    assert "img-src 'self' data:" in client.get("/api/docs/")["Content-Security-Policy"]
    assert "data:" not in client.get("/login/")["Content-Security-Policy"]
