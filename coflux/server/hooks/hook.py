"""A hook and what it tells. Plain data; nothing else belongs here."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from coflux.model import Record

Kind = Literal["command", "webhook", "apprise"]
Outcome = Literal["succeeded", "failed", "cancelled"]
OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "cancelled")


class Hook(Record):
    """Something to be told when a run ends.

    `command`: words of a command that runs on the server's machine; `url`: of a webhook, or of
    apprise. Of runs, those that are not spawned by others count.
    """

    name: str
    environment: str
    kind: Kind
    outcomes: tuple[str, ...] = ("failed",)
    #: Only runs of this target (`repository/name`), or of this repository.
    target: str | None = None
    command: tuple[str, ...] = ()
    url: str = ""
    #: Of a webhook's request.
    headers: dict[str, str] = {}
    is_enabled: bool = True

    def wants(self, environment: str, repository: str, target: str, status: str) -> bool:
        """Whether the end of a run is for it."""
        return (
            self.is_enabled
            and self.environment == environment
            and status in self.outcomes
            and self.target in (None, repository, f"{repository}/{target}")
        )


class Ended(Record):
    """A run that has ended."""

    run: str
    environment: str
    repository: str
    target: str
    status: str
    created_at: int
    finished_at: int


class Delivery(Record):
    """What a hook is owed, or has got."""

    id: int
    hook: str
    ended: Ended
    state: Literal["owed", "delivered", "given up"] = "owed"
    attempts: int = 0
    next_at: int = 0
    error: str | None = None


def hidden(url: str) -> str:
    """A URL without what may be secret in it: all but scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/***" if url else ""


def message(ended: Ended, project: str, environment: str, error: dict[str, Any] | None) -> Any:
    """What is told, as JSON."""
    what = f"{ended.repository}/{ended.target} {ended.status}"
    why = f": {error['type'].removeprefix('builtins.')}: {error['message']}" if error else ""
    return {
        "text": f"{what}{why} ({ended.run} in {environment})",
        "project": project,
        "environment": environment,
        "run": ended.run,
        "target": f"{ended.repository}/{ended.target}",
        "status": ended.status,
        "created_at": ended.created_at,
        "finished_at": ended.finished_at,
        "error": error,
    }
