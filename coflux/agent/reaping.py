"""Ending process groups, and reading how a process ended. Whose processes does not belong here."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from coflux.agent.control import Exited

if TYPE_CHECKING:
    import resource


def exited(pid: int, status: int, usage: resource.struct_rusage, is_tidy: bool = False) -> Exited:
    """What `os.wait4` says of a process."""
    code = os.waitstatus_to_exitcode(status)
    # Kilobytes on Linux, bytes on macOS.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if code < 0:
        return Exited(pid, signal=-code, peak_memory=peak)
    return Exited(pid, exit_code=code, peak_memory=peak, is_tidy=is_tidy)


def kill_group(pid: int) -> None:
    """Kill a process group, if it is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
