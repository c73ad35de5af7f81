"""The topic `graph`: patches make a copy equal to the document, big runs are folded."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coflux.blobs import LocalBlobs
from coflux.errors import NotFound
from coflux.model import Error, Raised, Reference, Result, Returned, Submission, Value
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.project.calls import Call, Project
from coflux.server.project.folding import SIBLINGS, Folding, Node, sibling_key
from coflux.server.project.graph_feed import GraphFeed, StepFeed, Wanted, list_page
from coflux.server.project.keeping import Keeping
from coflux.server.project.orchestrator import Orchestrator

RUN = "Rbcdfgh"


def node(number: int, parent: int | None, status: str = "value", target: str = "r/t") -> Node:
    above = (parent, 1) if parent else None
    key = sibling_key(target, above, None)
    return Node(number, target, above, None, key, status, number, number, 900)


def counts_of(nodes: list[Node]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in nodes:
        found[each.status] = found.get(each.status, 0) + 1
    return found


def test_a_small_run_is_shown_whole() -> None:
    folding = Folding(is_big=False)
    for number in range(1, 200):
        folding.put(node(number, 1 if number > 1 else None))
    assert all(folding.is_shown(number) for number in range(1, 200))
    assert folding.folds == {}


def test_many_siblings_of_a_big_run_are_one_fold() -> None:
    folding = Folding(is_big=True)
    folding.put(node(1, None))
    for number in range(2, 102):
        folding.put(node(number, 1, "error" if number == 50 else "value"))
    (fold,) = folding.folds.values()
    assert fold.members == {"value": 99, "error": 1}
    assert not folding.is_shown(2)
    assert folding.is_shown(1)
    assert fold.show(0)["f"] == 2


def test_few_siblings_of_a_big_run_stay_visible() -> None:
    folding = Folding(is_big=True)
    folding.put(node(1, None))
    for number in range(2, 2 + SIBLINGS):
        folding.put(node(number, 1))
    assert folding.folds == {}


def test_what_lies_below_a_folded_step_is_counted_with_it() -> None:
    folding = Folding(is_big=True)
    folding.put(node(1, None))
    folding.put(node(2, 1))
    for number in range(3, 43):
        folding.put(node(number, 2, target="r/inner"))
    for number in range(100, 140):
        folding.put(node(number, 1))
    assert list(folding.folds) == ["1.r/t"]
    assert folding.folds["1.r/t"].members == {"value": 41}
    assert folding.folds["1.r/t"].below == {"value": 40}


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_right_after_any_history(seed: int) -> None:
    chance = random.Random(seed)
    folding = Folding(is_big=True)
    newest: dict[int, Node] = {}
    for _ in range(3000):
        number = chance.randint(1, 800)
        old = newest.get(number)
        parent = old.parent[0] if old and old.parent else None
        if old is None and number > 1:
            known = [n for n in newest if n < number]
            if not known:
                continue
            parent = chance.choice(known)
        status = chance.choice(["queued", "running", "value", "error"])
        newest[number] = node(number, parent, status, f"r/t{number % 3}")
        folding.put(newest[number])
    assert folding.counts == counts_of(list(newest.values()))
    folded: dict[str, int] = {}
    for fold in folding.folds.values():
        for status, count in (*fold.members.items(), *fold.below.items()):
            folded[status] = folded.get(status, 0) + count
    shown = counts_of([each for each in newest.values() if folding.is_shown(each.number)])
    total = {s: folded.get(s, 0) + shown.get(s, 0) for s in {*folded, *shown}}
    assert total == folding.counts


def apply(document: Any, operations: list[Any]) -> Any:
    document = copy.deepcopy(document)
    for operation, path, *value in operations:
        at = document
        for key in path[:-1]:
            at = at[key]
        if operation == "set":
            at[path[-1]] = value[0]
        else:
            del at[path[-1]]
    return document


# --- the feed -----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose state has one environment and an empty run."""
    orchestrator = Orchestrator(tmp_path)
    orchestrator.machine.state.load(
        [
            c.EnvironmentSet("Ebcdfgh", "default", None, "active", "", 0),
            c.RunCreated(RUN, "Ebcdfgh", "shop", "order", "ada", 1),
        ]
    )
    yield Project("default", tmp_path, "", orchestrator, LocalBlobs(tmp_path / "blobs"))
    orchestrator.close()


def call_of(project: Project, environment: str = "*") -> Call:
    return Call(project, Principal("ada", "T1", (Scope(environment, "read"),)))


def opened(project: Project, whole: int = 5000) -> GraphFeed:
    feed = GraphFeed(call_of(project), {"run": RUN}, whole)
    for _ in feed.build():
        pass
    return feed


class History:
    """A run that goes on at random, told to a feed as the loop would tell it."""

    def __init__(self, project: Project, seed: int) -> None:
        self.state = project.orchestrator.machine.state
        self.chance = random.Random(seed)
        self.open: list[str] = []
        self.steps = 0
        self.at = 10

    def go_on(self) -> c.Change:
        self.at += 1
        if self.steps == 0 or self.chance.random() < 0.4:
            change = self._step()
        else:
            change = self._progress()
        self.state.load([change])
        return change

    def _step(self) -> c.Change:
        self.steps += 1
        parent = self.chance.randint(1, self.steps - 1) if self.steps > 1 else None
        target = "order" if parent is None else f"t{self.chance.randint(1, 2)}"
        arguments = {}
        if self.steps > 2:
            needed = self.chance.randint(1, self.steps - 1)
            references = (Reference("execution", f"{RUN}:{needed}:1"),)
            arguments = {"x": Value(references=references, preview="Execution")}
        self.open.append(f"{RUN}:{self.steps}:1")
        return c.StepCreated(
            RUN, self.steps, Submission("shop", target, "task", arguments), "Ebcdfgh", self.at,
            self.at, parent=f"{RUN}:{parent}:1" if parent else None,
        )  # fmt: skip

    def _progress(self) -> c.Change:
        if not self.open:
            return self._step()
        id = self.chance.choice(self.open)
        execution = self.state.executions[id]
        if execution.assigned_at is None:
            return c.Assigned(id, "Sbcdfgh", self.at)
        if execution.started_at is None:
            return c.Started(id, self.at)
        if self.chance.random() < 0.2:
            return c.GroupNamed(id, 0, f"group {self.at}")
        self.open.remove(id)
        failed: Result = Raised(Error("builtins.ValueError", "no luck"))
        done: Result = Returned(Value(data=b"\x01", size=1, type="int", preview="1"))
        return c.ResultRecorded(id, self.chance.choice([failed, done]), self.at, process="none")


@pytest.mark.parametrize("whole", [5000, 30])
@pytest.mark.parametrize("seed", range(4))
def test_patches_make_a_copy_equal_to_a_fresh_document(
    project: Project, seed: int, whole: int
) -> None:
    history = History(project, seed)
    history.go_on()
    feed = opened(project, whole)
    copied = copy.deepcopy(feed.document)
    for _ in range(60):
        changes = [history.go_on() for _ in range(history.chance.randint(1, 12))]
        parts = {part for change in changes if (part := feed.touched(change)) is not None}
        operations = feed.patch(parts)
        if operations is None:
            list(feed.build())
            copied = copy.deepcopy(feed.document)
        else:
            copied = apply(copied, operations)
        assert copied == feed.document
    fresh = opened(project, whole).document
    assert resolved(feed.document) == resolved(fresh) or whole == 30
    assert feed.document.get("counts") == fresh.get("counts")


def resolved(document: Any) -> Any:
    """With targets by name: their numbers depend on the order in which they were met."""
    targets = document["targets"]
    steps = {
        number: {**step, "t": targets[str(step["t"])]} for number, step in document["steps"].items()
    }
    return {**document, "targets": None, "steps": steps}


def test_a_run_that_becomes_big_is_made_anew(project: Project) -> None:
    state = project.orchestrator.machine.state
    state.load([step(1, None)])
    feed = opened(project, whole=40)
    state.load([step(number, 1) for number in range(2, 60)])
    assert feed.patch({str(number) for number in range(2, 60)}) is None
    list(feed.build())
    assert list(feed.document["steps"]) == ["1"]
    assert feed.document["folds"]["1.shop/t"]["c"] == {"queued": 58}
    assert feed.document["counts"] == {"queued": 59}


def step(number: int, parent: int | None) -> c.Change:
    return c.StepCreated(
        RUN, number, Submission("shop", "t"), "Ebcdfgh", number, number,
        parent=f"{RUN}:{parent}:1" if parent else None,
    )  # fmt: skip


def test_the_members_of_a_fold_come_page_by_page(project: Project) -> None:
    state = project.orchestrator.machine.state
    state.load([step(1, None), *(step(number, 1) for number in range(2, 12))])
    run = state.runs[RUN]
    first = list_page(state, run, {"Ebcdfgh"}, Wanted(under="1.shop/t"), 0, 6)
    assert list(first["steps"]) == ["2", "3", "4", "5", "6", "7"]
    rest = list_page(state, run, {"Ebcdfgh"}, Wanted(under="1.shop/t"), first["next"], 6)
    assert list(rest["steps"]) == ["8", "9", "10", "11"]
    assert rest["next"] is None


def test_a_run_that_the_caller_may_not_read_is_not_found_ID_4(project: Project) -> None:
    feed = GraphFeed(call_of(project, "elsewhere"), {"run": RUN})
    with pytest.raises(NotFound):
        list(feed.build())


def test_a_step_in_full_is_patched_by_fields(project: Project) -> None:
    state = project.orchestrator.machine.state
    state.load([step(1, None)])
    feed = StepFeed(call_of(project), {"step": f"{RUN}:1"})
    assert list(feed.build()) == []
    assert feed.document["executions"]["1"]["status"] == "queued"
    assigned = c.Assigned(f"{RUN}:1:1", "Sbcdfgh", 5)
    state.load([assigned])
    assert feed.touched(assigned) == "*"
    operations = feed.patch({"*"})
    assert [path for _, path, _ in operations] == [["executions"]]
    assert feed.document["executions"]["1"]["status"] == "assigned"


def finish(project: Project) -> None:
    """A run of sixty steps that is over."""
    facts: list[c.Change] = [step(1, None), *(step(number, 1) for number in range(2, 61))]
    done = Returned(Value(data=b"\x01", size=1, type="int", preview="1"))
    for number in range(1, 61):
        facts.append(c.ResultRecorded(f"{RUN}:{number}:1", done, 99, process="none"))
    facts.append(c.RunFinished(RUN, "succeeded", 99))
    state = project.orchestrator.machine.state
    state.load(facts)
    run = c.RunCreated(RUN, "Ebcdfgh", "shop", "order", "ada", 1)
    project.orchestrator.store.write([run, *facts])


def test_a_big_finished_run_is_kept_and_opens_without_being_read(project: Project) -> None:
    finish(project)
    made = opened(project, whole=40).document
    again = GraphFeed(call_of(project), {"run": RUN})
    assert again.take_kept()
    assert msgspec.json.encode(again.document) == msgspec.json.encode(made)


def test_what_is_kept_is_only_for_those_who_may_read_it_AU_2(project: Project) -> None:
    finish(project)
    opened(project, whole=40)
    with pytest.raises(NotFound):
        GraphFeed(call_of(project, "elsewhere"), {"run": RUN}).take_kept()


def test_a_step_run_again_forgets_what_is_kept(project: Project) -> None:
    finish(project)
    opened(project, whole=40)
    again = c.ExecutionCreated(f"{RUN}:2:2", "Ebcdfgh", "rerun", 100, 100)
    project.graphs.committed([again])
    assert not GraphFeed(call_of(project), {"run": RUN}).take_kept()


def test_a_damaged_file_is_as_good_as_none(project: Project) -> None:
    finish(project)
    opened(project, whole=40)
    (project.directory / "graphs" / f"{RUN}.json").write_text("{")
    assert not GraphFeed(call_of(project), {"run": RUN}).take_kept()


def test_a_pin_is_shown_of_a_run_that_is_kept_without_reading_it_DM_2(project: Project) -> None:
    finish(project)
    assert list(GraphFeed(call_of(project), {"run": RUN}, whole=50).build()) == []
    state = project.orchestrator.machine.state
    pinned = c.RunPinned(RUN, True, "ann", 100)
    state.load([pinned])
    again = GraphFeed(call_of(project), {"run": RUN}, whole=50)
    assert again.take_kept()
    assert again.document["pinned"] == {"by": "ann", "at": 100}
    unpinned = c.RunPinned(RUN, False, "ann", 101)
    state.load([unpinned])
    part = again.touched(unpinned)
    assert part is not None
    assert again.patch({part}) == [["set", ["pinned"], None]]
    assert again.touched(c.RunPinned("Rqqqqqq", True, "ann", 102)) is None


def test_a_small_run_is_not_kept(project: Project) -> None:
    finish(project)
    opened(project)
    assert not GraphFeed(call_of(project), {"run": RUN}).take_kept()


def test_a_big_run_that_finishes_is_kept_before_anybody_asks(project: Project) -> None:
    async def finished() -> None:
        keeping = Keeping(project, whole=40)
        for listener in project.orchestrator.listeners:
            listener([c.RunFinished(RUN, "succeeded", 99)])
        await asyncio.gather(*keeping.tasks)

    finish(project)
    asyncio.run(finished())
    assert GraphFeed(call_of(project), {"run": RUN}).take_kept()
