"""`manage.py token USER`: an API token for a program. Whoever may run this on the server may speak for anybody."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from changemgmt.accounts.actions import TOKEN_DAYS
from changemgmt.accounts.models import User
from changemgmt.audit.context import acting
from changemgmt.core.errors import DomainError
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle.manage_people import create_token


class Command(BaseCommand):
    help = "Make an API token for USER and print its key, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER", help="the username it speaks for")
        parser.add_argument("--days", type=int, default=90, help=f"how long it lives, 1 to {TOKEN_DAYS} (90)")
        parser.add_argument("--scope", choices=["read", "write"], default="write", help="what it may do (write)")
        parser.add_argument("--name", default="console", help="what it is for, shown on the profile")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, user: str, days: int, scope: str, name: str, **options: Any) -> None:
        account = User.objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no user named {user}.", returncode=1)
        try:
            with acting(channel="cli"):
                token, key = create_token(account, actor=None, now=utc_now(), days=days, scope=scope, name=name)
        except DomainError as refusal:
            raise CommandError(refusal.detail, returncode=1) from None
        shown = {"user": user, "token": key, "scope": token.scope, "expires_at": rfc3339(token.expires_at)}
        self.stdout.write(json.dumps(shown) if options["json"] else key)
