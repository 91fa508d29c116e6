"""Overrides on the command line: asked for, confirmed by a second person, withdrawn."""

from __future__ import annotations

from changemgmt.approvals.overrides import override_shape, overrides_of
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import override as verbs

from .call import Call


def override(call: Call) -> None:
    """Ask for an override with its level, decision and reason; or confirm or withdraw one by its id."""
    call.reader = call.actor
    if call.confirm is not None:
        row = verbs.confirm_override(call.number, call.confirm, **call.acting)
    elif call.withdraw is not None:
        row = verbs.withdraw_override(call.number, call.withdraw, **call.acting)
    else:
        row = verbs.ask_override(call.number, level=call.level or "", decision=asked(call), reason=call.reason, **call.acting)
    shown = override_shape(overrides_of(call.change).get(pk=row.pk))
    who = f", confirmed by {shown['confirmed_by']}" if shown["confirmed_by"] else ""
    call.answer(shown, f"Override {row.pk}: {shown['decision']} the level {shown['level']}, asked by {shown['asked_by']}{who}: {shown['state']}.")


def asked(call: Call) -> str:
    if not call.decision:
        raise Invalid.field("decision", "Say --decision approve or reject, or --confirm or --withdraw with an id.")
    return str(call.decision)
