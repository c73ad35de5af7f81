"""What to do next and who waits for what: derived from the state, never stored.

Belongs here: heaps, queues and indexes that make an event's cost independent of backlog, run size
and history (SC-6). Does not belong here: facts (`state`), rules (the policy modules).
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from coflux.server.core.entities import Execution, MemoKey, Session, Step
from coflux.server.core.events import StepsRequested
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.core.unstarted import Unstarted


class Waiter(NamedTuple):
    """Somebody to tell when a handle is resolved. `kind`: wait, gate, follow, run or client."""

    kind: str
    id: str
    key: int
    handle: str


class LaneKey(NamedTuple):
    """What decides which sessions can run an execution."""

    environment: str
    repository: str
    target: str
    type: str
    requires: tuple[tuple[str, tuple[str, ...] | bool], ...]
    code: str | None
    slots: tuple[tuple[str, int], ...] = ()


Head = tuple[int, int, str]
#: Kinds of deadlines that are instants, as due times are: they go by the wall clock (EN-7).
BY_THE_WALL = ("slot", "pool")
#: Sleeps of the host that are remembered.
SLEEPS = 1_000


class Lane:
    """Ready executions that the same sessions can run, in the order of SC-4.

    `groups` holds a heap of (due, order, id) for each (priority, root run); `heads` is a lazy heap
    of (-priority, place, root): the entry of a group is the one in `places`, all others are skipped
    when they come up; and it may be lower than the group's place is now, never higher, and is put
    right when it comes up.
    """

    __slots__ = ("groups", "heads", "key", "places", "size")

    def __init__(self, key: LaneKey) -> None:
        self.key = key
        self.groups: dict[tuple[int, str], list[tuple[int, int, str]]] = {}
        self.heads: list[Head] = []
        self.places: dict[tuple[int, str], int] = {}
        self.size = 0

    def rank(self, priority: int, place: int, root: str) -> None:
        """Let a group be found at this place."""
        self.places[priority, root] = place
        heapq.heappush(self.heads, (-priority, place, root))


class Agenda:
    """Everything that is waiting for something."""

    def __init__(self) -> None:
        #: (due_at, order, id) of queued executions not considered yet.
        self.due: list[tuple[int, int, str]] = []
        #: (at, kind, id, key): things that happen unless something else does first.
        self.deadlines: list[tuple[int, str, str, int]] = []
        self.waiters: dict[str, dict[Waiter, None]] = {}
        #: Clients that wait, by the token of their request.
        self.clients: dict[int, Waiter] = {}
        #: Queued executions and the handles that hold them back.
        self.gated: dict[str, dict[str, None]] = {}
        #: Executions whose key may have changed since their lookup; looked up again when ready.
        self.rechecks: dict[str, None] = {}
        #: Queued executions held back because their environment is paused.
        self.paused: dict[str, dict[str, None]] = {}
        #: Queued executions that wait for an earlier attempt's process to be dead.
        self.behind: dict[str, dict[str, None]] = {}
        self.ready: dict[str, LaneKey] = {}
        #: Since when those are ready.
        self.ready_since: dict[str, int] = {}
        #: Queued executions held back by a cap, by environment (SC-9, WA-12).
        self.capped: dict[str, dict[str, None]] = {}
        #: Initial executions that wait for earlier runs of their schedule, by schedule (SD-5).
        self.in_turn: dict[str, dict[str, None]] = {}
        #: Runs that the event at hand names and that there were once (DM-2).
        self.removed: set[str] = set()
        #: Submissions that wait until their run is released, by run.
        self.held_requests: dict[str, dict[tuple[str, int], StepsRequested]] = {}
        #: Units of named slots that a waiting holder has lent: borrower -> name, by lender.
        self.lent: dict[str, dict[str, str]] = {}
        #: When a rate lets something through again, by environment and slot.
        self.next_free: dict[tuple[str, str], int] = {}
        #: (noticed at, ms) of the host's sleeps.
        self.sleeps: list[tuple[int, int]] = []
        self.lanes: dict[str, dict[LaneKey, Lane]] = {}
        self.last_assigned: dict[str, int] = {}
        #: Environments in which something may have become assignable.
        self.stirred: dict[str, None] = {}
        self.eligible: dict[LaneKey, list[Session]] = {}
        #: Launched agents that have been given work, and since when others have none.
        self.used_launches: dict[str, None] = {}
        self.idle_launches: dict[str, int] = {}
        #: What an attempt with `reuse` may take, by the attempt (RR-4).
        self.reusable: dict[str, dict[MemoKey, list[Step]]] = {}
        #: Queued executions that an equal one may replace (DF).
        self.unstarted = Unstarted()
        #: Ended by a link that is not resolved, by run: those runs are not finished.
        self.following: dict[str, dict[str, None]] = {}

    # --- time ----------------------------------------------------------------------------------

    def schedule(self, execution: Execution) -> None:
        """Consider an execution when it is due."""
        heapq.heappush(self.due, (execution.due_at, execution.order, execution.id))

    def at(self, when: int, kind: str, id: str, key: int = 0) -> None:
        """Set a deadline. Whether it still matters is asked when it comes."""
        heapq.heappush(self.deadlines, (when, kind, id, key))

    def deadline(self, since: int, ms: int) -> int:
        """The instant at which so many ms have passed in which the host was awake (EN-7)."""
        return since + ms + sum(slept for at, slept in self.sleeps if at > since)

    def postpone(self, ms: int, now: int) -> None:
        """The host was asleep; deadlines that were set before do not count it."""
        self.sleeps = [*self.sleeps[-SLEEPS:], (now, ms)]
        self.deadlines = [
            (at if kind in BY_THE_WALL else at + ms, kind, id, key)
            for at, kind, id, key in self.deadlines
        ]
        heapq.heapify(self.deadlines)
        self.ready_since = {id: at + ms for id, at in self.ready_since.items()}

    def next(self) -> int | None:
        """The earliest instant at which something happens by itself."""
        instants = [heap[0][0] for heap in (self.due, self.deadlines) if heap]
        return min(instants, default=None)

    # --- waiters -------------------------------------------------------------------------------

    def watch(self, execution: str, waiter: Waiter) -> None:
        """Tell the waiter when the execution gets a result."""
        self.waiters.setdefault(execution, {})[waiter] = None

    def unwatch(self, execution: str, waiter: Waiter) -> None:
        """Take a waiter back."""
        waiters = self.waiters.get(execution)
        if waiters is not None:
            waiters.pop(waiter, None)
            if not waiters:
                del self.waiters[execution]

    def follow(self, execution: Execution) -> None:
        """Its run is not finished before its link is resolved."""
        self.following.setdefault(execution.run.id, {})[execution.id] = None

    def unfollow(self, execution: Execution) -> None:
        """Its link is resolved, or leads elsewhere."""
        followers = self.following.get(execution.run.id)
        if followers is not None:
            followers.pop(execution.id, None)
            if not followers:
                del self.following[execution.run.id]

    def move(self, state: State, execution: str) -> None:
        """Waiters at an execution follow their handles, one of which leads elsewhere now."""
        for waiter in list(self.waiters.get(execution, {})):
            end_id = state.end_of(waiter.handle)[0]
            if end_id != execution:
                self.unwatch(execution, waiter)
                self.watch(end_id, waiter)

    # --- lanes ---------------------------------------------------------------------------------

    def enqueue(self, execution: Execution, key: LaneKey, priority: int) -> None:
        """Put a ready execution where sessions will find it."""
        self.ready[execution.id] = key
        lane = self.lanes.setdefault(key.environment, {}).setdefault(key, Lane(key))
        root = execution.run.root
        group = lane.groups.setdefault((priority, root), [])
        heapq.heappush(group, (execution.due_at, execution.order, execution.id))
        lane.size += 1
        if group[0][2] == execution.id:  # the oldest now, so the run may come earlier
            place = self.place(root, execution.due_at)
            if lane.places.get((priority, root)) != place:
                lane.rank(priority, place, root)
        self.stirred[key.environment] = None

    def place(self, root: str, due_at: int) -> int:
        """A run's place (SC-4)."""
        return max(due_at, self.last_assigned.get(root, 0))

    def unready(self, execution: Execution) -> None:
        """Take an execution out of its lane; heaps skip it when it comes up."""
        key = self.ready.pop(execution.id, None)
        self.ready_since.pop(execution.id, None)
        if key is not None:
            self._shrink(self.lanes[key.environment][key])

    def drop(self, execution: Execution) -> None:
        """Forget a queued execution that has ended."""
        self.unready(execution)
        self.capped.get(execution.environment, {}).pop(execution.id, None)
        self.in_turn.get(execution.run.schedule or "", {}).pop(execution.id, None)
        self.paused.get(execution.environment, {}).pop(execution.id, None)
        self.rechecks.pop(execution.id, None)
        self.reusable.pop(execution.id, None)
        self.unstarted.remove(execution.id)

    def let_in(self, state: State, schedule: str | None) -> None:
        """Look again at who waits for earlier runs of a schedule (SD-5)."""
        for id in self.in_turn.pop(schedule or "", {}):
            self.schedule(state.executions[id])

    def take(self, execution: Execution, now: int) -> None:
        """An execution from the front of its lane was assigned."""
        key = self.ready.pop(execution.id)
        self.ready_since.pop(execution.id, None)
        self.unstarted.remove(execution.id)
        self.last_assigned[execution.run.root] = now
        self._shrink(self.lanes[key.environment][key])

    def _shrink(self, lane: Lane) -> None:
        lane.size -= 1
        if lane.size == 0:
            del self.lanes[lane.key.environment][lane.key]
            self.eligible.pop(lane.key, None)

    def front(self, lane: Lane) -> tuple[Head, str] | None:
        """The first execution of a lane with its rank, or None when nothing is left."""
        while lane.heads:
            head = lane.heads[0]
            priority, place, root = -head[0], head[1], head[2]
            if lane.places.get((priority, root)) != place:
                heapq.heappop(lane.heads)
                continue
            group = lane.groups[priority, root]
            while group and self.ready.get(group[0][2]) != lane.key:
                heapq.heappop(group)
            if not group:
                heapq.heappop(lane.heads)
                del lane.groups[priority, root], lane.places[priority, root]
                continue
            now_at = self.place(root, group[0][0])
            if now_at != place:
                heapq.heappop(lane.heads)
                lane.rank(priority, now_at, root)
                continue
            return head, group[0][2]
        return None

    def requeue_all(self, executions: dict[str, Execution]) -> None:
        """Start again from the facts (after a restart, or when an environment is resumed)."""
        for execution in executions.values():
            if execution.status is Status.QUEUED:
                self.schedule(execution)
                if execution.cache is not None:
                    self.rechecks[execution.id] = None
