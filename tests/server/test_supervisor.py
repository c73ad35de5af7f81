"""Keeping a project's process running, and stopping it at any moment."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from gateway_harness import FAKE

from coflux.server.gateway.child import Child
from coflux.server.gateway.supervisor import Supervised


def test_a_stop_that_comes_with_the_readiness_of_the_process_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12, `asyncio.wait_for` loses a cancellation that comes with the result."""
    begin = Child.start
    children: list[Child] = []

    async def deaf(*arguments: Any) -> Child:
        starting = asyncio.ensure_future(begin(*arguments))
        try:
            child = await asyncio.shield(starting)
        except asyncio.CancelledError:
            child = await starting
        children.append(child)
        return child

    async def story() -> None:
        supervised = Supervised("default", FAKE, tmp_path / "default", tmp_path / "socket")
        supervised.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(supervised.stop(), 30)

    monkeypatch.setattr(Child, "start", deaf)
    asyncio.run(story())
    assert not any(psutil.pid_exists(child.pid) for child in children)


def test_a_project_that_does_not_run_as_the_disk_is_full_says_so_SE_11(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own log is on that disk, and may be empty."""
    supervised = Supervised("default", FAKE, tmp_path, tmp_path / "socket")
    supervised.state, supervised.reason = "failed", "it ended with code 1"
    assert "has failed (it ended with code 1)" in str(supervised.unavailable())
    usage = SimpleNamespace(free=3 * 2**20, total=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    told = str(supervised.unavailable())
    assert told.startswith("The disk of the server is full (3 MiB left), so project 'default' does")
    assert "free some space" in told
