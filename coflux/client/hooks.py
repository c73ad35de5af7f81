"""Hooks, from a client's point of view.

Belongs here: reading and changing them, in the client's environment. Does not belong here: how they
are told (the server's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coflux.client.transport import segment

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]


class Hooks:
    """`client.hooks`: who is told how runs ended."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Listing:
        """The environment's hooks; addresses without what may be secret in them."""
        answer: Listing = self._client.request("GET", "/hooks", query=self._place)
        return answer

    def create(
        self,
        name: str,
        *,
        command: Sequence[str] = (),
        webhook: str | None = None,
        apprise: str | None = None,
        outcomes: Sequence[str] = ("failed",),
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Create a hook of one kind: `command` (words), URL of a `webhook`, or of `apprise`.

        It is told of runs that end with one of the `outcomes` (`succeeded`, `failed`, `cancelled`),
        only of `target` (`repository/name`, or a repository) if one is given.
        """
        kind = "command" if command else "webhook" if webhook is not None else "apprise"
        body = {
            **self._place,
            "name": name,
            "kind": kind,
            "outcomes": tuple(outcomes),
            "target": target,
            "command": tuple(command),
            "url": webhook or apprise or "",
            "headers": dict(headers or {}),
        }
        answer: dict[str, Any] = self._client.request("POST", "/hooks", body=body)
        return answer

    def enable(self, name: str) -> dict[str, Any]:
        """Tell a disabled hook again of what ends from now on."""
        return self._change(name, "/enable")

    def disable(self, name: str) -> dict[str, Any]:
        """Tell it no more."""
        return self._change(name, "/disable")

    def test(self, name: str) -> None:
        """Tell it of a run that there is not; raises `Unavailable` with what went wrong."""
        self._change(name, "/test")

    def delete(self, name: str) -> None:
        """Delete it, with what it is owed."""
        self._client.request("DELETE", f"/hooks/{segment(name)}", query=self._place)

    def deliveries(self, name: str, limit: int = 100) -> Listing:
        """What it was told and is owed, the newest first."""
        path = f"/hooks/{segment(name)}/deliveries"
        answer: Listing = self._client.request("GET", path, query={**self._place, "limit": limit})
        return answer

    @property
    def _place(self) -> dict[str, Any]:
        return {"environment": self._client.environment}

    def _change(self, name: str, suffix: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.request(
            "POST", f"/hooks/{segment(name)}{suffix}", body=self._place
        )
        return answer
