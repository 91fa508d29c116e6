"""Guests on the command line: who is asked without an account, asking somebody, and taking it back."""

from __future__ import annotations

from changemgmt.approvals.guests import guest_shape, guests_of
from changemgmt.approvals.models import Guest
from changemgmt.lifecycle import invite_guest as verbs

from .call import Call


def guests(call: Call) -> None:
    """List the guests of a change, or ask one with --invite, or take an invitation back with --revoke."""
    if call.invite:
        row = verbs.invite_guest(call.number, seat=call.seat, name=call.invite, email=call.email, second_channel=call.code_to, **call.acting)
        call.answer(guest_shape(row, call.now, whole=True), f"Invited: {line(row, call, whole=True)}")
    elif call.revoke is not None:
        row = verbs.revoke_guest(call.number, call.revoke, **call.acting)
        call.answer(guest_shape(row, call.now, whole=True), f"Revoked: {line(row, call, whole=True)}")
    else:
        whole = verbs.may_invite(call.change, actor=call.reader).allowed
        rows = list(guests_of(call.change))
        call.answer([guest_shape(row, call.now, whole=whole) for row in rows], [line(row, call, whole=whole) for row in rows] or "None.")


def line(row: Guest, call: Call, *, whole: bool) -> str:
    """One invitation for a reader; the addresses only for those who may invite."""
    shown = guest_shape(row, call.now, whole=whole)
    where = f" ({shown['email']}, code to {shown['second_channel']})" if whole else ""
    until = f"until {row.expires_at:%Y-%m-%d %H:%M} UTC" if shown["active"] else "not asked any more"
    return f"{row.pk}  {row.name}{where} at {shown['level']}, {shown['label']}, {until}"
