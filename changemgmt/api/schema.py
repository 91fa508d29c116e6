"""The OpenAPI description, drawn from what each resource says of itself, and its page."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import override
from django.views import View
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from .paging import LARGEST_PAGE

PROBLEMS = {
    "400": "The request is not valid; `errors` names the fields.",
    "401": "No credentials, or none that hold.",
    "403": "You may see it and may not do this.",
    "404": "Not there, or not yours to see.",
    "409": "Not possible now; `guards` says what is missing and who can clear it.",
    "412": "It has changed since you read it.",
    "413": "Too large.",
    "415": "Of a type that is not taken.",
    "422": "The Idempotency-Key was used for another request.",
    "428": "Say which version you saw: If-Match, or the digest.",
    "429": "Too many requests; see Retry-After.",
}
OF_READS = ("400", "401", "403", "404", "429")


class GuardShape(serializers.Serializer):
    guard = serializers.CharField()
    message = serializers.CharField()
    who_can_clear = serializers.ListField(child=serializers.CharField())
    clears_at = serializers.DateTimeField(allow_null=True)


class ProblemShape(serializers.Serializer):
    """RFC 9457, with the messages by field and the unmet guards."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]  # a declared field
    guards = GuardShape(many=True)


class ResourceSchema(AutoSchema):
    """Reads the class attributes of a `Resource`: what it accepts, answers, and takes as parameters."""

    def get_request_serializer(self) -> Any:
        return getattr(self.view, "accepts", {}).get(self.method)

    def get_response_serializers(self) -> Any:
        answer = getattr(self.view, "answers", {}).get(self.method)
        status = getattr(self.view, "statuses", {}).get(self.method) or ("204" if self.method == "DELETE" and answer is None else "200")
        good: Any = answer if answer is not None else (None if status == "204" else OpenApiTypes.ANY)
        if answer is not None and self.is_list_of_stored():
            good = self.page_of(answer)
        codes = OF_READS if self.method == "GET" else tuple(PROBLEMS)
        problems = {(code, "application/problem+json"): OpenApiResponse(ProblemShape, PROBLEMS[code]) for code in codes}
        return {(status, "application/json") if status != "204" else status: good, **problems}

    def is_list_of_stored(self) -> bool:
        return bool(self.method == "GET" and getattr(self.view, "orderings", None))

    def page_of(self, answer: Any) -> Any:
        name = shape_name(answer if isinstance(answer, type) else type(answer))
        fields = {
            "next": serializers.CharField(allow_null=True),
            "previous": serializers.CharField(allow_null=True),
            "count": serializers.IntegerField(required=False),
            "results": answer(many=True) if isinstance(answer, type) else answer,
        }
        return inline_serializer(f"{name}Page", fields)

    def get_override_parameters(self) -> list[OpenApiParameter | serializers.Serializer[Any] | type[serializers.Serializer[Any]]]:
        view, safe = self.view, self.method == "GET"
        names = getattr(view, "parameters" if safe else "write_parameters", ())
        found: list[Any] = [OpenApiParameter(name, str, OpenApiParameter.QUERY) for name in sorted(names)]
        if self.is_list_of_stored():
            found += paging_parameters(view)
        if self.method == "POST":
            found.append(
                OpenApiParameter(
                    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key and body again gets the first answer again."
                )
            )
        return found

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False

    def get_auth(self) -> list[Any]:
        return []

    def get_operation_id(self) -> str:
        """`get_changes_by_number`: the method and the path in words, so that it is unique and stays."""
        path = self.path.removeprefix("/api/v1/").strip("/").replace("{", "by_").replace("}", "")
        return f"{self.method.lower()}_{re.sub('[^a-z0-9]+', '_', path)}"

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """`PlansFinding`: modules may have shapes of one name without knowing of each other."""
        return shape_name(serializer if isinstance(serializer, type) else type(serializer))

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]


def shape_name(kind: type) -> str:
    """The name of a serializer in the document: its module and its own name."""
    *_above, module = kind.__module__.split(".")
    prefix = "" if not kind.__module__.startswith("changemgmt.api.") or module == "schema" else module.capitalize()
    return prefix + kind.__name__.removesuffix("Shape")


def paging_parameters(view: Any) -> list[OpenApiParameter]:
    """The parameters every list of stored things takes."""
    orderings = [sign + name for name in sorted(view.orderings) for sign in ("", "-")]
    return [
        OpenApiParameter("page_size", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}, OpenApiParameter.QUERY),
        OpenApiParameter("cursor", str, OpenApiParameter.QUERY, description="From `next` or `previous`."),
        OpenApiParameter("ordering", str, OpenApiParameter.QUERY, enum=orderings),
        OpenApiParameter("count", str, OpenApiParameter.QUERY, enum=["true", "false"]),
        OpenApiParameter("fields", str, OpenApiParameter.QUERY, description="Names with commas: only these fields."),
    ]


def token_scheme(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Say how to authenticate; a post-processing hook of drf-spectacular."""
    result.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <key>`"},
        "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
    }
    result["security"] = [{"token": []}, {"session": []}]
    return result


@lru_cache(maxsize=1)
def document() -> bytes:
    """The OpenAPI document as JSON, made once per process."""
    with override("en"):
        return orjson.dumps(
            SchemaGenerator().get_schema(request=None, public=True), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str
        )


class Schema(View):
    """The document; JSON, which is YAML too."""

    http_method_names = ("get", "head")

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


@method_decorator(csp_update({"img-src": ["data:"]}), name="dispatch")
class Docs(View):
    """The page to browse and try the API. Its style sheet holds pictures as data, so its policy allows those."""

    http_method_names = ("get", "head")

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "api/docs.html")
