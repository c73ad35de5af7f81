"""Wishes that a turn sends to the shell, in the imperative; carried out after the commit.

Belongs here: plain data. An effect may be lost in a crash, so each can be derived again: from the
session's list at reconnect, or from the request that is sent again.
"""

from __future__ import annotations

from typing import Any, Union

from coflux.model import AssetManifest, Record, Resolution, Value
from coflux.server.core.events import Requester


class Execute(Record):
    """Tell the agent to run it, on this connection: on another there may be another process."""

    session: str
    execution: str
    repository: str
    target: str
    type: str
    arguments: dict[str, Value]
    timeout_ms: int = 0
    pickle: str | None = None
    checkpoint: bool = False
    #: Identity of the code that is expected to run; with `exact`, no other may.
    code: str | None = None
    exact: bool = False
    scheduled_at: int | None = None
    connection: int | None = None


class Abort(Record):
    """Tell the agent to stop its process group."""

    session: str
    execution: str
    now: bool = False


class Welcome(Record):
    """Tell a connected agent what it should hold."""

    session: str
    keep: tuple[str, ...]


class Close(Record):
    """Close a session's connection, with the reason."""

    session: str
    connection: int | None
    reason: str
    final: bool = False


class Notify(Record):
    """Tell the agent something that its user should know."""

    session: str
    text: str


class Retire(Record):
    """Tell the agent to drain and end."""

    session: str


class Launch(Record):
    """Start an agent of a pool."""

    launch: str
    pool: str
    launcher: str


class StopLaunch(Record):
    """Have the launcher stop an agent: in good order, or `now`."""

    launch: str
    pool: str
    launcher: str
    now: bool = False


class Submitted(Record):
    """Answer: these executions exist now. `is_new` is False for a known idempotency key."""

    to: Requester
    executions: tuple[str, ...]
    is_new: bool = True


class Outcome(Record):
    """Where a handle's links lead, and how that ended; None = ask the store.

    `execution`: for an input, itself.
    """

    handle: str
    execution: str
    result: Resolution | None


class Answer(Record):
    """Answer: what was waited for."""

    to: Requester
    outcomes: tuple[Outcome, ...]
    executions: tuple[str, ...] = ()
    also: tuple[Outcome, ...] = ()


class Expire(Record):
    """Answer: the time is up."""

    to: Requester


class Confirm(Record):
    """Answer: it has been done; `data` says what."""

    to: Requester
    data: dict[str, Any] = {}


class GiveAsset(Record):
    """Answer: the id and files of an asset."""

    to: Requester
    asset: str
    manifest: AssetManifest | None = None


class GiveInput(Record):
    """Answer: the id of the input."""

    to: Requester
    input: str


class Refuse(Record):
    """Answer: no, nothing was changed (ER-4)."""

    to: Requester
    code: str
    message: str
    field: str | None = None


Effect = Union[
    Execute, Abort, Welcome, Close, Notify, Retire, Launch, StopLaunch,
    Submitted, Answer, Expire, Confirm, GiveAsset, GiveInput, Refuse,
]  # fmt: skip
