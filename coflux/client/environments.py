"""The environments of a project, from a client's point of view.

Belongs here: listing and changing environments, by name or id. Does not belong here: the rules
about names and bases, which are the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coflux.client.transport import segment
from coflux.errors import NotFound

if TYPE_CHECKING:
    from coflux.client.client import Client

#: One method is called `list`, which hides the type from the class.
Listing = list[dict[str, Any]]
#: "Leave it as it is", where None means "none".
_KEEP: Any = object()


class Environments:
    """`client.environments`. An environment is named by its name or its id (`E…`)."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Listing:
        """All that may be seen: `{"id", "name", "base", "state"}`."""
        answer: Listing = self._client.request("GET", "/environments")
        return answer

    def get(self, environment: str) -> dict[str, Any]:
        """The one with this name or id; raises `NotFound`, naming the nearest name."""
        found = self.list()
        for state in ("archived", None):
            # A name may have been freed by archiving; the one that is in use counts.
            for info in found:
                if info["state"] != state and environment in (info["name"], info["id"]):
                    return info
        raise NotFound(_unknown(environment, [info["name"] for info in found]))

    def create(self, name: str, base: str | None = None) -> dict[str, Any]:
        """Create an environment that inherits from `base`, if one is given."""
        answer: dict[str, Any] = self._client.request(
            "POST", "/environments", body={"name": name, "base": base}
        )
        return answer

    def update(
        self, environment: str, *, name: str = _KEEP, base: str | None = _KEEP
    ) -> dict[str, Any]:
        """Rename it or change its base; `base=None` removes the base."""
        changes = {"name": name, "base": base}
        body = {field: value for field, value in changes.items() if value is not _KEEP}
        return self._change("PATCH", environment, "", body)

    def pause(self, environment: str) -> dict[str, Any]:
        """Assign no more work in it; what runs goes on."""
        return self._change("POST", environment, "/pause")

    def resume(self, environment: str) -> dict[str, Any]:
        """Assign work in it again."""
        return self._change("POST", environment, "/resume")

    def archive(self, environment: str) -> dict[str, Any]:
        """End it for good: what is unfinished is cancelled, past runs stay readable."""
        return self._change("POST", environment, "/archive")

    def settings(self, environment: str) -> Listing:
        """Its limits: `{"name", "value", "default", "is_set", "unit", "summary"}`."""
        answer: Listing = self._client.request("GET", self._settings_path(environment))
        return answer

    def change_settings(self, environment: str, values: Mapping[str, int | None]) -> Listing:
        """Set limits of it; None gives back the default."""
        answer: Listing = self._client.request(
            "PATCH", self._settings_path(environment), body={"values": dict(values)}
        )
        return answer

    def _settings_path(self, environment: str) -> str:
        return f"/environments/{segment(self.get(environment)['id'])}/settings"

    def _change(
        self, method: str, environment: str, suffix: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        info = self.get(environment)
        if info["state"] == "archived":
            raise NotFound(f"environment {info['name']!r} has been archived, which is final")
        id = info["id"]
        answer: dict[str, Any] = self._client.request(
            method, f"/environments/{segment(id)}{suffix}", body=body or {}
        )
        return answer


def _unknown(name: str, known: list[str]) -> str:
    import difflib

    nearest = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "`coflux env list` shows them"
    return f"there is no environment {name!r}; {hint}"
