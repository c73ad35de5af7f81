"""How an execution ended, read from the server's answer and turned into a value or an exception.

Belongs here: the answer of `GET /results/{id}` and what a waiter gets from it (RS). Does not
belong here: asking for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coflux.client.statuses import status_of_kind

if TYPE_CHECKING:
    from coflux.model import Value


@dataclass(frozen=True)
class Outcome:
    """The resolved outcome of an execution, or its status while there is none."""

    #: Kind of result, such as `value` or `error`; None while it is unresolved.
    kind: str | None
    #: Status of the run or execution; once resolved, the run status that the kind gives.
    status: str
    #: The answer as the server sent it.
    body: dict[str, Any]

    def value(self, decode: Callable[[Value], Any]) -> Any:
        """The decoded value; raises the exception that another kind of outcome stands for.

        Works for outcomes that were asked for with `encoded`.
        """
        # Outcomes that are only shown do without these.
        import msgspec

        from coflux.model import Result, Returned
        from coflux.remote_errors import exception_for

        result = msgspec.convert(self.body["result"], Result, strict=False)
        if isinstance(result, Returned):
            return decode(result.value)
        raise exception_for(result, self.body.get("execution") or "")

    def shown(self) -> dict[str, Any]:
        """The part of the answer that is meant for people and programs: without the encoding."""
        return {name: part for name, part in self.body.items() if name != "result"}


def read_outcome(body: dict[str, Any]) -> Outcome:
    """The outcome in an answer."""
    kind = body.get("kind")
    status = str(body.get("status", "queued")) if kind is None else status_of_kind(kind)
    return Outcome(kind, status, body)
