"""One call on the command line: its options, who acts and how that was proven, and how it answers."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from changemgmt.accounts.actions import token_of
from changemgmt.accounts.models import User
from changemgmt.api.errors import NotAuthenticated
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.core.errors import NotPermitted
from changemgmt.core.time import parse_instant
from changemgmt.lifecycle import sign_in

HOW = "Say who you are: put an API token into COUNTERSIGN_TOKEN, or give --as USER and your password."
NOBODY = User(pk=0, username="", is_active=True)


@dataclass
class Call:
    """What an act gets. `options` are the parsed arguments."""

    options: dict[str, Any]
    now: datetime
    write: Callable[[str], Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.options[name]
        except KeyError:
            raise AttributeError(name) from None

    # Who acts.

    @cached_property
    def reader(self) -> User:
        """Who reads. Somebody who says nothing sees what is not confidential."""
        if not (os.environ.get("COUNTERSIGN_TOKEN") or self.options.get("username")):
            return NOBODY
        return self.person[0]

    @cached_property
    def actor(self) -> User:
        """Who acts: proven by token or password, and allowed to write."""
        user, scope = self.person
        if scope == "read":
            raise NotPermitted("This token may only read. Use one of scope write.")
        return user

    @cached_property
    def person(self) -> tuple[User, str]:
        """The account that was proven, and the scope it was proven for."""
        if username := self.options.get("username"):
            return by_password(username, now=self.now), "write"
        key = os.environ.get("COUNTERSIGN_TOKEN", "")
        if not key:
            raise NotAuthenticated(HOW)
        token = token_of(key, now=self.now)
        if token is None:
            raise NotAuthenticated("The token in COUNTERSIGN_TOKEN is unknown, expired or revoked.")
        return token.user, token.scope

    @property
    def who(self) -> str:
        """The username for the record of a refusal; unknown before it is proven."""
        return self.person[0].username if "person" in self.__dict__ else "unknown"

    # The change.

    @cached_property
    def change(self) -> Change:
        """The change the call names, as the reader may see it."""
        return visible(self.reader, self.options["number"])

    @property
    def seen(self) -> str:
        """The version the caller says they saw; any when they say nothing."""
        return self.options.get("if_match") or "*"

    @property
    def acting(self) -> dict[str, Any]:
        """Who and when, as every verb takes them."""
        return {"actor": self.actor, "now": self.now}

    def moment(self, name: str) -> datetime | None:
        """An option that is a time; a day is its midnight in UTC."""
        text = self.options.get(name)
        return parse_instant(f"{text}T00:00:00Z" if len(text) == len("2026-11-22") else text, field=name) if text else None

    # Answers.

    def answer(self, data: Any, lines: str | Iterable[str]) -> None:
        """JSON with --json, else the lines for a reader."""
        if self.options.get("json"):
            self.write(as_json(data))
        else:
            self.write(lines if isinstance(lines, str) else "\n".join(lines))

    @property
    def on_terminal(self) -> bool:
        return sys.stdin.isatty() and not self.options.get("json")

    def confirmed(self, question: str) -> bool:
        """Ask the person at the terminal; only a plain yes is one."""
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def by_password(username: str, *, now: datetime) -> User:
    """The account, its password asked for and right. Tries are counted like everywhere else."""
    attempt = sign_in.begin_attempt(username, address="console", now=now)
    user = User.objects.filter(username=username, is_active=True, is_service=False, is_guest=False).first()
    password = getpass.getpass(f"Password of {username}: ")
    if user is None or not user.check_password(password):
        sign_in.fail(username, now=now)
        raise NotAuthenticated("The name or the password is wrong.")
    sign_in.succeed(user, attempt=attempt, now=now)
    return user


def as_json(data: Any) -> str:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS, default=str).decode()
