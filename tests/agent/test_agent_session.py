"""The session: reconnecting, delivering, ending (SE)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from agent_process import AgentProcess
from agent_puppet import PATIENCE_S, Puppet

from coflux import wire
from coflux.model import Crashed, Returned

FLOW = """
import os, sys, time
import coflux as cf

@cf.task
def add(a, b=2):
    return a + b

@cf.task
def sleep(a):
    time.sleep(a)
    return "slept"

@cf.task
def spin():
    while True:
        pass

@cf.task
def tell_and_spin(a):
    with open(a, "w") as file:
        file.write(f"{os.getpid()}.")
    while True:
        pass

@cf.workflow
def call(a):
    return add(a)

@cf.task
def touch_and_wait(a, b):
    open(a, "w").close()
    while not os.path.exists(b):
        time.sleep(0.01)
    return "seen"
"""


@pytest.fixture
def started(agent: AgentProcess) -> AgentProcess:
    agent.write("flow.py", FLOW)
    agent.start("flow.py")
    return agent


def test_hello_says_who_and_what_SE_4(puppet: Puppet, agent: AgentProcess) -> None:
    agent.write("flow.py", FLOW)
    agent.start("flow.py", concurrency=3, provides={"gpu": ["a", "b"]})
    hello = puppet.hellos[0]
    assert hello.session == "S1"
    assert (hello.concurrency, hello.pid) == (3, agent.pid)
    assert hello.provides == {"gpu": ("a", "b")}
    assert not hello.generic
    (repository,) = hello.repositories
    assert repository.name == "flow"
    assert {(t.name, t.type) for t in repository.targets} == {
        ("add", "task"),
        ("sleep", "task"),
        ("spin", "task"),
        ("tell_and_spin", "task"),
        ("call", "workflow"),
        ("touch_and_wait", "task"),
    }
    assert all(target.code for target in repository.targets)


def test_an_agent_without_repositories_is_generic_CO_4(puppet: Puppet, agent: AgentProcess) -> None:
    agent.start()
    assert puppet.hellos[0].generic


def test_the_projects_socket_is_used_where_it_is_at_hand(agent: AgentProcess) -> None:
    original = agent.puppet
    folder = agent.folder / "unix"
    folder.mkdir()
    puppet = agent.puppet = Puppet(folder, unix=True)
    agent.write("flow.py", FLOW)
    agent.start("flow.py")
    puppet.execute("R1:1:1", "add", 1)
    assert puppet.value("R1:1:1") == 3
    assert puppet.connected_by == ["unix"]
    agent.puppet = original
    puppet.close()


def test_a_running_execution_outlives_the_connection_SE_4(
    puppet: Puppet, started: AgentProcess
) -> None:
    begun, goes_on = started.folder / "begun", started.folder / "goes on"
    puppet.execute("R1:1:1", "touch_and_wait", str(begun), str(goes_on))
    puppet.until(begun.exists)
    puppet.disconnect()
    puppet.until(lambda: len(puppet.hellos) == 2)
    assert puppet.hellos[1].held == (wire.Held("R1:1:1", "running"),)
    assert puppet.hellos[1].incarnation == puppet.hellos[0].incarnation
    goes_on.touch()
    assert puppet.value("R1:1:1") == "seen"


def test_messages_are_sent_again_until_acknowledged_SE_9(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.acknowledges = False
    puppet.execute("R1:1:1", "add", 1)
    assert puppet.value("R1:1:1") == 3
    # As if it had never arrived.
    puppet.numbers.clear()
    puppet.disconnect()
    assert puppet.value("R1:1:1") == 3
    assert puppet.numbers == sorted(puppet.numbers)


def test_requests_are_sent_again_until_answered_SU_10(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "call", 1, target_type="workflow")
    first = puppet.wait(wire.Submit)
    # Acknowledged, but its answer is lost with the connection.
    puppet.until(lambda: bool(puppet.numbers))
    puppet.disconnect()
    again = puppet.wait(wire.Submit)
    assert again == first
    puppet.resolve(again, 3)
    assert puppet.value("R1:1:1") == 3


def test_what_the_server_does_not_want_is_stopped_at_reconnect_SE_4(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "sleep", 60)
    puppet.wait(wire.Started)
    puppet.kept = ()
    puppet.disconnect()
    assert puppet.wait(wire.Gone).execution == "R1:1:1"


def test_a_final_goodbye_stops_executors_and_begins_another_session_SE(
    puppet: Puppet, started: AgentProcess
) -> None:
    path = started.folder / "pid"
    puppet.execute("R1:1:1", "tell_and_spin", str(path))
    puppet.until(lambda: path.exists() and path.read_text().endswith("."))
    puppet.send(wire.Goodbye("expired", final=True))
    puppet.until(lambda: len(puppet.hellos) == 2)
    assert puppet.hellos[1].session == "S2"
    assert puppet.hellos[1].held == ()
    puppet.until(lambda: not psutil.pid_exists(int(path.read_text().rstrip("."))))
    puppet.execute("R2:1:1", "add", 1)
    assert puppet.value("R2:1:1") == 3


def test_an_outcome_of_an_agent_that_died_is_delivered_by_the_next_SE_2(
    puppet: Puppet, started: AgentProcess
) -> None:
    begun, goes_on = started.folder / "begun", started.folder / "goes on"
    puppet.execute("R1:1:1", "touch_and_wait", str(begun), str(goes_on))
    puppet.until(begun.exists)
    puppet.is_refusing = True
    puppet.disconnect()
    goes_on.touch()
    state = started.folder / "state"
    puppet.until(lambda: any(b"R1:1:1" in f.read_bytes() for f in state.rglob("*.session")))
    assert started.process is not None
    started.process.kill()
    started.process.wait()
    puppet.is_refusing = False
    puppet.numbers.clear()
    started.start("flow.py")
    hello = puppet.hellos[-1]
    assert hello.session == "S1"
    assert hello.incarnation != puppet.hellos[0].incarnation
    assert hello.held == (wire.Held("R1:1:1", "running"),)
    assert puppet.value("R1:1:1") == "seen"
    # Once it has been acknowledged it is not kept any longer.
    puppet.until(lambda: not any(b"R1:1:1" in f.read_bytes() for f in state.rglob("*.session")))


def test_executors_end_with_their_agent_SE_6(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "spin")
    puppet.wait(wire.Started)
    below = started.descendants()
    assert started.process is not None
    started.process.kill()
    started.process.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        psutil.wait_procs(below, timeout=0.02)
        if not [p for p in below if p.is_running() and p.status() != "zombie"]:
            return
    raise AssertionError(below)


def test_a_dead_zygote_harms_no_execution_and_is_replaced(
    puppet: Puppet, started: AgentProcess
) -> None:
    begun, goes_on = started.folder / "begun", started.folder / "goes on"
    puppet.execute("R1:1:1", "touch_and_wait", str(begun), str(goes_on))
    puppet.until(begun.exists)
    started.zygote().kill()
    goes_on.touch()
    assert puppet.value("R1:1:1") == "seen"
    assert puppet.wait(wire.Gone).execution == "R1:1:1"
    for step in range(5):
        puppet.execute(f"R2:{step}:1", "add", 1)
        assert puppet.value(f"R2:{step}:1") == 3


def test_a_crash_under_a_dead_zygote_is_known_SE_6(puppet: Puppet, started: AgentProcess) -> None:
    path = started.folder / "pid"
    puppet.execute("R1:1:1", "tell_and_spin", str(path))
    puppet.until(lambda: path.exists() and path.read_text().endswith("."))
    started.zygote().kill()
    os.kill(int(path.read_text().rstrip(".")), signal.SIGKILL)
    result = puppet.outcome("R1:1:1")
    assert isinstance(result, Crashed)
    assert result.signal == signal.SIGKILL


def test_the_first_signal_drains_and_the_orderly_end_is_said_SC_10(
    puppet: Puppet, started: AgentProcess
) -> None:
    begun, goes_on = started.folder / "begun", started.folder / "goes on"
    puppet.execute("R1:1:1", "touch_and_wait", str(begun), str(goes_on))
    puppet.until(begun.exists)
    assert started.process is not None
    started.process.send_signal(signal.SIGTERM)
    puppet.wait(wire.Draining)
    goes_on.touch()
    assert puppet.value("R1:1:1") == "seen"
    puppet.wait(wire.Closing)
    assert started.process.wait(PATIENCE_S) == 0
    assert not list((started.folder / "state").rglob("*.session"))


def test_work_still_arrives_while_draining_SC_10(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "call", 1, target_type="workflow")
    submit = puppet.wait(wire.Submit)
    assert started.process is not None
    started.process.send_signal(signal.SIGTERM)
    puppet.wait(wire.Draining)
    puppet.execute("R1:2:1", "add", 1)
    puppet.resolve(submit, puppet.value("R1:2:1"), execution="R1:2:1")
    assert isinstance(puppet.outcome("R1:1:1"), Returned)
    assert started.process.wait(PATIENCE_S) == 0


def test_the_drain_ends_at_its_timeout_SC_10(puppet: Puppet, agent: AgentProcess) -> None:
    agent.write("flow.py", FLOW)
    agent.start("flow.py", drain_timeout_s=0.3)
    puppet.execute("R1:1:1", "sleep", 60)
    puppet.wait(wire.Started)
    assert agent.stop() == 0
    puppet.wait(wire.Closing)
    assert not puppet.pending(wire.Ended)


def test_a_second_signal_ends_the_drain_SC_10(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "sleep", 60)
    puppet.wait(wire.Started)
    assert started.process is not None
    started.process.send_signal(signal.SIGINT)
    puppet.wait(wire.Draining)
    started.process.send_signal(signal.SIGINT)
    puppet.wait(wire.Closing)
    assert started.process.wait(PATIENCE_S) == 0


def test_a_retired_agent_drains_and_ends_PO_3(puppet: Puppet, started: AgentProcess) -> None:
    puppet.send(wire.Retire())
    puppet.wait(wire.Draining)
    puppet.wait(wire.Closing)
    assert started.process is not None
    assert started.process.wait(PATIENCE_S) == 0


def test_nothing_is_left_behind(puppet: Puppet, started: AgentProcess) -> None:
    puppet.execute("R1:1:1", "add", 1)
    puppet.value("R1:1:1")
    below = started.descendants()
    before = {name for name in os.listdir("/tmp") if name.startswith("coflux-agent-")}
    assert before
    assert started.stop() == 0
    assert not [p for p in below if p.is_running() and p.status() != "zombie"]
    own = [name for name in before if not os.path.exists(f"/tmp/{name}")]
    assert own


def test_what_killed_agents_left_is_removed_by_the_next(
    puppet: Puppet, started: AgentProcess
) -> None:
    puppet.execute("R1:1:1", "sleep", 60)
    puppet.wait(wire.Started)
    left = started.descendants()
    (folder,) = {Path(p.cwd()).parent for p in left if "coflux-agent-" in p.cwd()}
    assert started.process is not None
    started.process.kill()
    started.process.wait()
    # The last of them may still touch it.
    puppet.until(lambda: not any(p.is_running() for p in left))
    assert folder.is_dir()
    os.utime(folder, (0, 0))
    started.start("flow.py")
    puppet.until(lambda: not folder.exists())
