"""The foundation of the API: who gets in, in which order things are refused, what a body may hold, lists, keys."""

import json
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import path
from rest_framework import serializers

from changemgmt.accounts.models import ApiToken, OrgUnit, User
from changemgmt.api.base import Instant, Resource, StrictSerializer, Text, Whole
from changemgmt.audit.models import Event
from changemgmt.core.errors import NotFound, UnmetGuard
from changemgmt.core.time import utc_now
from changemgmt.core.verdict import Guard

pytestmark = pytest.mark.django_db


BAD_HEADERS = [
    "Token",
    "Token a b",
    "Token nonsense",
    "Token cs_" + "x" * 43,
    "Token cs_ü",
    "Bearer cs_x",
    "Basic cml0YTpyaXRh",
    "Token " + "x" * 5000,
]
BAD_QUERIES = [
    *("page_size=0", "page_size=201", "page_size=1000000", "page_size=x", "page_size=-1", "page_size=²", "limit=5", "offset=10", "count=maybe"),
    *("ordering=password", "ordering=-head__password", "ordering=", "ordering=--slug", "fields=password", "format=xml", "token=cs_x"),
    *("cursor=x", "cursor=" + "A" * 50, "cursor=bnVsbA", "cursor=WzEsMiwzXQ", "cursor=%00", "q=a%00b", "q=" + "x" * 100_000),
    *("expand=head", "depth=9", "include=head.user", "head__password__startswith=p"),
]


class UnitBody(StrictSerializer):
    slug = Text(max_length=100)
    name = Text(max_length=200)
    size = Whole(required=False)
    seen_at = Instant(required=False)
    id = serializers.IntegerField(read_only=True)


class Units(Resource):
    orderings = {"slug": "slug", "name": "name", "parent": "parent__slug"}
    ordering = "slug"
    names = ("slug", "name")
    parameters = ("q",)
    roles = {"POST": ("administrator",)}

    def get(self, request):
        return self.listing(OrgUnit.objects.select_related("parent"), lambda rows: ({"slug": unit.slug, "name": unit.name} for unit in rows))

    def post(self, request):
        body = self.read(UnitBody, current={"id": 7})
        if body["name"] == "guarded":
            raise UnmetGuard("No.", guards=[Guard("no_freeze", "A freeze is on.", ("max",), self.now)])
        unit = OrgUnit.objects.create(slug=body["slug"], name=body["name"])
        return self.answer({"id": unit.pk, "slug": unit.slug}, 201, etag="1.1", location=f"/api/v1/units/{unit.slug}/")


class Unit(Resource):
    roles = {"PATCH": ("administrator",)}

    def find(self):
        self.unit = OrgUnit.objects.filter(slug=self.kwargs["slug"]).first()
        if self.unit is None:
            raise NotFound("There is no such unit.")

    def get(self, request, slug):
        return self.answer({"slug": slug, "seen": self.seen})

    def patch(self, request, slug):
        return self.answer(self.read(UnitBody))


class Broken(Resource):
    def get(self, request):
        raise ZeroDivisionError("the secret is in here")


urlpatterns = [path("api/v1/units/", Units.as_view()), path("api/v1/units/<path:slug>/", Unit.as_view()), path("api/v1/broken/", Broken.as_view())]


@pytest.fixture
def units(settings, cast):
    settings.ROOT_URLCONF = __name__
    return cast


def problem(response, status, slug):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail", "errors", "guards"}
    assert body["title"] and body["detail"]
    return body


class TestWhoGetsIn:
    def test_without_credentials_it_is_401_and_says_how(self, units, api):
        response = api().get("/api/v1/units/")
        problem(response, 401, "not-authenticated")
        assert response["WWW-Authenticate"].startswith("Token")

    @pytest.mark.parametrize("header", BAD_HEADERS)
    def test_a_malformed_or_unknown_token_is_401(self, units, api, header):
        client = api()
        client.credentials(HTTP_AUTHORIZATION=header)
        problem(client.get("/api/v1/units/"), 401, "not-authenticated")

    @pytest.mark.parametrize("fields", [{"revoked_at": "now"}, {"expires_at": "past"}])
    def test_an_ended_token_is_401_and_that_is_on_the_record(self, units, api, fields):
        client = api(units.rita)
        moment = utc_now()
        values = (
            {"revoked_at": moment}
            if "revoked_at" in fields
            else {"created_at": moment - timedelta(days=9), "expires_at": moment - timedelta(seconds=1)}
        )
        ApiToken.objects.update(**values)
        problem(client.get("/api/v1/units/"), 401, "not-authenticated")
        assert Event.objects.filter(action="access.denied", stream="auth").count() == 1

    def test_a_deactivated_user_is_401_by_token_and_by_session(self, units, api, client):
        by_token = api(units.rita)
        client.force_login(units.rita, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get("/api/v1/units/").status_code == 200
        User.objects.filter(pk=units.rita.pk).update(is_active=False)
        problem(by_token.get("/api/v1/units/"), 401, "not-authenticated")
        problem(client.get("/api/v1/units/"), 401, "not-authenticated")

    def test_a_token_in_the_query_string_is_no_credential(self, units, api):
        problem(api().get("/api/v1/units/?token=cs_x"), 401, "not-authenticated")

    def test_a_token_that_may_only_read_writes_nothing(self, units, api):
        client = api(units.ada, scope="read")
        assert client.get("/api/v1/units/").status_code == 200
        problem(client.post("/api/v1/units/", {"slug": "a", "name": "A"}), 403, "not-permitted")

    def test_a_session_needs_its_csrf_token_to_write(self, units, api):
        client = api(enforce_csrf_checks=True)
        client.force_login(units.ada, backend="django.contrib.auth.backends.ModelBackend")
        problem(client.post("/api/v1/units/", {"slug": "a", "name": "A"}), 403, "not-permitted")
        assert not OrgUnit.objects.filter(slug="a").exists()

    def test_the_token_and_its_user_are_one_query_and_the_use_is_stamped_once_a_minute(self, units, api, django_assert_num_queries):
        client = api(units.rita)
        client.get("/api/v1/units/?page_size=1")
        stamp = ApiToken.objects.get(user=units.rita).last_used_at
        assert stamp is not None
        with django_assert_num_queries(2):
            client.get("/api/v1/units/?page_size=1")
        assert ApiToken.objects.get(user=units.rita).last_used_at == stamp


class TestTheOrderOfRefusals:
    def test_not_there_comes_before_the_wrong_method(self, units, api):
        problem(api(units.vera).delete("/api/v1/units/nowhere/"), 404, "not-found")

    def test_the_wrong_method_comes_before_the_body(self, units, api):
        response = api(units.vera).put("/api/v1/units/", "<x/>", content_type="text/xml")
        problem(response, 405, "method-not-allowed")
        assert response["Allow"] == "GET, POST, HEAD"

    def test_too_large_comes_before_the_wrong_type_and_the_wrong_person(self, units, api):
        problem(api(units.vera).post("/api/v1/units/", "x" * 3_000_000, content_type="text/plain"), 413, "too-large")

    def test_the_wrong_type_comes_before_the_wrong_person(self, units, api):
        problem(api(units.vera).post("/api/v1/units/", "{}", content_type="text/plain"), 415, "unsupported-type")

    def test_the_wrong_person_comes_before_the_wrong_body(self, units, api):
        problem(api(units.vera).post("/api/v1/units/", {"slug": 5}), 403, "not-permitted")
        event = Event.objects.get(action="access.denied")
        assert event.stream == "auth" and "vera" not in event.text

    def test_the_wrong_body_is_400_and_names_the_fields(self, units, api):
        body = problem(api(units.ada).post("/api/v1/units/", {"slug": 5, "more": 1}), 400, "invalid")
        assert "more" in body["errors"]
        body = problem(api(units.ada).post("/api/v1/units/", {"slug": 5}), 400, "invalid")
        assert set(body["errors"]) == {"slug", "name"}

    def test_an_unmet_guard_is_409_and_says_who_can_clear_it(self, units, api):
        body = problem(api(units.ada).post("/api/v1/units/", {"slug": "a", "name": "guarded"}), 409, "unmet-guard")
        guard = body["guards"][0]
        assert guard["guard"] == "no_freeze" and guard["who_can_clear"] == ["max"] and guard["clears_at"].endswith("Z")

    @pytest.mark.parametrize("method", ["trace", "options"])
    def test_methods_nobody_serves_are_405(self, units, api, method):
        problem(getattr(api(units.vera), method)("/api/v1/units/"), 405, "method-not-allowed")

    def test_a_method_override_is_ignored(self, units, api):
        assert api(units.vera).get("/api/v1/units/", HTTP_X_HTTP_METHOD_OVERRIDE="DELETE").status_code == 200
        problem(api(units.vera).post("/api/v1/units/", "_method=DELETE", content_type="application/x-www-form-urlencoded"), 415, "unsupported-type")

    def test_a_chunked_body_without_length_is_413(self, units, api):
        problem(api(units.ada).post("/api/v1/units/", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH=""), 413, "too-large")

    def test_a_fault_of_ours_shows_only_a_number(self, units, api):
        client = api(units.vera)
        client.raise_request_exception = False
        response = client.get("/api/v1/broken/")
        body = problem(response, 500, "unexpected")
        assert "secret" not in json.dumps(body) and "Traceback" not in json.dumps(body)

    @pytest.mark.parametrize("where", ["/api/v1/nothing/", "/api/v1/me", "/api/v2/", "/api/"])
    def test_unknown_paths_are_a_problem_too(self, cast, api, where):
        problem(api(cast.vera).get(where), 404, "not-found")
        problem(api().get(where), 401, "not-authenticated")


DEEP = "[" * 1000 + "]" * 1000
HOSTILE = {
    "no json": "{",
    "a deep list": DEEP,
    "a deep object": '{"a":' * 1000 + "1" + "}" * 1000,
    "a deep field": '{"slug": ' + DEEP + "}",
    "duplicate keys": '{"slug": "a", "slug": "b", "name": "A"}',
    "NaN": '{"slug": "a", "name": "A", "size": NaN}',
    "infinity": '{"slug": "a", "name": "A", "size": 1e999999}',
    "minus infinity": '{"slug": "a", "name": "A", "size": -Infinity}',
    "a huge integer": '{"slug": "a", "name": "A", "size": 1' + "0" * 400 + "}",
    "an enormous integer": '{"slug": "a", "name": "A", "size": 1' + "0" * 5000 + "}",
    "an integer over 64 bits": '{"slug": "a", "name": "A", "size": 9223372036854775808}',
    "an integer the column can't hold": '{"slug": "a", "name": "A", "size": 99999999999}',
    "a fraction": '{"slug": "a", "name": "A", "size": 1.5}',
    "a truth": '{"slug": "a", "name": "A", "size": true}',
    "NUL": '{"slug": "a\\u0000", "name": "A"}',
    "a raw NUL": '{"slug": "a\x00", "name": "A"}',
    "half a surrogate": '{"slug": "\\ud800", "name": "A"}',
    "half a surrogate as key": '{"\\udc00": "x", "slug": "a", "name": "A"}',
    "a list": "[]",
    "a string": '"x"',
    "a number": "1",
    "null": "null",
    "true": "true",
    "year zero": '{"slug": "a", "name": "A", "seen_at": "0000-01-01T00:00:00Z"}',
    "year 99999": '{"slug": "a", "name": "A", "seen_at": "99999-01-01T00:00:00Z"}',
    "the edge of time": '{"slug": "a", "name": "A", "seen_at": "0001-01-01T00:00:00+14:00"}',
    "a time without zone": '{"slug": "a", "name": "A", "seen_at": "2026-01-01T00:00:00"}',
    "a time that is a number": '{"slug": "a", "name": "A", "seen_at": 5}',
    "too long": '{"slug": "a", "name": "' + "x" * 201 + '"}',
    "an object for text": '{"slug": {"a": 1}, "name": "A"}',
    "unknown": '{"slug": "a", "name": "A", "$where": 1}',
    "read-only": '{"slug": "a", "name": "A", "id": 8}',
    "empty": "",
}


class TestBodies:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_json_is_400_and_stores_nothing(self, units, api, name):
        before = OrgUnit.objects.count()
        problem(
            api(units.ada).post("/api/v1/units/", HOSTILE[name].encode("utf-8", "surrogatepass"), content_type="application/json"), 400, "invalid"
        )
        assert OrgUnit.objects.count() == before

    def test_bytes_that_are_no_text_are_400(self, units, api):
        problem(api(units.ada).post("/api/v1/units/", b'{"slug": "\xff\xfe"}', content_type="application/json"), 400, "invalid")

    def test_ten_megabytes_are_413(self, units, api):
        problem(api(units.ada).post("/api/v1/units/", '{"slug": "' + "x" * 10_000_000 + '"}', content_type="application/json"), 413, "too-large")

    def test_a_read_only_field_may_repeat_its_value(self, units, api):
        assert api(units.ada).post("/api/v1/units/", {"slug": "a", "name": "A", "id": 7}).status_code == 201

    def test_text_of_any_script_and_50_levels_are_fine(self, units, api):
        assert api(units.ada).post("/api/v1/units/", {"slug": "a", "name": "𝔘 ünïts 漢字 \U0001f600 }{]["}).status_code == 201

    def test_a_key_longer_than_anything_is_400(self, units, api):
        problem(api(units.ada).post("/api/v1/units/", {"x" * 5000: 1}), 400, "invalid")

    @pytest.mark.parametrize(
        "where", ["/api/v1/units/a%00b/", "/api/v1/units/%ff%fe/", "/api/v1/units/" + "x" * 3000 + "/", "/api/v1/me/tokens/1" + "0" * 400 + "/"]
    )
    def test_hostile_paths_are_404(self, units, api, where, settings):
        if "tokens" in where:
            settings.ROOT_URLCONF = "config.urls"
        problem(api(units.ada).get(where), 404, "not-found")


class TestLists:
    @pytest.fixture
    def many(self, units):
        OrgUnit.objects.all().update(parent=None)
        User.objects.update(org_unit=None)
        OrgUnit.objects.all().delete()
        first = OrgUnit.objects.create(slug="u00", name="same")
        OrgUnit.objects.bulk_create(
            OrgUnit(slug=f"u{n:02}", name="same" if n % 3 else f"n{n:02}", parent=first if n % 2 else None) for n in range(1, 12)
        )
        return units

    def walk(self, client, url, direction="next"):
        pages = []
        while url:
            answer = client.get(url).json()
            assert set(answer) == {"next", "previous", "results"}
            pages.append([row["slug"] for row in answer["results"]])
            last, url = url, answer[direction]
        return pages, last

    @pytest.mark.parametrize("ordering", ["slug", "-slug", "name", "-name", "parent", "-parent"])
    def test_pages_in_either_direction_show_each_row_once(self, many, api, ordering):
        client = api(many.vera)
        forward, last = self.walk(client, f"/api/v1/units/?page_size=5&ordering={ordering}")
        rows = [slug for page in forward for slug in page]
        assert [len(page) for page in forward] == [5, 5, 2] and len(set(rows)) == 12
        back, _ = self.walk(client, last, "previous")
        assert back == forward[::-1]
        if ordering.lstrip("-") == "parent":
            assert OrgUnit.objects.get(slug=rows[-1]).parent is None

    def test_rows_added_meanwhile_move_nothing(self, many, api):
        client = api(many.vera)
        answer = client.get("/api/v1/units/?page_size=5").json()
        OrgUnit.objects.create(slug="a-new", name="first of all")
        assert client.get(answer["next"]).json()["results"][0]["slug"] == "u05"

    def test_count_and_fields_on_request(self, many, api):
        answer = api(many.vera).get("/api/v1/units/?count=true&fields=slug&page_size=1").json()
        assert answer["count"] == 12 and answer["results"] == [{"slug": "u00"}]

    @pytest.mark.parametrize("query", BAD_QUERIES)
    def test_parameters_nobody_offers_are_400(self, many, api, query):
        problem(api(many.vera).get(f"/api/v1/units/?{query}"), 400, "invalid")

    def test_accept_is_not_asked(self, many, api):
        assert api(many.vera).get("/api/v1/units/", HTTP_ACCEPT="text/html").json()["results"]


class TestIdempotency:
    def test_the_same_post_again_gets_the_first_answer_and_stores_nothing(self, units, api):
        client = api(units.ada)
        first = client.post("/api/v1/units/", {"slug": "a", "name": "A"}, HTTP_IDEMPOTENCY_KEY="k1")
        again = client.post("/api/v1/units/", {"name": "A", "slug": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
        assert first.status_code == again.status_code == 201
        assert first.content == again.content and first["ETag"] == again["ETag"] and first["Location"] == again["Location"]
        assert again["Idempotent-Replayed"] == "true"
        assert OrgUnit.objects.filter(slug="a").count() == 1

    def test_another_body_is_422(self, units, api):
        client = api(units.ada)
        client.post("/api/v1/units/", {"slug": "a", "name": "A"}, HTTP_IDEMPOTENCY_KEY="k1")
        problem(client.post("/api/v1/units/", {"slug": "b", "name": "A"}, HTTP_IDEMPOTENCY_KEY="k1"), 422, "key-reused")
        assert not OrgUnit.objects.filter(slug="b").exists()

    def test_keys_of_two_people_have_nothing_to_do_with_each_other(self, units, api):
        assert api(units.ada).post("/api/v1/units/", {"slug": "a", "name": "A"}, HTTP_IDEMPOTENCY_KEY="k1").status_code == 201
        assert api(units.otto).post("/api/v1/units/", {"slug": "b", "name": "B"}, HTTP_IDEMPOTENCY_KEY="k1").status_code == 201

    def test_a_refused_post_leaves_its_key_free(self, units, api):
        client = api(units.ada)
        problem(client.post("/api/v1/units/", {"slug": "a", "name": "guarded"}, HTTP_IDEMPOTENCY_KEY="k1"), 409, "unmet-guard")
        assert client.post("/api/v1/units/", {"slug": "a", "name": "A"}, HTTP_IDEMPOTENCY_KEY="k1").status_code == 201

    @pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
    def test_a_key_that_is_none_is_400(self, units, api, key):
        problem(api(units.ada).post("/api/v1/units/", {"slug": "a", "name": "A"}, HTTP_IDEMPOTENCY_KEY=key), 400, "invalid")


class TestThrottle:
    def test_too_many_requests_of_one_token_are_429_and_others_go_on(self, units, api, settings):
        cache.clear()
        settings.API_THROTTLE = "3/min"
        client = api(units.vera)
        for _ in range(3):
            assert client.get("/api/v1/units/").status_code == 200
        response = client.get("/api/v1/units/")
        problem(response, 429, "throttled")
        assert 0 < int(response["Retry-After"]) <= 61
        assert api(units.rita).get("/api/v1/units/").status_code == 200
        settings.API_THROTTLE = "off"
        assert client.get("/api/v1/units/").status_code == 200

    def test_a_cache_that_does_not_answer_limits_nobody(self, units, api, settings, monkeypatch):
        settings.API_THROTTLE = "1/min"
        monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.add", lambda *args: (_ for _ in ()).throw(ConnectionError()))
        client = api(units.vera)
        assert [client.get("/api/v1/units/").status_code for _ in range(3)] == [200, 200, 200]
