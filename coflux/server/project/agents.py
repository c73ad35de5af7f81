"""Agents' connections: wire messages in as events, effects out as wire messages.

Belongs here: translation, acknowledgements. Does not belong here: any decision about an execution;
the socket and its liveness (`agent_socket`), and windows beyond it (the core's).
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable
from typing import Any

import msgspec
from tornado.web import RequestHandler

import coflux.wire as wire
from coflux.errors import CofluxError
from coflux.frames import POLICY_VIOLATION
from coflux.server import schemas
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.events import Code
from coflux.server.project.agent_socket import AgentSocket, upgrade
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.provenance import Provenance

_connections = itertools.count(1)

#: Messages that nobody waits for: they may share the commit of what comes next.
_LAZY = (wire.Acknowledged, wire.Started, wire.Code, wire.Depend)


class AgentHandler(RequestHandler):
    """The request that opens a connection, with the token of a session that is in force."""

    def initialize(self, orchestrator: Orchestrator, project: str) -> None:
        self.orchestrator = orchestrator
        self.project = project

    async def get(self) -> None:
        token = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        session = session_of(self.orchestrator, self.project, token)
        if session is None:
            self.set_status(401)
            self.finish({"error": {"code": "unauthorized", "message": "no such session token"}})
            return
        connection = AgentConnection(self.orchestrator, session)
        connection.socket = await upgrade(self, connection.take, connection.end)


class AgentConnection:
    """One connection of one session."""

    #: Given once it is open.
    socket: AgentSocket

    def __init__(self, orchestrator: Orchestrator, session: str) -> None:
        self.orchestrator = orchestrator
        self.session = session
        self.provenance = Provenance(orchestrator, session)
        self.number = next(_connections)
        self.incarnation = ""
        self.is_open = False
        self.outbox: list[wire.Instruction] = []
        self.goodbye: wire.Goodbye | None = None
        self.received = 0
        self.acknowledged = 0

    # --- opening and closing --------------------------------------------------------------------

    def take(self, frame: bytes) -> None:
        """One frame; anything malformed closes this connection only (LI-1)."""
        try:
            messages = wire.decode_from_agent(frame)
        except msgspec.DecodeError as error:
            self.socket.close(POLICY_VIOLATION, f"malformed frame: {error}")
            return
        for message in messages:
            if isinstance(message, wire.Hello):
                self._greet(message)
            elif self.is_open:
                self._take(message)
            else:
                self.socket.close(POLICY_VIOLATION, "the first message must be hello")
                return
        if self.received > self.acknowledged:
            self.acknowledged = self.received
            number = self.received
            self.orchestrator.after_commit(lambda: self._acknowledge(number))

    def end(self) -> None:
        """The agent is gone, for now."""
        if self.is_open:
            self.is_open = False
            if self.orchestrator.connections.get(self.session) is self:
                del self.orchestrator.connections[self.session]
            self.orchestrator.put(e.SessionDisconnected(self.session, self.number))

    def close(self) -> None:
        """The server ends; the agent will look for the next one."""
        self.is_open = False
        self.socket.drop()

    def _greet(self, hello: wire.Hello) -> None:
        if hello.protocol != wire.PROTOCOL:
            reason = f"the agent speaks protocol {hello.protocol}, the server {wire.PROTOCOL}"
            self._part(wire.Goodbye(reason, final=True))
            return
        if hello.session != self.session:
            self._part(wire.Goodbye("the token belongs to another session", final=True))
            return
        self.incarnation = hello.incarnation
        old = self.orchestrator.connections.get(self.session)
        self.orchestrator.connections[self.session] = self
        self.is_open = True
        if isinstance(old, AgentConnection):
            old.replace()
        self.orchestrator.put(
            e.SessionConnected(
                hello.session, self.number, hello.incarnation, _repositories(hello.repositories),
                max(1, hello.concurrency), hello.provides, hello.accepts, hello.generic,
                hello.python, hello.host, hello.pid,
                tuple((h.execution, h.state == "running") for h in hello.held),
            )
        )  # fmt: skip

    def replace(self) -> None:
        """Another connection has taken the session (SE-1)."""
        self.is_open = False
        self._part(wire.Goodbye("another connection took the session"))

    def _part(self, goodbye: wire.Goodbye) -> None:
        self.socket.send(wire.encode([goodbye]))
        self.socket.close()

    # --- in -------------------------------------------------------------------------------------

    def _take(self, numbered: wire.Numbered) -> None:
        self.received = max(self.received, numbered.number)
        message = numbered.message
        if isinstance(message, wire.Logged):
            self.orchestrator.put_logs(self.provenance.sift(message.entries))
            return
        if isinstance(message, wire.Measured):
            self.orchestrator.put_measurements(self.provenance.sift(message.entries))
            return
        try:
            event = _EVENTS[type(message)](self.session, message)
        except CofluxError as error:
            self._refuse(message, error)
            return
        self.orchestrator.put(event, lazy=isinstance(message, _LAZY))

    def _refuse(self, message: Any, error: CofluxError) -> None:
        refusal = wire.Refusal("invalid", str(error))
        self.outbox.append(wire.Reply(message.execution, message.key, refusal))

    def _acknowledge(self, number: int) -> None:
        self.outbox.append(wire.Acknowledgement(number))

    # --- out ------------------------------------------------------------------------------------

    def send(self, effect: fx.Effect) -> None:
        """Put an instruction into the frame that goes out next."""
        if isinstance(effect, fx.Close):
            if effect.connection in (None, self.number):
                self.goodbye = wire.Goodbye(effect.reason, effect.final)
            return
        if isinstance(effect, fx.Execute) and effect.connection != self.number:
            return  # meant for an agent that was here before; decided anew when it is known
        self.outbox.append(_instruction(self.orchestrator, effect))

    def deliver(self) -> None:
        """Send that frame."""
        if self.goodbye is not None:
            # Last, so that an agent that ends still gets its acknowledgement.
            self.outbox.append(self.goodbye)
        if not self.outbox:
            return
        messages, self.outbox = self.outbox, []
        # Whatever is lost from here on is derived again at reconnect.
        self.socket.send(wire.encode(messages))
        if self.goodbye is not None:
            self.goodbye = None
            self.socket.close()


def session_of(orchestrator: Orchestrator, project: str, token: str) -> str | None:
    """The session whose token it is (AU-4), compared in constant time."""
    kind, _, rest = token.partition("_")
    name, _, pair = rest.partition(".")
    session_id, _, secret = pair.partition(".")
    session = orchestrator.machine.state.sessions.get(session_id)
    if kind != "cfs" or name != project or session is None:
        return None
    if not hmac.compare_digest(hash_secret(secret), session.token_hash):
        return None
    return session_id


def hash_secret(secret: str) -> bytes:
    """What is kept of a session token."""
    return hashlib.sha256(secret.encode()).digest()


def _repositories(found: tuple[wire.Repository, ...]) -> tuple[e.Repository, ...]:
    return tuple(e.Repository(r.name, r.targets, r.failure, r.remarks) for r in found)


def _persisted(session: str, m: wire.Persist) -> e.AssetPersisted:
    from coflux import assets

    assets.check(m.manifest)
    to = Code(session, m.execution, m.key)
    return e.AssetPersisted(to, m.manifest, assets.digest(m.manifest))


def _asked(session: str, m: wire.Ask) -> e.InputRequested:
    schemas.check_question(m.question)
    return e.InputRequested(Code(session, m.execution, m.key), m.question)


_EVENTS: dict[type[Any], Callable[[str, Any], e.Event]] = {
    wire.Acknowledged: lambda s, m: e.AssignmentAcknowledged(s, m.execution),
    wire.Started: lambda s, m: e.ExecutionStarted(s, m.execution),
    wire.Ended: lambda s, m: e.OutcomeReported(s, m.execution, m.result, m.gone),
    wire.Gone: lambda s, m: e.ProcessDied(s, m.execution),
    wire.Code: lambda s, m: e.CodeReported(s, m.execution, m.code),
    wire.Announced: lambda s, m: e.TargetsAnnounced(s, _repositories(m.repositories)),
    wire.Draining: lambda s, m: e.SessionDrained(s),
    wire.Closing: lambda s, m: e.SessionClosed(s, m.reason),
    wire.Depend: lambda s, m: e.DependenciesReported(s, m.execution, m.handles),
    wire.Submit: lambda s, m: e.StepsRequested(
        Code(s, m.execution, m.key), m.submissions, m.wait
    ),
    wire.Wait: lambda s, m: e.WaitRequested(
        Code(s, m.execution, m.key), m.handles, m.timeout_ms, m.suspend, m.first,
        m.cancel_remaining,
    ),
    wire.Suspend: lambda s, m: e.SuspensionRequested(Code(s, m.execution, m.key), m.delay_ms),
    wire.Cancel: lambda s, m: e.CancelRequested(Code(s, m.execution, m.key), m.handles),
    wire.Persist: _persisted,
    wire.Ask: _asked,
    wire.Restore: lambda s, m: e.AssetRequested(Code(s, m.execution, m.key), m.asset),
    wire.Checkpoint: lambda s, m: e.CheckpointRequested(
        Code(s, m.execution, m.key), m.arguments
    ),
}  # fmt: skip


def _instruction(orchestrator: Orchestrator, effect: fx.Effect) -> wire.Instruction:
    if isinstance(effect, fx.Execute):
        return wire.Execute(
            effect.execution, effect.repository, effect.target, effect.type, effect.arguments,
            effect.timeout_ms, effect.pickle, effect.checkpoint, effect.code, effect.exact,
            effect.scheduled_at,
        )  # fmt: skip
    if isinstance(effect, fx.Abort):
        return wire.Abort(effect.execution, effect.now)
    if isinstance(effect, fx.Welcome):
        return wire.Welcome(effect.keep)
    if isinstance(effect, fx.Notify):
        return wire.Notice(effect.text)
    if isinstance(effect, fx.Retire):
        return wire.Retire()
    assert not isinstance(effect, fx.Close | fx.Launch | fx.StopLaunch)
    assert isinstance(effect.to, Code)
    return wire.Reply(effect.to.execution, effect.to.key, _answer(orchestrator, effect))


def _answer(orchestrator: Orchestrator, effect: fx.Effect) -> wire.Answer:
    if isinstance(effect, fx.Answer):
        return wire.Resolved(
            tuple(_outcome(orchestrator, o) for o in effect.outcomes),
            effect.executions,
            tuple(_outcome(orchestrator, o) for o in effect.also),
        )
    if isinstance(effect, fx.Submitted):
        return wire.Submitted(effect.executions)
    if isinstance(effect, fx.GiveAsset):
        if effect.manifest is None:
            return wire.Persisted(effect.asset)
        return wire.Restored(effect.asset, effect.manifest)
    if isinstance(effect, fx.GiveInput):
        return wire.Asked(effect.input)
    if isinstance(effect, fx.Refuse):
        return wire.Refusal(effect.code, effect.message)
    return wire.Expired() if isinstance(effect, fx.Expire) else wire.Done()


def _outcome(orchestrator: Orchestrator, outcome: fx.Outcome) -> wire.Outcome:
    result = outcome.result
    if result is None:
        result = orchestrator.result_of(outcome.execution)
    return wire.Outcome(outcome.handle, outcome.execution, result)
