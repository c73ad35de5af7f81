"""Results and who sees which (RS-1 to RS-6)."""

from __future__ import annotations

import pytest

from coflux.model import Result, Returned
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, failure, value


def test_waiters_move_to_where_a_result_leads(world: World) -> None:
    """RS-2: retry, suspension and supersession, one after the other."""
    world.agent()
    parent = world.submit("wf")
    world.start(parent)
    child = world.calls(parent, "t", retries=1)
    token = world.await_outcome(child)
    world.waits(parent, child)
    world.start(child)
    world.fails(child)
    world.start("R1:2:2")
    world.suspends("R1:2:2")
    world.dies("R1:2:2")
    again = world.rerun("R1:2")
    assert again == "R1:2:4"
    assert world.answers() == []
    world.dies("R1:2:3")
    world.start(again)
    world.returns(again)
    told = {getattr(to, "token", None) or getattr(to, "execution", None)
            for to, _ in world.answers()}  # fmt: skip
    assert told == {token, parent}
    assert {tuple(o.items()) for _, o in world.answers()} == {((child, "value"),)}


def test_a_later_re_run_of_a_finished_step_is_not_linked(world: World) -> None:
    """RS-3: a handle to attempt 1 keeps its outcome for ever."""
    world.agent()
    run = world.submit("wf")
    world.start(run)
    world.returns(run, 1)
    again = world.rerun(run)
    world.start(again)
    world.returns(again, 2)
    first, second = world.outcome(run), world.outcome(again)
    assert isinstance(first, Returned)
    assert isinstance(second, Returned)
    assert (first.value.preview, second.value.preview) == ("1", "2")


@pytest.mark.parametrize("end", ["returns", "fails", "crashes"])
def test_an_end_of_a_parent_leaves_its_children_alone(world: World, end: str) -> None:
    """RS-5."""
    world.agent()
    parent = world.submit("wf")
    world.start(parent)
    child = world.calls(parent, "t")
    world.start(child)
    getattr(world, end)(parent)
    assert world.status(child) == "running"


def test_an_abandoned_parent_leaves_its_children_alone(world: World) -> None:
    """RS-5."""
    session = world.agent("wf")
    world.agent("t")
    parent = world.submit("wf")
    world.start(parent)
    child = world.calls(parent, "t")
    world.start(child)
    world.close(session)
    assert world.status(parent) == "abandoned"
    assert world.status(child) == "running"


class TestRunStatus:
    def test_it_is_finished_when_nothing_of_it_is_unfinished(self, world: World) -> None:
        """RS-6."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t")
        world.start(child)
        world.returns(parent)
        run = world.state.runs["R1"]
        assert (world.run_status(parent), run.status) == ("succeeded", None)
        world.fails(child)
        assert run.status == "succeeded"

    def test_it_follows_the_initial_steps_latest_attempt(self, world: World) -> None:
        """RS-6."""
        world.agent()
        run = world.submit("wf")
        assert world.run_status(run) == "running"
        world.start(run)
        world.fails(run)
        assert world.state.runs["R1"].status == "failed"
        again = world.rerun(run)
        assert world.state.runs["R1"].status is None
        world.start(again)
        world.returns(again)
        assert world.state.runs["R1"].status == "succeeded"

    def test_it_is_queued_without_an_agent_and_cancelled_when_cancelled(self, world: World) -> None:
        """RS-6."""
        run = world.submit("wf")
        assert world.run_status(run) == "queued"
        world.cancel(run)
        assert world.state.runs["R1"].status == "cancelled"

    def test_it_is_suspended_until_the_next_attempt_is_due(self, world: World) -> None:
        """RS-6."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        world.suspends(run, 100)
        assert world.run_status(run) == "suspended"
        world.after(100)
        assert world.run_status(run) == "queued"

    def test_it_is_suspended_until_what_it_waits_for_is_resolved(self, world: World) -> None:
        """RS-6."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        child = world.calls(run, "t")
        world.start(child)
        world.waits(run, child, timeout=0, suspend=True)
        assert world.run_status(run) == "suspended"
        world.returns(child)
        assert world.run_status(run) == "queued"

    def test_a_run_that_follows_another_finishes_with_it(self, world: World) -> None:
        """RS-6: links are followed."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        assert world.status(follower) == "cached"
        assert world.state.runs["R2"].status is None
        assert world.run_status(follower) == "running"
        world.start(leader)
        world.returns(leader)
        assert world.state.runs["R2"].status == "succeeded"

    def test_a_finished_run_with_an_open_follower_is_not_finished(self, world: World) -> None:
        """RS-6, CA-9: the follower may have to run yet."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        run = world.submit("wf2")
        world.start(run)
        world.calls(run, "wf", 1, cache=True)
        world.returns(run)
        assert world.state.runs["R2"].status is None
        world.start(leader)
        world.returns(leader)
        assert world.state.runs["R2"].status == "succeeded"


@pytest.mark.parametrize("result", [Returned(value(1)), failure()])
def test_the_first_result_wins(world: World, result: Result) -> None:
    """RS-1: reported twice, written once."""
    world.agent()
    run = world.submit("wf")
    world.start(run)
    world.end(run, result)
    world.end(run, Returned(value(2)))
    assert (world.changes, world.effects) == ([], [])
    assert world.outcome(run) == result


class TestMemory:
    def test_a_finished_family_can_be_let_go_and_read_again(self, world: World) -> None:
        """DM-1."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        world.calls(run, "wf2")
        assert not world.machine.is_evictable("R1")
        world.start("R2:1:1")
        world.returns("R2:1:1")
        world.returns(run)
        assert world.machine.is_evictable("R1")
        world.evict("R1")
        assert world.state.executions == {}
        assert world.machine.fetch(e.OutcomeAwaited(world.caller(), run), world.family) == ["R1"]
        assert world.status("R2:1:1") == "value"

    def test_what_a_link_leads_to_is_kept(self, world: World) -> None:
        """DM-2."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        world.start(leader)
        world.submit("wf", 1, cache=True)
        world.returns(leader)
        assert not world.machine.is_evictable("R1")
        world.evict("R2")
        assert world.machine.is_evictable("R1")

    def test_a_link_to_what_is_not_there_pins_nothing_later(self, world: World) -> None:
        """DM-1: the pin that was never set is never taken back."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        world.start(leader)
        world.returns(leader)
        world.evict("R1")
        follower = world.submit("wf", 1, cache=True)
        assert world.status(follower) == "cached"
        world.machine.fetch(e.OutcomeAwaited(world.caller(), leader), world.family)
        world.evict("R2")
        assert world.state.runs["R1"].pins == 0

    def test_what_links_lead_to_is_read_along(self, world: World) -> None:
        """DM-1: or a failure would be taken for a value."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        world.start(leader)
        follower = world.submit("wf", 1, cache=True)
        other = world.submit("wf", 1, cache=True)
        world.fails(leader)
        for root in ("R3", "R2", "R1"):
            assert world.machine.is_evictable(root)
            world.evict(root)
        event = e.ResultSet(world.caller(), follower, Returned(value(1)), "by hand")
        assert world.machine.fetch(event, world.family) == ["R2", "R1"]
        assert world.run_status(follower) == "failed"
        assert not world.machine.is_evictable("R1")
        world.handle(event)
        assert world.sent(fx.Refuse) == []
        assert other not in world.state.executions

    def test_what_is_still_being_stopped_is_kept(self, world: World) -> None:
        """ST-5: or its slot would never be given back."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        world.cancel(run)
        assert not world.machine.is_evictable("R1")
        world.dies(run)
        assert world.machine.is_evictable("R1")
