"""Repositories named on the command line, loaded into this process.

Belongs here: what commands need to know of a repository before an agent hosts it. Does not belong
here: finding and importing modules, which is the agent's (`coflux.agent.loader`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coflux.errors import InvalidRequest

if TYPE_CHECKING:
    from coflux.agent.loader import Loaded
    from coflux.model import Definition


def load_manifests(names: Sequence[str]) -> dict[str, tuple[Definition, ...]]:
    """The workflows and sensors of repositories (CO-1), by repository.

    Modules of a package that have none are left out, unless they are named themselves.

    Raises `InvalidRequest` for one that cannot be imported.
    """
    from coflux.agent.loader import repository_name

    loaded = load_all(names)
    explicit = {repository_name(name) for name in names}
    manifests = {}
    for repository in loaded.repositories():
        if repository.name not in loaded.named:
            continue
        targets = tuple(t for t in repository.targets if t.type != "task")
        if targets or repository.name in explicit:
            manifests[repository.name] = targets
    return manifests


def load_target(place: str) -> tuple[str, Any]:
    """What `FILE.py:TARGET` or `module:TARGET` names: the repository as an agent takes it, and
    the target.

    Raises `click.UsageError` for a place that is not one, or a target that is not in it.
    """
    repository, separator, name = place.rpartition(":")
    if not separator or not re.fullmatch(r"[^\W\d][\w.]*", name):
        raise click.UsageError(f"{place!r} names no target; write FILE.py:TARGET.")
    if repository.endswith(".py") and not Path(repository).is_file():
        raise click.UsageError(f"There is no file {repository}.")
    from coflux.agent.loader import repository_name

    targets = load_all([repository]).targets.get(repository_name(repository), {})
    if name not in targets:
        nearest = difflib.get_close_matches(name, targets, 1)
        known = f"did you mean {nearest[0]!r}?" if nearest else f"it has {_listed(targets)}."
        raise click.UsageError(f"{repository} has no target {name!r}; {known}")
    return repository, targets[name]


def load_all(names: Sequence[str]) -> Loaded:
    """Import repositories from the working directory; raises `InvalidRequest` for the first that
    fails, with its own traceback's last frame.
    """
    from coflux.agent.loader import load

    loaded = load(names, Path.cwd())
    for name, (error, _) in loaded.failures.items():
        place = f" ({error.frames[-1].file}:{error.frames[-1].line})" if error.frames else ""
        kind = error.type.rpartition(".")[2]
        raise InvalidRequest(f"{name} cannot be imported: {kind}: {error.message}{place}")
    return loaded


def _listed(targets: dict[str, Any]) -> str:
    return ", ".join(targets) or "none; decorate a function with @cf.workflow() or @cf.task()"
