"""Are these the values a component or relation may hold? Any JSON goes in, messages by field come out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
from referencing import Registry

from .catalogue import Catalogue
from .rules import COMPONENT, KEY_LENGTH, RELATION, RELATION_END, STATUSES, WRITABLE

Errors = dict[str, list[str]]
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MOST_USERS = 2_147_483_647
WHOLE = 2**63
DEEPEST = 30
LARGEST = 200_000
MOST_REFERENCES = 1_000


def key_problem(object: str, key: Any) -> str:
    """Why `key` can't be a key; empty when it can."""
    if not isinstance(key, str) or not key.strip():
        return "Give the key."
    longest = KEY_LENGTH[object]
    if len(key) > longest:
        return f"A key has at most {longest} characters."
    if CONTROL.search(key) or not storable(key):
        return "A key is text without control characters."
    if object == COMPONENT and key.startswith(RELATION_END):
        return f"A component's key does not begin with {RELATION_END!r}: that names a relation."
    return ""


def data_errors(object: str, data: Any, *, creating: bool, catalogue: Catalogue, any_type: bool = False) -> Errors:
    """What is wrong with the `data` of one item, by field below `data`. `any_type`: unknown types will be made."""
    if not isinstance(data, dict):
        return {"data": ["Give an object with the fields to write."]}
    errors: Errors = {}
    for name, value in data.items():
        if name not in WRITABLE[object]:
            errors[f"data.{printable(name)}"] = [f"Not a field of a {object}. Known: {', '.join(WRITABLE[object])}."]
        elif message := _problem(name, value, creating, catalogue, any_type):
            errors[f"data.{name}"] = [message]
    if creating and object == COMPONENT and not data.get("type") and "data.type" not in errors:
        errors["data.type"] = ["Give the component type."]
    return errors


def _problem(name: str, value: Any, creating: bool, catalogue: Catalogue, any_type: bool) -> str:
    if value is None:
        return "A component always has one." if name in ("type", "layer") and not creating else ""
    return CHECKS[name](value, catalogue, any_type)


def _text(longest: int) -> Callable[[Any, Catalogue, bool], str]:
    def check(value: Any, catalogue: Catalogue, any_type: bool) -> str:
        if not isinstance(value, str):
            return "Give text."
        if not storable(value) or "\x00" in value:
            return "The text holds characters that can't be stored."
        return "" if len(value) <= longest else f"At most {longest} characters."

    return check


def _type(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    if problem := _text(100)(value, catalogue, any_type):
        return problem
    return "" if any_type or value in catalogue.types else f"There is no component type {value!r}."


def _layer(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    if problem := _text(60)(value, catalogue, any_type):
        return problem
    return "" if any_type or value in catalogue.layers else f"There is no layer {value!r}. Known: {', '.join(catalogue.layers)}."


def _org_unit(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    return "" if isinstance(value, str) and value in catalogue.org_units else "There is no org unit of that slug."


def _criticality(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    return "" if _whole(value) and 1 <= value <= 5 else "Give a whole number from 1 to 5."


def _users(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    return "" if _whole(value) and 0 <= value <= MOST_USERS else f"Give a whole number from 0 to {MOST_USERS}."


def _status(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    return "" if isinstance(value, str) and value in STATUSES else f"Give one of {', '.join(STATUSES)}."


def _attributes(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    if not isinstance(value, dict):
        return "Give an object: attribute names and their values."
    return json_problem(value)


def _tags(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    fits = isinstance(value, list) and len(value) <= 200 and all(isinstance(tag, str) and 0 < len(tag) <= 100 for tag in value)
    if not fits:
        return "Give a list of at most 200 texts of 1 to 100 characters."
    return json_problem(value)


def _needs(value: Any, catalogue: Catalogue, any_type: bool) -> str:
    if not isinstance(value, dict):
        return 'Give an object such as {"serving": 1}.'
    for name, count in value.items():
        if name not in catalogue.relation_types and not any_type:
            return f"There is no relation type {printable(name)!r}."
        if count is not None and not (_whole(count) and 0 <= count <= 10_000):
            return f"Give how many supporters of {name} it needs, as a whole number."
    return ""


def references_problem(value: Any) -> str:
    """Why `value` can't be a component's external references; empty when it can."""
    fits = isinstance(value, list) and len(value) <= MOST_REFERENCES and all(isinstance(one, dict) for one in value)
    return json_problem(value) if fits else f"Give a list of at most {MOST_REFERENCES:,} objects."


CHECKS: Mapping[str, Callable[[Any, Catalogue, bool], str]] = {
    "name": _text(500),
    "type": _type,
    "layer": _layer,
    "owner": _text(200),
    "org_unit": _org_unit,
    "criticality": _criticality,
    "users": _users,
    "status": _status,
    "environment": _text(60),
    "attributes": _attributes,
    "tags": _tags,
    "needs": _needs,
}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def storable(text: str) -> bool:
    """Whether `text` is Unicode that can be encoded (no lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """`text` for use in a message: short, and without what can't be shown."""
    return text[:60].encode("utf-8", "replace").decode()


def json_problem(value: Any, depth: int = 0) -> str:
    """Why a JSON value can't be stored on every database; empty when it can."""
    problem = _deep_problem(value, 0)
    if not problem and len(json.dumps(value)) > LARGEST:
        problem = f"At most {LARGEST} characters in all."
    return problem


def _deep_problem(value: Any, depth: int) -> str:
    if depth > DEEPEST:
        return f"Nested more than {DEEPEST} deep."
    match value:
        case str():
            return "" if "\x00" not in value and storable(value) else "A text holds characters that can't be stored."
        case float():
            return "" if math.isfinite(value) else "NaN and infinity are no values."
        case int():
            return "" if -WHOLE <= value < WHOLE else "A number is too large."
        case dict():
            parts = [part for pair in value.items() for part in pair]
        case list():
            parts = value
        case _:
            return ""
    return next((problem for part in parts if (problem := _deep_problem(part, depth + 1))), "")


def schema_errors(image: Mapping[str, Any], catalogue: Catalogue) -> Errors:
    """Where a component's attributes break the schema of its type, by attribute path."""
    schema = catalogue.schema_of(image.get("type"))
    if not schema:
        return {}
    errors: Errors = {}
    checker = jsonschema.Draft202012Validator(schema, registry=Registry())
    for error in sorted(checker.iter_errors(image.get("attributes") or {}), key=lambda error: [str(part) for part in error.absolute_path]):
        path = ".".join(["data.attributes", *(str(part) for part in error.absolute_path)])
        errors.setdefault(path, []).append(f"{error.message[:300]} (schema of {image.get('type')})")
    return errors


def bad_schema(schema: Any) -> str:
    """Why `schema` is no usable JSON Schema; empty when it is."""
    if not isinstance(schema, dict):
        return "A JSON Schema is an object."
    if problem := json_problem(schema):
        return problem
    if '"$ref": "http' in json.dumps(schema):
        return "A schema refers to nothing outside itself."
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"Not a JSON Schema: {error.message[:200]}"
    return ""


def relation_data_errors(data: Any, catalogue: Catalogue) -> Errors:
    """The same for a relation: only its attributes are written."""
    return data_errors(RELATION, data, creating=False, catalogue=catalogue)
