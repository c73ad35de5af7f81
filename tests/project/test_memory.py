"""Finished runs leave memory by count and by size, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from coflux.model import Returned, Submission, Value, execution_id
from coflux.server.core import changes as c
from coflux.server.core.entities import Execution
from coflux.server.core.machine import Machine
from coflux.server.core.state import State
from coflux.server.project.memory import Archive, Finished, Leaving
from coflux.server.project.source import RandomSource


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Nothing is freed by the search for cycles, but what was there before."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def facts(run: str, steps: int) -> list[c.Change]:
    found: list[c.Change] = [c.RunCreated(run, "E1", "r", "t", "test", 1)]
    for number in range(1, steps + 1):
        parent = execution_id(run, 1, 1) if number > 1 else None
        made = c.StepCreated(run, number, Submission("r", "t", "task", {}), "E1", 1, 1, parent)
        found += [made, c.ResultRecorded(execution_id(run, number, 1), Returned(Value()), 2)]
    return [*found, c.RunFinished(run, "succeeded", 3)]


@pytest.fixture
def machine() -> Machine:
    machine = Machine(RandomSource())
    machine.state.load([c.EnvironmentSet("E1", "default", None, "active", "", 1)])
    return machine


def executions() -> int:
    """How many there are anywhere in this process."""
    return sum(type(found) is Execution for found in gc.get_objects())


def finish(machine: Machine, finished: Finished, run: str, steps: int) -> list[str]:
    """What left when the run had finished."""
    left: list[str] = []
    machine.state.load(facts(run, steps))
    finished.note(run)
    finished.prune(left.extend)
    assert not set(left) & set(machine.state.runs)
    return left


def test_the_longest_finished_leave_first_when_there_are_many(machine: Machine) -> None:
    finished = Finished(machine, Leaving(), most=2, most_steps=100)
    assert finish(machine, finished, "R1", 1) == []
    assert finish(machine, finished, "R2", 1) == []
    finished.note("R1")
    assert finish(machine, finished, "R3", 1) == ["R2"]
    assert list(machine.state.runs) == ["R1", "R3"]


def test_big_ones_leave_sooner_but_the_newest_stays(machine: Machine) -> None:
    finished = Finished(machine, Leaving(), most=10, most_steps=100)
    assert finish(machine, finished, "R1", 40) == []
    assert finish(machine, finished, "R2", 40) == []
    assert finish(machine, finished, "R3", 500) == ["R1", "R2"]
    assert finish(machine, finished, "R4", 1) == ["R3"]


def test_what_has_left_is_freed_without_a_search_for_cycles(machine: Machine) -> None:
    finished = Finished(machine, Leaving(grace_s=0.01), most=1)

    async def use() -> None:
        finish(machine, finished, "R1", 5_000)
        finish(machine, finished, "R2", 1)
        assert executions() == 5_001, "whoever looks at it may finish looking"
        deadline = asyncio.get_running_loop().time() + 10
        while executions() > 1 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        assert executions() == 1

    asyncio.run(use())


def test_states_read_for_looking_leave_by_count_and_size(machine: Machine) -> None:
    archive = Archive(machine.state, Leaving(), most=3, most_steps=100)

    def read(run: str, steps: int) -> State:
        state = State()
        state.load(facts(run, steps))
        archive.put(run, state)
        return state

    first = read("R1", 10)
    archive.put("R1", first)
    assert first.runs["R1"].steps, "it is still there"
    assert first.environments is machine.state.environments
    read("R2", 10)
    assert archive.get("R1") is first
    read("R3", 10)
    read("R4", 10)
    assert "R2" not in archive
    read("R5", 500)
    assert "R1" not in archive
    assert archive.get("R5") is not None
    assert not first.runs["R1"].steps
