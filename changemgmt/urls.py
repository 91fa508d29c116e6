"""All paths: the API, the admin, and the pages."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/", include("changemgmt.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("changemgmt.web.health")),
    path("", include("changemgmt.web.accounts")),
    path("", include("changemgmt.web.urls")),
]
