"""The directories of executions (SE-7)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coflux.agent.workplace import Spares, Workplace


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = os.getcwd()
    yield tmp_path
    os.chdir(before)


def test_each_execution_has_an_empty_directory_of_another_name(folder: Path) -> None:
    Spares(str(folder)).give(1)
    workplace = Workplace(str(folder), 1)
    seen = set()
    for dirty in (False, True, False, False):
        directory = workplace.directory
        assert os.getcwd() == directory
        assert os.listdir() == []
        assert directory not in seen
        seen.add(directory)
        if dirty:
            os.makedirs("deep/er")
        workplace.renew()
        assert not os.path.exists(directory)
    assert len(os.listdir(folder)) == 1


def test_changed_permissions_do_not_reach_the_next(folder: Path) -> None:
    Spares(str(folder)).give(1)
    workplace = Workplace(str(folder), 1)
    mode = os.stat(workplace.directory).st_mode
    os.chmod(workplace.directory, 0o711)
    workplace.renew()
    assert os.stat(workplace.directory).st_mode == mode


def test_a_directory_that_was_removed_or_left_is_no_trouble(folder: Path) -> None:
    Spares(str(folder)).give(1)
    workplace = Workplace(str(folder), 1)
    os.rmdir(workplace.directory)
    workplace.renew()
    os.chdir("/")
    workplace.renew()
    assert os.getcwd() == workplace.directory


def test_an_empty_one_serves_another_executor_and_any_other_does_not(folder: Path) -> None:
    spares = Spares(str(folder))
    spares.give(1)
    identity = (folder / "1.1").stat().st_ino
    spares.take_back(1)
    assert not (folder / "1.1").exists()
    spares.give(2)
    assert (folder / "2.1").stat().st_ino == identity
    (folder / "2.1" / "file").touch()
    spares.take_back(2)
    spares.give(3)
    assert list((folder / "3.1").iterdir()) == []
    # Left for the agent to remove.
    assert (folder / "2.1").exists()
