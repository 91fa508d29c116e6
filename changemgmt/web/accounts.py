"""Signing in and out, passwords by mail, invitations, and one's own profile."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, SetPasswordForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from changemgmt.accounts.mail import invitation_tokens, reset_tokens
from changemgmt.accounts.models import ApiToken, User
from changemgmt.accounts.queries import roles_of
from changemgmt.accounts.second_factor import has_second_factor
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import manage_people, sign_in

from .account_forms import Forgotten, NewPassword, NewToken, OwnPassword, Preferences, SignIn
from .base import PageRequest, done, page


def address_of(request: HttpRequest) -> str:
    """The peer's address; a proxy's word counts only behind a trusted one, which sets REMOTE_ADDR."""
    return request.META.get("REMOTE_ADDR", "")


def throttled(request: HttpRequest, template: str, form: Form, refusal: sign_in.TooManyAttempts) -> HttpResponse:
    """The form again, with how long to wait."""
    response = render(request, template, {"form": form, "refusal": refusal}, status=429)
    response["Retry-After"] = str(refusal.retry_after)
    return response


class Login(LoginView):
    """Sign in; how often is limited per address and per name."""

    template_name = "accounts/login.html"
    form_class = SignIn
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name, now = request.POST.get("username", "")[:150].replace("\0", ""), utc_now()
        try:
            self.attempt = sign_in.begin_attempt(name, address=address_of(request), now=now)
        except sign_in.TooManyAttempts as refusal:
            return throttled(request, self.template_name, SignIn(request), refusal)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        sign_in.succeed(form.get_user(), attempt=self.attempt, now=utc_now())
        return super().form_valid(form)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        sign_in.fail(self.request.POST.get("username", "").replace("\0", ""), now=utc_now())
        return self.render_to_response(self.get_context_data(form=form), status=401 if form.non_field_errors() else 400)


class Logout(LogoutView):
    """Sign out, by POST."""

    http_method_names = ("post",)
    next_page = "/login/"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            sign_in.sign_out(request.user, now=utc_now())
        return super().post(request, *args, **kwargs)


@never_cache
def forgotten(request: HttpRequest) -> HttpResponse:
    """Ask for a link to set a new password. The answer is the same whether anybody has the address."""
    form = Forgotten(request.POST or None)
    if request.method == "POST" and form.is_valid():
        mail, now = form.cleaned_data["email"], utc_now()
        try:
            sign_in.begin_attempt(mail, address=address_of(request), now=now, kind="password")
        except sign_in.TooManyAttempts as refusal:
            return throttled(request, "accounts/forgotten.html", form, refusal)
        sign_in.ask_for_reset(mail, now=now)
        return redirect("password_reset_done")
    return render(request, "accounts/forgotten.html", {"form": form}, status=400 if form.is_bound else 200)


def link_sent(request: HttpRequest) -> HttpResponse:
    """What happens next, told to everybody alike."""
    return render(request, "accounts/sent.html", {"hours": settings.PASSWORD_RESET_TIMEOUT // 3600})


class FromLink(PasswordResetConfirmView):
    """A password from a link that went by mail. Django moves the token from the address into the session first."""

    form_class = NewPassword
    template_name = "accounts/set_password.html"
    success_url = "/login/"
    purpose = ""

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        if not self.validlink:
            return super().render_to_response({**context, "purpose": self.purpose}, status=400)
        status = 400 if context["form"].is_bound else 200
        return super().render_to_response({**context, "purpose": self.purpose, "account": self.user}, status=status)

    def form_valid(self, form: SetPasswordForm[User]) -> HttpResponse:
        self.save(form.user, form.cleaned_data["new_password1"], utc_now())
        self.request.session.flush()
        messages.success(self.request, _("Your password is set. Sign in with it."))
        return HttpResponseRedirect(self.success_url)

    def save(self, account: User, password: str, now: datetime) -> None:
        raise NotImplementedError


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class Reset(FromLink):
    """A new password for somebody who forgot it."""

    token_generator = reset_tokens
    purpose = "reset"

    def save(self, account: User, password: str, now: datetime) -> None:
        manage_people.change_password(account, now=now, password=password, by_mail=True)


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class Invitation(FromLink):
    """The first password of somebody who was invited."""

    token_generator = invitation_tokens
    purpose = "invitation"

    def save(self, account: User, password: str, now: datetime) -> None:
        manage_people.accept_invitation(account, now=now, password=password)


def draw(request: PageRequest, status: int = 200, **more: Any) -> HttpResponse:
    """The profile, with forms that were refused in place of fresh ones."""
    user = request.user
    context = {
        "preferences": Preferences(instance=User.objects.get(pk=user.pk)),
        "password": OwnPassword(user),
        "token_form": NewToken(),
        "tokens": ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=request.now),
        "own_roles": sorted(roles_of(user)),
        "has_second_factor": has_second_factor(user),
        "accounts": user.identity.users.exclude(pk=user.pk) if user.identity else (),
        **more,
    }
    return render(request, "accounts/profile.html", context, status=status)


@page("GET", "HEAD", "POST")
def profile(request: PageRequest) -> HttpResponse:
    """One's own account; POST saves time zone, colours and shortcuts."""
    if request.method != "POST":
        return draw(request)
    form = Preferences(request.POST, instance=User.objects.get(pk=request.user.pk))
    if not form.is_valid():
        return draw(request, 400, preferences=form)
    manage_people.change_settings(request.user, now=request.now, **form.cleaned_data)
    return done(request, _("Your settings are saved."), reverse("profile"))


@sensitive_post_parameters()
@page("POST")
def password(request: PageRequest) -> HttpResponse:
    """A new password; every other session of the account ends."""
    form = OwnPassword(request.user, request.POST)
    if not form.is_valid():
        return draw(request, 400, password=form)
    user = manage_people.change_password(request.user, now=request.now, password=form.cleaned_data["new_password1"])
    update_session_auth_hash(request, user)
    return done(request, _("Your password is changed. Your other sessions have ended."), reverse("profile"))


@never_cache
@page("POST")
def new_token(request: PageRequest) -> HttpResponse:
    """Make an API token and show its key, this once."""
    form = NewToken(request.POST)
    if not form.is_valid():
        return draw(request, 400, token_form=form)
    token, key = manage_people.create_token(request.user, actor=request.user, now=request.now, **form.cleaned_data)
    return draw(request, made=token, key=key)


@page("POST")
def revoke_token(request: PageRequest, token_id: int) -> HttpResponse:
    """End one of my tokens."""
    manage_people.revoke_token(token_id, actor=request.user, now=request.now)
    return done(request, _("The token is revoked."), reverse("profile"))


urlpatterns = [
    path("login/", Login.as_view(), name="login"),
    path("logout/", Logout.as_view(), name="logout"),
    path("password/forgotten/", forgotten, name="password_reset"),
    path("password/sent/", link_sent, name="password_reset_done"),
    path("password/<uidb64>/<token>/", Reset.as_view(), name="password_reset_confirm"),
    path("invitation/<uidb64>/<token>/", Invitation.as_view(), name="invitation"),
    path("profile/", profile, name="profile"),
    path("profile/password/", password, name="profile_password"),
    path("profile/tokens/", new_token, name="profile_token"),
    path("profile/tokens/<int:token_id>/revoke/", revoke_token, name="profile_token_revoke"),
]
