"""What an agent is told when it starts. Nothing else belongs here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from coflux.model import Requires

Isolation = Literal["fork", "reuse", "spawn"]


def default_isolation() -> Isolation:
    """`fork` where it is safe, `spawn` elsewhere."""
    return "fork" if sys.platform == "linux" else "spawn"


def default_concurrency() -> int:
    """Executions that an agent runs at once by default: CPUs + 4, at most 32."""
    return min((os.cpu_count() or 1) + 4, 32)


@dataclass(frozen=True)
class AgentConfig:
    """Settings of one agent process."""

    #: URL of the server, such as `http://127.0.0.1:7777` or `https://host/prefix`.
    host: str
    token: str | None = None
    #: Asked for another token when the server does not know `token` (any more): the one that a
    #: server leaves for programs of its own user is another after each of its starts.
    renew_token: Callable[[], str | None] | None = None
    project: str = "default"
    environment: str = "default"
    #: Dotted modules or packages, or paths of `.py` files; none = a generic agent (CO-4).
    repositories: tuple[str, ...] = ()
    concurrency: int = field(default_factory=default_concurrency)
    isolation: Isolation = field(default_factory=default_isolation)
    provides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    accepts: Requires = field(default_factory=dict)
    #: Files with the contents of secrets, by name; others are environment variables (IN-7).
    secrets: dict[str, Path] = field(default_factory=dict, repr=False)
    #: Modules to import where executors are forked from, besides the repositories.
    preload: tuple[str, ...] = ()
    #: How long a drain may take, in seconds, before what still runs is killed.
    drain_timeout_s: float = 120.0
    #: End when no server could be reached for so long, in seconds; None = wait for ever.
    give_up_s: float | None = None
    #: Register the repositories' workflows and sensors when they have been loaded.
    register: bool = False
    #: Load the repositories again when a file of the project changes.
    reload: bool = False
    #: As `register` and `reload`; the environment is created where it is missing.
    dev: bool = False
    #: Where repositories are looked for.
    directory: Path = field(default_factory=Path.cwd)
    #: Called each time the agent has something to tell its user, one line.
    notice: Callable[[str], None] | None = None
    #: Called once with the session's id, when the agent is connected, has told what it hosts, and
    #: has registered that if it should.
    ready: Callable[[str], None] | None = None
    #: End, without a drain, when stdin does: the agent belongs to the process that holds it.
    ends_with_stdin: bool = False

    def __post_init__(self) -> None:
        if self.isolation != "spawn" and sys.platform != "linux":
            raise ValueError(
                f"isolation {self.isolation!r} forks processes, which is safe on Linux only; use"
                " 'spawn'"
            )
