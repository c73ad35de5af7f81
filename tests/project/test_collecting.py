"""A pass removes what may go in small commits, and looks again when something changes meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coflux.blobs import LocalBlobs
from coflux.errors import NotFound
from coflux.model import (
    AssetManifest,
    Entry,
    LogEntry,
    Reference,
    Returned,
    Submission,
    Value,
)
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.project import collecting
from coflux.server.project.calls import Call, Project
from coflux.server.project.collecting import Collector, Pass
from coflux.server.project.feeds import open_feed
from coflux.server.project.kept_graphs import Kept
from coflux.server.project.operations import OPERATIONS
from coflux.server.project.orchestrator import Orchestrator

E = "Ebcdfgh"
OLD, OLDER = "Rbcdfgh", "Rbcdfgj"


def run_of_one(run: str, argument: Value | None = None, *more: c.Change, **fields: Any
               ) -> list[c.Change]:  # fmt: skip
    call = Submission("shop", "order", "workflow", {"x": argument or Value(data=b"1")})
    return [
        c.RunCreated(run, E, "shop", "order", "ada", 1, **fields),
        c.StepCreated(run, 1, call, E, 1, 1),
        *more,
        c.ResultRecorded(f"{run}:1:1", Returned(Value(data=b"2")), 5),
        c.RunFinished(run, "succeeded", 9),
    ]


def handle(run: str) -> Value:
    return Value(data=b"h", references=(Reference("execution", f"{run}:1:1"),))


class Place:
    """A project whose finished runs are in the store alone, and its collector."""

    def __init__(self, folder: Path) -> None:
        self.orchestrator = Orchestrator(folder)
        self.project = Project(
            "default", folder, "", self.orchestrator, LocalBlobs(folder / "blobs")
        )
        self.collector = Collector(self.orchestrator, folder / "blobs", self.project.graphs)
        self.project.collector = self.collector
        environment = c.EnvironmentSet(E, "default", None, "active", "", 0)
        self.orchestrator.machine.state.load([environment])
        self.write(environment)

    def write(self, *changes: c.Change) -> None:
        self.orchestrator.store.write(changes)

    def runs(self) -> list[str]:
        rows = self.orchestrator.store.reader.runs(None, None, 100, None)
        return sorted(row["run"] for row in rows)

    def set(self, **values: int) -> None:
        self.orchestrator.machine.state.environments[E].settings.update(values)

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Something on the loop."""

        async def all_of_it() -> Any:
            self.orchestrator._loop = asyncio.get_running_loop()
            return await work()

        return asyncio.run(all_of_it())

    def collect(self, is_dry: bool = False) -> Pass:
        async def collect() -> Pass:
            made = self.collector.begin(is_dry)
            await made.done.wait()
            return made

        made: Pass = self.do(collect)
        assert made.problem is None
        return made

    def meanwhile(self, event: Callable[[e.Caller], e.Event]) -> None:
        """The next time that it has been decided what may go, this happens first."""
        decide = self.collector._decide

        async def decided() -> Any:
            found = await decide()
            self.collector._decide = decide  # type: ignore[method-assign]
            await self.orchestrator.ask(event, "ada")
            return found

        self.collector._decide = decided  # type: ignore[method-assign]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.orchestrator.close()


def test_old_runs_go_and_say_what_they_took_DM_2(place: Place) -> None:
    place.write(*run_of_one(OLD), *run_of_one(OLDER))
    foreseen = place.collect(is_dry=True)
    assert (foreseen.runs, place.runs()) == (2, [OLD, OLDER])
    made = place.collect()
    assert (made.runs, made.bytes, place.runs()) == (2, foreseen.bytes, [])
    assert place.orchestrator.store.removal.leftovers(9) == []
    assert place.collect().runs == 0


def test_settings_of_the_environment_say_how_long_runs_are_kept(place: Place) -> None:
    place.write(*run_of_one(OLD))
    for ms in (0, place.orchestrator.now() + 60_000):
        place.set(runs_kept_ms=ms)
        assert place.collect().runs == 0
    place.set(runs_kept_ms=1_000)
    assert place.collect().runs == 1


def test_the_oldest_go_while_all_take_more_than_they_may(place: Place) -> None:
    place.write(*run_of_one(OLD), *run_of_one(OLDER))
    size = place.orchestrator.store.removal.sizes([OLD])
    place.set(runs_kept_ms=0, runs_kept_bytes=size * 2)
    assert place.collect().runs == 0
    place.set(runs_kept_bytes=size * 2 - 1)
    assert place.collect().runs == 1


def test_a_pinned_run_keeps_what_it_refers_to_DM_2(place: Place) -> None:
    place.write(*run_of_one(OLDER), *run_of_one(OLD, handle(OLDER)))
    place.orchestrator.machine.state.pinned[OLD] = ("ada", 1)
    assert place.collect().runs == 0
    assert place.runs() == [OLD, OLDER]


@pytest.mark.parametrize(
    "event",
    [
        lambda to: e.PinRequested(to, OLD, True),
        lambda to: e.RerunRequested(to, f"{OLD}:1"),
        lambda to: e.RunRequested(
            to, "default", Submission("shop", "order", "workflow", {"x": handle(OLD)}), None, b""
        ),
    ],
    ids=["pinned", "run again", "referred to"],
)
def test_what_comes_to_be_needed_after_it_was_decided_stays_with_all_it_reaches_DM_2(
    place: Place, event: Callable[[e.Caller], e.Event]
) -> None:
    place.write(*run_of_one(OLDER), *run_of_one(OLD, handle(OLDER)))
    place.meanwhile(event)
    assert place.collect().runs == 0
    assert {OLD, OLDER} <= set(place.runs())


def test_a_run_that_is_looked_at_or_read_ahead_while_it_goes_is_not_found_afterwards_ID_4(
    place: Place,
) -> None:
    place.write(*run_of_one(OLD))
    orchestrator = place.orchestrator
    assert orchestrator.state_with(OLD) is not None
    removal = orchestrator.store.removal

    async def rerun() -> Any:
        """Its facts have been read, and before the event is decided it goes."""
        asked = asyncio.ensure_future(
            orchestrator.ask(lambda to: e.RerunRequested(to, f"{OLD}:1"), "ada")
        )
        while not orchestrator._ahead._facts:
            await asyncio.sleep(0)
        assert orchestrator.remove(removal.propose((OLD,)))
        return await asked

    refused = place.do(rerun)
    assert isinstance(refused, fx.Refuse)
    assert refused.code == "not_found"
    assert orchestrator.state_with(OLD) is None
    assert not orchestrator.store.reader.is_there(OLD)


def test_a_run_that_is_removed_while_it_is_read_is_not_put_among_those_looked_at(
    place: Place,
) -> None:
    place.write(*run_of_one(OLD))
    orchestrator = place.orchestrator

    async def look() -> None:
        looking = asyncio.ensure_future(orchestrator.fetch(OLD))
        while OLD not in orchestrator._reading:
            await asyncio.sleep(0)
        assert orchestrator.remove(orchestrator.store.removal.propose((OLD,)))
        await looking

    place.do(look)
    assert orchestrator.state_with(OLD) is None


def test_blobs_go_when_nothing_reaches_them_and_their_grace_has_passed_DM_3(place: Place) -> None:
    blobs = place.project.blobs
    of_run, of_file, of_line, of_nobody, fresh = (blobs.put_bytes(b"%d" % n) for n in range(5))
    for key in (of_run, of_file, of_line, of_nobody):
        os.utime(blobs.path(key), (1, 1))
    files = AssetManifest((Entry("a", of_file, 1),))
    made = c.AssetRecorded("Abcdfgh", "d", files, f"{OLD}:1:1", 5)
    place.write(*run_of_one(OLD, Value(blob=of_run), made))
    line = LogEntry(f"{OLD}:1:1", 1, 5, "info", "x", {"x": Value(blob=of_line)})
    place.orchestrator.logs.write([line])
    place.set(runs_kept_ms=0)
    assert place.collect(is_dry=True).blobs == 1
    assert place.collect().blobs == 1
    assert all(map(blobs.exists, (of_run, of_file, of_line, fresh)))
    assert not blobs.exists(of_nobody)
    place.set(runs_kept_ms=1)
    assert place.collect(is_dry=True).blobs == 2  # lines go with their run, which has not gone
    gone = place.collect()
    assert (gone.runs, gone.assets, gone.blobs) == (1, 1, 3)
    assert blobs.exists(fresh)


def test_lines_go_by_their_own_time_and_late_ones_of_removed_runs_too_LO(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(*run_of_one(OLD))
    place.set(runs_kept_ms=0, logs_kept_ms=1_000)
    now = place.orchestrator.now()
    monkeypatch.setattr(place.orchestrator, "now", lambda: now)
    place.orchestrator.logs.write(
        [LogEntry(f"{run}:1:1", 1, 5, "info", "x") for run in (OLD, "Rbcdfgk")]
    )
    assert place.collect().lines == 0
    now += 1_000
    place.orchestrator.machine.state.pinned[OLD] = ("ada", 1)
    assert place.collect().lines == 1, "a pinned run keeps its own"
    place.orchestrator.machine.state.pinned.clear()
    place.orchestrator.logs.write([LogEntry(f"{OLD}:1:1", 2, 5, "info", "x")])
    assert place.collect().lines == 1
    assert [each.entry.seq for each in place.orchestrator.logs.page(OLD)] == [2]


def test_documents_of_removed_runs_go_as_well(place: Place) -> None:
    place.write(*run_of_one(OLD))
    for run in (OLD, "Rbcdfgk"):
        place.project.graphs.put(run, Kept(E, {}, False))
    place.collect()
    assert place.project.graphs.known() == []


@pytest.mark.parametrize(
    ("topic", "about"),
    [("run", {"run": OLD}), ("graph", {"run": OLD}), ("step", {"step": f"{OLD}:1"})],
)
def test_who_watches_a_run_is_told_that_it_is_not_there_any_more_ID_4(
    place: Place, topic: str, about: dict[str, Any]
) -> None:
    place.write(*run_of_one(OLD))
    feed = open_feed(
        Call(place.project, Principal("ada", "T1", (Scope("*", "read"),))), topic, about
    )
    list(feed.build())
    listed = open_feed(
        Call(place.project, Principal("ada", "T1", (Scope("*", "read"),))), "runs", {}
    )
    list(listed.build())
    changes: list[c.Change] = []
    place.orchestrator.listeners.append(changes.extend)
    place.collect()
    parts = {part for change in changes if (part := feed.touched(change))}
    assert parts
    with pytest.raises(NotFound):
        feed.patch(parts)
    assert listed.patch({"*"}) == [["del", [OLD]]]


def test_what_a_killed_process_has_left_half_done_is_finished_without_being_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SOON_S", 0.0)
    place.write(*run_of_one(OLD), c.RunsRemoved((OLD,), 10))

    async def wait() -> None:
        place.collector.start()
        while place.orchestrator.store.removal.leftovers(1):
            await asyncio.sleep(0.001)
        await place.collector.close()

    place.do(lambda: asyncio.wait_for(wait(), 20))
    assert place.runs() == []


def test_families_that_refer_to_each_other_go_although_they_are_in_memory(place: Place) -> None:
    link = c.ResultRecorded
    facts = [
        *run_of_one(OLD)[:2], *run_of_one(OLDER)[:2],
        link(f"{OLD}:1:1", Returned(handle(OLDER)), 5), c.RunFinished(OLD, "succeeded", 9),
        link(f"{OLDER}:1:1", Returned(handle(OLD)), 5), c.RunFinished(OLDER, "succeeded", 9),
    ]  # fmt: skip
    place.write(*facts)
    place.orchestrator.machine.state.load(facts)
    assert place.collect().runs == 2
    assert OLD not in place.orchestrator.machine.state.runs


def test_what_the_project_takes_on_disk_is_told(place: Place) -> None:
    place.project.blobs.put_bytes(b"12345")
    call = Call(place.project, Principal("ada", "T1", (Scope("default", "read"),)))
    found = place.do(lambda: OPERATIONS["get_storage"](call))
    assert (found["blobs"], found["blob_count"]) == (5, 1)
    assert min(found["rows"], found["logs"]) > 0


def test_an_unknown_collection_is_not_found_and_an_admin_is_needed(place: Place) -> None:
    def ask(scope: Scope, **query: Any) -> Any:
        asked = {"dry_run": True, "collection": 0, "wait_ms": 10_000, **query}
        call = Call(place.project, Principal("ada", "T1", (scope,)), None, asked)
        return place.do(lambda: OPERATIONS["collect"](call))

    from coflux.errors import Forbidden

    assert ask(Scope("*", "admin"))["done"]
    with pytest.raises(NotFound):
        ask(Scope("*", "admin"), collection=99)
    with pytest.raises(Forbidden):
        ask(Scope("default", "admin"))
