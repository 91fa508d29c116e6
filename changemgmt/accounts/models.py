"""People: users, the identities behind them, the org tree, teams and API tokens."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, Group, UserManager
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Identity(models.Model):
    """One human being behind several accounts. Accounts that share one count as one person everywhere."""

    name = models.CharField(max_length=200)

    class Meta:
        verbose_name_plural = _("identities")

    def __str__(self) -> str:
        return self.name


class OrgUnit(models.Model):
    """A unit of the organisation, in a tree; its head is asked where a chain says "head of the unit"."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    head = models.ForeignKey("changemgmt.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="units_headed")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AccountManager(UserManager["User"]):
    """Makes accounts; the one made by `manage.py createsuperuser` is an administrator."""

    use_in_migrations = False

    def create_superuser(self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any) -> "User":
        user = super().create_superuser(username, email, password, **extra_fields)
        user.groups.add(Group.objects.get_or_create(name="administrator")[0])
        return user


class User(AbstractUser):
    """An account. A service account acts for programs and never decides anything."""

    class Theme(models.TextChoices):
        SYSTEM = "system", _("as the system")
        LIGHT = "light", _("light")
        DARK = "dark", _("dark")

    identity = models.ForeignKey(Identity, null=True, blank=True, on_delete=models.PROTECT, related_name="users")
    manager = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reports")
    org_unit = models.ForeignKey(OrgUnit, null=True, blank=True, on_delete=models.PROTECT, related_name="members")
    email_verified = models.BooleanField(default=False, help_text=_("Set when a link sent to this address was opened."))
    is_service = models.BooleanField(_("service account"), default=False, help_text=_("For programs: can use the API, can never vote."))
    is_guest = models.BooleanField(
        _("guest"), default=False, editable=False, help_text=_("Somebody without an account who was asked for a vote: never signs in.")
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(max_length=6, choices=Theme, default=Theme.SYSTEM)
    shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True)

    objects: ClassVar[AccountManager] = AccountManager()

    class Meta(AbstractUser.Meta):
        indexes = [models.Index(fields=["email"], name="user_email")]

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def person(self) -> str:
        """The key of the human being: equal for all accounts linked to one identity."""
        return f"identity:{self.identity_id}" if self.identity_id else f"user:{self.pk}"


class Team(models.Model):
    """People who own components together."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    org_unit = models.ForeignKey(OrgUnit, null=True, blank=True, on_delete=models.PROTECT, related_name="teams")
    lead = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="teams_led")
    members = models.ManyToManyField(User, blank=True, related_name="teams")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delegation(models.Model):
    """Somebody stands in for somebody else's votes, for a time and within a scope. Never deleted: it is ended."""

    class Scope(models.TextChoices):
        ALL = "all", _("all votes")
        CHAIN = "chain", _("one chain")
        TYPE = "type", _("one type of change")
        ORG_UNIT = "org_unit", _("one org unit and those below it")
        CHANGE = "change", _("one change")

    delegator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey(User, on_delete=models.PROTECT, related_name="delegations_held")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text=_("From this moment on it is over."))
    scope_kind = models.CharField(max_length=8, choices=Scope, default=Scope.ALL)
    scope_value = models.CharField(max_length=100, blank=True, help_text=_("Name of the chain, type, slug of the unit, or number of the change."))
    reason = models.CharField(max_length=300, blank=True)
    out_of_office = models.BooleanField(default=False, help_text=_("It came from an out-of-office note."))
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True, blank=True, help_text=_("When the delegate was told that it begins."))
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="delegation_ends_after_it_starts"),
            models.CheckConstraint(condition=~Q(delegator=models.F("delegate")), name="delegation_to_somebody_else"),
        ]
        indexes = [
            models.Index(fields=["delegate", "ends_at"], name="delegation_held"),
            models.Index(fields=["delegator", "ends_at"], name="delegation_given"),
        ]


class SavedFilter(models.Model):
    """A filter of a list that somebody keeps under a name."""

    class Page(models.TextChoices):
        APPROVALS = "approvals", _("my approvals")
        CHANGES = "changes", _("changes")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_filters")
    name = models.CharField(max_length=100)
    page = models.CharField(max_length=9, choices=Page, default=Page.APPROVALS)
    query = models.CharField(max_length=1000, blank=True, help_text=_("The query string of the list, such as type=emergency."))
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["page", "name"]
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="saved_filter_once")]


class ApiToken(models.Model):
    """A key for the API. Only its hash is kept; the key itself is shown once."""

    class Scope(models.TextChoices):
        READ = "read", _("read")
        WRITE = "write", _("read and write")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100, blank=True)
    key_hash = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.WRITE)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="token_expires_after_creation")]


class IdempotencyKey(models.Model):
    """The first answer to a POST, kept a day, so that the same POST again changes nothing."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]


class SignInAttempt(models.Model):
    """One attempt to sign in or to ask for a reset link, kept ten minutes to slow down guessing.

    The name and the address are kept as keyed hashes: strangers type anything there, passwords too.
    """

    name = models.CharField(max_length=64)
    address = models.CharField(max_length=64)
    failed = models.BooleanField(default=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["name", "at"], name="attempt_by_name"), models.Index(fields=["address", "at"], name="attempt_by_address")]
