"""The arguments of `manage.py change`: one sub-command per act."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from changemgmt.changes.filters import ENUMERATIONS, NAMES
from changemgmt.changes.item_files import READERS
from changemgmt.changes.models import Item, Scale, Type
from changemgmt.execution.models import Task
from changemgmt.preview.rebasing import TAKES

from . import approving, asking, doing, inviting, items, overriding, queueing, rebasing, record, sandboxing
from .call import Call

Act = Callable[[Call], None]
DIGEST = "the digest you saw; on a terminal you are shown the brief and asked"


def add_acts(parser: ArgumentParser) -> None:
    """Every sub-command with its options; the act it runs stands in `run`."""
    acts = parser.add_subparsers(dest="act_name", required=True, metavar="ACT")

    def act(name: str, run: Act, words: str, *, number: bool = True, writes: bool = True) -> ArgumentParser:
        made = acts.add_parser(name, help=words, description=words)
        made.set_defaults(run=run)
        if number:
            made.add_argument("number", metavar="CHG", help="number of the change")
        common(made, writes=writes)
        return made

    add_records(act)
    add_content(act)
    add_questions(act)
    add_voting(act)
    add_seats(act)
    add_conditions(act)
    add_deciding(act)
    add_guests(act)
    add_doing(act)


def common(parser: ArgumentParser, *, writes: bool, inner: bool = False) -> None:
    """The options every act takes. An inner parser says nothing of what it is not given, so that the outer one's word stands."""
    silent: dict[str, Any] = {"default": SUPPRESS} if inner else {}
    parser.add_argument("--as", dest="username", metavar="USER", help="who acts; the password is asked for (instead of COUNTERSIGN_TOKEN)", **silent)
    parser.add_argument("--json", action="store_true", help="answer as JSON", **silent)
    if writes:
        parser.add_argument("--if-match", metavar="ETAG", help="do it only if the change is still at this version, as `show` prints it", **silent)


def add_records(act: Callable[..., ArgumentParser]) -> None:
    found = act("list", record.list_changes, "the changes you may see", number=False, writes=False)
    for name in NAMES:
        if not name.endswith("__in"):
            choices = ENUMERATIONS[name].values if name in ENUMERATIONS else None
            found.add_argument(f"--{name.replace('_', '-')}", dest=name, action="append", choices=choices, metavar=None if choices else name.upper())
    found.add_argument("--limit", type=int, default=50)
    found.add_argument("--order", choices=[sign + name for name in record.ORDERS for sign in ("", "-")], default="-created_at")
    act("show", record.show, "one change, with the digest your vote carries", writes=False)
    handed = act("submit", record.draft_or_submit, "draft a change and hand it in, or hand in the one that is named", number=False)
    handed.add_argument("number", nargs="?", metavar="CHG", help="a draft that is there")
    handed.add_argument("--title")
    handed.add_argument("--type", choices=Type.values)
    handed.add_argument("--impact", choices=Scale.values)
    handed.add_argument("--business-justification")
    handed.add_argument("--file", type=Path, help="a Markdown file with front matter, as `export` writes it")
    handed.add_argument("--set", action="append", metavar="FIELD=VALUE", help="any other field of the record; VALUE may be JSON")
    handed.add_argument("--draft", action="store_true", help="only draft it")
    handed.add_argument("--comment", default="")
    told = act("transition", record.transition, "any transition by its name")
    told.add_argument("name", metavar="NAME")
    told.add_argument("--set", action="append", metavar="KEY=VALUE", help="a parameter of the transition, such as reason=…")
    told.add_argument("--comment", default="")
    out = act("export", record.export, "the change as a file", writes=False)
    out.add_argument("--format", dest="form", choices=["markdown", "json", "diff"], default="markdown")
    out.add_argument("--output", type=Path)


def add_content(act: Callable[..., ArgumentParser]) -> None:
    things = act("items", items.items, "what it does to the architecture")
    verbs = things.add_subparsers(dest="act", required=True)
    for name, words in (("list", "all items"), ("add", "one item, or those of a file"), ("remove", "take one back")):
        verb = verbs.add_parser(name, help=words)
        common(verb, writes=name != "list", inner=True)
        if name == "remove":
            verb.add_argument("id", type=int)
        if name == "add":
            add_item_options(verb)
    box = act("sandbox", sandboxing.sandbox, "the architecture as it would be: show things, or take edited ones over as items")
    parts = box.add_subparsers(dest="act", required=True)
    shown = parts.add_parser("show", help="what the change touches, and further things by their keys, as JSON")
    common(shown, writes=False, inner=True)
    shown.add_argument("--component", action="append", metavar="KEY")
    shown.add_argument("--relation", action="append", metavar="KEY")
    taken = parts.add_parser("capture", help="the things of a file as items: what `show` or the export wrote, edited")
    common(taken, writes=True, inner=True)
    taken.add_argument("file", type=Path, metavar="FILE")
    plan = act("plan", items.plan, "the plan: show it, or write it")
    plan.add_argument("--file", type=Path, help="the plan whole, as JSON")
    plan.add_argument("--window", metavar="START/END", help="the requested window")
    plan.add_argument("--resources", metavar="USER,…", help="who implements it")
    plan.add_argument("--create-rollback-plan", action="store_true", help="write the rollback plan from how the steps are undone")


def add_item_options(verb: ArgumentParser) -> None:
    verb.add_argument("--operation", choices=Item.Operation.values)
    verb.add_argument("--object", choices=Item.Object.values, default="component")
    for name in ("key", "source", "target"):
        verb.add_argument(f"--{name}")
    verb.add_argument("--relation-type")
    verb.add_argument("--set", action="append", metavar="FIELD=VALUE", help="what is written, such as name=… or attributes.version=…")
    verb.add_argument("--cascade", action="store_true", help="delete the relations of a deleted component as well")
    verb.add_argument("--file", type=Path)
    verb.add_argument("--format", choices=list(READERS), default="json")
    verb.add_argument("--namespace", default="")
    verb.add_argument("--create-missing", action="store_true", help="updates of what is not there create it")


def add_questions(act: Callable[..., ArgumentParser]) -> None:
    assess = act("assess", asking.assess, "the risk: show it, or answer what is asked")
    assess.add_argument("--technical-risk", action="store_true", help="show the technical risks")
    assess.add_argument(
        "--business-impact", nargs="*", metavar="NAME=VALUE", help="answer revenue= and reputation= with 0, 0.25, 0.5, 0.75 or 1; show the factors"
    )
    assess.add_argument("--dependencies", action="store_true", help="show resources, tests, rollback, dependencies and constraints")
    assess.add_argument("--all-factors", action="store_true", help="show everything")
    assess.add_argument("--again", action="store_true", help="compute the risk of a draft anew")
    preview = act("preview", asking.preview, "the architecture as it would be")
    preview.add_argument("--compute", action="store_true", help="compute it first")
    preview.add_argument("--max-depth", type=int, metavar="STEPS", help="with --compute: follow this change further than is set")
    preview.add_argument("--min-score", type=float, metavar="SCORE", help="with --compute: follow it to weaker scores than is set")
    preview.add_argument("--wait", action="store_true", help="until it is computed, also by a worker; tells how far it is on standard error")
    preview.add_argument("--cancel", action="store_true", help="stop computing it: what was there before counts again")
    preview.add_argument("--stacked", action="store_true", help="on top of what is approved near it and not done yet")
    rebase = act("rebase", rebasing.rebase, "put it onto the live architecture as it is now; without choices, show what has to be chosen")
    rebase.add_argument("--digest", default="", help="of the conflicts, as they are shown without choices")
    rebase.add_argument("--all", dest="everything", choices=TAKES[:2], default="", help="what to take where nothing else is said")
    rebase.add_argument(
        "--take", nargs=3, action="append", default=[], metavar=("KEY", "FIELD", "WHAT"), help="live, proposed or merged; FIELD - is all"
    )
    rebase.add_argument("--set", nargs=3, action="append", default=[], metavar=("KEY", "FIELD", "VALUE"), help="another value; it may be JSON")
    act("impact", asking.impact, "what it reaches, and why", writes=False).add_argument("--limit", type=int, default=0)
    windows = act("windows", asking.windows, "the best windows for it", writes=False)
    windows.add_argument("--earliest")
    windows.add_argument("--latest")
    windows.add_argument("--duration", type=int, default=120, help="minutes")
    windows.add_argument("--limit", type=int, default=5)
    act("blockers", asking.blockers, "what keeps it from its next step, and who can clear that", writes=False)
    act("gate", asking.gate, "may it be deployed now; ends with 1 when not", writes=False)


def add_voting(act: Callable[..., ArgumentParser]) -> None:
    for name, run, option, words in (
        ("vote", approving.vote, "--vote", "vote at your open seat"),
        ("cab-review", approving.cab_review, "--decision", "vote at your seat in the CAB"),
    ):
        vote = act(name, run, words)
        vote.add_argument(option, choices=["approve", "reject", "abstain"], required=True)
        vote.add_argument("--digest", help=DIGEST)
        vote.add_argument("--condition", "--conditions", dest="conditions", action="append", metavar="TEXT;due;owner;evidence;expires_at;on_expiry")
        vote.add_argument("--comment", default="")
        signed(vote)
        if name == "vote":
            vote.add_argument("--level", type=int)


def add_seats(act: Callable[..., ArgumentParser]) -> None:
    again = act("reconfirm", approving.reconfirm, "say again what you said in the round before, where nothing you watch has moved")
    again.add_argument("--seat", type=int, metavar="ID", help="which vote, where there are several")
    again.add_argument("--digest", help=DIGEST)
    signed(again)
    for name, taking, words in (
        ("claim", approving.claim_vote, "take a vote that is asked of your group for yourself"),
        ("release", approving.release_vote, "give a claimed vote back to its group"),
    ):
        act(name, taking, words).add_argument("--seat", type=int, metavar="ID", help="which vote, where there are several")
    other = act("reassign", approving.reassign_vote, "ask somebody else for a vote")
    other.add_argument("--seat", type=int, metavar="ID", required=True)
    other.add_argument("--to", metavar="USER", required=True)
    other.add_argument("--reason", default="")
    back = act("withdraw", approving.withdraw, "take your vote back, until the work starts")
    back.add_argument("--seat", type=int, metavar="ID", help="which vote, where you gave several")
    back.add_argument("--reason", default="")


def add_conditions(act: Callable[..., ArgumentParser]) -> None:
    evidence = act("evidence", approving.evidence, "show that a condition is met")
    evidence.add_argument("id", type=int)
    given = evidence.add_mutually_exclusive_group(required=True)
    given.add_argument("--text")
    given.add_argument("--url")
    given.add_argument("--file", type=Path)
    accept = act("accept", approving.accept, "the evidence of a condition is good")
    accept.add_argument("id", type=int)
    accept.add_argument("--comment", default="")


def add_deciding(act: Callable[..., ArgumentParser]) -> None:
    override = act("override", overriding.override, "ask for a level to be decided in spite of its votes, or confirm or withdraw that")
    override.add_argument("--level", help="its name, number or id")
    override.add_argument("--decision", choices=["approve", "reject"])
    override.add_argument("--reason", default="")
    second = override.add_mutually_exclusive_group()
    second.add_argument("--confirm", type=int, metavar="ID", help="as the second person")
    second.add_argument("--withdraw", type=int, metavar="ID", help="as who asked")
    act("queue", queueing.queue, "what waits for your vote, in the order in which it is best done", number=False, writes=False)
    several = act("bulk-vote", queueing.vote_on_several, "the same vote on several changes of one template", number=False)
    several.add_argument("votes", nargs="+", metavar="ID=DIGEST", help="as `queue` prints them")
    several.add_argument("--vote", choices=["approve", "reject", "abstain"], required=True)
    several.add_argument("--comment", default="")
    signed(several)


def add_guests(act: Callable[..., ArgumentParser]) -> None:
    asked = act("guests", inviting.guests, "who was asked without an account; ask somebody, or take it back")
    ways = asked.add_mutually_exclusive_group()
    ways.add_argument("--invite", metavar="NAME", help="their name; --seat, --email and --code-to belong to it")
    ways.add_argument("--revoke", type=int, metavar="ID", help="take an invitation back")
    asked.add_argument("--seat", type=int, metavar="ID", help="the vote they are asked for")
    asked.add_argument("--email", default="", help="where the link goes")
    asked.add_argument("--code-to", default="", metavar="CHANNEL", help="where the code goes: a phone number, or another mail address")


def signed(vote: ArgumentParser) -> None:
    """What signs a vote where its level demands it; the password is never an argument."""
    vote.add_argument("--password-stdin", action="store_true", help="where the level demands a signature: the password comes on standard input")
    vote.add_argument("--code", help="the code of your app, where you have a second factor; on a terminal it is asked for")


def add_doing(act: Callable[..., ArgumentParser]) -> None:
    schedule = act("schedule", doing.schedule, "give it its window")
    schedule.add_argument("--start", required=True)
    schedule.add_argument("--end", required=True)
    schedule.add_argument("--comment", default="")
    execute = act("execute", doing.execute, "start it")
    execute.add_argument("--executor", metavar="USER", help="refuse unless this is who acts")
    execute.add_argument("--monitor-progress", action="store_true", help="follow it until it ends")
    execute.add_argument("--interval", type=float, default=1.0, help="seconds between two looks")
    execute.add_argument("--comment", default="")
    step = act("step", doing.step, "say that a step is done or failed")
    step.add_argument("step", metavar="STEP")
    outcome = step.add_mutually_exclusive_group(required=True)
    for name in ("done", "fail", "retry"):
        outcome.add_argument(f"--{name}", action="store_true")
    step.add_argument("--note", "--reason", dest="note", default="", help="a note, or the reason of a failure")
    step.add_argument("--kind", choices=Task.Kind.values, help="which task of the step, where it has several")
    review = act("review", doing.review, "answer the success criteria; close with a summary or a result")
    review.add_argument("--verify-success-criteria", nargs="*", metavar="INDEX=yes|no", help="without values they are listed")
    review.add_argument("--verify-checklist", nargs="*", metavar="INDEX=yes|no")
    review.add_argument("--summary")
    review.add_argument("--lessons")
    review.add_argument("--issues")
    review.add_argument("--result")
