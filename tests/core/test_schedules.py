"""Runs started by the calendar (SD-2, SD-4 to SD-6)."""

from __future__ import annotations

from typing import Any

import pytest

from coflux.model import Deferred, Definition, Overrides, Schedule
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.specs import ScheduleSpec
from tests.core.given import World, call, kind, value


def made(world: World, name: str = "nightly", **fields: Any) -> str:
    """A schedule of `wf`; its id (or "" when refused)."""
    paused = fields.pop("paused", False)
    spec = ScheduleSpec(name, "repo", "wf", "0 0 * * *", **fields)
    world.handle(e.ScheduleRequested(world.caller(), "E1", spec, paused))
    confirmed = world.sent(fx.Confirm)
    return confirmed[0].data["id"] if confirmed else ""


def due(world: World, id: str, *instants: int, **fields: Any) -> list[str]:
    """The shell says that instants have come; the initial executions of the runs started."""
    fields.setdefault("submission", call("wf", 1))
    world.handle(e.ScheduleDue(id, instants, **fields))
    return [f"{change.run}:1:1" for change in world.recorded(c.RunCreated)]


def change(world: World, id: str, **fields: Any) -> None:
    world.handle(e.ScheduleChangeRequested(world.caller(), id, **fields))


def reasons(world: World) -> list[str]:
    """Why instants have started nothing."""
    return [x.reason for x in world.journal if isinstance(x, c.ScheduleAdvanced) and x.reason]


class TestInstants:
    def test_an_instant_starts_a_run_that_says_which(self, world: World) -> None:
        """SD-2."""
        id = made(world)
        (run,) = due(world, id, world.now + 5)
        found = world.of(run).run
        assert (found.schedule, found.scheduled_at) == (id, world.now + 5)
        assert found.by == "schedule nightly"
        assert world.state.schedules[id].cursor == world.now + 5

    def test_each_fires_once_however_often_it_is_said(self, world: World) -> None:
        """SD-2: also over restarts."""
        id = made(world, overlap="allow")
        first = world.now + 5
        assert len(due(world, id, first)) == 1
        assert due(world, id, first) == []
        world.restart()
        assert len(due(world, id, first, first + 5)) == 1
        assert len(world.state.runs) == 2

    def test_what_cannot_start_is_recorded_with_the_reason(self, world: World) -> None:
        """SU-2: the target may be gone by then."""
        id = made(world)
        problem = "no repository 'repo' is registered"
        assert due(world, id, world.now + 5, submission=None, problem=problem) == []
        assert reasons(world) == [problem]
        assert world.state.schedules[id].problem == problem
        due(world, id, world.now + 6)
        assert world.state.schedules[id].problem is None


class TestCatchingUp:
    @pytest.mark.parametrize(
        ("catch_up", "started"), [("none", [50]), ("latest", [30, 50]), ("all", [10, 20, 30, 50])]
    )
    def test_missed_instants_follow_the_policy(
        self, world: World, catch_up: Any, started: list[int]
    ) -> None:
        """SD-4: what is not missed always fires."""
        id = made(world, catch_up=catch_up, overlap="allow")
        at = world.now
        due(world, id, at + 10, at + 20, at + 30, at + 50, missed=3)
        assert [run.scheduled_at for run in world.state.runs.values()] == [at + n for n in started]
        assert world.state.schedules[id].cursor == at + 50

    def test_all_that_were_missed_run_in_order_also_where_runs_must_not_overlap(
        self, world: World
    ) -> None:
        """SD-4, SD-5: they come at once, and would all but the first be skipped."""
        world.agent()
        id = made(world, catch_up="all", overlap="skip")
        at = world.now
        first, second = due(world, id, at + 10, at + 20, at + 50, missed=2)
        assert reasons(world) == [f"overlap: {first.partition(':')[0]} is not finished"]
        assert (world.status(first), world.status(second)) == ("assigned", "queued")
        world.start(first)
        world.returns(first)
        assert world.status(second) == "assigned"

    def test_those_left_out_are_recorded_as_a_number(self, world: World) -> None:
        """SD-4: newest 100 of all."""
        id = made(world, catch_up="all", overlap="allow")
        instants = [world.now + n for n in range(1, 106)]
        due(world, id, *instants, missed=105, has_more=True)
        assert len(world.state.runs) == 100
        assert reasons(world) == ["missed (5 and more)"]

    def test_nothing_of_none_is_started(self, world: World) -> None:
        """SD-4."""
        id = made(world)
        assert due(world, id, world.now + 1, world.now + 2, missed=2) == []
        assert world.state.schedules[id].cursor == world.now + 2
        assert reasons(world) == ["missed (2)"]

    def test_what_came_while_it_was_paused_is_dropped(self, world: World) -> None:
        """SD-4."""
        id = made(world, catch_up="all")
        change(world, id, paused=True)
        at = world.now + 1_000
        world.after(2_000)
        assert due(world, id, at, missed=1) == []
        change(world, id, paused=False)
        assert due(world, id, at, missed=1) == []
        assert world.state.runs == {}

    def test_what_came_while_the_environment_was_paused_is_dropped(self, world: World) -> None:
        """SD-4."""
        id = made(world, catch_up="all")
        world.put("default", "paused")
        at = world.now + 1_000
        world.after(2_000)
        world.put("default", "active")
        assert due(world, id, at, missed=1) == []
        assert len(due(world, id, world.now + 1)) == 1

    def test_resuming_what_was_not_paused_drops_nothing(self, world: World) -> None:
        """SD-4: an instant that has come and was not told yet, as after a restart."""
        id = made(world, catch_up="all")
        at = world.now + 1_000
        world.after(2_000)
        world.put("default", "active")
        assert len(due(world, id, at, missed=1)) == 1


class TestOverlap:
    def test_skip_records_what_it_skips(self, world: World) -> None:
        """SD-5: while the previous run is not finished."""
        world.agent()
        id = made(world)
        (first,) = due(world, id, world.now + 1)
        assert due(world, id, world.now + 2) == []
        assert reasons(world) == ["overlap: R1 is not finished"]
        world.start(first)
        world.returns(first)
        assert len(due(world, id, world.now + 3)) == 1

    def test_queue_starts_in_order(self, world: World) -> None:
        """SD-5, SC-11: reason `waiting`."""
        world.agent()
        id = made(world, overlap="queue")
        runs = [due(world, id, world.now + n)[0] for n in (1, 2, 3)]
        assert [world.status(run) for run in runs] == ["assigned", "queued", "queued"]
        reason = world.reason(runs[2])
        assert (reason.code, reason.data["ids"]) == ("waiting", ["R1"])
        world.start(runs[0])
        world.fails(runs[0])
        assert [world.status(run) for run in runs[1:]] == ["assigned", "queued"]

    def test_one_that_is_cancelled_in_the_queue_lets_nobody_past_the_first(
        self, world: World
    ) -> None:
        """SD-5."""
        world.agent()
        id = made(world, overlap="queue")
        runs = [due(world, id, world.now + n)[0] for n in (1, 2, 3)]
        world.cancel(runs[1])
        assert world.status(runs[2]) == "queued"
        world.restart()
        assert world.status(runs[2]) == "queued"
        world.cancel(runs[0])
        assert world.reason(runs[2]).code == "agent"

    def test_one_that_was_deferred_to_a_later_one_does_not_hold_that_back(
        self, world: World
    ) -> None:
        """SD-5, DF-3: else each would wait for the other."""
        id = made(world, overlap="queue")
        runs = [
            due(world, id, world.now + n, submission=call("wf", 1, defer=True))[0] for n in (1, 2)
        ]
        assert isinstance(world.of(runs[0]).result, Deferred)
        assert world.reason(runs[1]).code == "agent"
        world.restart()
        world.agent()
        assert world.status(runs[1]) == "assigned"

    def test_a_deferred_one_that_is_run_again_elsewhere_does_not_either(self, world: World) -> None:
        """SD-5, RR-1."""
        world.environment("dev", "default")
        world.agent()
        id = made(world, overlap="queue")
        (first,) = due(world, id, world.now + 1)
        second, third = [
            due(world, id, world.now + n, submission=call("wf", 2, defer=True))[0] for n in (2, 3)
        ]
        assert isinstance(world.of(second).result, Deferred)
        world.rerun(second, "dev")
        world.start(first)
        world.returns(first)
        assert world.status(third) == "assigned"

    def test_a_finished_run_that_is_run_again_does_not_wait_for_later_ones(
        self, world: World
    ) -> None:
        """SD-5, SC-11."""
        world.agent()
        id = made(world, overlap="queue")
        (first,) = due(world, id, world.now + 1)
        world.start(first)
        world.returns(first)
        due(world, id, world.now + 2)
        assert world.status(world.rerun(first)) == "assigned"

    def test_what_waits_in_the_queue_of_a_deleted_schedule_goes_on(self, world: World) -> None:
        """SD-5, SC-6."""
        world.agent()
        id = made(world, overlap="queue")
        runs = [due(world, id, world.now + n)[0] for n in (1, 2)]
        change(world, id, is_deleted=True)
        assert [world.status(run) for run in runs] == ["assigned", "assigned"]

    def test_allow_lets_them_run_beside_each_other(self, world: World) -> None:
        """SD-5."""
        world.agent()
        id = made(world, overlap="allow")
        runs = [due(world, id, world.now + n)[0] for n in (1, 2)]
        assert [world.status(run) for run in runs] == ["assigned", "assigned"]

    def test_a_run_that_an_operator_started_does_not_count(self, world: World) -> None:
        """SD-5: of the schedule."""
        id = made(world)
        world.submit("wf")
        assert len(due(world, id, world.now + 1)) == 1


class TestChanging:
    def test_names_are_unique_in_an_environment(self, world: World) -> None:
        made(world)
        assert made(world) == ""
        assert "exists already in default" in world.refusal("conflict")
        assert made(world, "a b") == ""
        assert "is not a name of a schedule" in world.refusal("invalid")

    def test_another_rule_begins_now(self, world: World) -> None:
        """SD-4: what the old one missed is no longer due."""
        id = made(world, catch_up="all")
        world.after(60_000)
        spec = ScheduleSpec("nightly", "repo", "wf", "0 1 * * *", catch_up="all")
        change(world, id, spec=spec)
        assert due(world, id, world.now - 10, missed=1) == []

    def test_a_deleted_one_starts_nothing_and_its_name_is_free(self, world: World) -> None:
        id = made(world)
        change(world, id, is_deleted=True)
        assert due(world, id, world.now + 1) == []
        assert made(world) != ""
        change(world, id, paused=True)
        world.refusal("not_found")

    def test_archiving_the_environment_ends_them(self, world: World) -> None:
        """SD-6."""
        world.environment("other")
        made(world)
        world.put("default", "archived")
        assert world.state.schedules == {}

    def test_at_most_a_thousand(self, world: World) -> None:
        """LI-3."""
        world.is_checking = False
        for n in range(1_000):
            made(world, f"s{n}")
        made(world, "one-more")
        assert "at most 1000" in world.refusal("invalid")


def declare(world: World, *schedules: Schedule, target: str = "wf") -> None:
    """Register a repository whose code declares schedules."""
    definition = Definition(target, kind(target), schedules=schedules)
    world.handle(e.ManifestsRegistered(world.caller(), "default", {"repo": (definition,)}))


class TestDeclarations:
    def test_they_are_saved_at_registration_and_only_when_changed(self, world: World) -> None:
        """SD-6."""
        declared = Schedule("0 0 * * *", arguments={"a": value(1)})
        declare(world, declared)
        (schedule,) = world.state.schedules.values()
        assert (schedule.spec.name, schedule.spec.arguments) == ("repo/wf", {"a": value(1)})
        declare(world, declared)
        assert world.recorded(c.ScheduleSet) == []
        declare(world, Schedule("0 1 * * *"))
        assert [s.spec.cron for s in world.state.schedules.values()] == ["0 1 * * *"]

    def test_an_edit_by_hand_holds_until_the_declaration_changes(self, world: World) -> None:
        """SD-6."""
        declare(world, Schedule("0 0 * * *"))
        (schedule,) = world.state.schedules.values()
        change(world, schedule.id, paused=True)
        declare(world, Schedule("0 0 * * *"))
        assert schedule.paused
        declare(world, Schedule("0 0 * * *", overlap="allow"))
        assert not schedule.paused

    def test_removal_from_the_code_pauses_it_and_its_return_revives_it(self, world: World) -> None:
        """SD-6."""
        declare(world, Schedule("0 0 * * *"), Schedule("0 1 * * *", name="other"))
        declare(world, Schedule("0 0 * * *"))
        paused = {s.spec.name: s.paused for s in world.state.schedules.values()}
        assert paused == {"repo/wf": False, "other": True}
        declare(world, Schedule("0 0 * * *"), Schedule("0 1 * * *", name="other"))
        assert not any(s.paused for s in world.state.schedules.values())
        world.handle(e.ManifestsRegistered(world.caller(), "default", {"repo": ()}))
        assert all(s.paused for s in world.state.schedules.values())

    def test_one_made_by_hand_is_not_taken_over(self, world: World) -> None:
        """SD-6: the registration is refused whole."""
        made(world, "mine")
        declare(world, Schedule("0 0 * * *", name="mine"))
        assert "is not this code's" in world.refusal("conflict")
        assert world.state.environments["E1"].manifests == {}

    def test_a_name_may_not_be_declared_twice(self, world: World) -> None:
        declare(world, Schedule("0 0 * * *"), Schedule("0 1 * * *"))
        assert world.refusal("conflict") == "schedule 'repo/wf' is declared twice"

    def test_it_may_be_declared_as_paused(self, world: World) -> None:
        declare(world, Schedule("0 0 * * *", paused=True))
        (schedule,) = world.state.schedules.values()
        assert schedule.paused


def test_options_of_a_submission_are_over_those_of_the_target() -> None:
    """SU-3: an empty set of tags clears it."""
    options = call("wf", requires={"gpu": True}, memo=True, timeout_ms=5).options
    changed = Overrides(requires={}, priority=3).over(options)
    assert (changed.requires, changed.priority) == ({}, 3)
    assert (changed.memo, changed.timeout_ms) == (True, 5)
