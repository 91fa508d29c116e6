"""A small architecture and a way to click through the pages."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation

COMPONENTS = {
    "billing": ("Billing", "BusinessService"),
    "orders-api": ("Orders API", "ApplicationComponent"),
    "orders-db": ("Orders DB", "DataObject"),
    "pg-core": ("pg-core", "Node"),
}
RELATIONS = (
    ("orders-api", "billing", "serving"),
    ("orders-api", "orders-db", "access"),
    ("pg-core", "orders-db", "realization"),
    ("pg-core", "orders-api", "serving"),
)


@pytest.fixture
def estate(seeded, now):
    """Four components in four layers, tied together."""
    made = [
        Operation(
            "create",
            "component",
            key,
            None,
            None,
            None,
            {"name": name, "type": kind, "criticality": 4, "users": 100, "attributes": {"version": "15.8", "max_connections": 400}},
        )
        for key, (name, kind) in COMPONENTS.items()
    ]
    ties = [Operation("create", "relation", f"{source}-{kind}-{target}", source, target, kind, {}) for source, target, kind in RELATIONS]
    apply_operations([*made, *ties], actor="ada", now=now, reason="test", direct=True)


@pytest.fixture
def browse(cast):
    """`browse(user)` is a client who is signed in."""

    def signed_in(user=None, **headers):
        client = Client(**headers)
        if user is not None:
            client.force_login(user)
        return client

    return signed_in


class Offences(HTMLParser):
    """What a strict Content-Security-Policy would block, and links that leave the host."""

    def __init__(self):
        super().__init__()
        self.found, self.inside = [], None

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.inside = tag if tag in ("script", "style") else None
        if tag == "style" or "style" in values:
            self.found.append(f"inline style on <{tag}>")
        self.found += [f"inline handler {name} on <{tag}>" for name in values if re.fullmatch(r"on[a-z]+", name)]
        if tag == "script" and not values.get("src"):
            self.found.append("inline script")
        for name in ("src", "href"):
            value = values.get(name) or ""
            if tag in ("script", "link", "img", "use") and re.match(r"(https?:)?//|data:", value):
                self.found.append(f"{tag} from elsewhere: {value}")

    def handle_data(self, data):
        if self.inside and data.strip():
            self.found.append(f"text in <{self.inside}>")


@pytest.fixture
def clean_html():
    """Assert that a page has nothing that the policy would block."""

    def check(response):
        parser = Offences()
        parser.feed(response.content.decode())
        assert parser.found == []
        return response

    return check
