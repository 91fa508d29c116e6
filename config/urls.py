"""The site's URLs: everything of the product is in `changemgmt.urls`."""

from django.urls import include, path

urlpatterns = [path("", include("changemgmt.urls"))]
