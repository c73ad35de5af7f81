"""The schedules of an environment, from a client's point of view.

Belongs here: reading and changing them, by name or id. Does not belong here: calendars and rules,
which are the server's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coflux.client.transport import segment
from coflux.errors import NotFound

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]


class Schedules:
    """`client.schedules`. A schedule is named by its name or its id (`D…`)."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Listing:
        """The environment's schedules, each with the instants to come (ms UTC)."""
        answer: Listing = self._client.request(
            "GET", "/schedules", query={"environment": self._client.environment}
        )
        return answer

    def get(self, schedule: str) -> dict[str, Any]:
        """One schedule with its `history`; raises `NotFound`, naming the nearest name."""
        answer: dict[str, Any] = self._client.request("GET", self._path(schedule))
        return answer

    def create(
        self,
        name: str,
        target: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        cron: str,
        **more: Any,
    ) -> dict[str, Any]:
        """Start `repository/target` by the calendar.

        `more` are `zone`, `catch_up`, `overlap`, `paused` and `options` (as for a submission).
        """
        body = {
            "name": name, "target": target, "cron": cron, "arguments": list(args),
            "keyword_arguments": dict(kwargs or {}), "environment": self._client.environment,
            **more,
        }  # fmt: skip
        answer: dict[str, Any] = self._client.request("POST", "/schedules", body=body)
        return answer

    def update(self, schedule: str, **changes: Any) -> dict[str, Any]:
        """Change `cron`, `zone`, `arguments`, `keyword_arguments`, `catch_up`, `overlap` …"""
        answer: dict[str, Any] = self._client.request(
            "PATCH", self._path(schedule), body=changes
        )  # fmt: skip
        return answer

    def pause(self, schedule: str) -> dict[str, Any]:
        """Start nothing; instants that come meanwhile are dropped."""
        answer: dict[str, Any] = self._client.request("POST", self._path(schedule) + "/pause")
        return answer

    def resume(self, schedule: str) -> dict[str, Any]:
        """Start runs again, from the next instant on."""
        answer: dict[str, Any] = self._client.request("POST", self._path(schedule) + "/resume")
        return answer

    def delete(self, schedule: str) -> None:
        """End it; its runs stay."""
        self._client.request("DELETE", self._path(schedule))

    def _path(self, schedule: str) -> str:
        found = self.list()
        id = next((s["id"] for s in found if schedule in (s["name"], s["id"])), None)
        if id is None:
            raise NotFound(_unknown(schedule, [s["name"] for s in found]))
        return f"/schedules/{segment(id)}"


def _unknown(name: str, known: list[str]) -> str:
    import difflib

    nearest = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "`coflux schedules list` shows them"
    return f"there is no schedule {name!r}; {hint}"
