"""A failed attempt may be followed by another (RE-1 to RE-6)."""

from __future__ import annotations

import pytest

from coflux.model import RetryPolicy, TimedOut
from tests.core.given import World


def run_of(world: World, policy: RetryPolicy | int | None, **options: object) -> str:
    world.agent()
    run = world.submit("wf", retries=policy, **options)
    world.start(run)
    return run


def test_without_retries_a_failure_is_final(world: World) -> None:
    """RE-2: at most once is the default."""
    run = run_of(world, None)
    world.fails(run)
    assert world.run_status(run) == "failed"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_of_n_allows_n_retries_after_the_first_attempt(world: World, limit: int) -> None:
    """RE-3."""
    run = run_of(world, limit)
    for attempt in range(1, limit + 1):
        world.fails(f"R1:1:{attempt}")
        world.start(f"R1:1:{attempt + 1}")
    world.fails(f"R1:1:{limit + 1}")
    assert world.run_status(run) == "failed"
    assert len(world.of(run).step.executions) == limit + 1


def test_what_is_retryable(world: World) -> None:
    """RE-1: error unless `when` said no, crashed, abandoned, timeout unless of the queue."""
    run = run_of(world, RetryPolicy(limit=None))
    world.crashes(run)
    world.start("R1:1:2")
    world.end("R1:1:2", TimedOut(5))
    world.start("R1:1:3")
    world.close(world.of("R1:1:3").assigned_to or "")
    world.agent()
    world.start("R1:1:4")
    world.fails("R1:1:4")
    world.start("R1:1:5")
    world.fails("R1:1:5", retryable=False)
    assert [world.status(f"R1:1:{n}") for n in range(1, 6)] == [
        "crashed", "timeout", "abandoned", "error", "error",
    ]  # fmt: skip
    assert world.run_status(run) == "failed"


def test_a_timeout_of_the_queue_is_not(world: World) -> None:
    """RE-1."""
    run = run_of(world, 3)
    world.end(run, TimedOut(5, "queue"))
    assert len(world.of(run).step.executions) == 1


def test_a_cancelled_attempt_is_not_retried(world: World) -> None:
    """RE-1, CN-5."""
    run = run_of(world, 3)
    world.cancel(run)
    assert len(world.of(run).step.executions) == 1


def test_delays_grow_evenly_from_min_to_max(world: World) -> None:
    """RE-4: min + (k-1)/(n-1)·(max-min)."""
    run = run_of(world, RetryPolicy(limit=3, min_ms=100, max_ms=300))
    for attempt, delay in ((1, 100), (2, 200), (3, 300)):
        world.fails(f"R1:1:{attempt}")
        following = world.of(f"R1:1:{attempt + 1}")
        assert following.due_at == world.now + delay
        world.after(delay)
        world.start(following.id)
    assert world.run_status(run) == "running"


def test_a_single_retry_takes_the_minimum(world: World) -> None:
    """RE-4."""
    run = run_of(world, RetryPolicy(limit=1, min_ms=100, max_ms=300))
    world.fails(run)
    assert world.of("R1:1:2").due_at == world.now + 100


def test_unlimited_ones_are_drawn_and_jitter_multiplies(world: World) -> None:
    """RE-4."""
    run = run_of(world, RetryPolicy(limit=None, min_ms=1_000, max_ms=3_000, jitter=0.5))
    world.source.shares = [0.25, 1.0]
    world.fails(run)
    assert world.of("R1:1:2").due_at == world.now + round(1_500 * 1.5)


def test_suspensions_neither_use_nor_renew_the_budget(world: World) -> None:
    """RE-3, RE edge cases."""
    run = run_of(world, 2)
    world.fails(run)
    world.start("R1:1:2")
    world.suspends("R1:1:2")
    world.dies("R1:1:2")
    world.start("R1:1:3")
    world.fails("R1:1:3")
    world.start("R1:1:4")
    world.fails("R1:1:4")
    assert [e.origin for e in world.of(run).step.executions] == [
        "submit", "retry", "resume", "retry",
    ]  # fmt: skip
    assert world.run_status(run) == "failed"


def test_a_re_run_starts_a_fresh_one_also_in_a_child_environment(world: World) -> None:
    """RE-3, RE edge cases."""
    run = run_of(world, 1)
    dev = world.environment("dev", "default")
    world.agent(environment="dev")
    world.fails(run)
    world.start("R1:1:2")
    world.fails("R1:1:2")
    again = world.rerun(run, "dev")
    world.start(again)
    world.fails(again)
    assert (world.of("R1:1:4").origin, world.of("R1:1:4").environment) == ("retry", dev)


def test_children_of_the_failed_attempt_go_on(world: World) -> None:
    """RE-6: and the retry joins memoised ones again."""
    run = run_of(world, 1, memo=True)
    child = world.calls(run, "t", 1)
    world.start(child)
    world.fails(run)
    assert world.status(child) == "running"
    world.start("R1:1:2")
    assert world.calls("R1:1:2", "t", 1) == child


def test_a_back_off_survives_restarts_at_its_planned_instant(world: World) -> None:
    """RE edge cases."""
    run = run_of(world, RetryPolicy(limit=1, min_ms=60_000, max_ms=60_000))
    world.fails(run)
    due_at = world.of("R1:1:2").due_at
    world.after(10_000)
    world.restart()
    assert world.of("R1:1:2").due_at == due_at
    world.connect("S1")
    world.after(49_999)
    assert world.status("R1:1:2") == "queued"
    world.after(1)
    assert world.status("R1:1:2") == "assigned"


def test_a_retry_is_not_assigned_before_the_old_process_is_dead(world: World) -> None:
    """ST-5, TO-3."""
    run = run_of(world, 1, timeout_ms=100)
    world.times_out(run, gone=False)
    assert world.reason("R1:1:2").data["ids"] == [run]
    world.dies(run)
    assert world.status("R1:1:2") == "assigned"


def test_the_retry_of_a_re_run_of_original_code_keeps_that_code(world: World) -> None:
    """RR-3: a chain runs one code."""
    run = run_of(world, 2)
    world.runs_code(run, "abc")
    world.returns(run)
    again = world.rerun(run, original=True)
    assert world.reason(again).data["missing"] == "code"
    world.agent(code="abc")
    world.start(again)
    world.fails(again)
    assert world.of("R1:1:3").required_code == "abc"
    world.start("R1:1:3")
    world.suspends("R1:1:3")
    assert world.of("R1:1:4").required_code == "abc"
