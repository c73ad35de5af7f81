"""The JSON bodies that the HTTP API answers with.

Belongs here: the shape of answers, as documents and clients rely on them; further fields may be
added, none renamed. Does not belong here: how an answer is found.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from coflux.model import CatchUp, Definition, MetricAxis, Overlap, Value
from coflux.server.access import Principal, Right


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the server says; fields at their default are left out."""


# --- everywhere -------------------------------------------------------------------------------


#: What a program goes by.
ProblemCode = Literal[
    "invalid", "not_found", "conflict", "forbidden", "unavailable", "unauthorized", "internal"
]


class Problem(Answer):
    """Why a request was refused, and what to do."""

    code: ProblemCode
    message: str
    #: Path of the field at fault.
    field: str | None = None


class Failure(Answer):
    """The body of every answer with a status of 400 or more."""

    error: Problem


class Health(Answer):
    """The server answers."""

    status: str


class Version(Answer):
    """The version of the software and of the protocol."""

    version: str
    protocol: int


# --- projects and tokens ----------------------------------------------------------------------


class ProjectState(Answer):
    """A project and how its process is; `reason` says why it is not running."""

    name: str
    state: Literal["idle", "starting", "running", "restarting", "failed"]
    reason: str | None = None


class TokenCreated(Answer):
    """The only answer that ever shows the token."""

    id: str
    token: str


class TokenInfo(Answer):
    """A token without its value; instants in ms."""

    id: str
    name: str
    right: Right
    environment: str
    created_at: int
    created_by: str
    expires_at: int | None = None
    #: Tags of inputs that it may answer.
    tags: dict[str, list[str]] = {}


class Done(Answer):
    """It is done."""

    ok: bool


# --- runs -------------------------------------------------------------------------------------


class Submitted(Answer):
    """A run or attempt that was made."""

    run: str
    step: str
    execution: str
    status: str


class Pin(Answer):
    """Who wants a run kept for ever, and since when in ms."""

    by: str
    at: int


class PinState(Answer):
    """A run and whether it is pinned; null = it is not."""

    run: str
    pinned: Pin | None


class Storage(Answer):
    """What the project takes on the server's disk, in bytes."""

    #: Of runs and configuration; of logs and metrics; of blobs, and how many these are.
    rows: int
    logs: int
    blobs: int
    blob_count: int


class Collection(Answer):
    """What has been removed since it began, or would be; `bytes` of runs' rows and of blobs."""

    collection: int
    done: bool
    dry_run: bool
    runs: int
    assets: int
    #: Of logs, and points of metrics.
    lines: int
    blobs: int
    bytes: int


class RunSummary(Answer):
    """One line of the list of runs."""

    run: str
    target: str
    environment: str
    status: str
    created_at: int
    pinned: Pin | None = None


class ExecutionDetail(Answer):
    """One attempt at a step."""

    execution: str
    environment: str
    origin: str
    status: str
    reason: Any = None
    result: Any = None
    code: str | None = None
    #: Whether the target has other code now.
    older_code: bool = False
    cache: Any = None
    children: list[Any] = []
    dependencies: list[Any] = []
    created_at: int | None = None
    due_at: int | None = None
    assigned_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None


class StepDetail(Answer):
    """One call in a run; arguments as previews."""

    step: str
    target: str
    type: str
    parent: str | None
    group: Any
    arguments: dict[str, str]
    executions: list[ExecutionDetail]
    options: Any = None


class InputRow(Answer):
    """A question to a person; `awaited`: somebody waits for the answer now."""

    input: str
    run: str
    environment: str
    state: Literal["open", "answered", "dismissed", "cancelled"]
    awaited: bool
    created_at: int
    #: Who asked, and its `repository/target`.
    execution: str
    target: str
    title: str | None
    message: str
    #: Tags that the responder's token must have.
    requires: dict[str, Any]
    #: Labels: `respond` and `dismiss`.
    actions: dict[str, str]


class InputDetail(InputRow):
    """An input with its schema, and what became of it."""

    template: str
    placeholders: dict[str, str]
    schema: Any
    initial: Any
    has_initial: bool
    answer: Any
    ended_at: int | None
    by: str | None
    cause: str | None


class RunDetail(Answer):
    """A run with all its steps."""

    run: str
    target: str
    environment: str
    status: str
    parent: str | None
    created_at: int
    steps: list[StepDetail]
    groups: Any = None
    #: Targets of which more than one version of the code ran.
    mixed_code: list[str] = []
    pinned: Pin | None = None
    #: What it has asked people.
    inputs: list[InputRow] = []
    #: Send it as `since` to hear only what changes; `is_whole` says whether all steps are here.
    cursor: str = ""
    is_whole: bool = True


class StepPage(Answer):
    """Steps by number, and where the next page begins."""

    targets: dict[str, Any]
    groups: dict[str, Any]
    steps: dict[str, Any]
    next: int | None


class StepWhole(Answer):
    """One step; attempts by number, arguments with their values."""

    step: str
    target: str
    type: str
    parent: str | None
    group: Any
    arguments: dict[str, str]
    values: dict[str, Any]
    executions: dict[str, ExecutionDetail]


class Outcome(Answer):
    """The resolved outcome; `status` alone while it is unresolved."""

    status: str | None = None
    kind: str | None = None
    value: Any = None
    preview: str | None = None
    error: Any = None
    execution: str | None = None
    #: `{"by", "at", "reason"}` of a result that was set by hand.
    by_hand: Any = None
    #: `model.Result`, when asked for with `encoded`.
    result: Any = None


class Arguments(Answer):
    """The stored arguments of a step."""

    target: str
    arguments: dict[str, Value]


class Cancelled(Answer):
    """What was cancelled."""

    cancelled: list[str]


class LogLine(Answer):
    """One entry of the logs; `at` in ms, `text` with the values filled in."""

    execution: str
    at: int
    level: str
    template: str | None
    values: dict[str, Any]
    text: str
    seq: int


class LogPage(Answer):
    """Log entries, and where the next page begins."""

    entries: list[LogLine]
    cursor: str
    #: Where the page before ends; None for an empty page.
    first: str | None = None
    #: Whether the page is full, so that there may be more.
    more: bool = False


class MetricSeries(Answer):
    """A metric of an execution. Points are [at, value], in order; a value of null is a gap."""

    execution: str
    key: str
    kind: Literal["metric", "progress"]
    group: MetricAxis | None
    scale: MetricAxis | None
    total: float | None
    count: int
    last: list[float | None] | None
    points: list[list[float | None]]


class MetricPage(Answer):
    """Metrics, and where newer points begin."""

    metrics: list[MetricSeries]
    cursor: str
    more: bool = False


# --- environments, manifests, agents -----------------------------------------------------------


class EnvironmentInfo(Answer):
    """An environment."""

    id: str
    name: str
    base: str | None
    state: Literal["active", "paused", "archived"]


class SettingInfo(Answer):
    """A limit of an environment."""

    name: str
    value: int
    default: int
    is_set: bool
    unit: Literal["ms", "count", "bytes"]
    summary: str


class SlotInfo(Answer):
    """A named slot as it counts in an environment. `limit` and `rate` are null where unlimited."""

    name: str
    scope: Literal["environment", "project", "undefined"]
    limit: int | None
    rate: int | None
    period_ms: int | None
    in_use: int
    holders: list[str]
    #: Executions that are ready and want it.
    ready: int
    #: When the rate lets the next one through.
    next_at: int | None


class ScheduleInfo(Answer):
    """A schedule; arguments as previews, instants in ms UTC."""

    id: str
    name: str
    environment: str
    target: str
    arguments: dict[str, str]
    options: dict[str, Any]
    cron: str
    zone: str
    catch_up: CatchUp
    overlap: Overlap
    state: Literal["active", "paused"]
    #: Whether code declares it.
    declared: bool
    next: list[int]
    #: The newest run that it started.
    run: str | None
    #: Why the newest instant started nothing.
    problem: str | None
    #: Runs of it that are not finished.
    unfinished: list[str]
    created_by: str


class InstantInfo(Answer):
    """What an instant of a schedule has come to: a run, or a reason."""

    instant: int
    run: str | None
    reason: str | None
    #: When that was decided.
    at: int


class ScheduleDetail(ScheduleInfo):
    """A schedule with its newest instants, the newest first."""

    history: list[InstantInfo]


class LaunchInfo(Answer):
    """An agent that a pool has started."""

    launch: str
    session: str | None
    status: Literal["starting", "running", "draining"]
    created_at: int
    #: Why it drains.
    reason: str | None


class PoolInfo(Answer):
    """A pool with its agents. Secrets have `***` for values, whatever they are."""

    id: str
    name: str
    environment: str
    state: Literal["active", "disabled", "deleted"]
    revision: int
    repositories: list[str]
    launcher: str
    settings: dict[str, str]
    min: int
    max: int
    concurrency: int
    provides: dict[str, list[str]]
    accepts: dict[str, list[str]]
    env: dict[str, str]
    secrets: dict[str, str]
    launches: list[LaunchInfo]
    #: Launches in a row that failed, or ran nothing.
    failures: int
    #: No other is tried before.
    retry_at: int | None
    #: Why the last of them failed, with what was said last.
    error: str | None
    lines: list[str]


class ImportStep(Answer):
    """What an import does to one pool."""

    name: str
    action: Literal["create", "update", "delete", "unchanged"]
    fields: list[str] = []


class HookInfo(Answer):
    """A hook; of addresses only scheme and host, of headers only the names."""

    name: str
    environment: str
    kind: Literal["command", "webhook", "apprise"]
    outcomes: list[str]
    target: str | None
    command: list[str]
    url: str
    headers: dict[str, str]
    enabled: bool


class DeliveryInfo(Answer):
    """What a hook is owed, or has got."""

    run: str
    status: str
    state: Literal["owed", "delivered", "given up"]
    attempts: int
    #: When it is tried again.
    next_at: int | None
    #: What went wrong with the last attempt.
    error: str | None
    finished_at: int


class RepositoryManifest(Answer):
    """What a repository registered."""

    targets: list[Definition]
    revision: int


class AgentInfo(Answer):
    """A session of an agent."""

    session: str
    environment: str
    connected: bool
    targets: Any
    running: Any
    concurrency: int
    provides: Any
    accepts: Any


class Reason(Answer):
    """Why something is queued (SC-11)."""

    code: str
    text: str
    data: Any = None


class QueueEntry(Answer):
    """A queued execution."""

    execution: str
    target: str
    reason: Reason


class AssetFile(Answer):
    """A file of an asset; size in bytes."""

    path: str
    blob: str
    size: int
    mode: int
    media_type: str | None = None


class AssetInfo(Answer):
    """An asset with its files."""

    id: str
    name: str | None
    #: In lists over many runs the first 20; `files` and `size` count all.
    entries: list[AssetFile]
    execution: str | None
    files: int = 0
    size: int = 0
    #: The run's target, environment and when it was persisted; only in lists over many runs.
    target: str | None = None
    environment: str | None = None
    created_at: int | None = None


class Forgotten(Answer):
    """The executions whose outcomes no lookup takes any more."""

    ok: bool
    forgotten: list[str]


class Explanation(Answer):
    """What the cache lookup of a step found and why (CA-12)."""

    cache: Any


class EnvironmentName(Answer):
    """An environment by id and name."""

    id: str
    name: str


class SessionOpened(Answer):
    """What an agent needs to connect. `socket` and `blobs` only for local agents."""

    session: str
    token: str
    environment: EnvironmentName
    #: Whether the environment was made for it (ID-6).
    created: bool
    project: str
    socket: str | None
    blobs: str | None


# --- inside the server ------------------------------------------------------------------------


class Working(Answer):
    """An agent process that has executions whose own processes may be alive."""

    host: str
    pid: int
    executions: int


class Activity(Answer):
    """Project to gateway: the agents that are at work."""

    agents: list[Working]


class Authenticated(Answer):
    """Project to gateway: whose session token it was."""

    principal: Principal
