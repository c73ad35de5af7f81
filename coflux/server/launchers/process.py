"""Agents as processes on the server's own machine.

A launched agent outlives the server: what it runs goes on through a restart, after which it is
found by a variable in its environment. It gives up by itself when no server comes back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from coflux.server.launchers.launcher import LaunchFailed, Look, Order, agent_arguments, last_lines

#: In the environment of a launched agent: which launch it is, and of which server's project.
LAUNCH, OWNER = "COFLUX_LAUNCH", "COFLUX_LAUNCH_OWNER"
#: Files with the output of agents that are kept.
_LOGS_KEPT = 20


class ProcessLauncher:
    """Starts `coflux agent` as a child process."""

    settings: Mapping[str, str] = {
        "directory": "where repositories are imported from (default: the server's own directory)",
        "python": "the Python to run (default: the server's own)",
        "server": "address of the server for its agents",
    }
    required: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        #: Where the output of agents is kept.
        self._folder = folder
        self._processes: dict[str, psutil.Popen | psutil.Process] = {}

    def start(self, order: Order) -> None:
        """Start a process; raises `LaunchFailed` where there is no such Python or directory."""
        python = order.settings.get("python", sys.executable)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")}
        own = {LAUNCH: order.launch, OWNER: order.owner}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_logs()
        with self._log(order.launch).open("wb") as log:
            try:
                self._processes[order.launch] = psutil.Popen(
                    [python, "-m", "coflux", *agent_arguments(order)],
                    cwd=order.settings.get("directory") or None,
                    env={**inherited, **order.variables, **order.secrets, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise LaunchFailed(f"the process could not be started: {error}") from error

    def stop(self, launch: str, *, now: bool) -> None:
        """End it by a signal: to drain, or at once."""
        process = self._processes.get(launch)
        if process is None:
            return
        try:
            process.send_signal(signal.SIGKILL if now else signal.SIGTERM)
        except psutil.NoSuchProcess:
            return

    def look(self, launches: Iterable[str]) -> dict[str, Look]:
        """Whether they run; how they ended is known of those this server has started."""
        return {launch: self._look(launch) for launch in launches if launch in self._processes}

    def _look(self, launch: str) -> Look:
        process = self._processes[launch]
        if isinstance(process, psutil.Popen):
            code = process.poll()
            if code is None:
                return Look(True)
            error = None if code == 0 else _how(code)
        else:
            try:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    return Look(True)
            except psutil.NoSuchProcess:
                pass
            error = None
        del self._processes[launch]
        return Look(False, error, self._said(launch))

    def found(self, owner: str) -> list[str]:
        """Processes that an earlier server has started."""
        for process in psutil.process_iter():
            try:
                variables = process.environ()
                launch = variables.get(LAUNCH)
                if launch is None or variables.get(OWNER) != owner:
                    continue
                known = self._processes.get(launch)
                # Its children have the variable as well.
                if known is None or process.create_time() < known.create_time():
                    self._processes[launch] = process
            except (psutil.Error, OSError):
                continue
        return list(self._processes)

    def _log(self, launch: str) -> Path:
        return self._folder / f"{launch}.log"

    def _said(self, launch: str) -> tuple[str, ...]:
        try:
            return last_lines(self._log(launch).read_text("utf-8", "replace"))
        except OSError:
            return ()

    def _remove_logs(self) -> None:
        logs = sorted(self._folder.glob("*.log"), key=lambda log: log.stat().st_mtime)
        for log in logs[:-_LOGS_KEPT]:
            if log.stem not in self._processes:
                log.unlink(missing_ok=True)


def _how(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
