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


async def until_the_end(socket: Path, linger_s: float) -> None:
    """Wait for SIGTERM, or until the server has been gone for `linger_s` seconds."""
    told, alone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the server decides
    stdin = sys.stdin.fileno()
    loop.add_reader(stdin, _read, stdin, alone)
    await _first(told, alone)
    loop.remove_reader(stdin)
    if linger_s <= 0:
        return
    lease = _identity(socket)
    if not told.is_set():
        await _linger(told, socket, lease, loop.time() + linger_s)
    if _identity(socket) == lease is not None:
        _clear_away(socket)


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
