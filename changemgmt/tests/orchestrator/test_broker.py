"""The broker without Redis: messages are read whole, once, in order, while others write."""

import threading
from pathlib import Path

import pytest
from kombu import Connection

import config.broker  # noqa: F401  registers folder://

MESSAGES = 150


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str | bool]:
    folders = {"data_folder_in": "messages", "data_folder_out": "messages", "processed_folder": "taken", "control_folder": "control"}
    for name in folders.values():
        (tmp_path / name).mkdir(exist_ok=True)
    return {option: str(tmp_path / name) for option, name in folders.items()} | {"store_processed": False}


def connected(options: dict[str, str | bool]) -> Connection:
    return Connection("folder://localhost//", transport_options=options)


def test_messages_are_read_whole_and_once_while_they_are_written(options, tmp_path):
    got: list[int] = []
    failures: list[Exception] = []

    def read() -> None:
        try:
            with connected(options) as connection, connection.SimpleQueue("work") as queue:
                while len(got) < MESSAGES:
                    try:
                        message = queue.get(timeout=0.2)
                    except queue.Empty:
                        continue
                    got.append(message.payload["id"])
                    message.ack()
        except Exception as failure:  # noqa: BLE001  told to the test
            failures.append(failure)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    with connected(options) as connection, connection.SimpleQueue("work") as queue:
        for reader in readers:
            reader.start()
        for number in range(MESSAGES):
            queue.put({"id": number, "padding": "x" * 2000})
    for reader in readers:
        reader.join(timeout=30)
    assert not failures
    assert sorted(got) == list(range(MESSAGES))
    assert not list((tmp_path / "messages").iterdir()) and not list((tmp_path / "taken").iterdir())


def test_processes_that_start_together_all_find_their_queues_bound(options):
    def bind(number: int) -> None:
        with connected(options) as connection:
            channel = connection.default_channel
            channel._queue_bind("all", "", "", f"q{number}")

    threads = [threading.Thread(target=bind, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connected(options) as connection:
        assert {row.queue for row in connection.default_channel.get_table("all")} == {f"q{number}" for number in range(8)}


def test_the_oldest_message_comes_first(options):
    with connected(options) as connection, connection.SimpleQueue("ordered") as queue:
        for number in range(5):
            queue.put(number)
        for number in range(5):
            message = queue.get(timeout=5)
            assert message.payload == number
            message.ack()
