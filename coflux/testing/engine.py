"""The engine: the core's decisions, executions in threads by turns, and a clock that jumps.

Belongs here: driving. Does not belong here: decisions (the core), what running code may ask for
(`host`), what stands for which target (`fakes`).
"""

from __future__ import annotations

import inspect
import itertools
import os
import random
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from coflux import host as hosts
from coflux import model, signature, values
from coflux.blobs import LocalBlobs
from coflux.handles import make_handle
from coflux.options import Time, milliseconds
from coflux.remote_errors import describe, exception_for
from coflux.secret import Secret
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.limits import Limits
from coflux.server.core.machine import Machine
from coflux.server.core.reasons import reason
from coflux.target import Target, run_coroutine
from coflux.testing.baton import Runner, Stopped, Turns
from coflux.testing.fakes import Catalogue, Fakes, name_of, put
from coflux.testing.host import EngineHost, Logged, refusal
from coflux.testing.people import DISMISS, Asked, People
from coflux.testing.records import Step

#: When the clock of an engine begins.
BEGINNING = datetime(2024, 1, 1, tzinfo=timezone.utc)
#: Without a limit of its own, a wait lets the clock run on for so long.
_PATIENCE_MS = 366 * 24 * 3600 * 1000
#: Turns and jumps after which a wait counts as one without end.
_MOST = 200_000
_ENVIRONMENT = "default"
_MEMORY = "/dev/shm"


class NothingLeft(AssertionError):
    """A run cannot go on: nothing runs, nothing is due. The message says what waits for what."""


class _Source:
    """Ids in order, and numbers from a seed: the same test, the same history."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers: dict[str, int] = {}

    def id(self, prefix: str) -> str:
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{self._numbers[prefix]}"

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class TestRun:
    """A run in an engine."""

    #: Not a class of tests, whatever its name begins with.
    __test__ = False

    def __init__(self, engine: Engine, id: str) -> None:
        self.engine = engine
        self.id = id

    def result(self) -> Any:
        """Let the engine go on until the outcome is there; returns its value, or raises.

        Raises what a waiter would get, or `NothingLeft`.
        """
        return self.engine._result_of(self.id)

    @property
    def status(self) -> str:
        """`queued`, `running`, `suspended`, `succeeded`, `failed` or `cancelled`, as it is now."""
        state = self.engine.machine.state
        run = state.runs[self.id]
        return run.status or state.run_status(run, self.engine.now_ms)

    def steps(self, target: object = None) -> list[Step]:
        """The steps, or those of one target, in the order of their numbers."""
        wanted = name_of(target) if target is not None else None
        found = self.engine._steps_of(self.id)
        return [step for step in found if wanted in (None, step.target)]

    def cancel(self) -> None:
        """Cancel all of it."""
        self.engine.ask(lambda to: e.CancelRequested(to, (self.id,)))

    def __repr__(self) -> str:
        return f"<TestRun {self.id} {self.status}>"


class Engine:
    """An orchestrator in memory, with one agent. A context manager.

    Code of executions runs in threads of this process, one at a time, and only while the test is
    in a call of the engine. The clock stands still while code runs, and jumps to the next instant
    at which something is due when nothing runs.

    `answers` are what a person says at once to a prompt, by the prompt itself, its key or its
    template: a value, `coflux.testing.DISMISS`, or a function of the placeholders.
    """

    def __init__(
        self, *, concurrency: int = 100, seed: int = 0, answers: Mapping[Any, Any] | None = None
    ) -> None:
        self.machine = Machine(_Source(seed), Limits())
        #: The clock in ms UTC.
        self.now_ms = int(BEGINNING.timestamp() * 1000)
        #: What was logged with `cf.log_…`, in order.
        self.logs: list[Logged] = []
        #: Points of metrics, all of them, as (at, value) by key.
        self.metrics: dict[str, list[tuple[float, float]]] = {}
        #: Contents for `cf.Secret`, by name.
        self.secrets: dict[str, str] = {}
        #: Who answers prompts; `answers` are those given at once.
        self.people = People(self, answers or {})
        self._calls: dict[str, list[dict[str, Any]]] = {}
        self._catalogue = Catalogue()
        self._hosted: dict[tuple[str, str], model.Definition] = {}
        self._hosts: dict[str, EngineHost] = {}
        self._active: EngineHost | None = None
        self._turns = Turns()
        self._runnable: deque[tuple[EngineHost, threading.Semaphore]] = deque()
        self._tokens = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._lock = threading.RLock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._keep(self.machine.start(self.now_ms).effects)
        confirmed = self.ask(lambda to: e.SessionRequested(to, _ENVIRONMENT, b""))
        self._session: str = confirmed.data["session"]
        self._concurrency = concurrency
        self.put(e.SessionConnected(self._session, 1, "test", (), concurrency))

    # --- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs."""
        for host in list(self._hosts.values()):
            self._stop(host)
        while self._runnable:
            self._give_turn()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """A temporary directory that lives as long as the engine."""
        if self._folder is None:
            # In memory, where the machine has that: a busy disk takes longer than the test.
            where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
            self._folder = tempfile.TemporaryDirectory(prefix="coflux-test-", dir=where)
        return Path(self._folder.name)

    @cached_property
    def blobs(self) -> Any:
        """Where the files of assets are kept."""
        return LocalBlobs(self.folder / "blobs")

    # --- for tests ------------------------------------------------------------------------------

    def run(self, target: Target[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a target to its end; returns its value, or raises what it raised.

        Raises `NothingLeft` where it cannot end.
        """
        return self.submit(target, *args, **kwargs).result()

    def submit(self, target: Target[..., Any], /, *args: Any, **kwargs: Any) -> TestRun:
        """Start a run; it goes on with the next `result`, `advance` or `settle`."""
        if not isinstance(target, Target):
            raise TypeError(f"an engine runs decorated functions, not {target!r}")
        self._catalogue.add(target)
        submission = target.submission(args, kwargs, _encode)
        self.host(submission)
        submitted = self.ask(lambda to: e.RunRequested(to, _ENVIRONMENT, submission))
        return TestRun(self, submitted.executions[0].partition(":")[0])

    def fake(self, target: object, function: Callable[..., Any]) -> Fakes:
        """Let a target (or `"repository/name"`) be this function, from now on or in a `with`."""
        return put(self._catalogue.fakes, target, function)

    def calls(self, target: object) -> list[dict[str, Any]]:
        """The arguments, by name, of each time that a target, or its fake, was really called."""
        return list(self._calls.get(name_of(target), ()))

    def inputs(self) -> list[Asked]:
        """The questions that are open now, oldest first."""
        return self.people.open()

    def respond(self, which: object, answer: Any) -> None:
        """Answer a question, once all that can run without time passing has run.

        `which` is a prompt, its key or template, or an input's id; `answer` is JSON or an object
        of the prompt's model. Raises `LookupError` where not exactly one open question is meant,
        `InvalidRequest` for an answer that does not fit.
        """
        self.settle()
        self.people.respond(self.people.find(which), answer)

    def dismiss(self, which: object) -> None:
        """Refuse to answer a question; as `respond`."""
        self.respond(which, DISMISS)

    @property
    def now(self) -> datetime:
        """The clock."""
        return datetime.fromtimestamp(self.now_ms / 1000, timezone.utc)

    def advance(self, time: Time) -> None:
        """Let this much time pass, and all happen that is due in it."""
        until_ms = self.now_ms + milliseconds(time, "time")
        self._drive(lambda: False, until_ms)
        self.now_ms = max(self.now_ms, until_ms)

    def advance_to(self, instant: datetime) -> None:
        """Let time pass until an instant."""
        if instant < self.now:
            raise ValueError(f"the clock is at {self.now} already; it does not go back")
        self.advance(instant - self.now)

    def settle(self) -> None:
        """Let all run that can, without any time passing."""
        self.advance(timedelta())

    # --- outcomes -------------------------------------------------------------------------------

    def _result_of(self, run: str) -> Any:
        state = self.machine.state
        execution = f"{run}:1:1"
        if not self._drive(lambda: state.is_resolved(execution), self.now_ms + _PATIENCE_MS):
            raise NothingLeft(self._story(run))
        id, end = state.end_of(execution)
        assert end is not None
        assert end.result is not None
        if isinstance(end.result, model.Returned):
            return _decode(end.result.value)
        raise exception_for(end.result, id)

    def _story(self, run: str) -> str:
        state = self.machine.state
        if self.machine.next_deadline() is None:
            head = f"run {run} cannot go on; nothing runs and nothing is due:"
        else:
            head = f"run {run} has not ended after a year of the engine's clock:"
        lines, lacks_code = [head], False
        for each in state.runs.values():
            for execution in each.unfinished.values():
                call = execution.step.submission
                what = f"{execution.id} {model.target_id(call.repository, call.target)}"
                if execution.status == "queued":
                    why = reason(state, self.machine.agenda, execution, self.now_ms)
                    lines.append(f"  {what} is queued: {why.text}")
                    lacks_code = lacks_code or why.code == "agent"
                else:
                    lines.append(f"  {what} is {execution.status.value}")
        for asked in self.people.open():
            lines.append(f"  input {asked.id} is open: {asked.message!r}; engine.respond(…)")
        if lacks_code:
            lines.append(
                "A target that is not in this process can be faked: engine.fake(target, …)."
            )
        return "\n".join(lines)

    def _steps_of(self, id: str) -> list[Step]:
        run = self.machine.state.runs[id]
        return [
            Step(
                step.id,
                model.target_id(step.submission.repository, step.submission.target),
                step.parent.rpartition(":")[0] if step.parent else None,
                {name: _decode(value) for name, value in step.submission.arguments.items()},
                tuple(
                    model.result_kind(e.result) if e.result is not None else e.status.value
                    for e in step.executions
                ),
            )
            for step in run.steps.values()
        ]

    def elapsed(self, execution: str) -> float:
        """Seconds since an execution started."""
        started = self.machine.state.executions[execution].started_at
        return (self.now_ms - (started or self.now_ms)) / 1000

    # --- driving --------------------------------------------------------------------------------

    def _drive(self, is_done: Callable[[], bool], until_ms: int) -> bool:
        """Let things happen until it is done, or the clock is at `until_ms`."""
        for _ in range(_MOST):
            if is_done():
                return True
            if self._runnable:
                self._give_turn()
            elif not self._jump(until_ms):
                return is_done()
        raise NothingLeft(
            f"after {_MOST:,} steps it is still not done; does something repeat without end?"
        )

    def _jump(self, until_ms: int) -> bool:
        """Move the clock to the next instant at which something is due; False for none."""
        due = self.machine.next_deadline()
        if due is None or due > until_ms:
            return False
        self.now_ms = max(self.now_ms, due)
        self.put(e.TimePassed())
        return True

    def _give_turn(self) -> None:
        host, turn = self._runnable.popleft()
        directory = os.getcwd()
        self._active = host
        hosts.provide(self._serving)
        try:
            os.chdir(host.directory)
            self._turns.give(turn)
        finally:
            os.chdir(directory)
            hosts.provide(None)
            self._active = None

    def _serving(self) -> EngineHost | None:
        return self._active

    # --- events and effects ---------------------------------------------------------------------

    def put(self, event: e.Event) -> None:
        """Have an event decided, and carry out what follows."""
        with self._lock:
            self._keep(self.machine.handle(event, self.now_ms).effects)

    def ask(self, event: Callable[[e.Caller], e.Event]) -> Any:
        """Have an event decided that wants an answer; raises its refusal."""
        token = next(self._tokens)
        self.put(event(e.Caller(token, "test")))
        answer = self._answers.pop(token)
        if isinstance(answer, fx.Refuse):
            raise refusal(answer)
        return answer

    def _keep(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Execute):
                self._execute(effect)
            elif isinstance(effect, fx.Abort):
                self._abort(effect.execution)
            elif isinstance(
                effect,
                fx.Submitted
                | fx.Answer
                | fx.Expire
                | fx.Confirm
                | fx.GiveAsset
                | fx.GiveInput
                | fx.Refuse,
            ):
                self._deliver(effect)

    def _deliver(self, effect: Any) -> None:
        if isinstance(effect.to, e.Caller):
            self._answers[effect.to.token] = effect
            return
        host = self._hosts.get(effect.to.execution)
        if host is None:
            return
        host.answers[effect.to.key] = effect
        turn = host.turns.pop(effect.to.key, None)
        if turn is not None:
            self._wake(host, turn)

    def _wake(self, host: EngineHost, turn: threading.Semaphore) -> None:
        host.turns = {key: each for key, each in host.turns.items() if each is not turn}
        self._runnable.append((host, turn))

    def host(self, submission: model.Submission) -> None:
        """Let the agent have what a call needs, if it is in this process or faked."""
        place = (submission.repository, submission.target)
        if place in self._hosted:
            return
        definition = self._catalogue.definition(submission)
        if definition is None:
            return
        self._hosted[place] = definition
        repositories: dict[str, list[model.Definition]] = {}
        for (repository, _), each in self._hosted.items():
            repositories.setdefault(repository, []).append(each)
        announced = tuple(e.Repository(name, tuple(each)) for name, each in repositories.items())
        self.put(e.TargetsAnnounced(self._session, announced))

    # --- executions -----------------------------------------------------------------------------

    def _execute(self, execute: fx.Execute) -> None:
        found = self._catalogue.find(execute.repository, execute.target)
        host = EngineHost(self, self._session, execute.execution, found, execute.scheduled_at)
        self._hosts[execute.execution] = host
        host.runner = Runner(self._turns, lambda: self._work(host, execute))
        self._runnable.append((host, host.runner.begin))

    def _work(self, host: EngineHost, execute: fx.Execute) -> None:
        """In the execution's own thread: run the function, and report how it ended."""
        id = execute.execution
        try:
            if host.is_stopped:
                raise Stopped
            self.put(e.ExecutionStarted(self._session, id))
            result = self._run(host, execute)
        except Stopped:
            result = None
        del self._hosts[id]
        if result is None or host.is_stopped:
            self.put(e.ProcessDied(self._session, id))
        else:
            self.put(e.OutcomeReported(self._session, id, result))

    def _run(self, host: EngineHost, execute: fx.Execute) -> model.Result:
        name = model.target_id(execute.repository, execute.target)
        found = self._catalogue.find(execute.repository, execute.target)
        function = self._catalogue.fakes.get(name)
        try:
            args, kwargs = _arguments(found, execute.arguments, host.decode)
            self._calls.setdefault(name, []).append(_by_name(found, args, kwargs))
            if function is None:
                assert found is not None, "only what is here, or faked, is hosted"
                function = found.__wrapped__
            value = _call(function, args, kwargs)
            return model.Returned(host.encode(value, "result"))
        except Stopped:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever leaves the function is its outcome
            return _raised(found, error)

    def _abort(self, id: str) -> None:
        host = self._hosts.get(id)
        if host is not None:
            self._stop(host)

    def _stop(self, host: EngineHost) -> None:
        host.is_stopped = True
        for turn in dict.fromkeys(host.turns.values()):
            self._wake(host, turn)


def _encode(obj: object, path: str) -> model.Value:
    return values.encode(obj, blobs=None, path=path)


def _decode(value: model.Value) -> Any:
    if value.format == "default":
        return "the default"
    return values.decode(value, blobs=None, make_handle=make_handle, make_secret=Secret)


def _arguments(
    found: Target[Any, Any] | None, encoded: Mapping[str, model.Value], decode: Any
) -> tuple[list[Any], dict[str, Any]]:
    if found is not None:
        return signature.call_arguments(found.__signature__, encoded, decode)
    return [], {name: decode(value) for name, value in encoded.items()}


def _by_name(
    found: Target[Any, Any] | None, args: list[Any], kwargs: dict[str, Any]
) -> dict[str, Any]:
    if found is None:
        return dict(kwargs)
    return dict(found.__signature__.bind(*args, **kwargs).arguments)


def _call(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return run_coroutine(function, args, kwargs)
    return function(*args, **kwargs)


def _raised(found: Target[Any, Any] | None, error: BaseException) -> model.Raised:
    retryable = True
    when = found.when if found is not None else None
    if when is not None:
        try:
            retryable = isinstance(error, when) if isinstance(when, tuple) else bool(when(error))
        except BaseException as failure:  # noqa: BLE001 - user code as well (RE-5)
            error, retryable = failure, False
    return model.Raised(describe(error), retryable)
