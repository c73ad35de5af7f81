"""Topics of lists: what they hold, and that they stay small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coflux.blobs import LocalBlobs
from coflux.errors import NotFound
from coflux.model import Question, Submission
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.project.calls import Call, Project
from coflux.server.project.feeds import WAITING, open_feed
from coflux.server.project.graph_feed import INPUTS
from coflux.server.project.orchestrator import Orchestrator

RUN = "Rbcdfgh"


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Call]:
    """A reader of a project in whose only run many steps are queued."""
    orchestrator = Orchestrator(tmp_path)
    facts: list[c.Change] = [
        c.EnvironmentSet("Ebcdfgh", "default", None, "paused", "", 0),
        c.RunCreated(RUN, "Ebcdfgh", "shop", "order", "ada", 1),
        c.StepCreated(RUN, 1, Submission("shop", "order"), "Ebcdfgh", 1, 1),
    ]
    facts += [
        c.StepCreated(RUN, n, Submission("shop", "pay"), "Ebcdfgh", n, n, parent=f"{RUN}:1:1")
        for n in range(2, WAITING + 102)
    ]
    orchestrator.machine.state.load(facts)
    project = Project("default", tmp_path, "", orchestrator, LocalBlobs(tmp_path / "blobs"))
    yield Call(project, Principal("ada", "T1", (Scope("*", "read"),)))
    orchestrator.close()


def test_a_long_queue_is_sent_in_part_with_its_length(call: Call) -> None:
    feed = open_feed(call, "waiting", {})
    assert list(feed.build()) == []
    assert feed.document["total"] == WAITING + 101
    assert len(feed.document["entries"]) == WAITING
    assert feed.document["entries"][f"{RUN}:1:1"]["reason"]["code"] == "paused"


def test_what_leaves_the_queue_is_taken_out_of_the_copy(call: Call) -> None:
    feed = open_feed(call, "waiting", {"environment": "default"})
    list(feed.build())
    assigned = c.Assigned(f"{RUN}:1:1", "Sbcdfgh", 9000)
    call.state.load([assigned])
    assert feed.touched(assigned) == "*"
    operations = feed.patch({"*"})
    assert operations is not None
    assert ["del", ["entries", f"{RUN}:1:1"]] in operations
    assert ["set", ["total"], WAITING + 100] in operations


def test_the_topic_of_inputs_has_what_is_open_and_loses_what_has_ended_IN_1(call: Call) -> None:
    asked = [
        c.InputCreated(
            RUN, f"{RUN}/i{n}", f"{RUN}:1:1", "Ebcdfgh", "shop/order", Question("?", f"{n}?"), b"",
            10 + n,
        )
        for n in (1, 2)
    ]  # fmt: skip
    call.state.load(asked)
    feed = open_feed(call, "inputs", {"environment": "default"})
    list(feed.build())
    assert list(feed.document) == [f"{RUN}/i2", f"{RUN}/i1"]
    row = feed.document[f"{RUN}/i1"]
    assert (row["message"], row["state"], row["awaited"], row["target"]) == (
        "1?", "open", False, "shop/order",
    )  # fmt: skip
    ended = c.InputEnded(RUN, f"{RUN}/i1", "dismissed", 20)
    call.state.load([ended])
    assert feed.touched(ended) == "*"
    assert feed.patch({"*"}) == [["del", [f"{RUN}/i1"]]]
    for topic in ("run", "graph"):
        whole = open_feed(call, topic, {"run": RUN})
        list(whole.build())
        shown = {each["input"]: each["state"] for each in whole.document["inputs"]}
        assert shown == {f"{RUN}/i1": "dismissed", f"{RUN}/i2": "open"}


def test_a_run_that_asks_very_much_is_sent_with_what_is_open_and_newest(call: Call) -> None:
    numbers = range(1, INPUTS + 101)
    call.state.load(
        c.InputCreated(
            RUN, f"{RUN}/i{n}", f"{RUN}:1:1", "Ebcdfgh", "shop/order", Question("?", f"{n}?"), b"",
            10 + n,
        )
        for n in numbers
    )  # fmt: skip
    call.state.load(c.InputEnded(RUN, f"{RUN}/i{n}", "dismissed", 900) for n in numbers if n > 10)
    feed = open_feed(call, "graph", {"run": RUN})
    list(feed.build())
    shown = [int(row["input"].partition("/i")[2]) for row in feed.document["inputs"]]
    assert shown == [*range(1, 11), *range(111, INPUTS + 101)]


def test_a_topic_that_there_is_not_names_those_that_there_are(call: Call) -> None:
    with pytest.raises(NotFound, match="there are run, graph, step"):
        open_feed(call, "nonsense", {})
