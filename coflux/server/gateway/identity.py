"""Who sent a request, over all projects.

Belongs here: the gateway's value for a signed-in caller, and what of it a project gets to see.
Does not belong here: where it comes from (`accounts`, `auth`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from coflux.server.access import Principal, Right, Scope, includes


class Grant(NamedTuple):
    """A right in the environments of a pattern, in one project or all of them (`*`)."""

    project: str
    environment: str
    right: Right


@dataclass(frozen=True)
class Identity:
    """A caller. `expires_at` in ms; None = never."""

    id: str
    name: str
    grants: tuple[Grant, ...]
    expires_at: int | None = None
    #: What pages send back as `X-XSRFToken` where the surrounding application wants it.
    xsrf: str | None = None
    #: Which inputs it may answer (IN-5); None = all, whatever they require.
    tags: dict[str, tuple[str, ...]] | None = field(default_factory=dict)

    def principal(self, project: str) -> Principal:
        """What the project gets to know: the scopes in it, perhaps none."""
        scopes = tuple(
            Scope(grant.environment, grant.right)
            for grant in self.grants
            if grant.project in ("*", project)
        )
        return Principal(self.name, self.id, scopes, self.tags)

    def may_everywhere(self, right: Right) -> bool:
        """Whether the right is held over all projects and environments."""
        return any(
            grant.project == "*" and grant.environment == "*" and includes(grant.right, right)
            for grant in self.grants
        )
