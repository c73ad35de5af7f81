"""Anything may come in any order: after each event all invariants hold, and replay equals live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coflux.model import Result, Returned, Suspended, TimedOut
from coflux.server.core import events as e
from coflux.server.core.statuses import Process, Status
from tests.core import invariants
from tests.core.given import World, call, failure, handles, value

#: A choice out of a list whose length is known only when the rule runs.
PICK = st.integers(0, 10_000)
FLAG = st.booleans()
ENVIRONMENTS = ("default", "dev", "dev/a")
ARGUMENT = st.sampled_from([1, 2])
DELAY = st.sampled_from([0, 0, 0, 5, 500])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "cache": st.sampled_from([True, {"max_age_ms": 100}, {"params": ("a",)}]),
        "memo": st.sampled_from([True, False, ("a",)]),
        "retries": st.sampled_from([1, {"limit": None, "min_ms": 5, "max_ms": 50}]),
        "wait": st.sampled_from([True, ("a",)]),
        "delay_ms": DELAY,
        "timeout_ms": st.sampled_from([50, 20_000]),
        "recurrent": FLAG,
        "priority": st.sampled_from([-1, 1]),
        "requires": st.sampled_from([{"gpu": ("a",)}, {"gpu": ()}]),
        "slots": st.sampled_from([{"one": 1}, {"one": 2, "other": 1}]),
        "defer": st.sampled_from([True, ("a",)]),
    },
)


class Anything(RuleBasedStateMachine):
    """A small project in which everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(check=False)
        #: After a restart more may be taken for running than there are slots.
        self.is_crowded = False

    @initialize()
    def furnish(self) -> None:
        """Environments, and an agent in two of them."""
        self.world.environment("dev", "default")
        self.world.environment("dev/a", "dev")
        for name in ENVIRONMENTS[:2]:
            self.world.agent(environment=name, concurrency=2, provides={"gpu": ("a",)})

    # --- choosing ---------------------------------------------------------------------------------

    def some(self, pick: int, where: Callable[[Any], bool] = lambda _: True) -> str | None:
        found = [id for id, x in self.world.state.executions.items() if where(x)]
        return found[pick % len(found)] if found else None

    def live(self, pick: int) -> str | None:
        """An execution whose code runs, as far as its agent knows."""
        return self.some(pick, lambda x: x.process is Process.ALIVE and x.result is None)

    def session(self, pick: int) -> str | None:
        found = list(self.world.state.sessions)
        return found[pick % len(found)] if found else None

    def input(self, pick: int) -> str | None:
        found = list(self.world.state.inputs)
        return found[pick % len(found)] if found else None

    def handle(self, pick: int) -> str | None:
        """An execution or an input."""
        return (self.input(pick) if pick % 4 == 0 else None) or self.some(pick)

    def argument(self, pick: int, obj: int, is_handle: bool) -> Any:
        handle = self.handle(pick) if is_handle else None
        return handles(handle) if handle is not None else value(obj)

    # --- clients ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["wf", "wf", "t", "sensor"]), pick=PICK, obj=ARGUMENT,
          is_handle=FLAG, where=st.sampled_from(ENVIRONMENTS), options=OPTIONS)  # fmt: skip
    def submit(
        self, name: str, pick: int, obj: int, is_handle: bool, where: str, options: Any
    ) -> None:
        argument = self.argument(pick, obj, is_handle)
        self.world.submit(name, argument, environment=where, **options)

    @rule(pick=PICK, level=st.integers(1, 3), where=st.sampled_from([None, *ENVIRONMENTS]))
    def cancel(self, pick: int, level: int, where: str | None) -> None:
        id = self.some(pick)
        if id is not None:
            self.world.cancel(":".join(id.split(":")[:level]), environment=where)

    @rule(pick=PICK, where=st.sampled_from([None, *ENVIRONMENTS]), reuse=FLAG)
    def rerun(self, pick: int, where: str | None, reuse: bool) -> None:
        id = self.some(pick)
        if id is not None:
            self.world.rerun(id, where, reuse=reuse)

    @rule(pick=PICK, where=st.sampled_from([None, *ENVIRONMENTS]), good=FLAG)
    def set_result(self, pick: int, where: str | None, good: bool) -> None:
        id = self.some(pick)
        result: Result = Returned(value(9)) if good else failure()
        if id is not None:
            self.world.set_result(id, result, environment=where)

    @rule(pick=PICK, is_pinned=FLAG)
    def pin(self, pick: int, is_pinned: bool) -> None:
        id = self.some(pick)
        if id is not None:
            self.world.pin(id.partition(":")[0], is_pinned)

    # --- agents -----------------------------------------------------------------------------------

    @rule(where=st.sampled_from(ENVIRONMENTS), slots=st.sampled_from([1, 3]))
    def agent(self, where: str, slots: int) -> None:
        if len(self.world.state.sessions) < 4:
            self.world.agent(environment=where, concurrency=slots, provides={"gpu": ("a",)})

    @rule(pick=PICK, keeps=st.sampled_from([True, True, False]), is_new=FLAG)
    def reconnect(self, pick: int, keeps: bool, is_new: bool) -> None:
        session = self.session(pick)
        if session is None:
            return
        found = self.world.state.sessions[session]
        if found.connection is not None and pick % 3:
            self.world.disconnect(session)
        held = tuple((x.id, x.status is not Status.ASSIGNED) for x in found.held.values())
        incarnation = f"{self.world.now}.{pick}" if is_new else found.incarnation or "first"
        self.world.connect(
            session, incarnation=incarnation, held=held if keeps else held[::2],
            concurrency=found.concurrency, provides=found.provides,
        )  # fmt: skip

    @rule(pick=PICK, how=st.sampled_from(["disconnect", "drain", "close", "pause", "resume"]))
    def disturb(self, pick: int, how: str) -> None:
        session = self.session(pick)
        if how == "pause":
            self.world.put(ENVIRONMENTS[pick % 3], "paused")
        elif how == "resume":
            for name in ENVIRONMENTS:
                self.world.put(name, "active")
        elif session is None:
            self.world.agent(concurrency=2, provides={"gpu": ("a",)})
        elif how != "disconnect" or self.world.state.sessions[session].connection is not None:
            getattr(self.world, how)(session)

    # --- code -------------------------------------------------------------------------------------

    @rule()
    def start(self) -> None:
        for id in [i for i, x in self.world.state.executions.items()
                   if x.status is Status.ASSIGNED]:  # fmt: skip
            if self.world.status(id) == "assigned":
                self.world.start(id)

    @rule(pick=PICK, how=st.sampled_from(["value", "value", "none", "error", "timeout"]), gone=FLAG)
    def end(self, pick: int, how: str, gone: bool) -> None:
        id = self.live(pick)
        handle = self.handle(pick * 7)
        results: dict[str, Result] = {
            "value": Returned(handles(handle) if handle and pick % 2 else value(1)),
            "none": Returned(value(None)),
            "error": failure(retryable=bool(pick % 3)),
            "timeout": TimedOut(50),
        }
        if id is not None:
            self.world.end(id, results[how], gone)

    @rule()
    def die(self) -> None:
        for id, execution in list(self.world.state.executions.items()):
            if execution.process is Process.STOPPING:
                self.world.dies(id)

    @rule(pick=PICK, name=st.sampled_from(["t", "t", "u", "wf2"]), obj=ARGUMENT, is_handle=FLAG,
          awaited=FLAG, options=OPTIONS)  # fmt: skip
    def call(
        self, pick: int, name: str, obj: int, is_handle: bool, awaited: bool, options: Any
    ) -> None:
        id = self.live(pick)
        if id is not None:
            argument = self.argument(pick * 7, obj, is_handle)
            self.world.calls(id, name, argument, awaited=awaited, **options)

    @rule(pick=PICK, count=st.integers(1, 3), timeout=st.sampled_from([None, 0, 50]), suspend=FLAG,
          first=FLAG, cancel_remaining=FLAG, key=st.integers(100, 103))  # fmt: skip
    def wait(self, pick: int, count: int, **fields: Any) -> None:
        id = self.live(pick)
        chosen = [self.handle(pick * 7 + n) for n in range(count)]
        if id is not None:
            self.world.waits(id, *[h for h in chosen if h is not None], **fields)

    @rule(pick=PICK, template=st.sampled_from(["a", "b"]),
          key=st.sampled_from([None, "k"]))  # fmt: skip
    def question(self, pick: int, template: str, key: str | None) -> None:
        id = self.live(pick)
        if id is not None:
            self.world.asks(id, template, key=key)

    @rule(pick=PICK, how=st.sampled_from(["answer", "dismiss", "cancel"]))
    def respond(self, pick: int, how: str) -> None:
        input = self.input(pick)
        if input is not None:
            getattr(self.world, how)(input)

    @rule(pick=PICK, how=st.sampled_from(["suspend", "cancel", "checkpoint", "await"]), delay=DELAY)
    def ask(self, pick: int, how: str, delay: int) -> None:
        id, other = self.live(pick), self.handle(pick * 7)
        if id is None or other is None:
            return
        if how == "suspend":
            self.world.suspends(id, delay)
        elif how == "cancel":
            self.world.child_cancels(id, other)
        elif how == "await":
            self.world.await_outcome(other)
        else:
            to = e.Code(self.world.of(id).assigned_to or "", id, pick % 3)
            self.world.handle(e.CheckpointRequested(to, {"a": value(pick)}))

    # --- the world --------------------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 60, 16_000, 40_000]))
    def pass_time(self, ms: int) -> None:
        self.world.after(ms)

    @rule(pick=PICK, other=PICK)
    def astonish(self, pick: int, other: int) -> None:
        """A restart; reports by the wrong session, for what has ended, about what is not there."""
        session, id = self.session(pick) or "S9", self.some(other) or "R9:1:1"
        events = (
            e.ExecutionStarted(session, id),
            e.ProcessDied(session, id),
            e.AssignmentAcknowledged(session, "R9:9:9"),
            e.OutcomeReported("S99", id, Suspended()),
            e.StepsRequested(e.Code(session, id, 7), (call("t", handles("R9:1:1")),)),
            e.SessionDisconnected(session, 999_999),
            e.CacheForgetRequested(self.world.caller(), next(iter(self.world.state.environments)),
                                   execution=id),
        )  # fmt: skip
        if pick % 3:
            self.world.handle(events[other % len(events)])
            return
        invariants.check_replay(self.world.state, self.world.replayed())
        self.world.restart()
        self.is_crowded = True

    @invariant()
    def all_is_well(self) -> None:
        world = self.world
        invariants.check(world.machine, world.now)
        if not self.is_crowded:
            invariants.check_crowding(world.state)

    def teardown(self) -> None:
        invariants.check_replay(self.world.state, self.world.replayed())


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), derandomize=True,
        phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip


class Quick(Anything):
    """What fits into every run of the tests."""


class Thorough(Anything):
    """What is worth a coffee."""


Quick.TestCase.settings = _settings(40, 40)
Thorough.TestCase.settings = _settings(60, 80)
TestQuick = Quick.TestCase
TestThorough = pytest.mark.slow(Thorough.TestCase)
