"""A small load generator: a fixed number of clients over kept connections, each asking again as soon as it is answered.

Own, since the load shares two cores with what it measures: a full HTTP client library costs as much as the answer does.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass
class Measurement:
    """Latencies in seconds of the answers within `seconds`, and how many answers had another status than expected."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    wrong: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ordered = sorted(self.latencies) or [float("nan")]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Request:
    """What is asked. `body` makes the body from a running number."""

    path: str
    expected: int = 200
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: Callable[[int], bytes] | None = None

    def text(self, port: int, number: int) -> bytes:
        """The request as it goes over the wire."""
        body = self.body(number) if self.body else b""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: application/json", *self.headers]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def client(port: int, request: Request, numbers: count, until: float, found: Measurement) -> None:
    """One client: ask, read the whole answer, note how long it took, until the time is over."""
    reader = writer = None
    while time.perf_counter() < until:
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = time.perf_counter()
        writer.write(request.text(port, next(numbers)))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            reader = writer = None
            continue
        status = int(head[9:12])
        if status == request.expected:
            found.latencies.append(time.perf_counter() - started)
        else:
            found.wrong[status] = found.wrong.get(status, 0) + 1
        if b"\r\nconnection: close" in head.lower():
            writer.close()
            reader = writer = None


def measure(port: int, request: Request, *, clients: int, seconds: float) -> Measurement:
    """Put `clients` at it for `seconds`."""

    async def all_clients() -> Measurement:
        found, numbers = Measurement(seconds), count()
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(port, request, numbers, until, found) for _ in range(clients)))
        return found

    return asyncio.run(all_clients())
