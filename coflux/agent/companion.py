"""An agent that belongs to another process, such as a notebook's kernel, and serves what it offers.

Its targets come pickled over a pipe (CO-3) instead of being imported, and it ends when the pipe
does. It is a process of its own so that nothing its owner does can hold up a heartbeat.

Belongs here: what differs from other agents. Does not belong here: the owner's side.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from coflux import wire
from coflux.agent import feed
from coflux.agent.agent import Agent
from coflux.agent.config import AgentConfig, default_concurrency
from coflux.agent.control import Loaded
from coflux.agent.loader import PICKLED
from coflux.agent.spool import Ticket
from coflux.blobs import Blobs, LocalBlobs
from coflux.blobs.http import HttpBlobs
from coflux.config import BESIDE_NOTEBOOKS
from coflux.errors import CofluxError, Refused
from coflux.model import Definition

_encode = msgspec.msgpack.Encoder().encode
_RECEIVE = 256 * 1024
#: Between two looks at whether the owner is alive, in seconds: its pipe may have been inherited.
_LOOK_S = 1.0


class Companion(Agent):
    """The agent; `answers` is the pipe to its owner."""

    def __init__(self, config: AgentConfig, answers: int) -> None:
        super().__init__(config)
        self._answers = answers
        self._hosted: tuple[wire.Repository, ...] = ()
        self._registered: dict[str, tuple[Definition, ...]] = {}
        self._modules: tuple[str, ...] = (PICKLED,)
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        self._paths = tuple(path for path in given if path)
        self._has_loaded = asyncio.Event()
        self._offers: asyncio.Queue[feed.Offer] = asyncio.Queue()
        self._is_welcome = asyncio.Event()
        self._has_session = asyncio.Event()

    async def run(self) -> None:
        """Serve until the owner is gone. Raises `Refused` where the server gives no session."""
        self._start(self._take_offers())
        await super().run()

    def say(self, answer: feed.FromCompanion) -> None:
        """Tell the owner."""
        data = feed.pack(answer)
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except OSError:
            # It is gone; the end of its own pipe says so, too.
            return

    # --- what differs from other agents ---------------------------------------------------------

    def hello(self, session: str) -> wire.Hello:
        """It takes the targets of its owner only."""
        return msgspec.structs.replace(super().hello(session), generic=False)

    def on_loaded(self, generation: int, loaded: Loaded) -> None:
        """Modules have been imported ahead; the targets are as they were."""
        super().on_loaded(generation, msgspec.structs.replace(loaded, repositories=self._hosted))
        if generation == self._newest:
            self._has_loaded.set()

    def on_session(self, ticket: Ticket) -> None:
        """There is a session, so there is a place for blobs."""
        super().on_session(ticket)
        self._has_session.set()

    def on_welcome(self, kept: tuple[str, ...]) -> None:
        """Connected; the server has been told what there is."""
        super().on_welcome(kept)
        self._is_welcome.set()

    async def on_lost(self, reason: str) -> None:
        """The session is over; another follows."""
        self._is_welcome.clear()
        await super().on_lost(reason)

    # --- offers ---------------------------------------------------------------------------------

    def take(self, message: feed.FromOwner) -> None:
        """Act on what the owner says."""
        if isinstance(message, feed.Offer):
            self._offers.put_nowait(message)
        elif isinstance(message, feed.Drain):
            self._start(self.drain())

    async def _take_offers(self) -> None:
        while True:
            offer = await self._offers.get()
            try:
                await self._store(offer.pickles)
                await self._host(offer)
                problem = await self._register_offer(offer)
            except (CofluxError, OSError) as error:
                problem = str(error)
            self.say(feed.Offered(offer.number, problem))

    async def _store(self, pickles: tuple[bytes, ...]) -> None:
        await self._has_session.wait()
        ticket = self._session.ticket
        assert ticket is not None
        blobs = self._blobs(ticket)
        loop = asyncio.get_running_loop()
        for pickle in pickles:
            await loop.run_in_executor(None, blobs.put_bytes, pickle)

    def _blobs(self, ticket: Ticket) -> Blobs:
        if ticket.blobs and os.path.isdir(ticket.blobs):
            return LocalBlobs(ticket.blobs)
        base = f"{self._config.host.rstrip('/')}/api/v1/projects/{self._config.project}"
        return HttpBlobs(f"{base}/blobs", ticket.token)

    async def _host(self, offer: feed.Offer) -> None:
        """Announce the targets; returns when the server knows them."""
        self._hosted = offer.repositories
        if self._loaded is not None:
            self._loaded = msgspec.structs.replace(self._loaded, repositories=self._hosted)
        await self._renew(offer)
        if self._session.is_connected:
            number = self._session.report(_encode(wire.Announced(self.announced())))
            if await self._session.acknowledged(number):
                return
        # Every connection begins with them.
        await self._is_welcome.wait()

    async def _renew(self, offer: feed.Offer) -> None:
        """Let executors come from a process that has what the targets need."""
        missing = [module for module in offer.modules if module not in self._modules]
        has_moved = offer.paths != self._paths
        if not missing and not has_moved:
            return
        self._modules = (*self._modules, *missing)
        if has_moved:
            self._paths = offer.paths
            os.environ["PYTHONPATH"] = os.pathsep.join(offer.paths)
        self._has_loaded.clear()
        self._newest = self._pool.load(self._modules)
        if has_moved:
            # Without its folders, what runs now could not even be imported.
            await self._has_loaded.wait()

    async def _register_offer(self, offer: feed.Offer) -> str | None:
        hosted = [each for each in offer.repositories if each.name == offer.own]
        targets = tuple(d for each in hosted for d in each.targets if d.type != "task")
        if targets == self._registered.get(offer.own, ()):
            return None
        try:
            await asyncio.get_running_loop().run_in_executor(
                None, self._post_manifest, offer.own, targets
            )
        except Refused as refusal:
            return f"{offer.own} could not be registered: {refusal}"
        self._registered[offer.own] = targets
        return None

    def _post_manifest(self, repository: str, targets: tuple[Definition, ...]) -> None:
        from coflux.agent.registration import post_manifests

        post_manifests(self._config, {repository: list(targets)})


# --- the process --------------------------------------------------------------------------------


def main() -> int:
    """Entry point; the arguments are the numbers of the inherited pipes."""
    orders, answers = (int(argument) for argument in sys.argv[1:3])
    for number in (orders, answers):
        os.set_inheritable(number, False)
    sys.argv[:] = ["coflux-companion"]
    os.nice(BESIDE_NOTEBOOKS)
    # The owner's Ctrl-C is for the owner.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING)
    parser = feed.Parser(feed.from_owner)
    waiting: list[feed.FromOwner] = []
    while not waiting:
        data = os.read(orders, _RECEIVE)
        if not data:
            return 0
        waiting += parser.feed(data)
    begin = waiting.pop(0)
    assert isinstance(begin, feed.Begin), "the first message is to begin"
    try:
        asyncio.run(_serve(begin, waiting, parser, orders, answers))
    except Refused as refusal:
        _say_failed(answers, str(refusal))
        return 1
    return 0


def _say_failed(answers: int, reason: str) -> None:
    try:
        os.write(answers, feed.pack(feed.Failed(reason)))
    except OSError:
        return


async def _serve(
    begin: feed.Begin,
    waiting: list[feed.FromOwner],
    parser: feed.Parser[feed.FromOwner],
    orders: int,
    answers: int,
) -> None:
    loop = asyncio.get_running_loop()
    concurrency = begin.concurrency or default_concurrency()

    def ready(session: str) -> None:
        companion.say(feed.Ready(session, concurrency))

    companion = Companion(
        AgentConfig(
            host=begin.host,
            token=begin.token,
            project=begin.project,
            environment=begin.environment,
            concurrency=concurrency,
            preload=(PICKLED,),
            directory=Path(begin.directory or "."),
            notice=lambda text: companion.say(feed.Notice(text)),
            ready=ready,
        ),
        answers,
    )
    for message in waiting:
        companion.take(message)

    def on_input() -> None:
        data = os.read(orders, _RECEIVE)
        if not data:
            loop.remove_reader(orders)
            _end(companion)
            return
        for message in parser.feed(data):
            companion.take(message)

    loop.add_reader(orders, on_input)
    loop.add_signal_handler(signal.SIGTERM, _end, companion)
    watching = loop.create_task(_watch_owner(companion, os.getppid()))
    try:
        await companion.run()
    finally:
        watching.cancel()


async def _watch_owner(companion: Companion, owner: int) -> None:
    while os.getppid() == owner:
        await asyncio.sleep(_LOOK_S)
    _end(companion)


_ending: set[asyncio.Task[None]] = set()


def _end(companion: Companion) -> None:
    task = asyncio.get_running_loop().create_task(companion.end("its owner is gone"))
    _ending.add(task)
    task.add_done_callback(_ending.discard)


if __name__ == "__main__":
    sys.exit(main())
