"""What may follow on a `%coflux` line: commands, options, targets, runs, environments.

Belongs here: completion. Does not belong here: asking a server that has not been connected to.
"""

from __future__ import annotations

import click

from coflux.jupyter.commands import coflux
from coflux.jupyter.notebook import Notebook

#: Runs offered, newest first.
_RUNS = 20


def complete(notebook: Notebook, line: str) -> list[str]:
    """The words that may stand at the end of the line."""
    words = line.lstrip().lstrip("%").split(" ")[1:]
    if not words:
        return []
    last = words[-1]
    command: click.Command = coflux
    for word in words[:-1]:
        found = (
            command.get_command(click.Context(command), word)
            if isinstance(command, click.Group)
            else None
        )
        if found is None:
            break
        command = found
    candidates = _candidates(notebook, command, last)
    return [candidate for candidate in candidates if candidate.startswith(last)]


def _candidates(notebook: Notebook, command: click.Command, last: str) -> list[str]:
    if isinstance(command, click.Group):
        return [*command.list_commands(click.Context(command)), "--help"]
    if last.startswith("-"):
        options = [o for p in command.params if isinstance(p, click.Option) for o in p.opts]
        return [option for option in [*options, "--help"] if option.startswith("--")]
    if command.name in ("run", "form"):
        return _targets(notebook)
    if not notebook.is_connected:
        return []
    if command.name == "use":
        return [each["name"] for each in notebook.client.environments.list()]
    if command.name in ("respond", "dismiss"):
        return [row["input"] for row in notebook.client.inputs.list()]
    if any(p.metavar and p.metavar.startswith("RUN") for p in command.params):
        return _ids(notebook, last)
    return []


def _targets(notebook: Notebook) -> list[str]:
    names = [
        target.__name__ for target in notebook.namespace.targets().values() if target.type != "task"
    ]
    if not notebook.is_connected:
        return names
    registered = [
        f"{repository}/{target['name']}"
        for repository, manifest in notebook.client.manifests().items()
        for target in manifest["targets"]
    ]
    return [*names, *registered]


def _ids(notebook: Notebook, last: str) -> list[str]:
    run, colon, _ = last.partition(":")
    if colon:
        return [step.step for step in notebook.client.view(run).steps]
    return [each["run"] for each in notebook.client.runs(limit=_RUNS)]
