"""Facts that a turn has decided, in the past tense; each is complete and is one row of the journal.

Belongs here: plain data. A restart applies the rows of live work in order and decides nothing
again, so a change carries everything that was decided: ids, instants, successors. Changes marked
`DURABLE = False` describe what a reconnecting agent tells anew; they are applied, not stored.
"""

from __future__ import annotations

from typing import ClassVar, Union

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
from coflux.server.core.events import Repository, SessionConnected
from coflux.server.core.specs import ScheduleSpec, SlotLimit


class Change(Record):
    """A fact. `at` is in ms UTC."""

    DURABLE: ClassVar[bool] = True


# --- configuration (kept for ever, in memory whole) -------------------------------------------


class EnvironmentSet(Change, tag="environment"):
    """An environment exists, with these settings from now on (EN-6)."""

    environment: str
    name: str
    base: str | None
    state: str
    by: str
    at: int


class ManifestSet(Change, tag="manifest"):
    """The targets of a repository in an environment; None = archived."""

    environment: str
    repository: str
    definitions: tuple[Definition, ...] | None
    by: str
    at: int


class SettingSet(Change, tag="setting"):
    """A limit of an environment is this from now on; None = the default."""

    environment: str
    name: str
    value: int | None
    by: str
    at: int


class SlotSet(Change, tag="slot"):
    """A named slot is defined in an environment (None = for the project), or not any more."""

    environment: str | None
    name: str
    limit: SlotLimit | None
    by: str
    at: int


class ScheduleSet(Change, tag="schedule"):
    """A schedule is this from now on; `spec` None = it is no more."""

    schedule: str
    environment: str
    spec: ScheduleSpec | None
    paused: bool
    declaration: bytes | None
    by: str
    at: int


class ScheduleAdvanced(Change, tag="scheduled"):
    """An instant of a schedule has started a run, or none and why (SD-2, SD-5)."""

    schedule: str
    instant: int
    started: str | None
    reason: str
    at: int


class RunPinned(Change, tag="pinned"):
    """A run is kept for ever from now on, or (`is_pinned` False) like any other (DM-2).

    It is no part of the run's own facts: pins are in memory whole, those of runs that are not too.
    """

    run: str
    is_pinned: bool
    by: str
    at: int


class RunsRemoved(Change, tag="removed"):
    """These runs, whole families, are no more, and with them what only they had (DM-2).

    `entries`: executions of theirs that served lookups; `keys`: idempotency keys, each with its
    environment; `assets`: those that nothing reaches any more.
    """

    runs: tuple[str, ...]
    at: int
    entries: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    assets: tuple[str, ...] = ()


class CacheForgotten(Change, tag="forgotten"):
    """These executions no longer serve lookups (CA-13)."""

    executions: tuple[str, ...]
    by: str
    at: int


# --- sessions ---------------------------------------------------------------------------------


class SessionOpened(Change, tag="session"):
    """An agent has an identity in an environment."""

    session: str
    environment: str
    token_hash: bytes
    by: str
    at: int
    #: The launch that it is for.
    launch: str | None = None


class IncarnationSet(Change, tag="incarnation"):
    """A session's agent process is this one."""

    session: str
    incarnation: str
    at: int


class Connected(Change, tag="connected"):
    """A session's agent is connected and says what it hosts; None = not connected."""

    DURABLE: ClassVar[bool] = False
    session: str
    hello: SessionConnected | None
    lost_at: int | None = None
    at: int = 0


class Announced(Change, tag="announced"):
    """A session hosts these repositories from now on."""

    DURABLE: ClassVar[bool] = False
    session: str
    repositories: tuple[Repository, ...]


class TargetPickled(Change, tag="pickled"):
    """The newest pickled target of its name in an environment (CO-3); None = there is none."""

    environment: str
    repository: str
    target: str
    definition: Definition | None
    python: str
    session: str
    at: int


class Drained(Change, tag="drained"):
    """A session takes no new work."""

    DURABLE: ClassVar[bool] = False
    session: str


class Acknowledged(Change, tag="acknowledged"):
    """The agent has an assignment."""

    DURABLE: ClassVar[bool] = False
    session: str
    execution: str


class SessionEnded(Change, tag="session_ended"):
    """A session is gone for ever."""

    session: str
    reason: str
    at: int


# --- pools ------------------------------------------------------------------------------------


class PoolSet(Change, tag="pool"):
    """A pool is like this from now on."""

    pool: str
    environment: str
    name: str
    spec: PoolSpec
    state: str
    revision: int
    by: str
    at: int


class LaunchWanted(Change, tag="launch"):
    """A pool starts an agent."""

    launch: str
    pool: str
    launcher: str
    at: int


class LaunchRetired(Change, tag="retired"):
    """A launched agent shall end."""

    launch: str
    reason: str
    at: int


class LaunchEnded(Change, tag="launch_ended"):
    """A launched agent is gone; the pool tries no other before `retry_at`."""

    launch: str
    pool: str
    error: str | None
    lines: tuple[str, ...]
    failures: int
    retry_at: int
    at: int


# --- runs -------------------------------------------------------------------------------------


class RunCreated(Change, tag="run"):
    """A run exists; its initial step follows."""

    run: str
    environment: str
    repository: str
    target: str
    by: str
    at: int
    parent: str | None = None
    root: str | None = None
    memo: bool = False
    requires: Requires | None = None
    priority: int = 0
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    schedule: str | None = None
    scheduled_at: int | None = None
    #: It waits for the earlier runs of its schedule (SD-5).
    is_in_turn: bool = False


class StepCreated(Change, tag="step"):
    """A step and its first attempt exist."""

    run: str
    step: int
    submission: Submission
    environment: str
    due_at: int
    at: int
    parent: str | None = None
    #: Key of the request that made it, and its place there (SU-10).
    request: tuple[int, int] | None = None
    memo_key: bytes | None = None
    memo_note: str | None = None


class ChildJoined(Change, tag="child"):
    """A call joined an execution that was there (memo or reuse)."""

    parent: str
    child: str
    group: int | None
    request: tuple[int, int] | None
    at: int


class GroupNamed(Change, tag="group"):
    """A group of an execution's children has a name."""

    execution: str
    group: int
    name: str | None


class ExecutionCreated(Change, tag="execution"):
    """A further attempt at a step exists."""

    execution: str
    environment: str
    origin: str
    due_at: int
    at: int
    predecessor: str | None = None
    retries_used: int = 0
    #: What it waits for before it is ready (resume), and whether the first is enough.
    gate: tuple[str, ...] = ()
    gate_first: bool = False
    #: The first one to be resolved has the others cancelled (WA-7).
    gate_cancel: bool = False
    #: The identity of the code that must run it (RR-3).
    code: str | None = None
    #: The attempt whose children's values it may take (RR-4).
    reuse: str | None = None
    by: str = ""
    #: Suspensions of the chain so far, and within the last minute (WA-12).
    suspensions: int = 0
    burst: int = 0


class CacheChecked(Change, tag="cache"):
    """An execution has a cache key, and how its lookup went (CA-12)."""

    execution: str
    key: bytes | None
    namespace: str
    parts: dict[str, bytes]
    outcome: str
    source: str | None = None
    detail: str = ""
    at: int = 0


class Assigned(Change, tag="assigned"):
    """An execution was given to a session, to run what that hosts (`code`: its identity).

    `incarnation`: the agent process that the session was then; its executors end with it.
    """

    execution: str
    session: str
    at: int
    code: str | None = None
    incarnation: str | None = None


class Started(Change, tag="started"):
    """Its process runs."""

    execution: str
    at: int


class CodeRecorded(Change, tag="code"):
    """It runs other code than what was hosted when it was assigned."""

    execution: str
    code: str


class Blocked(Change, tag="blocked"):
    """It has an open wait and holds no slot."""

    DURABLE: ClassVar[bool] = False
    execution: str
    at: int


class Unblocked(Change, tag="unblocked"):
    """Its last open wait was answered."""

    DURABLE: ClassVar[bool] = False
    execution: str
    at: int


class Depended(Change, tag="depended"):
    """It asked for the outcomes of executions, or the files of assets (EN-5)."""

    execution: str
    on: tuple[str, ...]
    at: int


class ResultRecorded(Change, tag="result"):
    """It ended (RS-1). `successor`: the attempt that goes on; `process`: none, stopping or gone.

    `frees`: its slot is free although its process is not known to be dead (ST-5).
    """

    execution: str
    result: Result
    at: int
    successor: str | None = None
    process: str = "gone"
    by: str = ""
    reason: str = ""
    frees: bool = False


class LinkSucceeded(Change, tag="link"):
    """A broken or replaced link leads to this attempt instead (T22)."""

    execution: str
    successor: str
    at: int


class ProcessEnded(Change, tag="process"):
    """The process group of an ended execution is dead (ST-5)."""

    execution: str
    at: int


class AssetRecorded(Change, tag="asset"):
    """An execution persisted an asset; a known content keeps its id (AS-4)."""

    asset: str
    digest: str
    manifest: AssetManifest
    execution: str
    at: int


class CheckpointSaved(Change, tag="checkpoint"):
    """Later attempts of the step start with these arguments (RC-5)."""

    execution: str
    arguments: dict[str, Value]
    at: int
    #: Key of the request that stored it (SU-10).
    request: int | None = None


class InputCreated(Change, tag="input"):
    """An execution asks something; `key` makes equal questions of the run one (IN-2)."""

    run: str
    input: str
    execution: str
    environment: str
    #: `repository/name` of who asks.
    target: str
    question: Question
    key: bytes
    at: int


class InputEnded(Change, tag="input_ended"):
    """An input was `answered`, `dismissed` or `cancelled` (IN-3)."""

    run: str
    input: str
    state: str
    at: int
    answer: Value | None = None
    by: str = ""
    cause: str = ""


class RunHeld(Change, tag="held"):
    """A run has passed a cap (SC-9); None = it is held no more. `value`: what it came to."""

    run: str
    setting: str | None
    value: int
    at: int


class RunFinished(Change, tag="finished"):
    """Nothing of the run is unfinished; its status (RS-6)."""

    run: str
    status: str
    at: int


AnyChange = Union[
    EnvironmentSet, ManifestSet, SettingSet, SlotSet, ScheduleSet, ScheduleAdvanced,
    RunPinned, RunsRemoved, CacheForgotten,
    SessionOpened, IncarnationSet, SessionEnded,
    PoolSet, LaunchWanted, LaunchRetired, LaunchEnded,
    Connected, Announced, TargetPickled, Drained, Acknowledged,
    RunCreated, StepCreated, ChildJoined, GroupNamed, ExecutionCreated, CacheChecked, Assigned,
    Started, CodeRecorded, Blocked, Unblocked, Depended, ResultRecorded, LinkSucceeded,
    ProcessEnded, AssetRecorded, CheckpointSaved, InputCreated, InputEnded, RunHeld, RunFinished,
]  # fmt: skip
