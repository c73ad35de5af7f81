"""Pools: how they are configured, and how agents follow the backlog (PO)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from coflux.model import PoolSpec
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core import launches

from .given import World

SPEC = PoolSpec(("repo",), max=3, concurrency=2)


class Pooled:
    """A world with pools: what is asked of launchers, and what they say."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = next(iter(world.state.environments))
        #: Launches asked for, with the sessions of those that have begun.
        self.sessions: dict[str, str] = {}

    def create(self, name: str = "pool", spec: PoolSpec = SPEC, **fields: Any) -> str:
        """A pool; its id."""
        spec = msgspec.structs.replace(spec, **fields)
        self.world.handle(e.PoolRequested(self.world.caller(), self.environment, name, spec))
        return str(self.world.the(fx.Confirm).data["pool"])

    def change(self, name: str = "pool", **fields: Any) -> None:
        self.world.handle(
            e.PoolChanged(self.world.caller(), self.environment, name, fields)
        )  # fmt: skip

    def put(self, state: str, name: str = "pool") -> None:
        self.world.handle(
            e.PoolStateRequested(self.world.caller(), self.environment, name, state)
        )  # fmt: skip

    @property
    def launched(self) -> list[str]:
        """Launches that the last event asked for."""
        return [effect.launch for effect in self.world.sent(fx.Launch)]

    def connect(self, launch: str, *targets: str, **fields: Any) -> str:
        """The agent of a launch is there; its session."""
        fields.setdefault("concurrency", 2)
        to = self.world.caller()
        self.world.handle(e.SessionRequested(to, "default", b"hash", launch))
        session: str = self.world.the(fx.Confirm).data["session"]
        self.sessions[launch] = session
        self.world.connect(session, *targets, **fields)
        return session

    def gone(self, launch: str, error: str | None = None, *lines: str) -> None:
        """The launcher says that the process has ended."""
        self.world.handle(e.LaunchReported(launch, error, lines))

    def retired(self) -> list[str]:
        """Sessions that the last event told to end."""
        return [effect.session for effect in self.world.sent(fx.Retire)]


@pytest.fixture
def pooled(world: World) -> Pooled:
    return Pooled(world)


# --- following the backlog ----------------------------------------------------------------------


def test_agents_are_launched_for_what_waits_and_no_more_than_max_PO_2(pooled: Pooled) -> None:
    world = pooled.world
    pooled.create()
    assert pooled.launched == []
    world.submit("wf")
    assert len(pooled.launched) == 1
    world.submit("wf")
    # Two fit into the agent that is being started.
    assert pooled.launched == []
    world.submit("wf")
    assert len(pooled.launched) == 1
    for _ in range(10):
        world.submit("wf")
    assert len(world.state.launches) == 3


def test_min_agents_are_there_without_any_work_PO_2(pooled: Pooled) -> None:
    pooled.create(min=2)
    assert len(pooled.launched) == 2


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ({"repositories": ("other",)}, {}),
        ({"repositories": ("rep.*",)}, {}),
        ({}, {"requires": {"gpu": ("a100",)}}),
        ({"accepts": {"gpu": ("a100",)}}, {}),
        ({"provides": {"gpu": ("t4",)}}, {"requires": {"gpu": ("a100",)}}),
    ],
)
def test_no_agent_is_launched_for_work_that_it_could_not_run_PO_2(
    pooled: Pooled, spec: dict[str, Any], options: dict[str, Any]
) -> None:
    pooled.create(**spec)
    pooled.world.submit("wf", **options)
    assert pooled.launched == []


def test_tags_and_patterns_that_fit_launch_PO_2(pooled: Pooled) -> None:
    pooled.create(repositories=("repo.*",), provides={"gpu": ("a100",)})
    pooled.world.submit("wf", requires={"gpu": ("a100",)})
    assert len(pooled.launched) == 1


def test_work_that_an_agent_has_room_for_launches_none_PO_2(pooled: Pooled) -> None:
    pooled.world.agent()
    pooled.create()
    pooled.world.submit("wf")
    assert pooled.launched == []


def test_two_pools_do_not_both_start_agents_for_the_same_work_PO_2(pooled: Pooled) -> None:
    pooled.create("a")
    pooled.create("b")
    pooled.world.submit("wf")
    assert len(pooled.launched) == 1


def test_a_pool_whose_agents_do_not_have_the_target_starts_no_more_PO_2(pooled: Pooled) -> None:
    pooled.create()
    pooled.world.submit("wf")
    (launch,) = pooled.launched
    pooled.connect(launch, "t")
    assert pooled.launched == []
    pooled.world.submit("wf2")
    assert pooled.launched == []


def test_nothing_is_launched_in_a_paused_environment_PO_2(pooled: Pooled) -> None:
    pooled.create()
    pooled.world.put("default", "paused")
    pooled.world.submit("wf")
    assert pooled.launched == []
    pooled.world.put("default", "active")
    assert len(pooled.launched) == 1


def test_what_waits_for_a_named_slot_launches_nothing_SC_7(pooled: Pooled) -> None:
    world = pooled.world
    world.agent(concurrency=1)
    first = world.submit("wf", slots={"db": 1})
    pooled.create()
    world.submit("wf", slots={"db": 1})
    assert pooled.launched == []
    world.start(first)
    world.submit("wf")
    assert len(pooled.launched) == 1


# --- failures -----------------------------------------------------------------------------------


def test_failed_launches_back_off_and_show_why_PO_2(pooled: Pooled) -> None:
    world = pooled.world
    id = pooled.create()
    execution = world.submit("wf")
    pauses = []
    for _ in range(7):
        (launch,) = world.state.launches
        pooled.gone(launch, "no such image", "pull failed")
        pool = world.state.pools[id]
        assert (pool.error, pool.lines) == ("no such image", ("pull failed",))
        assert world.reason(execution).data["error"] == "no such image"
        pauses.append(pool.retry_at - world.now)
        world.after(pauses[-1] - 1)
        assert pooled.launched == []
        world.after(1)
        assert len(pooled.launched) == 1
    assert pauses == [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]


def test_a_back_off_passes_while_the_host_sleeps_PO_2_EN_7(pooled: Pooled) -> None:
    world = pooled.world
    pooled.create()
    world.submit("wf")
    (launch,) = world.state.launches
    pooled.gone(launch, "no such image")
    world.sleep(60_000)
    world.after(0)
    assert len(world.state.launches) == 1


def test_an_agent_that_runs_nothing_is_fruitless_and_the_next_waits_PO_2(pooled: Pooled) -> None:
    world = pooled.world
    id = pooled.create()
    run = world.submit("wf")
    (launch,) = pooled.launched
    session = pooled.connect(launch, "t")
    world.after(30_000)
    assert pooled.retired() == [session]
    world.close(session)
    pooled.gone(launch)
    assert world.state.pools[id].error == "it ended without having run anything"
    assert world.state.pools[id].retry_at == world.now + 10_000
    assert world.reason(run).data["pool"] == "pool"


def test_an_agent_that_was_of_use_ends_the_back_off_PO_2(pooled: Pooled) -> None:
    world = pooled.world
    id = pooled.create()
    run = world.submit("wf")
    (launch,) = pooled.launched
    pooled.gone(launch, "boom")
    world.after(10_000)
    (launch,) = pooled.launched
    session = pooled.connect(launch)
    world.start(run)
    world.returns(run)
    world.after(30_000)
    world.close(session)
    pooled.gone(launch)
    pool = world.state.pools[id]
    assert (pool.failures, pool.retry_at, pool.error) == (0, 0, None)


def test_the_death_of_a_launched_agent_abandons_its_work_at_once(pooled: Pooled) -> None:
    world = pooled.world
    pooled.create()
    run = world.submit("wf")
    (launch,) = pooled.launched
    pooled.connect(launch)
    world.start(run)
    pooled.gone(launch, "killed", "last words")
    assert world.status(run) == "abandoned"
    assert world.state.launches == {}


# --- draining -----------------------------------------------------------------------------------


def test_an_idle_agent_is_drained_after_the_idle_time_never_while_it_runs_PO_3(
    pooled: Pooled,
) -> None:
    world = pooled.world
    pooled.create()
    run = world.submit("wf")
    (launch,) = pooled.launched
    session = pooled.connect(launch)
    world.start(run)
    world.after(600_000)
    assert pooled.retired() == []
    world.returns(run)
    world.after(29_999)
    assert pooled.retired() == []
    world.after(1)
    assert pooled.retired() == [session]
    assert world.state.sessions[session].draining
    world.close(session)
    assert [x.launch for x in world.sent(fx.StopLaunch)] == []
    pooled.gone(launch)
    assert world.state.launches == {}


def test_min_agents_stay_although_they_are_idle_PO_3(pooled: Pooled) -> None:
    pooled.create(min=1)
    pooled.connect(*pooled.launched)
    pooled.world.after(100_000)
    assert pooled.retired() == []


@pytest.mark.parametrize("how", ["changed", "disabled", "deleted"])
def test_changing_disabling_and_deleting_drain_the_pools_own_agents_only_PO_3(
    pooled: Pooled, how: str
) -> None:
    world = pooled.world
    other = world.agent("t")
    pooled.create(min=1)
    session = pooled.connect(*pooled.launched)
    if how == "changed":
        pooled.change(env={"A": "1"})
        # And another takes its place.
        assert len(pooled.launched) == 1
    else:
        pooled.put(how)
        assert pooled.launched == []
    assert pooled.retired() == [session]
    assert not world.state.sessions[other].draining


def test_an_update_without_change_does_nothing_PO_3(pooled: Pooled) -> None:
    pooled.create(min=1)
    pooled.connect(*pooled.launched)
    pooled.change(min=1, concurrency=2)
    assert pooled.retired() == []
    assert pooled.world.recorded(c.PoolSet) == []


def test_a_launch_that_has_not_connected_is_stopped_by_its_launcher_PO_3(pooled: Pooled) -> None:
    pooled.create(min=1)
    (launch,) = pooled.launched
    pooled.put("disabled")
    assert [(x.launch, x.now) for x in pooled.world.sent(fx.StopLaunch)] == [(launch, False)]
    pooled.world.after(launches.DRAIN_MS)
    assert [(x.launch, x.now) for x in pooled.world.sent(fx.StopLaunch)] == [(launch, True)]


def test_an_archived_environment_keeps_no_agents_EV_5(pooled: Pooled) -> None:
    pooled.create(min=1)
    (launch,) = pooled.launched
    pooled.connect(launch)
    pooled.world.put("default", "archived")
    assert [x.launch for x in pooled.world.sent(fx.StopLaunch)] == [launch]
    pooled.gone(launch)
    assert pooled.launched == []


def test_a_deleted_name_may_be_used_again_PO_3(pooled: Pooled) -> None:
    first = pooled.create()
    pooled.put("deleted")
    assert pooled.create() != first
    pooled.put("deleted")
    pooled.put("disabled")
    assert pooled.world.refusal("not_found").startswith("there is no pool 'pool' in default")


# --- configuration ------------------------------------------------------------------------------


def test_create_fails_where_it_exists_and_update_where_it_does_not_PO_4(pooled: Pooled) -> None:
    pooled.create()
    environment, to = pooled.environment, pooled.world.caller()
    pooled.world.handle(e.PoolRequested(to, environment, "pool", SPEC))
    assert "exists already in default" in pooled.world.refusal("conflict")
    pooled.change("pol", max=2)
    assert "did you mean 'pool'?" in pooled.world.refusal("not_found")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repositories": ()}, "at least one repository"),
        ({"repositories": ("a*",)}, "'a*' is no repository"),
        ({"min": 4}, "max is from 4"),
        ({"max": 0}, "max is from 1"),
        ({"concurrency": 0}, "concurrency is from 1"),
        ({"env": {"COFLUX_TOKEN": "x"}}, "COFLUX_TOKEN is set by Coflux itself"),
        ({"secrets": ("coflux_host",)}, "coflux_host is set by Coflux itself"),
        ({"env": {"A B": "x"}}, "'A B' is no name of a variable"),
        ({"env": {"A": "x"}, "secrets": ("A",)}, "A is both a variable and a secret"),
    ],
)
def test_what_a_pool_cannot_be_is_refused_and_nothing_changes_PO_1(
    pooled: Pooled, fields: dict[str, Any], message: str
) -> None:
    pooled.create()
    pooled.change(**fields)
    assert message in pooled.world.refusal("invalid")
    assert pooled.world.recorded(c.PoolSet) == []


def _import(pooled: Pooled, pools: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    wanted = {name: e.PoolWanted(*given) for name, given in pools.items()}
    world = pooled.world
    world.handle(e.PoolsImported(world.caller(), pooled.environment, wanted, **fields))
    confirmed = world.sent(fx.Confirm)
    return [(s["name"], s["action"]) for s in confirmed[0].data["steps"]] if confirmed else []


def test_an_import_says_which_pools_there_are_PO_4(pooled: Pooled) -> None:
    for name in ("kept", "changed", "gone"):
        pooled.create(name)
    wanted = {
        "new": (SPEC,),
        "kept": (SPEC, 1),
        "changed": (msgspec.structs.replace(SPEC, max=9), 1),
    }
    steps = [("new", "create"), ("kept", "unchanged"), ("changed", "update"), ("gone", "delete")]
    assert _import(pooled, wanted, dry_run=True) == steps
    assert pooled.world.recorded(c.PoolSet) == []
    only = _import(pooled, wanted, only=("changed",))
    assert only == [("changed", "update")]
    # Somebody has changed it since the export.
    assert _import(pooled, wanted) == []
    assert "has been changed since it was exported" in pooled.world.refusal("conflict")
    assert _import(pooled, wanted, force=True)[2] == ("changed", "unchanged")
    names = [pool.name for pool in pooled.world.state.pools_of(pooled.environment)]
    assert sorted(names) == ["changed", "kept", "new"]


def test_pools_and_launches_outlive_a_restart_PO_5(pooled: Pooled) -> None:
    world = pooled.world
    id = pooled.create(min=1)
    (launch,) = pooled.launched
    session = pooled.connect(launch)
    world.restart()
    assert list(world.state.pools[id].launches) == [launch]
    assert world.state.launches[launch].session == session
    assert pooled.launched == []
    # Its launcher knows nothing of it any more.
    pooled.gone(launch, "gone after a restart")
    assert world.state.launches == {}
