"""Handles: what user code holds instead of an outcome or a set of files (PY-2).

Belongs here: waiting for an execution or an answer, and restoring an asset. Does not belong here:
who answers (`host` inside an execution, `client` outside), and encoding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from coflux import host as hosts
from coflux.errors import ExecutionError, NotInExecution, NotSerialisable
from coflux.model import AssetManifest, Entry, Reference, Returned
from coflux.options import Time, time_left
from coflux.remote_errors import exception_for
from coflux.wire import Outcome

if TYPE_CHECKING:
    from coflux.client.client import Client

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
D = TypeVar("D")

_local_numbers = itertools.count(1)


class Handle(Generic[T_co]):
    """What can be waited for: an execution, or an input."""

    __slots__ = ("__weakref__",)

    #: What it is called in messages.
    kind = "handle"

    @property
    def id(self) -> str:
        """Its id."""
        raise NotImplementedError

    def result(self, timeout: Time | None = None) -> T_co:
        """Wait for the outcome and return its value.

        With a `timeout` (seconds or timedelta) the builtin `TimeoutError` is raised when it is
        up; without one, waiting inside `cf.suspense` may suspend.
        """
        limit = None if timeout is None else time_left(timeout, "timeout")
        host = hosts.current()
        if host is None:
            return self._result_outside(limit)
        block = hosts.suspense_block.get() if limit is None else None
        if block is not None:
            outcome = host.resolve([self.id], timeout_ms=block, suspend=True)
        else:
            outcome = host.resolve([self.id], timeout_ms=limit, suspend=False)
        if outcome is None:
            raise TimeoutError(f"{self._shown()} has no outcome after {(limit or 0) / 1000:g} s")
        return self._value_of(outcome, host)

    @overload
    def poll(self, timeout: Time | None = None) -> T_co | None: ...
    @overload
    def poll(self, timeout: Time | None = None, *, default: D) -> T_co | D: ...
    @overload
    def poll(self, timeout: Time | None, default: D) -> T_co | D: ...

    def poll(self, timeout: Time | None = None, default: Any = None) -> Any:
        """The value if it is there within `timeout` (None: at once), else `default`.

        Never suspends. Raises as `result` for a bad outcome.
        """
        limit = 0 if timeout is None else time_left(timeout, "timeout")
        host = hosts.current()
        if host is None:
            try:
                return self.result(limit / 1000)
            except TimeoutError as error:
                if isinstance(error, ExecutionError):
                    raise
                return default
        outcome = host.resolve([self.id], timeout_ms=limit, suspend=False)
        return default if outcome is None else self._value_of(outcome, host)

    def cancel(self) -> None:
        """Cancel it; what has ended stays as it is."""
        if (host := hosts.current()) is not None:
            host.cancel([self.id])
        else:
            self._cancel_outside()

    def __await__(self) -> Generator[Any, None, T_co]:
        return self._await().__await__()

    async def _await(self) -> T_co:
        host = hosts.current()
        if host is None:
            # Late: executors are forked with what is imported, and most need no event loop.
            import asyncio

            return await asyncio.get_running_loop().run_in_executor(None, self.result)
        block = hosts.suspense_block.get()
        outcome = await host.resolve_later(self.id, timeout_ms=block, suspend=block is not None)
        assert outcome is not None, "without a timeout of its own a wait does not expire"
        return self._value_of(outcome, host)

    def _value_of(self, outcome: Outcome, host: hosts.Host) -> T_co:
        return cast(T_co, value_of(outcome, host))

    def _result_outside(self, limit_ms: int | None) -> T_co:
        """The value, for a process that runs no execution."""
        raise NotImplementedError

    def _cancel_outside(self) -> None:
        raise NotImplementedError

    def __coflux_reference__(self) -> Reference:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.__coflux_reference__().id,)

    def __hash__(self) -> int:
        return hash(self.id)

    def _shown(self) -> str:
        return f"{self.kind} {self.id}"

    def __repr__(self) -> str:
        return f"<{self._shown()}>"


class Execution(Handle[T]):
    """One attempt at a step, whose outcome can be waited for.

    The same handle waits for retries, suspensions and whatever else the attempt leads to.
    """

    __slots__ = ("_id", "_local", "_ticket")

    kind = "execution"

    def __init__(self, id: str | None, *, ticket: hosts.Ticket | None = None) -> None:
        self._id = id
        self._ticket = ticket
        self._local: Callable[[], T] | None = None

    @classmethod
    def resolved(cls, outcome: Callable[[], T]) -> Execution[T]:
        """A handle to a call that was made here: `outcome` returns its value or raises."""
        handle = cls(f"local:{next(_local_numbers)}")
        handle._local = outcome
        return handle

    @property
    def id(self) -> str:
        """`RUN:STEP:ATTEMPT`; waits for the server to accept the call. Raises its refusal."""
        if self._id is None:
            assert self._ticket is not None
            self._id = self._ticket.id()
            self._ticket = None
        return self._id

    def result(self, timeout: Time | None = None) -> T:
        """Wait for the outcome and return its value.

        With a `timeout` (seconds or timedelta) the builtin `TimeoutError` is raised when it is
        up; without one, waiting inside `cf.suspense` may suspend.

        Raises `ExecutionError` (also a subclass of the class that was raised), or
        `ExecutionTerminated` for an outcome without one.
        """
        return self._local() if self._local is not None else super().result(timeout)

    @overload
    def poll(self, timeout: Time | None = None) -> T | None: ...
    @overload
    def poll(self, timeout: Time | None = None, *, default: D) -> T | D: ...
    @overload
    def poll(self, timeout: Time | None, default: D) -> T | D: ...

    def poll(self, timeout: Time | None = None, default: Any = None) -> Any:
        """The value if it is there within `timeout` (None: at once), else `default`.

        Never suspends. Raises as `result` for a bad outcome.
        """
        return self._local() if self._local is not None else super().poll(timeout, default)

    def cancel(self) -> None:
        """Cancel it with all that runs for it; what has ended stays as it is."""
        if self._local is None:
            super().cancel()

    async def _await(self) -> T:
        if self._local is None:
            return await super()._await()
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.result)

    def _result_outside(self, limit_ms: int | None) -> T:
        client = client_for(f"waiting for {self._shown()}")
        return cast(T, client.wait(self.id, None if limit_ms is None else limit_ms / 1000))

    def _cancel_outside(self) -> None:
        client_for(f"cancelling {self._shown()}").cancel(self.id)

    def __coflux_reference__(self) -> Reference:
        if self._local is not None:
            raise NotInExecution(f"{self._shown()} was called here; it means nothing elsewhere")
        return Reference("execution", self.id)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Execution) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _shown(self) -> str:
        known = self._id or (self._ticket.known() if self._ticket is not None else None)
        return f"execution {known}" if known else "an execution just submitted"


class Input(Handle[T]):
    """A question to a person, whose answer can be waited for.

    `parse` makes the object that `result` gives out of the answer as JSON; a handle that came in
    a value has none and gives the JSON.
    """

    __slots__ = ("_id", "_parse")

    kind = "input"

    def __init__(self, id: str, parse: Callable[[Any], T] | None = None) -> None:
        self._id = id
        self._parse = parse

    @property
    def id(self) -> str:
        """`RUN/i1`."""
        return self._id

    def result(self, timeout: Time | None = None) -> T:
        """Wait for the answer and return it, as an object of the prompt's model if it has one.

        With a `timeout` (seconds or timedelta) the builtin `TimeoutError` is raised when it is
        up; without one, waiting inside `cf.suspense` may suspend.

        Raises `InputDismissed`, or `ExecutionCancelled` where the input was cancelled.
        """
        return super().result(timeout)

    def _value_of(self, outcome: Outcome, host: hosts.Host) -> T:
        return self._parsed(value_of(outcome, host))

    def _parsed(self, answer: Any) -> T:
        return self._parse(answer) if self._parse is not None else cast(T, answer)

    def _result_outside(self, limit_ms: int | None) -> T:
        client = client_for(f"waiting for {self._shown()}")
        seconds = None if limit_ms is None else limit_ms / 1000
        return self._parsed(client.inputs.wait(self.id, seconds))

    def _cancel_outside(self) -> None:
        client_for(f"cancelling {self._shown()}").inputs.cancel(self.id)

    def __coflux_reference__(self) -> Reference:
        return Reference("input", self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Input) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def value_of(outcome: Outcome, host: hosts.Host) -> Any:
    """The value of a resolved outcome; raises what another outcome stands for."""
    if isinstance(outcome.result, Returned):
        return host.decode(outcome.result.value)
    raise exception_for(outcome.result, outcome.execution)


class Asset:
    """A set of files that an execution persisted, or one entry of it (`asset["sub/file"]`)."""

    __slots__ = ("_entry", "_id")

    def __init__(self, id: str, entry: str | None = None) -> None:
        self._id = id
        self._entry = entry

    @property
    def id(self) -> str:
        """The asset's id; equal content has equal ids."""
        return self._id

    def entries(self) -> list[Entry]:
        """The files, in the order of their paths: `path`, `size` in bytes, `mode`, `media_type`."""
        return list(self._manifest().entries)

    def restore(self, to: str | Path | None = None) -> Path:
        """Write the files to where they were, or below `to`, and return the path.

        Paths are relative to the execution's directory (outside one: the working directory) and
        stay inside it. Restoring again gives the same.
        """
        from coflux import assets

        manifest = self._manifest()
        host = hosts.current()
        if host is not None:
            base, blobs = host.directory, host.blobs
        else:
            base, blobs = Path.cwd(), client_for(f"restoring asset {self._id}").blobs
        path: Path = assets.restore(manifest, base=base, blobs=blobs, to=to, entry=self._entry)
        return path

    def __getitem__(self, path: str) -> Asset:
        if self._entry is not None:
            raise KeyError(f"{self._entry!r} is one entry of asset {self._id}; it has no others")
        return Asset(self._id, path)

    def _manifest(self) -> AssetManifest:
        host = hosts.current()
        if host is not None:
            return host.manifest(self._id)
        return client_for(f"asset {self._id}").asset_manifest(self._id)

    def __coflux_reference__(self) -> Reference:
        if self._entry is not None:
            raise NotSerialisable("one entry of an asset cannot be passed on; pass the asset")
        return Reference("asset", self._id)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._id, self._entry)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asset) and (self._id, self._entry) == (other._id, other._entry)

    def __hash__(self) -> int:
        return hash((self._id, self._entry))

    def __repr__(self) -> str:
        entry = f"[{self._entry!r}]" if self._entry is not None else ""
        return f"<asset {self._id}{entry}>"


def make_handle(reference: Reference) -> Any:
    """The handle that stands for a reference in a decoded value."""
    if reference.kind == "execution":
        return Execution(reference.id)
    if reference.kind == "asset":
        return Asset(reference.id)
    return Input(reference.id)


def client_for(what: str) -> Client:
    """The client of this process; raises `NotInExecution`, naming `what` needs it."""
    client = hosts.client()
    if client is None:
        raise NotInExecution(f"{what} needs an execution, or a connection: coflux.connect()")
    return client
