"""Recurrent targets, sensors and checkpoints (RC-1 to RC-5)."""

from __future__ import annotations

from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, value


def test_returning_none_makes_the_next_round_due_after_the_delay(world: World) -> None:
    """RC-1, ST-3."""
    world.agent()
    run = world.submit("wf", recurrent=True, delay_ms=100)
    world.after(100)
    world.start(run)
    world.returns(run, None)
    assert world.status(run) == "recurred"
    following = world.of("R1:1:2")
    assert (following.origin, following.due_at) == ("recurrence", world.now + 100)


def test_any_other_value_ends_it_and_waiters_wait_for_that(world: World) -> None:
    """RC-1, RC-2."""
    world.agent()
    for result in (0, "", False):
        run = world.submit("wf", recurrent=True)
        token = world.await_outcome(run)
        world.start(run)
        world.returns(run, None)
        assert world.answers() == []
        second = world.of(run).successor
        assert second is not None
        world.start(second)
        world.returns(second, result)
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]


def test_failures_retry_first_and_each_round_has_a_fresh_budget(world: World) -> None:
    """RC-1, RE-3."""
    world.agent()
    run = world.submit("wf", recurrent=True, retries=1)
    world.start(run)
    world.fails(run)
    world.start("R1:1:2")
    world.returns("R1:1:2", None)
    world.start("R1:1:3")
    world.fails("R1:1:3")
    world.start("R1:1:4")
    world.fails("R1:1:4")
    assert world.run_status(run) == "failed"


def test_cancelling_by_any_attempts_id_stops_it(world: World) -> None:
    """RC-2."""
    world.agent()
    run = world.submit("wf", recurrent=True)
    world.start(run)
    world.returns(run, None)
    assert world.cancel(run) == ["R1:1:2"]
    assert world.state.runs["R1"].status == "cancelled"


class TestSensors:
    def test_one_that_returns_is_due_again_five_seconds_after_its_start(self, world: World) -> None:
        """RC-4: or its delay after its end, whichever is later."""
        world.agent()
        run = world.submit("sensor")
        world.start(run)
        world.after(2_000)
        world.returns(run, "anything")
        assert world.of("R1:1:2").due_at == world.now + 3_000
        world.after(3_000)
        world.start("R1:1:2")
        world.after(60_000)
        world.returns("R1:1:2", None)
        assert world.of("R1:1:3").due_at == world.now

    def test_one_that_fails_backs_off_to_five_minutes(self, world: World) -> None:
        """RC-4: reset by a clean return."""
        session = world.agent()
        world.submit("sensor", retries=5)
        delays = []
        for attempt in range(1, 9):
            world.start(f"R1:1:{attempt}")
            if attempt % 2:
                world.fails(f"R1:1:{attempt}")
            else:
                world.crashes(f"R1:1:{attempt}")
            delays.append(world.of(f"R1:1:{attempt + 1}").due_at - world.now)
            world.after(delays[-1])
        assert delays == [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]
        world.start("R1:1:9")
        world.returns("R1:1:9")
        world.after(5_000)
        world.start("R1:1:10")
        world.disconnect(session)
        world.after(30_000)
        assert world.of("R1:1:10").result is not None
        assert world.of("R1:1:11").due_at == world.now + 5_000

    def test_a_new_checkpoint_resets_the_back_off(self, world: World) -> None:
        """RC-4."""
        session = world.agent()
        world.submit("sensor")
        for attempt in (1, 2, 3):
            id = f"R1:1:{attempt}"
            world.start(id)
            if attempt == 3:
                world.handle(e.CheckpointRequested(e.Code(session, id, 1), {}))
            world.fails(id)
            delay = world.of(f"R1:1:{attempt + 1}").due_at - world.now
            assert delay == (5_000, 10_000, 5_000)[attempt - 1]
            world.after(delay)

    def test_waiters_wait_until_it_is_cancelled(self, world: World) -> None:
        """RC-3."""
        world.agent()
        run = world.submit("sensor")
        token = world.await_outcome(run)
        world.start(run)
        world.returns(run)
        assert world.answers() == []
        world.cancel(run)
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]


class TestCheckpoints:
    def test_later_attempts_start_with_the_newest(self, world: World) -> None:
        """RC-5: of any origin."""
        session = world.agent()
        run = world.submit("wf", 1, retries=1)
        world.start(run)
        for number in (1, 2):
            world.handle(e.CheckpointRequested(e.Code(session, run, number), {"a": value(number)}))
        world.fails(run)
        sent = world.the(fx.Execute)
        assert (sent.arguments, sent.checkpoint) == ({"a": value(2)}, True)

    def test_a_request_sent_again_does_not_become_the_newest(self, world: World) -> None:
        """SU-10: whose answer was lost while a later one's arrived."""
        session = world.agent()
        run = world.submit("wf", 1, retries=1)
        world.start(run)
        for number in (1, 2, 1):
            world.handle(e.CheckpointRequested(e.Code(session, run, number), {"a": value(number)}))
            assert len(world.sent(fx.Confirm)) == 1
        assert world.recorded(c.CheckpointSaved) == []
        world.fails(run)
        assert world.the(fx.Execute).arguments == {"a": value(2)}

    def test_children_see_the_bases_and_never_the_reverse(self, world: World) -> None:
        """RC-5, EV-1."""
        session = world.agent()
        world.environment("dev", "default")
        there = world.agent(environment="dev")
        run = world.submit("wf", 1)
        world.start(run)
        world.handle(e.CheckpointRequested(e.Code(session, run, 1), {"a": value("base")}))
        world.returns(run)
        second = world.rerun(run, "dev")
        assert world.the(fx.Execute).arguments == {"a": value("base")}
        world.start(second)
        world.handle(e.CheckpointRequested(e.Code(there, second, 1), {"a": value("dev")}))
        world.returns(second)
        world.rerun(run)
        assert world.the(fx.Execute).arguments == {"a": value("base")}
        world.rerun(run, "dev")
        assert world.the(fx.Execute).arguments == {"a": value("dev")}
