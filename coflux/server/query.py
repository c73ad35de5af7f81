"""Query parameters of a route: how they are declared and how they are read.

Belongs here: turning the text after `?` into typed values, refusing what is not declared (LI-1).
Does not belong here: what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from coflux.errors import InvalidRequest


@dataclass(frozen=True)
class Parameter:
    """A query parameter. Integers are at least `minimum` and at most `maximum`."""

    name: str
    summary: str
    type: Literal["string", "integer", "boolean"] = "string"
    default: Any = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    minimum: int = 0

    def read(self, text: str) -> Any:
        """The typed value; raises `InvalidRequest` naming the parameter."""
        if self.type == "integer":
            return self._integer(text)
        if self.type == "boolean":
            return self._boolean(text)
        if self.choices and text not in self.choices:
            raise self._refusal(f"must be one of {', '.join(self.choices)}, not {text!r}")
        return text

    def _integer(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self._refusal(f"must be a whole number, not {text!r}")
        if self.maximum is not None and int(text) > self.maximum:
            raise self._refusal(f"is {text}, above the limit of {self.maximum}")
        if int(text) < self.minimum:
            raise self._refusal(f"must be at least {self.minimum}, not {text}")
        return int(text)

    def _boolean(self, text: str) -> bool:
        if text not in ("true", "false", "1", "0", ""):
            raise self._refusal(f"must be true or false, not {text!r}")
        return text not in ("false", "0")

    def _refusal(self, problem: str) -> InvalidRequest:
        return InvalidRequest(f"Query parameter `{self.name}` {problem}.", field=self.name)


def read_query(
    declared: Iterable[Parameter], given: Iterable[tuple[str, str]]
) -> dict[str, Any]:  # fmt: skip
    """All declared parameters by name, with their defaults where they were not given.

    `given` are the decoded pairs of the query string. Raises `InvalidRequest` for a parameter
    that is unknown, repeated, missing or malformed.
    """
    known = {parameter.name: parameter for parameter in declared}
    values: dict[str, Any] = {}
    for name, text in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidRequest(f"Unknown query parameter `{name}` (known: {names}).", field=name)
        if name in values:
            raise InvalidRequest(f"Query parameter `{name}` is given twice.", field=name)
        values[name] = known[name].read(text)
    for name, parameter in known.items():
        if name not in values and parameter.required:
            raise InvalidRequest(f"Query parameter `{name}` is missing.", field=name)
        values.setdefault(name, parameter.default)
    return values
