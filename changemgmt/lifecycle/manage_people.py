"""Who is who, by administrators: invite, deactivate, roles, identities; and everybody's own tokens and settings.

Deactivating records `user.deactivated`; what hangs on the person (open seats, duties) reacts to that event.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q

from changemgmt.accounts import actions
from changemgmt.accounts.models import ApiToken, Identity, OrgUnit, User
from changemgmt.accounts.queries import has_role, same_person
from changemgmt.accounts.rules import roles_refused_to_services
from changemgmt.approvals.guests import guests_with
from changemgmt.audit.actions import Personal, record
from changemgmt.core.diff import Difference
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible

ADMINISTRATOR = "administrator"
SETTINGS = ("time_zone", "theme", "shortcuts")


def invite(
    username: str,
    *,
    actor: User,
    now: datetime,
    email: str,
    first_name: str = "",
    last_name: str = "",
    org_unit: OrgUnit | None = None,
    manager: User | None = None,
    roles: Iterable[str] = (),
) -> User:
    """A new account without a password. Its `user.invited` event sends the mail with the link to set one."""
    only_administrators(actor)
    if not email:
        raise Invalid.field("email", "An invitation goes to a mail address.")
    with transaction.atomic():
        user = User(username=username, email=email, first_name=first_name, last_name=last_name, org_unit=org_unit, manager=manager)
        user.set_unusable_password()
        save_new(user)
        record(
            "user.invited",
            actor=actor.username,
            object=f"user:{username}",
            now=now,
            data={"email": Personal(email), "name": Personal(user.display_name)},
        )
        for role in roles:
            _grant(user, group_named(role), actor=actor, now=now)
    return user


def add_service(
    username: str,
    *,
    actor: User,
    now: datetime,
    first_name: str = "",
    last_name: str = "",
    org_unit: OrgUnit | None = None,
    manager: User | None = None,
) -> User:
    """An account for a program: no password, no mail, no role that decides; it speaks by its tokens."""
    only_administrators(actor)
    with transaction.atomic():
        user = User(username=username, first_name=first_name, last_name=last_name, org_unit=org_unit, manager=manager, is_service=True)
        user.set_unusable_password()
        save_new(user)
        record("user.created", actor=actor.username, object=f"user:{username}", now=now, data={"is_service": True})
    return user


def invite_again(username: str, *, actor: User, now: datetime) -> User:
    """Send the invitation once more, to an account that has no password yet."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        if user.has_usable_password():
            raise NotPossible(f"{username} has accepted the invitation already.")
        record("user.invited", actor=actor.username, object=f"user:{username}", now=now, data={"email": Personal(user.email)})
    return user


def accept_invitation(user: User, *, now: datetime, password: str) -> User:
    """The person opened the link that went to their address and chose a password."""
    with transaction.atomic():
        user = locked(user.username)
        user.set_password(password)
        user.email_verified = True
        user.save(update_fields=["password", "email_verified"])
        record("user.joined", actor=user.username, object=f"user:{user.username}", now=now)
        _link_by_mail(user, now=now)
    return user


def change_password(user: User, *, now: datetime, password: str, by_mail: bool = False) -> User:
    """A new password, by its owner. A link from a mail verifies the address too. Every other session ends."""
    with transaction.atomic():
        user = locked(user.username)
        user.set_password(password)
        user.email_verified = user.email_verified or by_mail
        user.save(update_fields=["password", "email_verified"])
        record("password.changed", actor=user.username, object=f"user:{user.username}", now=now, data={"by_mail": by_mail})
        _link_by_mail(user, now=now)
    return user


def deactivate(username: str, *, actor: User, now: datetime, reason: str = "") -> User:
    """The account can't sign in any more; its sessions and tokens end at once. Records are kept."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        if user.pk == actor.pk:
            raise NotPossible("Somebody else has to deactivate your account.")
        if user.is_active:
            user.is_active = False
            user.save(update_fields=["is_active"])
            ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
            record("user.deactivated", actor=actor.username, object=f"user:{username}", now=now, data={"reason": reason})
    return user


def reactivate(username: str, *, actor: User, now: datetime) -> User:
    """The account can sign in again; its tokens stay revoked."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        if not user.is_active:
            user.is_active = True
            user.save(update_fields=["is_active"])
            record("user.reactivated", actor=actor.username, object=f"user:{username}", now=now)
    return user


def grant_role(username: str, role: str, *, actor: User, now: datetime) -> User:
    """Put the person into the role's group. The administrator role opens the Django admin."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        _grant(user, group_named(role), actor=actor, now=now)
    return user


def withdraw_role(username: str, role: str, *, actor: User, now: datetime) -> User:
    """Take the person out of the role's group. The last administrator stays."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        group = group_named(role)
        if not user.groups.filter(pk=group.pk).exists():
            return user
        if role == ADMINISTRATOR and not User.objects.filter(groups=group, is_active=True).exclude(pk=user.pk).exists():
            raise NotPossible("This is the last administrator: give the role to somebody else first.")
        user.groups.remove(group)
        keep_in_step(user)
        record("role.withdrawn", actor=actor.username, object=f"user:{username}", now=now, data={"role": role})
    return user


def link_identities(usernames: Iterable[str], *, actor: User, now: datetime) -> Identity:
    """These accounts, and those already linked to any of them, are one person from now on."""
    only_administrators(actor)
    with transaction.atomic():
        return _link([locked(username) for username in sorted(set(usernames))], actor=actor.username, now=now, why="by an administrator")


def unlink_identity(username: str, *, actor: User, now: datetime) -> User:
    """This account is a person of its own again. Nobody parts their own: what one account wrote, the other could approve."""
    only_administrators(actor)
    with transaction.atomic():
        user = locked(username)
        if user.identity_id and same_person(user, actor):
            raise NotPermitted("This is an account of yours: another administrator has to part them.")
        if user.identity_id:
            user.identity = None
            user.save(update_fields=["identity"])
            record("identity.unlinked", actor=actor.username, object=f"user:{username}", now=now)
    return user


def create_token(user: User, *, actor: User | None, now: datetime, days: int, scope: str, name: str = "") -> tuple[ApiToken, str]:
    """An API token and its key, for oneself; `actor` None is the operator at the console."""
    if actor is not None and actor.pk != user.pk:
        raise NotPermitted("A token is made by the person it speaks for.")
    with transaction.atomic():
        user = locked(user.username)
        if not user.is_active:
            raise NotPossible(f"The account {user.username} is deactivated.")
        if user.is_guest:
            raise NotPossible("A guest has no token: they vote by the link of their mail.")
        token, key = actions.make_token(user, days=days, scope=scope, name=name, now=now)
        data = {"token_id": token.pk, "scope": scope, "days": days, "name": token.name}
        record("token.created", actor=actor.username if actor else "", object=f"user:{user.username}", now=now, data=data)
    return token, key


def revoke_token(token_id: int, *, actor: User, now: datetime) -> ApiToken:
    """End a token: one's own, or anybody's by an administrator."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update(of=("self",)).select_related("user").filter(pk=token_id).first()
        if token is None or (token.user_id != actor.pk and not has_role(actor, ADMINISTRATOR)):
            raise NotFound("You have no token with this id.")
        if token.revoked_at is None:
            actions.revoke_token(token, now=now)
            record("token.revoked", actor=actor.username, object=f"user:{token.user.username}", now=now, data={"token_id": token.pk})
    return token


def change_settings(user: User, *, now: datetime, **values: Any) -> User:
    """How the pages look for oneself: time_zone, theme, shortcuts."""
    if "time_zone" in values and values["time_zone"] not in zoneinfo.available_timezones():
        raise Invalid.field("time_zone", "There is no such time zone; write one such as Europe/Vienna.")
    with transaction.atomic():
        user = locked(user.username)
        moved = [Difference(name, getattr(user, name), value) for name, value in values.items() if name in SETTINGS and getattr(user, name) != value]
        for name, _before, value in moved:
            setattr(user, name, value)
        if moved:
            user.save(update_fields=[difference.path for difference in moved])
            record("user.updated", actor=user.username, object=f"user:{user.username}", now=now, differences=moved)
    return user


# What the verbs share.


def only_administrators(actor: User) -> None:
    if not has_role(actor, ADMINISTRATOR):
        raise NotPermitted("Only administrators manage people.")


def locked(username: str) -> User:
    """The account, locked until the transaction ends."""
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        raise NotFound("There is no such account.")
    return user


def group_named(role: str) -> Group:
    group = Group.objects.filter(name=role).first()
    if group is None:
        raise Invalid.field("role", f"There is no role named {role}.")
    return group


def save_new(user: User) -> None:
    if User.objects.filter(username__iexact=user.username).exists():
        raise Invalid.field("username", "This username is taken.")
    user.full_clean(exclude=["password"])
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Invalid.field("username", "This username is taken.") from None


def _grant(user: User, group: Group, *, actor: User, now: datetime) -> None:
    if user.is_guest:
        raise Invalid.field("role", "A guest holds no role: invite the person to an account of their own.")
    if user.is_service and roles_refused_to_services([group.name]):
        raise Invalid.field("role", f"A service account decides and runs nothing, so it can't be {group.name}.")
    if user.groups.filter(pk=group.pk).exists():
        return
    user.groups.add(group)
    keep_in_step(user)
    record("role.granted", actor=actor.username, object=f"user:{user.username}", now=now, data={"role": group.name})


def keep_in_step(user: User) -> None:
    """Forget the roles kept on the instance, and let exactly administrators into the Django admin."""
    user.__dict__.pop("_roles", None)
    staff = user.groups.filter(name=ADMINISTRATOR).exists()
    if user.is_staff != staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])


def _link_by_mail(user: User, *, now: datetime) -> None:
    """Accounts with the same verified address are one person, and so is whoever was asked at it as a guest."""
    if not user.email or not user.email_verified:
        return
    same = Q(email__iexact=user.email, email_verified=True, is_service=False) | Q(pk__in=guests_with(user.email))
    others = User.objects.select_for_update().filter(same).exclude(pk=user.pk)
    if others and not user.is_service:
        _link([user, *others], actor="", now=now, why="same verified mail address")


def _link(users: list[User], *, actor: str, now: datetime, why: str) -> Identity:
    if len(users) < 2:
        raise Invalid.field("usernames", "Name at least two accounts.")
    known = {user.identity_id for user in users if user.identity_id}
    if len(known) == 1 and all(user.identity_id for user in users):
        return Identity.objects.get(pk=known.pop())
    identity = Identity.objects.filter(pk__in=known).order_by("pk").first() or Identity.objects.create(name=users[0].display_name)
    joined = User.objects.filter(pk__in=[user.pk for user in users]) | User.objects.filter(identity_id__in=known)
    names = sorted(joined.values_list("username", flat=True))
    User.objects.filter(username__in=names).update(identity=identity)
    record("identity.linked", actor=actor, object=f"identity:{identity.pk}", now=now, data={"accounts": names, "why": why})
    return identity
