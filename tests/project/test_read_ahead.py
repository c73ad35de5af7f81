"""What people do to finished runs does not hold up the loop while the runs are read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coflux.model import Returned, Submission, Value, execution_id
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.read_ahead import ReadAhead

RUN, OTHER = "Rbcdfgh", "Rbcdfgj"


def rerun(run: str) -> e.RerunRequested:
    return e.RerunRequested(e.Caller(1), f"{run}:1", "default")


def test_what_an_event_names_is_read_in_another_thread_and_taken_once() -> None:
    threads: list[int] = []

    def read(run: str) -> list[c.Change]:
        threads.append(threading.get_ident())
        return [c.RunHeld(run, None, 0, 1)]

    async def use() -> None:
        ahead = ReadAhead(read)
        async with ahead.of(rerun(RUN), known=()):
            assert ahead.take(OTHER) is None
            facts = ahead.take(RUN)
            assert facts is not None
            assert len(facts) == 1
            assert ahead.take(RUN) is None
        async with ahead.of(rerun(RUN), known=(RUN,)):
            assert ahead.take(RUN) is None
        async with ahead.of(rerun(RUN), known=()):
            pass
        assert ahead.take(RUN) is None

    asyncio.run(use())
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("is_early", [True, False], ids=["while it is read", "after it was read"])
def test_what_was_in_memory_in_the_meantime_is_read_again(is_early: bool) -> None:
    async def use() -> None:
        def read(run: str) -> list[c.Change]:
            if is_early:
                ahead.evicting([run])
            return []

        ahead = ReadAhead(read)
        async with ahead.of(rerun(RUN), known=()):
            if not is_early:
                ahead.evicting([OTHER, RUN])
            assert ahead.take(RUN) is None
        async with ahead.of(rerun(RUN), known=()):
            assert (ahead.take(RUN) is None) == is_early

    asyncio.run(use())


def test_a_finished_run_is_run_again_without_being_read_on_the_loop(tmp_path: Path) -> None:
    _write(tmp_path)
    orchestrator = Orchestrator(tmp_path)
    threads: list[int] = []
    family = orchestrator.store.reader.family

    def noted(run: str) -> list[c.Change]:
        threads.append(threading.get_ident())
        return family(run)

    orchestrator.store.reader.family = noted  # type: ignore[method-assign]

    async def use() -> fx.Effect:
        orchestrator.start()
        step = f"{RUN}:1"
        return await orchestrator.ask(lambda caller: e.RerunRequested(caller, step, "default"))

    answer = asyncio.run(use())
    orchestrator.close()
    assert not isinstance(answer, fx.Refuse)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def _write(directory: Path) -> None:
    orchestrator = Orchestrator(directory)
    state = orchestrator.machine.state

    async def start() -> None:
        orchestrator.start()

    asyncio.run(start())
    (environment,) = state.environments
    first = execution_id(RUN, 1, 1)
    facts: list[c.Change] = [
        c.RunCreated(RUN, environment, "flow", "main", "test", 1),
        c.StepCreated(RUN, 1, Submission("flow", "main", "workflow", {}), environment, 1, 1),
        c.Assigned(first, "Sbcdfgh", 2),
        c.Started(first, 3),
        c.ResultRecorded(first, Returned(Value(data=b"1")), 4),
        c.RunFinished(RUN, "succeeded", 5),
    ]
    state.load(facts)
    orchestrator.store.write(facts)
    orchestrator.close()


def test_what_somebody_looks_at_is_read_for_a_closer_look(tmp_path: Path) -> None:
    _write(tmp_path)
    orchestrator = Orchestrator(tmp_path)
    reader = orchestrator.store.reader
    assert reader.has_many(RUN, 5)
    assert not reader.has_many(RUN, 6)
    assert not reader.has_many(OTHER, 0)
    threads: list[int] = []
    each = reader.each_of_family

    def noted(run: str) -> Iterator[c.Change]:
        threads.append(threading.get_ident())
        return each(run)

    reader.each_of_family = noted  # type: ignore[method-assign]

    async def use() -> None:
        orchestrator.fetch_soon(RUN)
        orchestrator.fetch_soon(RUN)
        await orchestrator.fetch(RUN)
        state = orchestrator.state_with(RUN)
        assert state is not None
        assert RUN in state.runs

    asyncio.run(use())
    orchestrator.close()
    assert len(threads) == 1
    assert threading.get_ident() not in threads
