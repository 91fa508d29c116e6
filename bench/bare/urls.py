"""List, detail and create by a plain ModelViewSet."""

from django.urls import include, path
from rest_framework import routers, serializers, viewsets

from .models import Record


class RecordSerializer(serializers.ModelSerializer):
    class Meta:
        model = Record
        fields = "__all__"


class RecordViewSet(viewsets.ModelViewSet):
    queryset = Record.objects.order_by("pk")
    serializer_class = RecordSerializer


router = routers.SimpleRouter()
router.register("records", RecordViewSet)
urlpatterns = [path("", include(router.urls))]
