"""Chains in the Django admin: edited as a draft, put into force by another administrator. Every write goes through its verb."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin

from changemgmt.accounts.admin_base import MOMENTS, ReadOnlyAdmin, actor_of
from changemgmt.accounts.models import Team, User
from changemgmt.core.errors import DomainError
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle import configure_chain

from .chains import chain_shape
from .eligibility import ABLE
from .findings_form import show
from .forms import KINDS, ChainForm, LevelForm, LevelFormSet
from .models import ActionItem, Chain, Level, Round
from .moved_form import moved_parts, placed
from .proof.directory import Directory
from .proof.rules import worst
from .prover import prove_stored
from .replay_admin import replay_view
from .try_form import TryForm


class LevelInline(admin.StackedInline):
    """A level, whole."""

    model = Level
    form = LevelForm
    formset = LevelFormSet
    extra = 0
    min_num = 1
    template = "admin/changemgmt/chain/levels.html"
    fields = (
        ("number", "name"), ("rule_kind", "rule_value"), "seats", "applies_when", "watches", ("sla_hours", "expires_hours"), ("on_timeout", "reminders"),
        ("allow_conditions", "require_comment_on_reject", "require_signature", "allow_guests"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Level]:
        return super().get_queryset(request).prefetch_related("slots__group", "slots__user")


@admin.register(Chain)
class ChainAdmin(SimpleHistoryAdmin):
    """What is saved here is a draft: it comes into force when another administrator activates it."""

    form = ChainForm
    formfield_overrides = MOMENTS
    inlines = (LevelInline,)
    list_display = ("name", "order", "additive", "in_use", "version", "waits", "edited_by")
    ordering = ("order", "name")
    search_fields = ("name",)
    actions = ("activate",)
    readonly_fields = ("version", "waits", "edited_by")
    fieldsets = (
        (None, {"fields": ("name", "order", "active", "additive", ("valid_from", "valid_to"), "applies_when")}),
        (gettext_lazy("In force"), {"fields": (("version", "waits", "edited_by"),)}),
    )

    @admin.display(description=gettext_lazy("in use"), boolean=True)
    def in_use(self, chain: Chain) -> bool:
        return bool(chain.in_force and chain.in_force["active"])

    @admin.display(description=gettext_lazy("waits for activation"), boolean=True)
    def waits(self, chain: Chain) -> bool:
        return bool(chain.pk and chain_shape(chain)["pending"])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chain]:
        return super().get_queryset(request).select_related("edited_by")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("dry-run/", view(self.dry_run_view), name="changemgmt_chain_dry_run"),
            path("<str:key>/replay/", view(partial(replay_view, self)), name="changemgmt_chain_replay"),
            *super().get_urls(),
        ]

    def dry_run_view(self, request: HttpRequest) -> HttpResponse:
        """Which chain a change takes, or one with typed attributes would; which levels open, who is asked, and why."""
        chain = self.get_object(request, request.GET.get("draft", ""))
        form = TryForm(request.GET if request.GET.keys() - {"draft"} else None, chain=chain)
        found = form.tried(actor_of(request), now=utc_now()) if form.is_bound and form.is_valid() else None
        context = {"title": _("Try the chains out"), "opts": self.opts, "form": form, "chain": chain, "found": found}
        return TemplateResponse(request, "admin/chain_dry_run.html", {**self.admin_site.each_context(request), **context})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False, form_url: str = "", obj: Chain | None = None
    ) -> HttpResponse:
        """The form, with what the prover finds in the stored draft at its fields."""
        context |= {"whom": whom(), "offers": json.dumps(offers())}
        say_beside(context["inline_admin_formsets"][0].formset)
        if obj is not None and not context["errors"]:
            found = prove_stored(obj, now=utc_now())
            context["findings"] = show(found, context["adminform"].form, context["inline_admin_formsets"][0].formset.initial_forms)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def has_change_history_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Chain, form: Any, change: bool) -> None:
        """The chain is written with its levels, by the verb: see `save_related`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        levels = formsets[0]
        saved = configure_chain.save_chain(form.instance.pk, chain_of(form, levels), actor=actor_of(request), now=utc_now())
        form.instance.pk, form.instance._state.adding = saved.pk, False
        levels.new_objects, levels.changed_objects, levels.deleted_objects = [], [], []
        if chain_shape(saved)["pending"]:
            self.message_user(request, _("Saved. It comes into force when another administrator activates it."), messages.WARNING)
        self.tell_findings(request, saved)

    def tell_findings(self, request: HttpRequest, chain: Chain) -> None:
        """How much the prover finds, right after saving; where it does, the page of the chain says."""
        found = prove_stored(chain, now=utc_now())
        if worst(found):
            self.message_user(
                request,
                _("It can't be activated yet: the prover finds %(count)d error(s), shown at their fields.") % {"count": len(worst(found))},
                messages.ERROR,
            )
        elif found:
            self.message_user(request, _("The prover has %(count)d warning(s), shown at their fields.") % {"count": len(found)}, messages.WARNING)

    def response_post_save_add(self, request: HttpRequest, obj: Chain) -> HttpResponse:
        return self.back_to_errors(obj) or super().response_post_save_add(request, obj)

    def response_post_save_change(self, request: HttpRequest, obj: Chain) -> HttpResponse:
        return self.back_to_errors(obj) or super().response_post_save_change(request, obj)

    def back_to_errors(self, chain: Chain) -> HttpResponse | None:
        """The page of a chain that can't be activated as it was saved."""
        stored = Chain.objects.get(pk=chain.pk)
        return redirect("admin:changemgmt_chain_change", stored.pk) if worst(prove_stored(stored, now=utc_now())) else None

    def delete_model(self, request: HttpRequest, obj: Chain) -> None:
        configure_chain.remove_chain(obj.pk, actor=actor_of(request), now=utc_now())

    def has_delete_permission(self, request: HttpRequest, obj: Chain | None = None) -> bool:
        """One that is in force is switched off first."""
        return super().has_delete_permission(request, obj) and not (obj is not None and self.in_use(obj))

    @admin.action(description=gettext_lazy("Put into force what is saved"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Chain]) -> HttpResponse | None:
        if request.POST.get("confirmed") != "yes":
            return self.ask_activation(request, queryset)
        for chain in queryset:
            try:
                configure_chain.activate_chain(chain.pk, actor=actor_of(request), now=utc_now(), seen=request.POST.get(f"digest-{chain.pk}", ""))
            except DomainError as error:
                self.message_user(request, f"{chain.name}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, _("%(name)s is in force.") % {"name": chain.name}, messages.SUCCESS)
        return None

    def ask_activation(self, request: HttpRequest, queryset: QuerySet[Chain]) -> HttpResponse:
        """What would change, before it does; the answer is bound to what was shown."""
        chains = [about_to_move(chain) for chain in queryset]
        context = {"title": _("Put chains into force"), "opts": self.opts, "chains": chains, "checkbox": ACTION_CHECKBOX_NAME}
        return TemplateResponse(request, "admin/changemgmt/chain/activate.html", {**self.admin_site.each_context(request), **context})


def about_to_move(chain: Chain) -> dict[str, Any]:
    """What the page that asks before an activation shows of one chain."""
    found = prove_stored(chain, now=utc_now())
    return {
        "chain": chain,
        "digest": chain_shape(chain)["digest"],
        "parts": moved_parts(chain),
        "saved_at": configure_chain.last_saved(chain),
        "findings": placed(found, chain),
        "refused": (chain.active or not chain.version) and bool(worst(found)),
    }


def whom() -> list[tuple[str, str, str]]:
    """What can be written into the column “who” of a seat: the kind it is of, the text, and words beside it."""
    kinds = {kind: str(label) for kind, label in KINDS}
    groups = [("group", name, kinds["group"]) for name in Group.objects.order_by("name").values_list("name", flat=True)]
    found = ("requester_manager", "manager:2", "unit_head", "component_owners:4", "service_owner")
    teams = [("dynamic", f"on_call:{team.slug}", team.name) for team in Team.objects.order_by("slug")]
    people = [("user", user.username, user.display_name) for user in User.objects.filter(ABLE).order_by("username")]
    return [*groups, *(("dynamic", text, kinds["dynamic"]) for text in found), *teams, *people]


def offers() -> dict[str, list[str]]:
    """The values there are of the fields of conditions that take them from a table."""
    return {name: sorted(values) for name, values in Directory((), ()).values.items()}


def say_beside(formset: LevelFormSet) -> None:
    """Tell each level the names of those that run side by side with it."""
    levels = [form for form in formset.forms if isinstance(form, LevelForm)]
    numbers = [(form, str(form["number"].value() or ""), form["name"].value() or "") for form in levels]
    for form, number, _name in numbers:
        form.beside = [name for other, same, name in numbers if other is not form and number and same == number and name]


def chain_of(form: Any, levels: LevelFormSet) -> dict[str, Any]:
    """The forms as the contract's JSON."""
    data = form.cleaned_data
    dates = {name: rfc3339(data[name]) for name in ("valid_from", "valid_to")}
    return {**{name: data[name] for name in ("name", "order", "active", "additive", "applies_when")}, **dates, "levels": levels.levels()}


@admin.register(Round)
class RoundAdmin(ReadOnlyAdmin):
    """Rounds that ran or run, to look at."""

    list_display = ("change", "number", "chain", "chain_version", "outcome", "opened_at", "decided_at")
    list_filter = ("outcome", "chain")
    search_fields = ("change__number",)
    list_select_related = ("change",)


@admin.register(ActionItem)
class ActionItemAdmin(ReadOnlyAdmin):
    """Conditions of approvals, to look at."""

    list_display = ("change", "text", "due", "owner", "set_by", "state")
    list_filter = ("state", "due")
    search_fields = ("change__number", "text")
    list_select_related = ("change", "owner", "set_by")
