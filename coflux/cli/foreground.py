"""The host of a step that runs in the foreground, under a debugger: all calls happen right here.

Belongs here: what user code may ask for while it is debugged. Nothing of it reaches the server but
questions: what earlier executions ended with, which files an asset has. Does not belong here: the
command (`debug`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from coflux import host as hosts
from coflux import signature, values
from coflux.blobs import BlobChain, LocalBlobs
from coflux.errors import NotFound
from coflux.handles import make_handle
from coflux.model import (
    AssetManifest,
    Group,
    MetricDefinition,
    Question,
    Raised,
    Result,
    Returned,
    Submission,
    Value,
    is_input,
    run_of,
)
from coflux.remote_errors import describe, exception_for
from coflux.secret import Secret
from coflux.target import Target, run_coroutine
from coflux.wire import Outcome

if TYPE_CHECKING:
    from coflux.client import Client

Targets = Mapping[str, Mapping[str, Target[Any, Any]]]


class Suspended(BaseException):
    """The step would have been suspended here; the foreground cannot."""


class _Child:
    """A call that was made at once (`coflux.host.Ticket`)."""

    def __init__(self, id: str) -> None:
        self._id = id

    def id(self) -> str:
        return self._id

    def known(self) -> str:
        return self._id


class Foreground:
    """The host (`coflux.host.Host`) of one step. `targets` are those of the code at hand."""

    def __init__(
        self, execution: str, target: Target[Any, Any], client: Client, targets: Targets
    ) -> None:
        self.execution = execution
        self.target = target
        self._client = client
        self._targets = targets
        self._numbers = itertools.count(1)
        self._groups = itertools.count()
        #: Outcomes of calls made here, or what they raised.
        self._outcomes: dict[str, Outcome | BaseException] = {}
        self._assets: dict[str, AssetManifest] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="coflux-debug-")
        folder = Path(self._folder.name)
        #: What is stored stays here; what is asked for may be on the server.
        self.blobs = BlobChain([LocalBlobs(folder / "blobs"), client.blobs])
        self._work = folder / "work"
        self._work.mkdir()
        self._came_from = Path.cwd()

    def __enter__(self) -> Foreground:
        os.chdir(self._work)
        hosts.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        hosts.enter(None)
        os.chdir(self._came_from)
        self._folder.cleanup()

    @property
    def scheduled_at(self) -> int | None:
        """The instant of the schedule that started the run, in ms UTC."""
        at: int | None = self._client.inspect(run_of(self.execution)).get("scheduled_at")
        return at

    @property
    def directory(self) -> Path:
        """A temporary directory, as an execution has one."""
        return self._work

    # --- values ---------------------------------------------------------------------------------

    def encode(self, obj: object, path: str) -> Value:
        """Encode a value, to be kept here."""
        return values.encode(obj, blobs=self.blobs, path=path)

    def encode_for_log(self, obj: object, label: str) -> Value:
        """Encode a value of a log entry."""
        return self.encode(obj, f"log value {label}")

    def decode(self, value: Value) -> Any:
        """The object, with handles for its references."""
        return values.decode(
            value, blobs=self.blobs, make_handle=make_handle, make_secret=Secret
        )  # fmt: skip

    # --- children -------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> _Child:
        """Call the target now; what it raises is raised where its outcome is asked for."""
        id = f"{self.execution}/{next(self._numbers)}"
        try:
            self._outcomes[id] = self.call(submission)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody may handle it later
            self._outcomes[id] = error
        return _Child(id)

    def submit_many(self, submissions: Iterable[Submission]) -> list[_Child]:
        """Call the targets now, one after another."""
        return [self.submit(submission) for submission in submissions]

    def call(self, submission: Submission) -> Outcome:
        """Call the target's function here; what it raises comes with its own traceback."""
        found = self._targets.get(submission.repository, {}).get(submission.target)
        if found is None:
            raise NotFound(
                f"{submission.repository}/{submission.target} is not among the code here; name its"
                " repository with --code as well"
            )
        args, kwargs = signature.call_arguments(
            found.__signature__, submission.arguments, self.decode
        )
        value = self.run(found, args, kwargs)
        return Outcome("", self.execution, Returned(self.encode(value, "result")))

    def run(self, target: Target[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the target's function; raises for the caller what a waiter would get."""
        outer, self.target = self.target, target
        try:
            if target.is_async:
                return run_coroutine(target.__wrapped__, args, kwargs)
            return target.__wrapped__(*args, **kwargs)
        except Exception as error:
            if outer is target:
                raise
            # Caught as it would be elsewhere, and looked at where it was raised.
            remote = exception_for(Raised(describe(error)), self.execution)
            raise remote.with_traceback(error.__traceback__) from None
        finally:
            self.target = outer

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
        """The outcome of a call made here, or of an execution on the server."""
        for handle in handles:
            known = self._outcomes.get(handle)
            if isinstance(known, BaseException):
                raise known
            if known is not None:
                return Outcome(handle, known.execution, known.result)
        seconds = None if timeout_ms is None else timeout_ms / 1000
        if is_input(handles[0]):
            answer = self._client.inputs.wait(handles[0], seconds)
            return Outcome(handles[0], handles[0], Returned(self.encode(answer, "answer")))
        try:
            found = self._client.wait_outcome(handles[0], seconds, encoded=True)
        except TimeoutError:
            if suspend:
                raise Suspended(f"the step waits for {handles[0]} and suspends here") from None
            return None
        result = msgspec.convert(found.body["result"], Result, strict=False)
        return Outcome(handles[0], found.body.get("execution") or handles[0], result)

    async def resolve_later(
        self, handle: str, *, timeout_ms: int | None, suspend: bool
    ) -> Outcome | None:
        """As `resolve`, in a thread."""
        return await asyncio.to_thread(
            self.resolve, [handle], timeout_ms=timeout_ms, suspend=suspend
        )

    def cancel(self, handles: Sequence[str]) -> None:
        """Nothing: what was called here has ended, and what runs elsewhere is left alone."""

    def suspend(self, delay_ms: int) -> None:
        """The foreground ends here."""
        raise Suspended(f"the step suspends here for {delay_ms / 1000:g} s")

    # --- the rest -------------------------------------------------------------------------------

    def checkpoint(self, arguments: dict[str, Value]) -> None:
        """Nothing is stored."""

    def persist(self, manifest: AssetManifest) -> str:
        """Known here only."""
        id = f"debug-{len(self._assets) + 1}"
        self._assets[id] = manifest
        return id

    def ask(self, question: Question) -> str:
        """Nobody: the answer is the one that the run has got to the same question."""
        run = run_of(self.execution)
        for row in self._client.inputs.list(run=run, all=True):
            if (row["message"], row["title"]) == (question.message, question.title):
                return str(row["input"])
        raise NotFound(f"run {run} has not asked {question.message!r}; nobody is asked here")

    def manifest(self, asset: str) -> AssetManifest:
        """The files of an asset."""
        return self._assets.get(asset) or self._client.asset_manifest(asset)

    def log(self, level: str, template: str, values: dict[str, Value]) -> None:
        """Shown on stderr."""
        shown = " ".join(f"{label}={value.preview}" for label, value in values.items())
        sys.stderr.write(f"{level}: {template} {shown}".rstrip() + "\n")

    def secret(self, name: str) -> str:
        """From a variable: the agent's files are not at hand."""
        found = os.environ.get(name)
        if found is None:
            raise NotFound(f"there is no secret {name!r} here; set the variable {name}")
        return found

    def measure(
        self,
        key: str,
        value: float | None,
        at: float | None,
        definition: MetricDefinition,
        throttle: float | None,
    ) -> None:
        """Not kept."""

    def open_progress(self, name: str, place: str) -> str:
        """Any key will do."""
        return name

    def close_progress(self, key: str) -> None:
        """Nothing to do."""
