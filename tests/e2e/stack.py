"""A whole Coflux in processes of its own: a server, agents and commands, in one private folder.

Belongs here: starting, watching, killing and counting the processes of a stack, and reading what
it says. Does not belong here: what any test expects.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil

from coflux.client import Client
from coflux.client.outcome import Outcome
from coflux.config import Config
from coflux.errors import CofluxError

T = TypeVar("T")

#: Seconds that anything may take before a test gives up on it.
PATIENCE_S = 30.0
#: Seconds that the processes of a stack may take to be gone once they should be.
END_S = 10.0
#: In the environment of every process of a stack.
MARK = "E2E_STACK"
#: Where the witness file is, for target functions.
WITNESS = "E2E_WITNESS"


def until(
    condition: Callable[[], T | None],
    what: str,
    timeout_s: float = PATIENCE_S,
    step_s: float = 0.02,
) -> T:
    """Wait until the condition holds; gives what it gave. Refusals count as not yet."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            if found := condition():
                return found
            last = found
        except (CofluxError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what} (last: {last!r})")
        time.sleep(step_s)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its output as a JSON document on each line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Seen:
    """One line of the witness: something that a target function did."""

    what: str
    execution: str
    pid: int


class Agent:
    """An agent process of a stack."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, session: str) -> None:
        self.process = process
        self.log = log
        self.session = session

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text("utf-8", "replace")

    def zygotes(self) -> list[psutil.Process]:
        """Its zygotes, oldest first: each leads a session."""
        found = [p for p in _children(self.pid) if _session(p) == p.pid]
        return sorted(found, key=lambda process: process.pid)

    def zygote(self) -> psutil.Process:
        """The newest zygote."""
        return self.zygotes()[-1]

    def executors(self) -> list[psutil.Process]:
        """Its executors, busy or not: each leads a group in the session of its zygote."""
        below = _children(self.pid, recursive=True)
        return [p for p in below if _group(p) == p.pid and _session(p) not in (p.pid, None)]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Let it drain and end; its exit code."""
        self.signal()
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()


class Stack:
    """A server with its agents. A context manager that leaves no process behind."""

    def __init__(self) -> None:
        # Not pytest's folder: the addresses of Unix sockets are short.
        self.folder = Path(tempfile.mkdtemp(prefix="cfx-"))
        self.mark = uuid.uuid4().hex
        self.data_dir = self.folder / "data"
        self.work = self.folder / "work"
        self.witness_path = self.folder / "witness"
        for name in ("run", "work", "tmp", "state", "home"):
            (self.folder / name).mkdir(mode=0o700)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("COFLUX_", "XDG_"))},
            MARK: self.mark,
            WITNESS: str(self.witness_path),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_DATA_HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONWARNINGS": "error",
        }
        self.server: subprocess.Popen[bytes] | None = None
        self.agents: list[Agent] = []
        #: The environment of everything that is not told another; None is `default`.
        self.place: str | None = None
        self._count = 0
        self.url = ""
        self.token = ""
        self.port = 0
        self._clients: dict[tuple[str, str | None], Client] = {}

    # --- server ---------------------------------------------------------------------------------

    def start_server(self, *arguments: str) -> None:
        """Start the server, on the port it had before if it had one, and wait until it answers."""
        command = ["server", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        log = (self.folder / "server.log").open("ab")
        with log:
            self.server = self._popen([*command, *arguments], stdout=log, stderr=log)
        assert self.server is not None
        runtime = self.folder / "run" / "coflux" / f"server-{self.server.pid}.json"
        until(lambda: self._server_is_up(runtime), "the server answers")
        found = json.loads(runtime.read_text())
        self.url, self.token = str(found["url"]).rstrip("/"), str(found["token"] or "")
        self.port = int(self.url.rpartition(":")[2].partition("/")[0])
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _server_is_up(self, runtime: Path) -> bool:
        assert self.server is not None
        if self.server.poll() is not None:
            raise AssertionError(f"the server ended: {self.server_said()[-2000:]}")
        return runtime.exists()

    def server_said(self) -> str:
        """What it has printed."""
        log = self.folder / "server.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def kill_server(self) -> None:
        """End the gateway as a crash would; its project processes follow by themselves."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def stop_server(self) -> int:
        """End it in order; its exit code."""
        assert self.server is not None
        self.server.terminate()
        return self.server.wait(PATIENCE_S)

    def project_process(self, project: str = "default") -> psutil.Process | None:
        """The process that decides for a project, if it runs."""
        assert self.server is not None
        for process in _children(self.server.pid):
            words = _command(process)
            if "coflux.server.project.process" in words and project in words:
                return process
        return None

    def project_said(self) -> str:
        """What the project processes have printed."""
        logs = self.data_dir.glob("projects/*/process.log")
        return "\n".join(log.read_text("utf-8", "replace") for log in logs)

    # --- agents ---------------------------------------------------------------------------------

    def write(self, name: str, source: str) -> Path:
        """Write a file into the working directory of agents and commands."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place, so that nobody imports half of it.
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(textwrap.dedent(source), encoding="utf-8")
        temporary.replace(path)
        return path

    def start_agent(self, *arguments: str, wait: bool = True, **variables: str) -> Agent:
        """Start an agent with these arguments of the command line, and wait until it serves."""
        self._count += 1
        log, ready = (self.folder / f"agent-{self._count}.{kind}" for kind in ("log", "json"))
        words = ["agent", *arguments, "--json"]
        with log.open("wb") as err, ready.open("wb") as out:
            process = self._popen(words, variables, stdout=out, stderr=err)
        agent = Agent(process, log, "")
        self.agents.append(agent)
        if wait:
            until(lambda: self._has_session(agent, ready), "the agent is connected")
            agent.session = str(json.loads(ready.read_text())["session"])
            until(lambda: self.agent_info(agent), "the server shows the agent")
        return agent

    def _has_session(self, agent: Agent, ready: Path) -> bool:
        if agent.process.poll() is not None:
            raise AssertionError(f"the agent ended: {agent.said()[-2000:]}")
        return ready.read_text().endswith("\n")

    def agent_info(self, agent: Agent) -> dict[str, Any] | None:
        """The agent as the server shows it, in whichever environment it is."""
        found = self.client().request("GET", "/agents", query={})
        return next((a for a in found if a["session"] == agent.session), None)

    # --- commands and clients -------------------------------------------------------------------

    def cli(self, *arguments: str, timeout_s: float = 2 * PATIENCE_S, **variables: str) -> Finished:
        """Run a command to its end."""
        process = self.start_cli(*arguments, **variables)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(
                f"coflux {' '.join(arguments)} did not end in {timeout_s} s: {out!r} {err!r}"
            ) from None
        return Finished(process.returncode, out.decode(), err.decode())

    def start_cli(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command; its output is in pipes."""
        return self._popen(
            list(arguments), variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def client(self, environment: str | None = None, project: str = "default") -> Client:
        """A client with the admin's token."""
        environment = environment or self.place
        key = (project, environment)
        if key not in self._clients:
            sources = {} if environment is not None else {"environment": "default"}
            self._clients[key] = Client(
                Config(
                    self.url, self.token, project, environment or "default", self.data_dir, sources
                )
            )
        return self._clients[key]

    def client_with(self, token: str) -> Client:
        """A client with another token, which outlives the server. Nobody else uses it."""
        return Client(Config(self.url, token, "default", "default", self.data_dir))

    def _popen(
        self, arguments: list[str], variables: dict[str, str] | None = None, **streams: Any
    ) -> subprocess.Popen[bytes]:
        place = {"COFLUX_ENVIRONMENT": self.place} if self.place else {}
        return subprocess.Popen(
            [sys.executable, "-m", "coflux", *arguments],
            stdin=subprocess.DEVNULL,
            cwd=self.work,
            env={**self.environment, **place, **(variables or {})},
            **streams,
        )

    # --- what happened --------------------------------------------------------------------------

    def submit(self, target: str, *arguments: Any, environment: str | None = None) -> str:
        """Start a run of a registered target; its id."""
        return self.client(environment).submit(target, *arguments).id

    def outcome(self, id: str, timeout_s: float = PATIENCE_S) -> Outcome:
        """The resolved outcome of a run, step or execution."""
        try:
            return self.client().wait_outcome(id, timeout_s)
        except TimeoutError as error:
            run = json.dumps(self.client().inspect(id.partition(":")[0]), indent=1)
            raise AssertionError(f"{error}\n{run}") from None

    def run(self, target: str, *arguments: Any, environment: str | None = None) -> Any:
        """Run a registered target to its end; its value."""
        return self.value(self.submit(target, *arguments, environment=environment))

    def value(self, id: str, timeout_s: float = PATIENCE_S) -> Any:
        """The value that a run, step or execution ended with."""
        outcome = self.outcome(id, timeout_s)
        assert outcome.kind == "value", outcome.body
        return outcome.body["value"]

    def execution(self, id: str) -> dict[str, Any]:
        """An attempt as `runs inspect` shows it. `id` is complete, or of a step's last attempt."""
        number, _, attempt = id.partition(":")[2].partition(":")
        steps = self.client().inspect(id.partition(":")[0])["steps"]
        found = [s for s in steps if s["step"].rpartition(":")[2] == (number or "1")]
        if not found:
            raise LookupError(f"{id} is not there (yet)")
        step = found[0]
        attempts = [e for e in step["executions"] if not attempt or e["execution"] == id]
        newest: dict[str, Any] = attempts[-1]
        return newest

    def until_status(self, id: str, *statuses: str, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until an attempt has one of the statuses; gives the attempt."""

        def look() -> dict[str, Any] | None:
            try:
                found = self.execution(id)
            except LookupError:
                return None
            return found if found["status"] in statuses else None

        return until(look, f"{id} is {' or '.join(statuses)}", timeout_s)

    def logs(self, id: str, **filters: Any) -> list[dict[str, Any]]:
        """All log entries of a run, step or execution."""
        return self.client().logs(id, **filters)[0]

    def seen(self, what: str | None = None, run: str | None = None) -> list[Seen]:
        """What target functions did, in order."""
        if not self.witness_path.exists():
            return []
        lines = [line.split(" ") for line in self.witness_path.read_text().splitlines()]
        every = [Seen(word, execution, int(pid)) for word, execution, pid in lines]
        return [
            each for each in every
            if what in (None, each.what) and run in (None, each.execution.partition(":")[0])
        ]  # fmt: skip

    def until_seen(self, what: str, run: str, timeout_s: float = PATIENCE_S) -> Seen:
        """Wait until a target function of the run did something; gives the last time."""
        return until(lambda: self.seen(what, run), f"{what} of {run}", timeout_s)[-1]

    def is_any_alive(self, path: Path) -> bool:
        """Whether a process lives whose id a target function left in the file."""
        pids = [int(pid) for pid in path.read_text().split()]
        return any(each.pid in pids for each in self.processes())

    # --- the end --------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Every living process of the stack."""
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return bool(is_alive and process.environ().get(MARK) == self.mark)
        except (psutil.Error, OSError):
            return False

    def close(self) -> None:
        """End everything in order; fails if a process is left or had to be killed."""
        late = self.stop_agents()
        if self.server is not None:
            if self.server.poll() is None:
                self.server.terminate()
            late += _reap(self.server, "server")
        for client in self._clients.values():
            client.close()
        late += self.kill_leaks()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not late, f"left behind: {late}"

    def stop_agents(self) -> list[str]:
        """End the agents without waiting for what they run; those that had to be killed."""
        for agent in self.agents:
            if agent.process.poll() is None:
                # Twice: what still runs is not waited for.
                agent.signal()
                agent.signal(signal.SIGINT)
        late = [each for agent in self.agents for each in _reap(agent.process, "agent")]
        self.agents.clear()
        return late

    def kill_leaks(self) -> list[str]:
        """Kill what is still there after a while that should be gone; the command lines."""
        _, left = psutil.wait_procs(self.processes(), timeout=END_S)
        # Forked in the meantime, for all we know.
        left = self.processes()
        names = [f"{process.pid} {_command(process)}" for process in left]
        for process in left:
            process.kill()
        return names

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def story(self) -> str:
        """The last words of each process, to be shown with a failure."""
        said = {"server": self.server_said(), "projects": self.project_said()}
        for number, agent in enumerate(self.agents):
            said[f"agent {number}"] = agent.said()
        return "\n".join(f"--- {name}\n{text[-6000:]}" for name, text in said.items())


def _children(pid: int, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive)
    except psutil.NoSuchProcess:
        return []
    return found


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _command(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


def _reap(process: subprocess.Popen[bytes], name: str) -> list[str]:
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return [f"{name} {process.pid} did not end"]
    return []
