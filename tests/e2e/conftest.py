"""Surroundings in which `coflux` runs as a user does, and stacks: a server with its agents."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from .stack import Stack

REPOSITORIES = Path(__file__).with_name("repositories")

Ran = subprocess.CompletedProcess
Coflux = Callable[..., "Ran[str]"]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Environment variables with folders of their own and no settings."""
    for name in ("runtime", "data", "work"):
        (tmp_path / name).mkdir(mode=0o700)
    clean = {name: v for name, v in os.environ.items() if not name.startswith("COFLUX_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    own = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return {**clean, **own, "PATH": path}


@pytest.fixture
def work(tmp_path: Path, surroundings: dict[str, str]) -> Path:
    """The working directory of the commands."""
    return tmp_path / "work"


@pytest.fixture
def coflux(work: Path, surroundings: dict[str, str]) -> Coflux:
    """Runs a command to its end."""

    def run(*arguments: str) -> Ran[str]:
        return subprocess.run(
            [sys.executable, "-m", "coflux", *arguments],
            cwd=work, env=surroundings, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


# --- stacks -----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the stack of a failed test said."""
    report = yield
    if report.failed and call.when == "call":
        values = getattr(item, "funcargs", {}).values()
        for stack in {id(each): each for each in values if isinstance(each, Stack)}.values():
            report.sections.append(("stack", stack.story()))
    return report


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A server and one agent that hosts `flow`, shared by the tests of a module."""
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("flow.py", "--register", "--concurrency", "8")
        yield stack


@pytest.fixture(scope="module")
def server() -> Iterator[Stack]:
    """A server without agents, which soon takes those that are away for lost."""
    with make_stack() as stack:
        stack.environment["COFLUX_RECONNECT_MS"] = "5000"
        stack.start_server()
        yield stack


@pytest.fixture
def place(server: Stack) -> Iterator[Stack]:
    """That server with an environment of the test's own, whose agents end with the test."""
    server.place = None
    name = f"place-{next(_places)}"
    server.client().environments.create(name)
    server.place = name
    yield server
    assert server.stop_agents() == []


_places = itertools.count(1)


@pytest.fixture
def fresh() -> Iterator[Stack]:
    """A stack for one test, without any process yet; `environment` may be added to."""
    with make_stack() as stack:
        yield stack


def make_stack() -> Stack:
    """A stack with the repositories of these tests in its working directory."""
    stack = Stack()
    for file in REPOSITORIES.glob("*.py"):
        shutil.copy(file, stack.work)
    return stack
