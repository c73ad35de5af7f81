"""The people of a test: who answers what running code asks.

Belongs here: finding the open question that a test means, and answering it as a person would. Does
not belong here: asking (`host`), what follows from an answer (the core).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coflux import values
from coflux.model import Question
from coflux.models import as_json
from coflux.prompts import Prompt
from coflux.server import schemas
from coflux.server.core import events as e
from coflux.server.core.entities import Input

if TYPE_CHECKING:
    from coflux.testing.engine import Engine


class Dismiss:
    """Stands for an answer: the person will not answer."""

    def __repr__(self) -> str:
        return "DISMISS"


DISMISS = Dismiss()


@dataclass(frozen=True)
class Asked:
    """An open question."""

    id: str
    message: str
    title: str | None
    template: str
    key: str | None
    #: Previews by name.
    placeholders: dict[str, str]


class People:
    """Those who answer in one engine. `answers` are given at once to whatever asks for them."""

    def __init__(self, engine: Engine, answers: Mapping[Any, Any]) -> None:
        self._engine = engine
        self.answers: dict[Any, Any] = dict(answers)

    def open(self) -> list[Asked]:
        """The questions that can be answered, oldest first."""
        return [
            Asked(
                asked.id, asked.question.message, asked.question.title, asked.question.template,
                asked.question.key,
                {name: value.preview for name, value in asked.question.placeholders.items()},
            )
            for asked in self._engine.machine.state.open_inputs.values()
        ]  # fmt: skip

    def notice(self, id: str, placeholders: Mapping[str, Any]) -> None:
        """Something has been asked: answer it, if there is an answer for it."""
        asked = self._engine.machine.state.open_inputs.get(id)
        if asked is None:
            return
        for which, answer in self.answers.items():
            if _is_meant(which, asked):
                given = answer(**placeholders) if _is_function(answer) else answer
                self.respond(asked, given)
                return

    def find(self, which: object) -> Input:
        """The one open question that is meant; raises `LookupError` for none or several."""
        found = [
            asked
            for asked in self._engine.machine.state.open_inputs.values()
            if _is_meant(which, asked)
        ]
        if len(found) == 1:
            return found[0]
        every = "".join(f"\n  {a.id} {a.message!r}" for a in self.open()) or " none"
        how_many = "no open question" if not found else f"{len(found)} open questions"
        raise LookupError(f"{how_many} for {which!r}; open are:{every}")

    def respond(self, asked: Input, answer: Any) -> None:
        """Answer it (or `DISMISS`); raises `InvalidRequest` for an answer that does not fit."""
        if isinstance(answer, Dismiss):
            self._engine.ask(lambda to: e.InputDismissed(to, asked.id))
            return
        plain = as_json(answer)
        schemas.check_answer(asked.question.schema, plain)
        value = values.encode(plain, blobs=None, path="answer")
        self._engine.ask(lambda to: e.InputAnswered(to, asked.id, value))


def _is_meant(which: object, asked: Input) -> bool:
    question: Question = asked.question
    if isinstance(which, Prompt):
        return which.is_source_of(question)
    return which in (asked.id, question.key, question.template)


def _is_function(answer: Any) -> bool:
    return callable(answer) and not isinstance(answer, type)
