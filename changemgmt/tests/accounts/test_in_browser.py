"""Sign-in, profile, administration and API docs in Chromium: no policy violation, no error, nothing from another host."""

import os
from urllib.parse import urlsplit

import pytest
from django.test import Client

from changemgmt.tests.cast import PASSWORD
from changemgmt.tests.needs import chromium

pytestmark = [pytest.mark.needs_chromium, pytest.mark.django_db(transaction=True)]

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ADMIN = ["", "changemgmt/user/", "changemgmt/user/add/", "changemgmt/orgunit/add/", "changemgmt/team/add/", "changemgmt/apitoken/", "auth/group/"]


@pytest.fixture
def page(live_server, seeded, tmp_path):
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(base_url=live_server.url)
        page.troubles = watch(page, live_server.url)
        yield page
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def watch(page, home):
    """What goes wrong on the pages, as it happens."""
    troubles = []
    page.on("console", lambda message: troubles.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))
    host = urlsplit(home).netloc
    page.on("request", lambda request: troubles.append(request.url) if urlsplit(request.url).netloc not in {host, ""} else None)
    return troubles


def sign_in(page, name, to="/profile/"):
    page.goto(f"/login/?next={to}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{to}")


def test_a_person_signs_in_makes_a_token_and_uses_it(page):
    sign_in(page, "rita")
    page.get_by_label("What it is for").fill("pipeline")
    page.get_by_role("button", name="Make a token").click()
    key = page.get_by_label("Key", exact=True).input_value()
    assert Client().get("/api/v1/me/", HTTP_AUTHORIZATION=f"Token {key}").json()["username"] == "rita"
    page.get_by_role("button", name="Revoke the token pipeline").click()
    page.wait_for_selector("text=The token is revoked.")
    assert page.troubles == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_administration_keeps_the_policy(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page, "ada", "/admin/")
    for path in ADMIN:
        assert page.goto(f"/admin/{path}").status == 200
        page.wait_for_load_state("networkidle")
    assert page.troubles == []


def test_the_api_docs_are_drawn_from_our_own_host(page):
    page.goto("/api/docs/")
    page.wait_for_selector(".opblock-tag")
    assert page.locator(".opblock-tag").count() >= 4
    assert page.troubles == []
