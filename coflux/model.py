"""Frozen values that both sides speak of: what is called, with which options, and how it ended.

Belongs here: data that crosses a boundary (SDK, wire, core, store, API) and means the same on
each side. Does not belong here: behaviour that needs a clock, a socket, a file or user code.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Union

import msgspec

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options):
        """Only type checkers need the real one."""
        return lambda cls: cls


TargetType = Literal["workflow", "task", "sensor"]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=True):
    """A frozen value with named fields; equal when all fields are."""


#: How the idempotency keys begin that clients make themselves, one for each submission. They are
#: for sending a request again whose answer was lost; nobody comes back to them later.
OWN_KEY = "auto-"

# --- bounds of options (LI-1) -----------------------------------------------------------------

#: The longest time that an option may give: beyond it, sums with instants fit no calendar.
MAX_MS = 100_000_000_000_000
#: The largest priority, and how often a failed attempt may be followed by another.
MAX_NUMBER = 1_000_000_000
#: The most units of a slot that one execution may take.
MAX_UNITS = 1_000_000


# --- values -----------------------------------------------------------------------------------


class Reference(Record):
    """A pointer inside a value. Values hold references outside their data, by position."""

    kind: Literal["execution", "asset", "input"]
    id: str


class Value(Record):
    """An encoded Python object (VA).

    `data` holds the encoding, or `blob` names the blob that does. `key` is the SHA-256 of the
    canonical encoding, in which references stand as their position in `references` (so that the
    server can substitute what they lead to); None means it cannot be keyed, and `unkeyable` then
    names the type at fault.
    """

    format: Literal["native", "pickle", "default"] = "native"
    data: bytes | None = None
    blob: str | None = None
    size: int = 0
    references: tuple[Reference, ...] = ()
    key: bytes | None = None
    unkeyable: str | None = None
    type: str = ""
    preview: str = ""


# --- targets and options ----------------------------------------------------------------------


class CachePolicy(Record):
    """When an earlier outcome may be taken instead of running (CA)."""

    max_age_ms: int | None = None
    params: tuple[str, ...] | None = None
    namespace: str | None = None
    version: str | None = None
    code: bool = False


class RetryPolicy(Record):
    """How often and after which delay a failed attempt is followed by another (RE)."""

    limit: int | None = 0
    min_ms: int = 0
    max_ms: int = 0
    jitter: float = 0.0


Requires = dict[str, Union[tuple[str, ...], bool]]
#: True = all parameters; a tuple = these.
Selection = Union[bool, tuple[str, ...]]


class Options(Record):
    """A target's options as bound to one call (PY table)."""

    wait: Selection = False
    cache: CachePolicy | None = None
    retries: RetryPolicy | None = None
    memo: Selection | None = None
    defer: Selection | None = None
    delay_ms: int = 0
    timeout_ms: int = 0
    recurrent: bool = False
    requires: Requires | None = None
    priority: int | None = None
    slots: dict[str, int] | None = None


class Parameter(Record):
    """A parameter of a target's signature."""

    name: str
    kind: Literal["positional", "normal", "args", "keyword", "kwargs"] = "normal"
    annotation: str | None = None
    #: None = required. `format="default"` = there is one, without a native encoding.
    default: Value | None = None


class Overrides(Record):
    """Options that a submission sets for itself (SU-3); None = as the target says."""

    requires: Requires | None = None
    memo: Selection | None = None
    delay_ms: int | None = None
    retries: RetryPolicy | None = None
    timeout_ms: int | None = None
    priority: int | None = None

    def over(self, options: Options) -> Options:
        """The options with these instead of their own."""
        given = {n: v for n in self.__struct_fields__ if (v := getattr(self, n)) is not None}
        return msgspec.structs.replace(options, **given)


CatchUp = Literal["none", "latest", "all"]
Overlap = Literal["skip", "queue", "allow"]


class Schedule(Record):
    """When a target is to be started by the calendar (SD), as its code declares it."""

    #: Five fields: minute, hour, day of the month, month, day of the week.
    cron: str
    #: IANA name.
    zone: str = "UTC"
    #: None = `repository/target`.
    name: str | None = None
    #: Arguments by parameter; those left out are at their defaults.
    arguments: dict[str, Value] = {}
    catch_up: CatchUp = "none"
    overlap: Overlap = "skip"
    #: It starts nothing until it is resumed by hand.
    paused: bool = False


class Definition(Record):
    """A target as a manifest or a session announces it."""

    name: str
    type: TargetType = "task"
    parameters: tuple[Parameter, ...] = ()
    options: Options = Options()
    doc: str = ""
    #: Identity of the code (CO-5), hex SHA-256.
    code: str | None = None
    #: Blob of the cloudpickled function, for targets that cannot be imported (CO-3).
    pickle: str | None = None
    #: When it starts by itself, where it is registered.
    schedules: tuple[Schedule, ...] = ()


class Group(Record):
    """A group of child steps for display, numbered per parent execution (SU-8)."""

    number: int
    name: str | None = None


class Submission(Record):
    """A call that fits its target's signature (SU-1): arguments in signature order, all bound."""

    repository: str
    target: str
    type: TargetType = "task"
    arguments: dict[str, Value] = {}
    options: Options = Options()
    group: Group | None = None
    #: Identity of the code the submitter sees (for `Cache(code=True)`).
    code: str | None = None


# --- results ----------------------------------------------------------------------------------


class Frame(Record):
    """One line of a traceback, without our own frames."""

    file: str
    line: int
    function: str
    source: str = ""


class Error(Record):
    """An exception that left the user's function (ER)."""

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()
    cause: Error | None = None
    #: True when the cause is implicit (``__context__``).
    context: bool = False


class Returned(Record, tag="value"):
    """The function returned."""

    value: Value


class Raised(Record, tag="error"):
    """The function raised, or could not be called or imported."""

    error: Error
    retryable: bool = True


class Crashed(Record, tag="crashed"):
    """The executor process died without an outcome."""

    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    peak_memory: int | None = None
    last_lines: tuple[str, ...] = ()


class Abandoned(Record, tag="abandoned"):
    """The agent was lost, or lost the execution."""

    cause: str = "session lost"


class TimedOut(Record, tag="timeout"):
    """The attempt took longer than allowed."""

    limit_ms: int = 0
    cause: str = "timeout"


class Cancelled(Record, tag="cancelled"):
    """Somebody or something cancelled it."""

    by: str = ""
    cause: str = ""


class Suspended(Record, tag="suspended"):
    """It gave up its process; the successor goes on."""


class Recurred(Record, tag="recurred"):
    """One round of a recurrent target or sensor ended; the successor is the next."""


class Superseded(Record, tag="superseded"):
    """A re-run or a result set by hand replaced it."""


class Cached(Record, tag="cached"):
    """It takes the outcome of another execution (CA)."""

    execution: str


class Deferred(Record, tag="deferred"):
    """A later equal execution replaced it (DF)."""

    execution: str


class Spawned(Record, tag="spawned"):
    """It takes the outcome of the child run's initial step."""

    execution: str


Result = Union[
    Returned, Raised, Crashed, Abandoned, TimedOut, Cancelled,
    Suspended, Recurred, Superseded, Cached, Deferred, Spawned,
]  # fmt: skip


class Dismissed(Record, tag="dismissed"):
    """Somebody would not answer an input; no execution ends so."""

    by: str = ""


#: What whoever waits for an execution or an input can be told.
Resolution = Union[
    Returned, Raised, Crashed, Abandoned, TimedOut, Cancelled,
    Suspended, Recurred, Superseded, Cached, Deferred, Spawned, Dismissed,
]  # fmt: skip

LINKS = (Cached, Deferred, Spawned)
FAILURES = (Raised, Crashed, Abandoned, TimedOut)
#: What a waiter can be told in the end.
FINAL = (Returned, Raised, Crashed, Abandoned, TimedOut, Cancelled)


def result_kind(result: Resolution) -> str:
    """The kind's name as shown in SEMANTICS.md section 6 (`value`, `error`, `crashed`, …)."""
    return str(type(result).__struct_config__.tag)


# --- assets -----------------------------------------------------------------------------------


class Entry(Record):
    """One file of an asset: relative path with `/`, blob, size in bytes, permission bits."""

    path: str
    blob: str
    size: int
    mode: int = 0o644
    media_type: str | None = None


class AssetManifest(Record):
    """The files of an asset, in the order of their paths."""

    entries: tuple[Entry, ...] = ()
    name: str | None = None
    #: A single file persisted by its path, as opposed to a directory.
    is_file: bool = False
    #: Where it was, relative to the execution's directory; restore() writes there again.
    path: str = "."


# --- inputs -----------------------------------------------------------------------------------


class Question(Record):
    """What a person is asked (IN-1). Schema and initial value are JSON texts; None = there is none.

    `message` is the template with its placeholders filled in.
    """

    template: str
    message: str
    schema: str | None = None
    title: str | None = None
    #: Labels of the two things that one can do: respond and dismiss.
    actions: tuple[str, str] = ("Submit", "Dismiss")
    #: Tags that whoever responds must have.
    requires: Requires = {}
    placeholders: dict[str, Value] = {}
    initial: str | None = None
    #: Given by the code; None = made of all the others but the initial value (IN-2).
    key: str | None = None


# --- logs -------------------------------------------------------------------------------------

Level = Literal["debug", "stdout", "info", "stderr", "warning", "error"]


class LogEntry(Record):
    """One line of log (LO-1). `at`: the agent's clock in ms; `seq` counts in the execution."""

    execution: str
    seq: int
    at: int
    level: Level
    #: Literal text for stdout and stderr; a template with `{label}` places otherwise.
    template: str
    values: dict[str, Value] = {}
    #: The line was split here, its rest follows in the next entry.
    partial: bool = False


# --- metrics ----------------------------------------------------------------------------------


class MetricAxis(Record):
    """An axis of a chart: horizontal for a group, vertical for a scale (MT)."""

    name: str
    units: str | None = None
    lower: float | None = None
    upper: float | None = None


class MetricDefinition(Record):
    """What a metric is in one execution. `total`: of progress, where it is known."""

    kind: Literal["metric", "progress"] = "metric"
    group: MetricAxis | None = None
    scale: MetricAxis | None = None
    total: float | None = None


class Measurement(Record):
    """A point of a metric; `at` grows from point to point of one key. `value` None is a gap.

    `definition` comes with the first, and whenever it has changed; `at` None is that alone.
    """

    execution: str
    key: str
    at: float | None = None
    value: float | None = None
    definition: MetricDefinition | None = None


# --- pools ------------------------------------------------------------------------------------


class PoolSpec(Record):
    """A recipe for starting agents on demand (PO-1)."""

    #: Repositories that its agents host: `module`, or `package.*` for a package and all below it.
    repositories: tuple[str, ...]
    launcher: str = "process"
    #: What the launcher needs to know, such as `image`.
    settings: dict[str, str] = {}
    min: int = 0
    max: int = 1
    #: Executions that each of its agents runs at once.
    concurrency: int = 4
    provides: dict[str, tuple[str, ...]] = {}
    accepts: Requires = {}
    #: Variables that its agents start with.
    env: dict[str, str] = {}
    #: Names of further variables, whose values are kept elsewhere and never shown.
    secrets: tuple[str, ...] = ()
    #: Changes with the value of any secret.
    secrets_revision: str = ""


# --- identifiers ------------------------------------------------------------------------------

#: 50 symbols: consonants in both cases and the digits 2 to 9 (ID-1).
SYMBOLS = "bcdfghjklmnpqrstvwxyzBCDFGHJKLMNPQRSTVWXYZ23456789"


def target_id(repository: str, name: str) -> str:
    """`repository/name`, as users write it."""
    return f"{repository}/{name}"


def step_id(run: str, step: int) -> str:
    """`RUN:STEP`."""
    return f"{run}:{step}"


def execution_id(run: str, step: int, attempt: int) -> str:
    """`RUN:STEP:ATTEMPT`."""
    return f"{run}:{step}:{attempt}"


def input_id(run: str, number: int) -> str:
    """`RUN/i1`."""
    return f"{run}/i{number}"


def is_input(id: str) -> bool:
    """Whether an id is an input's, as opposed to an execution's or an asset's."""
    return "/i" in id


def run_of(id: str) -> str:
    """The run part of a run, step, execution or input id."""
    return id.partition(":")[0].partition("/")[0]


def digest(*parts: bytes) -> bytes:
    """SHA-256 over length-prefixed parts, so that no two lists of parts collide (CA-2)."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.digest()


def content_hash(value: Value) -> bytes:
    """SHA-256 of a value's encoded bytes, the same whether they are inline or in a blob."""
    if value.blob is not None:
        return bytes.fromhex(value.blob)
    return hashlib.sha256(value.data or b"").digest()
