"""What users are promised about running work: values, errors, retries, cache, spawns, groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stack import Stack


def test_a_workflow_runs_and_gives_its_value(stack: Stack) -> None:
    assert stack.run("flow/add", 1) == 3
    assert stack.run("flow/add", 1, 5) == 6


def test_retries_go_on_until_one_succeeds_RE_2(stack: Stack, tmp_path: Path) -> None:
    run = stack.submit("flow/retried", str(tmp_path / "tries"), 3)
    assert stack.value(run) == 3
    step = stack.client().inspect(run)["steps"][1]
    assert [(e["origin"], e["status"]) for e in step["executions"]] == [
        ("submit", "error"), ("retry", "error"), ("retry", "value"),
    ]  # fmt: skip
    assert len(stack.seen("flaky", run)) == 3


def test_the_last_error_is_the_outcome_when_retries_are_exhausted_RE_3(
    stack: Stack, tmp_path: Path
) -> None:
    outcome = stack.outcome(stack.submit("flow/retried", str(tmp_path / "tries"), 9))
    assert outcome.kind == "error"
    assert outcome.body["error"]["type"] == "builtins.ConnectionError"
    assert outcome.body["error"]["message"] == "try 3 fails"


def test_a_failure_shows_the_users_frames_only_ER_2(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("flow/fails", "gone"))
    error = outcome.body["error"]
    assert (error["type"], error["message"]) == ("builtins.KeyError", "'gone'")
    assert [frame["function"] for frame in error["frames"]] == ["fails"]
    assert error["frames"][0]["source"] == "raise KeyError(message)"


def test_callers_catch_the_class_that_was_raised_ER(stack: Stack) -> None:
    assert stack.run("flow/catches", "oh") == "ExecutionError: oh"


def test_a_value_that_cannot_be_encoded_names_its_path_VA_2(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("flow/unserialisable"))
    assert outcome.kind == "error"
    assert outcome.body["error"]["type"] == "coflux.errors.NotSerialisable"
    assert 'result["a"][2]' in outcome.body["error"]["message"]


def test_an_executor_that_dies_is_a_crash_with_its_last_words_RS(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("flow/exits", 3))
    assert outcome.kind == "crashed"
    assert outcome.body["exit_code"] == 3
    assert outcome.body["last_lines"] == ["last words", "without an end"]


def test_a_cached_step_misses_then_hits_and_says_so_CA_12(stack: Stack) -> None:
    key = "first"
    first, second = stack.submit("flow/uses_cache", key), None
    pid = stack.value(first)
    second = stack.submit("flow/uses_cache", key)
    assert stack.value(second) == pid
    assert len(stack.seen("cached", first)) == 1
    assert not stack.seen("cached", second)
    assert stack.execution(f"{first}:2")["cache"]["outcome"] == "miss"
    hit = stack.execution(f"{second}:2")
    assert hit["status"] == "cached"
    assert hit["result"]["execution"] == f"{first}:2:1"
    assert (hit["cache"]["outcome"], hit["cache"]["execution"]) == ("hit", f"{first}:2:1")
    other = stack.submit("flow/uses_cache", "other")
    assert stack.value(other) != pid
    miss = stack.execution(f"{other}:2")["cache"]
    assert miss["outcome"] == "miss"
    assert "key" in str(miss["detail"])


def test_memo_joins_equal_calls_of_one_run_only_ME_2(stack: Stack) -> None:
    first, second = stack.submit("flow/uses_memo", "k"), stack.submit("flow/uses_memo", "k")
    assert stack.value(first) is True
    assert stack.value(second) is True
    assert len(stack.seen("memoised", first)) == 1
    assert len(stack.seen("memoised", second)) == 1
    assert len(stack.client().inspect(first)["steps"]) == 2


def test_a_workflow_called_from_one_is_a_run_of_its_own_SU_5(stack: Stack) -> None:
    run = stack.submit("flow/spawns", 1)
    assert stack.value(run) == 11
    spawned = stack.execution(f"{run}:2")
    assert spawned["status"] == "spawned"
    child = spawned["result"]["execution"].partition(":")[0]
    assert child != run
    assert stack.client().inspect(child)["parent"] == f"{run}:2:1"


def test_groups_are_numbered_and_named_SU_8(stack: Stack) -> None:
    run = stack.submit("flow/grouped", 3)
    assert stack.value(run) == [0, 1, 4, 100, 121, 144]
    steps = stack.client().inspect(run)["steps"][1:]
    assert [step["group"] for step in steps] == [
        *[{"number": 0, "name": "squares"}] * 3, *[{"number": 1, "name": None}] * 3,
    ]  # fmt: skip


def test_a_gate_holds_a_step_until_its_argument_is_there_DL_2(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "open"
    run = stack.submit("flow/gated", str(path))
    stack.until_seen("child", run)
    queued = stack.until_status(f"{run}:3", "queued")
    assert queued["reason"]["code"] == "waiting"
    assert not stack.seen("opened", run)
    path.write_text("sesame")
    assert stack.value(run) == "sesame!"


def test_a_delay_is_kept_and_shown_DL_1(stack: Stack) -> None:
    run = stack.submit("flow/later")
    queued = stack.execution(run)
    assert queued["reason"]["code"] == "due"
    started_at = stack.value(run) * 1000
    assert started_at - queued["created_at"] >= 500


def test_a_suspended_step_goes_on_in_a_new_attempt_WA_6(stack: Stack) -> None:
    run = stack.submit("flow/suspends")
    assert stack.value(run) == 42
    steps = stack.client().inspect(run)["steps"]
    assert [(e["origin"], e["status"]) for e in steps[0]["executions"]] == [
        ("submit", "suspended"), ("resume", "value"),
    ]  # fmt: skip
    assert len(steps[1]["executions"]) == 1


def test_select_takes_the_first_and_cancels_the_rest_WA_7(stack: Stack, tmp_path: Path) -> None:
    run = stack.submit("flow/first_of", str(tmp_path / "pids"))
    assert stack.value(run) == "quick"
    assert stack.execution(f"{run}:2")["status"] == "cancelled"


def test_a_timeout_ends_each_attempt_and_is_retried_TO_3(stack: Stack) -> None:
    run = stack.submit("flow/too_slow")
    outcome = stack.outcome(run)
    assert outcome.kind == "timeout"
    assert outcome.body["limit_ms"] == 300
    assert len(stack.seen("too_slow", run)) == 2
    attempts = stack.client().inspect(run)["steps"][0]["executions"]
    assert [e["status"] for e in attempts] == ["timeout", "timeout"]


def test_files_and_directories_travel_between_executions_AS_3(stack: Stack) -> None:
    run = stack.submit("flow/assets")
    assert stack.value(run) == {
        "note": ["note.txt", "of note"],
        "tree": ["branch", "branch/leaf", "empty"],
        "leaf": True,
    }
    assets = {asset["name"]: asset for asset in stack.client().assets(run)}
    assert [e["path"] for e in assets["note"]["entries"]] == ["note.txt"]
    assert len(stack.execution(f"{run}:4")["dependencies"]) >= 2


def test_an_idempotency_key_makes_one_run_SU_4(stack: Stack) -> None:
    client = stack.client()
    first = client.submit("flow/add", 1, idempotency_key="once")
    assert client.submit("flow/add", 1, idempotency_key="once") == first
    from coflux.errors import Conflict

    with pytest.raises(Conflict, match="once"):
        client.submit("flow/add", 2, idempotency_key="once")


def test_a_run_has_the_status_of_its_outcome_RS_6(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "end"
    going = stack.client().submit("flow/until_file", str(path))
    stack.until_seen("until_file", going.id)
    assert going.status == "running"
    path.write_text("now")
    assert going.result(30) == "now"
    assert going.status == "succeeded"
    failed = stack.client().submit("flow/fails", "x")
    stack.outcome(failed.id)
    assert failed.status == "failed"


def test_two_hundred_calls_deep_complete_with_one_slot_WA_9(fresh: Stack) -> None:
    fresh.start_server()
    fresh.start_agent("flow.py", "--register", "--concurrency", "1")
    assert fresh.run("flow/deep", 200) == 200
