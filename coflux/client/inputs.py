"""Questions to people, from a client's point of view: list, look, respond, dismiss, wait (IN).

Belongs here: asking the server. Does not belong here: asking people, which running code does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from coflux.client.patience import Patience
from coflux.client.transport import segment
from coflux.errors import ExecutionCancelled, InputDismissed, NotFound, Unavailable

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]
#: The longest time that one request may ask the server to wait, in seconds.
_WAIT_MAX_S = 30.0


class Inputs:
    """`client.inputs`. An input is named by its id, `RUN/i1`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, run: str | None = None, all: bool = False, limit: int = 100) -> Listing:
        """The environment's open inputs, newest first; with `all` also those that have ended."""
        query = {
            "environment": self._client.environment, "run": run, "limit": limit,
            "state": "all" if all else "open",
        }  # fmt: skip
        answer: Listing = self._client.request("GET", "/inputs", query=query)
        return answer

    def get(self, id: str, wait_s: float = 0.0) -> dict[str, Any]:
        """An input with its schema and what became of it; waits up to `wait_s` while it is open."""
        wait_s = min(wait_s, _WAIT_MAX_S)
        query = {"wait_ms": int(wait_s * 1000)}
        answer: dict[str, Any] = self._client.request("GET", _path(id), query=query, wait_s=wait_s)
        return answer

    def respond(self, id: str, value: Any) -> dict[str, Any]:
        """Answer an input.

        Raises `InvalidRequest`, naming path and reason, where the answer does not fit its schema,
        `Conflict` where it was answered already, `Forbidden` where it is not for this token.
        """
        answer: dict[str, Any] = self._client.request(
            "POST", f"{_path(id)}/respond", body={"value": value}
        )
        return answer

    def dismiss(self, id: str) -> dict[str, Any]:
        """Refuse to answer an input; whoever waits for it gets `InputDismissed`."""
        answer: dict[str, Any] = self._client.request("POST", f"{_path(id)}/dismiss", body={})
        return answer

    def cancel(self, id: str) -> None:
        """Cancel an input; what has ended stays as it is."""
        self._client.request("POST", f"{_path(id)}/cancel", body={})

    def wait(self, id: str, timeout: float | None = None) -> Any:
        """The answer as JSON, when it is there.

        Raises `TimeoutError` when it is not there in `timeout` seconds, `InputDismissed`, or
        `ExecutionCancelled`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        patience = Patience()
        while True:
            left = _WAIT_MAX_S if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                found = self.get(id, left)
                patience.renew()
            except Unavailable:
                if not patience.spend(deadline):
                    raise
                continue
            if found["state"] != "open":
                return _answer(found)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"input {id} has no answer after {timeout} s")


def _answer(found: dict[str, Any]) -> Any:
    if found["state"] == "answered":
        return found.get("answer")
    by = f" by {found['by']}" if found.get("by") else ""
    why = f": {found['cause']}" if found.get("cause") else ""
    kind = InputDismissed if found["state"] == "dismissed" else ExecutionCancelled
    raise kind(f"input {found['input']} was {found['state']}{by}{why}", input=found["input"])


def _path(id: str) -> str:
    run, slash, number = id.partition("/")
    if not slash or not run or not number:
        raise NotFound(f"There is no input {id!r}; inputs have ids such as Rbcdfgh/i1.")
    return f"/inputs/{segment(run)}/{segment(number)}"
