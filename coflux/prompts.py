"""Asking people from running code: `cf.Prompt` (IN-1).

Belongs here: what a prompt is made of, and what becomes of the person's answer in the code. Does
not belong here: JSON schemas of types (`models`), waiting for the answer (`handles.Input`).
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from coflux import host as hosts
from coflux.handles import Input
from coflux.model import Question
from coflux.options import RequiresForm, parse_requires

if TYPE_CHECKING:
    from coflux.models import Model

T = TypeVar("T")

_ACTIONS = ("Submit", "Dismiss")
#: Names of `submit`'s own parameters.
_TAKEN = ("self", "initial")


class Prompt(Generic[T]):
    """A kind of question to people, which may be asked many times.

    `template` is the text, with `{placeholders}` as for `str.format`. The answer is any JSON value,
    or fits `schema` (a JSON schema), or becomes an object of `model`: a pydantic model, a
    dataclass, or a type such as `int`, `bool`, `list[str]` or `Literal["yes", "no"]`. `title` is
    a short text, `actions` are the labels for responding and for dismissing. `requires` names tags
    that the responder's token must have. The same question is asked once in a run; `key` says
    which are the same, where it is not the text and its placeholders.
    """

    @overload
    def __init__(
        self: Prompt[T],
        template: str,
        *,
        model: type[T],
        title: str | None = None,
        actions: tuple[str, str] | None = None,
        requires: RequiresForm = None,
        key: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Prompt[Any],
        template: str,
        *,
        model: Any = None,
        schema: Mapping[str, Any] | bool | None = None,
        title: str | None = None,
        actions: tuple[str, str] | None = None,
        requires: RequiresForm = None,
        key: str | None = None,
    ) -> None: ...

    def __init__(
        self,
        template: str,
        *,
        model: Any = None,
        schema: Mapping[str, Any] | bool | None = None,
        title: str | None = None,
        actions: tuple[str, str] | None = None,
        requires: RequiresForm = None,
        key: str | None = None,
    ) -> None:
        self.template = _text(template, "template")
        self._names = _placeholders(template)
        if model is not None and schema is not None:
            raise TypeError("a prompt has a model or a schema, not both")
        self._model: Model | None = None
        self._schema: str | None = None
        if model is not None:
            from coflux.models import model_of

            self._model = model_of(model)
            schema = self._model.schema
        if schema is not None:
            self._schema = _json(schema, "schema")
        self.title = None if title is None else _text(title, "title")
        self.actions = _labels(actions)
        self.requires = parse_requires(requires) or {}
        self.key = None if key is None else _text(key, "key")

    def submit(self, *, initial: Any = ..., **placeholders: Any) -> Input[T]:
        """Ask, without waiting for the answer.

        `initial` is what the form begins with: an object of the model, or a part of the answer as
        JSON. The placeholders are shown, also those that the text does not name.

        Raises `TypeError` for a placeholder that is missing, `Conflict` for a key that stands for
        another question in this run, and `NotInExecution` outside an execution.
        """
        host = hosts.require("a prompt")
        question = Question(
            template=self.template,
            message=self._message(placeholders),
            schema=self._schema,
            title=self.title,
            actions=self.actions,
            requires=self.requires,
            placeholders={
                name: host.encode(value, f"placeholder {name}")
                for name, value in placeholders.items()
            },
            initial=None if initial is ... else self._initial(initial),
            key=self.key,
        )
        return Input(host.ask(question), self._model.parse if self._model is not None else None)

    def __call__(self, *, initial: Any = ..., **placeholders: Any) -> T:
        """Ask, and wait for the answer; raises as `Input.result`."""
        return self.submit(initial=initial, **placeholders).result()

    def _message(self, placeholders: Mapping[str, Any]) -> str:
        missing = [name for name in self._names if name not in placeholders]
        if missing:
            raise TypeError(f"the prompt needs the placeholder {missing[0]!r}: {self!r}")
        return self.template.format(**placeholders)

    def _initial(self, initial: Any) -> str:
        if self._schema is None:
            raise TypeError("an initial value needs a prompt with a model or a schema")
        if self._model is not None:
            from coflux.models import as_json

            initial = as_json(initial)
        return _json(initial, "initial value")

    def is_source_of(self, question: Question) -> bool:
        """Whether a question was asked with a prompt like this one."""
        mine = (self.template, self._schema, self.title, self.actions, self.requires, self.key)
        return mine == (
            question.template, question.schema, question.title, question.actions,
            question.requires, question.key,
        )  # fmt: skip

    def __repr__(self) -> str:
        text = self.template if len(self.template) <= 60 else self.template[:60] + "…"
        return f"<prompt {text!r}>"


def _placeholders(template: str) -> list[str]:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template)]
    except ValueError as error:
        raise ValueError(
            f"{template!r} is no template: {error}; write {{{{ and }}}} for braces"
        ) from None
    names = [field.partition(".")[0].partition("[")[0] for field in fields if field is not None]
    for name in names:
        if not name.isidentifier() or name in _TAKEN:
            raise ValueError(
                f"placeholders of a prompt have names, other than {' and '.join(_TAKEN)};"
                f" {{{name}}} in {template!r} has not"
            )
    return list(dict.fromkeys(names))


def _labels(actions: tuple[str, str] | None) -> tuple[str, str]:
    if actions is None:
        return _ACTIONS
    if not isinstance(actions, (tuple, list)) or len(actions) != 2:
        raise TypeError(f"actions are two labels, to respond and to dismiss, not {actions!r}")
    return _text(actions[0], "action"), _text(actions[1], "action")


def _text(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a prompt's {what} must be a string, not {type(text).__name__}")
    if not text.strip():
        raise ValueError(f"a prompt's {what} must not be empty")
    return text


def _json(thing: Any, what: str) -> str:
    try:
        return json.dumps(thing, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a prompt's {what} must be JSON: {error}") from None
