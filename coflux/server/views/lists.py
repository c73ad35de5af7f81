"""Environments, manifests, agents, queue and log lines as shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from coflux.model import LogEntry, target_id
from coflux.server.core import caps, scheduling
from coflux.server.core.entities import Environment, Execution, Session
from coflux.server.core.machine import Machine
from coflux.server.core.reasons import reason
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.views.results import show_value
from coflux.server.views.runs import show_pin

_LABEL = re.compile(r"\{(\w+)\}")


def show_environment(state: State, environment: Environment) -> dict[str, Any]:
    """`{"id", "name", "base", "state"}`; the base by name."""
    base = state.environments.get(environment.base or "")
    return {
        "id": environment.id,
        "name": environment.name,
        "base": base.name if base is not None else None,
        "state": environment.state,
    }


def show_manifests(environment: Environment) -> dict[str, Any]:
    """Registered targets by repository."""
    return {
        repository: {
            "targets": [msgspec.to_builtins(d) for d in definitions.values()],
            "revision": environment.revisions.get(repository, 1),
        }
        for repository, definitions in environment.manifests.items()
    }


def show_agent(state: State, session: Session) -> dict[str, Any]:
    """A session: what it hosts, what it runs."""
    return {
        "session": session.id,
        "environment": state.environments[session.environment].name,
        "connected": session.connection is not None,
        "draining": session.draining,
        "targets": [target_id(*target) for target in session.targets],
        "failures": session.failures,
        "remarks": {name: list(texts) for name, texts in session.remarks.items()},
        "running": [e.id for e in session.held.values() if e.id not in session.blocked],
        "waiting": list(session.blocked),
        "concurrency": session.concurrency,
        "provides": {key: list(values) for key, values in session.provides.items()},
        "accepts": session.accepts,
        "python": session.python,
        "host": session.host,
        "pid": session.pid,
        "lost_at": session.lost_at,
    }


def show_reason(machine: Machine, execution: Execution, now: int) -> dict[str, Any]:
    """Why it is queued (SC-11)."""
    found = reason(machine.state, machine.agenda, execution, now)
    return {"code": found.code, "text": found.text, "data": found.data}


def queued(machine: Machine, environments: Iterable[str]) -> Iterator[Execution]:
    """Queued executions of some environments, and those whose submissions are held (SC-9)."""
    wanted = dict.fromkeys(environments)
    for run in machine.state.runs.values():
        for execution in run.unfinished.values():
            if execution.environment in wanted and is_queued(machine, execution):
                yield execution


def is_queued(machine: Machine, execution: Execution) -> bool:
    """Whether it stands in the queue: itself, or with a submission that is held by a cap."""
    if execution.status is Status.QUEUED:
        return True
    return execution.run.held is not None and caps.is_asking(machine.agenda, execution)


def show_queue(machine: Machine, executions: Iterable[Execution], now: int) -> list[dict[str, Any]]:
    """Queued executions, each with its reason."""
    return [
        {
            "execution": execution.id,
            "target": target_id(
                execution.step.submission.repository, execution.step.submission.target
            ),
            "environment": machine.state.environments[execution.environment].name,
            "due_at": execution.due_at,
            "requires": scheduling.effective_requires(execution),
            "reason": show_reason(machine, execution, now),
        }
        for execution in executions
    ]


def show_summary(state: State, row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A line of the list of runs; `names` are those of environments by id."""
    live = state.runs.get(row["run"])
    return {
        "run": row["run"],
        "target": target_id(row["repository"], row["target"]),
        "environment": names[row["environment"]],
        "status": row["status"] or (state.run_status(live) if live else "queued"),
        "created_at": row["created_at"],
        "finished_at": row["finished_at"],
        "created_by": row["by"],
        "parent": row["parent"],
        "pinned": show_pin(state, row["run"]),
    }


def show_log(entry: LogEntry) -> dict[str, Any]:
    """A log line with its values filled in (LO-3)."""
    return {
        "execution": entry.execution,
        "at": entry.at,
        "level": entry.level,
        # Values may stand alone; a printed line may be blank.
        "template": entry.template or (None if entry.values else ""),
        "values": {name: show_value(value) for name, value in entry.values.items()},
        "text": _text(entry),
        "seq": entry.seq,
        "partial": entry.partial,
    }


def _text(entry: LogEntry) -> str:
    if entry.level in ("stdout", "stderr"):
        return entry.template
    used: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        value = entry.values.get(match[1])
        used[match[1]] = None
        return match[0] if value is None else _plain(value.preview)

    text = _LABEL.sub(fill, entry.template)
    rest = [f"{n}={v.preview}" for n, v in entry.values.items() if n not in used]
    return " ".join(filter(None, [text, *rest]))


def _plain(preview: str) -> str:
    """A str stands in a sentence without its quotes."""
    is_quoted = len(preview) >= 2 and preview[0] == preview[-1] and preview[0] in "'\""
    return preview[1:-1] if is_quoted else preview
