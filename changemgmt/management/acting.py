"""What commands have in common in which somebody acts: who that is has to be proven, and a refusal is said, recorded and ends with its code."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from changemgmt.api.errors import RECORDED, NotAuthenticated, body_of
from changemgmt.audit.actions import record_refusal
from changemgmt.audit.context import acting
from changemgmt.core.errors import DomainError, Invalid, PreconditionMissing, TooLarge, UnsupportedType
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.management.change.call import HOW, Call, as_json

BAD_USAGE = (Invalid, PreconditionMissing, TooLarge, UnsupportedType)


class ActingCommand(BaseCommand):
    """Runs the act that the parser chose (`run`). Ends with 0 when done, 1 when a rule refuses, 2 when it was called wrongly."""

    # Checking every URL and model takes longer than any act does.
    requires_system_checks: tuple[str, ...] = ()
    name = ""

    def handle(self, **options: Any) -> None:
        call = Call(options, now=utc_now(), write=self.stdout.write)
        with acting(channel="cli"):
            try:
                options["run"](call)
            except DomainError as refusal:
                self.refuse(refusal, call)

    def refuse(self, refusal: DomainError, call: Call) -> None:
        """Say what was refused, why, and who can clear it; put it on the record; end with its code."""
        number = call.options.get("number") or ""
        if refusal.status in RECORDED and call.who != "unknown":
            record_refusal(
                f"{self.name} {call.options['act_name']}",
                actor=call.who,
                object=f"change:{number}" if number else self.name,
                reason=refusal.detail[:300],
                now=call.now,
                change=number,
            )
        self.stderr.write(as_json(body_of(refusal)) if call.options.get("json") else in_words(refusal))
        sys.exit(2 if isinstance(refusal, BAD_USAGE) or refusal.detail == HOW else 1)


def in_words(refusal: DomainError) -> str:
    """A refusal for a reader: the sentence, the fields, the guards with who can clear them."""
    title = "Not signed in" if isinstance(refusal, NotAuthenticated) else str(refusal.title)
    lines = [f"{title}: {refusal.detail}"]
    lines += [f"  {field}: {' '.join(messages)}" for field, messages in refusal.errors.items()]
    for guard in refusal.guards:
        who = f" Can be cleared by {', '.join(guard.who_can_clear)}." if guard.who_can_clear else ""
        when = f" Clears by itself at {rfc3339(guard.clears_at)}." if guard.clears_at else ""
        lines.append(f"  {guard.guard}: {guard.message}{who}{when}")
    return "\n".join(lines)
