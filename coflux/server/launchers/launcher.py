"""What every launcher does, and what it is told.

Belongs here: the interface, the order for one agent, and the command line that it leads to. Does
not belong here: a platform. All methods block, and are called in threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from coflux.model import Requires

#: Lines of a failed agent's output that are kept.
LAST_LINES = 20
#: A launched agent that cannot reach the server for so long ends by itself, in seconds.
GIVE_UP_S = 120


class LaunchFailed(Exception):
    """The agent could not be started; `lines`: what was said about it."""

    def __init__(self, message: str, lines: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines)[-LAST_LINES:]


@dataclass(frozen=True)
class Order:
    """One agent to start."""

    launch: str
    #: Name of the project, and where its data is: together they tell servers apart.
    project: str
    owner: str
    repositories: tuple[str, ...]
    concurrency: int
    provides: Mapping[str, tuple[str, ...]]
    accepts: Requires
    #: Of the launcher, such as `image`.
    settings: Mapping[str, str]
    #: Variables that it starts with, and those whose values are nobody's business.
    variables: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Look:
    """How a launched agent is. `error`: why it has ended, where that is no good order."""

    is_running: bool
    error: str | None = None
    lines: tuple[str, ...] = ()


class Launcher(Protocol):
    """A means of starting agents."""

    #: What `settings` of a pool may say, with a meaning each.
    settings: Mapping[str, str]
    #: Settings that there must be.
    required: tuple[str, ...]

    def start(self, order: Order) -> None:
        """Start an agent; raises `LaunchFailed`."""

    def stop(self, launch: str, *, now: bool) -> None:
        """Stop an agent: in good order, or at once. One that has ended stays as it is."""

    def look(self, launches: Iterable[str]) -> dict[str, Look]:
        """How these agents are; those that are unknown here are left out.

        What has ended may be forgotten once it has been told. Raises `OSError` where the platform
        does not answer.
        """

    def found(self, owner: str) -> list[str]:
        """Launches of this owner that have been started here and not been forgotten."""


def check_settings(launcher: Launcher, settings: Mapping[str, str]) -> str | None:
    """What is wrong with a pool's settings, if anything."""
    for name in settings:
        if name not in launcher.settings:
            known = ", ".join(launcher.settings)
            return f"there is no setting {name!r} of this launcher; there are: {known}"
    for name in launcher.required:
        if not settings.get(name):
            return f"this launcher needs the setting {name!r}: {launcher.settings[name]}"
    return None


def agent_arguments(order: Order) -> list[str]:
    """The arguments of `coflux` that start the agent."""
    words = ["agent", *(name.removesuffix(".*") for name in order.repositories)]
    words += ["--concurrency", str(order.concurrency), "--give-up", f"{GIVE_UP_S}s"]
    for option, tags in (("--provides", order.provides), ("--accepts", order.accepts)):
        for key, values in tags.items():
            listed = values if isinstance(values, tuple) else ()
            words += [option, f"{key}:{','.join(listed)}" if listed else key]
    return words


def last_lines(text: str) -> tuple[str, ...]:
    """The end of what an agent has said."""
    lines = [line.rstrip() for line in text.splitlines()]
    return tuple(line[:1000] for line in lines if line)[-LAST_LINES:]
