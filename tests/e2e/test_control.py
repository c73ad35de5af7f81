"""What users are promised when they take control: cancelling, pausing, environments, re-runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from coflux.errors import Conflict, InvalidRequest, NotFound

from .stack import Stack, until


def running_pair(stack: Stack, folder: Path) -> tuple[str, list[Path]]:
    """A run with two endless steps, each with subprocesses."""
    run = stack.submit("flow/endless_pair", str(folder / "pids"))
    until(lambda: len(stack.seen("endless", run)) == 2, "both run")
    return run, [folder / "pids1", folder / "pids2"]


def test_cancelling_a_run_ends_every_process_of_it_CN_1(stack: Stack, tmp_path: Path) -> None:
    run, files = running_pair(stack, tmp_path)
    pids = [each.pid for each in stack.seen("endless", run)]
    ended = stack.client().cancel(run)
    assert sorted(ended) == [f"{run}:1:1", f"{run}:2:1", f"{run}:3:1"]
    # Recorded, and told, at once.
    assert stack.client().outcome(run).kind == "cancelled"
    until(lambda: not any(map(stack.is_any_alive, files)), "their subprocesses are gone")
    until(lambda: not {p.pid for p in stack.processes()} & set(pids), "the executors are gone")
    execution = stack.until_status(f"{run}:2", "cancelled")
    assert execution["result"]["by"]
    until(lambda: stack.execution(f"{run}:2")["process"] == "gone", "the server knows")
    assert stack.client().cancel(run) == []


def test_cancelling_a_step_releases_who_waits_and_leaves_the_rest_CN_4(
    stack: Stack, tmp_path: Path
) -> None:
    run, files = running_pair(stack, tmp_path)
    assert stack.client().cancel(f"{run}:2") == [f"{run}:2:1"]
    stack.until_seen("caught", run)
    until(lambda: not stack.is_any_alive(files[0]), "its subprocesses are gone")
    assert stack.execution(f"{run}:3")["status"] == "running"
    assert stack.is_any_alive(files[1])
    # An attempt as well, which is all that is left.
    assert stack.client().cancel(f"{run}:3:1") == [f"{run}:3:1"]
    outcome = stack.outcome(run)
    assert outcome.kind == "error"
    assert outcome.body["error"]["type"] == "coflux.errors.ExecutionCancelled"
    until(lambda: not stack.is_any_alive(files[1]), "its subprocesses are gone")


def test_cancelling_what_does_not_exist_or_has_ended_CN_5(stack: Stack) -> None:
    run = stack.submit("flow/add", 1)
    assert stack.value(run) == 3
    assert stack.client().cancel(run) == []
    with pytest.raises(NotFound):
        stack.client().cancel("Rbcdfgh")
    # The same answer, whatever of the id is wrong (ID-4).
    for id in (f"{run}:9", f"{run}:1:9", f"{run}:x"):
        with pytest.raises(NotFound, match=f"There is no '{id}'\\."):
            stack.client().cancel(id)
    with pytest.raises(NotFound, match="'default'"):
        stack.client().cancel(run, "defualt")


def test_a_paused_environment_starts_nothing_and_ends_what_runs_ST_2(
    stack: Stack, tmp_path: Path
) -> None:
    environments = stack.client().environments
    environments.create("pausing")
    stack.start_agent("flow.py", "--register", "-e", "pausing")
    going = stack.submit("flow/until_file", str(tmp_path / "end"), environment="pausing")
    stack.until_seen("until_file", going)
    environments.pause("pausing")
    waiting = stack.submit("flow/add", 1, environment="pausing")
    assert stack.execution(waiting)["reason"]["code"] == "paused"
    (tmp_path / "end").write_text("ended")
    assert stack.value(going) == "ended"
    assert stack.execution(waiting)["status"] == "queued"
    environments.resume("pausing")
    assert stack.value(waiting) == 3


@pytest.mark.slow
def test_an_archived_environment_cancels_what_is_left_in_it_EV_5(
    stack: Stack, tmp_path: Path
) -> None:
    environments = stack.client().environments
    environments.create("ending")
    agent = stack.start_agent("flow.py", "--register", "-e", "ending")
    run = stack.submit("flow/endless_run", str(tmp_path / "pids"), environment="ending")
    stack.until_seen("endless", run)
    environments.archive("ending")
    assert stack.outcome(run).kind == "cancelled"
    until(lambda: not stack.is_any_alive(tmp_path / "pids"), "its processes are gone")
    # Its agent has no environment any more and ends, saying why.
    assert agent.process.wait(20) == 3
    assert "ending" in agent.said()
    assert "Traceback" not in agent.said()
    with pytest.raises(NotFound):
        stack.submit("flow/add", 1, environment="ending")


@pytest.mark.slow
def test_only_the_start_of_a_dev_agent_makes_its_environment_and_says_so_ID_6(
    stack: Stack,
) -> None:
    first = stack.start_agent("flow.py", "--dev", "-e", "brand-new")
    second = stack.start_agent("flow.py", "--dev", "-e", "brand-new")
    assert "created the environment brand-new" in first.said()
    assert "created" not in second.said()
    environments = stack.client().environments
    environments.archive("brand-new")
    # Whoever archives it does not want it back (EV-5).
    for agent in (first, second):
        assert agent.process.wait(20) == 3
        assert "no environment 'brand-new'" in agent.said()
    states = [e["state"] for e in environments.list() if e["name"] == "brand-new"]
    assert states == ["archived"]


def test_a_production_step_is_run_again_in_a_child_environment_with_edited_code_RR(
    fresh: Stack,
) -> None:
    fresh.start_server()
    source = """
    import coflux as cf
    from witness import saw

    @cf.workflow()
    def report(n):
        return shown(loaded(n))

    @cf.task(memo=True)
    def loaded(n):
        saw("loaded")
        return n * 10

    @cf.task()
    def shown(value):
        saw("shown")
        return FORMAT.format(value)

    FORMAT = "{:d!}"
    """
    fresh.write("report.py", source)
    environments = fresh.client().environments
    environments.create("production")
    environments.create("development", "production")
    fresh.start_agent("report.py", "--register", "-e", "production")
    run = fresh.submit("report/report", 7, environment="production")
    outcome = fresh.outcome(run)
    assert outcome.kind == "error"
    # What failed is run again elsewhere, with other code, on the same data.
    fresh.write("report.py", source.replace("{:d!}", "{:d}!"))
    fresh.start_agent("report.py", "-e", "development")
    client = fresh.client()
    again = client.rerun(f"{run}:3", "development")
    assert fresh.client("development").wait_outcome(again.id, 30).body["value"] == "70!"
    # Then all of it, in which the memo saves the loading.
    whole = client.rerun(f"{run}:1", "development")
    assert fresh.client("development").wait_outcome(whole.id, 30).body["value"] == "70!"
    assert len(fresh.seen("loaded", run)) == 1
    # Production still sees what it saw.
    assert client.outcome(run).kind == "error"
    steps = client.inspect(run)["steps"]
    assert [[e["environment"] for e in s["executions"]] for s in steps] == [["production"]] * 3
    seen = fresh.client("development").inspect(run)["steps"]
    assert [e["status"] for e in seen[2]["executions"]][:2] == ["error", "value"]
    assert seen[2]["executions"][0]["code"] != seen[2]["executions"][1]["code"]
    # Each sees the status of what it sees (RS-6, RR-6).
    assert client.inspect(run)["status"] == "failed"
    assert fresh.client("development").inspect(run)["status"] == "succeeded"
    # What was first made there is run again there, and is seen from nowhere above.
    made = client.rerun(f"{run}:4", "development")
    assert fresh.client("development").wait_outcome(made.id, 30).body["value"] == "70!"
    with pytest.raises(NotFound):
        client.rerun(f"{run}:4")
    assert fresh.client("development").logs(f"{run}:4")[0] == []
    for id in (f"{run}:4", f"{run}:1:9"):
        with pytest.raises(NotFound):
            client.logs(id)
        with pytest.raises(NotFound):
            client.metrics(id)


@pytest.mark.slow
def test_a_child_environment_takes_its_parents_cached_values_and_not_the_reverse_EV_1(
    stack: Stack,
) -> None:
    environments = stack.client().environments
    environments.create("base")
    environments.create("derived", "base")
    for name in ("base", "derived"):
        stack.start_agent("flow.py", "--register", "-e", name)
    above = stack.submit("flow/uses_cache", "from above", environment="base")
    pid = stack.value(above)
    below = stack.submit("flow/uses_cache", "from above", environment="derived")
    assert stack.value(below) == pid
    assert not stack.seen("cached", below)
    first = stack.submit("flow/uses_cache", "from below", environment="derived")
    stack.value(first)
    second = stack.submit("flow/uses_cache", "from below", environment="base")
    stack.value(second)
    assert stack.seen("cached", second)


def test_a_rerun_supersedes_what_runs_and_waiters_follow_it_T18(
    stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "end"
    run = stack.submit("flow/parent_of_until_file", str(path))
    first = stack.until_seen("child", run)
    stack.client().rerun(f"{run}:2")
    until(lambda: len(stack.seen("child", run)) == 2, "the next attempt runs")
    assert first.pid not in {p.pid for p in stack.processes()}
    path.write_text("second")
    assert stack.value(run) == "second"
    attempts = stack.client().inspect(run)["steps"][1]["executions"]
    assert [e["status"] for e in attempts] == ["superseded", "value"]
    assert attempts[1]["started_at"] >= attempts[0]["ended_at"]


def test_a_result_by_hand_ends_a_step_and_says_who_and_why_RR_5(
    stack: Stack, tmp_path: Path
) -> None:
    run = stack.submit("flow/parent_of_until_file", str(tmp_path / "never"))
    seen = stack.until_seen("child", run)
    client = stack.client()
    client.set_result(f"{run}:2", {"value": "by hand", "reason": "it hangs"})
    assert stack.value(run) == "by hand"
    until(lambda: seen.pid not in {p.pid for p in stack.processes()}, "its process is gone")
    attempts = client.inspect(run)["steps"][1]["executions"]
    assert [e["status"] for e in attempts] == ["superseded", "value"]
    assert (attempts[1]["origin"], attempts[1]["note"]) == ("manual", "it hangs")
    assert attempts[1]["by"]
    # Wherever the result is shown.
    shown = stack.cli("runs", "result", f"{run}:2", "--json").json
    assert (shown["by_hand"]["by"], shown["by_hand"]["reason"]) == (attempts[1]["by"], "it hangs")
    assert "set by hand by" in stack.cli("runs", "inspect", run).out
    assert "it hangs" in stack.cli("runs", "result", f"{run}:2").err
    with pytest.raises(Conflict):
        client.set_result(f"{run}:2", {"value": 1, "reason": "again"})


def test_requests_that_fit_nothing_name_what_is_near_ID_6(stack: Stack) -> None:
    client = stack.client()
    with pytest.raises(NotFound, match=r"'flow'"):
        client.submit("flw/add", 1)
    with pytest.raises(NotFound, match=r"'add'"):
        client.submit("flow/ad", 1)
    with pytest.raises(InvalidRequest, match=r"'c'"):
        client.submit("flow/add", 1, c=2)
    with pytest.raises(NotFound, match=r"'default'"):
        stack.client("defualt").submit("flow/add", 1)
    with pytest.raises(NotFound, match=r"'default'") as refused:
        client.environments.create("based", base="defualt")
    assert refused.value.fields["field"] == "base"


def test_waiting_costs_no_processor_time(stack: Stack, tmp_path: Path) -> None:
    """A stack whose only work waits for a file does next to nothing by itself."""
    run = stack.submit("flow/gated", str(tmp_path / "end"))
    seen = stack.until_seen("child", run)
    watched = [p for p in stack.processes() if p.pid != seen.pid]

    def spent() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in watched)

    before, began = spent(), time.monotonic()
    until(lambda: time.monotonic() - began > 1, "a second has passed")
    assert spent() - before < 0.3
    (tmp_path / "end").write_text("open")
    assert stack.value(run) == "open!"


def test_the_servers_files_are_the_users_alone(stack: Stack) -> None:
    for path in [stack.data_dir, *stack.data_dir.glob("projects/*"), *stack.folder.glob("run/*/*")]:
        assert os.stat(path).st_mode & 0o077 == 0, path
