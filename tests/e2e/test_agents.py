"""What users are promised about agents: draining, reloading, routing, reconnecting, isolation."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .stack import END_S, Stack, until


def test_a_drained_agent_finishes_its_work_and_ends_quietly_SC_10(
    place: Stack, tmp_path: Path
) -> None:
    agent = place.start_agent("flow.py", "--register")
    path = tmp_path / "end"
    run = place.submit("flow/parent_of_until_file", str(path))
    place.until_seen("child", run)
    agent.signal()
    until(lambda: (place.agent_info(agent) or {}).get("draining"), "the agent drains")
    waiting = place.submit("flow/add", 1)
    assert place.execution(waiting)["reason"]["code"] == "draining"
    path.write_text("done")
    assert agent.process.wait(END_S) == 0
    assert place.value(run) == "done"
    assert place.agent_info(agent) is None
    assert "beginning another" not in agent.said()
    assert "lost" not in agent.said()
    # What it did not take is for the next.
    place.start_agent("flow.py")
    assert place.value(waiting) == 3


@pytest.mark.slow
def test_a_drain_that_takes_too_long_abandons_what_still_runs_SC_10(
    place: Stack, tmp_path: Path
) -> None:
    agent = place.start_agent("flow.py", "--register", "--drain-timeout", "200ms")
    run = place.submit("flow/endless_run", str(tmp_path / "pids"))
    place.until_seen("endless", run)
    assert agent.stop(END_S) == 0
    assert place.outcome(run).kind == "abandoned"
    until(lambda: not place.is_any_alive(tmp_path / "pids"), "its subprocesses are gone")


@pytest.mark.slow
def test_a_second_signal_ends_the_drain_SC_10(place: Stack, tmp_path: Path) -> None:
    agent = place.start_agent("flow.py", "--register")
    run = place.submit("flow/until_file", str(tmp_path / "never"))
    place.until_seen("until_file", run)
    agent.signal(signal.SIGINT)
    until(lambda: "draining" in agent.said(), "the agent drains")
    agent.signal(signal.SIGINT)
    assert agent.process.wait(END_S) == 0
    assert place.outcome(run).kind == "abandoned"


def test_work_goes_to_agents_with_the_tags_it_requires_SC_2(place: Stack) -> None:
    place.start_agent("flow.py", "--register")
    run = place.submit("flow/needs_gpu")
    reason = place.execution(run)["reason"]
    assert reason["code"] == "tags"
    assert "gpu" in reason["text"]
    place.start_agent("flow.py", "--provides", "gpu:small")
    assert place.execution(run)["reason"]["code"] == "tags"
    big = place.start_agent("flow.py", "--provides", "gpu:big,medium")
    assert place.value(run) == big.zygote().pid
    picky = place.start_agent("flow.py", "--accepts", "gpu:huge")
    # What does not ask for it never gets to the agent that wants only that.
    homes = {place.run("flow/needs_nothing") for _ in range(6)}
    assert picky.zygote().pid not in homes


@pytest.mark.slow
def test_two_agents_share_the_work_of_an_environment_SC_5(place: Stack, tmp_path: Path) -> None:
    one = place.start_agent("flow.py", "--register", "--concurrency", "1")
    two = place.start_agent("flow.py", "--concurrency", "1")
    path = tmp_path / "end"
    runs = [place.submit("flow/until_file", str(path)) for _ in range(2)]
    for run in runs:
        place.until_seen("until_file", run)
    sessions = {place.execution(run)["session"] for run in runs}
    assert sessions == {one.session, two.session}
    third = place.submit("flow/add", 1)
    assert place.execution(third)["reason"]["code"] == "concurrency"
    path.write_text("go")
    assert [place.value(run) for run in runs] == ["go", "go"]
    assert place.value(third) == 3


def test_a_repository_that_cannot_be_imported_leaves_the_others_alone_CO_6(
    place: Stack,
) -> None:
    place.write("broken.py", "import coflux as cf\nimport no_such_module\n")
    agent = place.start_agent("broken.py", "flow.py", "--register")
    assert place.run("flow/add", 1) == 3
    assert "no_such_module" in agent.said()
    info = place.agent_info(agent)
    assert info is not None
    assert "no_such_module" in info["failures"]["broken"]
    listed = place.cli("agents")
    assert listed.code == 0
    assert "broken" in listed.out
    assert "no_such_module" in listed.out


@pytest.mark.slow
def test_work_of_a_repository_that_cannot_be_imported_says_so_CO_6(place: Stack) -> None:
    place.write("later.py", "import coflux as cf\n@cf.workflow()\ndef go():\n    return 1\n")
    assert place.cli("register", "later.py").code == 0
    place.write("later.py", "raise RuntimeError('not today')\n")
    place.start_agent("later.py", "flow.py")
    run = place.submit("later/go")
    reason = place.execution(run)["reason"]
    assert reason["code"] == "agent"
    assert "not today" in reason["text"]
    assert "not today" in place.cli("queue").out


def test_an_edited_helper_module_is_loaded_again_before_the_old_code_ends_SC_10(
    place: Stack, tmp_path: Path
) -> None:
    place.write("helping/__init__.py", "")
    place.write("helping/numbers.py", "FACTOR = 2\n")
    place.write(
        "using.py",
        """
        import time, os
        import coflux as cf
        from witness import saw
        from helping.numbers import FACTOR

        @cf.workflow()
        def times(a):
            return a * FACTOR

        @cf.workflow()
        def old(path):
            saw("old")
            while not os.path.exists(path):
                time.sleep(0.01)
            return FACTOR
        """,
    )
    place.start_agent("using.py", "--register", "--reload")
    assert place.run("using/times", 10) == 20
    old = place.submit("using/old", str(tmp_path / "end"))
    place.until_seen("old", old)
    place.write("helping/numbers.py", "FACTOR = 3\n")
    until(lambda: place.run("using/times", 10) == 30, "the new code runs", step_s=0.2)
    assert place.execution(old)["status"] == "running"
    (tmp_path / "end").touch()
    assert place.value(old) == 2


@pytest.mark.slow
def test_an_edit_that_breaks_a_repository_is_shown_and_the_next_one_mends_it(
    place: Stack,
) -> None:
    good = "import coflux as cf\n@cf.workflow()\ndef go():\n    return {}\n"
    place.write("edited.py", good.format(1))
    agent = place.start_agent("edited.py", "--dev")
    assert place.run("edited/go") == 1
    place.write("edited.py", "def go(:\n")

    def failures() -> object:
        return (place.agent_info(agent) or {}).get("failures")

    until(failures, "the failure is shown")
    assert "SyntaxError" in str(failures())
    place.write("edited.py", good.format(2))
    until(lambda: not failures(), "the failure is gone")
    assert place.run("edited/go") == 2


@pytest.mark.parametrize("isolation", ["fork", "reuse"])
def test_executors_are_fresh_or_used_again_SE_7(place: Stack, isolation: str) -> None:
    place.start_agent("flow.py", "--register", "--isolation", isolation, "--concurrency", "1")
    counts = [place.run("flow/calls_so_far") for _ in range(3)]
    if isolation == "fork":
        assert counts == [[1, 1]] * 3
    else:
        # Module state stays, the environment does not.
        assert counts == [[1, 1], [2, 1], [3, 1]]
    assert place.run("flow/fan", 30) == sum(n * n for n in range(30))


@pytest.mark.slow
def test_a_generic_agent_does_not_take_what_it_cannot_import_CO_4(place: Stack) -> None:
    place.cli("register", "flow.py")
    place.start_agent()
    run = place.submit("flow/add", 1)
    assert place.execution(run)["reason"]["code"] == "agent"
