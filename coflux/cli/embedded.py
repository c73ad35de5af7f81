"""A server and agents that live as long as one command does.

Belongs here: starting them as child processes, finding a server that runs already over the same
data, and stopping what was started. Does not belong here: what the command does with them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from coflux import config
from coflux.cli.output import clean, note
from coflux.errors import Refused, Unavailable

if TYPE_CHECKING:
    from coflux.cli.options import Invocation
    from coflux.client import Run

#: What an agent prints when it serves, before its session's id.
AGENT_READY = "ready: session"
_READY_S = 20.0
_STOP_S = 10.0
_LOOK_S = 0.01
_LOG_LINES = 5


class Embedded:
    """A server to work with for a while; a context manager.

    A server that runs already over the data directory is used and left running; another is
    started otherwise, and `ready` waits for it, so that there is time for something else
    meanwhile. Agents started here end with it in either case.
    """

    def __init__(self, call: Invocation, data_dir: Path, *, verbose: bool = False) -> None:
        self._call = call
        self._data_dir = data_dir
        #: Output of the processes goes to the terminal instead of a file.
        self._verbose = verbose
        self._server: subprocess.Popen[bytes] | None = None
        self._agents: list[subprocess.Popen[bytes]] = []
        self._is_stopping = False
        self.config = call.config

    @property
    def is_attached(self) -> bool:
        """Whether the server is somebody else's."""
        return self._server is None

    def __enter__(self) -> Embedded:
        if _is_explicit(self.config):
            return self
        if not config.running_servers(self._data_dir):
            arguments = ["server", "--port", "0", "--data-dir", str(self._data_dir)]
            self._server = self._start([*arguments, "--exit-on-stdin-eof"], "server.log", {})
        return self

    def ready(self) -> None:
        """Wait until the server answers; from then on the call's configuration leads to it.

        Raises `Unavailable` where it does not start, with the end of what it said.
        """
        if _is_explicit(self.config):
            return
        running = self._wait_for_server()
        token = self._call.flags["token"] or running.token
        self.config = replace(self.config, host=running.url, token=token)
        # A client made later from this call has to find the same server.
        self._call.__dict__["config"] = self.config

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def start_agent(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `coflux agent` with these arguments; it ends when this command does."""
        settings = self.config
        variables = {
            "COFLUX_HOST": settings.host,
            "COFLUX_PROJECT": settings.project,
            "COFLUX_ENVIRONMENT": settings.environment,
        }
        if settings.token:
            # Not among the arguments, which every process of the machine can read (AU-5).
            variables["COFLUX_TOKEN"] = settings.token
        command = ["agent", "--exit-on-stdin-eof", *arguments]
        agent = self._start(command, "agent.log", variables)
        self._agents.append(agent)
        return agent

    def agent_ready(self, agent: subprocess.Popen[bytes]) -> None:
        """Wait until the agent serves; raises `Unavailable` where it does not, saying why."""
        path = self._data_dir / "agent.log"
        deadline = time.monotonic() + _READY_S
        while AGENT_READY.encode() not in path.read_bytes():
            if agent.poll() is not None:
                raise Unavailable(f"the agent did not start: {self._last_lines('agent.log')}")
            if time.monotonic() > deadline:
                raise Unavailable(f"the agent was not ready after {_READY_S:.0f} s; see {path}")
            time.sleep(_LOOK_S)

    def cancel_without(self, agent: subprocess.Popen[bytes], run: Run) -> None:
        """Cancel the run if the agent ends by itself, because nobody else would ever run it."""
        threading.Thread(target=self._cancel_without, args=(agent, run), daemon=True).start()

    def _cancel_without(self, agent: subprocess.Popen[bytes], run: Run) -> None:
        agent.wait()
        if not self._is_stopping:
            note(f"the agent ended: {self._last_lines('agent.log')}")
            with contextlib.suppress(Refused):
                run.cancel()

    def wait(self) -> str:
        """Wait until the server or an agent has ended, and say which; or for Ctrl-C."""
        mine = [("the agent", agent) for agent in self._agents]
        if self._server is not None:
            mine.append(("the server", self._server))
        while True:
            for name, process in mine:
                if process.poll() is not None:
                    return name
            time.sleep(0.2)  # nothing waits for several processes at once

    # --- processes ----------------------------------------------------------------------------

    def _wait_for_server(self) -> config.RunningServer:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            for running in config.running_servers(self._data_dir):
                return running
            if self._server is None or self._server.poll() is not None:
                raise Unavailable(f"the server did not start: {self._last_lines('server.log')}")
            time.sleep(_LOOK_S)
        raise Unavailable(
            f"the server was not ready after {_READY_S:.0f} s; see {self._data_dir / 'server.log'}"
        )

    def _start(
        self, arguments: Sequence[str], log: str, variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **variables}
        if self._verbose:
            return self._popen(arguments, None, environment)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with (self._data_dir / log).open("wb") as file:
            return self._popen(arguments, file.fileno(), environment)

    def _popen(
        self, arguments: Sequence[str], output: int | None, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "coflux", *arguments],
            # The children end with this pipe, also when this process is killed.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            # Ctrl-C is for this process, which then stops them in order.
            start_new_session=True,
        )

    def _stop(self) -> None:
        self._is_stopping = True
        for agent in self._agents:
            _end(agent)
        if self._server is not None:
            _end(self._server)
        self._agents, self._server = [], None

    def _last_lines(self, log: str) -> str:
        path = self._data_dir / log
        try:
            lines = path.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return "it left no output"
        return clean(" / ".join(lines[-_LOG_LINES:])) or "it left no output"


def sign_in_url(settings: config.Config) -> str:
    """Address that opens the UI; with the token on a terminal only, since a pipe may be logged."""
    if settings.token and sys.stdout.isatty():
        return f"{settings.host}/?{urlencode({'token': settings.token})}"
    return f"{settings.host}/"


def _is_explicit(settings: config.Config) -> bool:
    """Whether somebody has named a server, by flag, variable or file."""
    source = settings.sources.get("host", "default")
    return source != "default" and not source.startswith("running server")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process in good order: the end of its stdin tells it so."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
