"""What is never taken over from a file: values that are secret by their name or by their look."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "(sensitive)"
NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token(?!s)|credential|(private|api|access|auth)[_-]?key|connection[_-]?string|user[_-]?data", re.IGNORECASE
)
# A person and their password in an address, keys as PEM writes them, and what stands in for a secret variable that is not set.
TEXT = re.compile(
    r"[a-z][a-z0-9+.\-]{0,30}://[^/\s@]{1,300}@|-----BEGIN [A-Z ]{0,40}PRIVATE KEY|\$\{[a-z0-9_]{0,60}(passw|secret|token|key)[a-z0-9_]{0,60}:?[-+=]",
    re.IGNORECASE,
)

# Every text that TEXT finds holds one of these: most texts hold none, and are not searched.
SIGNS = ("://", "-----", "${")


def without_secrets(value: Any, name: str = "") -> Any:
    """`value` with everything hidden whose name says that it is secret, or whose text looks like it. Names, booleans and what is empty stay."""
    if value in (None, "", [], {}) or isinstance(value, bool):
        return value
    if NAME.search(name) or (isinstance(value, str) and any(sign in value for sign in SIGNS) and TEXT.search(value)):
        return HIDDEN
    if isinstance(value, dict):
        return {key: without_secrets(inner, key) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value
