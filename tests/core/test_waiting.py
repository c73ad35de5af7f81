"""Running code that waits, selects and suspends (WA-1 to WA-11, T9, T10, T15)."""

from __future__ import annotations

from coflux.model import Cancelled
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, call, handles, value


def running(world: World, *names: str, **options: object) -> list[str]:
    """A running workflow and running children of it."""
    parent = world.submit("wf")
    world.start(parent)
    children = [world.calls(parent, name, n, **options) for n, name in enumerate(names)]
    world.start(*[child for child in children if world.status(child) == "assigned"])
    return [parent, *children]


class TestWaiting:
    def test_an_open_wait_holds_no_slot_and_the_child_takes_it(self, world: World) -> None:
        """T9, WA-9: the slot is freed in the same commit."""
        session = world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        assert world.status(child) == "queued"
        world.waits(parent, child)
        assert world.changes == [
            c.Depended(parent, (child,), world.now),
            c.Blocked(parent, world.now),
            c.Assigned(child, session, world.now, None, "first"),
        ]
        assert world.status(parent) == "waiting"

    def test_the_answer_comes_in_the_commit_of_the_outcome(self, world: World) -> None:
        """RS-2, T10."""
        world.agent()
        parent, child = running(world, "t")
        to = world.waits(parent, child)
        world.returns(child, 5)
        assert world.the(fx.Answer) == fx.Answer(
            to, (fx.Outcome(child, child, world.of(child).result),)
        )
        assert world.status(parent) == "running"

    def test_what_is_resolved_is_answered_at_once(self, world: World) -> None:
        """WA-8."""
        world.agent()
        parent, child = running(world, "t")
        world.returns(child)
        world.waits(parent, child)
        assert world.status(parent) == "running"
        assert len(world.answers()) == 1

    def test_a_call_that_waits_is_answered_once_with_the_outcome(self, world: World) -> None:
        """SU-10, WA-1."""
        world.agent()
        (parent,) = running(world)
        child = world.calls(parent, "t", 1, awaited=True)
        assert world.sent(fx.Submitted) == []
        world.start(child)
        world.returns(child)
        assert world.the(fx.Answer).executions == (child,)

    def test_resumed_executions_never_exceed_the_slots(self, world: World) -> None:
        """WA-9: an answer waits for a free slot, and comes before new work."""
        world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        world.waits(parent, child)
        world.start(child)
        other = world.calls(child, "u", 2)
        queued = world.submit("wf2")
        world.waits(child, other)
        world.start(other)
        # The child's wait is over while the other runs in the only slot.
        world.cancel(other)
        assert world.answers() == []
        assert (world.status(child), world.status(queued)) == ("waiting", "queued")
        world.dies(other)
        assert [to.execution for to, _ in world.answers()] == [child]  # type: ignore[union-attr]
        assert (world.status(child), world.status(queued)) == ("running", "queued")

    def test_with_another_wait_open_an_answer_needs_no_slot(self, world: World) -> None:
        """WA-9: only the last one does."""
        world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        one, two = world.calls(parent, "t", 1), world.calls(parent, "u", 2)
        world.waits(parent, one)
        world.waits(parent, two)
        world.start(one)
        world.returns(one)
        assert [outcomes for _, outcomes in world.answers()] == [{one: "value"}]
        assert world.status(parent) == "waiting"
        world.start(two)
        world.returns(two)
        assert world.status(parent) == "running"

    def test_a_new_wait_releases_an_answer_that_was_waiting_for_a_slot(self, world: World) -> None:
        """WA-9: with the new one open it is not the last any more, and must not be lost."""
        world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        one, two = world.calls(parent, "t", 1), world.calls(parent, "u", 2)
        world.waits(parent, one)
        world.start(one)
        world.cancel(one)  # its process still holds the slot
        assert world.answers() == []
        world.waits(parent, two)
        assert [outcomes for _, outcomes in world.answers()] == [{one: "cancelled"}]
        world.dies(one)
        world.start(two)
        world.returns(two)
        assert [outcomes for _, outcomes in world.answers()] == [{two: "value"}]

    def test_a_timeout_answers_that_the_time_is_up(self, world: World) -> None:
        """WA-1."""
        world.agent()
        parent, child = running(world, "t")
        to = world.waits(parent, child, timeout=1_000)
        world.after(999)
        assert world.status(parent) == "waiting"
        assert world.after(1) == [fx.Expire(to)]
        assert world.status(parent) == "running"

    def test_that_the_time_is_up_is_told_when_a_slot_is_free(self, world: World) -> None:
        """WA-9."""
        world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        to = world.waits(parent, child, timeout=1_000)
        world.start(child)
        assert world.after(5_000) == []
        world.returns(child)
        assert world.sent(fx.Expire) == [fx.Expire(to)]

    def test_a_look_without_time_never_waits(self, world: World) -> None:
        """WA-2."""
        world.agent()
        parent, child = running(world, "t")
        to = world.waits(parent, child, timeout=0)
        assert world.effects == [fx.Expire(to)]
        assert world.status(parent) == "running"

    def test_many_handles_are_answered_together(self, world: World) -> None:
        """WA: all of them, each once."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, one)
        world.returns(one)
        assert world.answers() == []
        world.fails(two)
        assert [outcomes for _, outcomes in world.answers()] == [{one: "value", two: "error"}]

    def test_outcomes_of_other_children_travel_ahead(self, world: World) -> None:
        """WA-8."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.returns(two)
        world.waits(parent, one)
        world.returns(one)
        assert [o.handle for o in world.the(fx.Answer).also] == [two]

    def test_dependencies_are_recorded_at_the_first_request_only(self, world: World) -> None:
        """EN-5."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child, timeout=0)
        assert world.recorded(c.Depended) == [c.Depended(parent, (child,), world.now)]
        world.waits(parent, child, timeout=0)
        assert world.recorded(c.Depended) == []

    def test_outcomes_given_ahead_are_dependencies_once_asked_for(self, world: World) -> None:
        """EN-5: unknown ids change nothing."""
        session = world.agent()
        parent, child = running(world, "t")
        world.returns(child)
        world.handle(e.DependenciesReported(session, parent, (child, "R9:1:1", child)))
        assert world.changes == [c.Depended(parent, (child,), world.now)]

    def test_an_unknown_handle_is_refused(self, world: World) -> None:
        """ER-4."""
        world.agent()
        (parent,) = running(world)
        world.waits(parent, "R9:1:1")
        assert "R9:1:1" in world.refusal("not_found")

    def test_two_hundred_levels_complete_with_one_slot(self) -> None:
        """WA-9."""
        world = World(check=False)
        world.agent(concurrency=1)
        levels = [world.submit("wf")]
        world.start(levels[0])
        for depth in range(200):
            levels.append(world.calls(levels[-1], "t", depth, awaited=True))
            world.start(levels[-1])
            assert world.state.sessions["S1"].used == 1
        for level in reversed(levels):
            assert world.status(level) == "running"
            world.returns(level)
        assert world.run_status(levels[0]) == "succeeded"


class TestReconnecting:
    def test_a_wait_asked_again_is_answered_once_a_slot_is_free(self, world: World) -> None:
        """WA-9, SU-10: also when its answer was on the way."""
        session = world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        world.waits(parent, child, key=9)
        world.start(child)
        world.cancel(child)
        world.disconnect(session)
        world.connect(session, concurrency=1, held=((parent, True), (child, True)))
        world.waits(parent, child, key=9)
        assert world.answers() == []
        world.dies(child)
        assert len(world.answers()) == 1

    def test_its_time_does_not_start_again(self, world: World) -> None:
        """WA-1."""
        session = world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child, key=9, timeout=1_000)
        world.after(900)
        world.disconnect(session)
        world.connect(session, held=((parent, True), (child, True)))
        world.waits(parent, child, key=9, timeout=1_000)
        assert len(world.after(100)) == 1

    def test_an_expired_wait_asked_again_is_not_opened_again(self, world: World) -> None:
        """SU-10: its code runs on; it must not be taken for waiting."""
        world.agent()
        parent, child = running(world, "t")
        to = world.waits(parent, child, key=9, timeout=100)
        world.after(100)
        world.waits(parent, child, key=9, timeout=100)
        assert world.effects == [fx.Expire(to)]
        assert world.status(parent) == "running"

    def test_waits_survive_a_restart_by_being_asked_again(self, world: World) -> None:
        """WA edge cases."""
        session = world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        world.waits(parent, child, key=9)
        world.start(child)
        world.restart()
        world.connect(session, concurrency=1, held=((parent, True), (child, True)))
        world.waits(parent, child, key=9)
        assert world.status(parent) == "waiting"
        world.returns(child)
        assert [outcomes for _, outcomes in world.answers()] == [{child: "value"}]

    def test_after_a_restart_answers_wait_until_no_more_run_than_slots(self, world: World) -> None:
        """WA-9: who waits is not known before the agent says so."""
        session = world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        world.waits(parent, child, key=9)
        other = world.calls(parent, "u", 2)
        world.start(child)
        world.cancel(child)
        world.dies(child)  # the parent is answered and waits on
        world.waits(parent, other, key=10)
        world.start(other)
        third = world.calls(parent, "v", 3)
        world.waits(parent, third, key=11)
        world.restart()
        world.connect(session, concurrency=1, held=((parent, True), (other, True)))
        world.waits(parent, child, key=9)
        assert world.answers() == []
        world.waits(parent, other, key=10)
        assert [outcomes for _, outcomes in world.answers()] == [{child: "cancelled"}]


class TestSuspending:
    def test_a_suspension_ends_the_attempt_and_makes_the_next(self, world: World) -> None:
        """T15, WA-4, ST-3: the process is killed without grace (WA-5)."""
        session = world.agent()
        (run,) = running(world)
        world.suspends(run, 500)
        assert world.status(run) == "suspended"
        assert world.sent(fx.Abort) == [fx.Abort(session, run, True)]
        following = world.of("R1:1:2")
        assert (following.origin, following.due_at) == ("resume", world.now + 500)
        assert world.run_status(run) == "suspended"
        world.dies(run)
        assert world.after(499) == []
        assert world.after(1) != []
        assert world.status("R1:1:2") == "assigned"

    def test_it_is_not_resumed_before_its_process_is_dead(self, world: World) -> None:
        """ST-5."""
        world.agent()
        (run,) = running(world)
        world.suspends(run)
        assert world.reason("R1:1:2").code == "waiting"
        world.dies(run)
        assert world.executed == ["R1:1:2"]

    def test_a_wait_inside_suspense_suspends_until_the_awaited_is_resolved(
        self, world: World
    ) -> None:
        """WA-3: at once without a timeout of the block."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child, timeout=0, suspend=True)
        assert world.status(parent) == "suspended"
        world.dies(parent)
        assert world.reason("R1:1:2").data == {"ids": [child]}
        world.returns(child)
        assert world.executed == ["R1:1:2"]

    def test_what_is_resolved_never_suspends(self, world: World) -> None:
        """WA-3."""
        world.agent()
        parent, child = running(world, "t")
        world.returns(child)
        world.waits(parent, child, timeout=0, suspend=True)
        assert world.status(parent) == "running"
        assert len(world.answers()) == 1

    def test_it_suspends_when_the_blocks_time_is_up(self, world: World) -> None:
        """WA-3."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child, timeout=1_000, suspend=True)
        world.after(1_000)
        assert world.status(parent) == "suspended"

    def test_children_go_on(self, world: World) -> None:
        """WA-6."""
        world.agent()
        parent, child = running(world, "t")
        world.suspends(parent)
        assert world.status(child) == "running"

    def test_waiters_keep_waiting(self, world: World) -> None:
        """RS-2."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child)
        world.suspends(child)
        assert world.answers() == []
        world.dies(child)
        world.start("R1:2:2")
        world.returns("R1:2:2", 5)
        assert world.the(fx.Answer).outcomes[0].execution == "R1:2:2"

    def test_the_suspended_plan_survives_a_restart(self, world: World) -> None:
        """SE-10."""
        session = world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child, timeout=0, suspend=True)
        world.restart()
        world.connect(session, held=((child, True),))
        assert world.status("R1:1:2") == "queued"
        world.returns(child)
        assert world.executed == ["R1:1:2"]


class TestSelect:
    def test_of_several_resolved_the_first_in_the_list_wins(self, world: World) -> None:
        """WA-7."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.returns(two)
        world.fails(one)
        world.waits(parent, one, two, first=True)
        assert [outcomes for _, outcomes in world.answers()] == [{one: "error"}]

    def test_else_the_first_to_resolve(self, world: World) -> None:
        """WA-7: a failed one may win."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, two, first=True)
        world.fails(two)
        assert [outcomes for _, outcomes in world.answers()] == [{two: "error"}]

    def test_it_stays_the_winner_while_the_answer_waits_for_a_slot(self, world: World) -> None:
        """WA-7, WA-9."""
        world.agent(concurrency=2)
        parent, one, two, three = running(world, "t", "u", "v")
        world.start(one)
        world.waits(parent, one, two, first=True)
        world.start(two)
        world.cancel(two)  # won, with its process not dead yet, so that no slot is free
        assert world.answers() == []
        world.returns(one)
        assert world.status(three) == "queued"
        assert [outcomes for _, outcomes in world.answers()] == [{two: "cancelled"}]

    def test_it_cancels_the_rest_in_the_commit_of_the_win(self, world: World) -> None:
        """WA-7."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, first=True, cancel_remaining=True)
        world.returns(two)
        assert world.outcome(one) == Cancelled(parent, "another won the select")
        assert [outcomes for _, outcomes in world.answers()] == [{two: "value"}]
        assert [a.execution for a in world.sent(fx.Abort)] == [one]

    def test_it_cancels_the_rest_also_when_one_is_resolved_already(self, world: World) -> None:
        """WA-7."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.returns(two)
        world.waits(parent, one, two, first=True, cancel_remaining=True)
        assert world.status(one) == "cancelled"
        assert [outcomes for _, outcomes in world.answers()] == [{two: "value"}]

    def test_asked_again_it_gives_the_same_winner(self, world: World) -> None:
        """SU-10: the cancelled loser comes first in the list and is resolved by now."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, key=9, first=True, cancel_remaining=True)
        world.returns(two)
        world.waits(parent, one, two, key=9, first=True, cancel_remaining=True)
        assert [outcomes for _, outcomes in world.answers()] == [{two: "value"}]

    def test_suspended_it_resumes_at_the_first_and_cancels_the_rest_then(
        self, world: World
    ) -> None:
        """WA-7: in the commit of the win, in both cases."""
        world.agent()
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, timeout=0, suspend=True, first=True, cancel_remaining=True)
        world.dies(parent)
        world.returns(two)
        assert world.executed == ["R1:1:2"]
        assert world.status(one) == "cancelled"
        world.start("R1:1:2")
        world.waits("R1:1:2", one, two, first=True, cancel_remaining=True)
        assert [outcomes for _, outcomes in world.answers()] == [{two: "value"}]

    def test_a_loser_that_follows_another_loser_is_cancelled_with_it(self, world: World) -> None:
        """WA-7, CA-9: it does not start anew because its leader was cancelled."""
        world.agent()
        parent, leader, winner = running(world, "t", "u", cache=True)
        follower = world.calls(parent, "t", 0, cache=True)
        assert world.status(follower) == "cached"
        world.waits(parent, leader, winner, follower, first=True, cancel_remaining=True)
        world.returns(winner)
        assert world.outcome(leader) == world.outcome(follower)
        assert list(world.state.runs["R1"].unfinished) == [parent]

    def test_it_leaves_alone_what_its_environment_may_not_cancel(self, world: World) -> None:
        """CN-6."""
        world.agent()
        world.environment("dev", "default")
        world.agent(environment="dev")
        run = world.submit("wf")
        world.start(run)
        there = world.calls(run, "t", 1)
        again = world.rerun(run, "dev")
        world.start(again)
        here = world.calls(again, "u", 2)
        world.start(here)
        world.waits(again, there, here, first=True, cancel_remaining=True)
        world.returns(here)
        assert world.status(there) == "assigned"

    def test_an_empty_one_is_refused(self, world: World) -> None:
        """WA edge cases, LI-1."""
        world.agent()
        (parent,) = running(world)
        world.waits(parent, first=True)
        world.refusal("invalid")


class TestCircles:
    def test_waiting_for_oneself_is_refused(self, world: World) -> None:
        """WA-11."""
        world.agent()
        (parent,) = running(world)
        world.waits(parent, parent)
        assert f"{parent} → {parent}" in world.refusal("cycle")

    def test_a_circle_of_waits_names_the_ids_in_it(self, world: World) -> None:
        """WA-11."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child)
        world.waits(child, parent)
        assert f"{child} → {parent} → {child}" in world.refusal("cycle")

    def test_all_handles_of_a_select_count(self, world: World) -> None:
        """WA-11."""
        world.agent()
        parent, child, other = running(world, "t", "u")
        world.waits(parent, child)
        world.waits(child, other, parent, first=True)
        world.refusal("cycle")

    def test_gates_count_even_when_they_are_not_due(self, world: World) -> None:
        """WA-11: the gate of a delayed child would close a circle later."""
        world.agent()
        (parent,) = running(world)
        child = world.calls(parent, "t", handles(parent), delay_ms=1_000)
        gated = world.state.runs["R1"].steps[2]
        assert gated.submission.options.wait is False
        to = e.Code(world.of(parent).assigned_to or "", parent, 50)
        late = call("u", handles(parent), wait=True, delay_ms=1_000)
        world.handle(e.StepsRequested(to, (late,)))
        world.waits(parent, child)
        assert world.status(parent) == "waiting"
        world.waits(parent, "R1:3:1")
        assert "R1:3:1" in world.refusal("cycle")

    def test_a_call_that_waits_for_a_joined_step_is_checked_too(self, world: World) -> None:
        """WA-11, ME-2: the step that the call joins waits for the caller."""
        world.agent()
        _, one, two = running(world, "t", "u", memo=True)
        world.waits(two, one)
        world.calls(one, "u", 1, awaited=True, memo=True)
        assert "circle" in world.the(fx.Refuse).message
        assert world.the(fx.Refuse).code == "cycle"

    def test_a_look_closes_no_circle(self, world: World) -> None:
        """WA-2: it is no wait."""
        world.agent()
        parent, child = running(world, "t")
        world.waits(parent, child)
        world.waits(child, parent, timeout=0)
        assert world.sent(fx.Refuse) == []
        assert len(world.sent(fx.Expire)) == 1

    def test_a_select_that_has_been_won_closes_no_circle(self, world: World) -> None:
        """WA-11: it will go on as soon as a slot is free."""
        world.agent(concurrency=2)
        parent, one, two = running(world, "t", "u")
        world.waits(parent, one, two, first=True)
        world.start(two)
        world.cancel(one)
        world.waits(two, parent)
        assert world.sent(fx.Refuse) == []


class TestClients:
    def test_a_client_is_told_the_resolved_outcome(self, world: World) -> None:
        """RS-2."""
        world.agent()
        run = world.submit("wf", retries=1)
        world.start(run)
        token = world.await_outcome(run)
        world.fails(run)
        assert world.answers() == []
        world.start("R1:1:2")
        world.returns("R1:1:2")
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]

    def test_one_that_is_gone_is_forgotten(self, world: World) -> None:
        world.agent()
        run = world.submit("wf")
        world.start(run)
        token = world.await_outcome(run)
        world.handle(e.OutcomeUnawaited(token))
        world.returns(run, value(1))
        assert world.effects == []

    def test_an_unknown_execution_is_not_found(self, world: World) -> None:
        """ID-4."""
        world.await_outcome("R9:1:1")
        world.refusal("not_found")
