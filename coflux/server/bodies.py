"""The JSON bodies of requests to the HTTP API, and how one is decoded.

Belongs here: the shape of what clients send, refused with the field's path where it does not fit
(LI-1). Does not belong here: what a body means, answers (`answers.py`) and routes (`routes.py`).
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar, Union

import msgspec
from msgspec import UNSET, UnsetType

from coflux.errors import InvalidRequest
from coflux.model import CatchUp, Definition, Overlap, Requires, RetryPolicy, Submission
from coflux.server.access import Right
from coflux.server.choices import choices_at

#: Longest JSON body (section 32).
MAX_BODY = 8 * 1024 * 1024

T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends; a field that is not declared is refused."""


# --- projects and tokens ----------------------------------------------------------------------


class NewProject(Body):
    """Create a project (ID-6)."""

    name: str


class NewToken(Body):
    """Create a token of this project (AU-3)."""

    name: str
    right: Right
    environment: str = "*"
    #: From now; None = never expires.
    expires_ms: int | None = None
    #: Inputs that require these may be answered with it (IN-5).
    tags: dict[str, tuple[str, ...]] = {}


# --- runs -------------------------------------------------------------------------------------


class RunOptions(Body):
    """What a submission may set for itself (SU-3); absent = as the target says."""

    requires: Union[Requires, UnsetType] = UNSET
    memo: Union[bool, tuple[str, ...], UnsetType] = UNSET
    delay_ms: Union[int, UnsetType] = UNSET
    retries: Union[int, RetryPolicy, UnsetType] = UNSET
    timeout_ms: Union[int, UnsetType] = UNSET
    priority: Union[int, UnsetType] = UNSET


class NewRun(Body):
    """Start a run: of a registered `target` with JSON arguments, or of an encoded `submission`."""

    environment: str | None = None
    target: str | None = None
    arguments: list[Any] = []
    keyword_arguments: dict[str, Any] = {}
    options: RunOptions = msgspec.field(default_factory=RunOptions)
    submission: Submission | None = None
    idempotency_key: str | None = None


class Cancellation(Body):
    """Cancel what the path names, everywhere or in one environment (CN-1)."""

    environment: str | None = None


class Response(Body):
    """The answer to an input: any JSON that fits its schema."""

    value: Any


class Nothing(Body):
    """There is nothing to say."""


class Rerun(Body):
    """Run a step again (RR)."""

    environment: str | None = None
    code: Literal["current", "original"] = "current"
    reuse: bool = False


class ResultByHand(Body):
    """Give a step a value or an error by hand (RR-5); exactly one of the two."""

    reason: str
    value: Any = UNSET
    error: Union[str, UnsetType] = UNSET
    environment: str | None = None


# --- environments, manifests, sessions, cache --------------------------------------------------


class NewEnvironment(Body):
    """Create an environment."""

    name: str
    base: str | None = None


class EnvironmentPatch(Body):
    """Change an environment; `base: null` removes the base."""

    name: Union[str, UnsetType] = UNSET
    base: Union[str, UnsetType, None] = UNSET


class SettingsPatch(Body):
    """Limits by name; null = the default again."""

    values: dict[str, Union[int, None]]


class SlotDefinition(Body):
    """What a named slot allows: units at a time, and assignments in a period (SC-7, SC-8).

    Without `environment` it holds for the whole project.
    """

    environment: str | None = None
    limit: int | None = None
    rate: int | None = None
    period_ms: int | None = None


class NewSchedule(Body):
    """Start a registered target by the calendar (SD-1)."""

    name: str
    target: str
    cron: str
    environment: str | None = None
    zone: str = "UTC"
    arguments: list[Any] = []
    keyword_arguments: dict[str, Any] = {}
    options: RunOptions = msgspec.field(default_factory=RunOptions)
    catch_up: CatchUp = "none"
    overlap: Overlap = "skip"
    paused: bool = False


class SchedulePatch(Body):
    """Change a schedule; arguments and options are replaced as a whole."""

    cron: Union[str, UnsetType] = UNSET
    zone: Union[str, UnsetType] = UNSET
    arguments: Union[list[Any], UnsetType] = UNSET
    keyword_arguments: Union[dict[str, Any], UnsetType] = UNSET
    options: Union[RunOptions, UnsetType] = UNSET
    catch_up: Union[CatchUp, UnsetType] = UNSET
    overlap: Union[Overlap, UnsetType] = UNSET


class Manifests(Body):
    """Register repositories; those not named stay as they are (CO-1)."""

    environment: str
    manifests: dict[str, tuple[Definition, ...]]


class ArchivedRepository(Body):
    """Hide a repository's targets until it is registered again."""

    environment: str
    repository: str


class NewSession(Body):
    """Open an agent session. `create` makes the environment if need be and wants admin (ID-6).

    `local` says that the agent runs as the server's user on its machine and can use its files.
    """

    environment: str
    create: bool = False
    local: bool = False


class Forgetting(Body):
    """Cache entries to forget: all of a target, or one execution's (CA-13)."""

    environment: str
    target: str | None = None
    execution: str | None = None


class PoolFields(Body):
    """Fields of a pool that shall be otherwise; a secret whose value is null is removed."""

    environment: str = "default"
    repositories: tuple[str, ...] | UnsetType = UNSET
    launcher: str | UnsetType = UNSET
    settings: dict[str, str] | UnsetType = UNSET
    min: int | UnsetType = UNSET
    max: int | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    provides: dict[str, tuple[str, ...]] | UnsetType = UNSET
    accepts: Requires | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    secrets: dict[str, str | None] | UnsetType = UNSET


class PoolPlace(Body):
    """Where the pool is."""

    environment: str = "default"


class NewPool(Body):
    """A pool (PO-1): `settings` are its launcher's; values of `secrets` are never shown again."""

    name: str
    repositories: tuple[str, ...]
    environment: str = "default"
    launcher: str = "process"
    settings: dict[str, str] = {}
    min: int = 0
    max: int = 1
    concurrency: int = 4
    provides: dict[str, tuple[str, ...]] = {}
    accepts: Requires = {}
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}


class PoolInFile(Body):
    """A pool as it was exported: secrets by name, and the revision it had then."""

    name: str
    repositories: tuple[str, ...]
    revision: int | None = None
    launcher: str = "process"
    settings: dict[str, str] = {}
    min: int = 0
    max: int = 1
    concurrency: int = 4
    provides: dict[str, tuple[str, ...]] = {}
    accepts: Requires = {}
    env: dict[str, str] = {}
    secrets: tuple[str, ...] = ()


class PoolsImport(Body):
    """What an environment's pools shall be; with `names`, only pools of these are touched."""

    pools: tuple[PoolInFile, ...]
    environment: str = "default"
    names: tuple[str, ...] | None = None
    dry_run: bool = False
    force: bool = False


class NewHook(Body):
    """Something to be told when runs end: a `command` (words), or the `url` of another kind."""

    name: str
    kind: Literal["command", "webhook", "apprise"]
    environment: str = "default"
    outcomes: tuple[Literal["succeeded", "failed", "cancelled"], ...] = ("failed",)
    target: str | None = None
    command: tuple[str, ...] = ()
    url: str = ""
    headers: dict[str, str] = {}


class HookPlace(Body):
    """Where the hook is."""

    environment: str = "default"


# --- inside the server ------------------------------------------------------------------------


class SessionToken(Body):
    """Gateway to project: whose session token is this?"""

    token: str


class BackupRequest(Body):
    """Gateway to project: write consistent copies of the databases into this directory."""

    directory: str


class ActivityRequest(Body):
    """Gateway to project: which agents are at work?"""


# --- decoding ---------------------------------------------------------------------------------

_PATH = re.compile(r"(?P<problem>.*?)(?: - at (?:`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_CHOICE = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required field|contains unknown field) `(?P<name>[^`]*)`")


def decode_body(body: bytes, type: type[T]) -> T:
    """The body as `type`; an empty body counts as `{}`.

    Raises `InvalidRequest` with the path of the field at fault, such as `options.delay_ms`.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=type)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), type) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error


def _refusal(text: str, type: Any) -> InvalidRequest:
    match = _PATH.fullmatch(text)
    problem, path = (match["problem"], match["path"] or "") if match else (text, "")
    given = _CHOICE.fullmatch(problem)
    choices = choices_at(type, path) if given else []
    if given and choices:
        problem = f"{given['value'][:100]} is not one of {', '.join(choices)}"
    named = _NAMED.match(problem)
    field = f"{path}.{named['name']}" if named else path
    field = field.lstrip(".")
    where = f" (at `{field}`)" if field else ""
    return InvalidRequest(f"{problem}{where}.", field=field or None)
