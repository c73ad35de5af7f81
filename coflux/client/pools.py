"""Pools, from a client's point of view.

Belongs here: reading and changing them, in the client's environment. Does not belong here: what
they mean (the server's), and files (the command line's).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coflux.client.transport import segment

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]


class Pools:
    """`client.pools`: recipes for agents that the server starts on demand."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Listing:
        """The environment's pools with their agents."""
        answer: Listing = self._client.request(
            "GET", "/pools", query={"environment": self._client.environment}
        )
        return answer

    def get(self, name: str) -> dict[str, Any]:
        """One pool; raises `NotFound`, naming the nearest."""
        query = {"environment": self._client.environment}
        answer: dict[str, Any] = self._client.request("GET", f"/pools/{segment(name)}", query=query)
        return answer

    def create(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a pool.

        Fields: `repositories`, `launcher`, `settings`, `min`, `max`, `concurrency`, `provides`,
        `accepts`, `env`, and `secrets` by name, whose values no answer ever shows.
        """
        body = {"environment": self._client.environment, "name": name, **fields}
        answer: dict[str, Any] = self._client.request("POST", "/pools", body=body)
        return answer

    def update(self, name: str, **fields: Any) -> dict[str, Any]:
        """Change these fields; of `secrets` those that are named (None removes one)."""
        return self._change("PATCH", name, "", fields)

    def enable(self, name: str) -> dict[str, Any]:
        """Let a disabled pool start agents again."""
        return self._change("POST", name, "/enable", {})

    def disable(self, name: str) -> dict[str, Any]:
        """Start no more agents, and drain those that run."""
        return self._change("POST", name, "/disable", {})

    def delete(self, name: str) -> None:
        """Delete a pool; its agents are drained."""
        query = {"environment": self._client.environment}
        self._client.request("DELETE", f"/pools/{segment(name)}", query=query)

    def replace(
        self,
        pools: Sequence[dict[str, Any]],
        *,
        names: Sequence[str] | None = None,
        dry_run: bool = False,
        force: bool = False,
    ) -> Listing:
        """Let the environment's pools (of these names, if any are given) be exactly these.

        Gives what that does: `{"name", "action", "fields"}` for each. With `dry_run` nothing is
        done. Raises `Conflict` for a pool whose `revision` is not the present one, unless forced.
        """
        body = {
            "environment": self._client.environment,
            "pools": list(pools),
            "names": None if names is None else tuple(names),
            "dry_run": dry_run,
            "force": force,
        }
        answer: Listing = self._client.request("POST", "/pools/import", body=body)
        return answer

    def _change(
        self, method: str, name: str, suffix: str, fields: dict[str, Any]
    ) -> dict[str, Any]:
        body = {"environment": self._client.environment, **fields}
        answer: dict[str, Any] = self._client.request(
            method, f"/pools/{segment(name)}{suffix}", body=body
        )
        return answer
