"""The operations of inputs: list, look, wait, respond, dismiss, cancel (IN).

Belongs here: who may do so, and whether an answer fits its schema before it becomes an event. Does
not belong here: what follows from an answer (core), how inputs are shown (`views.inputs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coflux.errors import Conflict, Forbidden
from coflux.server import schemas
from coflux.server.access import Right
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.entities import Input, Run
from coflux.server.core.state import State
from coflux.server.project.calls import Call, no_such, parse_id
from coflux.server.views import inputs, runs
from coflux.values import encode


async def list_inputs(call: Call) -> Any:
    environments = tuple(environment.id for environment in call.chosen())
    run = call.query.get("run")
    if run is not None:
        run = call.find_run(run).run.id
    if call.query["state"] == "open":
        return open_rows(call, environments, run)[: call.query["limit"]]
    found = call.orchestrator.store.reader.inputs(environments, run, call.query["limit"])
    machine = call.orchestrator.machine
    return [
        inputs.show_row(machine, call.state, live)
        if (live := call.state.inputs.get(made.input)) is not None
        else inputs.show_stored(call.state, made, how)
        for made, how in found
    ]


async def get_input(call: Call) -> Any:
    state, asked = _find(call, "read")
    if asked.is_open and call.query["wait_ms"]:
        await _wait(call, asked.id, call.query["wait_ms"] / 1000)
        state, asked = _find(call, "read")
    return _whole(call, state, asked)


async def respond_to_input(call: Call) -> Any:
    _, asked = _find(call, "run")
    _check_tags(call, asked)
    _check_open(asked)
    schemas.check_answer(asked.question.schema, call.body.value)
    answer = encode(call.body.value, blobs=call.project.blobs, path="value")
    await call.ask(lambda to: e.InputAnswered(to, asked.id, answer), fx.Confirm)
    return _whole(call, *_find(call, "read"))


async def dismiss_input(call: Call) -> Any:
    _, asked = _find(call, "run")
    _check_tags(call, asked)
    _check_open(asked)
    await call.ask(lambda to: e.InputDismissed(to, asked.id), fx.Confirm)
    return _whole(call, *_find(call, "read"))


async def cancel_input(call: Call) -> Any:
    state, asked = _find(call, "run")
    if not asked.is_open:
        return _whole(call, state, asked)
    await call.ask(
        lambda to: e.CancelRequested(to, (asked.id,), allowed=call.allowed("run")), fx.Confirm
    )
    return _whole(call, *_find(call, "read"))


def open_rows(call: Call, environments: tuple[str, ...], run: str | None = None) -> list[Any]:
    """What is open in some environments, newest first."""
    found = [
        asked
        for asked in call.state.open_inputs.values()
        if asked.environment in environments and run in (None, asked.run.id)
    ]
    machine = call.orchestrator.machine
    return [inputs.show_row(machine, call.state, asked) for asked in reversed(found)]


def rows_of_run(call: Call, state: State, run: Run, most: int | None = None) -> list[Any]:
    """What a run has asked, in order, as far as the caller may see it (RR-6).

    Of more than `most`, those that are open come before others, and newer ones before older.
    """
    if not run.inputs:
        return []
    machine = call.orchestrator.machine
    seen = runs.visible_from(state, run, call.viewpoint())
    found = [
        asked
        for asked in run.inputs.values()
        if asked.environment in seen
        and call.principal.may("read", state.environments[asked.environment].name)
    ]
    if most is not None and len(found) > most:
        newest_first = list(reversed(found))
        ranked = sorted(newest_first, key=lambda asked: not asked.is_open)
        kept = {asked.id for asked in ranked[:most]}
        found = [asked for asked in found if asked.id in kept]
    return [inputs.show_row(machine, state, asked) for asked in found]


def _find(call: Call, right: Right) -> tuple[State, Input]:
    """The input that the path names, when the caller may see it (ID-4, IN-5)."""
    run, number = call.path["run"], call.path["number"]
    text = f"{run}/{number}"
    parts = parse_id(run)
    state = call.orchestrator.state_with(parts.run) if parts.step is None else None
    asked = state.inputs.get(text) if state is not None else None
    if state is None or asked is None:
        raise no_such(text)
    environment = state.environments[asked.environment].name
    if not call.principal.may("read", environment):
        raise no_such(text)
    if not call.principal.may(right, environment):
        raise Forbidden(f"The token does not give the right to {right} in {environment!r}.")
    return state, asked


def _check_tags(call: Call, asked: Input) -> None:
    missing = schemas.missing_tags(asked.question.requires, call.principal.tags)
    if missing:
        raise Forbidden(
            f"{asked.id} is to be answered by somebody whose token has the tag {missing[0]}; "
            "an admin gives it with `coflux tokens create --tag`."
        )


def _check_open(asked: Input) -> None:
    """What has ended has so for ever: say so before a big finished run is read into memory."""
    if not asked.is_open:
        by = f" by {asked.by}" if asked.by else ""
        raise Conflict(f"Input {asked.id} was {asked.state}{by} already.")


def _whole(call: Call, state: State, asked: Input) -> Any:
    return inputs.show_whole(call.orchestrator.machine, state, asked, call.project.blobs)


async def _wait(call: Call, input: str, seconds: float) -> None:
    waiting = call.ask(lambda to: e.OutcomeAwaited(to, input), fx.Answer)
    try:
        await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return


ALL: tuple[Callable[[Call], Any], ...] = (
    list_inputs, get_input, respond_to_input, dismiss_input, cancel_input,
)  # fmt: skip
