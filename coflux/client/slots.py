"""Named slots, from a client's point of view.

Belongs here: reading and changing them. Does not belong here: what they mean (the server's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coflux.client.transport import segment

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]


class Slots:
    """`client.slots`: limits that executions name, in the client's environment or the project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Listing:
        """Slots that are defined, held or wanted in the environment."""
        answer: Listing = self._client.request(
            "GET", "/slots", query={"environment": self._client.environment}
        )
        return answer

    def set(
        self,
        name: str,
        limit: int | None = None,
        *,
        rate: int | None = None,
        period_ms: int | None = None,
        everywhere: bool = False,
    ) -> None:
        """Allow `limit` units at a time, and `rate` assignments in `period_ms`.

        With `everywhere` it holds for the project, over all environments without their own.
        """
        body: dict[str, Any] = {"limit": limit, "rate": rate, "period_ms": period_ms}
        if not everywhere:
            body["environment"] = self._client.environment
        self._client.request("PUT", f"/slots/{segment(name)}", body=body)

    def remove(self, name: str, *, everywhere: bool = False) -> None:
        """Remove the definition; an undefined slot has one unit in each environment."""
        query = {} if everywhere else {"environment": self._client.environment}
        self._client.request("DELETE", f"/slots/{segment(name)}", query=query)
