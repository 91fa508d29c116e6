"""The structured difference of two plain values, field by field."""

from typing import Any, NamedTuple

ABSENT = object()


class Difference(NamedTuple):
    """One field that differs: its dotted path and the two values (None where absent)."""

    path: str
    before: Any
    after: Any

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "before": self.before, "after": self.after}


def differences(before: Any, after: Any, path: str = "") -> list[Difference]:
    """Every leaf that differs between two plain values, in path order. Equal values give an empty list.

    Objects are walked; lists and scalars are compared whole.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted(before.keys() | after.keys()):
            below = f"{path}.{key}" if path else str(key)
            found += differences(before.get(key, ABSENT), after.get(key, ABSENT), below)
        return found
    if isinstance(before, dict) and after is ABSENT and before:
        return differences(before, {}, path)
    if isinstance(after, dict) and before is ABSENT and after:
        return differences({}, after, path)
    if before is not ABSENT and after is not ABSENT and before == after and type(before) is type(after):
        return []
    return [Difference(path, None if before is ABSENT else before, None if after is ABSENT else after)]
