"""What every admin page of ours stands on: each save and deletion is on the record, bulk acts ask first."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import DateTimeField, Model, QuerySet
from django.forms import SplitDateTimeField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin

from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.core.time import utc_now

from .models import User

NAMING_FIELDS = ("slug", "username", "key", "number", "name", "title")
UNRECORDED_FIELDS = frozenset({"password", "last_login", "key_hash"})


def name_in_record(obj: Model) -> str:
    """`<model>:<name>` as events name the object; the primary key where it has no name of its own."""
    name = next((getattr(obj, field) for field in NAMING_FIELDS if getattr(obj, field, "")), obj.pk)
    return f"{obj._meta.model_name}:{name}"


def plain_row(obj: Model, leave_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The columns of a row as plain values, as far as they are recorded."""
    row = {field.name: field.value_from_object(obj) for field in obj._meta.concrete_fields if field.name not in UNRECORDED_FIELDS | leave_out}
    return {name: value if isinstance(value, (str, int, float, bool, type(None), dict, list)) else str(value) for name, value in row.items()}


class Moment(AdminSplitDateTime):
    """A day and a time, each with its name for those who don't see them."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, words in zip(self.widgets, (gettext_lazy("Date"), gettext_lazy("Time")), strict=True):
            widget.attrs["aria-label"] = words


MOMENTS: dict[Any, Any] = {DateTimeField: {"form_class": SplitDateTimeField, "widget": Moment}}


class Saving(HttpRequest):
    """A POST of an admin form, with the object as it was. It only names types: none is ever made."""

    before: dict[str, Any]


def actor_of(request: HttpRequest) -> User:
    """The person who acts; the admin lets nobody in who is not signed in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class AuditedAdmin(ModelAdmin):
    """An admin page whose every save is an event `<model>.created|updated|deleted` with its differences.

    Writes that are verbs are made in `save_model` by calling them. Inlines are part of the object.
    """

    list_per_page = 50
    save_on_top = False
    formfield_overrides = MOMENTS

    def snapshot(self, obj: Any) -> dict[str, Any]:
        """The object with its many-to-many rows and inlines as plain values; what the differences are taken of."""
        shot = plain_row(obj)
        for field in obj._meta.many_to_many:
            shot[field.name] = sorted(str(row) for row in getattr(obj, field.name).all())
        for inline in self.get_inline_instances_without_request(obj):
            shot[inline.model._meta.model_name] = self.inline_rows(inline, obj)
        return shot

    def get_inline_instances_without_request(self, obj: Model) -> list[Any]:
        return [inline(self.model, self.admin_site) for inline in self.inlines]

    def inline_rows(self, inline: Any, obj: Model) -> dict[str, Any]:
        links = [field.name for field in inline.model._meta.concrete_fields if field.is_relation and issubclass(self.model, field.related_model)]
        link = inline.fk_name or (links[0] if links else "")
        rows = inline.model._default_manager.filter(**{link: obj}) if link else ()
        return {str(row.pk): plain_row(row, frozenset({link})) for row in rows}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        obj = super().get_object(request, object_id, from_field)
        if obj is not None and request.method == "POST":
            cast("Saving", request).before = self.snapshot(obj)
        return obj

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Bulk acts and their events are one transaction; merely looking opens none."""
        if request.method != "POST":
            return super().changelist_view(request, extra_context)
        with transaction.atomic():
            return super().changelist_view(request, extra_context)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.tell(request, "created", obj, differences({}, self.snapshot(obj)))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        moved = differences(getattr(request, "before", {}), self.snapshot(type(obj)._default_manager.get(pk=obj.pk)))
        if moved:
            self.tell(request, "updated", obj, moved)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self.tell(request, "deleted", obj, differences(self.snapshot(obj), {}))
        return super().log_deletions(request, queryset)

    def tell(self, request: HttpRequest, what: str, obj: Model, moved: list[Any]) -> None:
        """Put it on the record, in the transaction of the save."""
        record(f"{obj._meta.model_name}.{what}", actor=actor_of(request).username, object=name_in_record(obj), now=utc_now(), differences=moved)

    def ask_first(self, request: HttpRequest, queryset: QuerySet, *, action: str, title: str, question: str) -> HttpResponse | None:
        """The page that asks before a bulk act; None once the person has said yes."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.POST.get("confirmed") == "yes":
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "question": question,
            "objects": queryset,
            "action": action,
            "opts": self.opts,
            "checkbox": ACTION_CHECKBOX_NAME,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/confirm_action.html", context)


class ReadOnlyAdmin(ModelAdmin):
    """A running record: it can be looked at and nothing else."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class AuditedHistoryAdmin(AuditedAdmin, SimpleHistoryAdmin):
    """An audited page of a model whose versions are kept, with a page of what each one changed."""

    history_list_per_page = 50

    def has_change_history_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
