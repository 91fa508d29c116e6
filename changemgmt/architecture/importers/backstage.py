"""Backstage catalogs: YAML files of one or several entities, all core kinds. `$text` and other placeholders are not followed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from changemgmt.core.errors import Invalid

from .files import ending_in, text_of
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .yaml import LARGEST, documents

# Field of `spec`: relation type, kind a bare name means, and whether the entity is the target.
RELATIONS = {
    "owner": ("ownedBy", "group", False),
    "system": ("partOf", "system", False),
    "domain": ("partOf", "domain", False),
    "subdomainOf": ("partOf", "domain", False),
    "subcomponentOf": ("partOf", "component", False),
    "dependsOn": ("dependsOn", "component", False),
    "dependencyOf": ("dependsOn", "component", True),
    "providesApis": ("providesApi", "api", False),
    "consumesApis": ("consumesApi", "api", False),
    "parent": ("childOf", "group", False),
    "children": ("childOf", "group", True),
    "memberOf": ("memberOf", "group", False),
    "members": ("memberOf", "user", True),
}
KINDS = ("component", "api", "resource", "system", "domain", "group", "user", "location")
LIFECYCLES = {"deprecated": "deprecated", "retired": "retired", "planned": "planned"}
NAME = re.compile(r"^[A-Za-z0-9_.\-]{1,200}$")
REFERENCE = re.compile(r"^(?:(?P<kind>[^:/]+):)?(?:(?P<namespace>[^:/]+)/)?(?P<name>[^:/]+)$")


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every entity of every document of every YAML file, and the relations its `spec` speaks of; each relation once."""
    seen: set[tuple[str, str, str]] = set()
    count = 0
    for file in ending_in(files, ".yaml", ".yml") or list(files):
        for line, document in documents(file.name, text_of(file, LARGEST)):
            if document is None:
                continue
            count += 1
            options.progress(count)
            yield from entity(document, f"{file.name}, line {line}", seen)
    if not count:
        raise Invalid.field("file", "It is empty: there is no catalog entity in it (line 1).")


def entity(document: Any, where: str, seen: set[tuple[str, str, str]]) -> Iterator[Record]:
    """The records of one document."""
    if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str) or "apiVersion" not in document:
        yield Skipped(where, "It is no catalog entity: an entity is an object with apiVersion, kind and metadata.")
        return
    metadata, spec = _object(document.get("metadata")), _object(document.get("spec"))
    kind, name, namespace = document["kind"].lower(), metadata.get("name"), metadata.get("namespace") or "default"
    if not isinstance(name, str) or not NAME.match(name) or not isinstance(namespace, str) or not NAME.match(namespace):
        yield Skipped(where, "Its metadata lacks a usable name.")
        return
    key = f"{kind}:{namespace}/{name}"
    if kind not in KINDS:
        yield Skipped(where, f"The kind {document['kind'][:60]!r} is not one of the catalog's core kinds.", key)
        return
    yield FoundComponent(key, _fields(kind, name, metadata, spec), where)
    yield from _relations(key, namespace, spec, where, seen)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _fields(kind: str, name: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    profile = _object(spec.get("profile"))
    title = next((text for text in (metadata.get("title"), profile.get("displayName"), name) if isinstance(text, str) and text), name)
    attributes = {part: metadata[part] for part in ("description", "labels", "annotations", "links") if metadata.get(part)}
    own = {field: value for field, value in spec.items() if field not in RELATIONS}
    tags = [str(tag) for tag in metadata.get("tags") or [] if str(tag)] if isinstance(metadata.get("tags") or [], list) else []
    fields: dict[str, Any] = {"name": title[:500], "type": kind, "attributes": attributes | ({"spec": own} if own else {}), "tags": tags}
    if isinstance(spec.get("owner"), str) and (owner := REFERENCE.match(spec["owner"].strip())):
        fields["owner"] = owner["name"]
    if "lifecycle" in spec:
        fields["status"] = LIFECYCLES.get(str(spec["lifecycle"]), "live")
    return fields


def _relations(key: str, namespace: str, spec: Mapping[str, Any], where: str, seen: set[tuple[str, str, str]]) -> Iterator[Record]:
    for field, (relation, kind, reverse) in RELATIONS.items():
        for text in _list(spec.get(field)):
            other = reference(text, kind, namespace)
            if other is None:
                yield Skipped(where, f"spec.{field} holds {str(text)[:100]!r}, which is no reference.", key)
                continue
            ends = (other, key) if reverse else (key, other)
            if (ends[0], relation, ends[1]) not in seen:
                seen.add((ends[0], relation, ends[1]))
                yield FoundRelation("", ends[0], ends[1], relation, {}, f"{where}, spec.{field}")


def _list(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def reference(text: Any, kind: str, namespace: str) -> str | None:
    """The key of `[kind:][namespace/]name`; None when it is none. A bare name lies in the namespace of the entity that speaks."""
    found = REFERENCE.match(text.strip()) if isinstance(text, str) else None
    if not found:
        return None
    return f"{(found['kind'] or kind).lower()}:{found['namespace'] or namespace}/{found['name']}"
