"""An import planned against the live architecture: what it would add, update, remove and leave, per source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from changemgmt.computations.queries import Progress as Told
from changemgmt.computations.queries import progress_of
from changemgmt.core.errors import Invalid
from changemgmt.core.rows import insert
from changemgmt.core.time import rfc3339

from .actions import Applied, confirm_claimed, lock, write
from .catalogue import FALLBACK_LAYER, Catalogue
from .fields import data_errors, json_problem, key_problem, references_problem, schema_errors
from .importers import archimate, backstage, compose, csv, cyclonedx, json, terraform
from .importers.records import File, FoundComponent, FoundRelation, Options, Reader, Record, Skipped
from .models import Claim, ImportRun, Source
from .places import REFERENCES, replaced
from .queries import cascade, exists, images, portions
from .rules import COMPONENT, CREATE, OBJECTS, RELATION, RELATION_END, Image, Operation, created, patched, relation_key
from .trust import said_now, said_of

READERS: Mapping[str, Reader] = {
    "archimate": archimate.read,
    "archi": archimate.read,
    "backstage": backstage.read,
    "terraform_state": terraform.read,
    "compose": compose.read,
    "cyclonedx": cyclonedx.read,
    "csv": csv.read,
    "json": json.read,
}
PREFIXES = {"Business": "business", "Application": "application", "Data": "data", "Technology": "technology", "Infrastructure": "technology"}
MOST_SKIPPED = 10_000
Progress = Callable[[str, int, int], None]
"""Told a phase, how much of it is done, and of how much (0 where nobody knows). It may raise, which ends the import."""
PHASES = {"reading": (0.0, 0.3), "comparing components": (0.3, 0.2), "comparing relations": (0.5, 0.2), "writing": (0.7, 0.3)}
"""Where each phase begins within the whole, and its share."""


def quiet(phase: str, done: int, total: int) -> None:
    """Tell nobody."""


def computation_of(run: int) -> str:
    """The name under which an import is done."""
    return f"import:{run}"


def running(run: ImportRun) -> Told | None:
    """How far an import is that somebody does, or that waits for a worker; None when it has ended."""
    return (progress_of(computation_of(run.pk)) or Told()) if run.state == ImportRun.State.RUNNING else None


@dataclass
class Plan:
    """What an import would do. `steps` are the writes; `claims` everything the source speaks of."""

    source: str
    steps: list[Image] = field(default_factory=list)
    claims: set[tuple[str, str]] = field(default_factory=set)
    dropped: set[tuple[str, str]] = field(default_factory=set)
    unchanged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OBJECTS, 0))
    skipped: list[Skipped] = field(default_factory=list)
    new_types: list[str] = field(default_factory=list)
    dated: set[str] = field(default_factory=set)  # relations of which the file says when they were confirmed

    def counts(self, object: str) -> dict[str, int]:
        """Adds, updates, removes and unchanged of components or relations."""
        operations = [step.operation for step in self.steps if step.object == object]
        names = {"adds": "create", "updates": "update", "removes": "delete"}
        return {ours: operations.count(theirs) for ours, theirs in names.items()} | {"unchanged": self.unchanged[object]}

    def report(self) -> list[dict[str, str]]:
        """What was left out, with its place and reason."""
        return [{"where": one.where, "reason": one.reason} for one in self.skipped[:MOST_SKIPPED]]


def read_records(format: str, files: Sequence[File], options: Options) -> list[Record]:
    """Everything the files hold, in the words of their format. Raises Invalid with the place where a file is malformed."""
    reader = READERS.get(format)
    if reader is None:
        raise Invalid.field("format", f"Give one of {', '.join(READERS)}.")
    if not files:
        raise Invalid.field("file", "There is no file in it.")
    records = list(reader(files, options))
    _refuse_another_format(records, format)
    return records


def consumed(records: list[Record]) -> Iterator[Record]:
    """The records in their order, each forgotten by the list as it is taken: a plan of half a million need not be held twice."""
    records.reverse()
    while records:
        yield records.pop()


def _refuse_another_format(records: Sequence[Record], format: str) -> None:
    """Where nothing at all could be read, the file is of another format: taking it for an empty one would remove everything."""
    first = next(iter(records), None)
    if isinstance(first, Skipped) and all(isinstance(one, Skipped) and not one.key for one in records):
        raise Invalid.field("file", f"Nothing in it can be read as {format}. {first.where}: {first.reason}")


def plan_import(
    records: Iterable[Record],
    *,
    source: str,
    now: datetime,
    namespace: str = "",
    create_types: bool = True,
    progress: Progress = quiet,
) -> Plan:
    """Compare what a source says with what is live. Reads only."""
    planning = _Planning(source, namespace, create_types, progress, now)
    planning.sort(records)
    planning.components()
    planning.relations()
    planning.removals()
    return planning.plan


def apply_plan(plan: Plan, *, actor: str, now: datetime, create_types: bool = True, progress: Progress = quiet) -> Applied:
    """Write a plan in the caller's transaction, whole or not at all, and remember what the source claims and confirms by it."""
    total = max(len(plan.steps), 1)
    source, _ = Source.objects.get_or_create(name=plan.source)
    dated = [step for step in plan.steps if step.object == RELATION and step.key in plan.dated]
    others = [step for step in plan.steps if step.object != RELATION or step.key not in plan.dated]
    applied = write(
        [*said_now(others, rfc3339(now) or ""), *dated] if source.confirms else plan.steps,
        actor=actor,
        now=now,
        reason=f"import of {plan.source}",
        create_types=create_types,
        progress=lambda done: progress("writing", done, total),
    )
    _claim(source, plan.claims, plan.dropped)
    return replace(applied, revision=confirm_claimed(source, actor=actor, now=now, dated=plan.dated)) if source.confirms else applied


def claim_what_is_there(plan: Plan) -> None:
    """Remember what the source speaks of without writing the plan: what is live is claimed, and what is gone is so no more.

    What the plan would remove stays claimed, so that it is found missing the next time as well.
    """
    missing = {(step.object, step.key) for step in plan.steps if step.before is None}
    removed = {(step.object, step.key) for step in plan.steps if step.after is None}
    _claim(Source.objects.get(name=plan.source), plan.claims - missing, plan.dropped - removed)


def _claim(source: Source, claimed: set[tuple[str, str]], dropped: set[tuple[str, str]]) -> None:
    known = set(source.claims.values_list("object", "key"))
    new = sorted(claimed - known)
    insert(Claim, ["source_id", "object", "key"], ((source.pk, object, key) for object, key in new))
    for object in OBJECTS:
        for portion in portions(sorted(key for kind, key in dropped if kind == object)):
            source.claims.filter(object=object, key__in=portion).delete()


class _Planning:
    """One plan in the making."""

    def __init__(self, source: str, namespace: str, create_types: bool, progress: Progress, now: datetime) -> None:
        lock()
        self.plan = Plan(source)
        self.now = now
        self.confirms = not Source.objects.filter(name=source, confirms=False).exists()
        self.namespace, self.create_types, self.progress = namespace, create_types, progress
        self.catalogue = Catalogue.load()
        self.found: dict[str, dict[str, Any]] = {COMPONENT: {}, RELATION: {}}
        self.mentioned: set[tuple[str, str]] = set()
        self.own_keys: dict[str, str] = {}

    def skip(self, where: str, reason: str) -> None:
        self.plan.skipped.append(Skipped(where, reason))

    def key(self, text: str) -> str:
        """The key with the namespace in front where it has none of its own."""
        return f"{self.namespace}/{text}" if self.namespace and "/" not in text else text

    def sort(self, records: Iterable[Record]) -> None:
        """Tell components from relations and drop what is said twice."""
        relations: list[FoundRelation] = []
        for record in records:
            match record:
                case Skipped():
                    self.plan.skipped.append(record)
                    if record.key:
                        self.mentioned |= {(object, self.key(record.key)) for object in OBJECTS}
                case FoundComponent():
                    self._take(COMPONENT, self.key(record.key), record)
                case FoundRelation():
                    relations.append(record)
        self.own_keys = {record.key: self.key(record.key) for record in relations if record.key}
        parallel: dict[tuple[str, str, str], int] = {}
        for relation in relations:
            self._take(RELATION, self._relation_key(relation, parallel), relation)

    def _relation_key(self, record: FoundRelation, parallel: dict[tuple[str, str, str], int]) -> str:
        if record.key:
            return self.key(record.key)
        triple = (self.end(record.source), record.type, self.end(record.target))
        parallel[triple] = parallel.get(triple, 0) + 1
        return relation_key(*triple, parallel[triple])

    def end(self, text: str) -> str:
        """The end of a relation as we write it: what the file knows as a relation becomes `relation:<key>`."""
        if text.startswith(RELATION_END):
            return RELATION_END + self.key(text.removeprefix(RELATION_END))
        key = self.key(text)
        if text in self.own_keys and key not in self.found[COMPONENT]:
            return RELATION_END + self.own_keys[text]
        return key

    def _take(self, object: str, key: str, record: FoundComponent | FoundRelation) -> None:
        self.mentioned.add((object, key))
        if problem := key_problem(object, key):
            self.skip(record.where, problem)
        elif key in self.found[object]:
            self.skip(record.where, f"The key {key!r} was there before, at {self.found[object][key].where}.")
        else:
            self.found[object][key] = record

    # Components.

    def components(self) -> None:
        found = self.found[COMPONENT]
        for count, portion in enumerate(portions(list(found), 2000)):
            live = images(COMPONENT, portion)
            for key in portion:
                self._component(key, found[key], live.get(key))
                if key in found:
                    found[key] = None  # that it is there is still asked; what it says is in the plan
            self.progress("comparing components", count * 2000 + len(portion), len(found))

    def _component(self, key: str, record: FoundComponent, live: dict[str, Any] | None) -> None:
        fields = self._known_fields(record, live)
        errors = self._errors(fields, live)
        after = None
        if not errors:
            after = patched(COMPONENT, live, fields) if live else created(Operation(CREATE, COMPONENT, key, data=fields))
            after = self.catalogue.completed(after)
            errors = schema_errors(after, self.catalogue)
        if errors:
            name, messages = next(iter(errors.items()))
            self.skip(record.where, f"{name.removeprefix('data.')}: {messages[0]}")
            del self.found[COMPONENT][key]
        else:
            self._step(COMPONENT, key, live, after)

    def _errors(self, fields: dict[str, Any], live: dict[str, Any] | None) -> dict[str, list[str]]:
        told = {name: value for name, value in fields.items() if name != REFERENCES}
        errors = data_errors(COMPONENT, told, creating=live is None, catalogue=self.catalogue, any_type=self.create_types)
        problem = references_problem(fields.get(REFERENCES, []))
        return errors | ({REFERENCES: [problem]} if problem else {})

    def _known_fields(self, record: FoundComponent, live: dict[str, Any] | None) -> dict[str, Any]:
        """What the file says, with a layer for types nobody made yet, and without org units nobody knows."""
        fields = dict(record.fields)
        if record.places is not None:
            fields[REFERENCES] = replaced(live[REFERENCES] if live else [], [dict(place) for place in record.places])
        unit = fields.get("org_unit")
        if unit and unit not in self.catalogue.org_units:
            self.skip(record.where, f"There is no org unit {str(unit)[:60]!r}: the component is taken without it.")
            del fields["org_unit"]
        kind = fields.get("type")
        if isinstance(kind, str) and "layer" not in fields and kind not in self.catalogue.types:
            fields["layer"] = next((layer for prefix, layer in PREFIXES.items() if kind.startswith(prefix)), FALLBACK_LAYER)
        return fields

    def _step(self, object: str, key: str, live: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        self.plan.claims.add((object, key))
        if live == after:
            self.plan.unchanged[object] += 1
            return
        step = Image(object, key, live, after)
        self.plan.steps.append(step)
        if self.create_types and after is not None:
            self._note_types(object, after)

    def _note_types(self, object: str, after: Mapping[str, Any]) -> None:
        wanted = [("relation", name) for name in (after["needs"] if object == COMPONENT else [after["type"]])]
        wanted += [("component", after["type"])] if object == COMPONENT else []
        for kind, name in wanted:
            known = self.catalogue.types if kind == COMPONENT else self.catalogue.relation_types
            what = f"{kind} type {name}"
            if name not in known and what not in self.plan.new_types:
                self.plan.new_types.append(what)

    # Relations.

    def relations(self) -> None:
        found = self.found[RELATION]
        self._drop_unfit()
        self._drop_without_ends()
        keys = list(found)
        for count, portion in enumerate(portions(keys, 2000)):
            live = images(RELATION, portion)
            for key in portion:
                self._relation(key, found[key], live.get(key))
                found[key] = None
            self.progress("comparing relations", count * 2000 + len(portion), len(keys))

    def _drop_unfit(self) -> None:
        """Leave out relations that can't be stored as the file gives them."""
        found = self.found[RELATION]
        for key, record in list(found.items()):
            if problem := self._relation_problem(record):
                self.skip(record.where, problem)
                del found[key]

    def _relation_problem(self, record: FoundRelation) -> str:
        if len(record.type) > 100:
            return "The type's name is too long."
        if not self.create_types and record.type not in self.catalogue.relation_types:
            return f"There is no relation type {record.type[:60]!r}."
        if problem := json_problem(dict(record.attributes)) or json_problem({"type": record.type, **(record.record or {})}):
            return problem
        try:
            said_of(record.record or {}, None, confirms=self.confirms, now=self.now)
        except Invalid as error:
            return error.detail
        return ""

    def _drop_without_ends(self) -> None:
        """Leave out relations that end on nothing; those on them then end on nothing too."""
        found = self.found[RELATION]
        wanted = {end for record in found.values() for end in (self.end(record.source), self.end(record.target))}
        there = set(self.found[COMPONENT]) | exists(COMPONENT, wanted - set(self.found[COMPONENT]))
        there |= {RELATION_END + key for key in exists(RELATION, [end.removeprefix(RELATION_END) for end in wanted if end.startswith(RELATION_END)])}
        lost: list[str] | None = None
        while lost is None or lost:
            ready = there | {RELATION_END + key for key in found}
            lost = [key for key, record in found.items() if not {self.end(record.source), self.end(record.target)} <= ready]
            for key in lost:
                record = found.pop(key)
                missing = [text for text in (record.source, record.target) if self.end(text) not in ready]
                self.skip(record.where, f"The {record.type} relation ends on {missing[0][:100]!r}, which is not there.")

    def _relation(self, key: str, record: FoundRelation, live: dict[str, Any] | None) -> None:
        said = {"source": self.end(record.source), "target": self.end(record.target), "type": record.type}
        base = live or created(Operation(CREATE, RELATION, key)) | {"source_system": self.plan.source}
        after = patched(RELATION, base | said, {"attributes": dict(record.attributes)})
        on_record = said_of(record.record or {}, live, confirms=self.confirms, now=self.now)
        if self.confirms and "confirmed_at" in (record.record or {}):
            self.plan.dated.add(key)
        self._step(RELATION, key, live, after | on_record)

    # What the source does not speak of any more.

    def removals(self) -> None:
        """Things go when this source claimed them, does not mention them now, and no other source claims them."""
        claimed = set(Claim.objects.filter(source__name=self.plan.source).values_list("object", "key"))
        vanished = claimed - self.plan.claims - self.mentioned
        self.plan.dropped = vanished | (claimed - self.plan.claims - vanished - self._still_live(claimed - self.plan.claims - vanished))
        others = set()
        for object in OBJECTS:
            for portion in portions(sorted(key for kind, key in vanished if kind == object)):
                others |= set(
                    Claim.objects.filter(object=object, key__in=portion).exclude(source__name=self.plan.source).values_list("object", "key")
                )
        self._remove(vanished - others)

    def _still_live(self, things: set[tuple[str, str]]) -> set[tuple[str, str]]:
        return {(object, key) for object in OBJECTS for key in exists(object, [key for kind, key in things if kind == object])}

    def _remove(self, going: set[tuple[str, str]]) -> None:
        """Remove things with the relations on them, except where somebody else claims such a relation: then its ends stay."""
        kept_ends: set[tuple[str, str]] = set()
        extra: dict[str, Any] = {}
        for object in OBJECTS:
            for key in sorted(key for kind, key in going if kind == object):
                attached = cascade([key], object=object)
                held = [name for name in attached if (RELATION, name) not in going and self._held(name)]
                if held:
                    self.skip(key, f"It is not removed: the relation {held[0]!r} still ends on it, and others claim that.")
                    kept_ends.add((object, key))
                else:
                    extra |= attached
        gone = {object: images(object, [key for kind, key in going - kept_ends if kind == object]) for object in OBJECTS}
        gone[RELATION] |= images(RELATION, [key for key in extra if (RELATION, key) not in self.plan.claims])
        steps = [Image(object, key, image, None) for object in OBJECTS for key, image in sorted(gone[object].items())]
        self.plan.steps += steps
        self.plan.dropped -= kept_ends

    def _held(self, relation: str) -> bool:
        """Whether a relation is spoken of by this import or claimed by another source."""
        if (RELATION, relation) in self.plan.claims:
            return True
        return Claim.objects.filter(object=RELATION, key=relation).exclude(source__name=self.plan.source).exists()
