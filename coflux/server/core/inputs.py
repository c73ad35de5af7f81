"""Questions to people (IN): asking, answering, dismissing, cancelling.

An input is asked once for each key of its run, ends once, and then tells all who wait for it. It
stays open as long as somebody could still want the answer. Belongs here: its life. Does not belong
here: whether an answer fits the schema and whether its giver may (the edge), waiting (`waiting`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from coflux.model import Question, Returned, input_id, target_id
from coflux.server.core import keys
from coflux.server.core.agenda import Agenda
from coflux.server.core.changes import InputCreated, InputEnded
from coflux.server.core.effects import Confirm, GiveInput
from coflux.server.core.entities import Execution, Input, Run
from coflux.server.core.events import Caller, InputAnswered, InputDismissed, InputRequested
from coflux.server.core.ownership import owned
from coflux.server.core.state import State, inputs_in, referred
from coflux.server.core.turn import Turn

#: Causes of an end that comes with the end of something else: whoever asks again, asks anew.
RUN_ENDED, ARCHIVED = "its run ended", "environment archived"
_VOID = (RUN_ENDED, ARCHIVED)


def requested(turn: Turn, event: InputRequested) -> None:
    """Running code asks; the same key gives the same input (IN-2)."""
    execution = owned(turn, event.to)
    if execution is None:
        return
    key = keys.input_key(event.question)
    known = _find(turn, execution, key)
    if known is None:
        known = _ask(turn, execution, event.question, key)
    elif event.question.key is not None and (what := _difference(known.question, event.question)):
        message = (
            f"key {event.question.key!r} is that of {known.id}, which has another {what}; "
            "use another key for another question"
        )
        turn.refuse(event.to, "conflict", message, "key")
        return
    turn.send(GiveInput(event.to, known.id))


def answered(turn: Turn, event: InputAnswered) -> None:
    """A person responds; the first one counts (IN-3)."""
    asked = _still_open(turn, event.to, event.input)
    if asked is not None:
        _end(turn, InputEnded(
            asked.run.id, asked.id, "answered", turn.now, event.answer, event.to.by
        ))  # fmt: skip
        turn.send(Confirm(event.to, {"input": asked.id}))


def dismissed(turn: Turn, event: InputDismissed) -> None:
    """A person will not respond."""
    asked = _still_open(turn, event.to, event.input)
    if asked is not None:
        _end(turn, InputEnded(asked.run.id, asked.id, "dismissed", turn.now, by=event.to.by))
        turn.send(Confirm(event.to, {"input": asked.id}))


def cancel(turn: Turn, inputs: Iterable[Input], by: str, cause: str) -> None:
    """Cancel those that are open (IN-6)."""
    for asked in inputs:
        if asked.is_open:
            ended = InputEnded(asked.run.id, asked.id, "cancelled", turn.now, by=by, cause=cause)
            _end(turn, ended)


def archive(turn: Turn, environment: str, by: str) -> None:
    """Cancel what is open in an environment (EV-5)."""
    found = turn.state.open_inputs.values()
    cancel(turn, [i for i in found if i.environment == environment], by, ARCHIVED)


def run_finished(turn: Turn, run: Run) -> None:
    """Nobody is left to want the answers of a finished run, unless handles to them are (IN-6)."""
    if run.inputs:
        cancel(turn, [i for i in run.inputs.values() if not _is_wanted(turn, i)], "", RUN_ENDED)


def released(turn: Turn, execution: Execution) -> None:
    """An execution that has ended may have been the last to refer to inputs of finished runs."""
    for id in referred(execution):
        asked = turn.state.open_inputs.get(id)
        if asked is not None and not _is_wanted(turn, asked):
            cancel(turn, [asked], "", RUN_ENDED)


def is_awaited(state: State, agenda: Agenda, input: str) -> bool:
    """Whether somebody waits for it now, in a process, suspended, or as a client (IN-1)."""
    if agenda.waiters.get(input):
        return True
    # One that was suspended in an environment that is paused is attached to nothing.
    return any(input in state.executions[id].gate for id in state.referring.get(input, ()))


def _find(turn: Turn, execution: Execution, key: bytes) -> Input | None:
    """The input of that key that an execution's environment sees, the nearest first."""
    line = turn.state.lineage(execution.environment)
    found = [
        asked
        for number in execution.run.questions.get(key, ())
        if (asked := execution.run.inputs[number]).environment in line
        and not (asked.state == "cancelled" and asked.cause in _VOID)
    ]
    return min(found, key=lambda asked: line.index(asked.environment), default=None)


def _ask(turn: Turn, execution: Execution, question: Question, key: bytes) -> Input:
    run, submission = execution.run, execution.step.submission
    id = input_id(run.id, len(run.inputs) + 1)
    target = target_id(submission.repository, submission.target)
    turn.record(
        InputCreated(
            run.id, id, execution.id, execution.environment, target, question, key, turn.now
        )
    )
    return turn.state.inputs[id]


def _difference(one: Question, other: Question) -> str:
    """What makes two questions with one given key different ones, if anything does."""
    if one.template != other.template:
        return "template"
    if _content(one.schema) != _content(other.schema):
        return "schema"
    return "requires" if one.requires != other.requires else ""


def _content(schema: str | None) -> object:
    return json.loads(schema) if schema is not None else None


def _still_open(turn: Turn, to: Caller, id: str) -> Input | None:
    asked = turn.state.inputs.get(id)
    if asked is None:
        turn.refuse(to, "not_found", f"there is no input {id}")
        return None
    if not asked.is_open:
        by = f" by {asked.by}" if asked.by else ""
        turn.refuse(to, "conflict", f"input {id} was {asked.state}{by} already")
        return None
    return asked


def _end(turn: Turn, ended: InputEnded) -> None:
    turn.record(ended)
    turn.ended_inputs.append(ended.input)


def _is_wanted(turn: Turn, asked: Input) -> bool:
    run = asked.run
    if run.status is None:
        return True
    if run.status == "cancelled":
        return False
    if asked.id in turn.state.referring:
        return True
    latest = run.steps[1].latest(run.environment) or run.steps[1].executions[-1]
    end = turn.state.end_of(latest.id)[1]
    result = end.result if end is not None else None
    return isinstance(result, Returned) and asked.id in inputs_in(result.value)
