"""Fixtures every test may ask for."""

import gc
import importlib
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.seed import seed as seed_roles
from changemgmt.architecture.importers.files import of_path
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.import_architecture import import_architecture

from . import emptying  # noqa: F401  lets tests that commit empty the tables
from .cast import make_cast
from .kept import keep

# Looking for cycles among what Django keeps for good takes an eighth of the time of the tests.
gc.set_threshold(100_000, 50, 50)
SEEDED = ("accounts", "architecture", "preview", "changes", "scheduling", "approvals")


@pytest.fixture(autouse=True)
def fast_and_quiet(settings, tmp_path):
    """No slow password hashing, mail kept in memory, uploads in a folder that goes away, no throttles."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.CACHES = settings.CACHES | {"shared": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path / "cache"}}
    settings.API_THROTTLE = settings.LOGIN_THROTTLE = "off"
    settings.RELATION_TRUST_DAYS = 36_500  # what the tests made at their moment is relied upon at any clock
    settings.WHITENOISE_AUTOREFRESH = True  # looks for a file when it is asked for, not for all of them with every client


@pytest.fixture
def now():
    """The moment of the acts: Friday 20 November 2026, 09:00 UTC."""
    return datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def day(now):
    """The beginning of the day of the acts, when all that is there already was made."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def cast(db, day):
    """The fixed cast with their roles; see `cast.py`."""

    def make():
        seed_roles(now=day)
        return make_cast()

    return keep("cast", make, day)


@pytest.fixture
def seeded(cast, day):
    """The starter pack: roles, layers, relation types, categories, policies, chains."""

    def make():
        for package in SEEDED:
            importlib.import_module(f"changemgmt.{package}.seed").seed(now=day)

    keep("seeded", make, day)


@pytest.fixture
def archisurance(seeded, cast, day):
    """The ArchiSurance model as the architecture; answers the run of the import."""
    files = of_path(settings.BASE_DIR / "data" / "archisurance" / "archisurance.archimate")
    return keep("archisurance", lambda: import_architecture(files, actor=cast.ada, now=day, format="archi", source="archisurance"), day)


@pytest.fixture
def api(db):
    """`api(user)` is a REST client with a token of the user (any scope), `api()` one without."""

    def client_of(user=None, *, scope="write", **defaults):
        client = APIClient(**defaults)
        if user is not None:
            moment = utc_now() - timedelta(minutes=1)
            _, key = make_token(user, days=30, scope=scope, name="test", now=moment)
            client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
        return client

    return client_of
