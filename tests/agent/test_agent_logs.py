"""What executions print and log, on its way to the server (LO)."""

from __future__ import annotations

import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet

from coflux import values, wire

FLOW = """
import ctypes, logging, os, signal, subprocess, sys, time
import coflux as cf

@cf.task
def speak():
    print("one")
    print()
    print("two", file=sys.stderr)
    os.write(1, b"raw\\n")
    subprocess.run(["echo", "child"])
    print("no end", end="")

@cf.task
def structured():
    print("before")
    cf.log_info("hello {name}", name="Ada", extra=[1])
    print("between")
    logging.getLogger("some.package").warning("careful %s", 1)
    logging.info("info")
    cf.log_debug("d")
    cf.log_error("{missing}")
    print("after")

@cf.task
def long_line():
    print("x" * 100_000)
    print("y")

@cf.task
def odd_bytes():
    os.write(1, b"\\xff\\xfe ok\\n")

@cf.task
def killed():
    print("last words", end="")
    os.kill(os.getpid(), signal.SIGKILL)

@cf.task
def traceback():
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("failed")

@cf.task
def flood(a):
    for n in range(a):
        print(n, "z" * 90)

@cf.task
def number(a):
    print(a)
    return os.getpid()

@cf.task
def slowly():
    print("early")
    time.sleep(60)
"""


@pytest.fixture
def started(agent: AgentProcess) -> AgentProcess:
    agent.write("flow.py", FLOW)
    agent.start("flow.py")
    return agent


def test_everything_written_to_1_and_2_is_captured_LO_1(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "speak")
    entries = puppet.logs("R1:1:1", lambda found: len(found) == 6)
    assert sorted((e.level, e.template) for e in entries) == [
        ("stderr", "two"),
        ("stdout", ""),
        ("stdout", "child"),
        ("stdout", "no end"),
        ("stdout", "one"),
        ("stdout", "raw"),
    ]
    assert [e.seq for e in entries] == [1, 2, 3, 4, 5, 6]


def test_entries_arrive_before_the_outcome_LO_2(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "speak")
    puppet.wait(wire.Ended)
    assert sum(len(message.entries) for message in puppet.pending(wire.Logged)) == 6


def test_structured_entries_keep_their_order_among_prints_LO_1(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "structured")
    entries = puppet.logs("R1:1:1", lambda found: len(found) == 8)
    assert [(e.level, e.template) for e in entries] == [
        ("stdout", "before"),
        ("info", "hello {name}"),
        ("stdout", "between"),
        ("warning", "careful 1"),
        ("info", "info"),
        ("debug", "d"),
        ("error", "{missing}"),
        ("stdout", "after"),
    ]
    decoded = {k: values.decode(v, blobs=None) for k, v in entries[1].values.items()}
    assert decoded == {"name": "Ada", "extra": [1]}


def test_long_lines_are_split_and_marked_LO_2(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "long_line")
    entries = puppet.logs("R1:1:1", lambda found: len(found) == 3)
    assert [e.partial for e in entries] == [True, False, False]
    assert entries[0].template + entries[1].template == "x" * 100_000
    assert entries[2].template == "y"


def test_bytes_that_are_no_text_are_shown(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "odd_bytes")
    (entry,) = puppet.logs("R1:1:1", lambda found: len(found) == 1)
    assert entry.template == "\\xff\\xfe ok"


def test_what_was_printed_before_a_kill_is_there_LO_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "killed")
    (entry,) = puppet.logs("R1:1:1", lambda found: len(found) == 1)
    assert entry.template == "last words"


def test_a_logged_exception_has_its_traceback_LO_1(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "traceback")
    (entry,) = puppet.logs("R1:1:1", lambda found: len(found) == 1)
    assert entry.level == "error"
    assert entry.template.startswith("failed\nTraceback")
    assert "ZeroDivisionError" in entry.template


def test_output_is_seen_while_the_execution_runs(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "slowly")
    (entry,) = puppet.logs("R1:1:1", lambda found: len(found) == 1)
    assert entry.template == "early"


def test_reused_processes_attribute_output_to_the_right_execution(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("flow.py", FLOW)
    agent.start("flow.py", isolation="reuse", concurrency=1)
    for step in range(6):
        puppet.execute(f"R1:{step}:1", "number", step)
        puppet.value(f"R1:{step}:1")
    for step in range(6):
        (entry,) = puppet.logs(f"R1:{step}:1", lambda found: len(found) == 1)
        assert entry.template == str(step)


def test_logs_are_kept_while_the_server_is_away_and_none_is_dropped_LO_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.acknowledges = False
    lines = 100_000
    puppet.execute("R1:1:1", "flood", lines)
    # More than is kept in memory, or sent without being acknowledged.
    puppet.until(lambda: sum(len(m.entries) for m in puppet.pending(wire.Logged)) > 1000)
    puppet.is_refusing = True
    puppet.disconnect()
    puppet.acknowledges = True
    puppet.is_refusing = False
    entries = puppet.logs("R1:1:1", lambda found: len(found) == lines)
    assert [int(entry.template.split()[0]) for entry in entries] == list(range(lines))
    puppet.wait(wire.Ended)
