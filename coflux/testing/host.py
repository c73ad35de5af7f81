"""The host of an execution in an engine: what running code asks becomes an event of the core.

Belongs here: what user code may ask for. Does not belong here: when it runs (`engine`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from coflux import values
from coflux.errors import REFUSALS, NotFound, Refused, WaitCycle
from coflux.handles import make_handle
from coflux.model import AssetManifest, Group, MetricDefinition, Question, Submission, Value
from coflux.secret import Secret
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.target import Target
from coflux.testing.baton import Runner, Stopped
from coflux.wire import Outcome

if TYPE_CHECKING:
    from coflux.testing.engine import Engine

#: Turns of an event loop in which nothing happens before it counts as idle.
_IDLE_TURNS = 3


@dataclass(frozen=True)
class Logged:
    """A line that an execution logged with `cf.log_…`."""

    execution: str
    level: str
    template: str
    values: dict[str, Any]


class _Child:
    """A child that was asked for (`coflux.host.Ticket`)."""

    def __init__(self, answer: Any, index: int) -> None:
        self._answer = answer
        self._index = index

    def id(self) -> str:
        if isinstance(self._answer, fx.Submitted):
            return self._answer.executions[self._index]
        raise refusal(self._answer)

    def known(self) -> str | None:
        return self.id() if isinstance(self._answer, fx.Submitted) else None


class EngineHost:
    """The host (`coflux.host.Host`) of one execution."""

    def __init__(
        self, engine: Engine, session: str, execution: str, target: Target[Any, Any] | None,
        scheduled_at: int | None,
    ) -> None:  # fmt: skip
        self.execution = execution
        self.scheduled_at = scheduled_at
        self.is_stopped = False
        self.runner: Runner | None = None
        #: None only for a fake of what is nowhere.
        self.target: Any = target
        self.blobs: Any = engine.blobs
        self._engine = engine
        self._session = session
        self._keys = itertools.count(1)
        self._groups = itertools.count()
        self._bars: set[str] = set()
        #: Where in the code the keys of bars belong.
        self._places: dict[str, str] = {}
        self._definitions: dict[str, MetricDefinition] = {}
        #: Answers by the key of the request; turns of threads that wait for them.
        self.answers: dict[int, Any] = {}
        self.turns: dict[int, threading.Semaphore] = {}
        #: Requests of coroutines without an answer that was taken.
        self._awaited: set[int] = set()
        self._seen: dict[str, Outcome] = {}
        #: Grows with each request and answer.
        self._activity = 0
        self._directory: Path | None = None

    @property
    def directory(self) -> Path:
        """Its own temporary directory, which is also the working directory of its code."""
        if self._directory is None:
            self._directory = self._engine.folder / self.execution.replace(":", "-")
            self._directory.mkdir(parents=True)
        return self._directory

    # --- values ---------------------------------------------------------------------------------

    def encode(self, obj: object, path: str) -> Value:
        """Encode a value; all of it stays in memory."""
        return values.encode(obj, blobs=None, path=path)

    def encode_for_log(self, obj: object, label: str) -> Value:
        """Encode a value of a log entry."""
        return self.encode(obj, f"log value {label}")

    def decode(self, value: Value) -> Any:
        """The object, with handles for its references."""
        return values.decode(
            value, blobs=None, make_handle=make_handle, make_secret=Secret
        )  # fmt: skip

    # --- children -------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> _Child:
        """Ask for a child."""
        return self.submit_many([submission])[0]

    def submit_many(self, submissions: Iterable[Submission]) -> list[_Child]:
        """Ask for many children."""
        calls = tuple(submissions)
        answer = self._answer(lambda to: e.StepsRequested(to, calls), calls)
        return [_Child(answer, index) for index in range(len(calls))]

    def call(self, submission: Submission) -> Outcome:
        """Ask for a child and wait for its outcome."""
        calls = (submission,)
        answer = self._answer(lambda to: e.StepsRequested(to, calls, True), calls)
        if isinstance(answer, fx.Refuse):
            raise refusal(answer)
        return self._outcome(answer)

    def group(self, name: str | None) -> Group:
        """The next group."""
        return Group(next(self._groups), name)

    # --- waiting --------------------------------------------------------------------------------

    def resolve(
        self,
        handles: Sequence[str],
        *,
        timeout_ms: int | None,
        suspend: bool,
        first: bool = False,
        cancel_remaining: bool = False,
    ) -> Outcome | None:
        """Wait for the (first) resolved outcome; None when the time is up."""
        if not cancel_remaining and handles[0] in self._seen:
            return self._seen[handles[0]]
        answer = self._ask(
            lambda to: e.WaitRequested(
                to, tuple(handles), timeout_ms, suspend, first, cancel_remaining
            )
        )
        return None if isinstance(answer, fx.Expire) else self._outcome(answer)

    async def resolve_later(
        self, handle: str, *, timeout_ms: int | None, suspend: bool
    ) -> Outcome | None:
        """As `resolve`, while other coroutines of the execution go on."""
        if handle in self._seen:
            return self._seen[handle]
        key = self._request(lambda to: e.WaitRequested(to, (handle,), timeout_ms, suspend))
        self._awaited.add(key)
        idle = 0
        while key not in self.answers:
            before = self._activity
            await asyncio.sleep(0)
            idle = idle + 1 if self._activity == before else 0
            if idle > _IDLE_TURNS and key not in self.answers:
                # All others wait as well: let the engine go on until any of them is answered.
                self._wait([each for each in self._awaited if each not in self.answers])
                idle = 0
        self._awaited.discard(key)
        answer = self._taken(key)
        if isinstance(answer, fx.Refuse):
            raise refusal(answer)
        return None if isinstance(answer, fx.Expire) else self._outcome(answer)

    def _outcome(self, answer: fx.Answer) -> Outcome:
        for each in answer.outcomes:
            assert each.result is not None
            found = Outcome(each.handle, each.execution, each.result)
            self._seen.setdefault(each.handle, found)
        return self._seen[answer.outcomes[0].handle]

    # --- other requests -------------------------------------------------------------------------

    def cancel(self, handles: Sequence[str]) -> None:
        """Cancel the executions."""
        self._ask(lambda to: e.CancelRequested(to, tuple(handles)))

    def suspend(self, delay_ms: int) -> NoReturn:
        """End the attempt."""
        self._ask(lambda to: e.SuspensionRequested(to, delay_ms))
        raise AssertionError("a suspension is not answered")

    def checkpoint(self, arguments: dict[str, Value]) -> None:
        """Store arguments for later attempts."""
        self._ask(lambda to: e.CheckpointRequested(to, arguments))

    def persist(self, manifest: AssetManifest) -> str:
        """Record an asset."""
        from coflux import assets

        digest = assets.digest(manifest)
        answer: fx.GiveAsset = self._ask(lambda to: e.AssetPersisted(to, manifest, digest))
        return answer.asset

    def ask(self, question: Question) -> str:
        """Ask the person that the test plays."""
        from coflux.server import schemas

        schemas.check_question(question)
        answer: fx.GiveInput = self._ask(lambda to: e.InputRequested(to, question))
        placeholders = {name: self.decode(v) for name, v in question.placeholders.items()}
        self._engine.people.notice(answer.input, placeholders)
        return answer.input

    def manifest(self, asset: str) -> AssetManifest:
        """The files of an asset."""
        answer: fx.GiveAsset = self._ask(lambda to: e.AssetRequested(to, asset))
        assert answer.manifest is not None
        return answer.manifest

    def log(self, level: str, template: str, values: dict[str, Value]) -> None:
        """Kept in the engine."""
        shown = {label: self.decode(value) for label, value in values.items()}
        self._engine.logs.append(Logged(self.execution, level, template, shown))

    def secret(self, name: str) -> str:
        """From the engine's secrets, or a variable."""
        found = self._engine.secrets.get(name, os.environ.get(name))
        if found is None:
            raise NotFound(
                f"there is no secret {name!r} in this test; put it into `engine.secrets`"
            )
        return found

    def measure(
        self,
        key: str,
        value: float | None,
        at: float | None,
        definition: MetricDefinition,
        throttle: float | None,
    ) -> None:
        """All points are kept in the engine."""
        known = self._definitions.setdefault(key, definition)
        if known != definition and "metric" in (known.kind, definition.kind):
            raise ValueError(f"metric {key!r} is defined otherwise in this execution")
        if value is not None:
            points = self._engine.metrics.setdefault(key, [])
            points.append((self._engine.elapsed(self.execution) if at is None else at, value))

    def open_progress(self, name: str, place: str) -> str:
        """A key that no open bar has, and none of another place in the code."""
        names = (name if n == 1 else f"{name} {n}" for n in itertools.count(1))
        key = next(
            each
            for each in names
            if each not in self._bars and self._places.get(each, place) == place
        )
        self._bars.add(key)
        self._places[key] = place
        return key

    def close_progress(self, key: str) -> None:
        """The bar has ended."""
        self._bars.discard(key)

    # --- asking ---------------------------------------------------------------------------------

    def _ask(self, event: Any) -> Any:
        answer = self._answer(event)
        if isinstance(answer, fx.Refuse):
            raise refusal(answer)
        return answer

    def _answer(self, event: Any, calls: tuple[Submission, ...] = ()) -> Any:
        key = self._request(event, calls)
        if key not in self.answers:
            self._wait([key])
        return self._taken(key)

    def _request(self, event: Any, calls: tuple[Submission, ...] = ()) -> int:
        self._check()
        key = next(self._keys)
        self._activity += 1
        for call in calls:
            self._engine.host(call)
        self._engine.put(event(e.Code(self._session, self.execution, key)))
        self._check()
        return key

    def _wait(self, keys: list[int]) -> None:
        turn = threading.Semaphore(0)
        for key in keys:
            self.turns[key] = turn
        assert self.runner is not None
        self.runner.wait(turn)
        self._check()

    def _taken(self, key: int) -> Any:
        self._activity += 1
        return self.answers.pop(key)

    def _check(self) -> None:
        if self.is_stopped:
            raise Stopped


def refusal(answer: fx.Refuse) -> Exception:
    """The exception that a refusal stands for."""
    message = answer.message
    return (
        WaitCycle(message)
        if answer.code == "cycle"
        else (REFUSALS.get(answer.code, Refused)(message))
    )
