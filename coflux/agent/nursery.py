"""Where executors come from: zygotes by generation, or spawned processes; and their reaping.

Belongs here: starting, replacing and reaping processes on the agent's side. Does not belong here:
what executors do (`pool`), and the zygote's own loop (`zygote`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from coflux.agent import control, lifeline, reaping, strays
from coflux.agent.config import AgentConfig
from coflux.agent.control import Exited, Forked, Loaded, Settings
from coflux.agent.loader import PICKLED, repository_name
from coflux.wire import Repository

_RECEIVE = 256 * 1024
_logger = logging.getLogger(__name__)


class Parent(Protocol):
    """Who is told of what happens to processes."""

    def on_loaded(self, generation: int, loaded: Loaded) -> None:
        """A generation's repositories have been imported."""

    def on_forked(self, ticket: int, pid: int) -> None:
        """The executor of a ticket lives."""

    def on_exited(self, news: Exited) -> None:
        """An executor is dead and reaped, and so is its group."""

    def on_unborn(self, tickets: list[int]) -> None:
        """The executors of these tickets will never live."""


class _Generation:
    """One zygote."""

    def __init__(
        self, number: int, process: subprocess.Popen[bytes], orders: socket.socket,
        news: socket.socket,
    ) -> None:  # fmt: skip
        self.number = number
        self.process = process
        self.orders = orders
        self.news = news
        self.reader = control.NewsReader()
        self.is_loaded = False
        self.tickets: set[int] = set()
        self.pids: set[int] = set()


class Nursery:
    """The processes below the agent."""

    def __init__(self, config: AgentConfig, folder: Path, parent: Parent) -> None:
        self._config = config
        self._folder = folder
        self._parent = parent
        #: Modules that generations started from now on import ahead.
        self.preload = config.preload or (() if config.repositories else (PICKLED,))
        self._loop = asyncio.get_running_loop()
        self._generations: dict[int, _Generation] = {}
        self._current: _Generation | None = None
        self._count = 0
        self._settings: Settings | None = None
        #: Executors that the agent itself has to reap: spawned, or orphans of a dead zygote.
        self._own: dict[int, subprocess.Popen[bytes] | None] = {}
        self._mark = secrets.token_hex(16)
        self._strays = strays.Strays(self._mark)
        self._sweeps: list[Callable[[], None]] = []
        self._alive, self._held = os.pipe()
        lifeline.adopt_orphans()
        self._loop.add_signal_handler(signal.SIGCHLD, self._on_child)

    # --- zygotes --------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Number of the current generation."""
        return self._current.number if self._current is not None else 0

    def start(self) -> int:
        """Start a zygote that imports the repositories as they are now; returns its generation."""
        self._count += 1
        orders, their_orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        news, their_news = socket.socketpair()
        numbers = (their_orders.fileno(), their_news.fileno(), self._alive)
        process = self._spawn("coflux.agent.zygote_process", numbers)
        their_orders.close()
        their_news.close()
        news.setblocking(False)
        generation = _Generation(self._count, process, orders, news)
        self._generations[self._count] = generation
        self._strays.sessions.add(process.pid)
        self._loop.add_reader(news.fileno(), self._on_news, generation)
        self._order(generation, self._begin())
        if self._settings is not None:
            self._order(generation, control.Configure(self._settings))
        if self._current is None:
            self._current = generation
        return generation.number

    def use(self, generation: int) -> None:
        """Fork from this generation from now on."""
        self._current = self._generations.get(generation, self._current)

    def retire_all_but(self, used: set[int]) -> None:
        """End the zygotes of generations that are not used any more."""
        for number, generation in self._generations.items():
            if number < self.generation and number not in used:
                # It ends when nobody can give it orders any more.
                generation.orders.close()

    def configure(self, settings: Settings) -> None:
        """Executors work with these settings from now on."""
        self._settings = settings
        for generation in self._generations.values():
            self._order(generation, control.Configure(settings))

    def _begin(self) -> control.Begin:
        directory = str(self._config.directory)
        return control.Begin(self._config.repositories, directory, self.preload)

    def _spawn(self, module: str, numbers: tuple[int, ...]) -> subprocess.Popen[bytes]:
        # -B: outdated compiled files are known by size and full seconds, and two quick edits of one
        # length would look the same. So none are left behind.
        return subprocess.Popen(
            [sys.executable, "-B", "-m", module, *map(str, numbers)],
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            cwd=self._config.directory,
            env={**os.environ, strays.MARK: self._mark},
            start_new_session=True,
        )

    def _order(
        self, generation: _Generation, order: control.Order, descriptors: tuple[int, ...] = ()
    ) -> None:
        try:
            socket.send_fds(generation.orders, [control.encode_order(order)], descriptors)
        except OSError:
            # It is dead; SIGCHLD says so.
            _logger.debug("the zygote of generation %s takes no orders", generation.number)

    # --- executors ------------------------------------------------------------------------------

    def bear(self, ticket: int) -> tuple[socket.socket, int, int]:
        """Begin an executor; returns the agent's ends of its channel, stdout and stderr."""
        mine, theirs = socket.socketpair()
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        descriptors = (theirs.fileno(), their_out, their_err)
        if self._config.isolation == "spawn":
            self._bear_spawned(ticket, mine, descriptors)
        else:
            generation = self._living()
            generation.tickets.add(ticket)
            self._order(generation, control.Fork(ticket), descriptors)
        theirs.close()
        os.close(their_out)
        os.close(their_err)
        return mine, out, err

    def _bear_spawned(
        self, ticket: int, connection: socket.socket, descriptors: tuple[int, ...]
    ) -> None:
        assert self._settings is not None, "settings come before the first executor"
        numbers = (*descriptors, self._alive)
        process = self._spawn("coflux.agent.spawned", numbers)
        self._own[process.pid] = process
        self._strays.sessions.add(process.pid)
        beginning = control.Beginning(self._begin(), self._settings, ticket)
        connection.sendall(control.encode_beginning(beginning))
        self._loop.call_soon(self._parent.on_forked, ticket, process.pid)

    def _living(self) -> _Generation:
        if self._current is None or self._current.number not in self._generations:
            self._current = None
            self.start()
        assert self._current is not None
        return self._current

    # --- news and deaths ------------------------------------------------------------------------

    def _on_news(self, generation: _Generation) -> None:
        try:
            data = generation.news.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(generation.news.fileno())
            return
        for news in generation.reader.feed(data):
            if isinstance(news, Loaded):
                generation.is_loaded = True
                self._parent.on_loaded(generation.number, news)
            elif isinstance(news, Forked):
                generation.tickets.discard(news.ticket)
                generation.pids.add(news.pid)
                self._parent.on_forked(news.ticket, news.pid)
            else:
                generation.pids.discard(news.pid)
                self._parent.on_exited(news)

    def _on_child(self) -> None:
        for generation in list(self._generations.values()):
            if generation.process.poll() is not None:
                self._bury(generation)
        for pid, process in list(self._own.items()):
            self._reap(pid, process)
        for callback in self._sweeps[:]:
            self._sweeps.remove(callback)
            self.sweep(callback)

    def _bury(self, generation: _Generation) -> None:
        # What it had said before it died counts.
        while self._has_news(generation):
            self._on_news(generation)
        self._loop.remove_reader(generation.news.fileno())
        generation.news.close()
        generation.orders.close()
        del self._generations[generation.number]
        # Its executors have become ours; all of them, before the end of one has anybody look for
        # processes that are nobody's.
        self._own.update(dict.fromkeys(generation.pids))
        for pid in list(generation.pids):
            self._reap(pid, None)
        if not generation.is_loaded:
            self._parent.on_loaded(generation.number, self._unloaded(generation))
        if generation.tickets:
            self._parent.on_unborn(sorted(generation.tickets))

    def _has_news(self, generation: _Generation) -> bool:
        try:
            return bool(generation.news.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def _unloaded(self, generation: _Generation) -> Loaded:
        code = generation.process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        text = f"the process that imports the repositories {how} while importing"
        names = tuple(map(repository_name, self._config.repositories))
        failed = tuple(Repository(name, failure=text) for name in names)
        return Loaded(failed, named=names, is_cut_short=True)

    def _reap(self, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
            # Before its number is free again: whatever is left of its group ends with it.
            reaping.kill_group(pid)
            _, status, usage = os.wait4(pid, 0)
            news = reaping.exited(pid, status, usage)
        except ChildProcessError:
            news = Exited(pid)
        if process is not None:
            process.returncode = news.exit_code if news.exit_code is not None else -1
            self._strays.sessions.discard(pid)
        del self._own[pid]
        self._parent.on_exited(news)

    def sweep(self, done: Callable[[], None]) -> None:
        """Kill what dead executors have left behind, and call `done` when nothing is left."""
        if self._strays.kill(self._known):
            self._sweeps.append(done)
        else:
            done()

    def _known(self) -> set[int]:
        # An executor becomes our child at the moment its zygote dies, which may have told of it
        # just before; nobody may take it for a stray.
        for generation in list(self._generations.values()):
            while self._has_news(generation):
                self._on_news(generation)
        known = set(self._own)
        for generation in self._generations.values():
            known |= {generation.process.pid, *generation.pids}
        return known

    def close(self) -> None:
        """Let everything below the agent end."""
        self._loop.remove_signal_handler(signal.SIGCHLD)
        for generation in self._generations.values():
            self._loop.remove_reader(generation.news.fileno())
            generation.orders.close()
            generation.news.close()
            generation.process.kill()
            generation.process.wait()
        os.close(self._held)
        os.close(self._alive)
        for pid in self._own:
            reaping.kill_group(pid)
        self._strays.kill(set)
