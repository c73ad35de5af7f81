"""The agent's session: opening it, keeping it connected, and what is owed to the server.

Belongs here: connecting and reconnecting, the opening of each connection, batching, acknowledging.
Does not belong here: what instructions do (`agent`), and a connection's details (`connection`).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Protocol, Union
from urllib.parse import urlsplit

import msgspec

from coflux import wire
from coflux.agent.config import AgentConfig
from coflux.agent.connection import Connection, HandshakeRefused
from coflux.agent.logs import LogBuffer
from coflux.agent.opening import Opening, backoff
from coflux.agent.outbox import Outbox
from coflux.agent.pool import Assigned
from coflux.agent.spool import Spool, Ticket, folder_for
from coflux.model import Record

_logger = logging.getLogger(__name__)

#: Seconds that a report may wait for company.
_LINGER_S = 0.002
#: Seconds between two frames while many executions run: fewer frames then are worth more than the
#: moment that each waits.
_CROWDED_S = 0.001
#: Bytes of log entries in one message, and on the way at once.
_LOG_MESSAGE = 256 * 1024
_LOGS_ON_THE_WAY = 4 * 1024 * 1024
#: Waiting log entries above and below which executors' output is held back and let go.
_LOGS_HELD, _LOGS_LET_GO = 64 * 1024 * 1024, 16 * 1024 * 1024
#: Bytes of messages in one frame.
_FRAME = wire.MAX_FRAME // 2

#: What may go wrong on the way to a server that will come back.
_TRANSIENT = (OSError, asyncio.TimeoutError)


class _Reply(Record, tag="reply"):
    """`wire.Reply` with an answer that goes on as it is."""

    execution: str
    key: int
    answer: msgspec.Raw


_Instruction = Union[
    wire.Welcome, wire.Goodbye, Assigned, wire.Abort, wire.Acknowledgement, _Reply, wire.Retire,
    wire.Notice,
]  # fmt: skip

_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_instruction = msgspec.msgpack.Decoder(_Instruction).decode


class _Logged(Record, tag="logged"):
    """`wire.Logged` with entries that are encoded already."""

    entries: list[msgspec.Raw]


class _Measured(Record, tag="measured"):
    """`wire.Measured` with entries that are encoded already."""

    entries: list[msgspec.Raw]


class Handler(Protocol):
    """Who acts on what the server says."""

    def hello(self, session: str) -> wire.Hello:
        """The opening of a connection."""

    def on_session(self, ticket: Ticket) -> None:
        """There is a session, new or taken over."""

    def on_welcome(self, kept: tuple[str, ...]) -> None:
        """Connected."""

    def on_execute(self, assigned: Assigned, message: bytes) -> None:
        """An execution for us."""

    def on_abort(self, abort: wire.Abort) -> None:
        """Stop one."""

    def on_answer(self, execution: str, key: int, answer: bytes) -> None:
        """An answer for running code."""

    def on_retire(self) -> None:
        """Drain and end."""

    def on_notice(self, text: str) -> None:
        """Tell the user."""

    async def on_lost(self, reason: str) -> None:
        """The session is over for ever; what it ran has been abandoned."""

    @property
    def is_crowded(self) -> bool:
        """Whether so much runs that no one message is waited for."""

    def on_log_pressure(self, is_high: bool) -> None:
        """There are more logs than the server takes, or no longer."""


class Session:
    """The agent's side of one session after another."""

    def __init__(self, config: AgentConfig, handler: Handler) -> None:
        self._config = config
        self._handler = handler
        self._opening = Opening(config)
        self._loop = asyncio.get_running_loop()
        self._folder = folder_for(config.host, config.project, _place(config))
        self._spool: Spool | None = None
        self._outbox = Outbox()
        self._logs = LogBuffer()
        self._measurements = LogBuffer()
        self._connection: Connection | None = None
        self._is_welcome = False
        self._is_closing = False
        self._is_pressed = False
        self._flush_at: asyncio.TimerHandle | asyncio.Handle | None = None
        self._is_flush_urgent = False
        self._flushed_at = 0.0
        #: Depth of turns in which something that has come is being handled.
        self._turns = 0
        #: Outcomes not yet acknowledged, by number; on the disk while there is no connection.
        self._outcomes: dict[int, bytes] = {}
        #: Their executions: still ours as long as the server may not know how they ended.
        self._owed: dict[int, str] = {}
        self._settled: list[asyncio.Future[None]] = []
        #: Who waits for which report's acknowledgement.
        self._awaited: list[tuple[int, asyncio.Future[bool]]] = []

    @property
    def ticket(self) -> Ticket | None:
        """The session's, once there is one."""
        return self._spool.ticket if self._spool is not None else None

    @property
    def is_connected(self) -> bool:
        """Whether the server has welcomed us on the present connection."""
        return self._is_welcome

    @property
    def owed(self) -> list[str]:
        """Executions whose outcomes, ours or a dead predecessor's, the server may not know."""
        return list(self._owed.values())

    # --- life -----------------------------------------------------------------------------------

    async def open(self) -> Ticket:
        """Get a session: that of a dead predecessor, or a new one. Waits for an absent server.

        Raises `Refused` where the server does not give one.
        """
        spool = Spool.take_over(self._folder)
        if spool is None:
            spool = Spool.create(self._folder, await self._opening.ticket())
        self._begin(spool)
        return spool.ticket

    def _begin(self, spool: Spool) -> None:
        self._spool = spool
        self._outbox = Outbox()
        self._outcomes.clear()
        self._owed.clear()
        for outcome in spool.outcomes:
            ended = msgspec.msgpack.decode(outcome, type=_Ended)
            # Its processes have ended with our predecessor, which can report that no more.
            self._owe(ended.execution, _encode(_Ended(ended.execution, ended.result)))
        self._handler.on_session(spool.ticket)

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost; returns when closed."""
        pauses = backoff()
        while not self._is_closing:
            if self._spool is None:
                await self.open()
            reason = await self._connect()
            if self._is_welcome:
                pauses = backoff()
            self._on_disconnected()
            if self._is_closing:
                # The server's goodbye answers ours; and without a server nothing more is settled.
                self._settle()
                return
            if reason is not None:
                await self._lose(reason)
                continue
            await asyncio.sleep(next(pauses))

    async def _connect(self) -> str | None:
        """One connection, to its end; the reason, if the session is over with it."""
        assert self._spool is not None
        ticket = self._spool.ticket
        self._final: str | None = None
        for url, unix_socket in self._addresses(ticket):
            connection = Connection(self._on_frame)
            try:
                await connection.open(url, ticket.token, unix_socket)
            except HandshakeRefused as error:
                if error.status in (401, 403, 404) and unix_socket is None:
                    return f"the server does not know the session (any more): {error}"
                continue
            except _TRANSIENT as error:
                _logger.debug("no connection to %s: %s", unix_socket or url, error)
                continue
            self._connection = connection
            connection.send(_encode([self._handler.hello(ticket.session)]))
            await connection.closed()
            return self._final
        return None

    def _addresses(self, ticket: Ticket) -> list[tuple[str, str | None]]:
        path = f"/api/v1/projects/{self._config.project}/agent"
        base = self._config.host.rstrip("/")
        scheme = "wss" if urlsplit(base).scheme == "https" else "ws"
        outside = f"{scheme}{base[base.index(':') :]}{path}"
        addresses: list[tuple[str, str | None]] = [(outside, None)]
        if ticket.socket is not None and Path(ticket.socket).exists():
            # Straight to the project's process: the gateway need not carry each frame.
            addresses.insert(0, ("ws://localhost/agent", ticket.socket))
        return addresses

    def _on_disconnected(self) -> None:
        self._is_welcome = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._spool is not None and self._outcomes:
            self._spool.reset()
            self._spool.add(list(self._outcomes.values()))

    async def _lose(self, reason: str) -> None:
        assert self._spool is not None
        self._spool.remove()
        self._spool = None
        self._outbox = Outbox()
        self._outcomes.clear()
        self._owed.clear()
        self._tell_awaited(None)
        await self._handler.on_lost(reason)

    async def close(self, reason: str) -> None:
        """Say that the agent ends, deliver what can be delivered, and disconnect."""
        self._is_closing = True
        if self._is_welcome:
            self.report(_encode(wire.Closing(reason)))
            self._pack_logs()
            self._flush()
            await self.settled(5.0)
        is_delivered = self._outbox.is_empty
        if self._connection is not None:
            self._connection.close()
        if self._spool is not None and is_delivered:
            self._spool.remove()
        self._logs.close()
        self._measurements.close()

    async def settled(self, timeout_s: float) -> bool:
        """Wait until everything has been acknowledged; False when that will not be in time."""
        self._flush()
        if self._outbox.is_empty and not self._has_entries:
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        self._settled.append(future)
        try:
            await asyncio.wait_for(future, timeout_s)
        except asyncio.TimeoutError:
            return False
        return self._outbox.is_empty

    # --- frames from the server -----------------------------------------------------------------

    def _on_frame(self, frame: bytes) -> None:
        try:
            messages = [(raw, _decode_instruction(raw)) for raw in _decode_frame(frame)]
        except msgspec.MsgspecError as error:
            _logger.error("the server sent what is no frame: %s", error)
            if self._connection is not None:
                self._connection.close()
            return
        self.begin_turn()
        try:
            self._act(messages)
        finally:
            self.end_turn()

    def _act(self, messages: list[tuple[msgspec.Raw, _Instruction]]) -> None:
        handler = self._handler
        for raw, message in messages:
            if isinstance(message, _Reply):
                if self._outbox.is_awaited(message.execution, message.key):
                    handler.on_answer(message.execution, message.key, bytes(message.answer))
            elif isinstance(message, Assigned):
                handler.on_execute(message, bytes(raw))
            elif isinstance(message, wire.Acknowledgement):
                self._on_acknowledged(message.number)
            elif isinstance(message, wire.Abort):
                handler.on_abort(message)
            elif isinstance(message, wire.Welcome):
                self._on_welcome(message)
            elif isinstance(message, wire.Goodbye):
                self._on_goodbye(message)
            elif isinstance(message, wire.Notice):
                handler.on_notice(message.text)
            else:
                handler.on_retire()

    def _on_welcome(self, message: wire.Welcome) -> None:
        self._is_welcome = True
        self._outbox.restart()
        self._handler.on_welcome(message.keep)
        self._flush_soon()

    def _on_goodbye(self, message: wire.Goodbye) -> None:
        _logger.info("the server ended the connection: %s", message.reason)
        if message.final:
            self._final = message.reason
        if self._connection is not None:
            self._connection.close()

    def _on_acknowledged(self, number: int) -> None:
        self._outbox.acknowledge(number)
        if self._awaited:
            self._tell_awaited(number)
        if self._outcomes:
            for each in [n for n in self._outcomes if n <= number]:
                del self._outcomes[each], self._owed[each]
        if not self._outcomes and self._spool is not None:
            self._spool.clear()
        if self._has_entries:
            self._flush_soon()
        elif self._outbox.is_empty:
            self._settle()

    def _settle(self) -> None:
        for future in self._settled:
            if not future.done():
                future.set_result(None)
        self._settled.clear()

    # --- messages to the server -----------------------------------------------------------------

    def report(self, message: bytes, *, is_urgent: bool = True) -> int:
        """Send an encoded report; one that is not urgent may wait a moment for company.

        Returns its number, for `acknowledged`.
        """
        number = self._outbox.add(message)
        if is_urgent:
            self._flush_soon()
        elif self._flush_at is None:
            self._flush_at = self._loop.call_later(_LINGER_S, self._flush)
        return number

    def acknowledged(self, number: int) -> asyncio.Future[bool]:
        """Ends when a report is on the server's disk; False when the session was lost before."""
        future: asyncio.Future[bool] = self._loop.create_future()
        self._awaited.append((number, future))
        return future

    def _tell_awaited(self, number: int | None) -> None:
        waiting, self._awaited = self._awaited, []
        for each, future in waiting:
            if number is not None and each > number:
                self._awaited.append((each, future))
            elif not future.done():
                future.set_result(number is not None)

    def report_outcome(self, execution: str, message: bytes) -> None:
        """Send an encoded `wire.Ended`, which must survive."""
        self._pack_logs()
        self._outbox.forget(execution)
        self._owe(execution, message)
        if not self._is_welcome and self._spool is not None:
            self._spool.add([message])
        self._flush_soon()

    def _owe(self, execution: str, outcome: bytes) -> None:
        number = self._outbox.add(outcome)
        self._outcomes[number] = outcome
        self._owed[number] = execution

    def request(self, execution: str, key: int, message: bytes) -> None:
        """Send a request of running code, again until it is answered."""
        self._outbox.add_request(execution, key, message)
        self._flush_soon()

    def forget(self, execution: str) -> None:
        """The execution is over; its requests need no answers."""
        self._outbox.forget(execution)

    def keep_entry(self, entry: bytes) -> None:
        """Send an encoded log entry, when there is room."""
        self._logs.add(entry)
        if self._flush_at is None and self._is_welcome:
            self._flush_at = self._loop.call_later(_LINGER_S, self._flush)
        if self._logs.size > _LOGS_HELD and self._is_welcome and not self._is_pressed:
            self._is_pressed = True
            self._handler.on_log_pressure(True)

    def keep_measurement(self, measurement: bytes) -> None:
        """Send an encoded `model.Measurement`, when there is room."""
        self._measurements.add(measurement)
        if self._flush_at is None and self._is_welcome:
            self._flush_at = self._loop.call_later(_LINGER_S, self._flush)

    @property
    def _has_entries(self) -> bool:
        return bool(self._logs.size or self._measurements.size)

    def _pack_logs(self) -> None:
        for buffer, message in ((self._logs, _Logged), (self._measurements, _Measured)):
            while buffer.size and self._outbox.unacknowledged_bytes < _LOGS_ON_THE_WAY:
                entries = buffer.take(_LOG_MESSAGE)
                self._outbox.add(_encode(message([msgspec.Raw(entry) for entry in entries])))
        if self._is_pressed and (self._logs.size < _LOGS_LET_GO or not self._is_welcome):
            self._is_pressed = False
            self._handler.on_log_pressure(False)

    def _flush_soon(self) -> None:
        if self._is_flush_urgent:
            return
        if self._flush_at is not None:
            self._flush_at.cancel()
        self._is_flush_urgent = True
        if self._handler.is_crowded:
            due = self._flushed_at + _CROWDED_S
            if due > self._loop.time():
                self._flush_at = self._loop.call_at(due, self._flush)
                return
        if self._turns:
            self._flush_at = None
            return
        # After all that is ready in this turn of the loop: it goes in one frame.
        self._flush_at = self._loop.call_soon(self._flush)

    def begin_turn(self) -> None:
        """Something has come that may lead to several messages; they go together."""
        self._turns += 1

    def end_turn(self) -> None:
        """All that it led to has been said."""
        self._turns -= 1
        # At once, instead of in another round of the loop: somebody waits for it.
        if not self._turns and self._is_flush_urgent and self._flush_at is None:
            self._flush()

    def _flush(self) -> None:
        self._flush_at, self._is_flush_urgent = None, False
        if not self._is_welcome or self._connection is None:
            return
        self._flushed_at = self._loop.time()
        self._pack_logs()
        batch: list[msgspec.Raw] = []
        size = 0
        for message in self._outbox.take():
            batch.append(msgspec.Raw(message))
            size += len(message)
            if size > _FRAME:
                self._connection.send(_encode(batch))
                batch, size = [], 0
        if batch:
            self._connection.send(_encode(batch))


class _Ended(Record, tag="ended"):
    """`wire.Ended` of dead processes, with a result that stays as it is."""

    execution: str
    result: msgspec.Raw


def _place(config: AgentConfig) -> str:
    """The environment; of an agent that a pool has started, also its session, which is its own."""
    token = config.token or ""
    session = token.split(".")[1] if token.startswith("cfs_") and token.count(".") == 2 else ""
    return f"{config.environment}\n{session}" if session else config.environment
