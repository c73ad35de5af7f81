"""For all tests: how many run at once, a puppet of a server, and surroundings without settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from puppet_server import Puppet, start


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: there is always a test that waits for something."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    """A server that answers what the test tells it to."""
    puppet = Puppet()
    server = start(puppet)
    yield puppet
    server.shutdown()
    server.server_close()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, without COFLUX_ variables and without running servers."""
    for name in list(os.environ):
        if name.startswith("COFLUX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "runtime").mkdir(mode=0o700)
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory
