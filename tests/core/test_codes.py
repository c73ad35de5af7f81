"""Which code ran, which is current, and what is marked as older (CO-5, RR-3)."""

from __future__ import annotations

from coflux.server.core import codes
from coflux.server.core import effects as fx
from coflux.server.core import events as e

from .given import World, hosting


def _executed(world: World, id: str) -> fx.Execute:
    sent = [x for x in world.effects if isinstance(x, fx.Execute) and x.execution == id]
    return sent[-1]


def test_an_execution_that_ran_other_code_than_the_newest_agent_has_is_older_CO_5(
    world: World,
) -> None:
    first = world.agent(code="old")
    run = world.submit("wf")
    assert (_executed(world, run).code, _executed(world, run).exact) == ("old", False)
    world.start(run)
    world.returns(run)
    assert world.of(run).code == "old"
    assert not codes.is_older(world.state, world.of(run))
    world.after(1_000)
    world.agent(code="new")
    assert codes.is_older(world.state, world.of(run))
    assert first in world.state.sessions


def test_a_run_knows_of_how_many_versions_of_a_target_it_has_run_CO_5(world: World) -> None:
    world.agent(code="old")
    parent = world.submit("wf")
    world.start(parent)
    for code in ("old", "new"):
        child = world.calls(parent, "t", code)
        world.start(child)
        if code == "new":
            world.runs_code(child, code)
        world.returns(child)
    counts = world.of(parent).run.codes
    # By environment, since not everybody sees each.
    here = world.of(parent).environment
    assert counts["repo/t"] == {here: {"old": 1, "new": 1}}
    assert counts["repo/wf"] == {here: {"old": 1}}


def test_original_code_waits_for_an_agent_that_has_it_RR_3(world: World) -> None:
    session = world.agent(code="old")
    run = world.submit("wf")
    world.start(run)
    world.fails(run)
    world.handle(e.TargetsAnnounced(session, (hosting(code="new"),)))
    again = world.rerun(run, original=True)
    why = world.reason(again)
    assert (why.code, why.data["missing"], why.data["code"]) == ("agent", "code", "old")
    world.handle(e.TargetsAnnounced(session, (hosting(code="old"),)))
    assert world.status(again) == "assigned"
    assert (_executed(world, again).code, _executed(world, again).exact) == ("old", True)
