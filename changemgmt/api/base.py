"""What every resource of the API stands on: the order of the checks, reading of bodies, answers and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from changemgmt.accounts.queries import has_role
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, TooLarge, UnsupportedType
from changemgmt.core.time import parse_instant, utc_now

from .auth import SAFE, check_scope
from .body import BODY_LIMIT, LARGEST, JSONParser, storable
from .errors import MethodNotAllowed, NotAuthenticated
from .idempotency import once
from .paging import PARAMETERS, listed, page_of
from .throttles import check_throttle

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponseBase
    from rest_framework.request import Request

    from changemgmt.accounts.models import User

UPLOAD_LIMIT = 64 * 1024 * 1024
LONGEST_PARAMETER = 1000


class Resource(APIView):
    """One path. A subclass has `get`, `post`, … and says below what it takes and who may write.

    Checks come in the contract's order: 401, 429, 404 (`find`), 405, 413, 415, 403 (`roles`, `permit`), 400,
    then what the verb refuses. A handler finds `self.user`, `self.now` and `self.seen` (the change's ETag it was shown).
    """

    http_method_names = ["get", "post", "put", "patch", "delete", "head"]

    parameters: ClassVar[frozenset[str] | Sequence[str]] = ()
    """Query parameters a GET takes, besides those of lists."""
    write_parameters: ClassVar[frozenset[str] | Sequence[str]] = ()
    """Query parameters the other methods take."""
    roles: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Who may: method to role names. A method that is not named is open to everybody signed in."""
    orderings: ClassVar[Mapping[str, str]] = {}
    """Of a list: public name to column."""
    ordering: ClassVar[str] = ""
    """Of a list: the default, such as `-created_at`."""
    names: ClassVar[Sequence[str]] = ()
    """Of a list: the fields that `?fields=` may name."""
    upload_limit: ClassVar[int] = UPLOAD_LIMIT
    """The largest multipart body, in bytes."""
    accepts: ClassVar[Mapping[str, type[serializers.Serializer]]] = {}
    """For the schema: method to the serializer of its body."""
    answers: ClassVar[Mapping[str, Any]] = {}
    """For the schema: method to the serializer of its answer (`Serializer(many=True)` for a bare array)."""

    format_kwarg = None

    def find(self) -> None:
        """Load what the path names; raise NotFound when it is not there or not the user's to see."""

    def permit(self) -> None:
        """Raise NotPermitted when this user may never do this here."""

    # The rest is the machinery.

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs, self.headers = args, kwargs, {}
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        response: HttpResponseBase
        try:
            self.initial(asked, *args, **kwargs)
            response = self.act()
        except Exception as error:  # noqa: BLE001  the one handler turns it into an answer
            response = self.handle_exception(error)
        self.response = self.finalize_response(asked, response, *args, **kwargs)  # type: ignore[arg-type]  # it takes any; the stubs say Response
        self.response.headers.setdefault("Cache-Control", "no-store")
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        if not request.user.is_authenticated:
            raise NotAuthenticated(_("Sign in, or send Authorization: Token <key>."))
        self.user: User = request.user
        self.now: datetime = utc_now()
        check_throttle(request)
        self.check_path()
        self.find()
        self.check_method()
        self.check_body()
        check_scope(request)
        self.check_roles()
        self.permit()
        self.check_parameters()

    def act(self) -> HttpResponseBase:
        """Run the handler; a POST with an Idempotency-Key at most once."""
        handler = getattr(self, self.method.lower())

        def answer() -> HttpResponseBase:
            return handler(self.request, *self.args, **self.kwargs)

        return once(self.request, answer, now=self.now) if self.method == "POST" else answer()

    def check_path(self) -> None:
        for value in self.kwargs.values():
            if (isinstance(value, str) and "\0" in value) or (isinstance(value, int) and value > LARGEST):
                raise NotFound(_("There is nothing here, or it is not yours to see."))

    def check_method(self) -> None:
        method = self.method
        if method.lower() not in self.http_method_names or not hasattr(self, method.lower()):
            self.headers["Allow"] = ", ".join(self.allowed_methods)
            raise MethodNotAllowed(_("%(method)s is not possible here; %(allowed)s is.") % {"method": method[:20], "allowed": self.headers["Allow"]})

    def check_body(self) -> None:
        """Length and type of the body, before anything reads it."""
        if self.method in SAFE:
            return
        if "chunked" in self.request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not self.request.META.get("CONTENT_LENGTH"):
            raise TooLarge(_("Say how long the body is: send Content-Length."))
        length = int(self.request.META.get("CONTENT_LENGTH") or 0)
        kind = self.request.content_type.partition(";")[0].strip().lower()
        limit = self.upload_limit if kind == MultiPartParser.media_type else BODY_LIMIT
        if length > limit:
            raise TooLarge(_("The body has %(length)s bytes; at most %(limit)s are taken.") % {"length": length, "limit": limit})
        taken = [parser.media_type for parser in self.parser_classes]
        if length and kind not in taken:
            raise UnsupportedType(_("Send the body as %(taken)s.") % {"taken": " or ".join(taken)})

    def check_roles(self) -> None:
        wanted = self.roles.get("GET" if self.method == "HEAD" else self.method)
        if wanted is not None and not has_role(self.user, *wanted):
            raise NotPermitted(_("This needs one of these roles: %(roles)s.") % {"roles": ", ".join(wanted)})

    def check_parameters(self) -> None:
        """Refuse query parameters nobody reads, and values no text can be."""
        safe = self.method in SAFE
        allowed = {*(self.parameters if safe else self.write_parameters), *(PARAMETERS if safe and self.orderings else ())}
        for name, values in self.request.query_params.lists():
            if name not in allowed:
                there = ", ".join(sorted(allowed)) or _("none")
                raise Invalid.field(name[:100], _("There is no such query parameter here; there are: %(there)s.") % {"there": there})
            if any(len(value) > LONGEST_PARAMETER or "\0" in value or not storable(value) for value in values):
                raise Invalid.field(name, _("The value is too long or holds a character that can't be stored."))

    @property
    def method(self) -> str:
        """The method of the request, in capitals."""
        return self.request.method or ""

    @property
    def seen(self) -> str | None:
        """The `"<version>.<edits>"` the caller saw, from If-Match, without quotes; None when it says nothing."""
        text = self.request.headers.get("If-Match", "").strip()
        return text.removeprefix("W/").strip('"') if text and text != "*" else None

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def read(
        self, serializer: type[serializers.Serializer], *, current: Mapping[str, Any] | None = None, partial: bool | None = None
    ) -> dict[str, Any]:
        """The body, checked by `serializer`. `current` is the thing as shown now: read-only fields may repeat it.

        A PATCH is partial unless said otherwise.
        """
        partial = self.method == "PATCH" if partial is None else partial
        bound = serializer(data=self.request.data, partial=partial, context={"current": current, "user": self.user, "now": self.now})
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)

    def answer(self, data: Any, status: int = 200, *, etag: str = "", location: str = "") -> Response:
        """A response with plain data; `etag` without quotes."""
        headers = {name: value for name, value in (("ETag", f'"{etag}"' if etag else ""), ("Location", location)) if value}
        return Response(data, status=status, headers=headers)

    def listing(self, queryset: QuerySet, represent: Callable[[list[Any]], Iterable[Any]]) -> Response:
        """One page of `queryset` in the orderings of this resource; `represent` turns the rows of a page into plain objects."""
        page = page_of(self.request, queryset, orderings=self.orderings, default=self.ordering)
        return Response(listed(self.request, page, represent, self.names))

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str | None:
        """The value of a query parameter that has to be one of `choices`."""
        value = self.request.query_params.get(name)
        if value is None:
            return default
        if value not in choices:
            raise Invalid.field(name, _("One of: %(choices)s.") % {"choices": ", ".join(choices)})
        return value


class StrictSerializer(serializers.Serializer):
    """Refuses unknown fields, and read-only fields that are given other values than `context["current"]` has."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"non_field_errors": [_("Send an object of fields.")]})
        errors = {name: [message] for name in data if (message := self.refusal_of(name, data[name]))}
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)

    def refusal_of(self, name: Any, value: Any) -> str:
        """Why this field can't be given, or nothing."""
        field = self.fields.get(name)
        if field is None:
            return _("There is no field of this name.")
        if not field.read_only:
            return ""
        current = self.context.get("current") or {}
        same = (
            name in current and field.to_representation(current[name]) == value
            if current.get(name) is not None
            else name in current and value is None
        )
        return "" if same else _("This is set by the system: leave it out.")


@extend_schema_field(OpenApiTypes.DATETIME)
class Instant(serializers.Field):
    """An RFC 3339 time with its zone."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return parse_instant(data, field="")
        except Invalid as error:
            raise serializers.ValidationError(error.detail) from None

    def to_representation(self, value: datetime) -> datetime:
        return value


class Text(serializers.CharField):
    """Text as it is given; numbers and other kinds are refused rather than turned into text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number that fits the database; text and fractions are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_value": 2**31 - 1, "min_value": -(2**31), **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """true or false, nothing that merely looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Empty(StrictSerializer):
    """A body without fields."""


class NoResource(Resource):
    """Everything the API has no path for."""

    parser_classes = [JSONParser]
    schema = None

    def find(self) -> None:
        hint = "" if self.request.path.endswith("/") else " " + _("Paths end with a slash.")
        raise NotFound(_("There is nothing here, or it is not yours to see.") + hint)

    def get(self, request: Request, **kwargs: Any) -> Response:
        raise NotFound(_("There is nothing here."))
