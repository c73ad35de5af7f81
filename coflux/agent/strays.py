"""Processes that outlive the executor that started them.

Belongs here: finding and killing them, without touching other children of the agent's process.
Does not belong here: executors themselves.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

#: In the environment of everything below a zygote; tells its descendants from other children.
MARK = "COFLUX_AGENT_MARK"


class Strays:
    """Finds and kills what dead executors have left.

    A stray carries `mark` in its environment, or belongs to one of `sessions`.
    """

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        #: Sessions of zygotes and of spawned executors.
        self.sessions: set[int] = set()
        #: Killed, and not reaped yet: dead processes have no environment to know them by.
        self._doomed: set[int] = set()

    def kill(self, known: Callable[[], set[int]]) -> bool:
        """Kill them all, except the children that are known; True while some are still dying.

        `known` is called after looking: what it says then covers all that was seen.
        """
        while True:
            children = _children()
            others = set(children) - known()
            found = [pid for pid in children if pid in others and self._is_stray(pid)]
            if not found:
                return False
            results = [self._kill_and_reap(pid) for pid in found]
            if not all(results):
                return True
            # The kernel's list may lack some while others leave it; and children of those that
            # were killed have come to us.

    def _is_stray(self, pid: int) -> bool:
        if pid in self._doomed:
            return True
        try:
            if os.getsid(pid) in self.sessions:
                return True
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    def _kill_and_reap(self, pid: int) -> bool:
        self._doomed.add(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            reaped, _ = os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError, PermissionError):
            reaped = pid
        if reaped:
            self._doomed.discard(pid)
        return bool(reaped)


def kill_all_marked() -> None:
    """Kill whatever carries the mark that this process carries, apart from itself.

    For a zygote whose agent is gone: nobody else can find what has left its executor's group.
    """
    mark = f"{MARK}={os.environ.get(MARK, '')}".encode()
    if sys.platform != "linux" or MARK not in os.environ:
        return
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            # Gone already, or not ours.
            continue


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
