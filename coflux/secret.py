"""Secrets: references to what only an agent knows (IN-7).

Belongs here: the reference, and where a secret is found outside of executions. Does not belong
here: masking, and how an agent is told its secrets (`coflux.agent`).
"""

from __future__ import annotations

import os
import re

from coflux import host as hosts
from coflux.errors import NotFound

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")


class Secret:
    """A secret by its name. Only the name is stored, sent, or part of a key.

    Its content comes from the surroundings of the agent that runs the function: a file that the
    agent was given (`coflux agent --secret NAME=FILE`), or the environment variable of that name.
    What the function prints, logs or raises is masked where it holds the content.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        check_name(name)
        self._name = name

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    def get(self) -> str:
        """The content, from the surroundings of the process that asks.

        Raises `NotFound` where they have no such secret.
        """
        host = hosts.current()
        if host is not None:
            return host.secret(self._name)
        found = os.environ.get(self._name)
        if found is None:
            raise NotFound(f"there is no secret {self._name!r}; set the variable {self._name}")
        return found

    def __coflux_secret__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._name == other._name

    def __hash__(self) -> int:
        return hash((Secret, self._name))

    def __repr__(self) -> str:
        return f"Secret({self._name!r})"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._name,)


def check_name(name: object) -> None:
    """Raise `TypeError` or `ValueError` for what is no name of a secret."""
    if not isinstance(name, str):
        raise TypeError(f"a secret's name must be a string, not {name!r}")
    if not _NAME.match(name):
        raise ValueError(
            f"a secret's name has letters, digits, `_`, `.` and `-`, and begins with a letter or"
            f" `_`; {name[:100]!r} does not"
        )
