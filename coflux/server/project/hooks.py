"""Hooks of a project: noticing the ends of runs, and telling, again where that failed.

Belongs here: when. It never holds up a decision: what is owed is written beside, and delivered by
tasks. Does not belong here: how a hook is told (`coflux.server.hooks`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from coflux.errors import InvalidRequest
from coflux.model import Raised
from coflux.server.core import changes as c
from coflux.server.hooks.hook import Delivery, Ended, Hook, message
from coflux.server.hooks.means import Undelivered, deliver
from coflux.server.hooks.store import HookStore
from coflux.server.project.orchestrator import Orchestrator

#: Between attempts, in ms: from the first to the second, doubling; after so many it is given up.
BACKOFF_MS = (5_000, 3_600_000)
ATTEMPTS = 20
#: Deliveries at a time.
_AT_ONCE = 8
#: Names the kinds of hooks that are allowed, separated by commas.
ALLOWED = "COFLUX_HOOKS"
KINDS = ("command", "webhook", "apprise")

log = logging.getLogger("coflux.project")


class Hooks:
    """The hooks of a project."""

    def __init__(
        self, project: str, directory: Path, orchestrator: Orchestrator,
        variables: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.allowed = _allowed(variables)
        self._project = project
        self._directory = directory
        self._orchestrator = orchestrator
        self._store: HookStore | None = None
        if (directory / "hooks.db").exists():
            self._store = HookStore(directory)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        orchestrator.listeners.append(self._committed)

    @property
    def store(self) -> HookStore:
        """What is kept; made when it is needed first."""
        if self._store is None:
            self._store = HookStore(self._directory)
        return self._store

    @property
    def all(self) -> Iterable[Hook]:
        """All hooks."""
        return list(self._store.hooks.values()) if self._store is not None else ()

    def start(self) -> None:
        """Note what ended just before the last process did, and tell what is owed."""
        if self._store is None or not self._store.hooks:
            return
        found = self._orchestrator.store.reader.finished_since(self._store.cursor)
        self._store.owe(Ended(*row) for row in found)
        self._work()

    async def close(self) -> None:
        """Stop telling; what is owed is told by the next process."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._store is not None:
            self._store.close()

    def copy_to(self, directory: Path) -> None:
        """A consistent copy, if there is anything (DM-4)."""
        if self._store is not None:
            self._store.copy_to(directory / "hooks.db")

    def tell_now(self, hook: Hook, ended: Ended) -> asyncio.Task[None]:
        """Tell a hook once, outside of what is owed; raises `Undelivered`."""
        return asyncio.ensure_future(deliver(hook, self._message(ended)))

    # --- noticing -------------------------------------------------------------------------------

    def _committed(self, changes: list[c.Change]) -> None:
        if self._store is None or not self._store.hooks:
            return
        ends = [x for x in changes if isinstance(x, c.RunFinished)]
        runs = self._orchestrator.machine.state.runs
        ended = []
        for end in ends:
            run = runs.get(end.run)
            if run is not None and run.parent is None:
                ended.append(
                    Ended(
                        run.id, run.environment, run.repository, run.target, end.status,
                        run.created_at, end.at,
                    )
                )  # fmt: skip
        if ended and self._store.owe(ended):
            self._work()

    # --- telling --------------------------------------------------------------------------------

    def _work(self) -> None:
        """Begin what is due, as far as there is room, and come back for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._orchestrator.now()
        due = self.store.due(now, _AT_ONCE + len(self._under_way))
        for delivery in due:
            if len(self._under_way) >= _AT_ONCE:
                return  # the end of one of them looks again
            if delivery.id not in self._under_way:
                task = asyncio.ensure_future(self._attempt(delivery))
                self._under_way[delivery.id] = task
        next_at = self.store.next_at()
        if next_at is not None and next_at > now:
            delay = min((next_at - now) / 1000, 3600.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._work)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            hook = self.store.hooks.get((delivery.ended.environment, delivery.hook))
            if hook is None:
                return
            problem: str | None = None
            try:
                await deliver(hook, self._message(delivery.ended))
            except Undelivered as undelivered:
                problem = str(undelivered)
            except Exception as error:
                # A hook's means may fail in any way; the project goes on.
                log.exception("hook %s failed", hook.name)
                problem = f"{type(error).__name__}: {error}"
            self.store.keep(after_attempt(delivery, problem, self._orchestrator.now()))
        finally:
            self._under_way.pop(delivery.id, None)
        self._work()

    def _message(self, ended: Ended) -> dict[str, Any]:
        state = self._orchestrator.machine.state
        environment = state.environments[ended.environment].name
        error = self._error(ended) if ended.status == "failed" else None
        told: dict[str, Any] = message(ended, self._project, environment, error)
        return told

    def _error(self, ended: Ended) -> dict[str, Any] | None:
        state = self._orchestrator.state_with(ended.run)
        if state is None:
            return None
        _, end = state.end_of(state.runs[ended.run].steps[1].executions[-1].id)
        if end is None or not isinstance(end.result, Raised):
            kind = (
                "unknown"
                if end is None or end.result is None
                else (end.result.__struct_config__.tag)
            )
            return {"type": str(kind), "message": "it ended without an outcome of its own"}
        return {"type": end.result.error.type, "message": end.result.error.message[:2000]}


def after_attempt(delivery: Delivery, problem: str | None, now: int) -> Delivery:
    """How a delivery stands after an attempt that failed with a problem, or did not (None)."""
    attempts = delivery.attempts + 1
    if problem is None:
        return msgspec.structs.replace(
            delivery, state="delivered", attempts=attempts, error=None
        )  # fmt: skip
    if attempts >= ATTEMPTS:
        return msgspec.structs.replace(
            delivery, state="given up", attempts=attempts, error=problem
        )  # fmt: skip
    first, longest = BACKOFF_MS
    pause = min(first * 2 ** (attempts - 1), longest)
    return msgspec.structs.replace(
        delivery, attempts=attempts, next_at=now + pause, error=problem
    )  # fmt: skip


def _allowed(variables: Mapping[str, str]) -> tuple[str, ...]:
    text = variables.get(ALLOWED)
    if text is None:
        return KINDS
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in (*KINDS, "none"):
            raise InvalidRequest(f"{ALLOWED} names {name!r}; there are {', '.join(KINDS)}.")
    return tuple(name for name in names if name != "none")
