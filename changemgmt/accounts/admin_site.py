"""The Django admin, open to administrators only."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .queries import has_role

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class Site(AdminSite):
    """Entered by people with the role administrator; sign-in and sign-out are those of the pages."""

    site_header = site_title = settings.PRODUCT_NAME
    index_title = gettext_lazy("Administration")
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return has_role(request.user, "administrator")

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Somebody signed in who is no administrator is refused rather than asked to sign in."""
        guarded = super().admin_view(view, cacheable)

        def enter(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied(_("Only administrators may open the administration."))
            return guarded(request, *args, **kwargs)

        return cast("View", update_wrapper(enter, guarded))

    def login(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        if request.user.is_authenticated:
            raise PermissionDenied(_("Only administrators may open the administration."))
        return redirect_to_login(request.get_full_path() if "next" not in request.GET else request.GET["next"], settings.LOGIN_URL)

    def logout(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:  # type: ignore[override]  # Django draws a page here
        return redirect("logout")

    def password_change(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:  # type: ignore[override]  # and here
        return redirect("profile")
