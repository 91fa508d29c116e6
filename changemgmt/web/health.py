"""For whoever watches the server: is the process alive, can it do its work."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe

from changemgmt.audit.triggers import problems


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and its record is guarded: 200, or 503 with the names of what fails."""
    failing = failures()
    return JsonResponse({"ready": not failing, "failing": failing}, status=503 if failing else 200)


def failures() -> list[str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ["audit_triggers"] if problems(connection) else []
    except DatabaseError:
        return ["database"]


urlpatterns = [path("healthz", healthz), path("readyz", readyz)]
