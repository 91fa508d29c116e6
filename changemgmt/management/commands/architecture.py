"""`manage.py architecture import|cancel|export|diff|impact|confirm|refute|rules|drift`: the architecture on the command line."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import people_with_role
from changemgmt.architecture.exports import EXPORTS, LIVE
from changemgmt.architecture.impact import checked, impact_of_question, in_words, trusted
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.imports import READERS
from changemgmt.architecture.losses import in_words as losses_in_words
from changemgmt.architecture.losses import left_out
from changemgmt.architecture.models import ImportRun
from changemgmt.architecture.past import images_between, revision_of, source_at
from changemgmt.architecture.queries import current_revision
from changemgmt.audit.context import acting
from changemgmt.conditions.rules import describe
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.configure_policy import shown
from changemgmt.lifecycle.import_architecture import cancel_import, import_architecture, is_controlled, read_mapping
from changemgmt.lifecycle.judge_relation import confirm_relation, refute_relation
from changemgmt.management.drift import ACTS as DRIFT_ACTS
from changemgmt.management.drift import WORDS as DRIFT_WORDS
from changemgmt.management.drift import add_drift
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.diff_files import markdown, told
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.policies import as_policy
from changemgmt.preview.policy_fields import KNOWN
from changemgmt.preview.scan import Breaches, breaches

SHOWN = 20


class Command(BaseCommand):
    help = "Imports and exports the architecture, compares it with how it was, says what a change would reach and what breaks the policy rules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        importing = verbs.add_parser("import", help="bring in a file or folder of another tool")
        importing.add_argument("path", type=Path, help="file, zip or folder; .gz and .xz are read")
        importing.add_argument("--format", choices=READERS, required=True)
        importing.add_argument("--source", help="name of the source (default: the name of the file)")
        importing.add_argument("--namespace", default="", help="prefix of keys that have none")
        importing.add_argument("--mapping", type=Path, help="YAML file: our field and its column (default: the shipped one of the source)")
        importing.add_argument("--preview", action="store_true", help="only say what would be done")
        importing.add_argument("--no-create-types", action="store_true", help="leave out what has an unknown type")
        importing.add_argument("--user", help="who imports (default: the first administrator)")
        importing.add_argument("--json", action="store_true", help="print the report as JSON")
        cancelling = verbs.add_parser("cancel", help="stop an import that runs: nothing of it is imported")
        cancelling.add_argument("run", type=int, help="its id, as the page or the API shows it")
        cancelling.add_argument("--user", help="who cancels it (default: the first administrator)")
        exporting = verbs.add_parser("export", help="write the whole architecture")
        exporting.add_argument("--as", dest="form", choices=EXPORTS, default="json")
        exporting.add_argument("--output", type=Path, help="file to write (default: standard output)")
        exporting.add_argument("--at", metavar="WHEN", help="as it was at a revision, on a day, or at a moment")
        difference = verbs.add_parser("diff", help="what moved from one revision, day or moment to another")
        difference.add_argument("first", metavar="FROM")
        difference.add_argument("last", metavar="TO", nargs="?", help="(now)")
        difference.add_argument("--json", action="store_true")
        impact = verbs.add_parser("impact", help="what a change of these components would reach")
        impact.add_argument("keys", nargs="+")
        impact.add_argument("--operation", choices=["create", "update", "delete"], default="update")
        impact.add_argument("--max-depth", type=int)
        impact.add_argument("--min-score", type=float)
        impact.add_argument("--layer", dest="layers", action="append", metavar="NAME", help="enter only this layer; may be given several times")
        impact.add_argument(
            "--relation-type", dest="types", action="append", metavar="NAME", help="follow only this type; may be given several times"
        )
        impact.add_argument("--json", action="store_true")
        rules = verbs.add_parser("rules", help="the policy rules, or what breaks one of them now")
        acts = rules.add_subparsers(dest="act", required=True)
        acts.add_parser("list", help="all of them").add_argument("--json", action="store_true")
        checking = acts.add_parser("check", help="what in the live architecture breaks this rule; exit code 1 where anything does")
        checking.add_argument("rule", help="name or number of the rule")
        checking.add_argument("--page", type=positive, default=1, help="of 50")
        checking.add_argument("--json", action="store_true")
        for name, what in (("confirm", "say that a relation is so"), ("refute", "say that a relation is not so")):
            judging = verbs.add_parser(name, help=what)
            judging.add_argument("key", help="key of the relation")
            judging.add_argument("--user", help="who says it (default: the first administrator)")
            if name == "refute":
                judging.add_argument("--reason", required=True, help="why it is not so")
        add_drift(verbs.add_parser("drift", help="what controlled sources show and nobody requested"))

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            with acting(channel="cli"):
                getattr(self, f"do_{verb}")(**options)
        except DomainError as error:
            raise CommandError(error.detail, returncode=2) from None

    def do_import(self, *, path: Path, format: str, source: str | None, namespace: str, mapping: Path | None, preview: bool, **options: Any) -> None:
        with tqdm(disable=None, file=self.stderr._out, unit=" records") as bar:
            run = import_architecture(
                of_path(path),
                actor=importer(options["user"]),
                now=utc_now(),
                format=format,
                source=source or path.stem,
                mode="preview" if preview else "apply",
                mapping=read_mapping(mapping) if mapping else None,
                namespace=namespace,
                create_types=not options["no_create_types"],
                file_name=path.name,
                progress=lambda phase, done, total: show(bar, phase, done, total),
            )
        self.stdout.write(json.dumps(as_json(run), indent=2) if options["json"] else as_text(run))

    def do_cancel(self, *, run: int, user: str | None, **options: Any) -> None:
        at_once = cancel_import(run, actor=importer(user), now=utc_now())
        self.stdout.write("Cancelled." if at_once else "It stops at the next step.")

    def do_export(self, *, form: str, output: Path | None, at: str | None, **options: Any) -> None:
        source = source_at(revision_of(at, "at")) if at else LIVE
        content = EXPORTS[form].write(source)
        for line in losses_in_words(left_out(form, source.components(), source.relations())):
            self.stderr.write(f"Left out by {form}: {line}")
        if output:
            output.write_bytes(content)
        else:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

    def do_diff(self, *, first: str, last: str | None, **options: Any) -> None:
        one, two = revision_of(first, "from"), revision_of(last, "to") if last else current_revision()
        found = diff_of_images(images_between(one, two))
        title = f"The architecture from revision {one} to {two}"
        self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) if options["json"] else markdown(told(title, found)))

    def do_impact(self, *, keys: list[str], operation: str, **options: Any) -> None:
        bounds = {name: options[name] for name in ("max_depth", "min_score", "layers", "types") if options[name] is not None}
        impact = impact_of_question(checked({"components": keys, "operation": operation, **bounds}), now=utc_now())
        if options["json"]:
            self.stdout.write(json.dumps(impact, indent=2))
            return
        sure = trusted(impact["affected"])
        self.stdout.write(f"{len(sure)} components are reached, {impact['users']} users.")
        for number, row in enumerate(impact["affected"]):
            if number == len(sure):
                self.stdout.write(f"Not sure, over relations that nobody confirmed lately: {impact['untrusted']} more.")
            self.stdout.write(f"{row['score']:.2f}  {row['distance']}  {row['effect']:8}  {row['layer']:12}  {row['key']}  {in_words(row['path'])}")

    def do_confirm(self, *, key: str, user: str | None, **options: Any) -> None:
        row = confirm_relation(key, actor=importer(user), now=utc_now())
        self.stdout.write(f"{row.key}: confirmed, revision {row.revision}.")

    def do_refute(self, *, key: str, user: str | None, reason: str, **options: Any) -> None:
        row = refute_relation(key, actor=importer(user), now=utc_now(), reason=reason)
        self.stdout.write(f"{row.key}: refuted, revision {row.revision}.")

    def do_rules(self, *, act: str, **options: Any) -> None:
        if act == "list":
            rows = [{"id": row.pk, **shown(row)} for row in PolicyRule.objects.all()]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) if options["json"] else "\n".join(map(rule_line, rows)))
            return
        row = rule_named(options["rule"])
        found = breaches(as_policy(row), page=options["page"])
        self.stdout.write(
            json.dumps(asdict(found) | {"pages": found.pages}, indent=2, ensure_ascii=False) if options["json"] else breaches_text(found)
        )
        if found.count:
            raise CommandError(f"“{row.name}” is broken by {found.count} of {found.looked_at}.", returncode=1)

    def do_drift(self, *, act: str, **options: Any) -> None:
        actor = importer(options["user"])
        answer = DRIFT_ACTS[act](actor, **options)
        self.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False, default=str) if options["json"] else DRIFT_WORDS[act](answer))


def positive(text: str) -> int:
    """A number of a page, from 1."""
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text)):
        raise ArgumentTypeError("a whole number from 1")
    return int(text)


def rule_named(text: str) -> PolicyRule:
    """The policy rule of this name, or of this number."""
    found = PolicyRule.objects.filter(name=text).first()
    if found is None and text.isascii() and text.isdigit() and len(text) < 18:
        found = PolicyRule.objects.filter(pk=int(text)).first()
    if found is None:
        raise CommandError(f"There is no policy rule {text[:100]!r}; “architecture rules list” shows those there are.", returncode=2)
    return found


def rule_line(row: dict[str, Any]) -> str:
    known = KNOWN[row["about"]].get
    must = f"must be: {describe(row['must'], known)}" if row["must"] else "may not be at all"
    kind = "blocks" if row["blocks"] else row["severity"]
    return f"{row['id']:4}  {'on ' if row['active'] else 'off'}  {kind:7}  {row['name']}: {row['about']}s, {describe(row['applies_when'], known)} → {must}"


def breaches_text(found: Breaches) -> str:
    if found.about_the_change:
        return "Only a change can break this rule: it asks for the operation or the effect."
    lines = [f"{row['key']}  {row['name']}  {row['message']}" for row in found.rows]
    return "\n".join([*lines, f"{found.count} of {found.looked_at}; page {found.page} of {found.pages}."])


def importer(username: str | None) -> User:
    """Who imports: the named user, or the first administrator."""
    found = User.objects.filter(username=username).first() if username else people_with_role("administrator").order_by("pk").first()
    if found is None:
        raise CommandError(
            f"There is no user {username!r}." if username else "There is no administrator yet; name somebody with --user.", returncode=2
        )
    return found


def show(bar: Any, phase: str, done: int, total: int) -> None:
    """Move the progress bar; a new phase begins anew. Off a terminal there is no bar."""
    if bar.disable:
        return
    if bar.desc != f"{phase}: ":
        bar.reset(total or None)
        bar.set_description(phase)
    bar.update(done - bar.n)


def as_json(run: ImportRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "state": run.state,
        "mode": run.mode,
        "source": run.source,
        "components": run.components,
        "relations": run.relations,
        "skipped": run.skipped,
        "skipped_total": run.skipped_total,
        "new_types": run.options.get("new_types", []),
        "revision": run.revision,
        "drift_case": run.drift_case,
    }


def headline(run: ImportRun) -> str:
    """What became of it; an import of a controlled source is compared and not written."""
    if run.mode == "preview":
        return "These differences would go into a drift case; nothing would be written:" if is_controlled(run.source) else "This would be done:"
    if run.revision is not None:
        return f"Done, revision {run.revision}:"
    case = f"drift case {run.drift_case} shows what nobody requested" if run.drift_case else "nothing differs that nobody requested"
    return f"Nothing was written, the source is controlled: {case}."


def as_text(run: ImportRun) -> str:
    """The report for a reader, with the first places that were left out."""
    lines = [headline(run)]
    for name, counts in (("components", run.components), ("relations", run.relations)):
        lines.append(f"  {name}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
    lines += [f"  new: {made}" for made in run.options.get("new_types", [])]
    lines += [f"  left out: {entry['where']}: {entry['reason']}" for entry in run.skipped[:SHOWN]]
    if run.skipped_total > SHOWN:
        lines.append(f"  … and {run.skipped_total - SHOWN} more (see --json)")
    return "\n".join(lines)
