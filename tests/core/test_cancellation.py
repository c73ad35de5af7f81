"""Cancelling: nothing of it runs on, whatever one names (CN-1 to CN-6)."""

from __future__ import annotations

import pytest

from coflux.model import Cancelled
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from tests.core.given import World, handles


def tree(world: World) -> tuple[str, str, str]:
    """A running workflow, its running child and a running grandchild."""
    world.agent()
    parent = world.submit("wf")
    world.start(parent)
    child = world.calls(parent, "t", 1)
    world.start(child)
    grandchild = world.calls(child, "u", 2)
    world.start(grandchild)
    return parent, child, grandchild


def test_it_is_recorded_at_once_with_who_and_the_processes_are_stopped(world: World) -> None:
    """CN-4, AU-5: in the commit of the request."""
    parent, child, grandchild = tree(world)
    assert world.cancel(child) == [child, grandchild]
    assert [change.execution for change in world.recorded(c.ResultRecorded)] == [child, grandchild]
    assert world.of(child).result == Cancelled("alice", "requested")
    assert [(a.execution, a.now) for a in world.sent(fx.Abort)] == [
        (child, False), (grandchild, False),
    ]  # fmt: skip
    assert world.status(parent) == "running"


def test_waiters_are_released_in_the_same_commit(world: World) -> None:
    """CN-4."""
    parent, child, _ = tree(world)
    world.waits(parent, child)
    world.cancel(child)
    assert [outcomes for _, outcomes in world.answers()] == [{child: "cancelled"}]


class TestWhatIsNamed:
    def test_a_run_covers_everything_of_it(self, world: World) -> None:
        """CN-1."""
        assert set(world.cancel(tree(world)[0].partition(":")[0])) == {
            "R1:1:1", "R1:2:1", "R1:3:1",
        }  # fmt: skip
        assert world.state.runs["R1"].unfinished == {}

    def test_a_run_in_one_environment_covers_only_that(self, world: World) -> None:
        """CN-1."""
        parent, *_ = tree(world)
        world.environment("dev", "default")
        again = world.rerun(parent, "dev")
        assert world.cancel("R1", environment="dev") == [again]
        assert world.status(parent) == "running"

    def test_an_unknown_environment_is_refused(self, world: World) -> None:
        """ID-4."""
        tree(world)
        world.cancel("R1", environment="nowhere")
        world.refusal("not_found")

    def test_a_step_covers_its_attempts_in_all_environments(self, world: World) -> None:
        """CN-1."""
        parent, child, _ = tree(world)
        world.environment("dev", "default")
        again = world.rerun(child, "dev")
        covered = world.cancel("R1:2")
        assert {child, again} <= set(covered)
        assert parent not in covered

    def test_an_attempt_covers_the_live_end_of_its_chain(self, world: World) -> None:
        """CN-1: and not what runs of the step elsewhere."""
        world.agent()
        run = world.submit("wf", retries={"limit": 1, "min_ms": 50})
        world.start(run)
        world.fails(run)
        world.environment("dev", "default")
        elsewhere = world.rerun(run, "dev")
        assert world.cancel(run) == ["R1:1:2"]
        assert world.status(elsewhere) == "queued"

    def test_a_spawned_step_means_its_child_run(self, world: World) -> None:
        """CN-1, CN-2."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        step = world.calls(parent, "wf2")
        world.start("R2:1:1")
        inner = world.calls("R2:1:1", "t")
        assert world.cancel(step) == ["R2:1:1", inner]
        assert world.state.runs["R2"].status == "cancelled"

    @pytest.mark.parametrize(
        "id",
        ["", "R9", "R1:9", "R1:1:9", "R1:0", "R1:1:0", "R1:01", "R1:²", "R1:x", "R1:1:1:1",
         "R1:" + "9" * 5000, ":1", "R1::1", "R1:-1"],
    )  # fmt: skip
    def test_a_malformed_or_unknown_id_is_not_found(self, world: World, id: str) -> None:
        """ID-4: the same answer, never a crash."""
        tree(world)
        world.cancel(id)
        world.refusal("not_found")
        assert world.rerun(id) == ""
        world.refusal("not_found")


class TestWhatIsCovered:
    def test_children_of_every_attempt_finished_or_not(self, world: World) -> None:
        """CN-2."""
        world.agent()
        run = world.submit("wf", retries=1)
        world.start(run)
        child = world.calls(run, "t", 1)
        world.start(child)
        world.fails(run)
        assert set(world.cancel(run)) == {"R1:1:2", child}

    def test_only_in_the_same_environment(self, world: World) -> None:
        """CN-2."""
        parent, child, _ = tree(world)
        world.environment("dev", "default")
        elsewhere = world.rerun(child, "dev")
        world.cancel(parent)
        assert world.status(elsewhere) == "queued"

    def test_a_memo_shared_step_with_an_unfinished_parent_outside_is_not(
        self, world: World
    ) -> None:
        """CN-3."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one, two = world.calls(parent, "t", 1), world.calls(parent, "t", 2)
        world.start(one, two)
        shared = world.calls(one, "u", 1, memo=True)
        assert world.calls(two, "u", 1, memo=True) == shared
        world.cancel(one)
        assert world.status(shared) == "assigned"
        world.cancel(two)
        assert world.status(shared) == "cancelled"

    def test_a_shared_step_is_covered_when_all_its_parents_are(self, world: World) -> None:
        """CN-3: whichever of them comes first."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one, two = world.calls(parent, "t", 1), world.calls(parent, "t", 2)
        world.start(one, two)
        shared = world.calls(two, "u", 1, memo=True)
        world.calls(one, "u", 1, memo=True)
        world.cancel(parent)
        assert world.status(shared) == "cancelled"

    def test_a_parent_of_the_same_step_in_another_environment_is_outside(
        self, world: World
    ) -> None:
        """CN-3."""
        world.agent()
        parent = world.submit("wf", memo=True)
        world.start(parent)
        shared = world.calls(parent, "t", 1)
        world.environment("dev", "default")
        world.agent(environment="dev")
        there = world.rerun(parent, "dev")
        world.start(there)
        assert world.calls(there, "t", 1) == shared
        world.cancel(parent)
        assert world.status(shared) == "assigned"

    def test_it_is_covered_when_the_step_is_cancelled_in_all_environments(
        self, world: World
    ) -> None:
        """CN-1, CN-3: no unfinished chain has it as a child any more."""
        world.agent()
        parent = world.submit("wf", memo=True)
        world.start(parent)
        shared = world.calls(parent, "t", 1)
        world.environment("dev", "default")
        world.agent(environment="dev")
        there = world.rerun(parent, "dev")
        world.start(there)
        assert world.calls(there, "t", 1) == shared
        world.cancel("R1:1")
        assert [world.status(id) for id in (parent, there, shared)] == ["cancelled"] * 3

    def test_the_source_of_a_cached_execution_is_not(self, world: World) -> None:
        """CN-3."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        parent = world.submit("wf2")
        world.start(parent)
        world.calls(parent, "wf", 1, cache=True)
        world.cancel("R2")
        assert world.status(leader) == "assigned"
        assert world.state.runs["R2"].status == "cancelled"

    def test_delayed_gated_suspended_and_retrying_ones_are(self, world: World) -> None:
        """T17: queued in every way, and none comes back."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        delayed = world.calls(parent, "t", 1, delay_ms=500)
        gated = world.calls(parent, "t", handles(delayed), wait=True)
        suspended = world.calls(parent, "t", 2)
        retried = world.calls(parent, "t", 3, retries={"limit": 1, "min_ms": 500})
        world.start(suspended, retried)
        world.suspends(suspended, 500)
        world.fails(retried)
        world.cancel("R1")
        assert world.state.runs["R1"].unfinished == {}
        world.after(10_000)
        assert world.state.runs["R1"].unfinished == {}
        assert world.status(gated) == "cancelled"


class TestAfterwards:
    def test_no_retry_recurrence_or_resumption_follows(self, world: World) -> None:
        """CN-5."""
        world.agent()
        run = world.submit("wf", retries=5, recurrent=True)
        world.start(run)
        world.cancel(run)
        world.fails(run)
        assert len(world.of(run).step.executions) == 1

    def test_cancelling_what_has_ended_succeeds_and_changes_nothing(self, world: World) -> None:
        """CN-5."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        world.returns(run)
        assert world.cancel(run) == []
        assert world.changes == []
        assert world.the(fx.Confirm).data == {"cancelled": []}

    def test_while_the_agent_is_away_it_stands_and_is_carried_out_at_reconnect(
        self, world: World
    ) -> None:
        """CN-4, SE-4."""
        session = world.agent()
        run = world.submit("wf")
        world.start(run)
        world.disconnect(session)
        world.cancel(run)
        world.connect(session, held=((run, True),))
        assert world.the(fx.Welcome).keep == ()
        world.returns(run)
        assert world.status(run) == "cancelled"
        assert world.state.sessions[session].used == 0


class TestRights:
    def test_they_are_checked_against_what_is_covered(self, world: World) -> None:
        """CN-6: and nothing is cancelled."""
        parent, *_ = tree(world)
        dev = world.environment("dev", "default")
        world.rerun(parent, "dev")
        world.cancel("R1", allowed=(dev,))
        assert "may not be cancelled" in world.refusal("forbidden")

    def test_a_right_nowhere_is_no_right(self, world: World) -> None:
        """CN-6."""
        world.cancel(tree(world)[0], allowed=())
        world.refusal("forbidden")

    def test_code_may_cancel_only_in_its_own_environment(self, world: World) -> None:
        """CN-6: if one is not permitted, none is cancelled."""
        parent, child, _ = tree(world)
        world.environment("dev", "default")
        world.agent(environment="dev")
        there = world.rerun(parent, "dev")
        world.start(there)
        own = world.calls(there, "t", 7)
        world.child_cancels(there, own, child)
        world.refusal("forbidden")
        assert world.status(own) == "assigned"

    def test_code_cancels_several_in_one_commit_skipping_ended_ones(self, world: World) -> None:
        """CN-6."""
        parent, child, grandchild = tree(world)
        other = world.calls(parent, "t", 5)
        world.start(other)
        world.returns(other)
        world.child_cancels(parent, other, child)
        assert {child, grandchild} == {x.execution for x in world.recorded(c.ResultRecorded)}

    def test_an_execution_may_cancel_its_own_ancestor(self, world: World) -> None:
        """CN edge cases: both end cancelled."""
        parent, child, grandchild = tree(world)
        world.child_cancels(grandchild, parent)
        assert {world.status(id) for id in (parent, child, grandchild)} == {"cancelled"}

    def test_children_submitted_afterwards_are_refused(self, world: World) -> None:
        """CN edge cases: nothing unfinished is left."""
        parent, child, _ = tree(world)
        world.cancel(parent)
        world.calls(child, "v", 9)
        world.refusal("conflict")
        assert world.state.runs["R1"].unfinished == {}
