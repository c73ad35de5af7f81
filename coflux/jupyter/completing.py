"""What may follow on a `%coflux` line: commands, options, targets, runs, environments.

Belongs here: completion. Does not belong here: asking a server that has not been connected to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from coflux.errors import CofluxError
from coflux.jupyter.commands import coflux
from coflux.jupyter.namespace import OF_IPYTHON
from coflux.jupyter.notebook import Notebook

#: Commands that take one name and then something else.
_ONE_NAME = ("run", "respond")
#: Runs offered, newest first.
_RUNS = 20


_LINE = re.compile(r"\s*(?:[\w, ]+=\s*)?(%?coflux .*)")
_NAME = "coflux"
#: The name that is being written, at the end.
_WORD = re.compile(r"(?<!\w)[A-Za-z_]\w*$")


def install(shell: Any, notebook: Notebook) -> None:
    """Let the shell offer what may follow, and nothing else where there is something."""
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:
        # Before IPython 8.6; names of Python's are offered among ours there.
        for key in ("%coflux", "coflux"):
            shell.set_hook("complete_command", lambda _, e: _safely(notebook, e.line), str_key=key)
        return

    def match(context: Any) -> dict[str, Any]:
        line = _LINE.fullmatch(context.line_with_cursor[: context.cursor_position])
        found = _safely(notebook, line[1]) if line is not None else []
        return {
            "completions": [SimpleCompletion(text, type="coflux") for text in found],
            "suppress": bool(found),
            "matched_fragment": line[1].rpartition(" ")[2] if line is not None else "",
            "ordered": True,
        }

    mark: Any = context_matcher(identifier=_NAME)
    shell.Completer.custom_matchers.append(mark(match))


def uninstall(shell: Any) -> None:
    """Offer it no more."""
    matchers: list[Callable[..., Any]] = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != _NAME]


def _safely(notebook: Notebook, line: str) -> list[str]:
    try:
        return complete(notebook, line)
    except CofluxError:
        return []


def complete(notebook: Notebook, line: str) -> list[str]:
    """The words that may stand at the end of the line."""
    words = line.lstrip().lstrip("%").split(" ")[1:]
    if not words:
        return []
    last = words[-1]
    command: click.Command = coflux
    given: list[str] = []
    for word in words[:-1]:
        found = (
            command.get_command(click.Context(command), word)
            if isinstance(command, click.Group)
            else None
        )
        if found is None:
            given += [word] if word and not word.startswith("-") else []
        else:
            command = found
    if given and command.name in _ONE_NAME and not last.startswith("-"):
        return _expressions(notebook, given[0], last)
    candidates = _candidates(notebook, command, last)
    return [candidate for candidate in candidates if candidate.startswith(last)]


def _expressions(notebook: Notebook, name: str, last: str) -> list[str]:
    """What a word of Python may go on with: IPython knows no Python in such lines."""
    found = _WORD.search(last)
    word = found[0] if found is not None else ""
    begin = last[: len(last) - len(word)]
    target = notebook.namespace.target(name)
    parameters: list[str] = []
    if target is not None and not begin:
        parameters = [f"{each}=" for each in target.__signature__.parameters]
    known = notebook.namespace.names
    names = [n for n in known if not n.startswith("_") and n not in OF_IPYTHON]
    is_attribute = begin.endswith(".")
    offered = [] if is_attribute else [*parameters, *names]
    return [begin + each for each in offered if each.startswith(word)]


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
