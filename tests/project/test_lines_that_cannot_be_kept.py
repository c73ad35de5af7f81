"""What becomes of log lines when their store fails (LO-2, SE-9)."""

from __future__ import annotations

import asyncio
import sqlite3
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
