"""States and transitions (ST-1 to ST-6, T1 to T22): the table is total."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from coflux.model import Superseded
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core.statuses import TRANSITIONS, Status, Trigger, next_status
from tests.core.given import World, failure, value


@pytest.mark.parametrize(("status", "trigger"), list(itertools.product(Status, Trigger)))
def test_a_trigger_that_is_not_listed_changes_nothing(status: Status, trigger: Trigger) -> None:
    """ST-1: every pair has an answer."""
    assert next_status(status, trigger) == TRANSITIONS.get((status, trigger), status)


def test_nothing_leaves_the_end() -> None:
    """T21."""
    assert all(next_status(Status.ENDED, trigger) is Status.ENDED for trigger in Trigger)


def test_every_status_but_the_first_can_be_reached_and_all_can_end() -> None:
    """ST-1."""
    assert set(TRANSITIONS.values()) == set(Status) - {Status.QUEUED}
    ending = {status for status, trigger in TRANSITIONS if trigger is Trigger.RESULT}
    assert ending == set(Status) - {Status.ENDED}


def test_the_page_is_drawn_from_the_table() -> None:
    """ST-1: docs/architecture/states.md is what docs/tools/states_diagram.py draws."""
    script = Path(__file__).parents[2] / "docs" / "tools" / "states_diagram.py"
    checked = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr


def test_t6_t7_t11_the_life_of_an_execution(world: World) -> None:
    """Exactly these changes and effects, one event after the other."""
    session = world.agent()
    run = world.submit("wf", 1)
    assert world.changes[-1] == c.Assigned(run, session, world.now, None, "first")
    assert world.effects[-1] == fx.Execute(
        session, run, "repo", "wf", "workflow", {"a": value(1)},
        connection=world.state.sessions[session].connection,
    )  # fmt: skip
    world.start(run)
    assert world.changes == [c.Started(run, world.now)]
    assert world.effects == []
    world.returns(run, 5)
    assert world.changes == [
        c.ResultRecorded(run, world.outcome(run), world.now),
        c.RunFinished("R1", "succeeded", world.now),
    ]
    assert world.effects == []


def test_t12_t13_failures_end_it(world: World) -> None:
    world.agent()
    for fail, kind in ((world.fails, "error"), (world.crashes, "crashed")):
        run = world.submit("wf")
        world.start(run)
        fail(run)
        assert world.status(run) == kind
        assert world.run_status(run) == "failed"


def test_an_outcome_before_its_start_report_counts(world: World) -> None:
    """ST edge cases."""
    world.agent()
    run = world.submit("wf")
    world.returns(run)
    assert world.status(run) == "value"


def test_of_a_cancel_and_an_outcome_the_first_wins(world: World) -> None:
    """RS-1, T21: the later one changes nothing, and every waiter sees the same."""
    world.agent()
    run = world.submit("wf")
    world.start(run)
    world.cancel(run)
    world.returns(run)
    assert world.recorded(c.ResultRecorded) == []
    assert world.status(run) == "cancelled"
    other = world.submit("wf")
    world.start(other)
    world.returns(other)
    assert world.cancel(other) == []
    assert world.status(other) == "value"


def test_t21_a_start_that_comes_too_late_has_the_process_stopped(world: World) -> None:
    session = world.agent()
    run = world.submit("wf")
    world.cancel(run)
    world.start(run)
    assert world.effects == [fx.Abort(session, run)]
    assert world.changes == []


def test_reports_from_a_session_that_does_not_hold_it_change_nothing(world: World) -> None:
    """T21, SE-2."""
    from coflux.model import Returned
    from coflux.server.core import events as e

    world.agent()
    other = world.agent()
    run = world.submit("wf")
    for event in (
        e.ExecutionStarted(other, run),
        e.OutcomeReported(other, run, Returned(value())),
        e.ProcessDied(other, run),
        e.CodeReported(other, run, "abc"),
        e.AssignmentAcknowledged(other, run),
    ):
        world.handle(event)
        assert (world.changes, world.effects) == ([], [])


class TestSlots:
    def test_an_outcome_frees_the_slot_in_its_commit(self, world: World) -> None:
        """ST-5: also when the process is not known to be dead."""
        world.agent(concurrency=1)
        one, two = world.submit("wf"), world.submit("wf2")
        world.start(one)
        world.returns(one, gone=False)
        assert world.executed == [two]
        world.dies(one)
        assert world.recorded(c.ProcessEnded) == [c.ProcessEnded(one, world.now)]

    def test_what_the_server_ends_keeps_the_slot_until_it_is_dead(self, world: World) -> None:
        """ST-5, T17."""
        world.agent(concurrency=1)
        one, two = world.submit("wf"), world.submit("wf2")
        world.start(one)
        world.cancel(one)
        assert world.executed == []
        world.dies(one)
        assert world.executed == [two]

    def test_what_the_agent_times_out_keeps_the_slot_until_it_is_dead(self, world: World) -> None:
        """ST-5, T14."""
        world.agent(concurrency=1)
        one, two = world.submit("wf", timeout_ms=100), world.submit("wf2")
        world.start(one)
        world.times_out(one, gone=False)
        assert world.executed == []
        world.dies(one)
        assert world.executed == [two]

    def test_a_lost_session_frees_what_was_being_stopped(self, world: World) -> None:
        """ST-5: and a successor becomes assignable."""
        session = world.agent("wf")
        run = world.submit("wf")
        world.start(run)
        again = world.rerun(run)
        assert world.status(run) == "superseded"
        assert world.reason(again).code == "waiting"
        world.close(session)
        world.agent("wf")
        assert world.executed == [again]

    def test_a_waiting_execution_that_is_cancelled_takes_no_slot(self, world: World) -> None:
        """WA-9: it held none."""
        world.agent(concurrency=1)
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1)
        world.waits(parent, child)
        world.start(child)
        world.cancel(parent)
        queued = world.submit("wf2")
        world.dies(child)
        assert world.status(queued) == "assigned"


def test_st_2_a_paused_environment_starts_nothing_and_lets_the_rest_go_on(world: World) -> None:
    """ST-2: children are submitted, waits are answered, successors stay queued."""
    world.agent()
    parent = world.submit("wf")
    world.start(parent)
    child = world.calls(parent, "t", 1, retries=1)
    world.start(child)
    world.put("default", "paused")
    grandchild = world.calls(child, "wf2", 2)
    assert world.status(grandchild) == "queued"
    world.waits(parent, child)
    world.fails(child)
    assert world.status("R1:2:2") == "queued"
    world.cancel("R1:2")
    assert [outcomes for _, outcomes in world.answers()] == [{child: "cancelled"}]
    world.returns(parent)
    assert world.status(grandchild) == "cancelled"


def test_st_4_successors_live_in_the_same_environment(world: World) -> None:
    world.agent(environment="default")
    dev = world.environment("dev", "default")
    world.agent(environment="dev")
    run = world.submit("wf", retries=1)
    world.start(run)
    world.returns(run)
    again = world.rerun(run, "dev")
    world.start(again)
    world.fails(again)
    assert world.of("R1:1:3").environment == dev


def test_t18_t19_set_result_supersedes_what_runs(world: World) -> None:
    session = world.agent()
    run = world.submit("wf")
    world.start(run)
    token = world.await_outcome(run)
    made = world.set_result(run, failure("by hand"), "known bad")
    assert world.of(run).result == Superseded()
    assert (world.of(made).origin, world.status(made)) == ("manual", "error")
    assert (world.of(made).by, world.of(made).reason) == ("alice", "known bad")
    assert world.sent(fx.Abort) == [fx.Abort(session, run)]
    assert [(to.token, o) for to, o in world.answers()] == [  # type: ignore[union-attr]
        (token, {run: "error"})
    ]
