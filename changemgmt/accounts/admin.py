"""People in the Django admin. Roles, invitations, deactivation and identities go through their verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.core.time import utc_now
from changemgmt.lifecycle import manage_people, second_factor

from .admin_base import AuditedAdmin, ReadOnlyAdmin, actor_of
from .models import ApiToken, Delegation, Identity, OrgUnit, Team, User
from .rules import roles_refused_to_services
from .second_factor import has_second_factor
from .seed import BOARDS, ROLES

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

admin.site.unregister(Group)
# Secrets are nowhere in the admin: a second factor is only reset here, by its verb.
admin.site.unregister(TOTPDevice)


class PersonForm(forms.ModelForm):
    """An account with its roles."""

    roles = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("What this person may do. Administrators may open these pages."),
    )
    same_person_as = forms.ModelChoiceField(
        User.objects.filter(is_service=False, is_guest=False).order_by("username"),
        required=False,
        help_text=gettext_lazy("Another account of the same human being: both count as one person in every vote."),
    )
    own_person = forms.BooleanField(
        label=gettext_lazy("Is a person of its own again"), required=False, help_text=gettext_lazy("Takes this account out of its identity.")
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "org_unit", "manager", "is_active", "is_service")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["roles"].initial = self.instance.groups.all()
            self.offer("same_person_as", User.objects.filter(is_service=False, is_guest=False).exclude(pk=self.instance.pk).order_by("username"))
        self.offer("manager", User.objects.filter(is_active=True, is_service=False, is_guest=False).order_by("username"))

    def offer(self, name: str, people: QuerySet[User]) -> None:
        """Let a field choose among these people, where the form has it."""
        field = self.fields.get(name)
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = people

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        service = data.get("is_service", self.instance.is_service)
        refused = roles_refused_to_services(group.name for group in data.get("roles", ())) if service else []
        if refused:
            self.add_error("roles", _("A service account decides and runs nothing: take away %(roles)s.") % {"roles": ", ".join(refused)})
        if not service and not data.get("email") and "email" not in self.errors:
            self.add_error("email", _("The invitation goes to this address."))
        return data


@admin.register(User)
class UserAdmin(AuditedAdmin):
    """Adding a person sends an invitation; nobody else sets or sees a password."""

    form = PersonForm
    list_display = ("username", "display_name", "email", "org_unit", "shown_roles", "is_active", "is_service")
    list_filter = ("is_active", "is_service", "groups", "org_unit")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    actions = ("invite_again", "deactivate", "reset_second_factor")
    readonly_fields = ("email_verified", "identity", "last_login", "date_joined")
    add_fieldsets = (
        (
            None,
            {
                "fields": ("username", "first_name", "last_name", "email", "org_unit", "manager", "is_service"),
                "description": gettext_lazy("The person gets a mail with a link to choose a password. A service account gets none."),
            },
        ),
        (gettext_lazy("Roles"), {"fields": ("roles",)}),
    )
    fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email", "email_verified", "org_unit", "manager", "is_active")}),
        (gettext_lazy("Roles"), {"fields": ("roles",)}),
        (gettext_lazy("One person, several accounts"), {"fields": ("identity", "same_person_as", "own_person")}),
        (gettext_lazy("Dates"), {"fields": ("last_login", "date_joined")}),
    )

    @admin.display(description=gettext_lazy("roles"))
    def shown_roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(is_guest=False).select_related("org_unit").prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return ("username", "is_service", *self.readonly_fields) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def snapshot(self, obj: User) -> dict[str, Any]:
        """Without what the verbs record themselves."""
        own = {"groups", "user_permissions", "is_active", "identity", "is_staff", "is_superuser"}
        return {name: value for name, value in super().snapshot(obj).items() if name not in own}

    def save_model(self, request: HttpRequest, obj: User, form: PersonForm, change: bool) -> None:
        now, actor = utc_now(), actor_of(request)
        if not change:
            self.add_person(obj, actor=actor, now=now)
            return
        active = obj.is_active
        if "email" in form.changed_data:
            obj.email_verified = False
        # Whether it is active is the verbs' to write.
        obj.save(update_fields=["first_name", "last_name", "email", "email_verified", "org_unit", "manager"])
        if "is_active" in form.changed_data:
            verb = manage_people.reactivate if active else manage_people.deactivate
            verb(obj.username, actor=actor, now=now)

    def add_person(self, obj: User, *, actor: User, now: Any) -> None:
        names = {name: getattr(obj, name) for name in ("first_name", "last_name", "org_unit", "manager")}
        if obj.is_service:
            made = manage_people.add_service(obj.username, actor=actor, now=now, **names)
        else:
            made = manage_people.invite(obj.username, actor=actor, now=now, email=obj.email, **names)
        obj.pk, obj._state.adding = made.pk, False

    def save_related(self, request: HttpRequest, form: PersonForm, formsets: Any, change: bool) -> None:
        now, actor, username = utc_now(), actor_of(request), form.instance.username
        held = set(form.instance.groups.values_list("name", flat=True))
        wanted = {group.name for group in form.cleaned_data["roles"]}
        for role in sorted(wanted - held):
            manage_people.grant_role(username, role, actor=actor, now=now)
        for role in sorted(held - wanted):
            manage_people.withdraw_role(username, role, actor=actor, now=now)
        if form.cleaned_data.get("own_person"):
            manage_people.unlink_identity(username, actor=actor, now=now)
        if other := form.cleaned_data.get("same_person_as"):
            manage_people.link_identities([username, other.username], actor=actor, now=now)

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        return admin.ModelAdmin.log_addition(self, request, obj, message)

    @admin.action(description=gettext_lazy("Send the invitation again"), permissions=["change"])
    def invite_again(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        page = self.ask_first(
            request,
            queryset,
            action="invite_again",
            title=_("Send the invitation again"),
            question=_("Each of them gets a mail, unless they joined already:"),
        )
        if page:
            return page
        waiting = [user for user in queryset if not user.has_usable_password() and user.is_active and not user.is_service]
        for user in waiting:
            manage_people.invite_again(user.username, actor=actor_of(request), now=utc_now())
        messages.success(request, ngettext("%d invitation is on its way.", "%d invitations are on their way.", len(waiting)) % len(waiting))
        return None

    @admin.action(description=gettext_lazy("Deactivate"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        question = _("They can't sign in any more, their tokens end, and their open votes are withdrawn. Nothing is deleted:")
        if page := self.ask_first(request, queryset, action="deactivate", title=_("Deactivate"), question=question):
            return page
        for user in queryset.exclude(pk=actor_of(request).pk):
            manage_people.deactivate(user.username, actor=actor_of(request), now=utc_now())
        messages.success(request, _("They are deactivated. Your own account was left alone."))
        return None

    @admin.action(description=gettext_lazy("Reset the second factor"), permissions=["change"])
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        question = _("Their password alone signs votes then, until they set up another. Each of them is told:")
        if page := self.ask_first(request, queryset, action="reset_second_factor", title=_("Reset the second factor"), question=question):
            return page
        there = [user for user in queryset.exclude(pk=actor_of(request).pk) if has_second_factor(user)]
        for user in there:
            second_factor.reset(user.username, actor=actor_of(request), now=utc_now())
        messages.success(request, ngettext("%d second factor is reset.", "%d second factors are reset.", len(there)) % len(there))
        return None


class Counted(TypedDict):
    active_people: int


@admin.register(Group)
class RoleAdmin(AuditedAdmin):
    """Roles and boards. People are put into them on their own page."""

    fields = ("name",)
    list_display = ("name", "people")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(active_people=Count("user", Q(user__is_active=True)))

    @admin.display(description=gettext_lazy("active people"))
    def people(self, group: WithAnnotations[Group, Counted]) -> int:
        return group.active_people

    def snapshot(self, obj: Group) -> dict[str, Any]:
        return {"name": obj.name}

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.name not in (*ROLES, *BOARDS))

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return obj is not None and obj.name not in (*ROLES, *BOARDS) and super().has_delete_permission(request, obj) and not obj.user_set.exists()


class UnitForm(forms.ModelForm):
    class Meta:
        model = OrgUnit
        fields = ("slug", "name", "parent", "head")

    def clean_parent(self) -> OrgUnit | None:
        above = parent = self.cleaned_data["parent"]
        while above is not None:
            if above.pk == self.instance.pk:
                raise ValidationError(_("A unit can't lie below itself."))
            above = above.parent
        return parent


@admin.register(OrgUnit)
class OrgUnitAdmin(AuditedAdmin):
    form = UnitForm
    list_display = ("name", "slug", "parent", "head")
    search_fields = ("slug", "name")
    list_select_related = ("parent", "head")


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "slug", "org_unit", "lead")
    search_fields = ("slug", "name")
    list_select_related = ("org_unit", "lead")


@admin.register(Identity)
class IdentityAdmin(ReadOnlyAdmin):
    """People with several accounts. Accounts are linked on their own page."""

    list_display = ("name", "accounts")
    search_fields = ("name", "users__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Identity]:
        return super().get_queryset(request).prefetch_related("users")

    @admin.display(description=gettext_lazy("accounts"))
    def accounts(self, identity: Identity) -> str:
        return ", ".join(user.username for user in identity.users.all())


@admin.register(Delegation)
class DelegationAdmin(ReadOnlyAdmin):
    """Who stands in for whom, to look at. They are given and revoked on the page under the profile."""

    list_display = ("delegate", "delegator", "scope_kind", "scope_value", "starts_at", "ends_at", "out_of_office", "revoked_at")
    list_filter = ("scope_kind", "out_of_office", "revoked_at")
    search_fields = ("delegator__username", "delegate__username", "scope_value")
    list_select_related = ("delegator", "delegate")


@admin.register(ApiToken)
class ApiTokenAdmin(AuditedAdmin):
    """Tokens can be looked at and revoked; keys are nowhere."""

    list_display = ("user", "name", "scope", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("scope", "revoked_at")
    search_fields = ("user__username", "name")
    list_select_related = ("user",)
    exclude = ("key_hash",)
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        return [field.name for field in ApiToken._meta.concrete_fields if field.name not in {"id", "key_hash"}]

    @admin.action(description=gettext_lazy("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse | None:
        if page := self.ask_first(
            request, queryset, action="revoke", title=_("Revoke"), question=_("The programs that use these tokens are shut out at once:")
        ):
            return page
        for token in queryset:
            manage_people.revoke_token(token.pk, actor=actor_of(request), now=utc_now())
        messages.success(request, _("The tokens are revoked."))
        return None
