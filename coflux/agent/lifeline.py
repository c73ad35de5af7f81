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


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(pipe: int) -> None:
    """Kill this process group when the last writer of `pipe` closes it.

    The calling process must lead its group. The kernel does it, so that neither user code nor a
    stopped thread is in the way; elsewhere than on Linux a thread watches.
    """
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(pipe,), daemon=True).start()
        return
    # A description of its own: signals are set for all that share one.
    own = os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.dup2(own, pipe, inheritable=False)
    os.close(own)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(pipe, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    # It may have been closed before the kernel was told to watch.
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in _poll(pipe, 0)):
        os._exit(1)


def _poll(pipe: int, timeout: int | None) -> list[tuple[int, int]]:
    poller = select.poll()
    poller.register(pipe, 0)
    return poller.poll(timeout)


def _watch(pipe: int) -> None:
    _poll(pipe, None)
    os.killpg(os.getpid(), signal.SIGKILL)


# Found once, in the zygote: executors are forked with it.
_prctl: Any = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
