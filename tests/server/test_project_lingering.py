"""Project processes that are left to themselves when their server ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coflux.server.gateway.supervisor import Supervised
from coflux.server.main import project_command

PATIENCE_S = 30.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as addresses of sockets need it."""
    with tempfile.TemporaryDirectory(prefix="coflux-") as path:
        yield Path(path)


def supervised(tmp_path: Path, folder: Path, linger_s: float) -> Supervised:
    command = project_command(linger_s=linger_s)
    return Supervised("default", command, tmp_path / "default", folder / "default.sock")


async def left(tmp_path: Path, folder: Path, linger_s: float) -> psutil.Process:
    """A process whose supervisor has gone."""
    owner = supervised(tmp_path, folder, linger_s)
    await owner.socket()
    assert owner.pid is not None
    process = psutil.Process(owner.pid)
    await owner.stop(leave=True)
    return process


async def until(condition: Callable[[], bool]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.05)

    await asyncio.wait_for(look(), PATIENCE_S)


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def tell(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


@pytest.mark.slow
def test_the_next_server_takes_over_from_a_process_that_was_left(
    tmp_path: Path, folder: Path
) -> None:
    async def story() -> None:
        process = await left(tmp_path, folder, 600)
        assert not is_over(process)
        assert (folder / "default.sock").is_socket()
        # As a server with another folder of sockets would have it.
        with tempfile.TemporaryDirectory(prefix="coflux-") as other:
            successor = supervised(tmp_path, Path(other), 600)
            await successor.socket()
            assert is_over(process)
            assert successor.pid not in (None, process.pid)
            await successor.stop()

    tell(story())


def test_a_process_to_which_no_server_comes_back_ends_and_leaves_nothing(
    tmp_path: Path, folder: Path
) -> None:
    async def story() -> None:
        sockets = folder / "coflux-sockets"
        sockets.mkdir()
        process = await left(tmp_path, sockets, 0.5)
        await until(lambda: is_over(process))
        assert not sockets.exists()

    tell(story())


def test_without_a_time_it_ends_with_its_server(tmp_path: Path, folder: Path) -> None:
    async def story() -> None:
        process = await left(tmp_path, folder, 0)
        await until(lambda: is_over(process))

    tell(story())


def test_sigterm_ends_it_at_any_time(tmp_path: Path, folder: Path) -> None:
    async def story() -> None:
        process = await left(tmp_path, folder, 600)
        process.terminate()
        await until(lambda: is_over(process))
        assert not (folder / "default.sock").exists()

    tell(story())
