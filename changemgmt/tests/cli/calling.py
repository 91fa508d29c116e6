"""How the tests call a command: who they are is proven by a token, the answer is parsed, a refusal is an exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from changemgmt.accounts.actions import make_token
from changemgmt.core.time import utc_now


class Refused(Exception):
    """The command ended with a code."""

    def __init__(self, code: Any, out: str, err: str):
        super().__init__(f"{code}: {err}")
        self.code, self.out, self.err = code, out, err


def caller(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`call(user, "show", …)` answers the parsed JSON, or the text with `as_text`; a refusal raises Refused."""

    def call(user: Any, *arguments: object, as_text: bool = False, scope: str = "write") -> Any:
        monkeypatch.delenv("COUNTERSIGN_TOKEN", raising=False)
        if user is not None:
            _, key = make_token(user, days=1, scope=scope, name="cli", now=utc_now() - timedelta(minutes=1))
            monkeypatch.setenv("COUNTERSIGN_TOKEN", key)
        capsys.readouterr()
        try:
            call_command(command, *map(str, arguments), *([] if as_text else ["--json"]))
        except SystemExit as end:
            raise Refused(end.code, *capsys.readouterr()) from None
        out = capsys.readouterr().out
        return out if as_text else json.loads(out)

    return call


def refused(run: Callable[..., Any], *arguments: object, code: int = 1, **options: Any) -> Refused:
    """What the refusal said; it ended with this code."""
    with pytest.raises(Refused) as caught:
        run(*arguments, **options)
    assert caught.value.code == code, caught.value
    return caught.value
