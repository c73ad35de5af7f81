"""The executions that the agent has, and the executors that run them.

Belongs here: giving work to executors, timeouts, aborts, and what is reported when something ends.
Does not belong here: which execution runs and when (the server decides), processes (`nursery`), and
the connection (`session`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec

from coflux import wire
from coflux.agent import channel
from coflux.agent.config import AgentConfig
from coflux.agent.control import Exited, Given, Line, Loaded, Settings
from coflux.agent.link import Link
from coflux.agent.masking import Secrets
from coflux.agent.memory import OutOfMemory
from coflux.agent.nursery import Nursery
from coflux.agent.output import Journal, Stream
from coflux.model import Crashed, Record, Result, TimedOut

#: Between SIGINT and SIGKILL, in seconds.
GRACE_S = 5.0
#: Executors that wait for work, ready before it comes.
_SPARES = 2
#: Executors that are kept for use again: with several, one that is idle has also cleaned up.
_WARM = 8
#: Executions remembered, so that one which the server sends again is not started again.
_REMEMBERED = 100_000

_encode = msgspec.msgpack.Encoder().encode
_decode_line = msgspec.msgpack.Decoder(Line).decode


class Assigned(Record, tag="execute"):
    """The fields of `wire.Execute` that the agent needs; the rest goes to the executor as it is."""

    execution: str
    repository: str = ""
    target: str = ""
    pickle: str | None = None
    timeout_ms: int = 0


class _Ended(Record, tag="ended"):
    """`wire.Ended` with a result that is encoded already."""

    execution: str
    result: msgspec.Raw
    gone: bool = True


class Reporter(Protocol):
    """Where reports go."""

    def report(self, message: bytes, *, is_urgent: bool = True) -> None:
        """Send a report; one that is not urgent may wait a moment for company."""

    def report_outcome(self, execution: str, message: bytes) -> None:
        """Send an outcome, which must survive."""

    def request(self, execution: str, key: int, message: bytes) -> None:
        """Send a request of running code."""

    def keep_entry(self, entry: bytes) -> None:
        """Send a log entry."""

    def keep_measurement(self, measurement: bytes) -> None:
        """Send a point of a metric."""

    def on_remark(self, assigned: Assigned, text: str) -> None:
        """Something about the surroundings of a target that the user should know."""

    def on_idle(self) -> None:
        """The last execution has ended."""

    def begin_turn(self) -> None:
        """What follows may lead to several messages; they go together."""

    def end_turn(self) -> None:
        """All that it led to has been said."""


class Assignment:
    """One execution that the agent has."""

    def __init__(self, assigned: Assigned, message: bytes, journal: Journal) -> None:
        self.assigned = assigned
        self.execution = assigned.execution
        self.timeout_ms = assigned.timeout_ms
        self.message = message
        self.journal = journal
        self.link: Link | None = None
        self.is_started = False
        #: Its outcome has been reported, or nobody wants it any more.
        self.is_over = False
        self.timer: asyncio.TimerHandle | None = None


class Pool:
    """The agent's executions and executors."""

    def __init__(
        self,
        config: AgentConfig,
        folder: Path,
        reporter: Reporter,
        on_loaded: Callable[[int, Loaded], None],
    ) -> None:
        self._config = config
        self._folder = folder
        self._reporter = reporter
        self._on_loaded = on_loaded
        self._loop = asyncio.get_running_loop()
        self._nursery = Nursery(config, folder, self)
        self._assignments: dict[str, Assignment] = {}
        self._waiting: deque[Assignment] = deque()
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._links: dict[int, Link] = {}
        #: Executors without work: being born, and ready.
        self._unborn: set[int] = set()
        #: In turn, so that each has time to tidy up.
        self._idle: deque[Link] = deque()
        self._by_pid: dict[int, Link] = {}
        self._tickets = 0
        self._sweeper = ThreadPoolExecutor(1, "coflux-directories")
        self._memory = OutOfMemory()
        self._secrets = Secrets(config.secrets, os.environ)
        self._is_paused = False
        #: Begins the marks that executors write among their output.
        self.secret = b"\0" + secrets.token_hex(8).encode() + b"\0"
        self._is_reusing = config.isolation == "reuse"

    # --- generations of code --------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Number of the generation that new executors come from."""
        return self._nursery.generation

    def load(self, preload: tuple[str, ...] | None = None) -> int:
        """Import the repositories in a new process; `on_loaded` is told when that is done.

        `preload` are modules to import besides, from now on.
        """
        if preload is not None:
            self._nursery.preload = preload
        return self._nursery.start()

    def use(self, generation: int) -> None:
        """Run new executions with this generation's code; the older ones end with their work."""
        self._nursery.use(generation)
        for link in list(self._idle):
            if link.generation != generation:
                self._dismiss(link)
        self._retire_generations()

    def configure(self, settings: Settings) -> None:
        """Executors work with these settings from now on, and some get ready."""
        self._nursery.configure(settings)
        for link in list(self._idle):
            self._dismiss(link)
        self._prepare()

    def _retire_generations(self) -> None:
        used = {link.generation for link in self._links.values()} | {self.generation}
        self._nursery.retire_all_but(used)

    # --- what the server wants ------------------------------------------------------------------

    def execute(self, assigned: Assigned, message: bytes) -> None:
        """Run an execution; `message` is the encoded `wire.Execute`."""
        execution = assigned.execution
        if execution in self._remembered:
            # Sent again, because our word that we have it was lost (T8).
            self._reporter.report(_encode(wire.Acknowledged(execution)))
            return
        self._remembered[execution] = None
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        journal = Journal(execution, self._reporter.keep_entry, self._secrets.masks)
        assignment = Assignment(assigned, message, journal)
        self._assignments[execution] = assignment
        if self._idle:
            self._start(assignment, self._idle.popleft())
        else:
            self._reporter.report(_encode(wire.Acknowledged(execution)), is_urgent=False)
            self._waiting.append(assignment)
        self._prepare()

    def answer(self, execution: str, key: int, answer: bytes) -> None:
        """Pass an encoded `wire.Answer` on to the code that waits for it."""
        assignment = self._assignments.get(execution)
        if assignment is not None and assignment.link is not None and not assignment.is_over:
            assignment.link.send(channel.REPLY, key, answer)

    def abort(self, execution: str, now: bool = False) -> None:
        """Stop an execution: SIGINT, grace, SIGKILL; or SIGKILL at once."""
        assignment = self._assignments.get(execution)
        if assignment is None:
            self._reporter.report(_encode(wire.Gone(execution)))
            return
        assignment.is_over = True
        if assignment.link is None:
            self._waiting.remove(assignment)
            self._finish(assignment)
            self._reporter.report(_encode(wire.Gone(execution)))
        else:
            self._stop(assignment.link, 0 if now else GRACE_S)

    def held(self) -> list[wire.Held]:
        """What the agent has, also where only the process is left."""
        return [
            wire.Held(each.execution, "running" if each.is_started else "assigned")
            for each in self._assignments.values()
        ]

    def keep(self, executions: Iterable[str]) -> None:
        """Stop everything else (SE-4)."""
        kept = set(executions)
        for execution, assignment in list(self._assignments.items()):
            if execution not in kept and not assignment.is_over:
                self.abort(execution)

    def kill_all(self) -> None:
        """End all executors now; nothing is reported."""
        for assignment in list(self._assignments.values()):
            assignment.is_over = True
            if assignment.link is None:
                self._finish(assignment)
        self._waiting.clear()
        for link in list(self._links.values()):
            self._stop(link, 0)

    @property
    def count(self) -> int:
        """How many executions the agent has."""
        return len(self._assignments)

    @property
    def is_busy(self) -> bool:
        """Whether the agent has any execution whose process may live."""
        return bool(self._assignments)

    # --- executors ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Let as many executors be born as will be needed."""
        wanted = len(self._waiting)
        if not self._is_reusing:
            wanted += min(_SPARES, self._config.concurrency)
        while len(self._idle) + len(self._unborn) < wanted:
            self._bear()
        while self._is_reusing and len(self._links) < min(_WARM, self._config.concurrency):
            self._bear()

    def _bear(self) -> None:
        self._tickets += 1
        ticket = self._tickets
        connection, out, err = self._nursery.bear(ticket)
        self._links[ticket] = Link(
            ticket,
            self._nursery.generation,
            connection,
            (Stream(out, "stdout", self.secret), Stream(err, "stderr")),
            self._on_frames,
        )
        self._unborn.add(ticket)

    def on_forked(self, ticket: int, pid: int) -> None:
        """The executor of a ticket lives (a spawned one still has to import)."""
        link = self._links.get(ticket)
        if link is None:
            return
        link.pid = pid
        self._by_pid[pid] = link
        if self._config.isolation != "spawn":
            self._on_ready(link)

    def _on_ready(self, link: Link) -> None:
        self._unborn.discard(link.ticket)
        if link.is_killed or link.generation != self._nursery.generation:
            self._dismiss(link)
            self._prepare()
        else:
            self._employ(link)

    def _employ(self, link: Link) -> None:
        if self._waiting:
            self._start(self._waiting.popleft(), link)
        else:
            self._idle.append(link)

    def _start(self, assignment: Assignment, link: Link) -> None:
        assignment.link, link.assignment = link, assignment
        assignment.is_started = True
        link.executions += 1
        link.write_to(assignment.journal)
        link.send(channel.EXECUTE, 0, assignment.message)
        assignment.message = b""
        # The outcome of a small task is a moment away; both then travel, and are stored, together.
        self._reporter.report(_encode(wire.Started(assignment.execution)), is_urgent=False)
        if assignment.timeout_ms:
            assignment.timer = self._loop.call_later(
                assignment.timeout_ms / 1000, self._time_out, assignment
            )

    def _dismiss(self, link: Link) -> None:
        """Let an executor without work end."""
        if link in self._idle:
            self._idle.remove(link)
        link.send(channel.RETIRE, 0, b"")

    def _stop(self, link: Link, grace_s: float) -> None:
        link.is_killed = True
        if grace_s > 0:
            link.signal_group(signal.SIGINT)
            self._loop.call_later(grace_s, link.signal_group, signal.SIGKILL)
        else:
            link.signal_group(signal.SIGKILL)

    # --- what executors say ---------------------------------------------------------------------

    def _on_frames(self, link: Link, frames: list[tuple[int, int, bytes]]) -> None:
        self._reporter.begin_turn()
        try:
            for kind, key, body in frames:
                self._on_frame(link, kind, key, body)
        finally:
            self._reporter.end_turn()

    def _on_frame(self, link: Link, kind: int, key: int, body: bytes) -> None:
        if kind == channel.READY:
            self._on_ready(link)
            return
        assignment = link.assignment
        if assignment is None:
            return
        if kind == channel.OUTCOME:
            self._on_outcome(link, assignment, bool(key), body)
        elif kind == channel.LOG:
            link.hold(key, _decode_line(body))
        elif kind == channel.REMARK:
            text = body.decode()
            assignment.journal.write("warning", text)
            self._reporter.on_remark(assignment.assigned, text)
        elif kind == channel.SECRET:
            self._give_secret(link, key, body.decode())
        elif kind == channel.MEASUREMENT:
            self._reporter.keep_measurement(body)
        elif assignment.is_over:
            return
        elif kind == channel.REQUEST:
            self._reporter.request(assignment.execution, key, body)
        elif kind == channel.NOTE:
            self._reporter.report(body)

    def _give_secret(self, link: Link, key: int, name: str) -> None:
        # From here on it is hidden, and only then the code has it.
        try:
            content = self._secrets.find(name)
        except (OSError, UnicodeDecodeError) as error:
            given = Given(problem=f"the file of the secret {name!r} cannot be read: {error}")
        else:
            problem = (
                f"this agent has no secret {name!r}; start it with --secret {name}=FILE, or with"
                f" the variable {name}"
            )
            given = Given(content, problem if content is None else "")
        link.send(channel.SECRET_GIVEN, key, _encode(given))

    def _on_outcome(
        self, link: Link, assignment: Assignment, has_children: bool, result: bytes
    ) -> None:
        link.finish_output()
        link.has_children = has_children
        stays = (
            self._is_reusing
            and not has_children
            and not link.is_killed
            and not link.is_dead
            and link.generation == self._nursery.generation
        )
        if not assignment.is_over:
            self._report_end(assignment, msgspec.Raw(result), gone=stays)
        if stays:
            link.assignment = None
            link.write_to(None)
            self._finish(assignment)
            self._employ(link)
        elif self._is_reusing and not link.is_killed and not has_children:
            # Of an older generation: it goes as soon as it sees that there is no more.
            self._dismiss(link)
        else:
            # A forked one is leaving on its own; threads or exit handlers may keep it.
            self._loop.call_later(GRACE_S, link.signal_group, signal.SIGKILL)
            if link.is_killed or self._is_reusing:
                link.signal_group(signal.SIGKILL)

    def _report_end(self, assignment: Assignment, result: msgspec.Raw, *, gone: bool) -> None:
        assignment.is_over = True
        if assignment.timer is not None:
            assignment.timer.cancel()
        message = _encode(_Ended(assignment.execution, result, gone))
        self._reporter.report_outcome(assignment.execution, message)

    def _time_out(self, assignment: Assignment) -> None:
        if assignment.is_over or assignment.link is None:
            return
        assignment.link.read_output()
        result: Result = TimedOut(assignment.timeout_ms)
        self._report_end(assignment, msgspec.Raw(_encode(result)), gone=False)
        self._stop(assignment.link, GRACE_S)

    # --- deaths ---------------------------------------------------------------------------------

    def on_loaded(self, generation: int, loaded: Loaded) -> None:
        """A generation's repositories have been imported."""
        self._on_loaded(generation, loaded)

    def on_unborn(self, tickets: list[int]) -> None:
        """Their zygote died before it forked them."""
        for ticket in tickets:
            self._unborn.discard(ticket)
            link = self._links.pop(ticket, None)
            if link is not None:
                link.close()
        # Only for work that waits: a zygote that keeps dying is not to be started for ever.
        if self._waiting:
            self._prepare()

    def on_exited(self, news: Exited) -> None:
        """An executor is dead, and so is its group."""
        link = self._by_pid.get(news.pid)
        if link is None:
            return
        link.is_dead = True
        link.drain()
        assignment = link.assignment
        if assignment is not None and assignment.is_over and not link.has_children:
            is_clean = not link.is_killed
        else:
            is_clean = assignment is None and not link.is_killed
        if is_clean:
            self._on_gone(link, news)
        else:
            self._nursery.sweep(lambda: self._on_gone(link, news))

    def _on_gone(self, link: Link, news: Exited) -> None:
        link.finish_output()
        assignment = link.assignment
        if assignment is not None:
            if assignment.is_over:
                message = _encode(wire.Gone(assignment.execution))
                self._reporter.report(message, is_urgent=link.is_killed)
            else:
                result: Result = self._crash(assignment, news)
                self._report_end(assignment, msgspec.Raw(_encode(result)), gone=True)
        link.close()
        if not news.is_tidy:
            self._remove_directories(link)
        del self._by_pid[news.pid]
        self._links.pop(link.ticket, None)
        self._unborn.discard(link.ticket)
        if link in self._idle:
            self._idle.remove(link)
        self._retire_generations()
        if assignment is not None:
            self._finish(assignment)
        if self._waiting:
            self._prepare()

    def _remove_directories(self, link: Link) -> None:
        # An orderly executor has removed its own. Looked for are that of its last execution, and
        # that which was made for the next.
        for count in (link.executions, link.executions + 1):
            directory = f"{self._folder}/{link.ticket}.{count}"
            if os.path.exists(directory):
                self._sweeper.submit(shutil.rmtree, directory, ignore_errors=True)

    def _crash(self, assignment: Assignment, news: Exited) -> Crashed:
        is_kill = news.signal == signal.SIGKILL
        return Crashed(
            exit_code=news.exit_code,
            signal=news.signal,
            out_of_memory=is_kill and self._memory.has_struck(),
            peak_memory=news.peak_memory,
            last_lines=assignment.journal.last_lines(),
        )

    def _finish(self, assignment: Assignment) -> None:
        self._assignments.pop(assignment.execution, None)
        if assignment.timer is not None:
            assignment.timer.cancel()
        if not self._assignments:
            self._reporter.on_idle()

    # --- flow -----------------------------------------------------------------------------------

    def pause_output(self, is_paused: bool) -> None:
        """Stop reading what executors print, or read it again."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            for link in self._links.values():
                link.pause_output(is_paused)

    def close(self) -> None:
        """End all processes."""
        for link in list(self._links.values()):
            link.signal_group(signal.SIGKILL)
            link.close()
        self._nursery.close()
        self._sweeper.shutdown()
