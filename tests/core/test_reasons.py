"""Every queued execution has exactly one reason: the first that applies (SC-11)."""

from __future__ import annotations

from coflux.server.core import events as e
from coflux.server.core.reasons import Reason
from tests.core.given import World, handles, hosting


def test_paused_comes_before_all_others(world: World) -> None:
    run = world.submit("wf", delay_ms=5_000)
    world.put("default", "paused")
    assert world.reason(run) == Reason(
        "paused", "environment default is paused", {"environment": "default"}
    )


class TestDue:
    def test_it_says_when_and_why(self, world: World) -> None:
        run = world.submit("wf", delay_ms=90_000)
        assert world.reason(run) == Reason(
            "due", "due in 90 s (delay)", {"due_at": world.now + 90_000, "why": "delay"}
        )

    def test_the_reason_is_that_of_the_origin(self, world: World) -> None:
        world.agent()
        run = world.submit("wf", retries={"limit": 1, "min_ms": 10_000}, recurrent=True)
        world.start(run)
        world.fails(run)
        assert world.reason("R1:1:2").data["why"] == "back-off"
        world.after(10_000)
        world.start("R1:1:2")
        world.suspends("R1:1:2", 10_800_000)
        assert world.reason("R1:1:3").text == "due in 3 h (suspension)"
        other = world.submit("wf", recurrent=True, delay_ms=600_000)
        world.after(600_000)
        world.start(other)
        world.returns(other, None)
        assert world.reason("R2:1:2").text == "due in 10 min (recurrence)"


class TestWaiting:
    def test_it_names_what_is_waited_for(self, world: World) -> None:
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        many = [world.calls(parent, "t", n) for n in range(5)]
        gated = world.calls(parent, "u", handles(*many), wait=True)
        assert world.reason(gated) == Reason(
            "waiting", "waits for R1:2:1, R1:3:1, R1:4:1 and 2 more", {"ids": many}
        )
        world.waits(parent, *many[:2], timeout=0, suspend=True, first=True)
        assert world.reason("R1:1:2").text == "waits for the first of R1:2:1, R1:3:1"

    def test_an_old_process_is_waited_for_too(self, world: World) -> None:
        session = world.agent()
        run = world.submit("wf")
        world.start(run)
        again = world.rerun(run)
        assert world.reason(again) == Reason(
            "waiting", f"waits for the process of {run} to be dead",
            {"ids": [run], "session": session},
        )  # fmt: skip


class TestAgent:
    def said(self, world: World, run: str) -> str:
        reason = world.reason(run)
        assert reason.code == "agent"
        return reason.text.partition("; ")[2]

    def test_nobody_is_there(self, world: World) -> None:
        run = world.submit("wf")
        assert world.reason(run) == Reason(
            "agent",
            "waits for an agent that hosts repo/wf in default; no agent is connected there",
            {"target": "repo/wf", "missing": "agent"},
        )

    def test_the_nearest_hosted_name_is_given(self, world: World) -> None:
        world.agent("wfx", "t")
        assert self.said(world, world.submit("wf")) == "the nearest hosted is repo/wfx"
        assert world.reason("R1:1:1").data["nearest"] == "repo/wfx"

    def test_another_type_does_not_do(self, world: World) -> None:
        world.agent("t")
        repository = e.Repository("repo", (hosting("t").targets[0].__class__("wf", "task"),))
        world.handle(e.TargetsAnnounced("S1", (repository,)))
        said = self.said(world, world.submit("wf"))
        assert said == "agent S1 hosts it as a task, not as a workflow"

    def test_a_failed_import_is_shown(self, world: World) -> None:
        """CO-6."""
        session = world.agent("t")
        failed = e.Repository("repo", (), "Traceback …\nModuleNotFoundError: No module named 'x'")
        world.handle(e.TargetsAnnounced(session, (failed,)))
        assert self.said(world, world.submit("wf")) == (
            "agent S1 could not import repo: ModuleNotFoundError: No module named 'x'"
        )

    def test_one_that_is_away_or_elsewhere_is_named(self, world: World) -> None:
        world.environment("dev")
        world.agent(environment="dev")
        run = world.submit("wf")
        assert self.said(world, run) == "it is hosted in dev"
        session = world.agent()
        world.disconnect(session)
        late = world.submit("wf")
        assert self.said(world, late) == f"agent {session} hosts it and is not connected"


class TestTags:
    def test_what_is_missing_is_named_for_each_session(self, world: World) -> None:
        one = world.agent(provides={"gpu": ("a",)})
        run = world.submit("wf", requires={"gpu": ("b", "c"), "zone": True})
        assert world.reason(run) == Reason(
            "tags", "no agent that hosts it provides gpu:b|c, zone:any",
            {
                "requires": {"gpu": ("b", "c"), "zone": True},
                "sessions": {
                    one: {"missing": {"gpu": ("b", "c"), "zone": True}, "accepts": {}}
                },
            },
        )  # fmt: skip

    def test_what_the_agents_keep_away_is_named(self, world: World) -> None:
        world.agent(accepts={"team": ("red",)})
        assert world.reason(world.submit("wf")).text == (
            "the agents that host it only accept work that requires team:red"
        )


def test_draining_names_the_agents(world: World) -> None:
    session = world.agent()
    world.drain(session)
    assert world.reason(world.submit("wf")) == Reason(
        "draining", f"the only matching agents are draining: {session}", {"agents": [session]}
    )


def test_concurrency_names_the_agents_and_what_they_run(world: World) -> None:
    session = world.agent(concurrency=1)
    running = world.submit("wf")
    assert world.reason(world.submit("wf")) == Reason(
        "concurrency", f"all 1 slots of {session} are in use", {"agents": {session: [running]}}
    )


def test_assignable_is_what_is_left(world: World) -> None:
    """It is seen only within a turn, so the agenda is held back here."""
    run = world.submit("wf")
    world.agent()
    execution = world.of(run)
    world.state.sessions["S1"].held.clear()
    assert execution.status.value == "assigned"
    assert world.reason(run).code == "assignable"
    world.state.sessions["S1"].held[run] = execution
