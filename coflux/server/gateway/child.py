"""One life of a project's process: start it, know that it is ready, know how it ended.

Belongs here: the operating-system side of a single process. Does not belong here: whether and
when to start it again (`supervisor`), and what is sent to it (`upstream`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coflux.errors import Unavailable

#: A store of a hundred thousand live steps is ready within 5 s; a migration may take longer.
READY_SECONDS = 120.0
#: How long the previous process of the same store may take to end.
LOCK_SECONDS = 20.0
#: From closing its stdin to SIGTERM, and from there to SIGKILL.
STOP_SECONDS = 8.0
LOG_NAME = "process.log"
_LOG_LIMIT = 1024 * 1024
_TAIL = 4096


class Child:
    """A running project process. Made by `start`."""

    def __init__(
        self, process: asyncio.subprocess.Process, socket: Path, log: Path, log_start: int
    ) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start
        #: Path of the Unix socket it listens on.
        self.socket = socket
        self.pid = process.pid
        self._drain: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, command: Sequence[str], project: str, directory: Path, socket: Path
    ) -> Child:
        """Start the process and return when it listens.

        `command` is followed by the arguments of the process contract. Raises `Unavailable` with
        the reason when it ends or says nothing before it is ready; nothing is left behind then.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = await _lock(directory)
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, os.fsencode(socket), 0)
            child = await cls._spawn(command, project, directory, socket, lock)
        finally:
            os.close(lock)
        try:
            await asyncio.wait_for(child._until_ready(), READY_SECONDS)
        except asyncio.TimeoutError:
            await child.kill()
            raise Unavailable(f"it was not ready within {READY_SECONDS:.0f} s") from None
        except BaseException:
            await child.kill()
            raise
        return child

    @classmethod
    async def _spawn(
        cls, command: Sequence[str], project: str, directory: Path, socket: Path, lock: int
    ) -> Child:
        socket.unlink(missing_ok=True)
        log = directory / LOG_NAME
        _rotate(log)
        with open(log, "ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                *("--project", project, "--directory", str(directory), "--socket", str(socket)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Its own session: an interrupt at the terminal is for the server, which then ends
                # its projects in order.
                start_new_session=True,
                pass_fds=(lock,),
            )
            return cls(process, socket, log, stderr.tell())

    async def _until_ready(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while (line := await stdout.readline()).strip() != b"ready":
            if not line:
                raise Unavailable(await self.ended())
        self._drain = asyncio.create_task(_discard(stdout))

    async def ended(self) -> str:
        """Wait for the end of the process; returns how it ended, with its last words."""
        code = await self._process.wait()
        how = f"it was ended by {_signal_name(-code)}" if code < 0 else f"it ended with code {code}"
        words = await asyncio.to_thread(self._last_line)
        return f"{how}: {words}" if words else how

    def _last_line(self) -> str:
        try:
            with open(self._log, "rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - _TAIL))
                text = log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return text.splitlines()[-1].strip()[:500] if text else ""

    async def stop(self) -> None:
        """End the process in order: its stdin closes, then SIGTERM, then SIGKILL."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not await self._ends_soon():
            self._process.terminate()
            await self._ends_soon()
        await self.kill()

    async def _ends_soon(self) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            return False
        return True

    def leave(self) -> None:
        """Let the process go on without us; it hears that we are gone."""
        transport: Any = self._process._transport  # type: ignore[attr-defined]  # no public way
        # Closing a transport kills a process that is not known to have ended.
        transport.get_extra_info("subprocess").returncode = 0
        transport.close()
        if self._drain is not None:
            self._drain.cancel()

    async def kill(self) -> None:
        """End the process now, if it has not ended, and release what belongs to it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._drain is not None:
            await self._drain
        self.socket.unlink(missing_ok=True)


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


async def _lock(directory: Path) -> int:
    """Hold the project's lock; the child inherits it, so it lasts as long as the child lives.

    A project process that outlives its server must be gone before another one opens the same
    store. The lock's file names its socket: taking that away tells it to end.
    """
    descriptor = os.open(directory / "process.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            _take_lease(os.pread(descriptor, 4096, 0))
            if loop.time() > deadline:
                os.close(descriptor)
                raise Unavailable("its previous process has not ended yet") from None
        await asyncio.sleep(0.05)


def _take_lease(named: bytes) -> None:
    socket = Path(os.fsdecode(named))
    with contextlib.suppress(OSError, ValueError):
        if socket.is_absolute() and socket.is_socket():
            socket.unlink()


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
