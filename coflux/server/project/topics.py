"""Live views over a WebSocket: a snapshot, then numbered patches.

Belongs here: subscriptions, when to send, slow readers. Does not belong here: what a document says
(`feeds`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from coflux.errors import REFUSALS, CofluxError
from coflux.server.access import PRINCIPAL_HEADER, Principal, decode_principal
from coflux.server.core.changes import Change
from coflux.server.project.calls import Call, Project
from coflux.server.project.feeds import AnyFeed, open_feed
from coflux.server.project.graph_feed import GraphFeed

#: Seconds between two patches of a subscription; the first goes out at once.
INTERVAL = 0.1
HEARTBEAT = 15.0
#: Most of the loop's time that one subscription may take.
SHARE = 0.05
#: Unsent bytes beyond which a reader gets no more patches, but a fresh snapshot later.
QUEUE = 1024 * 1024


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends."""

    op: Literal["sub", "unsub"]
    #: The client's own number for the subscription.
    id: int
    topic: str = ""
    args: dict[str, Any] = {}


@dataclass
class Subscription:
    """A feed that a client watches."""

    feed: AnyFeed
    #: Seconds until the next patch: a document that takes long to make is made less often.
    interval: float = INTERVAL
    seq: int = 0
    parts: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    #: The reader was too slow; it needs a snapshot.
    is_behind: bool = False
    #: The first snapshot is being made; what changes meanwhile is gathered.
    is_opening: bool = True


class TopicsHandler(WebSocketHandler):
    """One client's subscriptions."""

    def initialize(self, project: Project) -> None:
        self.project = project
        self.principal = Principal("", "")
        self.subscriptions: dict[int, Subscription] = {}
        #: Kept, or the loop would forget them half-way.
        self.openings: set[asyncio.Future[None]] = set()
        self.unsent = 0
        self.heartbeat: asyncio.TimerHandle | None = None

    def check_origin(self, origin: str) -> bool:
        """The gateway has checked it before it passed the connection on."""
        return True

    def get_compression_options(self) -> dict[str, Any]:
        """Documents are repetitive text."""
        return {}

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Upgrade, for whoever the gateway names."""
        try:
            self.principal = decode_principal(self.request.headers.get(PRINCIPAL_HEADER, ""))
        except msgspec.DecodeError:
            self.set_status(401)
            return
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Listen to what is committed."""
        self.project.orchestrator.listeners.append(self._committed)
        self._beat()

    def on_close(self) -> None:
        """Forget the client."""
        if self._committed in self.project.orchestrator.listeners:
            self.project.orchestrator.listeners.remove(self._committed)
        for id in list(self.subscriptions):
            self._unsubscribe(id)
        if self.heartbeat is not None:
            self.heartbeat.cancel()

    def on_message(self, message: str | bytes) -> None:
        """Subscribe or unsubscribe."""
        try:
            request = msgspec.json.decode(message, type=Request)
        except msgspec.DecodeError as error:
            self.close(1008, f"malformed request: {error}"[:120])
            return
        if request.op == "unsub":
            self._unsubscribe(request.id)
        elif request.id in self.subscriptions:
            self.close(1008, f"subscription {request.id} is open already")
        else:
            self._subscribe(request)

    def _subscribe(self, request: Request) -> None:
        try:
            feed = open_feed(Call(self.project, self.principal), request.topic, request.args)
        except CofluxError as error:
            self._refuse(request.id, error)
            return
        subscription = self.subscriptions[request.id] = Subscription(feed)
        self._start(request.id, subscription)

    def _start(self, id: int, subscription: Subscription) -> None:
        opening = asyncio.ensure_future(self._prepare(id, subscription))
        self.openings.add(opening)
        opening.add_done_callback(self.openings.discard)

    async def _prepare(self, id: int, subscription: Subscription) -> None:
        """Make the first snapshot, a big one bit by bit, so that the loop is not held up."""
        feed = subscription.feed
        try:
            if isinstance(feed, GraphFeed) and subscription.seq == 0 and feed.take_kept():
                self.project.orchestrator.fetch_soon(feed.run)
            else:
                if feed.run is not None:
                    await self.project.orchestrator.fetch(feed.run)
                for _ in feed.build():
                    await asyncio.sleep(0)
        except CofluxError as error:
            if self.subscriptions.get(id) is subscription:
                del self.subscriptions[id]
                self._refuse(id, error)
            return
        if self.subscriptions.get(id) is not subscription:
            return
        subscription.is_opening = False
        self._send({"id": id, "t": "snap", "seq": subscription.seq, "data": feed.document})
        if subscription.parts:
            self._later(id, subscription, 0)

    def _refuse(self, id: int, error: CofluxError) -> None:
        code = next((c for c, kind in REFUSALS.items() if type(error) is kind), "invalid")
        self._send({"id": id, "t": "err", "code": code, "message": str(error)})

    def _unsubscribe(self, id: int) -> None:
        subscription = self.subscriptions.pop(id, None)
        if subscription is not None and subscription.timer is not None:
            subscription.timer.cancel()

    def _committed(self, changes: list[Change]) -> None:
        for id, subscription in self.subscriptions.items():
            for change in changes:
                part = subscription.feed.touched(change)
                if part is not None:
                    subscription.parts.add(part)
            if subscription.parts and not subscription.timer and not subscription.is_opening:
                self._later(id, subscription, subscription.interval if subscription.seq else 0)

    def _later(self, id: int, subscription: Subscription, delay: float) -> None:
        loop = asyncio.get_running_loop()
        subscription.timer = loop.call_later(delay, self._update, id)

    def _update(self, id: int) -> None:
        subscription = self.subscriptions.get(id)
        if subscription is None:
            return
        subscription.timer = None
        if self.unsent > QUEUE:
            subscription.is_behind = True
            self._later(id, subscription, INTERVAL)
            return
        parts, subscription.parts = subscription.parts, set()
        began = time.perf_counter()
        try:
            operations = subscription.feed.patch(parts)
        except CofluxError as error:
            self._unsubscribe(id)
            self._send({"id": id, "t": "err", "code": "not_found", "message": str(error)})
            return
        if operations is None:
            self._open_again(id, subscription)
            return
        self._publish(id, subscription, operations)
        took = time.perf_counter() - began
        subscription.interval = max(INTERVAL, took / SHARE)
        if subscription.feed.has_more and subscription.timer is None:
            self._later(id, subscription, subscription.interval)

    def _open_again(self, id: int, subscription: Subscription) -> None:
        """The document has become another, such as when a run has become big."""
        subscription.seq += 1
        subscription.is_opening = True
        self._start(id, subscription)

    def _publish(self, id: int, subscription: Subscription, operations: list[Any]) -> None:
        if subscription.is_behind:
            subscription.is_behind = False
            subscription.seq += 1
            data = subscription.feed.document
            self._send({"id": id, "t": "snap", "seq": subscription.seq, "data": data})
        elif operations:
            subscription.seq += 1
            self._send({"id": id, "t": "patch", "seq": subscription.seq, "ops": operations})

    def _beat(self) -> None:
        self.heartbeat = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)
        self._send({"t": "hb", "now": self.project.orchestrator.now()})

    def _send(self, message: dict[str, Any]) -> None:
        frame = msgspec.json.encode(message)
        self.unsent += len(frame)
        try:
            sent = asyncio.ensure_future(self.write_message(frame.decode()))
        except WebSocketClosedError:
            return
        sent.add_done_callback(lambda done: self._was_sent(len(frame), done))

    def _was_sent(self, size: int, done: asyncio.Future[None]) -> None:
        self.unsent -= size
        if not done.cancelled():
            done.exception()  # a closed socket is told by on_close
