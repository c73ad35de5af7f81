"""The agent: what joins session, pool, reloading and registration.

Belongs here: what is done when one of them has something to say, and the agent's own end. Does not
belong here: their details, and the process's signals (`main`).
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import msgspec

from coflux import wire
from coflux.agent.config import AgentConfig
from coflux.agent.control import Loaded, Settings
from coflux.agent.folder import Folder, remove_abandoned
from coflux.agent.pool import Assigned, Pool
from coflux.agent.registration import register
from coflux.agent.remarks import Remarks
from coflux.agent.session import Session
from coflux.agent.spool import Ticket
from coflux.agent.watch import watch
from coflux.errors import Refused

_encode = msgspec.msgpack.Encoder().encode

#: More executions than these are a crowd: a caller and what it waits for are none.
_CROWD = 3

#: Longest pause before repositories whose import killed its process are imported again, in s.
_LOAD_AGAIN_MAX_S = 60
#: What was killed is dead within so many seconds, unless the kernel holds it.
_KILLED_S = 5.0


class Agent:
    """One agent process."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._incarnation = uuid.uuid4().hex
        self._folder = Folder()
        self._session = Session(config, self)
        self._pool = Pool(config, self._folder.path, self, self.on_loaded)
        self._loaded: Loaded | None = None
        self._first_load = asyncio.Event()
        self._has_settings = asyncio.Event()
        self._newest = 0
        #: How often in a row a generation was killed, or crashed, while it was loaded.
        self._cuts = 0
        self._remarks = Remarks()
        self._is_ready = False
        self._is_draining = False
        self._ended = asyncio.Event()
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until told to end. Raises `Refused` where the server gives no session."""
        self._newest = self._pool.load()
        self._start(self._serve())
        if self._config.give_up_s is not None:
            self._start(self._give_up(self._config.give_up_s))
        try:
            await self._ended.wait()
        finally:
            await _end(set(self._tasks))
            self._pool.kill_all()
            self._pool.close()
            self._folder.remove()
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> None:
        # What agents that were killed have left; nobody waits for it.
        asyncio.get_running_loop().run_in_executor(None, remove_abandoned)
        await self._session.open()
        await self._first_load.wait()
        if self._config.reload or self._config.dev:
            self._start(self._reload())
        await self._session.run()

    async def _give_up(self, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while loop.time() - heard_at < patience_s:
            await asyncio.sleep(min(1.0, patience_s / 4))
            if self._session.is_connected:
                heard_at = loop.time()
        self._say(f"no server for {patience_s:g} s; giving up")
        # Not from here: the end cancels all that was started.
        loop.call_soon(self._ended.set)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._ended.set()

    async def drain(self) -> None:
        """Take no new work, wait for what runs, at most for the drain timeout, and end."""
        if self._is_draining:
            return
        self._is_draining = True
        self._say("draining: no new work, waiting for what runs")
        self._session.report(_encode(wire.Draining()))
        if not await self._is_idle_within(self._config.drain_timeout_s):
            self._say("the drain timeout has passed; what still runs is killed")
        await self.end("drained")

    async def _is_idle_within(self, seconds: float) -> bool:
        if self._pool.is_busy:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), seconds)
            except asyncio.TimeoutError:
                return False
        return True

    async def end(self, reason: str) -> None:
        """End now: what still runs is killed, and recorded as abandoned."""
        if self._ended.is_set():
            return
        self._pool.kill_all()
        await self._session.close(reason)
        self._ended.set()

    def _say(self, text: str) -> None:
        if self._config.notice is not None:
            self._config.notice(text)

    # --- code -----------------------------------------------------------------------------------

    def on_loaded(self, generation: int, loaded: Loaded) -> None:
        """A generation's repositories have been imported."""
        if generation < self._newest:
            return
        if loaded.is_cut_short:
            self._load_later(generation)
            if self._loaded is not None:
                # What is hosted already can still be run.
                return
        else:
            self._cuts = 0
        self._newest = generation
        self._loaded = loaded
        for repository in loaded.repositories:
            if repository.failure is not None:
                self._say(f"{repository.name} cannot be imported:\n{repository.failure}")
        if self._session.is_connected:
            # Connected with the new code before the old one drains (SC-10).
            self._announce()
            self._start(self._register(loaded))
        self._pool.use(generation)
        self._first_load.set()

    async def _reload(self) -> None:
        await watch(self._config, self._files, self._load_again)

    def _files(self) -> tuple[str, ...]:
        return self._loaded.files if self._loaded is not None else ()

    def _load_again(self) -> None:
        self._say("a file has changed; loading again")
        self._newest = self._pool.load()

    def _load_later(self, generation: int) -> None:
        delay = min(2**self._cuts, _LOAD_AGAIN_MAX_S)
        self._cuts += 1
        self._say(f"the repositories could not be loaded; trying again in {delay} s")

        def load() -> None:
            # Unless a newer one has been loaded, or is being.
            if generation >= self._newest and not self._ended.is_set():
                self._newest = self._pool.load()

        asyncio.get_running_loop().call_later(delay, load)

    async def _get_ready(self, loaded: Loaded) -> None:
        await self._register(loaded)
        # Only now: whoever waits for an agent that registers wants to submit by name.
        if not self._is_ready and self._config.ready is not None:
            assert self._session.ticket is not None
            self._config.ready(self._session.ticket.session)
        self._is_ready = True

    async def _register(self, loaded: Loaded) -> None:
        if not (self._config.register or self._config.dev):
            return
        ticket = self._session.ticket
        # The session's token, because it lasts as long as the session does.
        config = replace(self._config, token=ticket.token) if ticket else self._config
        try:
            registered = await asyncio.get_running_loop().run_in_executor(
                None, register, config, loaded
            )
        except Refused as refusal:
            self._say(f"not registered: {refusal}")
            return
        if registered:
            self._say(f"registered {', '.join(registered)}")

    def announced(self) -> tuple[wire.Repository, ...]:
        """What the server is told of the repositories here."""
        return self._remarks.on(self._loaded.repositories if self._loaded is not None else ())

    def _announce(self) -> None:
        if self._session.is_connected:
            self._session.report(_encode(wire.Announced(self.announced())))

    # --- what the session says ------------------------------------------------------------------

    def hello(self, session: str) -> wire.Hello:
        """The opening of a connection."""
        # Until the server has an outcome, it must not think that the execution was lost.
        owed = [wire.Held(each, "running") for each in self._session.owed]
        return wire.Hello(
            session=session,
            incarnation=self._incarnation,
            repositories=self.announced(),
            concurrency=self._config.concurrency,
            provides=self._config.provides,
            accepts=self._config.accepts,
            generic=not self._config.repositories,
            python=platform.python_version(),
            host=socket.gethostname(),
            pid=os.getpid(),
            held=(*self._pool.held(), *owed),
        )

    def on_session(self, ticket: Ticket) -> None:
        """There is a session, new or taken over."""
        self._pool.configure(
            Settings(
                url=self._config.host.rstrip("/"),
                project=self._config.project,
                token=ticket.token,
                blobs=ticket.blobs if ticket.blobs and os.path.isdir(ticket.blobs) else None,
                directory=str(self._folder.path),
                secret=self._pool.secret,
                reuse=self._config.isolation == "reuse",
            )
        )

    def on_welcome(self, kept: tuple[str, ...]) -> None:
        """Connected."""
        self._pool.keep(kept)
        if self._is_draining:
            self._session.report(_encode(wire.Draining()))
        if self._loaded is not None:
            self._start(self._get_ready(self._loaded))

    def on_execute(self, assigned: Assigned, message: bytes) -> None:
        """An execution for us."""
        self._pool.execute(assigned, message)
        if self._remarks.outdate(assigned.repository, assigned.target, assigned.pickle):
            self._announce()

    def on_abort(self, abort: wire.Abort) -> None:
        """Stop one."""
        self._pool.abort(abort.execution, abort.now)

    def on_answer(self, execution: str, key: int, answer: bytes) -> None:
        """An answer for running code."""
        self._pool.answer(execution, key, answer)

    def on_retire(self) -> None:
        """Drain and end."""
        self._start(self.drain())

    def on_notice(self, text: str) -> None:
        """Tell the user."""
        self._say(text)

    async def on_lost(self, reason: str) -> None:
        """The session is over for ever; what it ran has been abandoned, and is nobody else's."""
        self._say(f"the session is lost ({reason}); beginning another")
        self._pool.kill_all()
        await self._is_idle_within(_KILLED_S)

    @property
    def is_crowded(self) -> bool:
        """Whether so much runs that no one message is waited for."""
        return self._pool.count > _CROWD

    def on_log_pressure(self, is_high: bool) -> None:
        """There are more logs than the server takes, or no longer."""
        self._pool.pause_output(is_high)

    # --- what the pool says ---------------------------------------------------------------------

    def report(self, message: bytes, *, is_urgent: bool = True) -> None:
        """A report for the server."""
        self._session.report(message, is_urgent=is_urgent)

    def report_outcome(self, execution: str, message: bytes) -> None:
        """An outcome for the server."""
        self._session.report_outcome(execution, message)

    def request(self, execution: str, key: int, message: bytes) -> None:
        """A request of running code."""
        self._session.request(execution, key, message)

    def begin_turn(self) -> None:
        """What follows may lead to several messages."""
        self._session.begin_turn()

    def end_turn(self) -> None:
        """All that it led to has been said."""
        self._session.end_turn()

    def keep_entry(self, entry: bytes) -> None:
        """A log entry."""
        self._session.keep_entry(entry)

    def keep_measurement(self, measurement: bytes) -> None:
        """A point of a metric for the server."""
        self._session.keep_measurement(measurement)

    def on_remark(self, assigned: Assigned, text: str) -> None:
        """Packages differ from those that a target was made with: tell it once (CO-3)."""
        if self._remarks.add(assigned.repository, assigned.target, assigned.pickle, text):
            self._say(f"{assigned.repository}: {text}")
            self._announce()

    def on_idle(self) -> None:
        """The last execution has ended."""
        self._idle.set()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel them until all have ended.

    Before Python 3.12, a cancellation is lost where a wait with a limit ends at the same moment.
    """
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=1.0)
