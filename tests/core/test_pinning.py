"""Runs that are kept for ever (DM-2): the mark, who set it, and that it outlives everything."""

from __future__ import annotations

from coflux.model import run_of
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from tests.core.given import World


def test_a_pin_says_who_wants_the_run_kept_and_since_when_DM_2(world: World) -> None:
    run = run_of(world.submit("wf"))
    world.pin(run)
    assert world.changes == [c.RunPinned(run, True, "ann", world.now)]
    assert world.the(fx.Confirm).data == {"run": run}
    assert world.state.pinned == {run: ("ann", world.now)}


def test_who_was_first_stays_on_record(world: World) -> None:
    run = run_of(world.submit("wf"))
    world.pin(run)
    world.pin(run, by="bob")
    assert world.changes == []
    assert world.the(fx.Confirm).data == {"run": run}
    assert world.state.pinned[run][0] == "ann"


def test_an_unpinned_run_is_like_any_other(world: World) -> None:
    run = run_of(world.submit("wf"))
    world.pin(run)
    world.pin(run, False)
    assert world.changes == [c.RunPinned(run, False, "ann", world.now)]
    assert world.state.pinned == {}
    world.pin(run, False)
    assert world.changes == []


def test_pins_of_finished_runs_are_known_after_a_start_and_need_nothing_of_the_run(
    world: World,
) -> None:
    """DM-2, SE-10."""
    run = run_of(world.submit("wf"))
    world.cancel(run)
    assert world.state.runs[run].status is not None
    world.pin(run)
    world.restart(live_only=True)
    assert run not in world.state.runs
    assert world.state.pinned[run][0] == "ann"
    world.pin(run, False, "bob")
    assert world.state.pinned == {}
    world.restart(live_only=True)
    assert world.state.pinned == {}
