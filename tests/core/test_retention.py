"""What may be removed, and that memory forgets it without a trace (DM-2, ID-4)."""

from __future__ import annotations

from coflux.model import Returned, run_of
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.limits import SETTINGS, Limits
from coflux.server.core.retention import Family, needed, removable, too_many
from coflux.server.core.specs import ScheduleSpec
from coflux.server.core.state import State
from tests.core.given import World, handles, value

DAY = 24 * 3_600_000
NOW = 1_000 * DAY
KEPT = 90 * DAY


def ended(root: str, days_ago: int, *below: str, kept: int | None = KEPT, **more: object) -> Family:
    """A family that ended so long ago."""
    at = NOW - days_ago * DAY
    until = at + kept if kept is not None else None
    return Family(root, (root, *below), at, until)._replace(**more)


def staying(root: str, *below: str) -> Family:
    """A family that goes on, or is pinned."""
    return Family(root, (root, *below), None, NOW)


def gone(families: list[Family], *links: tuple[str, str], **more: object) -> list[str]:
    groups = removable(families, links, NOW, **more)  # type: ignore[arg-type]
    return ["+".join(each.root for each in group) for group in groups]


# --- by age -----------------------------------------------------------------------------------


def test_finished_runs_past_their_time_go_the_longest_ended_first_DM_2() -> None:
    families = [ended("R1", 91), ended("R2", 89), ended("R3", 200), ended("R4", 90)]
    assert gone(families) == ["R3", "R1", "R4"]


def test_unfinished_and_pinned_runs_stay_whatever_their_age_DM_2() -> None:
    assert gone([staying("R1"), ended("R2", 91)]) == ["R2"]


def test_without_a_time_runs_stay_for_ever() -> None:
    assert gone([ended("R1", 100_000, kept=None)]) == []


# --- what is reached ----------------------------------------------------------------------------


def test_what_a_kept_run_reaches_stays_over_any_number_of_links_DM_2() -> None:
    families = [ended("R1", 1), ended("R2", 91), ended("R3", 300), ended("R4", 300)]
    assert gone(families, ("R1", "R2"), ("R2", "R3")) == ["R4"]


def test_what_only_goes_itself_keeps_nothing() -> None:
    families = [ended("R1", 100), ended("R2", 200)]
    assert gone(families) == ["R2", "R1"]
    assert gone(families, ("R1", "R2")) == ["R1", "R2"], "what is there has all that it reaches"


def test_two_that_reach_each_other_and_nothing_else_go_both() -> None:
    families = [ended("R1", 100), ended("R2", 200)]
    assert gone(families, ("R1", "R2"), ("R2", "R1")) == ["R2+R1"]


def test_a_child_run_is_reached_with_its_parent_and_the_other_way_round() -> None:
    families = [ended("R1", 1), ended("R2", 100, "R3"), ended("R4", 100, "R5")]
    assert gone(families, ("R1", "R3")) == ["R4"]
    assert gone([*families, ended("R6", 300)], ("R1", "R3"), ("R2", "R6")) == ["R4"]


def test_links_to_what_is_not_there_any_more_are_nothing() -> None:
    assert gone([ended("R1", 1), ended("R2", 100)], ("R1", "R9"), ("R9", "R2")) == ["R2"]


# --- by size ------------------------------------------------------------------------------------


def test_the_oldest_beyond_the_newest_that_fit_go_DM_2() -> None:
    families = [ended(f"R{n}", n, size=10, environment="E1") for n in range(1, 6)]
    assert gone(families, limits={"E1": 30}) == ["R5", "R4"]
    assert gone(families, limits={"E2": 30}) == []


def test_what_must_stay_takes_its_room_first() -> None:
    pinned = staying("R9")._replace(size=25, environment="E1")
    families = [pinned, *(ended(f"R{n}", n, size=10, environment="E1") for n in (1, 2))]
    assert gone(families, limits={"E1": 35}) == ["R2"]


def test_what_a_newer_run_reaches_stays_although_it_does_not_fit() -> None:
    families = [ended(f"R{n}", n, size=10, environment="E1") for n in (1, 2, 3)]
    assert gone(families, ("R1", "R3"), limits={"E1": 10}) == ["R2"]


def test_a_blob_counts_once_for_the_newest_that_reaches_it() -> None:
    shared = frozenset({"ab"})
    families = [ended(f"R{n}", n, size=1, blobs=shared) for n in (1, 2, 3)]
    assert too_many(families, 103, {"ab": 100}) == []
    assert [each.root for each in too_many(families, 102, {"ab": 100})] == ["R3"]


# --- the last check, and memory -----------------------------------------------------------------


def propose(world: World, *runs: str, **more: object) -> bool:
    """Whether they were removed."""
    world.handle(e.RemovalProposed(e.Caller(1), runs, **more))  # type: ignore[arg-type]
    return bool(world.the(fx.Confirm).data["removed"])


def finished(world: World, *arguments: object, **options: object) -> str:
    """A run that has ended with a value."""
    id = world.submit("wf", *arguments, **options)
    world.start(id)
    world.returns(id)
    return run_of(id)


def test_a_removed_run_is_not_found_any_more_ID_4(world: World) -> None:
    world.agent()
    run = finished(world)
    assert propose(world, run)
    assert world.recorded(c.RunsRemoved) == [c.RunsRemoved((run,), world.now)]
    assert run not in world.state.runs
    for event in (
        e.RerunRequested(e.Caller(2), f"{run}:1"),
        e.ResultSet(e.Caller(2), f"{run}:1", Returned(value("by hand")), "why"),
    ):
        assert world.handle(event)
        world.refusal("not_found")


def test_a_pinned_run_is_not_removed_even_if_it_was_pinned_a_moment_ago_DM_2(world: World) -> None:
    world.agent()
    pinned, other = finished(world, 1), finished(world, 2)
    world.pin(pinned)
    assert not propose(world, other, pinned)
    assert world.changes == []
    assert {pinned, other} <= set(world.state.runs)


def test_a_run_that_goes_on_again_is_not_removed(world: World) -> None:
    world.agent()
    run = finished(world)
    world.handle(e.RerunRequested(e.Caller(2), f"{run}:1"))
    assert not propose(world, run)


def test_the_newest_run_of_a_schedule_is_needed_SD_5() -> None:
    state = State()
    spec = ScheduleSpec("daily", "repo", "wf", "0 0 * * *")
    state.load(
        [
            c.EnvironmentSet("E1", "default", None, "active", "", 0),
            c.ScheduleSet("D1", "E1", spec, False, None, "", 1),
            c.ScheduleAdvanced("D1", 5, "R1", "", 6),
            c.ScheduleAdvanced("D1", 7, "R2", "", 8),
            c.RunPinned("R8", True, "ann", 9),
        ]
    )
    assert needed(state) == {"R2", "R8"}


def test_a_removed_value_is_a_clean_miss_for_the_cache_DM_2(world: World) -> None:
    world.agent()
    run = finished(world, 1, cache=True)
    hit = world.submit("wf", 1, cache=True)
    assert world.of(hit).cache.source == f"{run}:1:1"
    assert not propose(world, run), "something in memory leads to it"
    assert propose(world, run_of(hit))
    assert propose(world, run, entries=(f"{run}:1:1",))
    later = world.submit("wf", 1, cache=True)
    assert world.of(later).cache.outcome == "miss"
    assert world.of(later).cache.detail == "no earlier entry"


def test_links_among_those_that_go_hold_nobody(world: World) -> None:
    world.agent()
    run = finished(world, 1, cache=True)
    hit = run_of(world.submit("wf", 1, cache=True))
    assert propose(world, run, hit, entries=(f"{run}:1:1",))
    assert not world.state.runs


def test_the_key_of_a_removed_run_makes_a_new_one(world: World) -> None:
    world.agent()
    first = finished(world, key="once")
    environment = world.state.runs[first].environment
    assert propose(world, first, keys=((environment, "once"),))
    assert run_of(world.submit("wf", key="once")) != first


def test_a_handle_to_a_removed_run_fails_when_it_is_used_and_not_before_VA(world: World) -> None:
    world.agent()
    gone = finished(world)
    assert propose(world, gone)
    asking = world.submit("wf2")
    world.start(asking)
    world.waits(asking, f"{gone}:1:1")
    assert f"{gone}:1:1" in world.refusal("not_found")
    assert "was removed" in world.refusal("not_found")
    world.returns(asking)
    assert world.run_status(asking) == "succeeded"


def test_a_handle_to_a_removed_run_is_a_value_that_fails_only_when_used_VA(world: World) -> None:
    world.agent()
    gone = finished(world)
    assert propose(world, gone)
    passing = world.submit("wf", handles(f"{gone}:1:1"), wait=True, cache=True)
    world.start(passing)
    child = world.calls(passing, "t", handles(f"{gone}:1:1"), memo=True)
    world.start(child)
    world.waits(child, f"{gone}:1:1")
    assert "was removed" in world.refusal("not_found")
    world.returns(child)
    world.returns(passing)
    again = world.rerun(passing)
    world.restart()
    world.agent()
    world.start(again)
    world.waits(again, f"{gone}:1:1")
    assert "was removed" in world.refusal("not_found")


def test_a_handle_to_what_never_was_is_refused_where_it_comes_in_LI_1(world: World) -> None:
    world.agent()
    gone = finished(world)
    assert propose(world, gone)
    asking = world.submit("wf")
    world.start(asking)
    world.calls(asking, "t", handles("R999:1:1"))
    assert "argument a refers to R999:1:1" in world.refusal("not_found")
    world.calls(asking, "t", handles(f"{gone}:1:1", "R999:1:1"))
    assert "R999:1:1" in world.refusal("not_found")


def test_what_is_kept_how_long_unless_somebody_says_otherwise() -> None:
    """Section 32."""
    limits = Limits()
    assert (limits.runs_kept_ms, limits.logs_kept_ms) == (90 * DAY, 30 * DAY)
    assert (limits.blob_grace_ms, limits.runs_kept_bytes) == (DAY, 0)
    names = {"runs_kept_ms", "runs_kept_bytes", "logs_kept_ms", "blob_grace_ms"}
    assert names <= SETTINGS.keys()


def test_what_is_removed_stays_removed_after_a_restart(world: World) -> None:
    world.agent()
    run = finished(world)
    assert propose(world, run)
    world.restart()
    assert run not in world.state.runs
