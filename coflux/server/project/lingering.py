"""How long a project's process goes on: with its server, or for a while without it.

The file of its socket is its lease: whoever opens the same store takes the file away, and the
process ends (`coflux.server.gateway.child`). Belongs here: when to end. Does not belong here: what
is done then (`process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

#: Between two looks at the socket's file while there is no server, in seconds.
_LOOK_S = 0.2
#: Folders of sockets that belong to nobody else; see `coflux.server.gateway.datadir`.
_OWN_FOLDER = "coflux-"


class End:
    """SIGTERM, or the server being gone for `linger_s` seconds; heeded from its making on."""

    def __init__(self, socket: Path, linger_s: float) -> None:
        self._socket, self._linger_s = socket, linger_s
        self._told, self._alone = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._told.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the server decides

    async def wait(self) -> None:
        """Wait for it."""
        loop = asyncio.get_running_loop()
        stdin = sys.stdin.fileno()
        loop.add_reader(stdin, _read, stdin, self._alone)
        await _first(self._told, self._alone)
        loop.remove_reader(stdin)
        if self._linger_s <= 0:
            return
        lease = _identity(self._socket)
        if not self._told.is_set():
            await _linger(self._told, self._socket, lease, loop.time() + self._linger_s)
        if _identity(self._socket) == lease is not None:
            _clear_away(self._socket)


def _read(stdin: int, alone: asyncio.Event) -> None:
    if not os.read(stdin, 4096):
        alone.set()


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _linger(
    told: asyncio.Event, socket: Path, lease: tuple[int, int] | None, until: float
) -> None:
    # Nobody reads what is written there any more.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    loop = asyncio.get_running_loop()
    while not told.is_set() and loop.time() < until and _identity(socket) == lease is not None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(told.wait(), min(_LOOK_S, max(0.0, until - loop.time())))


def _identity(socket: Path) -> tuple[int, int] | None:
    try:
        found = socket.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _clear_away(socket: Path) -> None:
    """What the server would have removed."""
    socket.unlink(missing_ok=True)
    if socket.parent.name.startswith(_OWN_FOLDER):
        with contextlib.suppress(OSError):
            socket.parent.rmdir()
