"""Recurrent targets, sensors and checkpoints (RC-1 to RC-6)."""

from __future__ import annotations

import pytest

from coflux.model import Returned, TimedOut, Value
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, value

NONE = Returned(Value(data=b"n", key=b"k", type="NoneType", preview="None"))


def running(world: World, target: str = "wf", **options: object) -> str:
    run = world.submit(target, **options)
    world.start(run)
    return run


def checkpoints(world: World, id: str, obj: object) -> None:
    world.handle(e.CheckpointRequested(world._code(id), {"a": value(obj)}))


def arguments(world: World) -> object:
    """The first argument of what was sent to the agent by the last event."""
    return world.the(fx.Execute).arguments.get("a")


class TestRecurrence:
    def test_none_goes_on_after_the_delay_and_anything_else_ends_it(self, world: World) -> None:
        """RC-1, RC-2: waiters wait for the end."""
        world.agent()
        run = running(world, recurrent=True, delay_ms=1_000)
        world.after(1_000)
        world.start(run)
        token = world.await_outcome(run)
        world.end(run, NONE)
        assert world.status(run) == "recurred"
        following = world.of("R1:1:2")
        assert (following.origin, following.due_at) == ("recurrence", world.now + 1_000)
        world.after(1_000)
        world.start("R1:1:2")
        world.returns("R1:1:2", 0)
        assert [(a.to.token, a.outcomes[0].execution) for a in world.sent(fx.Answer)] == [
            (token, "R1:1:2")
        ]
        assert world.run_status(run) == "succeeded"

    def test_failures_retry_first_and_end_it_without_a_successor(self, world: World) -> None:
        """RC-1, RE-3: each recurrence begins with a fresh budget."""
        world.agent()
        run = running(world, recurrent=True, retries=1)
        world.fails(run)
        world.start("R1:1:2")
        world.end("R1:1:2", NONE)
        world.start("R1:1:3")
        world.fails("R1:1:3")
        world.start("R1:1:4")
        world.fails("R1:1:4")
        assert [e.origin for e in world.of(run).step.executions] == [
            "submit", "retry", "recurrence", "retry",
        ]  # fmt: skip
        assert world.run_status(run) == "failed"

    def test_any_attempts_id_stops_it(self, world: World) -> None:
        """RC-2, CN-5."""
        world.agent()
        run = running(world, recurrent=True)
        world.end(run, NONE)
        world.cancel(run)
        assert world.run_status(run) == "cancelled"
        world.after(60_000)
        assert len(world.of(run).step.executions) == 2

    def test_following_it_costs_the_same_after_many_rounds(self, world: World) -> None:
        """SC-6: the way to the end is shortened."""
        world.is_checking = False
        world.agent()
        run = running(world, recurrent=True)
        world.await_outcome(run)
        for attempt in range(1, 201):
            world.end(f"R1:1:{attempt}", NONE)
            world.start(f"R1:1:{attempt + 1}")
        hops, id = 0, run
        while (execution := world.of(id)).successor is not None:
            id, hops = execution.onward or execution.successor, hops + 1
        assert hops <= 3
        assert world.state.end_of(run)[0] == "R1:1:201"


class TestSensors:
    def test_called_from_code_it_is_a_run_of_its_own(self, world: World) -> None:
        """RC-3, T5."""
        world.agent()
        run = running(world)
        child = world.calls(run, "sensor")
        assert world.status(child) == "spawned"
        assert world.state.runs["R2"].parent == child
        world.start("R2:1:1")
        world.waits(run, child)
        world.returns("R2:1:1", 5)
        assert world.status(run) == "waiting"
        world.cancel("R2")
        assert world.status(run) == "running"

    def test_it_is_due_again_after_delay_and_spacing(self, world: World) -> None:
        """RC-4: the later of `delay` after its end and 5 s after its start."""
        world.agent()
        run = running(world, "sensor")
        world.after(2_000)
        world.returns(run, 1)
        assert world.of("R1:1:2").due_at == world.now + 3_000
        world.after(3_000)
        world.start("R1:1:2")
        world.after(60_000)
        world.returns("R1:1:2")
        assert world.of("R1:1:3").due_at == world.now

    def test_failures_back_off_until_a_clean_return(self, world: World) -> None:
        """RC-4: from 5 s doubling to 5 min."""
        world.agent()
        running(world, "sensor")
        delays = []
        for attempt in range(1, 9):
            world.fails(f"R1:1:{attempt}")
            following = world.of(f"R1:1:{attempt + 1}")
            delays.append((following.due_at - world.now) // 1_000)
            world.after(following.due_at - world.now)
            world.start(following.id)
        assert delays == [5, 10, 20, 40, 80, 160, 300, 300]
        world.after(60_000)
        world.returns("R1:1:9")
        world.start("R1:1:10")
        world.crashes("R1:1:10")
        assert world.of("R1:1:11").due_at == world.now + 5_000

    def test_a_new_checkpoint_resets_the_back_off(self, world: World) -> None:
        """RC-4."""
        world.agent()
        running(world, "sensor")
        world.fails("R1:1:1")
        world.after(5_000)
        world.start("R1:1:2")
        checkpoints(world, "R1:1:2", 1)
        world.fails("R1:1:2")
        assert world.of("R1:1:3").due_at == world.now + 5_000

    @pytest.mark.parametrize("how", ["crashes", "times_out", "abandoned"])
    def test_every_failure_is_followed_by_another_attempt(self, world: World, how: str) -> None:
        """RC-3: its waiters wait until it is cancelled."""
        session = world.agent()
        run = running(world, "sensor", timeout_ms=1_000)
        if how == "abandoned":
            world.close(session)
        else:
            getattr(world, how)(run)
        assert world.of("R1:1:2").due_at == world.now + 5_000
        assert world.run_status(run) == "queued"

    def test_without_an_agent_it_is_queued_and_a_restart_never_doubles_it(
        self, world: World
    ) -> None:
        """RC edge cases."""
        run = world.submit("sensor")
        assert world.reason(run).code == "agent"
        world.agent()
        world.start(run)
        world.returns(run)
        world.restart()
        world.after(5_000)
        assert len(world.of(run).step.executions) == 2

    def test_pausing_the_environment_holds_the_next_attempt(self, world: World) -> None:
        """RC edge cases, ST-2."""
        world.agent()
        run = running(world, "sensor")
        world.put("default", "paused")
        world.returns(run)
        world.after(60_000)
        assert world.reason("R1:1:2").code == "paused"
        world.put("default", "active")
        assert world.status("R1:1:2") == "assigned"


class TestCheckpoints:
    def test_every_later_attempt_starts_with_the_newest(self, world: World) -> None:
        """RC-5: of any type and origin."""
        world.agent()
        run = running(world, retries=1)
        for n in range(3):
            checkpoints(world, run, n)
        world.fails(run)
        assert arguments(world) == value(2)
        assert world.the(fx.Execute).checkpoint
        world.start("R1:1:2")
        world.returns("R1:1:2")
        world.rerun("R1:1")
        assert arguments(world) == value(2)

    def test_the_highest_attempt_counts_even_if_an_earlier_one_writes_later(
        self, world: World
    ) -> None:
        """RC-5: highest attempt, then highest number; here in two environments."""
        world.environment("dev", "default")
        world.agent()
        world.agent(environment="dev")
        run = running(world)
        there = world.rerun(run, "dev")
        world.start(there)
        checkpoints(world, there, "dev")
        checkpoints(world, run, "base")
        world.returns(there)
        world.rerun(run, "dev")
        assert arguments(world) == value("dev")

    def test_an_environment_sees_its_ancestors_and_never_the_reverse(self, world: World) -> None:
        """RC-5, EV-1."""
        world.environment("dev", "default")
        world.agent()
        world.agent(environment="dev")
        run = running(world)
        checkpoints(world, run, "base")
        world.returns(run)
        there = world.rerun(run, "dev")
        assert arguments(world) == value("base")
        world.start(there)
        checkpoints(world, there, "dev")
        world.returns(there)
        world.rerun(run)
        assert arguments(world) == value("base")

    def test_it_is_kept_over_a_restart_and_a_request_sent_again_is_no_newer(
        self, world: World
    ) -> None:
        """RC-5, SU-10."""
        session = world.agent()
        run = running(world, retries=1)
        to = world._code(run)
        world.handle(e.CheckpointRequested(to, {"a": value("first")}))
        checkpoints(world, run, "second")
        world.handle(e.CheckpointRequested(to, {"a": value("first")}))
        world.restart()
        world.connect(session, held=((run, True),))
        world.fails(run)
        assert arguments(world) == value("second")


def test_a_timeout_of_the_queue_ends_a_sensor(world: World) -> None:
    """T20."""
    world.set(queue_timeout_ms=1_000)
    run = world.submit("sensor")
    world.after(1_000)
    assert world.of(run).result == TimedOut(1_000, "queue")


def test_a_checkpoint_that_names_no_blob_is_refused(world: World) -> None:
    """RC-5, LI-1."""
    world.agent()
    run = running(world)
    world.handle(e.CheckpointRequested(world._code(run), {"a": Value(blob="../x")}))
    assert "names no blob" in world.refusal("invalid")
    assert world.changes == []
