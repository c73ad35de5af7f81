"""The mutable things that `State` consists of; only `State.apply` changes them.

Belongs here: fields with their invariants. Does not belong here: rules, lookups over several.
"""

from __future__ import annotations

from collections.abc import Iterator

from coflux.model import (
    AssetManifest,
    Cancelled,
    Definition,
    Dismissed,
    PoolSpec,
    Question,
    Requires,
    Resolution,
    Result,
    Returned,
    Submission,
    Value,
    execution_id,
)
from coflux.server.core.events import Repository, SessionConnected
from coflux.server.core.specs import ScheduleSpec
from coflux.server.core.statuses import Process, Status


class Environment:
    """A branch of the project."""

    __slots__ = ("base", "id", "manifests", "name", "revisions", "settings", "state")

    def __init__(self, id: str, name: str, base: str | None, state: str) -> None:
        self.id = id
        self.name = name
        self.base = base
        self.state = state
        #: Current definitions by repository and target name; archived repositories are absent.
        self.manifests: dict[str, dict[str, Definition]] = {}
        #: How often each repository was registered with a change.
        self.revisions: dict[str, int] = {}
        #: Limits that are not at their default.
        self.settings: dict[str, int] = {}


class Pickled:
    """The newest pickled target of its name in an environment, and who brought it (CO-3)."""

    __slots__ = ("definition", "owner", "python")

    def __init__(self, definition: Definition, python: str, owner: str) -> None:
        self.definition = definition
        self.python = python
        #: The session whose claim counts; None once it is over.
        self.owner: str | None = owner


#: By (repository, target).
Pickles = dict[tuple[str, str], Pickled]


class Session:
    """An agent's identity; connected while `connection` is set."""

    __slots__ = (
        "accepts", "blocked", "concurrency", "connected_at", "connection", "draining",
        "environment", "failures", "generic", "held", "host", "id", "incarnation", "lost_at",
        "pickles", "pid", "provides", "python", "remarks", "resuming", "targets", "token_hash",
        "unacknowledged",
    )  # fmt: skip

    def __init__(
        self, id: str, environment: str, token_hash: bytes, lost_at: int, pickles: Pickles
    ) -> None:
        self.id = id
        self.environment = environment
        self.token_hash = token_hash
        self.incarnation: str | None = None
        self.connection: int | None = None
        #: When it is given up, unless it connects before; None while connected.
        self.lost_at: int | None = lost_at
        #: When the present or last connection began.
        self.connected_at = 0
        #: Takes no new work; so until another agent process takes the session.
        self.draining = False
        self.concurrency = 1
        self.provides: dict[str, tuple[str, ...]] = {}
        self.accepts: Requires = {}
        self.generic = False
        self.python = ""
        self.host = ""
        self.pid = 0
        #: Definitions that it announced, by (repository, target).
        self.targets: dict[tuple[str, str], Definition] = {}
        #: Of its environment; one dict for all sessions there.
        self.pickles = pickles
        #: Repositories that failed to import, with their tracebacks.
        self.failures: dict[str, str] = {}
        #: What is worth knowing of how repositories run there (CO-3).
        self.remarks: dict[str, tuple[str, ...]] = {}
        #: Everything of it whose process may be alive: assigned, running, waiting or stopping.
        self.held: dict[str, Execution] = {}
        #: Those of `held` without a slot: waiting, or leaving after the agent reported an outcome.
        self.blocked: dict[str, Execution] = {}
        #: Waiting executions whose last wait can be answered once a slot is free (WA-9), in order.
        self.resuming: dict[str, None] = {}
        #: Assignments that the agent has not acknowledged.
        self.unacknowledged: dict[str, None] = {}

    @property
    def used(self) -> int:
        """Slots in use."""
        return len(self.held) - len(self.blocked)

    @property
    def is_free(self) -> bool:
        """Whether a slot is free and an agent there to use it."""
        return self.connection is not None and self.used < self.concurrency

    @property
    def is_crowded(self) -> bool:
        """Whether more slots are in use than there are (after a restart, or a smaller agent)."""
        return self.used > self.concurrency

    def describe(self, hello: SessionConnected) -> None:
        """Take over what the agent says of itself."""
        self.concurrency, self.generic = hello.concurrency, hello.generic
        self.provides, self.accepts = hello.provides, hello.accepts
        self.python, self.host, self.pid = hello.python, hello.host, hello.pid
        self.host_repositories(hello.repositories)

    def host_repositories(self, repositories: tuple[Repository, ...]) -> None:
        """Replace what it hosts."""
        self.targets = {(r.name, d.name): d for r in repositories for d in r.targets}
        self.failures = {r.name: r.failure for r in repositories if r.failure is not None}
        self.remarks = {r.name: r.remarks for r in repositories if r.remarks}

    def hosted(self, place: tuple[str, str]) -> Definition | None:
        """What it would run for a target: its own, or a pickled one of its environment (CO-4)."""
        own, newest = self.targets.get(place), self.pickles.get(place)
        if own is not None:
            is_overruled = (
                own.pickle is not None
                and newest is not None
                and (newest.owner not in (None, self.id) and newest.definition.pickle != own.pickle)
            )
            return None if is_overruled else own
        if not self.generic or newest is None:
            return None
        return newest.definition if _minor(newest.python) == _minor(self.python) else None


class Schedule:
    """A calendar rule that starts runs in one environment."""

    __slots__ = (
        "by", "created_at", "cursor", "declaration", "environment", "id", "paused", "problem",
        "run", "runs", "spec",
    )  # fmt: skip

    def __init__(self, id: str, environment: str, spec: ScheduleSpec, at: int) -> None:
        self.id = id
        self.environment = environment
        self.spec = spec
        self.created_at = at
        self.by = ""
        self.paused = False
        #: Digest of what its code declares; None = made by hand.
        self.declaration: bytes | None = None
        #: Every instant up to this one has been decided (SD-2).
        self.cursor = at
        #: The newest run that it started.
        self.run: str | None = None
        #: Runs of it that are not finished, oldest first.
        self.runs: dict[str, None] = {}
        #: Why the newest instant started nothing.
        self.problem: str | None = None

    def advance(self, instant: int, run: str | None) -> None:
        """An instant has been decided, also one read from the store."""
        self.cursor = max(self.cursor, instant)
        self.run = run or self.run


class Pool:
    """A recipe for agents in an environment, and the agents it has started."""

    __slots__ = ("content", "environment", "error", "failures", "id", "launches", "lines", "name",
                 "retry_at", "revision", "spec", "state")  # fmt: skip

    def __init__(self, id: str, environment: str, name: str, spec: PoolSpec) -> None:
        self.id = id
        self.environment = environment
        self.name = name
        self.spec = spec
        #: `active`, `disabled` or `deleted`.
        self.state = "active"
        #: How often it was changed.
        self.revision = 0
        #: The revision that gave it its present content.
        self.content = 0
        #: Launches that have not ended.
        self.launches: dict[str, LaunchRecord] = {}
        #: Failed or fruitless launches in a row, and when the next is tried.
        self.failures = 0
        self.retry_at = 0
        #: Why the last of them failed, with what its process said last.
        self.error: str | None = None
        self.lines: tuple[str, ...] = ()


class LaunchRecord:
    """One agent that a pool has started, or is about to."""

    __slots__ = ("created_at", "id", "is_lost", "launcher", "pool", "reason", "retired_at",
                 "revision", "session")  # fmt: skip

    def __init__(self, id: str, pool: Pool, launcher: str, at: int) -> None:
        self.id = id
        self.pool = pool.id
        self.launcher = launcher
        #: Of the pool's content that it was started with.
        self.revision = pool.content
        self.created_at = at
        #: The session that was opened for it.
        self.session: str | None = None
        #: When and why it was told to end.
        self.retired_at: int | None = None
        self.reason = ""
        #: Its session is over, although nobody told it to end.
        self.is_lost = False


#: A memo key without references, and what those of the call lead to.
MemoKey = tuple[bytes, tuple[str, ...]]


class Run:
    """One submission and its tree of steps."""

    __slots__ = (
        "by", "codes", "created_at", "environment", "fingerprint", "held", "id",
        "idempotency_key", "inputs", "is_in_turn", "memo", "memos", "parent", "pins", "priority",
        "questions", "repository", "requires", "root", "schedule", "scheduled_at", "status",
        "steps", "stopping", "target", "unfinished",
    )  # fmt: skip

    def __init__(self, id: str, environment: str, repository: str, target: str, at: int) -> None:
        self.id = id
        self.environment = environment
        self.repository = repository
        self.target = target
        self.created_at = at
        self.by = ""
        self.parent: str | None = None
        self.root = id
        self.memo = False
        self.requires: Requires | None = None
        self.priority = 0
        self.idempotency_key: str | None = None
        self.fingerprint = b""
        self.steps: dict[int, Step] = {}
        #: All and only executions of the run that have no result.
        self.unfinished: dict[str, Execution] = {}
        #: Ended executions whose process may still be alive.
        self.stopping: dict[str, Execution] = {}
        #: Steps by memo key as references lead now, oldest first.
        self.memos: dict[MemoKey, dict[str, Step]] = {}
        #: Status it finished with; None while it is not finished.
        self.status: str | None = None
        #: The schedule that started it, and for which instant; `is_in_turn`: after earlier ones.
        self.schedule: str | None = None
        self.scheduled_at: int | None = None
        self.is_in_turn = False
        #: The cap that it has passed, and with how much; None while it is not held (SC-9).
        self.held: tuple[str, int] | None = None
        #: How many attempts at each target (`repository/name`), by environment, were given which
        #: code.
        self.codes: dict[str, dict[str, dict[str, int]]] = {}
        #: What its executions have asked, by number.
        self.inputs: dict[int, Input] = {}
        #: Numbers of those by key.
        self.questions: dict[bytes, list[int]] = {}
        #: Links and dependencies of other runs that lead here keep it in memory.
        self.pins = 0


class Step:
    """One call in a run: immutable arguments and options, and its attempts."""

    __slots__ = (
        "arguments_note", "checkpoints", "created_at", "depth", "executions", "memo_key",
        "memo_place", "number", "parent", "parents", "run", "stopping", "submission",
    )  # fmt: skip

    def __init__(self, run: Run, number: int, submission: Submission, parent: str | None) -> None:
        self.run = run
        self.number = number
        self.submission = submission
        self.parent = parent
        #: Every execution that has it as a child, the maker first.
        self.parents: dict[str, None] = {parent: None} if parent else {}
        #: Attempts in order; attempt n is at n - 1.
        self.executions: list[Execution] = []
        #: Ended attempts whose process may still be alive.
        self.stopping: dict[str, Execution] = {}
        #: Memo key without references; None = not memoised.
        self.memo_key: bytes | None = None
        #: Where it stands in the run's `memos`.
        self.memo_place: MemoKey | None = None
        self.arguments_note: str | None = None
        self.created_at = 0
        #: Calls that it is inside of, over spawned runs.
        self.depth = 0
        #: The newest checkpoint of each environment, with the number of the attempt that wrote it.
        self.checkpoints: dict[str, tuple[int, dict[str, Value]]] = {}

    @property
    def id(self) -> str:
        """`RUN:STEP`."""
        return f"{self.run.id}:{self.number}"

    def next_id(self) -> str:
        """The id of the attempt that comes next (ID-2)."""
        return execution_id(self.run.id, self.number, len(self.executions) + 1)

    def latest(self, environment: str) -> Execution | None:
        """The latest attempt in exactly that environment."""
        return next((e for e in reversed(self.executions) if e.environment == environment), None)


class Wait:
    """A wait of running code that has not been answered."""

    __slots__ = ("cancel_remaining", "deadline", "executions", "expired", "first", "handles",
                 "is_done", "key", "left", "suspend", "winner")  # fmt: skip

    def __init__(self, key: int, handles: tuple[str, ...]) -> None:
        self.key = key
        self.handles = handles
        #: Handles not resolved yet.
        self.left: dict[str, None] = {}
        self.first = False
        self.suspend = False
        #: Its answer is known and waits for a free slot (WA-9).
        self.is_done = False
        self.expired = False
        self.cancel_remaining = False
        #: With `first`: the handle that was resolved first (WA-7).
        self.winner: str | None = None
        self.deadline: int | None = None
        #: Set when it belongs to a submission that waits.
        self.executions: tuple[str, ...] = ()


class Execution:
    """One attempt at a step in one environment."""

    __slots__ = (
        "assets", "assigned_at", "assigned_to", "attempt", "burst", "by", "cache",
        "checkpoint_keys",
        "children", "code", "created_at", "dependencies", "due_at", "ended_at", "environment",
        "expired", "fresh", "gate", "gate_cancel", "gate_first", "groups", "has_checkpoint", "id",
        "incarnation", "link_successor",
        "onward", "order", "origin", "pinned", "predecessor", "process", "reason", "requests",
        "required_code", "result", "retries_used", "reuse", "started_at", "status", "step",
        "successor", "suspensions", "waits",
    )  # fmt: skip

    def __init__(self, step: Step, attempt: int, environment: str, at: int) -> None:
        self.id = execution_id(step.run.id, step.number, attempt)
        self.step = step
        self.attempt = attempt
        self.environment = environment
        self.created_at = at
        #: Place in the order of creation over the whole project.
        self.order = 0
        self.origin = "submit"
        self.due_at = at
        self.status = Status.QUEUED
        self.process = Process.NONE
        self.predecessor: str | None = None
        self.retries_used = 0
        #: Suspensions of its chain before it, and those of the last minute before it (WA-12).
        self.suspensions = 0
        self.burst = 0
        self.gate: tuple[str, ...] = ()
        self.gate_first = False
        self.gate_cancel = False
        self.required_code: str | None = None
        self.reuse: str | None = None
        self.code: str | None = None
        self.assigned_to: str | None = None
        self.assigned_at: int | None = None
        #: The agent process it was given to.
        self.incarnation: str | None = None
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.result: Result | None = None
        self.successor: str | None = None
        self.link_successor: str | None = None
        #: A later attempt that following successors leads to: a short cut, for long chains.
        self.onward: str | None = None
        #: The family that its link keeps in memory.
        self.pinned: str | None = None
        self.by = ""
        self.reason = ""
        self.cache: CacheNote | None = None
        #: Child executions with their group, in order of the edges.
        self.children: dict[str, int | None] = {}
        self.groups: dict[int, str | None] = {}
        #: What each submission request made: key -> executions (SU-10).
        self.requests: dict[int, list[str]] = {}
        self.dependencies: dict[str, None] = {}
        #: Assets it persisted.
        self.assets: dict[str, None] = {}
        #: It has written a checkpoint.
        self.has_checkpoint = False
        #: Requests that stored a checkpoint (SU-10).
        self.checkpoint_keys: dict[int, None] = {}
        #: Open waits by request key.
        self.waits: dict[int, Wait] = {}
        #: Waits whose time was up: asked again, the answer is the same (SU-10).
        self.expired: dict[int, None] = {}
        #: Children that were resolved and not yet told to it.
        self.fresh: dict[str, None] = {}

    @property
    def run(self) -> Run:
        """The run it belongs to."""
        return self.step.run

    @property
    def is_unfinished(self) -> bool:
        """Whether it has no result."""
        return self.result is None

    @property
    def place(self) -> tuple[str, int, int]:
        """Its id as something that sorts by number."""
        return (self.step.run.id, self.step.number, self.attempt)


class CacheNote:
    """The cache key of an execution and how its lookup went."""

    __slots__ = ("detail", "key", "namespace", "outcome", "parts", "source")

    def __init__(self, key: bytes | None, namespace: str, parts: dict[str, bytes]) -> None:
        self.key = key
        self.namespace = namespace
        self.parts = parts
        self.outcome = ""
        self.source: str | None = None
        self.detail = ""


class CacheEntry:
    """An execution that may serve lookups of its key: pending, or with a value since `value_at`."""

    __slots__ = ("code", "environment", "execution", "key", "namespace", "order", "parts",
                 "value_at")  # fmt: skip

    def __init__(
        self, execution: str, environment: str, key: bytes, namespace: str, order: int
    ) -> None:
        self.execution = execution
        self.environment = environment
        self.key = key
        self.namespace = namespace
        self.order = order
        self.parts: dict[str, bytes] = {}
        self.value_at: int | None = None
        self.code: str | None = None


class AssetRecord:
    """An asset: content, and who persisted it first."""

    __slots__ = ("digest", "execution", "id", "manifest")

    def __init__(self, id: str, digest: str, manifest: AssetManifest, execution: str) -> None:
        self.id = id
        self.digest = digest
        self.manifest = manifest
        self.execution = execution


class Input:
    """A question to a person, and what became of it."""

    __slots__ = ("answer", "by", "cause", "created_at", "ended_at", "environment", "execution",
                 "id", "key", "question", "run", "state", "target")  # fmt: skip

    def __init__(
        self, run: Run, id: str, execution: str, environment: str, target: str,
        question: Question, key: bytes, at: int,
    ) -> None:  # fmt: skip
        self.run = run
        self.id = id
        self.execution = execution
        self.environment = environment
        self.target = target
        self.question = question
        self.key = key
        self.created_at = at
        #: `open`, `answered`, `dismissed` or `cancelled`.
        self.state = "open"
        self.answer: Value | None = None
        #: Who answered, dismissed or cancelled it, and why it was cancelled.
        self.by = ""
        self.cause = ""
        self.ended_at: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be answered."""
        return self.state == "open"

    @property
    def result(self) -> Resolution | None:
        """What whoever waits for it is told; None while it is open."""
        if self.state == "answered":
            assert self.answer is not None
            return Returned(self.answer)
        if self.state == "dismissed":
            return Dismissed(self.by)
        return Cancelled(self.by, self.cause) if self.state == "cancelled" else None


def attempts(run: Run) -> Iterator[Execution]:
    """Every execution of a run."""
    for step in run.steps.values():
        yield from step.executions


def _minor(python: str) -> str:
    """`major.minor` of a version of Python."""
    return ".".join(python.split(".")[:2])
