"""What the commands of `%coflux` work with, and what names and ids in them stand for.

Belongs here: finding targets and steps, with errors that help. Does not belong here: commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from coflux.errors import InvalidRequest, NotFound
from coflux.jupyter.notebook import Notebook
from coflux.target import Target


@dataclass(frozen=True)
class Context:
    """What commands work with."""

    notebook: Notebook
    shell: Any


pass_context = click.make_pass_decorator(Context)


def find_target(context: Context, name: str) -> Target[Any, Any] | str:
    """A target of the notebook, or the name of a registered one; raises `NotFound`."""
    if "/" in name:
        return name
    found = context.notebook.namespace.target(name)
    if found is not None:
        return found
    if name in context.shell.user_ns:
        raise InvalidRequest(
            f"{name} is a {type(context.shell.user_ns[name]).__name__}, no workflow or task;"
            " decorate it with @cf.workflow"
        )
    import difflib

    names = [n for n in context.shell.user_ns if context.notebook.namespace.target(n) is not None]
    nearest = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else "define it in a cell, or name a"
    more = "" if nearest else " registered one as REPOSITORY/TARGET"
    raise NotFound(f"there is no target {name!r} in this notebook; {hint}{more}")


def find_step(view: Any, id: str) -> Any:
    """The step of a run with this id (`RUN:STEP`, or an attempt's); raises `NotFound`."""
    wanted = ":".join(id.split(":")[:2])
    for step in view.steps:
        if step.step == wanted:
            return step
    raise NotFound(f"run {view.run} has no step {wanted}; it has {len(view.steps)} steps")
