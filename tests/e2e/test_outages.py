"""What dies, and what is seen of it: the table of SEMANTICS section 23, with real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .stack import Agent, Stack, until


@pytest.fixture
def agent(place: Stack) -> Agent:
    return place.start_agent("flow.py", "--register")


def begin(stack: Stack, path: Path) -> str:
    run = stack.submit("flow/parent_of_until_file", str(path))
    stack.until_seen("child", run)
    stack.until_status(f"{run}:2", "running")
    return run


def check_same_attempt(stack: Stack, run: str) -> None:
    steps = stack.client().inspect(run)["steps"]
    assert [[e["status"] for e in s["executions"]] for s in steps] == [["value"], ["value"]]
    assert len(stack.seen("parent", run)) == len(stack.seen("child", run)) == 1


def test_executions_survive_the_death_of_the_project_process_SE_4(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = begin(place, tmp_path / "end")
    queued = place.submit("flow/later")
    process = place.project_process()
    assert process is not None
    process.kill()
    # Waiting goes on through the restart.
    assert place.value(queued) > 0
    assert place.execution(f"{run}:2")["status"] == "running"
    (tmp_path / "end").write_text("survived")
    assert place.value(run) == "survived"
    check_same_attempt(place, run)


def test_executions_survive_the_death_of_the_whole_server_SE_4(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = begin(place, tmp_path / "end")
    project = place.project_process()
    assert project is not None
    place.kill_server()
    # An outcome that nobody can take yet is kept.
    (tmp_path / "end").write_text("kept")
    until(lambda: not project.is_running(), "the project process follows")
    place.start_server()
    assert place.value(run) == "kept"
    check_same_attempt(place, run)
    assert agent.process.poll() is None
    assert place.run("flow/add", 1) == 3


@pytest.mark.slow
def test_a_killed_agents_executions_are_abandoned_after_the_window_SE_3(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = place.submit("flow/endless_run", str(tmp_path / "pids"))
    place.until_seen("endless", run)
    agent.kill()
    until(lambda: not place.is_any_alive(tmp_path / "pids"), "what it ran is gone as well")
    assert place.execution(f"{run}:2")["status"] == "running"
    outcome = place.outcome(run)
    assert outcome.kind == "abandoned"
    assert outcome.body["cause"] == "session lost"


@pytest.mark.slow
def test_an_agent_that_starts_again_with_its_session_says_so_at_once_SE_2(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = place.submit("flow/until_file", str(tmp_path / "never"))
    place.until_seen("until_file", run)
    agent.kill()
    again = place.start_agent("flow.py")
    assert again.session == agent.session
    assert place.outcome(run, 10).kind == "abandoned"
    assert place.run("flow/add", 1) == 3


@pytest.mark.slow
def test_an_outcome_that_a_dead_agent_had_stored_counts_SE_2(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = begin(place, tmp_path / "end")
    executors = {each.pid for each in agent.executors()}
    child = place.seen("child", run)[0].pid
    assert child in executors
    place.kill_server()
    (tmp_path / "end").write_text("stored")
    until(lambda: child not in {p.pid for p in agent.executors()}, "the executor has ended")
    until(lambda: any(map(holds_outcome, place.folder.glob("state/**/*.session"))), "it is stored")
    agent.kill()
    place.start_server()
    place.start_agent("flow.py")
    assert place.value(f"{run}:2") == "stored"
    # Its parent could not be told before it died.
    assert place.outcome(run).kind == "abandoned"


def holds_outcome(path: Path) -> bool:
    return b"ended" in path.read_bytes()


@pytest.mark.slow
def test_a_stopped_agent_that_returns_in_time_goes_on_SE_3(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = begin(place, tmp_path / "end")
    agent.signal(signal.SIGSTOP)
    (tmp_path / "end").write_text("slow")
    assert place.client().outcome(run, 1).kind is None
    agent.signal(signal.SIGCONT)
    assert place.value(run) == "slow"
    check_same_attempt(place, run)


@pytest.mark.slow
def test_a_killed_zygote_is_replaced_and_running_work_goes_on_SE(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = begin(place, tmp_path / "end")
    zygote = agent.zygote()
    zygote.kill()
    assert place.run("flow/add", 1) == 3
    assert agent.zygote().pid != zygote.pid
    (tmp_path / "end").write_text("went on")
    assert place.value(run) == "went on"
    check_same_attempt(place, run)


def test_executors_outlive_a_zygote_that_dies_together_with_one_of_them_SE(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    runs = [place.submit("flow/until_file", str(tmp_path / "end")) for _ in range(4)]
    pids = [place.until_seen("until_file", run).pid for run in runs]
    # Both deaths are there when the agent looks.
    agent.signal(signal.SIGSTOP)
    agent.zygote().kill()
    os.kill(pids[1], signal.SIGKILL)
    agent.signal(signal.SIGCONT)
    assert place.outcome(runs[1]).body["signal"] == signal.SIGKILL
    assert place.run("flow/add", 1) == 3
    (tmp_path / "end").write_text("went on")
    assert [place.outcome(run).kind for run in runs] == ["value", "crashed", "value", "value"]


@pytest.mark.slow
def test_an_import_whose_process_is_killed_is_tried_again_SE(place: Stack, tmp_path: Path) -> None:
    place.write(
        "slow.py",
        f"""
        import os, time
        import coflux as cf
        from witness import saw

        saw("import")
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.01)

        @cf.workflow()
        def go():
            return "gone"
        """,
    )
    agent = place.start_agent("slow.py", "--register", wait=False)
    until(lambda: place.seen("import", "none"), "it imports")
    agent.zygote().kill()
    until(lambda: "trying again" in agent.said(), "the agent knows")
    (tmp_path / "go").touch()
    assert until(lambda: place.run("slow/go"), "it is served") == "gone"


def test_a_killed_executor_is_a_crash_within_a_second_SE_6(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = place.submit("flow/shouts", 3)
    seen = place.until_seen("shouted", run)
    killed_at = time.time() * 1000
    os.kill(seen.pid, signal.SIGKILL)
    outcome = place.outcome(run)
    assert outcome.kind == "crashed"
    assert outcome.body["signal"] == signal.SIGKILL
    assert place.execution(run)["ended_at"] - killed_at < 1000
    assert outcome.body["last_lines"] == ["line 0", "line 1", "line 2", "cut off"]


@pytest.mark.slow
def test_an_outage_does_not_double_the_next_attempt_or_lose_a_delay_SE_10(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    client = place.client()
    run = client.start("flow/add", (1,), options={"delay_ms": 2500}).id
    due_at = place.execution(run)["due_at"]
    place.kill_server()
    place.start_server()
    assert place.value(run) == 3
    execution = place.execution(run)
    assert execution["due_at"] == due_at
    assert execution["started_at"] >= due_at
    assert len(place.client().inspect(run)["steps"][0]["executions"]) == 1


@pytest.mark.slow
def test_an_agent_that_comes_back_too_late_begins_again_SE_3(
    place: Stack, agent: Agent, tmp_path: Path
) -> None:
    run = place.submit("flow/endless_run", str(tmp_path / "pids"))
    place.until_seen("endless", run)
    agent.signal(signal.SIGSTOP)
    # Whose tokens for programs of its own user are new.
    place.kill_server()
    place.start_server()
    assert place.outcome(run).body["cause"] == "session lost"
    agent.signal(signal.SIGCONT)
    until(lambda: not place.is_any_alive(tmp_path / "pids"), "what was abandoned is stopped")
    assert place.run("flow/add", 1) == 3
    assert [a["pid"] for a in place.client().agents()] == [agent.pid]
