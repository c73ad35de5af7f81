"""The topics `run` and `queue`: what changed is seen at once, reasons of the rest bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coflux.blobs import LocalBlobs
from coflux.model import Returned, Submission, Value
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.core import events as e
from coflux.server.project import rounds
from coflux.server.project.calls import Call, Project
from coflux.server.project.feeds import AnyFeed, open_feed
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.rounds import Rounds

RUN = "Rbcdfgh"
STEPS = 500
PAUSED, ACTIVE = (
    c.EnvironmentSet("Ebcdfgh", "default", None, state, "", 0) for state in ("paused", "active")
)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Call]:
    """A reader of a project in whose only run many steps are queued."""
    orchestrator = Orchestrator(tmp_path)
    facts: list[c.Change] = [
        PAUSED,
        c.RunCreated(RUN, "Ebcdfgh", "shop", "order", "ada", 1),
        c.StepCreated(RUN, 1, Submission("shop", "order"), "Ebcdfgh", 1, 1),
    ]
    facts += [_step(number) for number in range(2, STEPS + 1)]
    orchestrator.machine.state.load(facts)
    project = Project("default", tmp_path, "", orchestrator, LocalBlobs(tmp_path / "blobs"))
    yield Call(project, Principal("ada", "T1", (Scope("*", "read"),)))
    orchestrator.close()


def _step(number: int) -> c.StepCreated:
    pay = Submission("shop", "pay")
    return c.StepCreated(RUN, number, pay, "Ebcdfgh", 1, number, parent=f"{RUN}:1:1")


def opened(call: Call, topic: str) -> AnyFeed:
    feed = open_feed(call, topic, {"run": RUN} if topic == "run" else {})
    for _ in feed.build():
        pass
    return feed


def follow(call: Call, feed: AnyFeed, *changes: c.Change) -> list[list[object]]:
    """The operations of the first patch after these."""
    call.state.load(changes)
    parts = {part for change in changes if (part := feed.touched(change)) is not None}
    operations = feed.patch(parts)
    assert operations is not None
    return operations


def reasons(feed: AnyFeed) -> list[str]:
    """Codes of all reasons in a document."""
    if "steps" not in feed.document:
        return [entry["reason"]["code"] for entry in feed.document.values()]
    attempts = [step["executions"]["1"] for step in feed.document["steps"].values()]
    return [attempt["reason"]["code"] for attempt in attempts if attempt["reason"]]


@pytest.mark.parametrize("topic", ["run", "queue"])
def test_reasons_that_may_be_old_are_looked_at_a_portion_at_a_time(call: Call, topic: str) -> None:
    feed = opened(call, topic)
    assert reasons(feed) == ["paused"] * STEPS
    looked = [len(follow(call, feed, ACTIVE))]
    while feed.has_more:
        operations = feed.patch(set())
        looked.append(len(operations or ()))
    assert looked == [rounds.PORTION, rounds.PORTION, STEPS - 2 * rounds.PORTION]
    assert "paused" not in reasons(feed)
    assert not feed.has_more


def test_what_comes_and_goes_is_seen_in_the_first_patch(call: Call) -> None:
    queue, run = opened(call, "queue"), opened(call, "run")
    new, gone = _step(STEPS + 1), c.Assigned(f"{RUN}:{STEPS}:1", "Sbcdfgh", 9)
    operations = follow(call, queue, new, gone)
    assert ["del", [gone.execution]] in operations
    assert [op[:2] for op in operations if op[0] == "set"] == [["set", [f"{RUN}:{STEPS + 1}:1"]]]
    assert len(queue.document) == STEPS
    operations = run.patch({run.touched(new) or "", run.touched(gone) or ""}) or []
    changed = [["steps", number] for number in ("1", str(STEPS), str(STEPS + 1))]
    assert [op[1] for op in operations] == changed
    assert len(run.document["steps"]["1"]["executions"]["1"]["children"]) == STEPS
    assert run.document["steps"][str(STEPS)]["executions"]["1"]["status"] == "assigned"


def test_an_outcome_elsewhere_is_followed_only_where_a_link_is_open(call: Call) -> None:
    feed = opened(call, "run")
    elsewhere = c.RunFinished("Rbcdfgj", "succeeded", 5)
    assert feed.touched(elsewhere) is None
    first = f"{RUN}:1:1"
    done = c.ResultRecorded(first, Returned(Value(data=b"1")), 10)
    started = [c.Assigned(first, "Sbcdfgh", 8), c.Started(first, 9), done]
    operations = follow(call, feed, *started)
    assert ["steps", "1"] in [op[1] for op in operations]


def test_who_has_waited_longest_for_a_look_is_next() -> None:
    queue: Rounds[str] = Rounds()
    for key in "abcde":
        queue.set(key, True)
    assert not queue.is_due
    queue.restart()
    assert queue.take(2) == ["a", "b"]
    queue.set("c", False)
    queue.restart()
    assert queue.take(9) == ["d", "e", "a", "b"]
    assert not queue.is_due
    assert len(queue) == 4


def test_who_waits_because_the_run_is_held_comes_and_goes_with_that_SC_9(call: Call) -> None:
    feed = opened(call, "queue")
    first = f"{RUN}:1:1"
    follow(call, feed, ACTIVE, c.Assigned(first, "Sbcdfgh", 8), c.Started(first, 9))
    assert first not in feed.document
    asked = e.StepsRequested(e.Code("Sbcdfgh", first, 1), ())
    held_requests = call.orchestrator.machine.agenda.held_requests
    held_requests[RUN] = {(first, 1): asked}
    follow(call, feed, c.RunHeld(RUN, "run_steps", STEPS + 1, 10))
    assert feed.document[first]["reason"]["code"] == "cap"
    del held_requests[RUN]
    operations = follow(call, feed, c.RunHeld(RUN, None, 0, 11))
    while feed.has_more:
        operations += feed.patch(set()) or []
    assert ["del", [first]] in operations
