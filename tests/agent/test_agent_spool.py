"""The agent's disk: sessions and outcomes that outlive a process (SE-2, SE-4)."""

from __future__ import annotations

import os
from pathlib import Path

from coflux.agent.logs import LogBuffer
from coflux.agent.outbox import Outbox
from coflux.agent.spool import Spool, Ticket

TICKET = Ticket("S1", "token", project="p", environment="e")


def test_the_file_of_a_living_agent_is_not_taken_over(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "x", TICKET)
    assert Spool.take_over(tmp_path / "x") is None
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o700
    spool.remove()
    assert not (tmp_path / "x").exists()


def test_a_dead_agents_file_is_taken_over_with_its_outcomes(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, TICKET)
    spool.add([b"one", b"two"])
    spool.add([b"three"])
    os.close(spool._descriptor)
    found = Spool.take_over(tmp_path)
    assert found is not None
    assert found.ticket == TICKET
    assert found.outcomes == [b"one", b"two", b"three"]
    found.clear()
    os.close(found._descriptor)
    found = Spool.take_over(tmp_path)
    assert found is not None
    assert found.outcomes == []


def test_what_was_written_half_is_left_out(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, TICKET)
    spool.add([b"one", b"two"])
    os.close(spool._descriptor)
    (path,) = tmp_path.glob("*.session")
    path.write_bytes(path.read_bytes()[:-1])
    found = Spool.take_over(tmp_path)
    assert found is not None
    assert found.outcomes == [b"one"]
    os.close(found._descriptor)
    path.write_bytes(b"\x01")
    assert Spool.take_over(tmp_path) is None


def test_old_files_of_dead_agents_are_removed(tmp_path: Path) -> None:
    old, living = Spool.create(tmp_path / "a", TICKET), Spool.create(tmp_path / "b", TICKET)
    os.close(old._descriptor)
    for path in tmp_path.glob("*/*.session"):
        os.utime(path, (0, 0))
    Spool.create(tmp_path / "c", TICKET).remove()
    assert [path.parent.name for path in tmp_path.glob("*/*.session")] == ["b"]
    living.remove()


def test_log_entries_keep_their_order_through_the_file() -> None:
    buffer = LogBuffer(memory=100)
    entries = [f"entry {n}".encode() for n in range(500)]
    taken: list[bytes] = []
    for n, entry in enumerate(entries):
        buffer.add(entry)
        if n % 7 == 0:
            taken += buffer.take(20)
    while more := buffer.take(64):
        taken += more
    assert taken == entries
    assert buffer.size == 0
    buffer.close()


def test_after_a_reconnect_all_is_sent_again_in_order_and_numbers_are_never_reused() -> None:
    outbox = Outbox()
    assert outbox.add(b"\xa1a") == 1
    outbox.add_request("R1:1:1", 5, b"\xa1b")
    outbox.add(b"\xa1c")
    first = outbox.take()
    assert len(first) == 3
    outbox.acknowledge(2)
    outbox.restart()
    again = outbox.take()
    # The third as it was, and the request, which was acknowledged but not answered, anew.
    assert again[0] == first[2]
    assert len(again) == 2
    assert again[1] != first[1]
    assert outbox.is_awaited("R1:1:1", 5)
    assert not outbox.is_awaited("R1:1:1", 5)
    outbox.acknowledge(4)
    assert outbox.is_empty
    assert outbox.unacknowledged_bytes == 0
