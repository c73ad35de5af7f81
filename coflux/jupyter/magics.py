"""`%coflux`: the magic, its life in a shell, and how a line reaches its command.

Belongs here: loading, hooks after cells, completion, and what every command has in common. Does
not belong here: the commands (`commands`).
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import Any

import click
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from coflux.errors import CofluxError, InvalidRequest
from coflux.jupyter import completing, displays, tracebacks
from coflux.jupyter.commands import coflux
from coflux.jupyter.context import Context
from coflux.jupyter.expressions import split
from coflux.jupyter.notebook import Notebook, warn

#: Commands whose arguments are Python expressions.
_WITH_EXPRESSIONS = ("run", "form", "respond", "dismiss")


#: In click since 8.2: a group of commands was named, and none of them.
NO_ARGUMENTS: tuple[type[Exception], ...] = tuple(
    kind for kind in [getattr(click.exceptions, "NoArgsIsHelpError", None)] if kind is not None
)
_PLACEHOLDER = re.compile(r"\{[A-Za-z_][^{}]*\}")


@magics_class
class CofluxMagics(Magics):
    """The magic of one shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.notebook = Notebook(shell.user_ns)

    @no_var_expand
    @line_magic
    def coflux(self, line: str) -> Any:
        """Run workflows from this notebook: `%coflux --help`."""
        try:
            return self._invoke(line)
        except click.ClickException as error:
            if isinstance(error, NO_ARGUMENTS):
                # A group of commands, alone: what there is.
                click.echo(error.format_message())
                return None
            failure: CofluxError = InvalidRequest(_said(error))
        except CofluxError as error:
            failure = error
        except OSError as error:
            failure = InvalidRequest(str(error))
        setattr(failure, tracebacks.SHORT, True)
        raise failure

    def _invoke(self, line: str) -> Any:
        words = self._words(line)
        if not words:
            words = ["--help"]
        context = Context(self.notebook, self.shell)
        try:
            found = coflux.main(words, prog_name="%coflux", standalone_mode=False, obj=context)
        except click.exceptions.Exit:
            return None
        # The exit code of `--help`; commands themselves return no numbers.
        return None if isinstance(found, int) else found

    def _words(self, line: str) -> list[str]:
        command, _, rest = line.strip().partition(" ")
        if command in _WITH_EXPRESSIONS:
            return [command, *split(rest)]
        shell: Any = self.shell
        # As in other magics: `%coflux show {run.id}:2`.
        expanded = str(shell.var_expand(line))
        if (left := _PLACEHOLDER.search(expanded)) is not None:
            # IPython leaves them as they are.
            raise InvalidRequest(f"{left[0]} has no value here; it stands for that of a variable")
        try:
            return shlex.split(expanded)
        except ValueError as error:
            raise InvalidRequest(f"{error} in {line!r}") from None

    def after_cell(self, result: Any) -> None:
        """Tell the agent what the cell has changed. Never raises."""
        try:
            for note in self.notebook.after_cell():
                warn(note)
        except Exception as error:  # noqa: BLE001 - it would be printed under the user's cell
            warn(f"{type(error).__name__}: {error}")


def _said(error: click.ClickException) -> str:
    text = error.format_message()
    is_lost = text.startswith("No such command") and "Did you mean" not in text
    return f"{text} `%coflux --help` lists them." if is_lost else text


_loaded: dict[int, CofluxMagics] = {}


def load(shell: Any) -> None:
    """Give a shell the magic; loading again changes nothing."""
    if id(shell) in _loaded:
        return
    magics = CofluxMagics(shell)
    _loaded[id(shell)] = magics
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.after_cell)
    completing.install(shell, magics.notebook)
    tracebacks.install()
    displays.install(shell, magics.notebook)
    # Only a courtesy: the agent ends with the pipe that the kernel holds, too.
    import atexit

    atexit.register(_end, magics)


def unload(shell: Any) -> None:
    """Take the magic away and end what belongs to it."""
    magics = _loaded.pop(id(shell), None)
    if magics is None:
        return
    shell.events.unregister("post_run_cell", magics.after_cell)
    displays.uninstall(shell)
    completing.uninstall(shell)
    tracebacks.uninstall()
    shell.magics_manager.magics["line"].pop("coflux", None)
    _end(magics)


def _end(magics: CofluxMagics) -> None:
    try:
        magics.notebook.disconnect()
    except (CofluxError, OSError) as error:
        sys.stderr.write(f"coflux: {error}\n")
