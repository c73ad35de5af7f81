"""Inputs as shown: a row for lists, and the whole for whoever is to answer (IN).

Belongs here: facts as JSON. Does not belong here: who may see or answer them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coflux.blobs import Blobs
from coflux.model import Question
from coflux.server.core.changes import InputCreated
from coflux.server.core.entities import Input
from coflux.server.core.inputs import is_awaited
from coflux.server.core.machine import Machine
from coflux.server.core.state import State
from coflux.values import to_json


def show_row(machine: Machine, state: State, asked: Input) -> dict[str, Any]:
    """An input as a line of a list."""
    is_waited_for = asked.is_open and is_awaited(machine.state, machine.agenda, asked.id)
    return {
        "input": asked.id,
        "run": asked.run.id,
        "environment": state.environments[asked.environment].name,
        "state": asked.state,
        "awaited": is_waited_for,
        "created_at": asked.created_at,
        "execution": asked.execution,
        "target": asked.target,
        **_of_question(asked.question),
    }


def show_stored(state: State, made: InputCreated, how: str) -> dict[str, Any]:
    """The same of one that is only in the store, where it is not open."""
    return {
        "input": made.input,
        "run": made.run,
        "environment": state.environments[made.environment].name,
        "state": how,
        "awaited": False,
        "created_at": made.at,
        "execution": made.execution,
        "target": made.target,
        **_of_question(made.question),
    }


def show_whole(
    machine: Machine, state: State, asked: Input, blobs: Blobs | None
) -> dict[str, Any]:  # fmt: skip
    """An input with all that a form needs, and its answer."""
    question = asked.question
    answer = to_json(asked.answer, blobs)[1] if asked.answer is not None else None
    return {
        **show_row(machine, state, asked),
        "template": question.template,
        "placeholders": {name: value.preview for name, value in question.placeholders.items()},
        "schema": _decoded(question.schema),
        "initial": _decoded(question.initial),
        "has_initial": question.initial is not None,
        "answer": answer,
        "ended_at": asked.ended_at,
        "by": asked.by or None,
        "cause": asked.cause or None,
    }


def _of_question(question: Question) -> dict[str, Any]:
    respond, dismiss = question.actions
    return {
        "title": question.title,
        "message": question.message,
        "requires": {
            key: list(values) if isinstance(values, tuple) else values
            for key, values in question.requires.items()
        },
        "actions": {"respond": respond, "dismiss": dismiss},
    }


def _decoded(text: str | None) -> Any:
    return msgspec.json.decode(text) if text is not None else None
