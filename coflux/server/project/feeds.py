"""Documents that browsers and terminals watch: made from the state, patched when it changes.

Belongs here: what a topic's document is, and which part of it a change touches. Does not belong
here: sockets, subscriptions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from coflux.errors import NotFound
from coflux.server.core import changes as c
from coflux.server.project import schedules
from coflux.server.project.calls import Call
from coflux.server.project.graph_feed import GraphFeed, StepFeed
from coflux.server.project.input_operations import open_rows
from coflux.server.project.pool_operations import show_pool
from coflux.server.project.queue_feed import QueueFeed
from coflux.server.project.run_feed import RunFeed
from coflux.server.views import lists

#: Executions of the topic `waiting`: finding the reasons of ten thousand would hold up the loop.
WAITING = 500
Document = dict[str, Any]
Operation = list[Any]


class Feed:
    """One topic with its arguments, as one caller may see it."""

    def __init__(self, call: Call, topic: str, arguments: dict[str, Any]) -> None:
        self.call = call
        self.topic = topic
        self.arguments = arguments
        call.query = {
            "environment": arguments.get("environment"),
            "target": arguments.get("target"),
            "pinned": arguments.get("pinned") in (True, "true"),
            "limit": 100,
        }
        self.document: Document = {}

    #: The run that it is about; and whether another patch is due although nothing changes.
    run = None
    has_more = False

    def build(self) -> Iterator[None]:
        """Make the document; other work may be done between the steps."""
        self.document = _DOCUMENTS[self.topic](self.call)
        yield from ()

    def touched(self, change: c.Change) -> str | None:
        """`*` where the change touches the document, None for nothing."""
        return "*" if isinstance(change, _TOUCHING[self.topic]) else None

    def patch(self, parts: set[str]) -> list[Operation]:
        """Bring the document up to date; the operations that do the same to a copy."""
        return _differences(self.document, _DOCUMENTS[self.topic](self.call), ())


def _differences(old: Document, new: Document, path: tuple[str, ...]) -> list[Operation]:
    """Operations that make `old` equal to `new`, changing `old` in place."""
    found: list[Operation] = []
    for key in [key for key in old if key not in new]:
        del old[key]
        found.append(["del", [*path, key]])
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if len(path) < 1 and isinstance(before, dict) and isinstance(value, dict):
            found += _differences(before, value, (*path, key))
        else:
            old[key] = value
            found.append(["set", [*path, key], value])
    return found


def _environments(call: Call) -> Document:
    found = call.visible("read")
    return {e.id: lists.show_environment(call.state, e) for e in found}


def _agents(call: Call) -> Document:
    wanted = {e.id for e in call.chosen()}
    return {
        s.id: lists.show_agent(call.state, s)
        for s in call.state.sessions.values()
        if s.environment in wanted
    }


def _waiting(call: Call) -> Document:
    """The queue as a page shows it: of a long one the beginning, and how many there are."""
    machine = call.orchestrator.machine
    every = lists.queued(machine, [e.id for e in call.chosen()])
    first = list(itertools.islice(every, WAITING))
    shown = lists.show_queue(machine, first, call.orchestrator.now())
    total = len(first) + sum(1 for _ in every)
    return {"entries": {entry["execution"]: entry for entry in shown}, "total": total}


def _schedules(call: Call) -> Document:
    return {s.id: schedules.show(call, s) for s in schedules.visible(call)}


def _manifests(call: Call) -> Document:
    return lists.show_manifests(call.environment(call.query.get("environment"), "read"))


def _runs(call: Call) -> Document:
    name = call.query.get("environment")
    environment = call.environment(name, "read").id if name is not None else None
    repository, _, target = (call.query.get("target") or "").rpartition("/")
    wanted = (repository, target) if target else None
    only = call.state.pinned if call.query["pinned"] else None
    rows = call.orchestrator.store.reader.runs(environment, wanted, 100, None, only)
    names = {e.id: e.name for e in call.visible("read")}
    return {
        row["run"]: lists.show_summary(call.state, row, names)
        for row in rows
        if row["environment"] in names
    }


def _pools(call: Call) -> Document:
    state = call.state
    return {p.id: show_pool(state, p) for e in call.chosen() for p in state.pools_of(e.id)}


def _inputs(call: Call) -> Document:
    """Questions that can be answered, by id, newest first."""
    environments = tuple(environment.id for environment in call.chosen())
    return {row["input"]: row for row in open_rows(call, environments)}


_DOCUMENTS: dict[str, Callable[[Call], Document]] = {
    "environments": _environments,
    "agents": _agents,
    "waiting": _waiting,
    "manifests": _manifests,
    "schedules": _schedules,
    "runs": _runs,
    "pools": _pools,
    "inputs": _inputs,
}

_SESSIONS = (c.SessionOpened, c.SessionEnded, c.Connected, c.Announced, c.Drained)
_PROGRESS = (c.Assigned, c.Started, c.Blocked, c.Unblocked, c.ResultRecorded)
_QUEUE = (*_SESSIONS, *_PROGRESS, c.StepCreated, c.ExecutionCreated, c.EnvironmentSet)
_TOUCHING: dict[str, tuple[type[c.Change], ...]] = {
    "environments": (c.EnvironmentSet,),
    "agents": (*_SESSIONS, *_PROGRESS),
    "waiting": _QUEUE,
    "manifests": (c.ManifestSet,),
    "pools": (
        *_SESSIONS,
        c.PoolSet,
        c.LaunchWanted,
        c.LaunchRetired,
        c.LaunchEnded,
        c.EnvironmentSet,
    ),
    "schedules": (c.ScheduleSet, c.ScheduleAdvanced, c.RunFinished, c.EnvironmentSet),
    "inputs": (
        c.InputCreated,
        c.InputEnded,
        c.Depended,
        c.Blocked,
        c.Unblocked,
        c.ResultRecorded,
        c.ExecutionCreated,
        c.EnvironmentSet,
    ),
    "runs": (
        c.RunCreated,
        c.RunFinished,
        c.RunPinned,
        c.RunsRemoved,
        c.Started,
        c.ResultRecorded,
        c.ExecutionCreated,
    ),
}

AnyFeed = Feed | GraphFeed | StepFeed | RunFeed | QueueFeed
_OWN: dict[str, Callable[[Call, dict[str, Any]], AnyFeed]] = {
    "run": RunFeed,
    "graph": GraphFeed,
    "step": StepFeed,
    "queue": QueueFeed,
}
TOPICS = (*_OWN, *_DOCUMENTS)


def open_feed(call: Call, topic: str, arguments: dict[str, Any]) -> AnyFeed:
    """The feed of a topic; raises `NotFound` for a topic, run or step that there is not."""
    check_topic(topic)
    if topic in _OWN:
        return _OWN[topic](call, arguments)
    return Feed(call, topic, arguments)


def check_topic(topic: str) -> None:
    """Raises `NotFound` for a topic that there is not."""
    if topic not in TOPICS:
        raise NotFound(f"There is no topic {topic[:80]!r}; there are {', '.join(TOPICS)}.")
