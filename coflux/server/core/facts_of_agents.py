"""What facts about sessions, pools and launches change.

Belongs here: one function a fact, which takes it as it is. Does not belong here: what is decided
from them; runs (`state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coflux.server.core import changes as c
from coflux.server.core.entities import LaunchRecord, Pickled, Pool, Session

if TYPE_CHECKING:
    from coflux.server.core.state import State


def open_session(state: State, x: c.SessionOpened) -> None:
    pickles = state.pickles.setdefault(x.environment, {})
    state.sessions[x.session] = Session(x.session, x.environment, x.token_hash, x.at, pickles)
    launch = state.launches.get(x.launch or "")
    if launch is not None:
        launch.session = x.session
        state.launched[x.session] = launch


def set_incarnation(state: State, x: c.IncarnationSet) -> None:
    session = state.sessions.get(x.session)
    if session is not None:
        session.incarnation = x.incarnation
        session.draining = False


def connect(state: State, x: c.Connected) -> None:
    session = state.sessions[x.session]
    session.lost_at = x.lost_at
    session.connected_at = x.at if x.hello else session.connected_at
    session.connection = x.hello.connection if x.hello else None
    if x.hello is not None:
        session.describe(x.hello)


def announce(state: State, x: c.Announced) -> None:
    state.sessions[x.session].host_repositories(x.repositories)


def pickle(state: State, x: c.TargetPickled) -> None:
    pickles = state.pickles.setdefault(x.environment, {})
    pickles.pop((x.repository, x.target), None)
    if x.definition is not None:
        kept = Pickled(x.definition, x.python, x.session)
        if x.session not in state.sessions:  # over for so long that its rows have gone
            kept.owner = None
        pickles[(x.repository, x.target)] = kept


def drain(state: State, x: c.Drained) -> None:
    state.sessions[x.session].draining = True


def acknowledge(state: State, x: c.Acknowledged) -> None:
    state.sessions[x.session].unacknowledged.pop(x.execution, None)


def end_session(state: State, x: c.SessionEnded) -> None:
    session = state.sessions.pop(x.session, None)
    for kept in session.pickles.values() if session else ():
        if kept.owner == x.session:
            # A generic agent may take over (CO-4).
            kept.owner = None
    launch = state.launched.pop(x.session, None)
    if launch is not None:
        launch.is_lost = True
    for execution in session.held.values() if session else ():
        state.give_back(execution)
        if execution.result is not None:
            state.bury(execution)


def set_pool(state: State, x: c.PoolSet) -> None:
    pool = state.pools.get(x.pool)
    if pool is None:
        pool = state.pools[x.pool] = Pool(x.pool, x.environment, x.name, x.spec)
        state.pools_in.setdefault(x.environment, {})[x.pool] = pool
    if pool.content == 0 or x.spec != pool.spec or x.state != pool.state:
        pool.failures, pool.retry_at = 0, 0
    if pool.content == 0 or x.spec != pool.spec:
        pool.content = x.revision
    pool.spec, pool.state, pool.revision = x.spec, x.state, x.revision
    _drop_pool(state, pool)


def _drop_pool(state: State, pool: Pool) -> None:
    if pool.state == "deleted" and not pool.launches:
        state.pools_in[pool.environment].pop(pool.id, None)
        state.pools.pop(pool.id, None)


def want_launch(state: State, x: c.LaunchWanted) -> None:
    pool = state.pools[x.pool]
    launch = LaunchRecord(x.launch, pool, x.launcher, x.at)
    pool.launches[x.launch] = state.launches[x.launch] = launch


def retire_launch(state: State, x: c.LaunchRetired) -> None:
    launch = state.launches[x.launch]
    launch.retired_at, launch.reason = x.at, x.reason


def end_launch(state: State, x: c.LaunchEnded) -> None:
    launch = state.launches.pop(x.launch)
    state.launched.pop(launch.session or "", None)
    pool = state.pools[x.pool]
    del pool.launches[x.launch]
    pool.failures, pool.retry_at = x.failures, x.retry_at
    if x.error is not None or not x.failures:
        pool.error, pool.lines = x.error, x.lines
    _drop_pool(state, pool)
