"""After a suspension point nothing of it runs on, and what it left goes on (WA-3 to WA-7)."""

from __future__ import annotations

from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World


def running(world: World, target: str = "wf", **options: object) -> str:
    run = world.submit(target, **options)
    world.start(run)
    return run


def test_the_process_group_is_ended_at_once_and_without_an_answer(world: World) -> None:
    """WA-5."""
    session = world.agent()
    run = running(world)
    world.suspends(run)
    assert world.effects == [fx.Abort(session, run, now=True)]


def test_a_request_that_is_sent_again_is_answered_by_another_abort(world: World) -> None:
    """WA-5, SU-10: a refusal would be raised in user code."""
    session = world.agent()
    run = running(world)
    to = world._code(run)
    world.handle(e.SuspensionRequested(to))
    world.handle(e.SuspensionRequested(to))
    assert world.effects == [fx.Abort(session, run, now=True)]
    child = world.calls(run, "t", 1)
    assert child == ""
    assert world.effects == [fx.Abort(session, run, now=True)]


def test_at_a_reconnect_it_is_ended_before_the_welcome(world: World) -> None:
    """WA-5, SE-4: what is missing in the welcome would be stopped with grace."""
    session = world.agent()
    run = running(world)
    world.disconnect(session)
    world.of(run)
    world.handle(e.SuspensionRequested(world._code(run)))
    world.connect(session, held=((run, True),))
    assert world.effects[:2] == [fx.Abort(session, run, now=True), fx.Welcome(session, ())]


def test_the_next_attempt_waits_for_the_old_process_to_be_dead(world: World) -> None:
    """WA-6, ST-5."""
    world.agent()
    run = running(world)
    world.suspends(run)
    assert world.reason("R1:1:2").data["ids"] == [run]
    world.dies(run)
    assert world.status("R1:1:2") == "assigned"
    assert world.of("R1:1:2").suspensions == 1


def test_children_go_on_and_resolved_handles_never_suspend(world: World) -> None:
    """WA-3, WA-6."""
    world.agent()
    run = running(world)
    one, two = world.calls(run, "t", 1), world.calls(run, "t", 2)
    world.start(one, two)
    world.returns(one)
    world.waits(run, one, timeout=0, suspend=True)
    assert world.status(run) == "running"
    world.waits(run, one, two, timeout=0, suspend=True)
    assert [world.status(id) for id in (run, two)] == ["suspended", "running"]
    world.dies(run)
    assert world.reason("R1:1:2").data["ids"] == [two]
    world.returns(two)
    assert world.status("R1:1:2") == "assigned"


def test_a_block_with_a_timeout_suspends_when_it_is_up(world: World) -> None:
    """WA-3: and never before."""
    world.agent()
    run = running(world)
    child = world.calls(run, "t", 1)
    world.start(child)
    world.waits(run, child, timeout=1_000, suspend=True)
    world.after(999)
    assert world.status(run) == "waiting"
    world.after(1)
    assert world.status(run) == "suspended"


def test_a_suspended_select_resumes_at_the_first(world: World) -> None:
    """WA-7."""
    world.agent()
    run = running(world)
    children = [world.calls(run, "t", n) for n in range(3)]
    world.start(*children)
    world.waits(run, *children, timeout=0, suspend=True, first=True)
    world.dies(run)
    world.fails(children[1])
    assert world.status("R1:1:2") == "assigned"
