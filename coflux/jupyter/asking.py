"""`%coflux inputs`, `respond` and `dismiss`: questions to people, answered from a cell.

Belongs here: which question is meant, what an answer is, and what is shown. Does not belong here:
the form under a run (the widget's), asking (running code's).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from coflux.errors import InvalidRequest
from coflux.handles import Input
from coflux.jupyter import expressions
from coflux.jupyter.tables import Table

if TYPE_CHECKING:
    from coflux.jupyter.context import Context

_ID = re.compile(r"R\w+/i\d+")
#: Characters of a question in a list.
_WIDTH = 80


def list_inputs(context: Context, *, run: str | None, is_all: bool) -> Table:
    """The environment's questions, newest first."""
    found = context.notebook.client.inputs.list(run=run, all=is_all)
    rows = [
        (row["input"], row["state"], _line(row), row["target"], "yes" if row["awaited"] else "")
        for row in found
    ]
    columns = ("input", "state", "question", "asked by", "awaited")
    return Table(columns, rows, empty="Nothing is asked." if is_all else "No question is open.")


def respond(context: Context, words: tuple[str, ...]) -> str:
    """Answer a question; gives its id. Raises what the server refuses an answer with."""
    if len(words) < 2:
        raise InvalidRequest("name an input and an answer: %coflux respond RUN/i1 ANSWER")
    id = _input(context, words[0])
    text = " ".join(words[1:])
    found = expressions.evaluate(f"({text})", context.shell.user_ns)
    context.notebook.client.inputs.respond(id, _as_json(found.positional[0]))
    return id


def dismiss(context: Context, word: str) -> str:
    """Refuse to answer a question; gives its id."""
    id = _input(context, word)
    context.notebook.client.inputs.dismiss(id)
    return id


def _input(context: Context, word: str) -> str:
    """The id that a word is, or that it is an expression for."""
    if _ID.fullmatch(word):
        return word
    found = expressions.evaluate(word, context.shell.user_ns).positional
    value = found[0] if len(found) == 1 else None
    if isinstance(value, set) and len(value) == 1:
        # `{question.id}`, as other commands take names of variables.
        (value,) = value
    id = value.id if isinstance(value, Input) else value
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InvalidRequest(f"{word} is no input; inputs have ids such as Rbcdfgh/i1")
    return id


def _as_json(answer: Any) -> Any:
    """An object of a prompt's model as the answer that it stands for."""
    from coflux.models import as_json

    return as_json(answer)


def _line(row: dict[str, Any]) -> str:
    text = " ".join(str(row["message"]).split())
    text = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
    return f"{row['title']}: {text}" if row["title"] else text
