"""An agent process, driven by a puppet server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet


@pytest.fixture
def puppet(tmp_path: Path) -> Iterator[Puppet]:
    folder = tmp_path / "server"
    folder.mkdir()
    puppet = Puppet(folder)
    yield puppet
    puppet.close()


@pytest.fixture
def agent(puppet: Puppet, tmp_path: Path) -> Iterator[AgentProcess]:
    folder = tmp_path / "project"
    folder.mkdir()
    agent = AgentProcess(puppet, folder)
    yield agent
    if agent.process is None:
        return
    left: list[psutil.Process] = []
    if agent.process.poll() is None:
        left = agent.descendants()
        agent.process.kill()
        agent.process.wait()
    print(agent.said())
    # Everything below an agent ends with it, also when it is killed.
    alive = living(left)
    deadline = time.monotonic() + 5
    while alive and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.02)
        alive = living(alive)
    for process in alive:
        process.kill()
    assert not alive


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are not dead; whether init has reaped them does not matter."""
    found = []
    for process in processes:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
