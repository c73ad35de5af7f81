"""What ties the lives of processes together, with the means of the kernel.

Belongs here: the few system calls that Python has no name for. Does not belong here: who uses them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_F_SETSIG = 10
_SIGKILL = int(signal.SIGKILL)
_READ_OWN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_ASYNC = os.O_NONBLOCK | getattr(os, "O_ASYNC", 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(pipe: int) -> None:
    """Kill this process group, which the caller leads, when the last writer of `pipe` closes it.

    Elsewhere than on Linux a thread watches.
    """
    if sys.platform == "linux":
        tie(descriptor_of_its_own(pipe), os.getpid())
    else:
        threading.Thread(target=_watch, args=(pipe,), daemon=True).start()


def descriptor_of_its_own(pipe: int) -> int:
    """Open the reading end of a pipe once more.

    What `tie` sets is shared by all descriptors that were copied from each other.
    """
    return os.open(f"/proc/self/fd/{pipe}", _READ_OWN)


def tie(pipe: int, group: int) -> None:
    """Let the kernel kill a process group when the last writer of `pipe` closes it.

    The group must keep the descriptor open. Neither user code nor a stopped thread is in the way.
    Should the pipe have been closed before now, the end of the executor's channel says the same.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
    fcntl.fcntl(pipe, _F_SETSIG, _SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, _ASYNC)


def is_cut(pipe: int, timeout_ms: int = 1000) -> bool:
    """Whether the last writer of `pipe` is gone; one that dies closes its descriptors in turn."""
    poller = select.poll()
    poller.register(pipe, 0)
    return bool(poller.poll(timeout_ms))


def _watch(pipe: int) -> None:
    poller = select.poll()
    poller.register(pipe, 0)
    poller.poll()
    os.killpg(os.getpid(), signal.SIGKILL)


# Found once, in the zygote: executors are forked with it.
_prctl: Any = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
