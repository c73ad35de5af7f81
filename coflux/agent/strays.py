"""Processes that outlive the executor that started them.

Belongs here: finding and killing them, without touching other children of the agent's process.
Does not belong here: executors themselves.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

#: In the environment of everything below a zygote; tells its descendants from other children.
MARK = "COFLUX_AGENT_MARK"


def kill_group(pid: int) -> None:
    """Kill a process group, if it is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill(known: set[int], sessions: set[int], mark: str) -> bool:
    """Kill the children of this process that dead executors left; True while some are dying.

    `known` are children to leave alone. A stray belongs to a session in `sessions`, or carries
    `mark` in its environment.
    """
    is_dying = False
    for pid in _children():
        if pid in known or not _is_stray(pid, sessions, mark):
            continue
        try:
            os.kill(pid, signal.SIGKILL)
            found, _ = os.waitpid(pid, os.WNOHANG)
            is_dying |= found == 0
        except (ProcessLookupError, ChildProcessError, PermissionError):
            continue
    return is_dying


def _children() -> list[int]:
    if sys.platform != "linux":
        # Orphans do not come to us there.
        return []
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found.extend(int(pid) for pid in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _is_stray(pid: int, sessions: set[int], mark: str) -> bool:
    try:
        if os.getsid(pid) in sessions:
            return True
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environment
