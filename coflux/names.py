"""Names of targets and repositories (ID-5), and which repository a module's targets belong to.

Belongs here: what is a name, and the repositories that notebooks and scripts were given. Does not
belong here: finding and importing repositories, which is the agent's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
_LIMIT = 100

_repositories: dict[str, str] = {}


def check_name(name: object, what: str) -> None:
    """Raise `TypeError` or `ValueError` for what is no name of a target or repository (ID-5)."""
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a string, not {name!r}")
    if not _NAME.match(name):
        raise ValueError(f"{what} must be a Python identifier (with dots), not {name!r}")
    if len(name) > _LIMIT:
        raise ValueError(f"{what} may have {_LIMIT} characters, not {len(name)}")


def name_repository(module: str, repository: str) -> None:
    """Let the targets of a module (such as a notebook's `__main__`) belong to a repository."""
    check_name(repository, "the repository's name")
    _repositories[module] = repository


def repository_of(module: str) -> str:
    """The repository that a module's targets belong to: its name, or a script's stem."""
    if (named := _repositories.get(module)) is not None:
        return named
    if module == "__main__":
        main = sys.modules.get("__main__")
        spec = getattr(main, "__spec__", None)
        if spec is not None and spec.name:
            return str(spec.name).removesuffix(".__main__")
        if (file := getattr(main, "__file__", None)) is not None:
            return Path(file).stem
    return module
