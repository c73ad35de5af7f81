"""Runs, steps and executions as shown (RR-6: seen from an environment)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from coflux.blobs import Blobs
from coflux.model import LINKS, Options, is_input, result_kind, target_id
from coflux.server.core import codes
from coflux.server.core.entities import CacheNote, Execution, Run, Step
from coflux.server.core.state import State
from coflux.server.views.results import show_result

#: Why a queued execution is queued, as `{"code", "text", "data"}`.
ReasonOf = Callable[[Execution], dict[str, Any]]


def visible_from(state: State, run: Run, environment: str | None) -> list[str]:
    """Environments whose attempts are seen: the run's, the viewer's and its ancestors'."""
    viewer = environment or run.environment
    return [run.environment, *state.lineage(viewer)]


def run_status(state: State, run: Run, seen: Collection[str], now: int | None = None) -> str:
    """The run's status as seen from an environment: by the latest attempt there (RS-6, RR-6).

    `now` in ms UTC tells a resumption that is due from one that is not; without it none is.
    """
    attempts = run.steps[1].executions
    latest = next((e for e in reversed(attempts) if e.environment in seen), None)
    if latest is None or latest.environment == run.environment:
        return run.status or state.run_status(run, now)
    return state.status_by(latest, now)


def show_header(
    state: State, run: Run, seen: Collection[str], now: int | None = None
) -> dict[str, Any]:
    """A run without its steps; `seen` and `now` as for its status."""
    return {
        "run": run.id,
        "target": target_id(run.repository, run.target),
        "environment": state.environments[run.environment].name,
        "status": run_status(state, run, seen, now),
        "parent": run.parent,
        "created_at": run.created_at,
        "created_by": run.by,
        "idempotency_key": run.idempotency_key,
        "mixed_code": [name for name in run.codes if len(_codes(run, name, seen)) > 1],
        "schedule": run.schedule,
        "scheduled_at": run.scheduled_at,
        "held": {"setting": run.held[0], "value": run.held[1]} if run.held else None,
        "pinned": show_pin(state, run.id),
    }


def _codes(run: Run, target: str, seen: Collection[str]) -> set[str]:
    """The code that visible attempts at a target were given (CO-5, RR-6)."""
    counted = run.codes[target]
    return {
        code
        for environment in seen
        for code, count in counted.get(environment, {}).items()
        if count
    }


def show_pin(state: State, run: str) -> dict[str, Any] | None:
    """Who wants a run kept for ever, and since when (DM-2)."""
    pin = state.pinned.get(run)
    return {"by": pin[0], "at": pin[1]} if pin is not None else None


def show_step(
    state: State, step: Step, seen: list[str], reason_of: ReasonOf, blobs: Blobs | None
) -> dict[str, Any]:
    """One call with its visible attempts."""
    submission = step.submission
    return {
        "step": step.id,
        "target": target_id(submission.repository, submission.target),
        "type": submission.type,
        "parent": step.parent,
        "group": _group(state, step),
        "arguments": {name: value.preview for name, value in submission.arguments.items()},
        "created_at": step.created_at,
        "options": show_options(submission.options),
        "note": step.arguments_note,
        "executions": [
            show_execution(state, execution, reason_of, blobs)
            for execution in step.executions
            if execution.environment in seen
        ],
    }


def show_execution(
    state: State, execution: Execution, reason_of: ReasonOf, blobs: Blobs | None
) -> dict[str, Any]:
    """One attempt."""
    result = execution.result
    return {
        "execution": execution.id,
        "environment": state.environments[execution.environment].name,
        "origin": execution.origin,
        "status": status_of(execution),
        "reason": reason_of(execution) if _has_reason(execution) else None,
        "result": show_result(result, blobs) if result is not None else None,
        "resolved": resolved(state, execution),
        "successor": execution.link_successor or execution.successor,
        "predecessor": execution.predecessor,
        "suspensions": execution.suspensions,
        "code": execution.code,
        "older_code": codes.is_older(state, execution),
        "cache": show_cache(execution.cache),
        "children": [{"execution": id, "group": group} for id, group in execution.children.items()],
        "groups": {str(number): name for number, name in execution.groups.items()},
        "dependencies": list(execution.dependencies),
        "session": execution.assigned_to,
        "process": execution.process.value,
        "created_at": execution.created_at,
        "due_at": execution.due_at,
        "assigned_at": execution.assigned_at,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "by": execution.by or None,
        "note": execution.reason or None,
    }


def set_by_hand(execution: Execution | None) -> dict[str, Any] | None:
    """Who gave it its result, when and why, where a person or program did (RR-5)."""
    if execution is None or execution.origin != "manual":
        return None
    return {"by": execution.by or None, "at": execution.ended_at, "reason": execution.reason}


def _has_reason(execution: Execution) -> bool:
    """Whether it is queued, or waits for a person; what else it waits for is seen in the run."""
    if execution.status == "waiting":
        return any(is_input(handle) for wait in execution.waits.values() for handle in wait.left)
    return execution.status == "queued"


def status_of(execution: Execution) -> str:
    """Its status, or the kind of its result."""
    if execution.result is None:
        return execution.status.value
    return result_kind(execution.result)


def show_options(options: Options) -> dict[str, Any]:
    """Options that are not at their defaults."""
    default = Options()
    return {
        name: getattr(options, name)
        for name in options.__struct_fields__
        if getattr(options, name) != getattr(default, name)
    }


def find(
    state: State, run: Run, number: int, attempt: int | None, environment: str | None
) -> Execution | None:
    """The attempt that an id means, seen from an environment (ID-3)."""
    step = run.steps.get(number)
    seen = visible_from(state, run, environment)
    attempts = [e for e in step.executions if e.environment in seen] if step else []
    if attempt is not None:
        attempts = [e for e in attempts if e.attempt == attempt]
    return attempts[-1] if attempts else None


def _group(state: State, step: Step) -> dict[str, Any] | None:
    group = step.submission.group
    if group is None:
        return None
    parent = state.executions.get(step.parent or "")
    name = parent.groups.get(group.number) if parent is not None else group.name
    return {"number": group.number, "name": name}


def resolved(state: State, execution: Execution) -> dict[str, Any] | None:
    """Where the links of an ended execution lead, and how that went."""
    if execution.result is None or not (
        isinstance(execution.result, LINKS) or execution.successor is not None
    ):
        return None
    id, end = state.end_of(execution.id)
    if end is None:
        return {"execution": id, "status": "value"}
    return {"execution": id, "status": status_of(end)}


def show_cache(note: CacheNote | None) -> dict[str, Any] | None:
    """How a cache lookup went (CA-12)."""
    if note is None:
        return None
    return {
        "outcome": note.outcome,
        "execution": note.source,
        "detail": note.detail,
        "namespace": note.namespace,
        "key": note.key.hex() if note.key is not None else None,
    }
