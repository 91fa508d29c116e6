"""Terraform states: what `terraform show -json` prints of one, and the `.tfstate` file itself (version 4).

Values are taken over only where the file says which of them are sensitive: a state file does not know what its provider holds
for secret, so of it only the names of the attributes are kept. Outputs are never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changemgmt.core.errors import Invalid

from . import jsontext
from .files import ending_in
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .secrets import HIDDEN, without_secrets

TYPE = "resource"
STATE_VERSION = 4
# A dependency on a resource is one on each of its instances; above this many, none is drawn.
MOST_INSTANCES = 200
INSTANCE = re.compile(r'\[(?:\d+|"(?:[^"\\]|\\.)*")\]')
PROVIDER = re.compile(r'provider\["([^"]+)"\]')


@dataclass(frozen=True, slots=True)
class Resource:
    """One instance of a resource: its address, that of its module, what it depends on (addresses without instances), and where it stands."""

    address: str
    module: str
    depends_on: Sequence[str]
    attributes: Mapping[str, Any]
    where: str


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every managed resource of every state as a component, and what it depends on. Data sources are reported, not taken."""
    for file in ending_in(files, ".json", ".tfstate") or list(files):
        found: list[Resource] = []
        looked_up: set[str] = set()
        for record in _resources(jsontext.of_file(file), file.name):
            if isinstance(record, Resource):
                found.append(record)
                options.progress(len(found))
                yield FoundComponent(record.address, {"name": record.address[:500], "type": TYPE, "attributes": record.attributes}, record.where)
            else:
                looked_up.add(without_instances(record.key))
                yield record
        yield from _relations(found, looked_up)


def _resources(document: Any, name: str) -> Iterator[Resource | Skipped]:
    """Whichever of the two forms the file has. Raises Invalid where it has neither."""
    if not isinstance(document, dict):
        raise Invalid.field("file", f"{name} is no terraform state: an object is expected (line 1).")
    if "resource_changes" in document or "planned_values" in document:
        raise Invalid.field("file", f"{name} is a terraform plan, where a state is expected: a plan is brought in as the items of a change.")
    if isinstance(document.get("version"), int) and "format_version" not in document:
        return _raw(document, name)
    if isinstance(document.get("format_version"), str) and isinstance(document.get("values", {}), dict):
        return _shown(document.get("values", {}), name)
    raise Invalid.field(
        "file", f"{name} is no terraform state: give what `terraform show -json` prints, or a .tfstate file of version {STATE_VERSION}."
    )


# What `terraform show -json` prints.


def _shown(values: Mapping[str, Any], name: str) -> Iterator[Resource | Skipped]:
    waiting: list[tuple[Any, str]] = [(values.get("root_module", {}), "values.root_module")]
    while waiting:
        module, place = waiting.pop()
        if not isinstance(module, dict):
            raise Invalid.field("file", f"{name}: {place} is no object.")
        for index, row in enumerate(_list(module, "resources", name, place)):
            yield _shown_resource(row, str(module.get("address") or ""), f"{name}, {place}.resources[{index}]")
        children = _list(module, "child_modules", name, place)
        waiting += reversed([(child, f"{place}.child_modules[{index}]") for index, child in enumerate(children)])


def _list(row: Mapping[str, Any], field: str, name: str, place: str) -> list[Any]:
    found = [] if row.get(field) is None else row[field]
    if not isinstance(found, list):
        raise Invalid.field("file", f"{name}: {place}{'.' if place else ''}{field} is no list.")
    return found


def _shown_resource(row: Any, module: str, where: str) -> Resource | Skipped:
    if not isinstance(row, dict) or not isinstance(row.get("address"), str) or not row["address"]:
        return Skipped(where, "It has no address.")
    address = _whole_address(row, module)
    if row.get("mode", "managed") != "managed":
        return data_source(where, address)
    if row.get("deposed_key"):
        return Skipped(where, f"It is what a replacement left behind of {address[:100]!r}.")
    values = row.get("values") if isinstance(row.get("values"), dict) else {}
    said = told(row, module)
    if isinstance(row.get("sensitive_values"), dict):
        attributes = said | without_nulls(masked(values, row["sensitive_values"]))
    else:
        attributes = said | ({"attribute_names": sorted(values)} if values else {})
    return Resource(address, module, _texts(row.get("depends_on")), attributes, where)


def _whole_address(row: Mapping[str, Any], module: str) -> str:
    """The address with its module and its instance, which states of old terraform keep beside it."""
    address: str = row["address"]
    if module and not address.startswith(f"{module}."):
        address = f"{module}.{address}"
    return address if address.endswith("]") else address + instance_of(row.get("index"))


def instance_of(key: Any) -> str:
    """An instance's part of an address: `[0]` or `["name"]`; empty where there is only one."""
    return f"[{json.dumps(key, ensure_ascii=False)}]" if isinstance(key, int | str) else ""


def data_source(where: str, address: str) -> Skipped:
    return Skipped(where, f"{address[:100]!r} is a data source: it is looked up there, not managed.", address)


def told(row: Mapping[str, Any], module: str = "") -> dict[str, Any]:
    """What a state and a plan say of every resource."""
    said = {"terraform_type": str(row.get("type", "")), "provider": str(row.get("provider_name", ""))}
    return said | ({"module": module} if module else {})


def masked(value: Any, sensitive: Any) -> Any:
    """`value` with everything hidden that is marked as sensitive, or that gives itself away as secret."""
    return without_secrets(_marked(value, sensitive))


def _marked(value: Any, sensitive: Any) -> Any:
    if sensitive is True:
        return HIDDEN
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {name: _marked(entry, sensitive.get(name)) for name, entry in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *[None] * (len(value) - len(sensitive))]
        return [_marked(entry, mark) for entry, mark in zip(value, marks, strict=False)]
    return value


def without_nulls(value: Any) -> Any:
    """What a merge patch can hold: an object without the names that say nothing."""
    if isinstance(value, dict):
        return {name: without_nulls(entry) for name, entry in value.items() if entry is not None}
    return value


# The file itself.


def _raw(document: Mapping[str, Any], name: str) -> Iterator[Resource | Skipped]:
    if document["version"] != STATE_VERSION:
        raise Invalid.field("file", f"{name} is a terraform state of version {document['version']}; version {STATE_VERSION} is read.")
    for index, row in enumerate(_list(document, "resources", name, "")):
        place = f"resources[{index}]"
        if not isinstance(row, dict) or not all(isinstance(row.get(part), str) and row[part] for part in ("type", "name")):
            yield Skipped(f"{name}, {place}", "It has no type or no name.")
            continue
        for number, instance in enumerate(_list(row, "instances", name, place)):
            yield _raw_instance(row, instance, f"{name}, {place}.instances[{number}]")


def _raw_instance(row: Mapping[str, Any], instance: Any, where: str) -> Resource | Skipped:
    module = row["module"] if isinstance(row.get("module"), str) else ""
    managed = row.get("mode", "managed") == "managed"
    address = ".".join(filter(None, (module, "" if managed else "data", row["type"], row["name"])))
    if not isinstance(instance, dict):
        return Skipped(where, "An instance is an object.")
    address += instance_of(instance.get("index_key"))
    if not managed:
        return data_source(where, address)
    if instance.get("deposed"):
        return Skipped(where, f"It is what a replacement left behind of {address[:100]!r}.")
    provider = PROVIDER.search(str(row.get("provider", "")))
    attributes = told({"type": row["type"], "provider_name": provider[1] if provider else ""}, module)
    if isinstance(instance.get("attributes"), dict) and instance["attributes"]:
        attributes["attribute_names"] = sorted(instance["attributes"])
    return Resource(address, module, _texts(instance.get("dependencies")), attributes, where)


# What depends on what.


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def without_instances(address: str) -> str:
    """The address of a resource as the configuration knows it: `module.a["x"].vm.web[0]` is `module.a.vm.web`."""
    return INSTANCE.sub("", address)


def _relations(found: Sequence[Resource], looked_up: set[str]) -> Iterator[Record]:
    instances: dict[str, list[Resource]] = {}
    for one in found:
        instances.setdefault(without_instances(one.address), []).append(one)
    for one in found:
        for text in dict.fromkeys(map(without_instances, one.depends_on)):
            if text not in looked_up or text in instances:
                yield from _dependencies(one, text, instances.get(text, []))


def _dependencies(one: Resource, text: str, candidates: Sequence[Resource]) -> Iterator[Record]:
    """A dependency stays within the instance of a module: `module.a["x"]` does not need what `module.a["y"]` holds."""
    targets = [other for other in candidates if _near(one.module, other.module)] or candidates
    where = f"{one.where}.depends_on"
    if len(targets) > MOST_INSTANCES:
        yield Skipped(
            where, f"{one.address[:100]!r} depends on {len(targets):,} instances of {text[:100]!r}; more than {MOST_INSTANCES} are not drawn."
        )
        return
    for target in [other.address for other in targets] or [text]:
        if target != one.address:
            yield FoundRelation("", one.address, target, "dependsOn", {}, where)


def _near(one: str, other: str) -> bool:
    """Whether one of two modules holds the other, or they are the same."""
    return f"{one}.".startswith(f"{other}." if other else "") or f"{other}.".startswith(f"{one}." if one else "")
