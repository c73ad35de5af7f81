"""Things that came from outside, in the past participle; the only input of the core.

Belongs here: plain data, validated at the edge. Does not belong here: what follows from it.
"""

from __future__ import annotations

from typing import Any, Union

from coflux.model import (
    AssetManifest,
    Definition,
    PoolSpec,
    Question,
    Record,
    Requires,
    Result,
    Submission,
    Value,
)
from coflux.server.core.specs import ScheduleSpec


class Caller(Record):
    """A client's request that wants one answer; `by` is recorded with what it changes (AU-5)."""

    token: int
    by: str = ""


class Code(Record):
    """Running user code that wants one answer (SU-10: same key, same answer)."""

    session: str
    execution: str
    key: int


Requester = Union[Caller, Code]


# --- time -------------------------------------------------------------------------------------


class TimePassed(Record):
    """Nothing came in until the next deadline."""


class HostSlept(Record):
    """The server's host was asleep for so long until now; deadlines do not count it (EN-7)."""

    ms: int


# --- clients ----------------------------------------------------------------------------------


class RunRequested(Record):
    """A client wants a run (SU). `checked` is False when the call must fit the manifest (SU-2)."""

    to: Caller
    environment: str
    submission: Submission
    idempotency_key: str | None = None
    fingerprint: bytes = b""


class OutcomeAwaited(Record):
    """A client waits for the resolved outcome of an execution."""

    to: Caller
    execution: str


class OutcomeUnawaited(Record):
    """That client is gone, or its time is up."""

    token: int


class CancelRequested(Record):
    """Somebody wants a run, step or attempt cancelled (CN). `environments`: where they may."""

    to: Requester
    ids: tuple[str, ...]
    environment: str | None = None
    allowed: tuple[str, ...] | None = None


class InputAnswered(Record):
    """A person responds to an input; the answer fits its schema."""

    to: Caller
    input: str
    answer: Value


class InputDismissed(Record):
    """A person will not respond to an input."""

    to: Caller
    input: str


class RerunRequested(Record):
    """Somebody wants a step run again (RR)."""

    to: Caller
    id: str
    environment: str | None = None
    original: bool = False
    reuse: bool = False
    allowed: tuple[str, ...] | None = None


class ResultSet(Record):
    """Somebody gives a step its result by hand (RR-5)."""

    to: Caller
    id: str
    result: Result
    reason: str
    environment: str | None = None
    allowed: tuple[str, ...] | None = None


class PinRequested(Record):
    """A run that there is shall be kept for ever, or like any other."""

    to: Caller
    run: str
    is_pinned: bool


class RemovalProposed(Record):
    """Whole families of runs and these assets may be removed, as far as the store knows (DM-2).

    `entries` and `keys` are what memory has of them: see `changes.RunsRemoved`.
    """

    to: Caller
    runs: tuple[str, ...]
    entries: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    assets: tuple[str, ...] = ()


class EnvironmentRequested(Record):
    """A new environment is wanted."""

    to: Caller
    name: str
    base: str | None = None


class EnvironmentChangeRequested(Record):
    """An environment shall be renamed or re-based; absent fields stay."""

    to: Caller
    environment: str
    name: str | None = None
    base: str | None = None
    is_base_given: bool = False


class EnvironmentStateRequested(Record):
    """An environment shall be `active`, `paused` or `archived`."""

    to: Caller
    environment: str
    state: str


class SettingsRequested(Record):
    """Limits of an environment shall be these; None = the default."""

    to: Caller
    environment: str
    values: dict[str, int | None]


class SlotRequested(Record):
    """A named slot shall be defined, in an environment or (None) for the project, or removed."""

    to: Caller
    environment: str | None
    name: str
    units: int | None = None
    rate: int | None = None
    period_ms: int | None = None
    is_removed: bool = False


class ScheduleRequested(Record):
    """A schedule is wanted in an environment; its fields have been checked."""

    to: Caller
    environment: str
    spec: ScheduleSpec
    paused: bool = False


class ScheduleChangeRequested(Record):
    """A schedule shall be another, paused, resumed or deleted; what is None stays."""

    to: Caller
    schedule: str
    spec: ScheduleSpec | None = None
    paused: bool | None = None
    is_deleted: bool = False


class ScheduleDue(Record):
    """Instants of a schedule have come, oldest first; some were missed.

    `missed`: how many of them came while nobody was there; `has_more`: and others before them.
    `submission`: what they start, as the target is registered now, or None and the problem.
    """

    schedule: str
    instants: tuple[int, ...]
    missed: int = 0
    has_more: bool = False
    submission: Submission | None = None
    problem: str = ""


class ManifestsRegistered(Record):
    """Targets of repositories, registered for an environment (CO-1). Empty = archive."""

    to: Caller
    environment: str
    manifests: dict[str, tuple[Definition, ...]]


class CacheForgetRequested(Record):
    """Cache entries shall not be used any more (CA-13)."""

    to: Caller
    environment: str
    execution: str | None = None
    target: str | None = None


# --- sessions ---------------------------------------------------------------------------------


class SessionRequested(Record):
    """An agent wants a session."""

    to: Caller
    environment: str
    token_hash: bytes
    #: The launch that the session is for.
    launch: str | None = None


class Repository(Record):
    """What a session says of one repository it hosts."""

    name: str
    targets: tuple[Definition, ...] = ()
    failure: str | None = None
    remarks: tuple[str, ...] = ()


class SessionConnected(Record):
    """An agent opened a connection for its session."""

    session: str
    connection: int
    incarnation: str
    repositories: tuple[Repository, ...] = ()
    concurrency: int = 1
    provides: dict[str, tuple[str, ...]] = {}
    accepts: Requires = {}
    generic: bool = False
    python: str = ""
    host: str = ""
    pid: int = 0
    #: (execution, is running) of everything the agent has.
    held: tuple[tuple[str, bool], ...] = ()


class SessionDisconnected(Record):
    """That connection is gone."""

    session: str
    connection: int


class SessionClosed(Record):
    """The agent said that it ends."""

    session: str
    reason: str


class SessionDrained(Record):
    """The agent wants no new work."""

    session: str


class TargetsAnnounced(Record):
    """The repositories that a session hosts from now on."""

    session: str
    repositories: tuple[Repository, ...]


# --- pools ------------------------------------------------------------------------------------


class PoolRequested(Record):
    """A new pool is wanted in an environment (by id)."""

    to: Caller
    environment: str
    name: str
    spec: PoolSpec


class PoolChanged(Record):
    """A pool shall have other values in these fields of its `PoolSpec`."""

    to: Caller
    environment: str
    name: str
    fields: dict[str, Any]


class PoolStateRequested(Record):
    """A pool shall be `active`, `disabled` or `deleted`."""

    to: Caller
    environment: str
    name: str
    state: str


class PoolWanted(Record):
    """A pool in an import; `revision`: of the pool as it was when it was exported."""

    spec: PoolSpec
    revision: int | None = None


class PoolsImported(Record):
    """The pools of an environment shall be these; `only`: of these names."""

    to: Caller
    environment: str
    pools: dict[str, PoolWanted]
    only: tuple[str, ...] | None = None
    dry_run: bool = False
    force: bool = False


class LaunchReported(Record):
    """A launch could not be made (`error`), or its process has ended."""

    launch: str
    error: str | None = None
    #: What it said last.
    lines: tuple[str, ...] = ()


# --- reports about executions -----------------------------------------------------------------


class AssignmentAcknowledged(Record):
    """The agent has taken the assignment."""

    session: str
    execution: str


class ExecutionStarted(Record):
    """The executor process runs."""

    session: str
    execution: str


class OutcomeReported(Record):
    """How an execution ended; `gone` when its whole process group is dead."""

    session: str
    execution: str
    result: Result
    gone: bool = True


class ProcessDied(Record):
    """The process group of an execution that the server ended is dead."""

    session: str
    execution: str


class CodeReported(Record):
    """The identity of the code that an execution runs (CO-5)."""

    session: str
    execution: str
    code: str


# --- requests of running code -----------------------------------------------------------------


class StepsRequested(Record):
    """Running code calls targets (SU-5), in order, all or none."""

    to: Code
    submissions: tuple[Submission, ...]
    wait: bool = False


class WaitRequested(Record):
    """Running code waits for outcomes (WA)."""

    to: Code
    handles: tuple[str, ...]
    timeout_ms: int | None = None
    suspend: bool = False
    first: bool = False
    cancel_remaining: bool = False


class DependenciesReported(Record):
    """Running code asked for outcomes that it had been given ahead (EN-5)."""

    session: str
    execution: str
    handles: tuple[str, ...]


class SuspensionRequested(Record):
    """Running code suspends (WA-4)."""

    to: Code
    delay_ms: int = 0


class AssetPersisted(Record):
    """Running code stored the files of an asset."""

    to: Code
    manifest: AssetManifest
    digest: str


class AssetRequested(Record):
    """Running code wants the files of an asset."""

    to: Code
    asset: str


class InputRequested(Record):
    """Running code asks a person (IN-1)."""

    to: Code
    question: Question


class CheckpointRequested(Record):
    """Running code stores a checkpoint (RC-5)."""

    to: Code
    arguments: dict[str, Any]


Event = Union[
    TimePassed, HostSlept, SettingsRequested, SlotRequested, ScheduleRequested,
    ScheduleChangeRequested, ScheduleDue,
    RunRequested, OutcomeAwaited, OutcomeUnawaited, CancelRequested, RerunRequested,
    ResultSet, PinRequested, RemovalProposed,
    EnvironmentRequested, EnvironmentChangeRequested, EnvironmentStateRequested,
    ManifestsRegistered, CacheForgetRequested, SessionRequested, SessionConnected,
    SessionDisconnected, SessionClosed, SessionDrained, TargetsAnnounced, AssignmentAcknowledged,
    ExecutionStarted, OutcomeReported, ProcessDied, CodeReported, StepsRequested, WaitRequested,
    DependenciesReported, SuspensionRequested, AssetPersisted, AssetRequested, CheckpointRequested,
    InputRequested, InputAnswered, InputDismissed,
    PoolRequested, PoolChanged, PoolStateRequested, PoolsImported, LaunchReported,
]  # fmt: skip
