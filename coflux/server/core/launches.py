"""Agents that pools start and stop: following the backlog, back-off, draining (PO-2, PO-3).

Belongs here: how many agents a pool should have, and what each launch comes to. Does not belong
here: the pools' configuration (`pools`), and starting processes (launchers).

A launch is wanted, connects as the session that was opened for it, drains, and ends when its
launcher says that its process is gone. What the shell is asked to do may be lost in a crash; it
then compares what its launchers run with what is wanted here, and reports the difference.
"""

from __future__ import annotations

from coflux.server.core import scheduling, sessions, slots
from coflux.server.core.agenda import Lane, LaneKey
from coflux.server.core.changes import Drained, LaunchEnded, LaunchRetired, LaunchWanted
from coflux.server.core.effects import Launch, Retire, StopLaunch
from coflux.server.core.entities import LaunchRecord, Pool, Session
from coflux.server.core.events import LaunchReported
from coflux.server.core.state import State
from coflux.server.core.turn import Turn

#: After a launch that failed or ran nothing: from the first to the second, doubling (section 32).
BACKOFF_MS = (10_000, 300_000)
#: A launched agent that has been told to end is stopped by its launcher after so long.
DRAIN_MS = 150_000


def follow(turn: Turn, environment: str) -> None:
    """Something has changed in an environment: its pools may have too few agents, or too many."""
    found = list(turn.state.pools_in.get(environment, {}).values())
    for pool in found:
        for launch in list(pool.launches.values()):
            _look_at(turn, pool, launch)
        _drain_idle(turn, pool)
    waiting: dict[LaneKey, int] | None = None
    for pool in sorted(found, key=lambda pool: pool.name):
        if pool.state == "active" and turn.state.is_active(environment):
            if waiting is None:
                waiting = _backlog(turn, environment)
            _fill(turn, pool, waiting)


def woken(turn: Turn, id: str) -> None:
    """A pool's back-off or an agent's idle time may have passed."""
    pool = turn.state.pools.get(id)
    if pool is not None:
        turn.agenda.stirred[pool.environment] = None


def overdue(turn: Turn, id: str) -> None:
    """A launch that was to end may not have done so."""
    launch = turn.state.launches.get(id)
    if launch is not None and launch.retired_at is not None:
        turn.send(StopLaunch(launch.id, launch.pool, launch.launcher, now=True))


def reported(turn: Turn, event: LaunchReported) -> None:
    """A launch could not be made, or its process has ended."""
    launch = turn.state.launches.get(event.launch)
    if launch is None:
        return
    pool = turn.state.pools[launch.pool]
    session = turn.state.sessions.get(launch.session or "")
    if session is not None:
        sessions.end(turn, session, event.error or "its agent has ended")
    is_used = launch.id in turn.agenda.used_launches
    turn.agenda.used_launches.pop(launch.id, None)
    turn.agenda.idle_launches.pop(launch.id, None)
    failures, error = pool.failures, event.error
    if launch.retired_at is None or launch.reason == "idle":
        is_fruitless = error is not None or not is_used
        failures = failures + 1 if is_fruitless else 0
        if is_fruitless and error is None:
            error = "it ended without having run anything"
    first, longest = BACKOFF_MS
    pause = min(first * 2 ** (failures - 1), longest) if failures else 0
    retry_at = turn.now + pause if failures > pool.failures else pool.retry_at
    turn.record(
        LaunchEnded(
            launch.id, pool.id, error, event.lines, failures, retry_at if failures else 0, turn.now
        )
    )
    turn.agenda.at(turn.now + pause, "pool", pool.id)
    turn.agenda.stirred[pool.environment] = None


def hint(state: State, key: LaneKey, now: int) -> tuple[str, dict[str, object]]:
    """What pools do about work that nobody takes: words and data for its reason (SC-11)."""
    for pool in state.pools_in.get(key.environment, {}).values():
        if pool.state != "active" or not serves(state, pool, key):
            continue
        starting = [launch.id for launch in pool.launches.values() if is_starting(state, launch)]
        if starting:
            text = f"pool {pool.name} is starting an agent"
            return text, {"pool": pool.name, "launching": starting}
        if pool.retry_at > now:
            text = f"pool {pool.name} tries again after a failed start: {pool.error}"
            return text, {"pool": pool.name, "retry_at": pool.retry_at, "error": pool.error}
        if len(pool.launches) >= pool.spec.max:
            return f"pool {pool.name} has all its {pool.spec.max} agents", {"pool": pool.name}
    return "", {}


def serves(state: State, pool: Pool, key: LaneKey) -> bool:
    """Whether agents of the pool could run such work (PO-2)."""
    if key.environment != pool.environment or key.code is not None:
        # Which code a new agent has is not known before it is there.
        return False
    if not any(_covers(pattern, key.repository) for pattern in pool.spec.repositories):
        return False
    if not scheduling.matches(pool.spec, dict(key.requires)):
        return False
    there = [state.sessions.get(launch.session or "") for launch in _current(pool)]
    hosting = [s for s in there if s is not None and s.connection is not None]
    # Those that are there know better than the pattern what the pool's code has.
    return not hosting or any(scheduling.hosts(session, key) for session in hosting)


def is_starting(state: State, launch: LaunchRecord) -> bool:
    """Whether its agent has not connected yet."""
    session = state.sessions.get(launch.session or "")
    is_new = session is None or session.incarnation is None
    return is_new and launch.retired_at is None and not launch.is_lost


def _covers(pattern: str, repository: str) -> bool:
    if pattern.endswith(".*"):
        prefix = pattern.removesuffix(".*")
        return repository == prefix or repository.startswith(f"{prefix}.")
    return pattern == repository


def _current(pool: Pool) -> list[LaunchRecord]:
    """Launches that count towards what the pool should have."""
    return [launch for launch in pool.launches.values() if launch.retired_at is None]


# --- too many -----------------------------------------------------------------------------------


def _look_at(turn: Turn, pool: Pool, launch: LaunchRecord) -> None:
    session = turn.state.sessions.get(launch.session or "")
    if launch.session is not None and session is None:
        _retire(turn, launch, "its session is over")
    elif pool.state != "active":
        _retire(turn, launch, f"the pool was {pool.state}")
    elif launch.revision != pool.content:
        _retire(turn, launch, "the pool was changed")
    elif turn.state.environments[pool.environment].state == "archived":
        _retire(turn, launch, "the environment was archived")
    if launch.retired_at is not None and session is not None and not session.draining:
        # Also after a restart, or when another process has taken the session.
        _tell(turn, session)


def _retire(turn: Turn, launch: LaunchRecord, reason: str) -> None:
    if launch.retired_at is not None:
        return
    turn.record(LaunchRetired(launch.id, reason, turn.now))
    turn.agenda.idle_launches.pop(launch.id, None)
    turn.agenda.at(turn.now + DRAIN_MS, "launch", launch.id)
    session = turn.state.sessions.get(launch.session or "")
    if session is None or session.connection is None:
        turn.send(StopLaunch(launch.id, launch.pool, launch.launcher))
    else:
        _tell(turn, session)


def _tell(turn: Turn, session: Session) -> None:
    if session.connection is not None:
        turn.record(Drained(session.id))
        turn.agenda.stirred[session.environment] = None
        turn.send(Retire(session.id))


def _drain_idle(turn: Turn, pool: Pool) -> None:
    """Agents that have had nothing to do for the idle time go, those idle longest first."""
    limit = turn.state.setting(pool.environment, "pool_idle_ms")
    idle = turn.agenda.idle_launches
    for launch in _current(pool):
        session = turn.state.sessions.get(launch.session or "")
        is_idle = session is not None and session.connection is not None and not session.held
        if not is_idle:
            idle.pop(launch.id, None)
        elif launch.id not in idle:
            idle[launch.id] = turn.now
            turn.agenda.at(turn.now + limit, "pool", pool.id)
    surplus = len(_current(pool)) - pool.spec.min
    due = [launch for launch in _current(pool) if turn.now - idle.get(launch.id, turn.now) >= limit]
    due.sort(key=lambda launch: (idle[launch.id], launch.id) if launch.id in idle else (0, ""))
    for launch in [launch for launch in due if launch.id in idle][: max(0, surplus)]:
        _retire(turn, launch, "idle")


# --- too few ------------------------------------------------------------------------------------


def _backlog(turn: Turn, environment: str) -> dict[LaneKey, int]:
    """Ready executions that no session has a slot for, by what decides who can run them."""
    lanes = turn.agenda.lanes.get(environment, {})
    return {key: lane.size for key, lane in lanes.items() if _waits_for_agents(turn, lane)}


def _waits_for_agents(turn: Turn, lane: Lane) -> bool:
    if not lane.key.slots:
        return True
    front = turn.agenda.front(lane)
    if front is None:
        return False
    return not slots.lacking(turn.state, turn.state.executions[front[1]], turn.now)


def _fill(turn: Turn, pool: Pool, waiting: dict[LaneKey, int]) -> None:
    """Start what is missing; work that is then cared for is taken out of `waiting`."""
    mine = [key for key, count in waiting.items() if count and serves(turn.state, pool, key)]
    backlog = sum(waiting[key] for key in mine)
    starting = sum(1 for launch in _current(pool) if is_starting(turn.state, launch))
    size = pool.spec.concurrency
    lacking = max(0, -(-(backlog - starting * size) // size))
    wanted = max(lacking, pool.spec.min - len(_current(pool)))
    count = max(0, min(wanted, pool.spec.max - len(pool.launches)))
    if count and pool.retry_at > turn.now:
        turn.agenda.at(pool.retry_at, "pool", pool.id)
        count = 0
    if pool.failures:
        # One at a time, until one has been of use.
        count = min(count, max(0, 1 - starting))
    for _ in range(count):
        id = turn.source.id("L")
        turn.record(LaunchWanted(id, pool.id, pool.spec.launcher, turn.now))
        turn.send(Launch(id, pool.id, pool.spec.launcher))
    _take(waiting, mine, (starting + count) * size)


def _take(waiting: dict[LaneKey, int], keys: list[LaneKey], room: int) -> None:
    for key in keys:
        taken = min(room, waiting[key])
        waiting[key] -= taken
        room -= taken
