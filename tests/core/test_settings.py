"""Settings of environments, and the caps and deadlines that they set (EN-6, EN-7, SC-9)."""

from __future__ import annotations

from coflux.model import Returned, TimedOut
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.views import lists
from tests.core.given import World, call, value


def running(world: World, target: str = "wf", **options: object) -> str:
    run = world.submit(target, **options)
    world.start(run)
    return run


class TestSettings:
    def test_a_setting_counts_at_once_and_only_there(self, world: World) -> None:
        """EN-6, EV-1: not inherited."""
        world.environment("dev", "default")
        world.set(start_ms=5_000)
        assert world.recorded(c.SettingSet) == [
            c.SettingSet("E1", "start_ms", 5_000, "alice", world.now)
        ]
        assert world.state.setting("E1", "start_ms") == 5_000
        assert world.state.setting("E2", "start_ms") == 300_000
        world.set(start_ms=5_000)
        assert world.recorded(c.SettingSet) == []
        world.set(start_ms=None)
        assert world.state.setting("E1", "start_ms") == 300_000

    def test_all_or_none(self, world: World) -> None:
        """LI-1: the nearest name is told."""
        world.set(start_ms=5_000, run_step=7)
        assert world.refusal("invalid") == (
            "there is no setting 'run_step'; did you mean 'run_steps'?"
        )
        world.set(depth=0)
        assert world.refusal("invalid") == "depth may be from 1 to 10000000, not 0"
        world.set("E9", depth=5)
        world.refusal("not_found")

    def test_the_answer_lists_everything(self, world: World) -> None:
        world.set(depth=5)
        shown = {s["name"]: s for s in world.the(fx.Confirm).data["settings"]}
        assert (shown["depth"]["value"], shown["depth"]["default"]) == (5, 1_000)
        assert shown["depth"]["is_set"]
        assert not shown["run_steps"]["is_set"]

    def test_start_limit_and_window_are_the_environments(self, world: World) -> None:
        """SE-3, SE-5."""
        world.set(start_ms=5_000, reconnect_ms=7_000)
        session = world.agent()
        world.after(60_000)
        run = world.submit("wf")
        world.after(5_000)
        assert world.status(run) == "abandoned"
        world.disconnect(session)
        world.after(6_999)
        assert session in world.state.sessions
        world.after(1)
        assert session not in world.state.sessions


class TestTheQueueTimeout:
    def test_what_is_ready_for_too_long_ends_and_is_not_retried(self, world: World) -> None:
        """T20, RE-1."""
        world.set(queue_timeout_ms=1_000)
        run = world.submit("wf", retries=3)
        world.after(999)
        assert world.status(run) == "queued"
        world.after(1)
        assert world.of(run).result == TimedOut(1_000, "queue")
        assert world.run_status(run) == "failed"

    def test_it_counts_from_being_ready(self, world: World) -> None:
        """T20: neither a delay nor what it waits for counts."""
        world.set(queue_timeout_ms=1_000)
        session = world.agent("wf")
        parent = running(world)
        child = world.calls(parent, "t", 1, delay_ms=5_000)
        world.after(5_999)
        assert world.status(child) == "queued"
        world.after(1)
        assert world.status(child) == "timeout"
        world.close(session)

    def test_it_may_be_set_while_something_waits(self, world: World) -> None:
        """T20, SC-6."""
        run = world.submit("wf")
        world.after(10_000)
        world.set(queue_timeout_ms=60_000)
        world.after(50_000)
        assert world.status(run) == "timeout"

    def test_it_does_not_count_while_the_environment_is_paused(self, world: World) -> None:
        """ST-2."""
        world.set(queue_timeout_ms=1_000)
        run = world.submit("wf")
        world.put("default", "paused")
        world.after(5_000)
        world.put("default", "active")
        assert world.status(run) == "queued"
        world.after(1_000)
        assert world.status(run) == "timeout"


class TestRunCaps:
    def test_at_its_cap_of_steps_a_run_is_held_and_goes_on_when_it_is_raised(
        self, world: World
    ) -> None:
        """SC-9: not killed; its queue says `cap`, its submissions wait for their answer."""
        world.set(run_steps=3)
        world.agent(concurrency=2)
        run = running(world)
        first = world.calls(run, "t", 1)
        second = world.calls(run, "t", 2)
        assert world.status(second) == "queued"
        world.calls(run, "t", 3)
        assert world.effects == []
        assert world.state.runs["R1"].held == ("run_steps", 4)
        reason = world.reason(second)
        assert reason.code == "cap"
        assert reason.text == (
            "run R1 would have 4 steps; run_steps of default allows 3: raise it with "
            "`coflux env settings default --set run_steps=8`"
        )
        world.start(first)
        world.returns(first)
        assert world.status(second) == "queued"
        world.set(run_steps=8)
        assert world.state.runs["R1"].held is None
        assert world.status(second) == "assigned"
        assert world.sent(fx.Submitted)[0].executions == ("R1:4:1",)

    def test_further_submissions_wait_too_and_are_answered_in_order(self, world: World) -> None:
        """SC-9, SU-10: sent again, they are answered once."""
        world.set(run_steps=1)
        world.agent()
        run = running(world)
        for key in (1, 2, 1, 2):
            world.calls(run, "t", key, key=key)
            assert world.effects == []
        world.set(run_steps=100)
        assert [s.executions[0] for s in world.sent(fx.Submitted)] == ["R1:2:1", "R1:3:1"]

    def test_calls_within_calls_are_capped_over_spawned_runs(self, world: World) -> None:
        """SC-9: runaway recursion is held, not dead."""
        world.set(depth=4)
        world.agent()
        run, depth = running(world), 0
        while True:
            spawning = world.calls(run, "wf", depth)
            if not spawning:
                break
            run = world.state.end_of(spawning)[0]
            world.start(run)
            depth += 1
        assert depth == 2
        assert world.of(run).run.held == ("depth", 5)
        # Nothing of that run is queued: whoever asked says what is the matter (SC-11).
        assert world.reason(run).code == "cap"
        assert [e.id for e in lists.queued(world.machine, world.state.environments)] == [run]
        world.cancel("R1")
        assert world.run_status("R1") == "cancelled"
        assert all(r.held is None for r in world.state.runs.values())
        assert not list(lists.queued(world.machine, world.state.environments))

    def test_a_held_run_is_held_after_a_restart(self, world: World) -> None:
        """SC-9, SE-10: the request comes again and waits again."""
        world.set(run_steps=2)
        session = world.agent(concurrency=1)
        run = running(world)
        child = world.calls(run, "t", 1)
        world.calls(run, "t", 2, key=9)
        world.restart()
        world.connect(session, held=((run, True),), concurrency=2)
        assert world.reason(child).code == "cap"
        world.calls(run, "t", 2, key=9)
        world.set(run_steps=3)
        assert world.sent(fx.Submitted)[0].executions == ("R1:3:1",)
        assert world.status(child) == "assigned"

    def test_a_held_run_that_is_cancelled_holds_nothing_any_more(self, world: World) -> None:
        """SC-9, CN."""
        world.set(run_steps=1)
        world.agent()
        run = running(world)
        world.calls(run, "t", 1)
        world.cancel("R1")
        again = world.rerun("R1")
        world.dies(run)
        assert world.status(again) == "assigned"
        assert world.machine.agenda.held_requests == {}

    def test_a_batch_that_does_not_fit_is_held_whole(self, world: World) -> None:
        """SU-10: all or none."""
        world.set(run_steps=3)
        world.agent()
        run = running(world)
        to = world._code(run)
        world.handle(e.StepsRequested(to, tuple(call("t", n) for n in range(3))))
        assert len(world.of(run).run.steps) == 1
        world.set(run_steps=4)
        assert len(world.sent(fx.Submitted)[0].executions) == 3


class TestSuspensionCaps:
    def test_a_chain_that_suspends_too_often_in_a_minute_is_held(self, world: World) -> None:
        """WA-12: until the cap is raised."""
        world.set(suspensions_per_minute=3)
        world.agent()
        run = running(world)
        for attempt in range(1, 5):
            world.suspends(f"R1:1:{attempt}")
            world.dies(f"R1:1:{attempt}")
            if attempt < 4:
                world.start(f"R1:1:{attempt + 1}")
        held = world.of("R1:1:5")
        assert (held.suspensions, held.burst) == (4, 4)
        assert world.reason(held.id).data["setting"] == "suspensions_per_minute"
        world.after(120_000)
        assert world.status(held.id) == "queued"
        world.set(suspensions_per_minute=10)
        assert world.status(held.id) == "assigned"
        assert world.run_status(run) == "running"

    def test_suspensions_far_apart_are_counted_in_all(self, world: World) -> None:
        """WA-12: a retry does not renew the count, a re-run does."""
        world.set(suspensions=2)
        world.agent()
        running(world, retries=1)
        world.suspends("R1:1:1", 61_000)
        world.dies("R1:1:1")
        world.after(61_000)
        world.start("R1:1:2")
        world.fails("R1:1:2")
        world.start("R1:1:3")
        world.suspends("R1:1:3", 61_000)
        world.dies("R1:1:3")
        world.after(61_000)
        assert world.of("R1:1:4").burst == 1
        world.start("R1:1:4")
        world.suspends("R1:1:4")
        world.dies("R1:1:4")
        assert world.reason("R1:1:5").code == "cap"
        again = world.rerun("R1:1")
        assert world.of(again).suspensions == 0
        assert world.status(again) == "assigned"

    def test_a_held_one_may_be_given_a_result(self, world: World) -> None:
        """WA-12, RR-5."""
        world.set(suspensions=1)
        world.agent()
        run = running(world)
        for attempt in (1, 2):
            world.suspends(f"R1:1:{attempt}")
            world.dies(f"R1:1:{attempt}")
            if attempt == 1:
                world.start("R1:1:2")
        assert world.reason("R1:1:3").code == "cap"
        world.set_result("R1:1", Returned(value(7)))
        assert world.run_status(run) == "succeeded"


class TestWaitingProcesses:
    def test_at_the_cap_those_inside_suspense_are_suspended_early(self, world: World) -> None:
        """WA-10."""
        world.set(waiting_processes=2)
        world.agent()
        runs = [running(world) for _ in range(2)]
        children = [world.calls(run, "t", n) for n, run in enumerate(runs)]
        world.start(*children)
        world.waits(runs[0], children[0], timeout=60_000, suspend=True)
        assert world.status(runs[0]) == "waiting"
        world.waits(runs[1], children[1])
        assert [world.status(run) for run in runs] == ["suspended", "waiting"]

    def test_besides_only_what_a_waiting_one_needs_is_assigned_there(self, world: World) -> None:
        """WA-10: the rest says `cap`."""
        world.set(waiting_processes=1)
        world.agent()
        run = running(world)
        between = world.calls(run, "t", 1)
        world.start(between)
        needed = world.calls(between, "u", 2, delay_ms=1_000)
        world.waits(run, between)
        stranger = world.submit("wf2")
        reason = world.reason(stranger)
        assert (reason.code, reason.data["setting"]) == ("cap", "waiting_processes")
        world.waits(between, needed)
        world.after(1_000)
        assert [world.status(needed), world.status(stranger)] == ["assigned", "queued"]
        world.start(needed)
        world.returns(needed)
        world.returns(between)
        assert world.status(stranger) == "assigned"

    def test_work_is_taken_at_once_when_a_wait_is_over(self, world: World) -> None:
        """WA-10, SC-6."""
        world.set(waiting_processes=1)
        world.agent()
        run = running(world)
        world.waits(run, world.calls(run, "t", 1, delay_ms=60_000), timeout=1_000)
        stranger = world.submit("wf2")
        assert world.status(stranger) == "queued"
        world.after(1_000)
        assert world.status(stranger) == "assigned"

    def test_another_agent_takes_the_rest(self, world: World) -> None:
        """WA-10: the cap is each agent's."""
        world.set(waiting_processes=1)
        world.agent()
        run = running(world)
        child = world.calls(run, "t", 1, delay_ms=9_000)
        world.waits(run, child)
        other = world.agent()
        assert world.of(world.submit("wf2")).assigned_to == other

    def test_raising_it_acts_at_once(self, world: World) -> None:
        """SC-6."""
        world.set(waiting_processes=1)
        world.agent()
        run = running(world)
        child = world.calls(run, "t", 1, delay_ms=9_000)
        world.waits(run, child)
        stranger = world.submit("wf2")
        world.set(waiting_processes=5)
        assert world.status(stranger) == "assigned"


class TestSleep:
    def test_deadlines_and_windows_do_not_count_it(self, world: World) -> None:
        """EN-7: neither the window, a wait, nor the time of an attempt."""
        session = world.agent()
        run = running(world, timeout_ms=10_000)
        child = world.calls(run, "t", 1, delay_ms=3_600_000)
        world.waits(run, child, timeout=5_000)
        away = world.agent()
        world.disconnect(away)
        world.after(1_000)
        world.sleep(3_600_000)
        assert away in world.state.sessions
        assert world.status(run) == "waiting"
        world.after(4_000)
        assert world.status(run) == "running"
        world.after(20_000)
        assert world.of(run).result == TimedOut(10_000)
        assert session in world.state.sessions
        world.after(5_000)
        assert away not in world.state.sessions

    def test_due_times_are_wall_clock_and_fire_once_late(self, world: World) -> None:
        """EN-7."""
        world.agent()
        run = world.submit("wf", delay_ms=60_000)
        world.sleep(3_600_000)
        assert world.status(run) == "assigned"

    def test_the_queue_timeout_does_not_count_it(self, world: World) -> None:
        """EN-7, T20."""
        world.set(queue_timeout_ms=10_000)
        run = world.submit("wf")
        world.after(5_000)
        world.sleep(60_000)
        world.after(4_999)
        assert world.status(run) == "queued"
        world.after(1)
        assert world.status(run) == "timeout"
