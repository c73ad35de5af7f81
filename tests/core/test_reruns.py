"""Running a step again and setting its result (RR-1 to RR-6), row by row of the table."""

from __future__ import annotations

import pytest

from coflux.model import Returned, Superseded, Suspended
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from tests.core.given import World, failure, value


@pytest.fixture
def done(world: World) -> str:
    """A finished run; with agents in `default`, in `dev` below it and in `dev/a` below that."""
    world.environment("dev", "default")
    world.environment("dev/a", "dev")
    world.environment("other")
    for name in ("default", "dev", "dev/a"):
        world.agent(environment=name)
    run = world.submit("wf", 1)
    world.start(run)
    world.returns(run)
    return run


class TestWhere:
    @pytest.mark.parametrize("environment", [None, "default", "dev", "dev/a"])
    def test_the_base_and_its_descendants_are_allowed(
        self, world: World, done: str, environment: str | None
    ) -> None:
        """RR: next attempt there, due now; its children are queued there, in the same run."""
        again = world.rerun(done, environment)
        assert again == "R1:1:2"
        found = world.of(again)
        named = world.state.environment_named(environment or "default")
        assert named is not None
        assert (found.environment, found.origin, found.by) == (named.id, "rerun", "alice")
        assert (found.due_at, found.predecessor) == (world.now, done)
        world.start(again)
        child = world.calls(again, "t")
        assert child.startswith("R1:")
        assert world.of(child).environment == named.id

    def test_an_unrelated_one_is_refused_naming_base_and_lineage(
        self, world: World, done: str
    ) -> None:
        """RR."""
        world.rerun(done, "other")
        message = world.refusal("invalid")
        assert "'default'" in message
        assert "lineage of 'other' is other" in message

    def test_an_ancestor_is_refused(self, world: World) -> None:
        """RR: a run of the child is not run in the base."""
        world.environment("dev", "default")
        run = world.submit("wf", environment="dev")
        world.rerun(run, "default")
        world.refusal("invalid")

    def test_a_paused_one_is_allowed_and_queues(self, world: World, done: str) -> None:
        """RR."""
        world.put("dev", "paused")
        assert world.reason(world.rerun(done, "dev")).code == "paused"

    def test_an_archived_or_unknown_one_is_not_found(self, world: World, done: str) -> None:
        """RR."""
        world.put("dev/a", "archived")
        for name in ("dev/a", "nowhere"):
            world.rerun(done, name)
            world.refusal("not_found")

    def test_a_token_without_the_right_there_is_forbidden(self, world: World, done: str) -> None:
        """RR."""
        world.rerun(done, "dev", allowed=("E9",))
        world.refusal("forbidden")

    def test_lineage_is_judged_at_the_time_of_asking(self, world: World, done: str) -> None:
        """RR-1."""
        from coflux.server.core import events as e

        dev = world.state.environment_named("dev")
        assert dev is not None
        world.handle(
            e.EnvironmentChangeRequested(world.caller(), dev.id, base=None, is_base_given=True)
        )
        world.rerun(done, "dev")
        world.refusal("invalid")

    def test_a_step_first_made_by_a_re_run_in_a_child_has_its_base_there(
        self, world: World, done: str
    ) -> None:
        """RR: there and below."""
        again = world.rerun(done, "dev")
        world.start(again)
        child = world.calls(again, "t")
        world.rerun(child, "default")
        world.refusal("invalid")
        assert world.rerun(child, "dev/a") != ""

    def test_a_step_inside_a_child_run_is_re_run_there_only(self, world: World, done: str) -> None:
        """RR: spawned."""
        again = world.rerun(done)
        world.start(again)
        step = world.calls(again, "wf2")
        world.start("R2:1:1")
        world.returns("R2:1:1")
        assert world.rerun("R2:1:1") == "R2:1:2"
        assert len(world.of(step).step.executions) == 1


class TestWhatItReplaces:
    def test_an_unfinished_attempt_is_superseded_and_its_waiters_follow(
        self, world: World, done: str
    ) -> None:
        """RR, T18."""
        one = world.rerun(done)
        world.start(one)
        token = world.await_outcome(one)
        two = world.rerun(done)
        assert world.of(one).result == Superseded()
        assert [a.execution for a in world.sent(fx.Abort)] == [one]
        world.dies(one)
        world.start(two)
        world.returns(two)
        assert [(to.token, o) for to, o in world.answers()] == [  # type: ignore[union-attr]
            (token, {one: "value"})
        ]

    def test_concurrent_ones_each_get_an_attempt(self, world: World, done: str) -> None:
        """RR-1: each superseding the one before."""
        attempts = [world.rerun(done) for _ in range(3)]
        assert attempts == ["R1:1:2", "R1:1:3", "R1:1:4"]
        assert [world.status(a) for a in attempts][:2] == ["superseded", "superseded"]

    def test_attempts_in_other_environments_go_on(self, world: World, done: str) -> None:
        """RR."""
        one = world.rerun(done)
        world.start(one)
        world.rerun(done, "dev")
        assert world.status(one) == "running"

    def test_what_is_suspended_or_waits_for_its_retry_is_superseded(
        self, world: World, done: str
    ) -> None:
        """RR: fresh chain; a pending successor is superseded."""
        one = world.rerun(done)
        world.start(one)
        world.suspends(one, 10_000)
        three = world.rerun(done)
        assert world.of(one).result == Suspended()
        assert world.status("R1:1:3") == "superseded"
        assert world.of(three).retries_used == 0

    def test_what_was_cancelled_or_has_no_retries_left_gets_a_fresh_chain(
        self, world: World
    ) -> None:
        """RR."""
        world.agent()
        run = world.submit("wf", retries=1)
        world.start(run)
        world.fails(run)
        world.start("R1:1:2")
        world.fails("R1:1:2")
        world.start(world.rerun(run))
        world.fails("R1:1:3")
        assert world.of("R1:1:4").origin == "retry"
        world.cancel(run)
        again = world.rerun(run)
        world.dies("R1:1:4")
        assert world.status(again) == "assigned"

    def test_descendants_of_the_old_attempt_are_cancelled_but_memoised_ones(
        self, world: World, done: str
    ) -> None:
        """RR-2: those the new attempt may join."""
        one = world.rerun(done)
        world.start(one)
        plain = world.calls(one, "t", 1)
        memoised = world.calls(one, "u", 2, memo=True)
        world.start(memoised)
        below = world.calls(memoised, "v", 3)
        two = world.rerun(done)
        assert world.status(plain) == "cancelled"
        assert (world.status(memoised), world.status(below)) == ("running", "assigned")
        world.dies(one)
        world.start(two)
        assert world.calls(two, "u", 2, memo=True) == memoised

    def test_a_cached_one_really_executes(self, world: World) -> None:
        """RR."""
        world.agent()
        run = world.submit("wf", 1, cache=True)
        world.start(run)
        world.returns(run)
        follower = world.submit("wf", 1, cache=True)
        assert world.status(world.rerun(follower)) == "assigned"

    def test_an_unresolved_link_leads_to_the_new_attempt(self, world: World) -> None:
        """T22: waiters follow, the leader goes on."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        token = world.await_outcome(follower)
        again = world.rerun(follower)
        assert world.recorded(c.LinkSucceeded) == [c.LinkSucceeded(follower, again, world.now)]
        world.start(leader, again)
        world.returns(leader, 1)
        assert world.answers() == []
        world.returns(again, 2)
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]
        assert world.outcome(follower) == Returned(value(2))

    def test_a_spawned_one_gets_another_child_run_and_the_open_one_is_cancelled(
        self, world: World, done: str
    ) -> None:
        """RR, T22."""
        again = world.rerun(done)
        world.start(again)
        step = world.calls(again, "wf2", awaited=True)
        world.start("R2:1:1")
        new = world.rerun(step)
        assert world.status("R2:1:1") == "cancelled"
        assert world.state.end_of(new)[0] == "R3:1:1"
        assert world.answers() == []
        world.start("R3:1:1")
        world.returns("R3:1:1")
        assert [outcomes for _, outcomes in world.answers()] == [{step: "value"}]

    def test_a_finished_spawned_one_gets_another_child_run_and_keeps_its_outcome(
        self, world: World, done: str
    ) -> None:
        """RR, RS-3."""
        again = world.rerun(done)
        world.start(again)
        step = world.calls(again, "wf2")
        world.start("R2:1:1")
        world.returns("R2:1:1", 1)
        new = world.rerun(step)
        assert world.state.end_of(new)[0] == "R3:1:1"
        assert world.outcome(step) == Returned(value(1))

    def test_a_follower_of_a_link_that_is_re_run_follows_along(self, world: World) -> None:
        """T22, CA-9: also when its leader became a link itself."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        again = world.rerun(leader)
        world.dies(leader)
        world.start(again)
        world.cancel(again)
        assert world.of("R2:1:2").origin == "relink"
        assert world.state.end_of(follower)[0] == "R2:1:2"


class TestCode:
    def test_the_original_is_that_of_the_attempt_named(self, world: World) -> None:
        """RR-3."""
        world.agent("wf", code="one")
        run = world.submit("wf")
        world.start(run)
        world.runs_code(run, "one")
        world.returns(run)
        two = world.rerun(run)
        world.start(two)
        world.runs_code(two, "two")
        world.returns(two)
        assert world.of(world.rerun("R1:1:1", original=True)).required_code == "one"
        assert world.of(world.rerun("R1:1:2", original=True)).required_code == "two"

    def test_else_of_the_latest(self, world: World) -> None:
        """RR-3."""
        world.agent("wf", code="one")
        run = world.submit("wf")
        world.start(run)
        world.runs_code(run, "one")
        world.returns(run)
        again = world.rerun("R1:1", original=True)
        assert world.of(again).required_code == "one"
        assert world.status(again) == "assigned"

    def test_of_a_link_it_is_that_of_what_it_leads_to(self, world: World) -> None:
        """RR-3."""
        world.agent()
        run = world.submit("wf", 1, cache=True)
        world.start(run)
        world.runs_code(run, "one")
        world.returns(run)
        follower = world.submit("wf", 1, cache=True)
        assert world.of(world.rerun(follower, original=True)).required_code == "one"

    def test_code_nobody_can_run_keeps_it_queued(self, world: World) -> None:
        """RR-3."""
        world.agent("wf", code="new")
        run = world.submit("wf")
        world.start(run)
        world.runs_code(run, "old")
        world.returns(run)
        again = world.rerun(run, original=True)
        assert world.reason(again).code == "agent"
        assert world.reason(again).data["missing"] == "code"

    def test_code_that_is_not_known_is_refused(self, world: World, done: str) -> None:
        """RR-3: never the current code under the name of the original."""
        world.rerun(done, original=True)
        assert "not known" in world.refusal("conflict")

    def test_stored_arguments_and_options_are_used(self, world: World, done: str) -> None:
        """RR-3, EN-2."""
        world.rerun(done)
        assert world.the(fx.Execute).arguments == {"a": value(1)}


class TestReuse:
    def parent_with_children(self, world: World) -> tuple[str, str, str]:
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        good, bad = world.calls(parent, "t", 1), world.calls(parent, "t", 2)
        world.start(good, bad)
        world.returns(good)
        world.fails(bad)
        world.fails(parent)
        return parent, good, bad

    def test_children_with_a_value_are_taken_and_others_run(self, world: World) -> None:
        """RR-4: also when they are not memoised."""
        parent, good, bad = self.parent_with_children(world)
        again = world.rerun(parent, reuse=True)
        world.start(again)
        assert world.calls(again, "t", 1) == good
        assert world.calls(again, "t", 2) not in ("", bad)
        assert world.calls(again, "u", 1) not in (good, bad)

    def test_without_reuse_all_run(self, world: World) -> None:
        """RR-4."""
        parent, good, _ = self.parent_with_children(world)
        again = world.rerun(parent)
        world.start(again)
        assert world.calls(again, "t", 1) != good

    def test_the_newest_value_of_the_step_is_taken(self, world: World) -> None:
        """RR-4: re-run the step, then its parent with reuse."""
        parent, good, bad = self.parent_with_children(world)
        fixed = world.rerun(bad)
        world.start(fixed)
        world.returns(fixed)
        again = world.rerun(parent, reuse=True)
        world.start(again)
        assert world.calls(again, "t", 2) == fixed
        assert world.calls(again, "t", 1) == good

    def test_only_children_of_the_previous_attempt_count(self, world: World) -> None:
        """RR-4: what it did not call any more is not taken from the one before."""
        parent, good, _ = self.parent_with_children(world)
        fresh = world.rerun(parent)
        world.start(fresh)
        world.fails(fresh)
        again = world.rerun(parent, reuse=True)
        world.start(again)
        assert world.calls(again, "t", 1) != good

    def test_retries_and_resumptions_of_it_reuse_as_well(self, world: World) -> None:
        """RR-4: they are attempts of the same chain."""
        world.agent()
        parent = world.submit("wf", retries=1)
        world.start(parent)
        good = world.calls(parent, "t", 1)
        world.start(good)
        world.returns(good)
        world.end(parent, failure(retryable=False))
        again = world.rerun(parent, reuse=True)
        world.start(again)
        world.fails(again)
        world.start("R1:1:3")
        assert world.calls("R1:1:3", "t", 1) == good
        world.suspends("R1:1:3")
        world.dies("R1:1:3")
        world.start("R1:1:4")
        assert world.calls("R1:1:4", "t", 1) == good


class TestSetResult:
    @pytest.mark.parametrize("end", ["fails", "crashes", "cancel"])
    def test_where_the_latest_failed_or_was_cancelled(self, world: World, end: str) -> None:
        """RR-5, T19."""
        world.agent()
        run = world.submit("wf")
        world.start(run)
        getattr(world, end)(run)
        made = world.set_result(run, Returned(value(5)), "by hand")
        assert world.changes == [
            c.ExecutionCreated(
                made, world.of(run).environment, "manual", world.now, world.now, run, by="alice"
            ),
            c.ResultRecorded(made, Returned(value(5)), world.now, None, "none", "alice", "by hand"),
            c.RunFinished("R1", "succeeded", world.now),
        ]
        assert world.status(run) != "value"

    def test_over_a_value_it_is_a_conflict(self, world: World, done: str) -> None:
        """RR-5: also where the value is the base's, as seen from a child."""
        world.set_result(done, failure())
        world.refusal("conflict")
        world.set_result(done, failure(), environment="dev")
        world.refusal("conflict")

    def test_a_queued_one_gets_it_and_its_waiters_too(self, world: World) -> None:
        """RR-5."""
        run = world.submit("wf")
        token = world.await_outcome(run)
        world.set_result(run, Returned(value(5)))
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]
        world.agent()
        assert world.executed == []

    def test_an_open_link_leads_to_it(self, world: World) -> None:
        """T22."""
        world.agent()
        world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        made = world.set_result(follower, Returned(value(5)))
        assert world.state.end_of(follower)[0] == made

    def test_a_reason_and_a_value_or_error_are_needed(self, world: World) -> None:
        """RR-5."""
        run = world.submit("wf")
        world.set_result(run, Returned(value()), "  ")
        world.refusal("invalid")
        world.set_result(run, Suspended())
        world.refusal("invalid")

    def test_lineage_is_judged_as_for_a_re_run(self, world: World, done: str) -> None:
        """RR-5."""
        world.set_result(done, failure(), environment="other")
        world.refusal("invalid")
