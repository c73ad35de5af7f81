"""A small language for tests of the core: a world with a clock, in which things happen.

Each verb puts one event into the machine and keeps what came of it: `changes` and `effects` are
those of the last event, `journal` has every durable change since the beginning. After each event
all invariants are recomputed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, TypeVar

import msgspec

from coflux.model import (
    CachePolicy,
    Crashed,
    Definition,
    Error,
    Group,
    Options,
    Question,
    Raised,
    Reference,
    Result,
    RetryPolicy,
    Returned,
    Submission,
    TimedOut,
    Value,
    is_input,
    result_kind,
)
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.entities import Execution, Input
from coflux.server.core.machine import Machine
from coflux.server.core.reasons import Reason, reason
from coflux.server.core.state import State
from coflux.server.core.turn import Limits
from tests.core import invariants

E = TypeVar("E")

#: Everything that an agent hosts unless told otherwise; the first letters tell the type.
TARGETS = ("wf", "wf2", "sensor", "t", "u", "v", "w")


def _run_of(change: Any) -> str:
    if isinstance(change, c.RunPinned):
        return ""  # read at every start
    run = getattr(change, "run", None)
    id = getattr(change, "execution", None) or getattr(change, "parent", None) or ""
    return str(run if run is not None else id.partition(":")[0])


class Counting:
    """Ids in order, and the middle of every range unless told otherwise."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        #: Numbers to draw next, as shares of the range.
        self.shares: list[float] = []

    def id(self, prefix: str) -> str:
        self._counts[prefix] += 1
        return f"{prefix}{self._counts[prefix]}"

    def uniform(self, low: float, high: float) -> float:
        share = self.shares.pop(0) if self.shares else 0.5
        return low + share * (high - low)


def value(obj: Any = "x") -> Value:
    """A value with a key of its own."""
    data = repr(obj).encode()
    key = hashlib.sha256(data).digest()
    return Value(data=data, size=len(data), key=key, type=type(obj).__name__, preview=repr(obj))


def pickled(obj: Any = "x", type_name: str = "module.Thing") -> Value:
    """A value that has no key."""
    return Value("pickle", repr(obj).encode(), type=type_name, unkeyable=type_name)


def handles(*ids: str) -> Value:
    """A value that holds handles to executions, inputs, or assets (ids that begin with A)."""
    found = tuple(Reference(_kind_of(id), id) for id in ids)
    data = f"{len(ids)} references".encode()
    return Value(data=data, references=found, key=hashlib.sha256(data).digest(), type="list")


def _kind_of(id: str) -> Any:
    if id[0] == "A":
        return "asset"
    return "input" if is_input(id) else "execution"


def kind(target: str) -> Any:
    """The type that a target's name stands for."""
    return next((k for k in ("sensor",) if target.startswith(k)), None) or (
        "workflow" if target.startswith("wf") else "task"
    )


def failure(message: str = "boom", retryable: bool = True) -> Raised:
    """An error that user code raised."""
    return Raised(Error("builtins.ValueError", message), retryable)


def call(target: str, *arguments: Any, group: int | None = None, **options: Any) -> Submission:
    """A call of a target of the one repository; arguments are named a, b, c, …"""
    values = [a if isinstance(a, Value) else value(a) for a in arguments]
    named = dict(zip("abcdefgh", values, strict=False))
    code = options.pop("code", None)
    for name, give in (("retries", RetryPolicy), ("cache", CachePolicy)):
        given = options.get(name)
        if given is True:
            options[name] = give()
        elif isinstance(given, int):
            options[name] = RetryPolicy(limit=given)
        elif isinstance(given, dict):
            options[name] = give(**given)
    return Submission(
        "repo", target, kind(target), named, Options(**options),
        Group(group, None) if group is not None else None, code,
    )  # fmt: skip


def hosting(*targets: str, code: str | None = None, failure: str | None = None) -> e.Repository:
    """A repository that an agent hosts."""
    definitions = tuple(Definition(t, kind(t), code=code) for t in targets or TARGETS)
    return e.Repository("repo", definitions, failure)


class World:
    """A project's core and what surrounds it."""

    def __init__(self, check: bool = True, **limits: Any) -> None:
        self.source = Counting()
        self.limits = Limits(**limits)
        self.machine = Machine(self.source, self.limits)
        self.now = 1_000_000
        self.journal: list[c.Change] = []
        self.changes: list[c.Change] = []
        self.effects: list[fx.Effect] = []
        self.is_checking = check
        self.is_replayed = True
        self._tokens = 0
        self._keys: Counter[str] = Counter()
        self._connections = 0
        self._keep(self.machine.start(self.now))

    # --- the machine ------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.machine.state

    def handle(self, event: e.Event) -> list[fx.Effect]:
        """Have one event decided, with what it names read from the journal."""
        self.machine.fetch(event, self.family, self.was_removed)
        self._keep(self.machine.handle(event, self.now))
        return self.effects

    def was_removed(self, run: str) -> bool:
        """Whether that run was there once."""
        return any(isinstance(x, c.RunsRemoved) and run in x.runs for x in self.journal)

    def _keep(self, outcome: Any) -> None:
        self.changes, self.effects = outcome.changes, outcome.effects
        self.journal += [change for change in outcome.changes if change.DURABLE]
        if self.is_checking:
            invariants.check(self.machine, self.now)

    def after(self, ms: int) -> list[fx.Effect]:
        """Let time pass, with everything that happens by itself at its instant; all effects."""
        until = self.now + ms
        effects: list[fx.Effect] = []
        while (due := self.machine.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            effects += self.handle(e.TimePassed())
        self.now = until
        self.effects = effects
        return effects

    def evict(self, root: str) -> None:
        """Let go of a family; from here on the journal tells more than the memory."""
        self.is_replayed = False
        self.machine.evict(root)

    def family(self, run: str) -> list[c.Change]:
        """The durable changes of a run and its family, as the store gives them."""
        gone = {run for x in self.journal if isinstance(x, c.RunsRemoved) for run in x.runs}
        made = [x for x in self.journal if isinstance(x, c.RunCreated) and x.run not in gone]
        roots = {x.run: x.root or x.run for x in made}
        root = roots.get(run)
        return [x for x in self.journal if root is not None and roots.get(_run_of(x)) == root]

    def restart(self, live_only: bool = False) -> None:
        """Kill the process and start it from what is durable (SE-10), or from live work of that."""
        finished: set[str] = set()
        if live_only:
            self.is_replayed = False
            finished = {
                run.id
                for run in self.state.runs.values()
                if run.status is not None and not any(i.is_open for i in run.inputs.values())
            }
        machine = Machine(self.source, self.limits)
        machine.state.load(x for x in self.journal if _run_of(x) not in finished)
        self.machine = machine
        self._keep(machine.start(self.now))

    # --- what was decided -------------------------------------------------------------------------

    def sent(self, kind: type[E]) -> list[E]:
        """Effects of a kind from the last event."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def recorded(self, kind: type[E]) -> list[E]:
        """Changes of a kind from the last event."""
        return [change for change in self.changes if isinstance(change, kind)]

    def the(self, kind: type[E]) -> E:
        """The only effect of a kind from the last event."""
        found = self.sent(kind)
        assert len(found) == 1, self.effects
        return found[0]

    def refusal(self, code: str) -> str:
        """The message of the refusal that the last event got."""
        refused = self.the(fx.Refuse)
        assert refused.code == code, refused
        assert not self.changes, self.changes
        return refused.message

    @property
    def executed(self) -> list[str]:
        """Executions that were sent to agents by the last event."""
        return [effect.execution for effect in self.sent(fx.Execute)]

    def of(self, id: str) -> Execution:
        return self.state.executions[id]

    def status(self, id: str) -> str:
        """Its status, or the kind of its result."""
        result = self.of(id).result
        return self.of(id).status.value if result is None else result_kind(result)

    def outcome(self, id: str) -> Result:
        """What a waiter sees in the end."""
        end = self.state.end_of(id)[1]
        assert end is not None
        assert end.result is not None, f"{id} leads to {end.id}, which is {end.status.value}"
        return end.result

    def reason(self, id: str) -> Reason:
        return reason(self.state, self.machine.agenda, self.of(id), self.now)

    def run_status(self, id: str) -> str:
        return self.state.run_status(self.state.runs[id.partition(":")[0]], self.now)

    # --- clients ----------------------------------------------------------------------------------

    def caller(self, by: str = "alice") -> e.Caller:
        self._tokens += 1
        return e.Caller(self._tokens, by)

    def submit(
        self, target: str, *arguments: Any, environment: str = "default", key: str | None = None,
        fingerprint: bytes = b"", **options: Any,
    ) -> str:  # fmt: skip
        """A client starts a run; the id of its initial execution (or "" when refused)."""
        self.handle(
            e.RunRequested(
                self.caller(), environment, call(target, *arguments, **options), key, fingerprint
            )
        )
        submitted = self.sent(fx.Submitted)
        return submitted[0].executions[0] if submitted else ""

    def await_outcome(self, id: str) -> int:
        """A client waits; the token that it is answered with."""
        caller = self.caller()
        self.handle(e.OutcomeAwaited(caller, id))
        return caller.token

    def cancel(self, *ids: str, **fields: Any) -> list[str]:
        """A client cancels; the executions that were covered."""
        self.handle(e.CancelRequested(self.caller(), ids, **fields))
        confirmed = self.sent(fx.Confirm)
        return confirmed[0].data["cancelled"] if confirmed else []

    def rerun(self, id: str, environment: str | None = None, **fields: Any) -> str:
        """A client re-runs a step; the id of the new attempt (or "" when refused)."""
        self.handle(e.RerunRequested(self.caller(), id, environment, **fields))
        submitted = self.sent(fx.Submitted)
        return submitted[0].executions[0] if submitted else ""

    def set_result(self, id: str, result: Result, reason: str = "because", **fields: Any) -> str:
        """A client sets a result by hand; the id of the new attempt (or "" when refused)."""
        self.handle(e.ResultSet(self.caller(), id, result, reason, **fields))
        submitted = self.sent(fx.Submitted)
        return submitted[0].executions[0] if submitted else ""

    def pin(self, run: str, is_pinned: bool = True, by: str = "ann") -> None:
        """A client pins a run, or unpins it."""
        self.handle(e.PinRequested(e.Caller(self.caller().token, by), run, is_pinned))

    def environment(self, name: str, base: str | None = None) -> str:
        """A new environment; its id (or "" when refused)."""
        self.handle(e.EnvironmentRequested(self.caller(), name, base))
        confirmed = self.sent(fx.Confirm)
        return confirmed[0].data["id"] if confirmed else ""

    def put(self, name: str, state: str) -> None:
        """Pause, resume or archive."""
        environment = self.state.environment_named(name)
        id = environment.id if environment is not None else name
        self.handle(e.EnvironmentStateRequested(self.caller(), id, state))

    def set(self, environment: str = "default", **values: int | None) -> None:
        """An admin sets limits of an environment."""
        found = self.state.environment_named(environment)
        self.handle(
            e.SettingsRequested(self.caller(), found.id if found else environment, dict(values))
        )

    def slot(self, name: str, units: int | None = None, **fields: Any) -> None:
        """An admin defines a named slot in `default`, unless told otherwise."""
        place = fields.pop("environment", "default")
        found = self.state.environment_named(place) if place is not None else None
        id = found.id if found is not None else None
        self.handle(e.SlotRequested(self.caller(), id, name, units, **fields))

    def sleep(self, ms: int) -> None:
        """The host sleeps for so long."""
        self.now += ms
        self.handle(e.HostSlept(ms))

    # --- people -----------------------------------------------------------------------------------

    def asked(self, id: str) -> Input:
        return self.state.inputs[id]

    def answer(self, id: str, obj: Any = "yes", by: str = "alice") -> None:
        """A person responds."""
        given = obj if isinstance(obj, Value) else value(obj)
        self.handle(e.InputAnswered(self.caller(by), id, given))

    def dismiss(self, id: str, by: str = "alice") -> None:
        """A person will not respond."""
        self.handle(e.InputDismissed(self.caller(by), id))

    # --- agents -----------------------------------------------------------------------------------

    def agent(
        self, *targets: str, environment: str = "default", concurrency: int = 10, **fields: Any
    ) -> str:
        """A connected agent; the id of its session."""
        self.handle(e.SessionRequested(self.caller(), environment, b"hash"))
        session: str = self.the(fx.Confirm).data["session"]
        self.connect(session, *targets, concurrency=concurrency, **fields)
        return session

    def connect(
        self, session: str, *targets: str, incarnation: str = "first", concurrency: int = 10,
        held: tuple[tuple[str, bool], ...] = (), code: str | None = None,
        failure: str | None = None, **fields: Any,
    ) -> int:  # fmt: skip
        """An agent opens a connection; its number."""
        self._connections += 1
        repository = hosting(*targets, code=code, failure=failure)
        self.handle(
            e.SessionConnected(
                session, self._connections, incarnation, (repository,), concurrency, held=held,
                **fields,
            )
        )  # fmt: skip
        return self._connections

    def disconnect(self, session: str) -> None:
        connection = self.state.sessions[session].connection
        assert connection is not None
        self.handle(e.SessionDisconnected(session, connection))

    def close(self, session: str) -> None:
        self.handle(e.SessionClosed(session, "closed"))

    def drain(self, session: str) -> None:
        self.handle(e.SessionDrained(session))

    # --- what executions do -----------------------------------------------------------------------

    def _session(self, id: str) -> str:
        return self.of(id).assigned_to or ""

    def _code(self, id: str, key: int | None = None) -> e.Code:
        if key is None:
            self._keys[id] += 1
            key = self._keys[id]
        return e.Code(self._session(id), id, key)

    def start(self, *ids: str) -> None:
        """Agents acknowledge and start executions."""
        for id in ids:
            self.handle(e.AssignmentAcknowledged(self._session(id), id))
            self.handle(e.ExecutionStarted(self._session(id), id))

    def end(self, id: str, result: Result, gone: bool = True) -> None:
        """The agent reports an outcome."""
        self.handle(e.OutcomeReported(self._session(id), id, result, gone))

    def returns(self, id: str, obj: Any = "x", gone: bool = True) -> None:
        self.end(id, Returned(obj if isinstance(obj, Value) else value(obj)), gone)

    def fails(self, id: str, message: str = "boom", **fields: Any) -> None:
        self.end(id, failure(message, **fields))

    def crashes(self, id: str) -> None:
        self.end(id, Crashed(signal=9))

    def times_out(self, id: str, gone: bool = True) -> None:
        limit = self.of(id).step.submission.options.timeout_ms
        self.end(id, TimedOut(limit), gone)

    def dies(self, id: str) -> None:
        """The agent reports the process group dead."""
        self.handle(e.ProcessDied(self._session(id), id))

    def runs_code(self, id: str, code: str) -> None:
        self.handle(e.CodeReported(self._session(id), id, code))

    def calls(
        self, parent: str, target: str, *arguments: Any, key: int | None = None,
        awaited: bool = False, **options: Any,
    ) -> str:  # fmt: skip
        """Running code calls a target (and waits); the child's id (or "" when refused)."""
        to = self._code(parent, key)
        self.handle(e.StepsRequested(to, (call(target, *arguments, **options),), awaited))
        made = self.of(parent).requests.get(to.key)
        return made[0] if made and not self.sent(fx.Refuse) else ""

    def waits(
        self, id: str, *handles: str, key: int | None = None, timeout: int | None = None,
        suspend: bool = False, first: bool = False, cancel_remaining: bool = False,
    ) -> e.Code:  # fmt: skip
        """Running code waits; whom the answer goes to."""
        to = self._code(id, key)
        self.handle(e.WaitRequested(to, handles, timeout, suspend, first, cancel_remaining))
        return to

    def asks(self, id: str, template: str = "What?", **fields: Any) -> str:
        """Running code asks; the id of the input (or "" when refused)."""
        message = fields.pop("message", template)
        key = fields.pop("request", None)
        question = Question(template, message, **fields)
        self.handle(e.InputRequested(self._code(id, key), question))
        given = self.sent(fx.GiveInput)
        return given[0].input if given else ""

    def suspends(self, id: str, delay: int = 0) -> None:
        self.handle(e.SuspensionRequested(self._code(id), delay))

    def child_cancels(self, id: str, *handles: str) -> None:
        self.handle(e.CancelRequested(self._code(id), handles))

    def answers(self) -> list[tuple[e.Requester, dict[str, str]]]:
        """Who was answered by the last event, and with which outcome for each handle."""
        return [
            (a.to, {o.handle: result_kind(o.result) if o.result else "?" for o in a.outcomes})
            for a in self.sent(fx.Answer)
        ]

    def replayed(self) -> State:
        """A fresh state to which everything durable was applied."""
        state = State()
        state.load(msgspec.msgpack.decode(msgspec.msgpack.encode([change]), type=list[c.AnyChange])[
            0] for change in self.journal)  # fmt: skip
        return state
