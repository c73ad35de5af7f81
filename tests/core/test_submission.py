"""Calls become runs and steps (SU-1 to SU-10, T1)."""

from __future__ import annotations

import msgspec

from coflux.model import Group, Submission, Value
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, call, handles


def test_a_submission_makes_a_run_with_one_step_and_one_attempt(world: World) -> None:
    """T1: exactly these changes, and one answer."""
    submission = call("wf", 1)
    world.handle(e.RunRequested(e.Caller(7, "alice"), "default", submission))
    default = world.state.environment_named("default")
    assert default is not None
    assert world.changes == [
        c.RunCreated("R1", default.id, "repo", "wf", "alice", world.now),
        c.StepCreated("R1", 1, submission, default.id, world.now, world.now),
    ]
    assert world.effects == [fx.Submitted(e.Caller(7, "alice"), ("R1:1:1",))]
    assert world.status("R1:1:1") == "queued"


def test_an_unknown_environment_is_refused_with_the_nearest_name(world: World) -> None:
    """ID-6, ER-4."""
    world.submit("wf", environment="defualt")
    assert "did you mean 'default'?" in world.refusal("not_found")


def test_a_reference_to_nothing_is_refused_and_names_the_argument(world: World) -> None:
    """LI-1, ER-4."""
    world.submit("wf", 1, handles("R9:1:1"))
    assert world.refusal("not_found") == "argument b refers to R9:1:1, which does not exist"
    world.submit("wf", handles("A9"))
    assert "A9" in world.refusal("not_found")


def test_an_option_that_names_a_parameter_the_call_lacks_is_refused(world: World) -> None:
    """LI-1: nothing that could stop the decision process gets in."""
    for options in ({"wait": ("z",)}, {"memo": ("z",)}, {"cache": {"params": ("z",)}}):
        world.submit("wf", 1, **options)
        assert "'z'" in world.refusal("invalid")


def test_options_out_of_bounds_are_refused_also_from_running_code(world: World) -> None:
    """LI-1: a negative delay, or one beyond all calendars, never becomes a fact."""
    for options in ({"delay_ms": -1}, {"timeout_ms": 2**63 - 1}, {"slots": {"gpu": 0}}):
        world.submit("wf", 1, **options)
        assert "from" in world.refusal("invalid")


def test_a_call_that_cannot_be_is_refused_naming_what_is_wrong(world: World) -> None:
    """ID-5, LI-1, LI-3."""
    default = Submission("repo", "wf", "workflow")
    for wrong, field in (
        ({"repository": "../../etc"}, "repository"),
        ({"repository": "x" * 101}, "repository"),
        ({"target": "a b"}, "target"),
        ({"arguments": {f"a{n}": Value() for n in range(65)}}, "arguments"),
        ({"arguments": {"a": Value(blob="../x")}}, "arguments.a"),
        ({"group": Group(0, "x" * 101)}, "group"),
    ):
        call = msgspec.structs.replace(default, **wrong)
        world.handle(e.RunRequested(world.caller(), "default", call))
        assert world.the(fx.Refuse).field == field
        assert world.changes == []


class TestIdempotencyKey:
    def test_the_same_request_gives_the_existing_run(self, world: World) -> None:
        """SU-4."""
        first = world.submit("wf", key="k", fingerprint=b"1")
        assert world.submit("wf", key="k", fingerprint=b"1") == first
        assert world.changes == []
        assert not world.the(fx.Submitted).is_new

    def test_another_request_is_a_conflict_that_creates_nothing(self, world: World) -> None:
        """SU-4."""
        world.submit("wf", key="k", fingerprint=b"1")
        world.submit("wf2", key="k", fingerprint=b"2")
        assert "R1" in world.refusal("conflict")

    def test_it_is_scoped_to_the_environment(self, world: World) -> None:
        """SU-4."""
        world.environment("dev")
        first = world.submit("wf", key="k", fingerprint=b"1")
        assert world.submit("wf", key="k", fingerprint=b"1", environment="dev") != first

    def test_it_is_remembered_for_a_day_across_restarts(self, world: World) -> None:
        """SU-4."""
        first = world.submit("wf", key="k", fingerprint=b"1")
        world.restart()
        world.after(24 * 3600 * 1000)
        assert world.submit("wf", key="k", fingerprint=b"1") == first
        world.after(1)
        assert world.submit("wf", key="k", fingerprint=b"2") not in ("", first)


class TestCallsOfRunningCode:
    def test_a_task_becomes_a_step_of_the_same_run_in_the_same_environment(
        self, world: World
    ) -> None:
        """SU-5, EN-3."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1, group=3)
        assert child == "R1:2:1"
        assert world.of(child).environment == world.of(parent).environment
        assert world.of(parent).children == {child: 3}
        assert world.executed == [child]

    def test_many_travel_as_one_request_in_order(self, world: World) -> None:
        """SU-10."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        to = e.Code(world.of(parent).assigned_to or "", parent, 1)
        world.handle(e.StepsRequested(to, (call("t", 1), call("u", 2), call("t", 3))))
        assert world.the(fx.Submitted).executions == ("R1:2:1", "R1:3:1", "R1:4:1")

    def test_of_a_batch_all_or_none_are_made(self, world: World) -> None:
        """SU-10."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        to = e.Code(world.of(parent).assigned_to or "", parent, 1)
        world.handle(e.StepsRequested(to, (call("t", 1), call("u", handles("R9:1:1")))))
        world.refusal("not_found")
        assert len(world.state.runs["R1"].steps) == 1

    def test_a_batch_above_the_limit_is_refused_naming_limit_and_value(self) -> None:
        """LI-3."""
        world = World(batch=2)
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        to = e.Code(world.of(parent).assigned_to or "", parent, 1)
        world.handle(e.StepsRequested(to, (call("t"), call("t"), call("t"))))
        message = world.refusal("invalid")
        assert "3" in message
        assert "2" in message

    def test_a_request_sent_again_gets_the_same_answer_and_makes_nothing(
        self, world: World
    ) -> None:
        """SU-10, also after a restart."""
        session = world.agent()
        parent = world.submit("wf")
        world.start(parent)
        child = world.calls(parent, "t", 1, key=5)
        world.restart()
        world.connect(session, held=((parent, True), (child, False)))
        assert world.calls(parent, "t", 1, key=5) == child
        assert world.the(fx.Submitted).executions == (child,)
        assert len(world.state.runs["R1"].steps) == 2

    def test_a_group_sent_twice_is_one_group(self, world: World) -> None:
        """SU-8."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        world.calls(parent, "t", 1, group=0)
        assert len(world.recorded(c.GroupNamed)) == 1
        world.calls(parent, "t", 2, group=0)
        assert world.recorded(c.GroupNamed) == []
        assert world.of(parent).groups == {0: None}

    def test_what_an_ended_execution_asks_is_refused(self, world: World) -> None:
        """ST-6."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        world.returns(parent)
        world.calls(parent, "t")
        world.refusal("conflict")

    def test_what_another_session_asks_for_an_execution_is_refused(self, world: World) -> None:
        """ST-6."""
        world.agent()
        other = world.agent()
        parent = world.submit("wf")
        world.start(parent)
        world.handle(e.StepsRequested(e.Code(other, parent, 1), (call("t"),)))
        world.refusal("not_found")

    def test_a_request_proves_that_the_execution_has_started(self, world: World) -> None:
        """T7: a request that is sent again may overtake the report of the start."""
        world.agent()
        parent = world.submit("wf")
        world.calls(parent, "t", 1)
        assert world.status(parent) == "running"
        assert world.of(parent).started_at == world.now


class TestWorkflowsCalledFromExecutions:
    def test_the_step_spawns_a_child_run_in_the_same_commit(self, world: World) -> None:
        """T5, SU-5: it needs no agent of its own."""
        world.agent("wf", "t")
        parent = world.submit("wf")
        world.start(parent)
        step = world.calls(parent, "wf2", 1, priority=3)
        assert world.status(step) == "spawned"
        child = world.state.runs["R2"]
        assert (child.parent, child.root, child.priority) == (step, "R1", 3)
        assert world.status("R2:1:1") == "queued"
        assert world.state.end_of(step)[0] == "R2:1:1"

    def test_the_child_run_starts_with_the_effective_requires(self, world: World) -> None:
        """SC-3."""
        world.agent("wf", "t", provides={"gpu": ("a",), "zone": ("x",)})
        parent = world.submit("wf", requires={"gpu": ("a",), "zone": ("x",)})
        world.start(parent)
        world.calls(parent, "wf2", requires={"zone": (), "disk": ("big",)})
        assert world.state.runs["R2"].requires == {"gpu": ("a",), "disk": ("big",)}

    def test_delay_counts_for_the_spawning_step_only(self, world: World) -> None:
        """SU-5, DL-1."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        step = world.calls(parent, "wf2", delay_ms=500)
        assert world.status(step) == "queued"
        world.after(500)
        assert world.status(step) == "spawned"
        assert world.of("R2:1:1").due_at == world.now

    def test_retries_belong_to_the_child_run(self, world: World) -> None:
        """SU-5."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        step = world.calls(parent, "wf2", retries=1)
        world.start("R2:1:1")
        world.fails("R2:1:1")
        assert world.of("R2:1:2").origin == "retry"
        assert len(world.of(step).step.executions) == 1

    def test_a_workflow_may_call_itself(self, world: World) -> None:
        """SU edge cases: recursion is allowed."""
        world.agent(concurrency=1)
        run = world.submit("wf")
        for depth in range(1, 20):
            world.start(run)
            step = world.calls(run, "wf", awaited=True)
            run = world.state.end_of(step)[0]
            assert run == f"R{depth + 1}:1:1"
            assert world.status(run) == "assigned"
