"""Docker Compose files: services, networks, volumes, secrets and configs as components, and which service needs which.

Of environment variables, labels, build arguments, secrets and configs only names are taken; commands and health checks, which often
hold passwords, not at all. Variables in the file are left as they stand, and other files it points to are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from changemgmt.core.errors import Invalid

from . import yaml
from .files import ending_in, text_of
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .secrets import without_secrets

# Section of the file: the type of its components, which is also the prefix of their keys. Services have none.
SECTIONS = {"networks": "network", "volumes": "volume", "secrets": "secret", "configs": "config"}
PLAIN = ("image", "container_name", "hostname", "platform", "restart", "runtime")
NAMES = ("environment", "labels")
LISTS = ("expose", "profiles")
RESOURCE = ("driver", "external", "internal", "name")
VOLUME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every service of every file, and what the file declares beside them."""
    count, empty = 0, True
    for file in ending_in(files, ".yaml", ".yml") or list(files):
        for line, document in yaml.documents(file.name, text_of(file, yaml.LARGEST)):
            empty = False
            if not isinstance(document, Mapping) or not isinstance(document.get("services"), Mapping):
                yield Skipped(f"{file.name}, line {line}", "It is no Compose file: an object with services is expected.")
                continue
            for record in _project(document, file.name):
                count += 1
                options.progress(count)
                yield record
    if empty:
        raise Invalid.field("file", "It is empty: an object with services is expected (line 1).")


def _project(document: Mapping[str, Any], name: str) -> Iterator[Record]:
    project = {"project": document["name"]} if isinstance(document.get("name"), str) else {}
    if "include" in document:
        yield Skipped(f"{name}, include", "Other files are not followed: give what `docker compose config` prints.")
    for section, kind in SECTIONS.items():
        for key, definition in _object(document.get(section)).items():
            yield FoundComponent(
                f"{kind}:{key}", {"name": key, "type": kind, "attributes": _declared(definition) | project}, f"{name}, {section}.{key}"
            )
    services = document["services"]
    if "default" not in _object(document.get("networks")) and any(_named_default(service) for service in services.values()):
        yield FoundComponent("network:default", {"name": "default", "type": "network", "attributes": project}, f"{name}, services")
    for key, service in services.items():
        where = f"{name}, services.{key}"
        if not isinstance(service, Mapping):
            yield Skipped(where, "A service is an object.", key)
            continue
        yield FoundComponent(key, {"name": key, "type": "service", "attributes": _attributes(service) | project}, where)
        yield from _Needs(key, service, _object(document.get("volumes")), where).records()


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _declared(definition: Any) -> dict[str, Any]:
    found = {field: value for field, value in _object(definition).items() if field in RESOURCE and isinstance(value, str | bool)}
    return without_secrets(found)


def _named_default(service: Any) -> bool:
    return "default" in _names(_object(service).get("networks"))


def _attributes(service: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a service: no value that may be secret."""
    found: dict[str, Any] = {field: str(service[field]) for field in PLAIN if isinstance(service.get(field), str | int | float)}
    found |= {field: sorted(names) for field in NAMES if (names := {text.partition("=")[0] for text in _names(service.get(field))})}
    found |= {field: [str(entry) for entry in service[field]] for field in LISTS if isinstance(service.get(field), list) and service[field]}
    build = service.get("build")
    if context := build if isinstance(build, str) else _object(build).get("context"):
        found["build"] = str(context)
    if ports := [text for text in map(_port, service.get("ports") or [] if isinstance(service.get("ports"), list) else []) if text]:
        found["ports"] = ports
    replicas = _object(service.get("deploy")).get("replicas", service.get("scale"))
    if isinstance(replicas, int) and not isinstance(replicas, bool):
        found["replicas"] = replicas
    return without_secrets(found)


def _port(port: Any) -> str:
    """A port as the short form writes it."""
    if not isinstance(port, Mapping):
        return str(port) if isinstance(port, str | int) else ""
    target, published = port.get("target"), port.get("published")
    protocol = f"/{port['protocol']}" if isinstance(port.get("protocol"), str) else ""
    return f"{published}:{target}{protocol}" if published else f"{target}{protocol}" if target else ""


def _names(value: Any) -> list[str]:
    """The names of a list, or of an object whose values are nobody's business."""
    if isinstance(value, Mapping):
        return list(value)
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


class _Needs:
    """What one service needs: each thing once, however often and in however many ways the file says so."""

    def __init__(self, key: str, service: Mapping[str, Any], volumes: Mapping[str, Any], where: str) -> None:
        self.key, self.service, self.volumes, self.where = key, service, volumes, where
        self.found: dict[tuple[str, str], dict[str, Any]] = {}
        self.skipped: list[Skipped] = []

    def records(self) -> Iterator[Record]:
        self.services()
        self.mounts()
        for network in self.listed("networks"):
            self.need("uses", f"network:{network}")
        for section in ("secrets", "configs"):
            for entry in self.entries(section):
                source = entry.get("source") if isinstance(entry, Mapping) else entry
                self.need("uses", f"{SECTIONS[section]}:{source}") if isinstance(source, str) else self.odd(section, entry)
        yield from self.skipped
        for (relation, target), attributes in self.found.items():
            yield FoundRelation("", self.key, target, relation, attributes, self.where)

    def need(self, relation: str, target: str, **attributes: Any) -> None:
        self.found.setdefault((relation, target), {}).update(attributes)

    def odd(self, field: str, value: Any) -> None:
        self.skipped.append(Skipped(f"{self.where}.{field}", f"It holds {type(value).__name__}, where a name is expected.", self.key))

    def entries(self, field: str) -> list[Any]:
        value = self.service.get(field)
        if value is None or isinstance(value, list):
            return value or []
        self.odd(field, value)
        return []

    def listed(self, field: str) -> list[str]:
        """The names a field holds as a list or as the names of an object."""
        value = self.service.get(field)
        if isinstance(value, Mapping):
            return list(value)
        entries = self.entries(field)
        for entry in entries:
            if not isinstance(entry, str):
                self.odd(field, entry)
        return [entry for entry in entries if isinstance(entry, str)]

    def services(self) -> None:
        """Other services it needs: said as such, linked, or shared with."""
        conditions = _object(self.service.get("depends_on"))
        for name in self.listed("depends_on"):
            condition = _object(conditions.get(name)).get("condition")
            self.need("dependsOn", name, **({"condition": condition} if isinstance(condition, str) else {}))
        for field in ("links", "volumes_from"):
            for text in self.listed(field):
                if not text.startswith("container:"):
                    self.need("dependsOn", text.partition(":")[0])
        for field in ("network_mode", "ipc", "pid"):
            kind, _, name = str(self.service.get(field) or "").partition(":")
            if kind == "service" and name:
                self.need("dependsOn", name)
        self.extended()

    def extended(self) -> None:
        value = self.service.get("extends")
        name = value if isinstance(value, str) else _object(value).get("service")
        if "file" in _object(value):
            self.skipped.append(Skipped(f"{self.where}.extends", "Other files are not followed: give what `docker compose config` prints."))
        elif isinstance(name, str):
            self.need("specialization", name)

    def mounts(self) -> None:
        """Volumes that have a name; folders of the host and volumes without a name are no things of their own."""
        for entry in self.entries("volumes"):
            if isinstance(entry, Mapping):
                name, target = (entry.get("source"), entry.get("target")) if entry.get("type", "volume") == "volume" else (None, None)
            elif isinstance(entry, str):
                name, _, rest = entry.partition(":")
                target = rest.partition(":")[0]
                if not rest or (name not in self.volumes and (len(name) == 1 or not VOLUME.match(name))):
                    name = None
            else:
                self.odd("volumes", entry)
                continue
            if isinstance(name, str) and name:
                known = self.found.get(("uses", f"volume:{name}"), {}).get("targets", [])
                self.need("uses", f"volume:{name}", targets=[*known, *([target] if isinstance(target, str) else [])])
