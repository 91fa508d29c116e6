"""Graphs in files that all processes of a machine map into memory: a folder per revision, a file per array.

What is read of them lies once in the machine's memory, however many processes read it. A folder is written beside and renamed, so it is
there whole or not at all; an array that a revision left as it was is the same file under a second name.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from .graph import Graph
from .keys import Keys

log = logging.getLogger(__name__)

FORM = 1
"""Counts up when the files are to be read in another way: older ones are then left aside."""
KEPT = 3
TOKEN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ABOUT = "about.json"
NAMED = ("revision", "layers", "types", "relation_types", "needs")
KEYED = ("keys", "relation_keys")
ARRAYS = tuple(field.name for field in fields(Graph) if field.name not in (*NAMED, *KEYED))


def folder_of(root: Path, token: str) -> Path:
    return root / f"{FORM}-{token}"


def load(root: Path, token: str) -> Graph | None:
    """The graph of this token, mapped and not read; None where it is not there."""
    folder = folder_of(root, token)
    try:
        about = json.loads((folder / ABOUT).read_text())
        parts: dict[str, Any] = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
        parts |= {name: Keys(_mapped(folder / f"{name}.text.npy"), _mapped(folder / f"{name}.end.npy")) for name in KEYED}
    except (OSError, ValueError):
        return None
    parts |= {name: tuple(about[name]) for name in ("layers", "types", "relation_types")}
    return Graph(**parts, revision=about["revision"], needs=about["needs"])


def _mapped(path: Path) -> np.ndarray:
    # An empty file can't be mapped.
    found = np.load(path, mmap_mode="r") if path.stat().st_size > 128 else np.load(path)
    return found.view(np.ndarray)


def save(root: Path, token: str, graph: Graph, base: tuple[str, Graph] | None = None) -> Graph:
    """Write the graph, and answer it as others will read it; where there is no room for it, it stays in this process alone.

    `base`: the token and graph from which it was made, whose files serve for the arrays that are the same.
    """
    draft = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=root, prefix="draft-"))
        for name, array, was in _arrays(graph, base[1] if base else None):
            _put(draft / f"{name}.npy", array, folder_of(root, base[0]) / f"{name}.npy" if base and array is was else None)
        (draft / ABOUT).write_text(json.dumps({name: getattr(graph, name) for name in NAMED}))
        draft.rename(folder_of(root, token))
    except OSError as error:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        log.warning("The graph of revision %s is not kept in a file: %s", graph.revision, error)
    _forget_old(root)
    return load(root, token) or graph


def _arrays(graph: Graph, base: Graph | None) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Every array by the name of its file, with the one of the base."""
    for name in ARRAYS:
        yield name, getattr(graph, name), getattr(base, name, None)
    for name in KEYED:
        for part in ("text", "end"):
            yield f"{name}.{part}", getattr(getattr(graph, name), part), getattr(getattr(base, name, None), part, None)


def _put(path: Path, array: np.ndarray, same_as: Path | None) -> None:
    if same_as is not None:
        with suppress(OSError):
            os.link(same_as, path)
            return
    np.save(path, array)


def _forget_old(root: Path) -> None:
    """Remove all but the newest folders. Who has one mapped keeps it."""
    with suppress(OSError):
        folders = sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime if folder.is_dir() else 0, reverse=True)
        for folder in [folder for folder in folders if folder.is_dir()][KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


def tokens(root: Path) -> list[str]:
    """The tokens of the graphs that are there."""
    names = (folder.name.removeprefix(f"{FORM}-") for folder in root.glob(f"{FORM}-*"))
    return [name for name in names if TOKEN.fullmatch(name)]


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Nobody else on this machine builds a graph meanwhile."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "lock").open("w")
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
