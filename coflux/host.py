"""The seam between the SDK and whoever serves it while user code runs.

Belongs here: what an executor must offer to the code inside it, and the slot that holds it. Does
not belong here: sockets, processes, and what the functions for users look like (`context`).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coflux.errors import NotInExecution
from coflux.model import AssetManifest, Group, MetricDefinition, Question, Submission, Value
from coflux.wire import Outcome

if TYPE_CHECKING:
    from coflux.client.client import Client
    from coflux.target import Target


class Ticket(Protocol):
    """A child that has been asked for; its id comes with the server's answer."""

    def id(self) -> str:
        """Wait for the answer. Raises the refusal, if it was refused."""

    def known(self) -> str | None:
        """The id, if the answer is there already."""


class Host(Protocol):
    """What running user code can ask for. Methods raise `Refused` where the server refuses."""

    #: The execution that runs, `RUN:STEP:ATTEMPT`.
    execution: str
    #: The target that runs.
    target: Target[Any, Any]
    #: Blob stores, for encoding and decoding.
    blobs: Any

    @property
    def scheduled_at(self) -> int | None:
        """The instant of the schedule that started the run, in ms UTC."""

    @property
    def directory(self) -> Path:
        """Where it works: its own temporary directory."""

    def encode(self, obj: object, path: str) -> Value:
        """Encode a value; `path` names it in errors."""

    def decode(self, value: Value) -> Any:
        """The object, with handles that ask this host."""

    def submit(self, submission: Submission) -> Ticket:
        """Ask for a child without waiting for the answer."""

    def submit_many(self, submissions: Iterable[Submission]) -> Sequence[Ticket]:
        """Ask for many children in as few round trips as may be, without waiting."""

    def call(self, submission: Submission) -> Outcome:
        """Ask for a child and wait for its resolved outcome."""

    def group(self, name: str | None) -> Group:
        """The next group of children."""

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

    def resolve_later(
        self, handle: str, *, timeout_ms: int | None, suspend: bool
    ) -> Awaitable[Outcome | None]:
        """As `resolve`, for the running event loop."""

    def cancel(self, handles: Sequence[str]) -> None:
        """Cancel the executions."""

    def suspend(self, delay_ms: int) -> None:
        """End the attempt; does not return."""

    def checkpoint(self, arguments: dict[str, Value]) -> None:
        """Store arguments for later attempts; durable when it returns."""

    def persist(self, manifest: AssetManifest) -> str:
        """Record an asset whose blobs are stored; returns its id."""

    def ask(self, question: Question) -> str:
        """Ask a person; returns the id of the input."""

    def manifest(self, asset: str) -> AssetManifest:
        """The files of an asset; records the dependency."""

    def log(self, level: str, template: str, values: dict[str, Value]) -> None:
        """Write a log entry."""

    def encode_for_log(self, obj: object, label: str) -> Value:
        """Encode a value of a log entry; contents of secrets are hidden in it."""

    def secret(self, name: str) -> str:
        """The content of a secret; raises `NotFound` where the agent has none of that name."""

    def measure(
        self,
        key: str,
        value: float | None,
        at: float | None,
        definition: MetricDefinition,
        throttle: float | None,
    ) -> None:
        """Record a point of a metric (value None: define it only), at most `throttle` per second.

        Raises `ValueError` where the key is defined otherwise here.
        """

    def open_progress(self, name: str, place: str) -> str:
        """A key for a progress bar that no open bar has, and none of another place in the code."""

    def close_progress(self, key: str) -> None:
        """The bar has ended."""


#: The timeout in ms of the innermost `suspense` block; None outside of one.
suspense_block: ContextVar[int | None] = ContextVar("coflux_suspense", default=None)
#: The innermost group, which children carry.
group_block: ContextVar[Group | None] = ContextVar("coflux_group", default=None)

_host: Host | None = None
_provider: Callable[[], Host | None] | None = None


def enter(host: Host | None) -> None:
    """Let user code be served by `host` from now on (None: by nobody)."""
    global _host
    _host = host


def provide(provider: Callable[[], Host | None] | None) -> None:
    """Let `provider` say which host serves whoever asks, where a process has more than one."""
    global _provider
    _provider = provider


def current() -> Host | None:
    """The host of the execution that runs in this process, if any."""
    return _host if _provider is None else _provider()


def require(what: str) -> Host:
    """The host; raises `NotInExecution`, naming `what` was asked for."""
    host = current()
    if host is None:
        raise NotInExecution(f"{what} can only be used inside an execution")
    return host


def client() -> Client | None:
    """The client of `coflux.connect()`, if this process is connected."""
    # Imported only where somebody has connected: the client brings HTTP with it.
    module = sys.modules.get("coflux.client.client")
    found: Client | None = module.current() if module is not None else None
    return found
