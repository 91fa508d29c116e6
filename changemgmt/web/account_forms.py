"""The forms of signing in and of one's own account."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.utils.translation import gettext_lazy as _

from changemgmt.accounts.actions import TOKEN_DAYS
from changemgmt.accounts.models import ApiToken, User


class Styled:
    """Gives every widget the design's class, and ties hints and errors to it."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput):
                field.widget.attrs["class"] = "in"


class SignIn(Styled, AuthenticationForm):
    """One answer for every wrong pair, whether the name exists or not."""

    error_messages = {
        "invalid_login": _("The username and password don't match. Both tell capitals from small letters."),
        "inactive": _("The username and password don't match. Both tell capitals from small letters."),
    }

    def confirm_login_allowed(self, user: User) -> None:
        """Guests are asked by a link and have no account to sign in to."""
        super().confirm_login_allowed(user)
        if user.is_guest:
            raise self.get_invalid_login_error()


class Forgotten(Styled, forms.Form):
    """Where the link goes."""

    email = forms.EmailField(label=_("Mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}))


class NewPassword(Styled, SetPasswordForm):
    """A password from a link; the verb saves it."""


class OwnPassword(Styled, PasswordChangeForm):
    """A new password, knowing the old; the verb saves it. It is one form of several on its page, so it takes no focus."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)


def zones() -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones()) if "/" in name or name == "UTC"]


class Preferences(Styled, forms.ModelForm):
    """How the pages look for oneself."""

    time_zone = forms.ChoiceField(label=_("Time zone"), choices=zones)

    class Meta:
        model = User
        fields = ("time_zone", "theme", "shortcuts")
        labels = {"theme": _("Colours")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["time_zone"]
        if isinstance(field, forms.ChoiceField) and not field.valid_value(self.instance.time_zone):
            field.choices = [(self.instance.time_zone, self.instance.time_zone), *zones()]


class NewToken(Styled, forms.Form):
    """A key for the API."""

    name = forms.CharField(label=_("What it is for"), max_length=100, widget=forms.TextInput(attrs={"placeholder": _("Deployment pipeline")}))
    days = forms.IntegerField(label=_("Days it lives"), min_value=1, max_value=TOKEN_DAYS, initial=90)
    scope = forms.ChoiceField(label=_("It may"), choices=ApiToken.Scope, initial=ApiToken.Scope.WRITE)
