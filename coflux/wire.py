"""The messages between agent and server, and their encoding. No socket, no clock, no decision.

Both directions send WebSocket binary frames; a frame is one msgpack array of messages, so that
whatever waits travels together.

The agent opens with `Hello` and the server answers `Welcome` or `Goodbye`. After that:

* agent → server: `Numbered` messages. Numbers rise by one within an incarnation. The server
  acknowledges them cumulatively (`Acknowledgement`), always after the commit that covers them; the
  agent keeps what is not acknowledged and sends it again after a reconnect. Every message is
  therefore written so that a second arrival has no further effect.
* A `Request` comes from running user code and is answered by one `Reply` with the same execution
  and key. Replies may be lost in a crash, so the agent also sends again every request that has no
  reply yet (same execution, same key: same answer, SU-10).
* server → agent: the `Instruction` union. Instructions may be lost or repeated; both sides settle
  at each reconnect through `Hello.held` and `Welcome.keep` (SE-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Union

import msgspec

from coflux.model import (
    AssetManifest,
    Definition,
    LogEntry,
    Measurement,
    Question,
    Record,
    Requires,
    Resolution,
    Result,
    Submission,
    Value,
)

#: A peer with another major version is refused (LI-2).
PROTOCOL = 1

#: An agent message may be this long (section 32); larger data travels as blobs.
MAX_MESSAGE = 1024 * 1024
#: A frame carries many messages.
MAX_FRAME = 16 * 1024 * 1024


# --- opening ----------------------------------------------------------------------------------


class Held(Record):
    """An execution that the agent has, with or without a process."""

    execution: str
    state: Literal["assigned", "running"]


class Repository(Record):
    """A repository that a session hosts, or failed to import (CO-6)."""

    name: str
    targets: tuple[Definition, ...] = ()
    #: Traceback of the import that failed.
    failure: str | None = None
    #: What is worth knowing of how it runs there, such as packages that differ (CO-3).
    remarks: tuple[str, ...] = ()


class Hello(Record, tag="hello"):
    """First message of every connection."""

    session: str
    incarnation: str
    repositories: tuple[Repository, ...] = ()
    concurrency: int = 1
    provides: dict[str, tuple[str, ...]] = {}
    accepts: Requires = {}
    generic: bool = False
    python: str = ""
    host: str = ""
    pid: int = 0
    held: tuple[Held, ...] = ()
    protocol: int = PROTOCOL


class Welcome(Record, tag="welcome"):
    """The session is connected. What the agent holds beyond `keep` it stops (SE-4)."""

    keep: tuple[str, ...] = ()


class Goodbye(Record, tag="goodbye"):
    """The connection ends; `final` means the session never revives and a new one is needed."""

    reason: str
    final: bool = False


# --- agent → server: reports ------------------------------------------------------------------


class Acknowledged(Record, tag="acknowledged"):
    """The agent has taken the assignment."""

    execution: str


class Started(Record, tag="started"):
    """The executor process of the execution has begun."""

    execution: str


class Ended(Record, tag="ended"):
    """The outcome of an execution. `gone`: its whole process group is dead."""

    execution: str
    result: Result
    gone: bool = True


class Gone(Record, tag="gone"):
    """The process group of an execution that the server ended is dead (ST-5)."""

    execution: str


class Code(Record, tag="code"):
    """The identity of the code that an execution runs (CO-5)."""

    execution: str
    code: str


class Announced(Record, tag="announced"):
    """The repositories that the session hosts from now on (replaces all)."""

    repositories: tuple[Repository, ...]


class Draining(Record, tag="draining"):
    """No new work, please (SC-10)."""


class Closing(Record, tag="closing"):
    """The agent ends; what it still holds is abandoned at once (SE-3)."""

    reason: str = "closed"


class Logged(Record, tag="logged"):
    """Log lines; they go round the core."""

    entries: tuple[LogEntry, ...]


class Measured(Record, tag="measured"):
    """Points of metrics; they go round the core."""

    entries: tuple[Measurement, ...]


Report = Union[
    Acknowledged, Started, Ended, Gone, Code, Announced, Draining, Closing, Logged, Measured,
]  # fmt: skip


# --- agent → server: requests of running code -------------------------------------------------


class Submit(Record, tag="submit"):
    """Make child steps, in order, all or none. With `wait` the one reply brings the outcome."""

    execution: str
    key: int
    submissions: tuple[Submission, ...]
    wait: bool = False


class Wait(Record, tag="wait"):
    """Wait for the resolved outcome of all handles (or the first, with `first`).

    `timeout_ms`: None = without limit; 0 = only look. `poll`: a look that is no wait (WA-2).
    `suspend`: when time is up, suspend instead of answering (WA-3).
    """

    execution: str
    key: int
    handles: tuple[str, ...]
    timeout_ms: int | None = None
    suspend: bool = False
    first: bool = False
    cancel_remaining: bool = False


class Depend(Record, tag="depend"):
    """Outcomes delivered ahead (`Resolved.also`), now asked for by the code (EN-5). No reply."""

    execution: str
    handles: tuple[str, ...]


class Suspend(Record, tag="suspend"):
    """End this attempt; the next is due after `delay_ms` (WA-4). The reply never comes."""

    execution: str
    key: int
    delay_ms: int = 0


class Cancel(Record, tag="cancel"):
    """Cancel the executions named (CN-6)."""

    execution: str
    key: int
    handles: tuple[str, ...]


class Persist(Record, tag="persist"):
    """Record an asset whose blobs are stored already (AS)."""

    execution: str
    key: int
    manifest: AssetManifest


class Restore(Record, tag="restore"):
    """Ask for an asset's entries; records the dependency."""

    execution: str
    key: int
    asset: str


class Checkpoint(Record, tag="checkpoint"):
    """Store arguments that later attempts of the step start with (RC-5)."""

    execution: str
    key: int
    arguments: dict[str, Value]


class Ask(Record, tag="ask"):
    """Ask a person (IN-1)."""

    execution: str
    key: int
    question: Question


Request = Union[Submit, Wait, Suspend, Cancel, Persist, Restore, Checkpoint, Ask]


class Numbered(Record, tag="n"):
    """A report or request with its number."""

    number: int
    message: Union[
        Acknowledged, Started, Ended, Gone, Code, Announced, Draining, Closing, Logged, Measured,
        Submit, Wait, Depend, Suspend, Cancel, Persist, Restore, Checkpoint, Ask,
    ]  # fmt: skip


# --- server → agent ---------------------------------------------------------------------------


class Execute(Record, tag="execute"):
    """Run this execution."""

    execution: str
    repository: str
    target: str
    target_type: str
    arguments: dict[str, Value]
    timeout_ms: int = 0
    #: Blob of the pickled function; None = import it from the repository.
    pickle: str | None = None
    #: True when `arguments` are a checkpoint's.
    checkpoint: bool = False
    #: Identity of the code that is expected to run; with `exact`, no other may (RR-3).
    code: str | None = None
    exact: bool = False
    #: The instant of the schedule that started the run, in ms UTC (SD-2).
    scheduled_at: int | None = None


class Abort(Record, tag="abort"):
    """Stop the execution's process group: SIGINT, grace, SIGKILL. `now`: SIGKILL at once (WA-5)."""

    execution: str
    now: bool = False


class Notice(Record, tag="notice"):
    """Something that the agent's user should know; the agent does nothing else about it."""

    text: str


class Acknowledgement(Record, tag="ack"):
    """Everything up to this number is on disk."""

    number: int


class Submitted(Record, tag="submitted"):
    """The executions of a `Submit`, in order (for a memo hit, the one that was there)."""

    executions: tuple[str, ...]


class Outcome(Record):
    """The resolved outcome of a handle: the execution its links lead to, and how that ended.

    An input leads to itself.
    """

    handle: str
    execution: str
    result: Resolution


class Resolved(Record, tag="resolved"):
    """What was waited for. `also`: outcomes of other children, ahead of being asked for."""

    outcomes: tuple[Outcome, ...]
    #: The executions of a `Submit` with `wait`.
    executions: tuple[str, ...] = ()
    also: tuple[Outcome, ...] = ()


class Expired(Record, tag="expired"):
    """The time of a `Wait` is up."""


class Persisted(Record, tag="persisted"):
    """The id of the asset."""

    asset: str


class Restored(Record, tag="restored"):
    """The files of the asset."""

    asset: str
    manifest: AssetManifest


class Asked(Record, tag="asked"):
    """The id of the input."""

    input: str


class Done(Record, tag="done"):
    """The request has been carried out."""


class Refusal(Record, tag="refusal"):
    """The request was refused and changed nothing (ER-4). `code` is a key of `errors.REFUSALS`,
    or `cycle`."""

    code: str
    message: str


Answer = Union[Submitted, Resolved, Expired, Persisted, Restored, Asked, Done, Refusal]


class Reply(Record, tag="reply"):
    """The answer to the request with this key of this execution."""

    execution: str
    key: int
    answer: Answer


class Retire(Record, tag="retire"):
    """Drain and end: the session's pool wants it gone, or an operator does."""


Instruction = Union[Welcome, Goodbye, Execute, Abort, Acknowledgement, Reply, Retire, Notice]


# --- encoding ---------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_from_agent = msgspec.msgpack.Decoder(list[Union[Hello, Numbered]])
_from_server = msgspec.msgpack.Decoder(list[Instruction])


def encode(messages: Sequence[Hello | Numbered | Instruction]) -> bytes:
    """One frame."""
    return _encoder.encode(messages)


def decode_from_agent(frame: bytes) -> list[Hello | Numbered]:
    """The messages of an agent's frame.

    Raises `msgspec.ValidationError` (with the field's path) or `msgspec.DecodeError` for anything
    that is not one.
    """
    return _from_agent.decode(frame)


def decode_from_server(frame: bytes) -> list[Instruction]:
    """The messages of a server's frame; raises as `decode_from_agent`."""
    return _from_server.decode(frame)
