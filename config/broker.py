"""The broker of an installation without Redis: a file per message. Whoever reads finds a message whole or not at all."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual
from kombu.transport.filesystem import LOCK_EX, exchange_queue_t, lock
from kombu.utils.json import dumps, loads

NAME = "folder"


class Channel(filesystem.Channel):
    """Kombu's channel over a folder writes into files that others read already; this one moves them there when they are written."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # its bases don't agree on the name
        write_whole(Path(self.data_folder_out) / f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg", dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The oldest message of the queue. Who moves it away has it; the others go on to the next."""
        waiting = (path for path in Path(self.data_folder_in).iterdir() if path.name.partition(".")[2] == f"{queue}.msg")
        for path in sorted(waiting):
            try:
                taken = path.replace(Path(self.processed_folder) / path.name)
            except FileNotFoundError:
                continue
            try:
                return loads(taken.read_text())
            finally:
                taken.unlink()
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Note that the queue hears this exchange; one process at a time."""
        table, bound = self._exchange_file(exchange), exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with (Path(self.control_folder) / "lock").open("wb") as guard:
            lock(guard, LOCK_EX)
            known = self.get_table(exchange)
            if bound not in known:
                write_whole(table, dumps([bound, *known]))


def write_whole(path: Path, text: str) -> None:
    """Write the file under another name, then put it in its place in one step."""
    part = path.with_name(f"{path.name}.{uuid.uuid4()}.part")
    part.write_text(text)
    part.replace(path)


class Transport(filesystem.Transport):
    """`folder://`"""

    Channel = Channel
    global_state = virtual.BrokerState()


TRANSPORT_ALIASES[NAME] = "config.broker:Transport"
