"""`manage.py chains`: approval chains as JSON files."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals.chain_check import check
from changemgmt.approvals.chains import chain_shape, draft_of
from changemgmt.approvals.dry_run import dry_run, facts_from
from changemgmt.approvals.models import Chain
from changemgmt.approvals.prover import prove_all, prove_stored, shapes
from changemgmt.approvals.replay import LISTED, draft_to_replay, period_of, replay
from changemgmt.audit.context import acting
from changemgmt.changes.facts import facts_of
from changemgmt.changes.models import Change
from changemgmt.core.errors import DomainError, Invalid
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.configure_chain import save_chain

OWN = ("id", "version", "pending", "digest")


class Command(BaseCommand):
    help = "Exports, checks, imports or tries out approval chains, in the JSON of the API. An import is a draft until another administrator activates it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        export = acts.add_parser("export", help="all chains, or those named, as a JSON array")
        export.add_argument("names", nargs="*", metavar="NAME")
        export.add_argument("--file", type=Path, help="where to; standard output unless given")
        for name, words in (
            ("check", "what the prover finds in the chains of a file, or in those stored; ends with 1 when there is an error"),
            ("import", "write the chains of a file, found by name"),
        ):
            act = acts.add_parser(name, help=words)
            optional: dict[str, Any] = {"nargs": "?"} if name == "check" else {}
            act.add_argument("file", type=Path, help="a chain or an array of chains; - is standard input", **optional)
            act.add_argument("--json", action="store_true", help="print the answer as JSON")
            if name == "import":
                act.add_argument("--as", dest="username", required=True, metavar="USER", help="the administrator who writes them")
        dry = acts.add_parser("dry-run", help="which chain a change takes, which levels open, who is asked, and why")
        dry.add_argument("change", nargs="?", metavar="CHG", help="the number of a change")
        dry.add_argument(
            "--set", dest="attributes", action="append", default=[], metavar="NAME=VALUE", help="instead: an attribute; VALUE is JSON or text"
        )
        dry.add_argument("--draft", metavar="NAME", help="a chain to take as it is saved, in the place of what is in force of it")
        dry.add_argument("--json", action="store_true", help="print the answer as JSON")
        past = acts.add_parser("replay", help="what a chain, as saved or as in a file, would have meant for the changes of past months")
        past.add_argument("chain", metavar="NAME", nargs="?", help="the name of a chain; with --file not needed")
        past.add_argument("--file", type=Path, help="a file with one chain; - is standard input")
        past.add_argument("--from", dest="first", required=True, metavar="DATE", help="the first day, such as 2026-08-01")
        past.add_argument("--to", dest="last", required=True, metavar="DATE", help="the last day")
        past.add_argument("--limit", type=int, default=LISTED, help="how many of the changes that move to list")
        past.add_argument("--as", dest="username", metavar="USER", help="name the confidential changes this person may see, too")
        past.add_argument("--json", action="store_true", help="print the answer as JSON")

    def handle(self, *, act: str, **options: Any) -> None:
        acts: dict[str, Callable[..., None]] = {"export": self.export, "check": self.check_file, "import": self.import_file, "dry-run": self.try_out}
        acts["replay"] = self.replay_past
        with acting(channel="cli"):
            acts[act](**options)

    def export(self, *, names: list[str], file: Path | None, **options: Any) -> None:
        chains = Chain.objects.filter(name__in=names) if names else Chain.objects.all()
        missing = set(names) - set(chains.values_list("name", flat=True))
        if missing:
            raise CommandError(f"There is no chain {', '.join(sorted(missing))}.")
        text = json.dumps([exported(chain) for chain in chains], indent=2, ensure_ascii=False)
        if file is None:
            self.stdout.write(text)
        else:
            file.write_text(f"{text}\n", encoding="utf-8")

    def check_file(self, *, file: Path | None, json: bool, **options: Any) -> None:
        findings = findings_of(read(file) if file else [{**draft_of(chain), "id": chain.pk} for chain in Chain.objects.all()])
        self.told(findings, json)
        if errors(findings):
            sys.exit(1)

    def told(self, findings: list[dict[str, str]], as_json: bool) -> None:
        """Print the findings."""
        if as_json:
            self.stdout.write(json.dumps(findings, indent=2))
        else:
            for found in findings:
                self.stdout.write(in_line(found))
            if not findings:
                self.stdout.write("No mistakes.")

    def import_file(self, *, file: Path, username: str, json: bool, **options: Any) -> None:
        actor = User.objects.filter(username=username).first()
        if actor is None:
            raise CommandError(f"There is nobody with the username {username}.")
        chains = read(file)
        if any(check(data) for data in chains):
            self.told(findings_of(chains), json)
            raise CommandError("Nothing was imported.")
        try:
            self.write_all(chains, actor, json)
        except DomainError as error:
            raise CommandError(f"Nothing was imported: {error.detail}") from None

    def try_out(self, *, change: str | None, attributes: list[str], draft: str | None, json: bool, **options: Any) -> None:
        if bool(change) == bool(attributes):
            raise CommandError("Give either the number of a change or attributes with --set.", returncode=2)
        row = Change.objects.filter(number=change).first() if change else None
        if change and row is None:
            raise CommandError(f"There is no change {change}.")
        chain = Chain.objects.filter(name=draft).first() if draft else None
        if draft and chain is None:
            raise CommandError(f"There is no chain {draft}.")
        try:
            facts = facts_of(row) if row else facts_from(dict(attribute(text) for text in attributes))
        except Invalid as error:
            raise CommandError("\n".join(f"{name}: {' '.join(words)}" for name, words in error.errors.items()), returncode=2) from None
        found = dry_run(facts, now=utc_now(), change=row, draft=chain)
        self.stdout.write(as_json(found) if json else in_words(found))

    def replay_past(self, *, chain: str | None, file: Path | None, first: str, last: str, limit: int, username: str | None, **options: Any) -> None:
        if bool(chain) == bool(file):
            raise CommandError("Give either the name of a chain or --file.", returncode=2)
        viewer = User.objects.filter(username=username).first() if username else None
        if username and viewer is None:
            raise CommandError(f"There is nobody with the username {username}.")
        sent = read(file) if file else [None]
        stored = Chain.objects.filter(name=chain).first() if chain else None
        if (chain and stored is None) or len(sent) != 1:
            raise CommandError(f"There is no chain {chain}." if chain else "Give a file with one chain.", returncode=2)
        try:
            draft, period = draft_to_replay(stored, sent[0]), period_of(first, last)
            found = replay(draft, period, now=utc_now(), viewer=viewer, limit=max(limit, 0))
        except Invalid as error:
            raise CommandError("\n".join(f"{name}: {' '.join(words)}" for name, words in error.errors.items()), returncode=2) from None
        self.stdout.write(as_json(found) if options["json"] else replay_in_words(found))

    def write_all(self, chains: list[Any], actor: User, as_json: bool) -> None:
        with transaction.atomic():
            ids = dict(Chain.objects.values_list("name", "pk"))
            saved = [save_chain(ids.get(data["name"]), data, actor=actor, now=utc_now()) for data in chains]
        written = [{**chain_shape(chain), "findings": shapes(prove_stored(chain, now=utc_now()))} for chain in saved]
        if as_json:
            self.stdout.write(json.dumps(written, indent=2))
            return
        for shape in written:
            waits = "waits for another administrator to activate it" if shape["pending"] else "is in force as it is"
            self.stdout.write(f"{shape['name']}: {waits}.")
            for found in shape["findings"]:
                self.stdout.write(in_line({"chain": shape["name"], **found}))


def attribute(text: str) -> tuple[str, Any]:
    """`name=value` as the name and its value: JSON where it is some, else the text itself."""
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandError(f"{text!r} is no NAME=VALUE.", returncode=2)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def as_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


def in_words(found: dict[str, Any]) -> str:
    """A dry run for people."""
    marks = {True: "used", False: "not used"}
    lines = [f"{chain['name']} v{chain['version']}: {marks[chain['used']]}. {why(chain)}" for chain in found["chains"]]
    for level in found["levels"]:
        lines.append(f"  {level['number']} {level['name']}: {'opens' if level['opens'] else 'skipped'}. {why(level)}")
        lines += [f"      {seat['label']} ({seat['power']}): {', '.join(seat['people']) or 'nobody'}; {seat['why']}" for seat in level["seats"]]
    return "\n".join([*lines, *(["No chain applies: the change would be blocked."] if found["blocked"] else [])])


def replay_in_words(found: dict[str, Any]) -> str:
    """A replay for people: totals, the table, the changes that move."""
    votes, hours = found["totals"]["votes"], found["totals"]["hours"]
    lines = [
        f"{found['changes']} changes from {found['from']} to {found['to']}; {found['moved']} would take another way with {found['chain']}.",
        f"Votes asked: {votes['before']} → {votes['after']} ({votes['more']:+}). Hours given: {hours['before']} → {hours['after']} ({hours['more']:+}).",
        *found["notes"],
        *filter(None, [found["unknown"]["words"]]),
    ]
    for move in found["moves"]:
        way = f"{move['before']['words']}  ⇒  {move['after']['words']}" if move["moved"] else f"{move['before']['words']}  (the same)"
        became = ", ".join(f"{outcome} {number}" for outcome, number in move["outcomes"].items())
        lines.append(f"{move['changes']:>6}  {way}; votes {move['more_votes']:+}, hours {move['more_hours']:+}; {became}")
    lines += [f"  {row['change']}  {row['before']}  ⇒  {row['after']}; {row['outcome']}; {row['title']}" for row in found["list"]]
    return "\n".join([*lines, *([f"{found['not_shown']} more are confidential and not named."] if found["not_shown"] else [])])


def why(thing: dict[str, Any]) -> str:
    return "; ".join(f"{row['text']} {'✓' if row['holds'] else '✗'}" for row in thing["why"])


def exported(chain: Chain) -> dict[str, Any]:
    """A chain as configured, with what belongs to this installation left out."""
    shape = chain_shape(chain) | {"active": chain.active}
    return {name: value for name, value in shape.items() if name not in OWN}


def read(file: Path) -> list[Any]:
    """The chains of a JSON file, or CommandError with the place of what is wrong."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} is not JSON: {error}.") from None
    return data if isinstance(data, list) else [data]


def findings_of(chains: list[Any]) -> list[dict[str, str]]:
    """What the prover finds in every chain, with the chain's name or place."""
    return [{"chain": name, **finding._asdict()} for name, finding in prove_all(chains, now=utc_now())]


def errors(findings: list[dict[str, str]]) -> bool:
    return any(found["severity"] == "error" for found in findings)


def in_line(found: dict[str, str]) -> str:
    return f"{found['chain']}: {found['path'] or 'chain'}: {found['severity']}: {found['message']}"
