"""Who is told of an event, and in what words. Pure: people come in as usernames by the part they have in the change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_PEOPLE = 500
LONGEST_TITLE = 300
LONGEST_LINE = 2000
MENTION = re.compile(r"(?<![\w@./+-])@([\w][\w.@+-]{0,149})")


def gettext_noop(text: str) -> str:
    """Marks a text for translation; it is translated where the message is made."""
    return text


@dataclass(frozen=True, slots=True)
class Happened:
    """An event as it is told of. `values` may be named by the texts; empty ones leave out the line that needs them."""

    kind: str
    actor: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """What one person is told, and whether by mail too."""

    title: str
    text: str
    mail: bool


@dataclass(frozen=True, slots=True)
class Telling:
    """For some of the people of an event: title and lines with %(names)s of values. `even_actor`: also who did it."""

    people: tuple[str, ...]
    title: str
    lines: tuple[str, ...] = ()
    mail: bool = True
    even_actor: bool = False


CONCERNED = ("requester", "owner", "implementers", "watchers")
RUNNERS = ("managers", "administrators")
BY = gettext_noop("By %(actor)s.")
REASON = gettext_noop("Reason: %(reason)s")
COMMENT = gettext_noop("Comment: %(comment)s")
WINDOW = gettext_noop("From %(start)s to %(end)s.")
COVERS = gettext_noop("It covers %(scope)s.")
NOT_YOU = gettext_noop("If it was not you, tell an administrator.")
LEVEL = gettext_noop("Level: %(level)s")
# What it is about stands behind the link and the code.
GUEST = gettext_noop("You are asked to vote on %(number)s")
# Mails that ask for a vote carry links that lead to one.
ASKING = frozenset({"approval.level_opened", "approval.reminded", "approval.reassigned", "seat.reassigned", "guest.invited"})

TELLINGS: dict[str, tuple[Telling, ...]] = {
    "change.submitted": (Telling(("owner_or_managers", "watchers"), gettext_noop("%(number)s was submitted: %(title)s"), (BY, COMMENT)),),
    "change.review_begun": (Telling(("requester", "owner", "watchers"), gettext_noop("The review of %(number)s has begun: %(title)s"), mail=False),),
    "approval.level_opened": (
        Telling(("asked",), gettext_noop("Your vote is needed on %(number)s: %(title)s"), (gettext_noop("Level: %(level)s"), gettext_noop("Risk: %(risk)s"))),
        Telling(("guests",), GUEST, (LEVEL,)),
    ),
    "guest.invited": (Telling(("guest",), GUEST, (LEVEL,)),),
    "approval.no_approver": (
        Telling(
            ("owner", "approver_managers", *RUNNERS), gettext_noop("Nobody can decide a level of %(number)s: %(title)s"),
            (gettext_noop("Level: %(level)s"), gettext_noop("%(why)s")),
        ),
    ),
    "approval.blocked": (Telling(("requester", "owner", *RUNNERS), gettext_noop("The review of %(number)s can't begin: %(title)s"), (REASON,)),),
    "information.requested": (
        Telling(
            ("requester", "owner"), gettext_noop("%(actor)s asks about %(number)s: %(title)s"),
            (gettext_noop("Question: %(question)s"), gettext_noop("The approval waits for your answer.")),
        ),
        Telling(("watchers",), gettext_noop("%(actor)s asks about %(number)s: %(title)s"), (gettext_noop("Question: %(question)s"),), mail=False),
    ),
    "information.provided": (
        Telling(("approvers", "watchers"), gettext_noop("%(number)s: the question was answered: %(title)s"), (BY, gettext_noop("Answer: %(answer)s"))),
    ),
    "change.approved": (Telling(CONCERNED, gettext_noop("%(number)s was approved: %(title)s")),),
    "change.approved_with_conditions": (
        Telling(CONCERNED, gettext_noop("%(number)s was approved with conditions: %(title)s"), (gettext_noop("Each condition has to be met by the time it names."),)),
    ),
    "change.rejected": (Telling(CONCERNED, gettext_noop("%(number)s was rejected: %(title)s")),),
    "change.retrospectively_decided": (
        Telling((*CONCERNED, "managers"), gettext_noop("%(number)s was decided afterwards: %(title)s"), (gettext_noop("Decision: %(outcome)s"),)),
    ),
    "change.amended": (
        Telling(
            ("requester", "owner", "watchers"), gettext_noop("%(number)s was amended: %(title)s"),
            (BY, gettext_noop("Version %(version)s is reviewed now."), COMMENT),
        ),
    ),
    "change.review_reopened": (Telling(CONCERNED, gettext_noop("%(number)s has to be approved again: %(title)s"), (REASON,)),),
    "change.revised": (Telling((*CONCERNED, "voters"), gettext_noop("%(number)s was taken back to be revised: %(title)s"), (BY, COMMENT)),),
    "change.go_ahead_given": (
        Telling(
            (*CONCERNED, "managers", "ecab"), gettext_noop("%(number)s has an emergency go-ahead: %(title)s"),
            (BY, REASON, gettext_noop("Its approval is decided afterwards.")),
        ),
    ),
    "change.scheduled": (Telling(CONCERNED, gettext_noop("%(number)s was scheduled: %(title)s"), (WINDOW, BY, COMMENT)),),
    "change.started": (Telling(CONCERNED, gettext_noop("Work on %(number)s has begun: %(title)s"), (BY,)),),
    "change.completed": (Telling(CONCERNED, gettext_noop("%(number)s was implemented: %(title)s"), (BY, gettext_noop("It can be reviewed and closed."))),),
    "change.failed": (Telling((*CONCERNED, "managers"), gettext_noop("%(number)s failed: %(title)s"), (BY, REASON)),),
    "change.rolled_back": (Telling((*CONCERNED, "managers"), gettext_noop("%(number)s was rolled back: %(title)s"), (BY, REASON)),),
    "change.closed": (Telling(CONCERNED, gettext_noop("%(number)s was closed: %(title)s"), (gettext_noop("Result: %(result)s"), BY)),),
    "change.cancelled": (Telling((*CONCERNED, "voters"), gettext_noop("%(number)s was cancelled: %(title)s"), (BY, REASON)),),
    "vote.cast": (
        Telling(
            ("condition_owners",), gettext_noop("You are to meet a condition of %(number)s: %(title)s"),
            (gettext_noop("Set by %(actor)s: %(conditions)s"),), even_actor=True,
        ),
        Telling(
            ("requester", "owner"), gettext_noop("%(actor)s voted on %(number)s: %(title)s"),
            (gettext_noop("Vote: %(vote)s, level %(level)s"), COMMENT, gettext_noop("Conditions: %(conditions)s")), mail=False,
        ),
    ),
    "vote.superseded": (
        Telling(("voter",), gettext_noop("Your vote on %(number)s counts no more: %(title)s"), (gettext_noop("%(why)s"),), mail=False, even_actor=True),
    ),
    "vote.withdrawn": (Telling(("requester", "owner"), gettext_noop("%(actor)s withdrew their vote on %(number)s: %(title)s"), (gettext_noop("%(why)s"),)),),
    "condition.evidence_given": (
        Telling(("item_setter",), gettext_noop("A condition of %(number)s waits for your acceptance: %(title)s"), (gettext_noop("Condition: %(text)s"), BY)),
    ),
    "condition.accepted": (
        Telling(("item_owner",), gettext_noop("A condition of %(number)s is met: %(title)s"), (gettext_noop("Condition: %(text)s"), BY, COMMENT), mail=False),
    ),
    "condition.waived": (
        Telling(("item_owner", "requester", "owner"), gettext_noop("A condition of %(number)s was waived: %(title)s"), (gettext_noop("Condition: %(text)s"), BY, REASON)),
    ),
    "approval.reminded": (
        Telling(
            ("still_asked",), gettext_noop("Your vote on %(number)s is due soon: %(title)s"),
            (LEVEL, gettext_noop("%(percent)s%% of the time given is over."), gettext_noop("Due: %(due_at)s")),
        ),
    ),
    "approval.timed_out": (
        Telling(("approver_managers", "managers", "owner"), gettext_noop("A level of %(number)s is not decided in time: %(title)s"), (LEVEL, gettext_noop("%(why)s"))),
    ),
    "approval.reassigned": (
        Telling(("still_asked",), gettext_noop("Your vote is needed on %(number)s, which others did not decide in time: %(title)s"), (LEVEL, gettext_noop("%(why)s"))),
        Telling(("managers",), gettext_noop("Others are asked about %(number)s now: %(title)s"), (LEVEL, gettext_noop("%(why)s")), mail=False),
    ),
    "approval.silent_consent": (
        Telling((*CONCERNED, "managers", "level_people"), gettext_noop("Nobody objected to %(number)s in time: %(title)s"), (LEVEL, gettext_noop("%(why)s"))),
    ),
    "seat.released": (
        Telling(("claimer",), gettext_noop("The vote you claimed on %(number)s was released: %(title)s"), (LEVEL, BY), mail=False),
    ),
    "seat.reassigned": (
        Telling(
            ("reassigned_to",), gettext_noop("Your vote is needed on %(number)s: %(title)s"),
            (LEVEL, gettext_noop("%(actor)s asks you instead of %(from)s."), REASON),
        ),
    ),
    "override.asked": (
        Telling(
            ("managers", "administrators"), gettext_noop("A decision on %(number)s is to be overridden and needs a second person: %(title)s"),
            (LEVEL, gettext_noop("To decide: %(decision)s"), BY, REASON),
        ),
        Telling(
            ("requester", "owner", "level_people", "auditors"), gettext_noop("A decision on %(number)s is to be overridden: %(title)s"),
            (LEVEL, gettext_noop("To decide: %(decision)s"), BY, REASON),
        ),
    ),
    "override.confirmed": (
        Telling(
            ("managers", "administrators", "requester", "owner", "level_people", "auditors"), gettext_noop("A level of %(number)s was decided by override: %(title)s"),
            (LEVEL, gettext_noop("Decided: %(decision)s"), gettext_noop("Asked by %(asked_by)s, confirmed by %(actor)s."), REASON),
        ),
    ),
    "override.withdrawn": (
        Telling(
            ("managers", "requester", "owner", "level_people", "auditors"), gettext_noop("An override on %(number)s was withdrawn: %(title)s"), (LEVEL, BY), mail=False,
        ),
    ),
    "condition.expired": (
        Telling(
            ("item_owner", "item_setter", "requester", "owner", "managers"), gettext_noop("A condition of %(number)s was not met in time: %(title)s"),
            (gettext_noop("Condition: %(text)s"), gettext_noop("%(why)s")),
        ),
    ),
    "emergency.limit_reached": (
        Telling(
            ("managers", "auditors"), gettext_noop("%(actor)s wanted to give more emergency go-aheads than are allowed"), (gettext_noop("Change: %(number)s"), REASON),
        ),
    ),
    "emergency.review_overdue": (
        Telling(
            ("owner", "managers", "auditors"), gettext_noop("%(number)s ran on a go-ahead and is not reviewed in time: %(title)s"), (gettext_noop("Due: %(due_at)s"),),
        ),
    ),
    "comment.added": (
        Telling(("mentioned",), gettext_noop("%(actor)s mentioned you on %(number)s: %(title)s"), (gettext_noop("%(text)s"),)),
        Telling(CONCERNED, gettext_noop("%(actor)s commented on %(number)s: %(title)s"), (gettext_noop("%(text)s"),)),
    ),
    "watcher.added": (Telling(("watcher",), gettext_noop("You now watch %(number)s: %(title)s"), (BY,), mail=False),),
    "assessment.overridden": (
        Telling(("requester", "owner"), gettext_noop("The risk of %(number)s was set by hand: %(title)s"), (BY, REASON)),
    ),
    "execution.held": (Telling((*CONCERNED, "managers"), gettext_noop("Work on %(number)s stopped: %(title)s"), (gettext_noop("Step: %(step)s"), REASON)),),
    "execution.rolling_back": (Telling(CONCERNED, gettext_noop("%(number)s is being rolled back: %(title)s"), (BY, REASON)),),
    "execution.rollback_failed": (
        Telling((*CONCERNED, *RUNNERS), gettext_noop("The rollback of %(number)s failed and needs a person: %(title)s"), (gettext_noop("Step: %(step)s"), REASON)),
    ),
    "delegation.created": (
        Telling(("delegate_to_be",), gettext_noop("You are to vote for %(delegator)s"), (BY, WINDOW, COVERS, REASON)),
        Telling(("delegator",), gettext_noop("%(delegate)s is to vote for you"), (BY, WINDOW, COVERS, REASON)),
    ),
    "delegation.begun": (
        Telling(
            ("delegate",), gettext_noop("You vote for %(delegator)s now"),
            (gettext_noop("Until %(end)s."), COVERS, gettext_noop("What waits for their vote stands in your list of approvals.")),
        ),
    ),
    "delegation.changed": (
        Telling(("delegate",), gettext_noop("You vote for %(delegator)s until %(end)s"), (BY, WINDOW, COVERS)),
        Telling(("delegator",), gettext_noop("%(delegate)s votes for you until %(end)s"), (BY, WINDOW, COVERS)),
    ),
    "delegation.revoked": (
        Telling(("delegate",), gettext_noop("You vote for %(delegator)s no more"), (BY,)),
        Telling(("delegator",), gettext_noop("%(delegate)s votes for you no more"), (BY,)),
    ),
    "second_factor.added": (Telling(("account",), gettext_noop("A second factor was added to your account"), (NOT_YOU,), even_actor=True),),
    "second_factor.removed": (Telling(("account",), gettext_noop("The second factor of your account was removed"), (NOT_YOU,), even_actor=True),),
    "second_factor.reset": (Telling(("account",), gettext_noop("The second factor of your account was reset"), (BY, REASON, NOT_YOU)),),
    "second_factor.throttled": (
        Telling(("account",), gettext_noop("Somebody gave wrong passwords or codes for your account, five times"), (NOT_YOU,), even_actor=True),
    ),
    "chain.edited": (
        Telling(
            ("activators",), gettext_noop("The approval chain %(chain)s waits to be put into force"),
            (BY, gettext_noop("An administrator who did not write at it puts it into force.")), mail=False,
        ),
    ),
    "freeze.loosening_asked": (
        Telling(RUNNERS, gettext_noop("A freeze is to be shortened or removed and needs a second person: %(name)s"), (BY,)),
    ),
    "drift.opened": (
        Telling(
            ("drift_owners", "managers"), gettext_noop("%(source)s shows what nobody requested"),
            (gettext_noop("Things that differ: %(rows)s"), gettext_noop("It can be adopted by a change, or reverted at the source.")),
        ),
    ),
    "drift.updated": (
        Telling(("drift_owners",), gettext_noop("%(source)s shows more that nobody requested"), (gettext_noop("Things that differ: %(rows)s"),)),
        Telling(("drift_assignee",), gettext_noop("What you are to put back at %(source)s has changed"), (gettext_noop("Things that differ: %(rows)s"),)),
    ),
    "drift.reverted": (
        Telling(
            ("drift_assignee",), gettext_noop("You are to put %(source)s back as the architecture says"),
            (BY, gettext_noop("Due: %(due_at)s"), gettext_noop("Note: %(note)s")),
        ),
    ),
    "drift.overdue": (
        Telling(("drift_assignee", "managers"), gettext_noop("%(source)s is not put back in time"), (gettext_noop("Due: %(due_at)s"),)),
    ),
    "drift.settled": (
        Telling(("managers", "drift_assignee"), gettext_noop("Nothing differs at %(source)s any more"), (gettext_noop("Outcome: %(settled_as)s"),), mail=False),
    ),
    "verification.finished": (
        Telling(("auditors_if_tampered",), gettext_noop("The audit record was tampered with: %(first_bad)s"), (gettext_noop("Kind: %(kind)s"),)),
    ),
}  # fmt: skip


def mentioned(text: str) -> list[str]:
    """The names written as @name, in order, each once; a full stop after a name is none of it."""
    found = (name.rstrip(".-+@") for name in MENTION.findall(text))
    return list(dict.fromkeys(name for name in found if name))


def parts_needed(kind: str) -> frozenset[str]:
    """Which people an event of this kind may concern, by their part."""
    return frozenset(part for telling in TELLINGS.get(kind, ()) for part in telling.people)


def messages(happened: Happened, people: Mapping[str, Iterable[str]], *, translate: Callable[[str], str] = str) -> dict[str, Message]:
    """username → what this person is told, in the order of the parts; nobody twice, and who did it not at all.

    `people` maps each part to usernames. At most 500 people, so that no event floods the house.
    """
    told: dict[str, Message] = {}
    for telling in TELLINGS.get(happened.kind, ()):
        message = written(telling, happened.values, translate)
        for part in telling.people:
            for username in people.get(part, ()):
                if username not in told and (telling.even_actor or username != happened.actor) and len(told) < MOST_PEOPLE:
                    told[username] = message
    return told


def written(telling: Telling, values: Mapping[str, str], translate: Callable[[str], str]) -> Message:
    """The message with its values put in; a line whose values are missing is left out."""
    title = one_line(filled(translate(telling.title), values) or "")
    lines = [filled(translate(line), values) for line in telling.lines]
    return Message(title[:LONGEST_TITLE], "\n".join(line for line in lines if line), telling.mail)


def filled(text: str, values: Mapping[str, str]) -> str | None:
    """`text` with its %(names)s replaced, None when one of them has no value."""
    wanted = re.findall(r"%\((\w+)\)s", text)
    if any(not values.get(name) for name in wanted):
        return None if wanted else text
    return text % {name: values[name][:LONGEST_LINE] for name in wanted}


def one_line(text: str) -> str:
    """`text` without line breaks, as a subject needs it."""
    return " ".join(text.split())


def values_of(data: Mapping[str, Any], **more: str) -> dict[str, str]:
    """The values the texts may name: what the event says in plain words, and `more`."""
    said = {name: str(value) for name, value in data.items() if isinstance(value, str | int) and not isinstance(value, bool)}
    conditions = "; ".join(str(row.get("text", "")) for row in data.get("conditions") or () if isinstance(row, Mapping))
    return said | ({"conditions": conditions} if conditions else {}) | more
