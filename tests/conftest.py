"""For all tests: how many run at once, a puppet of a server, and surroundings without settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from puppet_server import Puppet, start

#: Files that take a minute or more, or nearly as long in a single test.
LONGEST = {
    "browser/test_big_runs", "documents/test_how_to", "documents/test_office",
    "documents/test_tutorial", "e2e/test_collecting", "e2e/test_containers", "e2e/test_crashes",
    "e2e/test_engine", "jupyter/test_idle", "jupyter/test_installed", "jupyter/test_lab_outages",
    "jupyter/test_lingering", "jupyter/test_notebooks", "simulation/test_thousand_seeds",
}  # fmt: skip


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: there is always a test that waits for something."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nothing is left to wait for at the end."""
    items.sort(key=lambda item: f"{item.path.parent.name}/{item.path.stem}" not in LONGEST)


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
