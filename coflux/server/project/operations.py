"""The operations of the project's HTTP API, by the name of their route.

Belongs here: what each does with a call. Does not belong here: HTTP itself (`api`), rules (core).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from coflux.errors import Conflict, Forbidden, InvalidRequest, NotFound
from coflux.model import Error, Raised, Result, Returned, Value, run_of, target_id
from coflux.server.access import Principal, Scope
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core import sending
from coflux.server.core.entities import Environment, Execution
from coflux.server.core.submission import nearest
from coflux.server.project import (
    asset_operations,
    collection_operations,
    hook_operations,
    input_operations,
    measurements,
    pin_operations,
    pool_operations,
    schedules,
    submissions,
    tuning,
)
from coflux.server.project.agents import hash_secret, session_of
from coflux.server.project.bit_by_bit import bit_by_bit
from coflux.server.project.calls import Call, parse_id
from coflux.server.project.graph_feed import Wanted, list_page, show_whole
from coflux.server.routes import LEVELS
from coflux.server.views import lists, results, runs
from coflux.values import encode

Operation = Callable[[Call], Awaitable[Any]]


# --- runs ---------------------------------------------------------------------------------------


async def submit_run(call: Call) -> Any:
    environment = call.environment(call.body.environment, "run")
    call.project.check_space()
    submission = submissions.submission_of(call.body, environment, call.project.blobs)
    key = call.body.idempotency_key
    if key is not None and not 1 <= len(key) <= 200:
        raise InvalidRequest("An idempotency key has 1 to 200 characters.", field="idempotency_key")
    submitted = await call.ask(
        lambda to: e.RunRequested(
            to, environment.name, submission, key, submissions.fingerprint(submission)
        ),
        fx.Submitted,
    )
    if not submitted.is_new:
        call.status = 200
    return _submitted(call, submitted)


async def list_runs(call: Call) -> Any:
    target = call.query.get("target")
    repository, _, name = (target or "").rpartition("/")
    environment = call.query.get("environment")
    found = call.orchestrator.store.reader.runs(
        call.environment(environment, "read").id if environment is not None else None,
        (repository, name) if target else None, call.query["limit"], call.query.get("before"),
        call.state.pinned if call.query["pinned"] else None,
    )  # fmt: skip
    readable = {environment.id: environment.name for environment in call.visible("read")}
    return [
        lists.show_summary(call.state, row, readable)
        for row in found
        if row["environment"] in readable
    ]


async def get_run(call: Call) -> Any:
    found = call.find_run(call.path["run"])
    following = call.project.following
    track = following.track(found.run.id)
    since = following.read_cursor(track, call.query.get("since"))
    if since is not None:
        await following.wait(track, since, call.query["wait_ms"] / 1000)
        found = call.find_run(call.path["run"])
    cursor = following.cursor(track)
    numbers = following.steps_since(track, found.state, found.run, since)
    state, run = found
    seen = runs.visible_from(state, run, call.viewpoint())
    steps = [
        runs.show_step(state, run.steps[number], seen, call.reason_of, call.project.blobs)
        async for number in bit_by_bit(numbers)
        if number in run.steps and any(e.environment in seen for e in run.steps[number].executions)
    ]
    asked = input_operations.rows_of_run(call, state, run)
    header = runs.show_header(state, run, seen, call.orchestrator.now())
    return {**header, "steps": steps, "inputs": asked, "cursor": cursor, "is_whole": since is None}


async def get_result(call: Call) -> Any:
    found, execution = call.find_execution(call.path["id"])
    outcome = await _outcome(call, execution, call.query["wait_ms"])
    if outcome is None:
        call.status = 202
        if parse_id(call.path["id"]).step is None:  # a run has words of its own (RS-6)
            seen = runs.visible_from(found.state, found.run, call.viewpoint())
            now = call.orchestrator.now()
            return {"status": runs.run_status(found.state, found.run, seen, now)}
        return {"status": runs.status_of(execution)}
    result = outcome.result or call.orchestrator.result_of(outcome.execution)
    shown = results.show_result(result, call.project.blobs)
    shown["execution"] = outcome.execution
    state = call.orchestrator.state_with(run_of(outcome.execution))
    hand = runs.set_by_hand(state.executions.get(outcome.execution)) if state is not None else None
    if hand is not None:
        shown["by_hand"] = hand
    if call.query["encoded"]:
        shown["result"] = msgspec.to_builtins(result)
    return shown


async def get_arguments(call: Call) -> Any:
    _, execution = call.find_execution(call.path["id"])
    submission = execution.step.submission
    return {
        "target": target_id(submission.repository, submission.target),
        "arguments": msgspec.to_builtins(submission.arguments),
    }


async def cancel(call: Call) -> Any:
    call.find_run(call.path["id"])
    if call.body.environment is not None:
        call.environment(call.body.environment, "read")
    done = await call.ask(
        lambda to: e.CancelRequested(
            to, (call.path["id"],), call.body.environment, call.allowed("run")
        ),
        fx.Confirm,
    )
    return done.data


async def rerun(call: Call) -> Any:
    found, execution = call.find_execution(call.path["id"], call.body.environment)
    call.project.check_space()
    await asyncio.to_thread(_check_stored, call, sending.arguments(found.state, execution))
    body = call.body
    submitted = await call.ask(
        lambda to: e.RerunRequested(
            to, call.path["id"], body.environment, body.code == "original", body.reuse,
            call.allowed("run"),
        ),
        fx.Submitted,
    )  # fmt: skip
    return _submitted(call, submitted)


def _check_stored(call: Call, arguments: Mapping[str, Value]) -> None:
    """Refuse to run with arguments whose content is gone, as from a damaged disk (RR)."""
    blobs = call.project.blobs
    for name, value in arguments.items():
        if value.blob is not None and not blobs.exists(value.blob):
            raise Conflict(
                f"Step {call.path['id']} cannot be run again: its argument {name} is no longer"
                f" stored (blob {value.blob}).",
                field=f"arguments.{name}",
            )


async def set_result(call: Call) -> Any:
    call.find_execution(call.path["id"], call.body.environment)
    result = _result_by_hand(call)
    submitted = await call.ask(
        lambda to: e.ResultSet(
            to, call.path["id"], result, call.body.reason.strip(), call.body.environment,
            call.allowed("run"),
        ),
        fx.Submitted,
    )  # fmt: skip
    return _submitted(call, submitted)


async def get_logs(call: Call) -> Any:
    found = call.find_part(call.query["id"])
    seen = runs.visible_from(found.state, found.run, call.viewpoint())
    after, before = call.cursor("after"), call.cursor("before")
    if after is not None and before is not None:
        raise InvalidRequest("Give `after` or `before`, not both.", field="before")
    page = call.orchestrator.logs.page
    arguments: dict[str, Any] = {
        "after": after or 0, "before": before, "levels": _levels(call),
        "text": call.query.get("text"), "limit": call.query["limit"],
    }  # fmt: skip
    lines = page(call.query["id"], **arguments)
    if not lines and before is None and call.query["wait_ms"]:
        await call.project.wait_for_logs(found.run.id, call.query["wait_ms"] / 1000)
        lines = page(call.query["id"], **arguments)
    return {
        "entries": [
            {**lists.show_log(line.entry), "id": line.id}
            for line in lines
            if call.is_seen(line.entry.execution, seen)
        ],
        "cursor": str(lines[-1].id if lines else after or 0),
        "first": str(lines[0].id) if lines else None,
        "more": len(lines) == arguments["limit"],
    }


def _levels(call: Call) -> tuple[str, ...]:
    level, at_least = call.query.get("level"), call.query.get("at_least")
    if level is not None:
        return (level,)
    return LEVELS[LEVELS.index(at_least) :] if at_least is not None else ()


async def list_steps(call: Call) -> Any:
    after = call.query.get("after") or "0"
    if not after.isdigit() or len(after) > 18:
        raise InvalidRequest("`after` is the number of a step.", field="after")
    state, run = call.find_run(call.path["run"])
    wanted = Wanted(call.query.get("under"), call.query.get("status"), call.query.get("text"))
    seen = set(runs.visible_from(state, run, call.viewpoint()))
    return list_page(state, run, seen, wanted, int(after), call.query["limit"])


async def get_step(call: Call) -> Any:
    id = parse_id(call.path["id"])
    return show_whole(call, id.run, id.step or 1)


# --- environments -------------------------------------------------------------------------------


async def list_environments(call: Call) -> Any:
    return [lists.show_environment(call.state, found) for found in call.visible("read")]


async def create_environment(call: Call) -> Any:
    if not call.principal.may("admin", call.body.name):
        raise Forbidden(f"The token does not give the right to create {call.body.name!r}.")
    if call.body.base is not None:
        call.environment(call.body.base, "read", field="base")
    return await _create_environment(call, call.body.name, call.body.base)


async def update_environment(call: Call) -> Any:
    environment = call.environment_by_id("admin")
    body = call.body
    if isinstance(body.base, str):
        call.environment(body.base, "read", field="base")
    if isinstance(body.name, str) and not call.principal.may("admin", body.name):
        raise Forbidden(f"The token does not give the right to name it {body.name!r}.")
    done = await call.ask(
        lambda to: e.EnvironmentChangeRequested(
            to, environment.id, None if body.name is UNSET else body.name,
            None if body.base is UNSET else body.base, body.base is not UNSET,
        ),
        fx.Confirm,
    )  # fmt: skip
    return done.data


async def _set_state(call: Call, state: str) -> Any:
    environment = call.environment_by_id("admin")
    done = await call.ask(
        lambda to: e.EnvironmentStateRequested(to, environment.id, state), fx.Confirm
    )
    return done.data


async def pause_environment(call: Call) -> Any:
    return await _set_state(call, "paused")


async def resume_environment(call: Call) -> Any:
    return await _set_state(call, "active")


async def archive_environment(call: Call) -> Any:
    return await _set_state(call, "archived")


# --- manifests ----------------------------------------------------------------------------------


async def list_manifests(call: Call) -> Any:
    return lists.show_manifests(call.environment(call.query.get("environment"), "read"))


async def register_manifests(call: Call) -> Any:
    environment = call.environment(call.body.environment, "run")
    for definitions in call.body.manifests.values():
        schedules.check_declared(definitions)
    await call.ask(
        lambda to: e.ManifestsRegistered(to, environment.name, call.body.manifests), fx.Confirm
    )
    return lists.show_manifests(environment)


async def archive_manifest(call: Call) -> Any:
    environment = call.environment(call.body.environment, "run")
    repository = call.body.repository
    if repository not in environment.manifests:
        hint = nearest(repository, list(environment.manifests))
        raise NotFound(
            f"No repository {repository!r} is registered in {environment.name}{hint or '.'}",
            field="repository",
        )
    await call.ask(
        lambda to: e.ManifestsRegistered(to, environment.name, {repository: ()}), fx.Confirm
    )
    return {"ok": True}


# --- agents, queue, cache -----------------------------------------------------------------------


async def list_agents(call: Call) -> Any:
    wanted = {environment.id for environment in call.chosen()}
    return [
        lists.show_agent(call.state, session)
        for session in call.state.sessions.values()
        if session.environment in wanted
    ]


async def list_queue(call: Call) -> Any:
    machine = call.orchestrator.machine
    every = list(lists.queued(machine, [environment.id for environment in call.chosen()]))
    return [
        entry
        async for execution in bit_by_bit(every)
        if lists.is_queued(machine, execution)  # it may have gone out in the meantime
        for entry in lists.show_queue(machine, [execution], call.orchestrator.now())
    ]


async def explain_cache(call: Call) -> Any:
    _, execution = call.find_execution(call.path["id"])
    note = runs.show_cache(execution.cache)
    if note is None:
        has_cache = execution.step.submission.options.cache is not None
        why = "not looked up yet" if has_cache else "the target has no cache option"
        note = {"outcome": "not looked up", "detail": why}
    return {"execution": execution.id, "cache": note}


async def forget_cache(call: Call) -> Any:
    environment = call.environment(call.body.environment, "admin")
    if (call.body.target is None) == (call.body.execution is None):
        raise InvalidRequest("Give `target` or `execution`.", field="target")
    if call.body.execution is not None:
        call.find_execution(call.body.execution, environment.name)
    done = await call.ask(
        lambda to: e.CacheForgetRequested(
            to, environment.id, call.body.execution, call.body.target
        ),
        fx.Confirm,
    )
    if call.body.target is not None and not done.data["forgotten"]:
        _check_cached_target(call, environment, call.body.target)
    return {"ok": True, **done.data}


def _check_cached_target(call: Call, environment: Environment, target: str) -> None:
    """Refuse a target that nobody has heard of, with the nearest name (ID-6)."""
    hosted = {"/".join(place) for s in call.state.sessions.values() for place in s.targets}
    registered = {
        target_id(repository, name)
        for repository, definitions in environment.manifests.items()
        for name in definitions
    }
    known = {*hosted, *registered, *(name.replace(":", "/") for name in call.state.namespaces)}
    if target.replace(":", "/") not in known:
        raise NotFound(
            f"There is no cached target {target[:200]!r}{nearest(target, sorted(known)) or '.'}",
            field="target",
        )


async def open_session(call: Call) -> Any:
    body = call.body
    is_new = body.create and call.state.environment_named(body.environment) is None
    if is_new:
        if not call.principal.may("admin", body.environment):
            raise Forbidden(f"The token does not give the right to create {body.environment!r}.")
        await _create_environment(call, body.environment, None)
    environment = call.environment(body.environment, "run")
    session, token = call.principal.id, ""
    if session not in call.state.launched:
        # Else it is an agent that a pool has started, for whom a session has been opened already.
        secret = secrets.token_urlsafe(32)
        done = await call.ask(
            lambda to: e.SessionRequested(to, environment.name, hash_secret(secret)), fx.Confirm
        )
        session = done.data["session"]
        token = f"cfs_{call.project.name}.{session}.{secret}"
    is_local = body.local and call.is_local
    return {
        "session": session,
        "token": token,
        "environment": {"id": environment.id, "name": environment.name},
        "created": is_new,
        "project": call.project.name,
        "socket": call.project.socket if is_local else None,
        "blobs": str(call.project.directory / "blobs") if is_local else None,
    }


# --- inside the server --------------------------------------------------------------------------


async def authenticate(call: Call) -> Any:
    """The principal of a session token (AU-4)."""
    session = session_of(call.orchestrator, call.project.name, call.body.token)
    if session is None:
        raise NotFound("There is no such session token.")
    state = call.state
    line = state.lineage(state.sessions[session].environment)
    names = [state.environments[id].name for id in line]
    scopes = (Scope(names[0], "run"), *(Scope(name, "read") for name in names[1:]))
    principal = Principal(f"session {session}", session, scopes)
    return {"principal": msgspec.to_builtins(principal)}


async def activity(call: Call) -> Any:
    """The agents that are at work."""
    held = [session for session in call.state.sessions.values() if session.held]
    return {
        "agents": [{"host": s.host, "pid": s.pid, "executions": len(s.held)} for s in held]
    }  # fmt: skip


async def back_up(call: Call) -> Any:
    """Consistent copies of the databases (DM-4)."""
    directory = Path(call.body.directory)
    call.orchestrator.store.copy_to(directory / "store.db")
    call.orchestrator.logs.copy_to(directory / "logs.db")
    if call.project.hooks is not None:
        call.project.hooks.copy_to(directory)
    return {"ok": True}


# --- parts --------------------------------------------------------------------------------------


async def _create_environment(call: Call, name: str, base: str | None) -> Any:
    done = await call.ask(lambda to: e.EnvironmentRequested(to, name, base), fx.Confirm)
    return done.data


def _submitted(call: Call, submitted: fx.Submitted) -> dict[str, Any]:
    id = submitted.executions[0]
    run, step, _ = id.split(":")
    execution = call.state.executions.get(id)
    status = runs.status_of(execution) if execution is not None else "ended"
    return {"run": run, "step": f"{run}:{step}", "execution": id, "status": status}


async def _outcome(call: Call, execution: Execution, wait_ms: int) -> fx.Outcome | None:
    """The resolved outcome, waiting for it where it is live."""
    if execution.id not in call.state.executions:
        state = call.orchestrator.state_with(execution.run.id)
        id, end = state.end_of(execution.id) if state is not None else (execution.id, None)
        return fx.Outcome(execution.id, id, end.result if end is not None else None)
    if not call.state.is_resolved(execution.id) and not wait_ms:
        return None
    waiting = call.ask(lambda to: e.OutcomeAwaited(to, execution.id), fx.Answer)
    try:
        answer = await asyncio.wait_for(waiting, wait_ms / 1000 if wait_ms else None)
    except asyncio.TimeoutError:
        return None
    return answer.outcomes[0]


def _result_by_hand(call: Call) -> Result:
    body = call.body
    if (body.value is UNSET) == (body.error is UNSET):
        raise InvalidRequest("Give `value` or `error`, and one only.", field="value")
    if not body.reason.strip() or len(body.reason) > 1000:
        raise InvalidRequest("Give a reason of 1 to 1,000 characters.", field="reason")
    if body.value is not UNSET:
        return Returned(encode(body.value, blobs=call.project.blobs))
    return Raised(Error("coflux.errors.ExecutionError", body.error), retryable=False)


#: These name a run and need nothing of it.
WITHOUT_RUN = frozenset(operation.__name__ for operation in pin_operations.ALL)
OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        submit_run, list_runs, get_run, list_steps, get_step, get_result, get_arguments, cancel,
        rerun, set_result, get_logs, measurements.get_metrics, list_environments,
        create_environment, update_environment, pause_environment,
        resume_environment, archive_environment, list_manifests, register_manifests,
        archive_manifest, list_agents, list_queue, *asset_operations.ALL, explain_cache,
        forget_cache, open_session, *pool_operations.ALL,
        *collection_operations.ALL, *hook_operations.ALL, *input_operations.ALL,
        *pin_operations.ALL,
        tuning.list_settings, tuning.change_settings,
        tuning.list_slots, tuning.set_slot, tuning.remove_slot,
        schedules.list_schedules, schedules.create_schedule, schedules.get_schedule,
        schedules.update_schedule, schedules.pause_schedule, schedules.resume_schedule,
        schedules.delete_schedule,
    )
}  # fmt: skip
