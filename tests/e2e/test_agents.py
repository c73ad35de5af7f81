"""What users are promised about agents: draining, reloading, routing, reconnecting, isolation."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .stack import END_S, Stack, until


@pytest.fixture
def served(fresh: Stack) -> Stack:
    """A server without agents."""
    fresh.start_server()
    return fresh


def test_a_drained_agent_finishes_its_work_and_ends_quietly_SC_10(
    served: Stack, tmp_path: Path
) -> None:
    agent = served.start_agent("flow.py", "--register")
    path = tmp_path / "end"
    run = served.submit("flow/parent_of_until_file", str(path))
    served.until_seen("child", run)
    agent.signal()
    until(lambda: (served.agent_info(agent) or {}).get("draining"), "the agent drains")
    waiting = served.submit("flow/add", 1)
    assert served.execution(waiting)["reason"]["code"] == "draining"
    path.write_text("done")
    assert agent.process.wait(END_S) == 0
    assert served.value(run) == "done"
    assert served.agent_info(agent) is None
    assert "beginning another" not in agent.said()
    assert "lost" not in agent.said()
    # What it did not take is for the next.
    served.start_agent("flow.py")
    assert served.value(waiting) == 3


def test_a_drain_that_takes_too_long_abandons_what_still_runs_SC_10(
    served: Stack, tmp_path: Path
) -> None:
    agent = served.start_agent("flow.py", "--register", "--drain-timeout", "200ms")
    run = served.submit("flow/endless_run", str(tmp_path / "pids"))
    served.until_seen("endless", run)
    assert agent.stop(END_S) == 0
    assert served.outcome(run).kind == "abandoned"
    until(lambda: not served.is_any_alive(tmp_path / "pids"), "its subprocesses are gone")


def test_a_second_signal_ends_the_drain_SC_10(served: Stack, tmp_path: Path) -> None:
    agent = served.start_agent("flow.py", "--register")
    run = served.submit("flow/until_file", str(tmp_path / "never"))
    served.until_seen("until_file", run)
    agent.signal(signal.SIGINT)
    until(lambda: "draining" in agent.said(), "the agent drains")
    agent.signal(signal.SIGINT)
    assert agent.process.wait(END_S) == 0
    assert served.outcome(run).kind == "abandoned"


def test_work_goes_to_agents_with_the_tags_it_requires_SC_2(served: Stack) -> None:
    plain = served.start_agent("flow.py", "--register")
    run = served.submit("flow/needs_gpu")
    reason = served.execution(run)["reason"]
    assert reason["code"] == "tags"
    assert "gpu" in reason["text"]
    served.start_agent("flow.py", "--provides", "gpu:small")
    assert served.execution(run)["reason"]["code"] == "tags"
    big = served.start_agent("flow.py", "--provides", "gpu:big,medium")
    assert served.value(run) == big.zygote().pid
    picky = served.start_agent("flow.py", "--accepts", "gpu:huge")
    # What does not ask for it never gets to the agent that wants only that.
    homes = {served.run("flow/needs_nothing") for _ in range(6)}
    assert plain.zygote().pid in homes
    assert picky.zygote().pid not in homes


def test_two_agents_share_the_work_of_an_environment_SC_5(served: Stack, tmp_path: Path) -> None:
    one = served.start_agent("flow.py", "--register", "--concurrency", "1")
    two = served.start_agent("flow.py", "--concurrency", "1")
    path = tmp_path / "end"
    runs = [served.submit("flow/until_file", str(path)) for _ in range(2)]
    for run in runs:
        served.until_seen("until_file", run)
    sessions = {served.execution(run)["session"] for run in runs}
    assert sessions == {one.session, two.session}
    third = served.submit("flow/add", 1)
    assert served.execution(third)["reason"]["code"] == "concurrency"
    path.write_text("go")
    assert [served.value(run) for run in runs] == ["go", "go"]
    assert served.value(third) == 3


def test_a_repository_that_cannot_be_imported_leaves_the_others_alone_CO_6(
    served: Stack,
) -> None:
    served.write("broken.py", "import coflux as cf\nimport no_such_module\n")
    agent = served.start_agent("broken.py", "flow.py", "--register")
    assert served.run("flow/add", 1) == 3
    assert "no_such_module" in agent.said()
    info = served.agent_info(agent)
    assert info is not None
    assert "no_such_module" in info["failures"]["broken"]
    listed = served.cli("agents")
    assert listed.code == 0
    assert "broken" in listed.out
    assert "no_such_module" in listed.out


def test_work_of_a_repository_that_cannot_be_imported_says_so_CO_6(served: Stack) -> None:
    served.write("later.py", "import coflux as cf\n@cf.workflow()\ndef go():\n    return 1\n")
    assert served.cli("register", "later.py").code == 0
    served.write("later.py", "raise RuntimeError('not today')\n")
    served.start_agent("later.py", "flow.py")
    run = served.submit("later/go")
    outcome = served.client().outcome(run, 5)
    if outcome.kind is None:
        queue = served.cli("queue").out
        assert "not today" in queue
    else:
        # Or it was given to the agent, whose executors know why (ER-3).
        assert outcome.kind == "error"
        assert outcome.body["error"]["type"] == "builtins.RuntimeError"
        assert outcome.body["error"]["message"] == "not today"


def test_an_edited_helper_module_is_loaded_again_before_the_old_code_ends_SC_10(
    served: Stack, tmp_path: Path
) -> None:
    served.write("helping/__init__.py", "")
    served.write("helping/numbers.py", "FACTOR = 2\n")
    served.write(
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
    served.start_agent("using.py", "--register", "--reload")
    assert served.run("using/times", 10) == 20
    old = served.submit("using/old", str(tmp_path / "end"))
    served.until_seen("old", old)
    served.write("helping/numbers.py", "FACTOR = 3\n")
    until(lambda: served.run("using/times", 10) == 30, "the new code runs", step_s=0.2)
    assert served.execution(old)["status"] == "running"
    (tmp_path / "end").touch()
    assert served.value(old) == 2


def test_an_edit_that_breaks_a_repository_is_shown_and_the_next_one_mends_it(
    served: Stack,
) -> None:
    good = "import coflux as cf\n@cf.workflow()\ndef go():\n    return {}\n"
    served.write("edited.py", good.format(1))
    agent = served.start_agent("edited.py", "--dev")
    assert served.run("edited/go") == 1
    served.write("edited.py", "def go(:\n")

    def failures() -> object:
        return (served.agent_info(agent) or {}).get("failures")

    until(failures, "the failure is shown")
    assert "SyntaxError" in str(failures())
    served.write("edited.py", good.format(2))
    until(lambda: not failures(), "the failure is gone")
    assert served.run("edited/go") == 2


@pytest.mark.parametrize("isolation", ["fork", "reuse"])
def test_executors_are_fresh_or_used_again_SE_7(served: Stack, isolation: str) -> None:
    served.start_agent("flow.py", "--register", "--isolation", isolation, "--concurrency", "1")
    counts = [served.run("flow/calls_so_far") for _ in range(3)]
    if isolation == "fork":
        assert counts == [[1, 1]] * 3
    else:
        # Module state stays, the environment does not.
        assert counts == [[1, 1], [2, 1], [3, 1]]
    assert served.run("flow/fan", 30) == sum(n * n for n in range(30))


def test_a_generic_agent_does_not_take_what_it_cannot_import_CO_4(served: Stack) -> None:
    served.cli("register", "flow.py")
    served.start_agent()
    run = served.submit("flow/add", 1)
    assert served.execution(run)["reason"]["code"] == "agent"
