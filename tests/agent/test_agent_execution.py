"""One execution from assignment to outcome."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet

from coflux import wire
from coflux.model import Crashed, Raised, Returned, TimedOut

FLOW = """
import os, signal, subprocess, sys, time
import coflux as cf

@cf.task
def add(a, b=2):
    return a + b

@cf.task
async def later(a):
    return a * 2

@cf.task
def fail(a):
    raise ValueError(a)

@cf.task
def leave(a):
    sys.exit(a)

@cf.task
def die(a):
    print("last words")
    print("no newline", end="")
    os._exit(a)

@cf.task
def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)

@cf.task
def sleep(a):
    time.sleep(a)
    return "slept"

@cf.task
def stubborn():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(60)

@cf.task
def unserialisable():
    return {"a": [1, 2, (x for x in ())]}

@cf.task
def where():
    return os.getcwd(), os.listdir(), os.getpgid(0) == os.getpid()

@cf.task
def litter():
    os.makedirs("deep/er")
    open("deep/er/file", "w").write("x")
    return os.getcwd()

@cf.task
def set_environment():
    os.environ["LEAK"] = "yes"

@cf.task
def get_environment():
    return os.environ.get("LEAK")

@cf.task
def leave_children():
    group = subprocess.Popen(["sleep", "300"])
    away = subprocess.Popen(["sleep", "300"], start_new_session=True)
    return [group.pid, away.pid]

@cf.task
def crash_with_children(a):
    away = subprocess.Popen(["sleep", "300"], start_new_session=True)
    with open(a, "w") as file:
        file.write(str(away.pid))
    os._exit(1)

@cf.task
def ask():
    return input("name? ")

@cf.task
def stop_here():
    breakpoint()

def picky(error):
    return "again" in str(error)

@cf.task(retries=cf.Retries(3, when=picky))
def maybe(a):
    raise RuntimeError(a)

@cf.task(retries=cf.Retries(3, when=lambda error: 1 / 0))
def broken_judge():
    raise RuntimeError("x")

@cf.task(retries=cf.Retries(3, when=(KeyError, OSError)))
def only_some(a):
    raise {"key": KeyError, "value": ValueError}[a]("x")

@cf.task
def pid():
    return os.getpid()

@cf.task
def descriptors():
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    return {int(fd): os.readlink(f"/proc/{child.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{child.pid}/fd")}

@cf.task
def many(*args, key, **kwargs):
    return args, key, kwargs
"""


@pytest.fixture
def started(agent: AgentProcess) -> AgentProcess:
    agent.write("flow.py", FLOW)
    agent.start("flow.py")
    return agent


def test_an_execution_is_started_and_its_value_is_reported(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "add", 1, 5)
    assert puppet.wait(wire.Started).execution == "R1:1:1"
    assert puppet.value("R1:1:1") == 6


def test_a_missing_argument_takes_the_default(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "add", 1)
    assert puppet.value("R1:1:1") == 3


def test_async_targets_end_with_their_coroutines_result_SU_9(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "later", 4)
    assert puppet.value("R1:1:1") == 8


def test_variadic_parameters_are_filled_by_name_SU_1(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "many", arguments={"args": (1, 2), "key": 3, "kwargs": {"x": 4}})
    assert puppet.value("R1:1:1") == ((1, 2), 3, {"x": 4})


def test_arguments_that_no_longer_fit_are_an_error_naming_the_parameters_RR_3(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "add", arguments={"a": 1, "gone": 2})
    result = puppet.outcome("R1:1:1")
    assert isinstance(result, Raised)
    assert result.error.type == "builtins.TypeError"
    assert "'gone'" in result.error.message
    puppet.execute("R1:2:1", "add", arguments={})
    assert "'a'" in puppet.outcome("R1:2:1").error.message


def test_an_exception_is_reported_with_its_frames_only_ER_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "fail", "oh")
    result = puppet.outcome("R1:1:1")
    assert isinstance(result, Raised)
    assert result.retryable
    assert (result.error.type, result.error.message) == ("builtins.ValueError", "oh")
    assert [frame.function for frame in result.error.frames] == ["fail"]
    assert result.error.frames[0].source == "raise ValueError(a)"


def test_sys_exit_is_an_error_and_os_exit_a_crash_ER_3(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "leave", 3)
    assert puppet.outcome("R1:1:1").error.type == "builtins.SystemExit"
    puppet.execute("R1:2:1", "die", 7)
    result = puppet.outcome("R1:2:1")
    assert isinstance(result, Crashed)
    assert (result.exit_code, result.signal) == (7, None)
    assert result.last_lines == ("last words", "no newline")
    assert result.peak_memory is not None


def test_a_killed_executor_is_a_crash_known_within_a_second_SE_6(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "kill_itself")
    puppet.wait(wire.Started)
    result = puppet.outcome("R1:1:1", timeout_s=1)
    assert isinstance(result, Crashed)
    assert result.signal == signal.SIGKILL
    assert not result.out_of_memory


def test_what_cannot_be_encoded_is_an_error_naming_the_path_VA_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "unserialisable")
    error = puppet.outcome("R1:1:1").error
    assert error.type == "coflux.errors.NotSerialisable"
    assert 'result["a"][2]' in error.message


def test_an_execution_has_its_own_empty_directory_and_process_group_SE_7(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "where")
    directory, content, leads = puppet.value("R1:1:1")
    assert content == []
    assert leads
    puppet.execute("R1:2:1", "litter")
    littered = puppet.value("R1:2:1")
    assert littered != directory
    puppet.wait(wire.Gone, lambda m: m.execution == "R1:2:1")
    puppet.until(lambda: not os.path.exists(littered) and not os.path.exists(directory))


@pytest.mark.parametrize("isolation", ["fork", "reuse", "spawn"])
def test_the_environment_does_not_reach_another_execution_SE_7(
    puppet: Puppet, agent: AgentProcess, isolation: str
) -> None:
    agent.write("flow.py", FLOW)
    agent.start("flow.py", isolation=isolation, concurrency=1)
    puppet.execute("R1:1:1", "set_environment")
    puppet.value("R1:1:1")
    puppet.execute("R1:2:1", "get_environment")
    assert puppet.value("R1:2:1") is None


def test_reuse_keeps_processes_and_fork_does_not(puppet: Puppet, agent: AgentProcess) -> None:
    agent.write("flow.py", FLOW)
    agent.start("flow.py", isolation="reuse")
    pids = set()
    for step in range(5):
        puppet.execute(f"R1:{step}:1", "pid")
        pids.add(puppet.value(f"R1:{step}:1"))
    assert len(pids) < 5
    assert all(not ended.gone or ended for ended in puppet.pending(wire.Ended))


def test_left_over_children_are_killed_also_outside_the_group_SE_7(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "leave_children")
    children = puppet.value("R1:1:1")
    puppet.wait(wire.Gone, lambda m: m.execution == "R1:1:1")
    assert not [psutil.Process(pid) for pid in children if psutil.pid_exists(pid)]


def test_children_of_a_crashed_executor_are_killed_SE_7(
    puppet: Puppet, started: AgentProcess
) -> None:
    path = started.folder / "pid"
    puppet.execute("R1:1:1", "crash_with_children", str(path))
    assert isinstance(puppet.outcome("R1:1:1"), Crashed)
    puppet.until(lambda: not psutil.pid_exists(int(path.read_text())))


def test_questions_to_a_terminal_fail_clearly(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "ask")
    error = puppet.outcome("R1:1:1").error
    assert error.type == "builtins.EOFError"
    assert "no standard input" in error.message
    puppet.execute("R1:2:1", "stop_here")
    assert "coflux debug" in puppet.outcome("R1:2:1").error.message


def test_when_judges_retries_in_the_executor_RE_5(puppet: Puppet, started: AgentProcess) -> None:
    cases: list[tuple[str, tuple[Any, ...], bool, str]] = [
        ("maybe", ("again",), True, "builtins.RuntimeError"),
        ("maybe", ("never",), False, "builtins.RuntimeError"),
        ("broken_judge", (), False, "builtins.ZeroDivisionError"),
        ("only_some", ("key",), True, "builtins.KeyError"),
        ("only_some", ("value",), False, "builtins.ValueError"),
    ]
    for step, (target, args, retryable, kind) in enumerate(cases):
        puppet.execute(f"R1:{step}:1", target, *args)
        result = puppet.outcome(f"R1:{step}:1")
        assert (result.error.type, result.retryable) == (kind, retryable)


def test_a_timeout_ends_the_group_and_is_reported_TO_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "sleep", 60, timeout_ms=200)
    ended = puppet.wait(wire.Ended)
    assert ended.result == TimedOut(200)
    assert not ended.gone
    assert puppet.wait(wire.Gone).execution == "R1:1:1"


def test_an_abort_interrupts_and_reports_the_death_CN_4(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "sleep", 60)
    puppet.wait(wire.Started)
    puppet.send(wire.Abort("R1:1:1"))
    assert puppet.wait(wire.Gone, timeout_s=4).execution == "R1:1:1"
    assert not puppet.pending(wire.Ended)


@pytest.mark.slow
def test_who_ignores_the_interrupt_is_killed_after_the_grace_CN_4(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "stubborn")
    puppet.wait(wire.Started)
    puppet.send(wire.Abort("R1:1:1"))
    assert puppet.wait(wire.Gone, timeout_s=8).execution == "R1:1:1"


def test_an_abort_of_what_the_agent_does_not_have_is_answered(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.send(wire.Abort("R9:1:1"))
    assert puppet.wait(wire.Gone).execution == "R9:1:1"


def test_an_assignment_sent_again_is_acknowledged_and_not_run_again_T8(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "add", 1)
    assert puppet.value("R1:1:1") == 3
    puppet.execute("R1:1:1", "add", 1)
    assert puppet.wait(wire.Acknowledged).execution == "R1:1:1"
    assert not puppet.pending(wire.Ended)


def test_an_unknown_target_is_an_error(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "nothing")
    assert "nothing" in puppet.outcome("R1:1:1").error.message
    puppet.execute("R1:2:1", "add", 1, target_type="workflow")
    assert "is a task" in puppet.outcome("R1:2:1").error.message


def test_more_executions_than_spares_run_at_once(puppet: Puppet, started: AgentProcess) -> None:
    for step in range(8):
        puppet.execute(f"R1:{step}:1", "sleep", 0.2)
    for step in range(8):
        assert isinstance(puppet.outcome(f"R1:{step}:1"), Returned)


def test_private_descriptors_do_not_reach_programs_that_are_started_SE_6(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "descriptors")
    descriptors = puppet.value("R1:1:1")
    assert set(descriptors) == {0, 1, 2}, descriptors
