"""What becomes of what cannot be stored: its process ends (LO-2, SE-9, SE-11)."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from coflux.model import LogEntry
from coflux.server.project.orchestrator import Orchestrator


def test_lines_that_cannot_be_kept_are_never_acknowledged_and_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Iterable[LogEntry]) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[BaseException] = loop.create_future()
        acknowledged: list[int] = []
        orchestrator = Orchestrator(tmp_path)
        orchestrator.start()
        monkeypatch.setattr(orchestrator.logs, "write", full)
        orchestrator.on_failure = lambda error, _: failed.set_result(error)
        loop.set_exception_handler(lambda *_: None)  # it is raised as well
        orchestrator.put_logs([LogEntry("R23456:1:1", 1, 5, "info", "x")])
        orchestrator.after_commit(lambda: acknowledged.append(1))
        assert "disk is full" in str(await asyncio.wait_for(failed, 10))
        assert acknowledged == []
        monkeypatch.undo()
        orchestrator.close()

    asyncio.run(scenario())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_a_process_whose_log_is_on_the_full_disk_ends_nevertheless_SE_11() -> None:
    """Else it goes on with changes in memory that no disk has, and acknowledges what follows."""
    code = (
        "from coflux.server.project.process import _die\n"
        "try: _die(OSError('database or disk is full'), [])\n"
        "finally: print('went on')"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, timeout=60
        )
    assert (ended.returncode, ended.stdout) == (70, b"")
