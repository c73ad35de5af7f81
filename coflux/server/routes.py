"""All routes of the HTTP API, the gateway's and the project's: the one list of them.

Belongs here: which paths there are, the right each needs, what goes in and out. Gateway, project
process, OpenAPI document and tests are made from it. Does not belong here: any handling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from coflux.server import answers, bodies
from coflux.server.access import Right
from coflux.server.query import Parameter

#: Every path of the API begins with this, after the server's base URL.
PREFIX = "/api/v1"
#: The beginning of every path of a project; what follows is the path in the project process.
PROJECT = "/projects/{project}"


@dataclass(frozen=True)
class Route:
    """An operation. `right` is `open` where no token is needed."""

    name: str
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    #: Path after `PREFIX`, with `{parameters}` that each stand for one segment.
    pattern: str
    right: Right | Literal["open"]
    served_by: Literal["gateway", "project"]
    summary: str
    request: Any = None
    response: Any = None
    query: tuple[Parameter, ...] = ()
    kind: Literal["json", "stream", "websocket"] = "json"
    #: Status of success; 201 where something is made.
    status: int = 200

    @property
    def project_pattern(self) -> str:
        """The path as the project process sees it."""
        return self.pattern.removeprefix(PROJECT)


def to_regex(pattern: str) -> str:
    """A pattern as a regular expression with one named group for each parameter."""
    parts = re.split(r"\{(\w+)\}", pattern)
    texts = [re.escape(part) for part in parts[::2]]
    groups = [f"(?P<{name}>[^/]+)" for name in parts[1::2]] + [""]
    return "".join(text + group for text, group in zip(texts, groups, strict=True)) + "$"


def by_pattern(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    """The routes of each path by method, in an order in which the first path that fits is right.

    Paths without parameters come first: `/cache/forget` before `/cache/{id}`.
    """
    grouped: dict[str, dict[str, Route]] = {}
    for route in sorted(routes, key=lambda route: route.pattern.count("{")):
        grouped.setdefault(route.pattern, {})[route.method] = route
    return grouped


#: Of log entries, from the least to the most urgent.
LEVELS = ("debug", "stdout", "info", "stderr", "warning", "error")
ENVIRONMENT = Parameter("environment", "Name of the environment.")
LIMIT = Parameter(
    "limit", "Most entries to return.", "integer", default=100, maximum=1000, minimum=1
)
WAIT = Parameter("wait_ms", "How long to wait at most, in ms.", "integer", 0, maximum=30_000)


def _gateway(*args: Any, **more: Any) -> Route:
    name, method, pattern, right, summary = args
    return Route(name, method, pattern, right, "gateway", summary, **more)


def _project(*args: Any, **more: Any) -> Route:
    name, method, pattern, right, summary = args
    return Route(name, method, PROJECT + pattern, right, "project", summary, **more)


GATEWAY: tuple[Route, ...] = (
    _gateway("health", "GET", "/health", "open", "Whether the server answers.",
             response=answers.Health),
    _gateway("version", "GET", "/version", "open", "Version of software and protocol.",
             response=answers.Version),
    _gateway("openapi", "GET", "/openapi.json", "open", "This document.",
             response=dict[str, Any]),
    _gateway("list_projects", "GET", "/projects", "read", "Projects, and how their processes are.",
             response=list[answers.ProjectState]),
    _gateway("create_project", "POST", "/projects", "admin", "Create a project.",
             request=bodies.NewProject, response=answers.ProjectState, status=201),
    _gateway("list_tokens", "GET", PROJECT + "/tokens", "admin", "Tokens that are in force.",
             response=list[answers.TokenInfo]),
    _gateway("create_token", "POST", PROJECT + "/tokens", "admin",
             "Create a token; its value is shown this once.",
             request=bodies.NewToken, response=answers.TokenCreated, status=201),
    _gateway("revoke_token", "DELETE", PROJECT + "/tokens/{id}", "admin",
             "Revoke a token and close its connections.", response=answers.Done),
    _gateway("get_blob", "GET", PROJECT + "/blobs/{sha256}", "read",
             "The bytes of a blob, or a range of them.", kind="stream"),
    _gateway("check_blob", "HEAD", PROJECT + "/blobs/{sha256}", "read",
             "Whether a blob is there.", kind="stream"),
    _gateway("put_blob", "PUT", PROJECT + "/blobs/{sha256}", "run",
             "Store a blob; its SHA-256 is checked.", kind="stream", status=201),
    _gateway("backup", "POST", PROJECT + "/backup", "admin",
             "A consistent copy of the project as a tar stream.", kind="stream"),
)  # fmt: skip

PROJECT_ROUTES: tuple[Route, ...] = (
    _project("submit_run", "POST", "/runs", "run",
             "Start a run; 200 instead of 201 when the idempotency key was known.",
             request=bodies.NewRun, response=answers.Submitted, status=201),
    _project("list_runs", "GET", "/runs", "read", "Runs, newest first.",
             response=list[answers.RunSummary],
             query=(ENVIRONMENT, Parameter("target", "`repository/name`."), LIMIT,
                    Parameter("pinned", "Only runs that are pinned.", "boolean", False),
                    Parameter("before", "Only runs older than this run."))),
    _project("get_run", "GET", "/runs/{run}", "read", "A run with its steps and attempts.",
             response=answers.RunDetail,
             query=(ENVIRONMENT, WAIT,
                    Parameter("since", "Cursor of an earlier answer: only steps changed since."))),
    _project("pin_run", "POST", "/runs/{run}/pin", "run",
             "Keep a run for ever; who pinned it first stays on record.",
             request=bodies.Nothing, response=answers.PinState),
    _project("unpin_run", "POST", "/runs/{run}/unpin", "run",
             "Let a run be like any other again.",
             request=bodies.Nothing, response=answers.PinState),
    _project("list_steps", "GET", "/runs/{run}/steps", "read",
             "Steps of a run in the compact form of the topic `graph`.",
             response=answers.StepPage,
             query=(ENVIRONMENT, Parameter("under", "Only the members of this fold."),
                    Parameter("status", "Only these statuses, joined by commas."),
                    Parameter("text", "Only targets whose name has this text."),
                    Parameter("after", "Only steps after this number."), LIMIT)),
    _project("get_step", "GET", "/steps/{id}", "read",
             "A step in full: arguments, attempts, results, explanations.",
             response=answers.StepWhole, query=(ENVIRONMENT,)),
    _project("get_result", "GET", "/results/{id}", "read",
             "The resolved outcome of a run, step or execution; 202 while there is none.",
             response=answers.Outcome,
             query=(ENVIRONMENT, WAIT,
                    Parameter("encoded", "Add the encoded result.", "boolean", False))),
    _project("get_arguments", "GET", "/arguments/{id}", "read", "The stored arguments of a step.",
             response=answers.Arguments, query=(ENVIRONMENT,)),
    _project("cancel", "POST", "/cancel/{id}", "run", "Cancel a run, step or execution.",
             request=bodies.Cancellation, response=answers.Cancelled),
    _project("rerun", "POST", "/rerun/{id}", "run", "Run a step again.",
             request=bodies.Rerun, response=answers.Submitted, status=201),
    _project("set_result", "POST", "/set-result/{id}", "run", "Give a step its result by hand.",
             request=bodies.ResultByHand, response=answers.Submitted),
    _project("get_logs", "GET", "/logs", "read", "Log entries of a run, step or execution.",
             response=answers.LogPage,
             query=(Parameter("id", "Run, step or execution.", required=True), ENVIRONMENT,
                    Parameter("after", "Cursor of the page before."),
                    Parameter("before", "`first` of the page after, or `end` for the last page."),
                    Parameter("level", "Only this level.", choices=LEVELS),
                    Parameter("at_least", "Only this level and those after it in the list.",
                              choices=LEVELS),
                    Parameter("text", "Only lines with this text."),
                    Parameter("limit", "Most entries to return.", "integer", 1000, 1000,
                              minimum=1), WAIT)),
    _project("get_metrics", "GET", "/metrics", "read",
             "Metrics of a run, step or execution: a chart of all points, or those after a cursor.",
             response=answers.MetricPage,
             query=(Parameter("id", "Run, step or execution.", required=True), ENVIRONMENT,
                    Parameter("key", "Only this metric."),
                    Parameter("points", "Most points of each metric, without `after`.",
                              "integer", 500, 10_000, minimum=1),
                    Parameter("after", "Cursor of the answer before: only newer points, all."),
                    Parameter("limit", "Most points to return, with `after`.", "integer", 10_000,
                              10_000, minimum=1), WAIT)),
    _project("list_inputs", "GET", "/inputs", "read", "Questions to people, newest first.",
             response=list[answers.InputRow],
             query=(ENVIRONMENT, Parameter("run", "Only of this run."),
                    Parameter("state", "Only those that can be answered, or all.", default="open",
                              choices=("open", "all")), LIMIT)),
    _project("get_input", "GET", "/inputs/{run}/{number}", "read",
             "A question with its schema, and the answer; waits while it is open.",
             response=answers.InputDetail, query=(WAIT,)),
    _project("respond_to_input", "POST", "/inputs/{run}/{number}/respond", "run",
             "Answer a question; the first answer that fits counts.",
             request=bodies.Response, response=answers.InputDetail),
    _project("dismiss_input", "POST", "/inputs/{run}/{number}/dismiss", "run",
             "Refuse to answer a question.",
             request=bodies.Nothing, response=answers.InputDetail),
    _project("cancel_input", "POST", "/inputs/{run}/{number}/cancel", "run",
             "Cancel a question; whoever waits for it hears so.",
             request=bodies.Nothing, response=answers.InputDetail),
    _project("list_environments", "GET", "/environments", "read", "Environments.",
             response=list[answers.EnvironmentInfo]),
    _project("create_environment", "POST", "/environments", "admin", "Create an environment.",
             request=bodies.NewEnvironment, response=answers.EnvironmentInfo, status=201),
    _project("update_environment", "PATCH", "/environments/{id}", "admin",
             "Rename an environment or change its base.",
             request=bodies.EnvironmentPatch, response=answers.EnvironmentInfo),
    _project("pause_environment", "POST", "/environments/{id}/pause", "admin",
             "Assign no more work.", response=answers.EnvironmentInfo),
    _project("resume_environment", "POST", "/environments/{id}/resume", "admin",
             "Assign work again.", response=answers.EnvironmentInfo),
    _project("archive_environment", "POST", "/environments/{id}/archive", "admin",
             "End an environment for good.", response=answers.EnvironmentInfo),
    _project("list_settings", "GET", "/environments/{id}/settings", "read",
             "Limits that an environment may set, with values and defaults.",
             response=list[answers.SettingInfo]),
    _project("change_settings", "PATCH", "/environments/{id}/settings", "admin",
             "Set limits, or give them back their defaults.",
             request=bodies.SettingsPatch, response=list[answers.SettingInfo]),
    _project("list_slots", "GET", "/slots", "read", "Named slots, and who holds them.",
             response=list[answers.SlotInfo], query=(ENVIRONMENT,)),
    _project("set_slot", "PUT", "/slots/{name}", "admin",
             "Define a named slot in an environment, or for the project.",
             request=bodies.SlotDefinition, response=answers.Done),
    _project("remove_slot", "DELETE", "/slots/{name}", "admin",
             "Remove the definition of a slot; without one its limit is 1.",
             response=answers.Done,
             query=(Parameter("environment", "Name of the environment; absent = the project."),)),
    _project("list_schedules", "GET", "/schedules", "read",
             "Schedules, each with the instants to come.",
             response=list[answers.ScheduleInfo], query=(ENVIRONMENT,)),
    _project("create_schedule", "POST", "/schedules", "admin",
             "Start a registered target by the calendar.",
             request=bodies.NewSchedule, response=answers.ScheduleInfo, status=201),
    _project("get_schedule", "GET", "/schedules/{id}", "read",
             "A schedule with what its newest instants have come to.",
             response=answers.ScheduleDetail),
    _project("update_schedule", "PATCH", "/schedules/{id}", "admin",
             "Change a schedule; what is absent stays.",
             request=bodies.SchedulePatch, response=answers.ScheduleInfo),
    _project("delete_schedule", "DELETE", "/schedules/{id}", "admin", "End a schedule.",
             response=answers.Done),
    _project("pause_schedule", "POST", "/schedules/{id}/pause", "admin",
             "Start nothing; what comes meanwhile is dropped.", response=answers.ScheduleInfo),
    _project("resume_schedule", "POST", "/schedules/{id}/resume", "admin",
             "Start runs again from now on.", response=answers.ScheduleInfo),
    _project("list_manifests", "GET", "/manifests", "read", "Registered targets by repository.",
             response=dict[str, answers.RepositoryManifest], query=(ENVIRONMENT,)),
    _project("register_manifests", "POST", "/manifests", "run", "Register repositories.",
             request=bodies.Manifests, response=dict[str, answers.RepositoryManifest]),
    _project("archive_manifest", "POST", "/manifests/archive", "run", "Hide a repository.",
             request=bodies.ArchivedRepository, response=answers.Done),
    _project("list_agents", "GET", "/agents", "read", "Agents and what they run.",
             response=list[answers.AgentInfo], query=(ENVIRONMENT,)),
    _project("list_queue", "GET", "/queue", "read", "Queued executions, each with its reason.",
             response=list[answers.QueueEntry], query=(ENVIRONMENT,)),
    _project("list_pools", "GET", "/pools", "read", "Pools with their agents.",
             response=list[answers.PoolInfo], query=(ENVIRONMENT,)),
    _project("create_pool", "POST", "/pools", "admin", "Create a pool.",
             request=bodies.NewPool, response=answers.PoolInfo, status=201),
    _project("import_pools", "POST", "/pools/import", "admin",
             "Let an environment's pools be exactly these.",
             request=bodies.PoolsImport, response=list[answers.ImportStep]),
    _project("get_pool", "GET", "/pools/{name}", "read", "A pool with its agents.",
             response=answers.PoolInfo, query=(ENVIRONMENT,)),
    _project("update_pool", "PATCH", "/pools/{name}", "admin",
             "Change fields of a pool; its agents are replaced.",
             request=bodies.PoolFields, response=answers.PoolInfo),
    _project("enable_pool", "POST", "/pools/{name}/enable", "admin", "Start agents again.",
             request=bodies.PoolPlace, response=answers.PoolInfo),
    _project("disable_pool", "POST", "/pools/{name}/disable", "admin",
             "Start no more agents, and drain those that run.",
             request=bodies.PoolPlace, response=answers.PoolInfo),
    _project("delete_pool", "DELETE", "/pools/{name}", "admin",
             "Delete a pool; its agents are drained.",
             response=answers.Done, query=(ENVIRONMENT,)),
    _project("list_hooks", "GET", "/hooks", "read", "Who is told how runs ended.",
             response=list[answers.HookInfo], query=(ENVIRONMENT,)),
    _project("create_hook", "POST", "/hooks", "admin", "Create a hook.",
             request=bodies.NewHook, response=answers.HookInfo, status=201),
    _project("enable_hook", "POST", "/hooks/{name}/enable", "admin", "Tell a hook again.",
             request=bodies.HookPlace, response=answers.HookInfo),
    _project("disable_hook", "POST", "/hooks/{name}/disable", "admin", "Tell a hook no more.",
             request=bodies.HookPlace, response=answers.HookInfo),
    _project("try_hook", "POST", "/hooks/{name}/test", "admin",
             "Tell a hook of a run that there is not; 503 where that fails.",
             request=bodies.HookPlace, response=answers.Done),
    _project("delete_hook", "DELETE", "/hooks/{name}", "admin",
             "Delete a hook, with what it is owed.",
             response=answers.Done, query=(ENVIRONMENT,)),
    _project("list_deliveries", "GET", "/hooks/{name}/deliveries", "read",
             "What a hook was told and is owed, the newest first.",
             response=list[answers.DeliveryInfo], query=(ENVIRONMENT, LIMIT)),
    _project("list_assets", "GET", "/assets", "read",
             "Assets of a run, or without `run` the newest of an environment.",
             response=list[answers.AssetInfo],
             query=(Parameter("run", "The run."), ENVIRONMENT,
                    Parameter("name", "Only assets whose name or files' paths have this text."),
                    LIMIT, Parameter("before", "Only assets older than this one."))),
    _project("get_asset", "GET", "/assets/{id}", "read", "An asset with its files.",
             response=answers.AssetInfo, query=(ENVIRONMENT,)),
    _project("explain_cache", "GET", "/cache/{id}", "read",
             "Why a step or execution took an earlier outcome, or did not.",
             response=answers.Explanation, query=(ENVIRONMENT,)),
    _project("forget_cache", "POST", "/cache/forget", "admin", "Make cache entries unusable.",
             request=bodies.Forgetting, response=answers.Forgotten),
    _project("get_storage", "GET", "/storage", "read", "What the project takes on disk.",
             response=answers.Storage),
    _project("collect", "POST", "/gc", "admin",
             "Remove runs, logs and blobs that are past their time, and say what went so far.",
             request=bodies.Nothing, response=answers.Collection,
             query=(Parameter("dry_run", "Remove nothing; say what would go.", "boolean", False),
                    Parameter("collection", "Look at this one, instead of beginning another.",
                              "integer", 0), WAIT)),
    _project("open_session", "POST", "/sessions", "run", "Open a session for an agent.",
             request=bodies.NewSession, response=answers.SessionOpened, status=201),
    _project("agent", "GET", "/agent", "run", "The connection of an agent (msgpack frames).",
             kind="websocket"),
    _project("topics", "GET", "/topics", "read",
             'Live views in JSON frames. `{"op": "sub", "id", "topic", "args"}`, with a number of'
             " the client's own as `id`, is answered by a `snap` and then by `patch`es, whose"
             ' `seq` grows by one, or by an `err`; `{"op": "unsub", "id"}` ends it. A frame that'
             " is malformed ends the connection.", kind="websocket"),
)  # fmt: skip

ROUTES: tuple[Route, ...] = GATEWAY + PROJECT_ROUTES

#: Inside the server only; the gateway passes nothing from outside to this path.
INTERNAL = "/internal"
