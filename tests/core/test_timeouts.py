"""How long attempts may take (TO-1 to TO-3, T14, T16): the server's own deadlines."""

from __future__ import annotations

from coflux.model import Abandoned, TimedOut
from coflux.server.core import effects as fx
from tests.core.given import World


def test_an_assignment_not_started_within_the_start_limit_is_abandoned(world: World) -> None:
    """SE-5, T16."""
    from coflux.server.core import events as e

    session = world.agent()
    run = world.submit("wf")
    world.handle(e.AssignmentAcknowledged(session, run))
    world.after(299_999)
    assert world.status(run) == "assigned"
    assert world.after(1) == [fx.Abort(session, run)]
    assert world.of(run).result == Abandoned("not started within the start limit")
    assert world.state.sessions[session].used == 1


def test_an_agent_that_never_acknowledges_loses_it_too(world: World) -> None:
    """SE-5, T8."""
    world.agent()
    run = world.submit("wf")
    assert len([x for x in world.after(300_000) if isinstance(x, fx.Execute)]) == 19
    assert world.status(run) == "abandoned"


def test_a_frozen_agent_holds_nothing_up_for_ever(world: World) -> None:
    """TO-2: start + timeout + slack, and a retry when the process is dead."""
    session = world.agent()
    run = world.submit("wf", timeout_ms=60_000, retries=1)
    world.after(1_000)
    world.start(run)
    world.after(74_999)
    assert world.status(run) == "running"
    assert world.after(1) == [fx.Abort(session, run)]
    assert world.of(run).result == TimedOut(60_000)
    assert world.reason("R1:1:2").code == "waiting"
    world.dies(run)
    assert world.executed == ["R1:1:2"]


def test_without_a_timeout_there_is_no_deadline(world: World) -> None:
    """TO-1."""
    world.agent()
    run = world.submit("wf")
    world.start(run)
    world.after(10**9)
    assert world.status(run) == "running"


def test_a_wait_without_a_start_report_is_no_timeout(world: World) -> None:
    """TO-1: a request proves the start, so the start limit does not strike."""
    world.agent()
    run = world.submit("wf")
    child = world.calls(run, "t")
    world.waits(run, child)
    world.start(child)
    world.after(1_000_000)
    assert world.status(run) == "waiting"


def test_waiting_counts_and_each_attempt_has_its_own_time(world: World) -> None:
    """TO-1."""
    world.agent()
    run = world.submit("wf", timeout_ms=1_000, retries=1)
    world.start(run)
    child = world.calls(run, "t")
    world.waits(run, child)
    world.after(16_000)
    assert world.status(run) == "timeout"
    world.dies(run)
    world.after(5_000)
    world.start("R1:1:2")
    world.after(15_999)
    assert world.status("R1:1:2") == "running"


def test_time_suspended_does_not_count(world: World) -> None:
    """TO edge cases."""
    world.agent()
    run = world.submit("wf", timeout_ms=1_000)
    world.start(run)
    world.suspends(run, 10**6)
    world.dies(run)
    world.after(10**6)
    assert world.status("R1:1:2") == "assigned"


def test_descendants_are_cancelled_whoever_finds_it_out(world: World) -> None:
    """TO-3, T14: the agent's timer or the server's deadline."""
    world.agent()
    for find_out in (lambda id: world.times_out(id, gone=False), lambda id: world.after(16_000)):
        run = world.submit("wf", timeout_ms=1_000)
        world.start(run)
        child = world.calls(run, "t")
        world.start(child)
        find_out(run)
        assert (world.status(run), world.status(child)) == ("timeout", "cancelled")


def test_while_the_agent_is_away_nothing_is_judged(world: World) -> None:
    """SE-3, SE-4: what happened in time is on its way."""
    session = world.agent()
    run = world.submit("wf", timeout_ms=1_000)
    world.start(run)
    world.disconnect(session)
    world.after(25_000)
    world.connect(session, held=((run, True),))
    assert world.status(run) == "running"
    world.returns(run)
    assert world.status(run) == "value"


def test_after_it_is_back_it_has_the_slack(world: World) -> None:
    """TO-2."""
    session = world.agent()
    run = world.submit("wf", timeout_ms=1_000)
    world.start(run)
    world.disconnect(session)
    world.after(25_000)
    world.connect(session, held=((run, True),))
    world.after(14_999)
    assert world.status(run) == "running"
    world.after(1)
    assert world.status(run) == "timeout"


def test_a_server_that_was_down_judges_nobody_by_that(world: World) -> None:
    """SE-10, SE-4: the outcome may be on the agent's disk."""
    session = world.agent()
    run = world.submit("wf", timeout_ms=1_000)
    world.start(run)
    assigned = world.submit("wf2")
    world.now += 10**6
    world.restart()
    world.connect(session, held=((run, True), (assigned, False)))
    assert (world.status(run), world.status(assigned)) == ("running", "assigned")
    world.returns(run)
    world.start(assigned)
    assert (world.status(run), world.status(assigned)) == ("value", "running")
