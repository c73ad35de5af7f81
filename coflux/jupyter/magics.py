"""`%coflux`: the magic, its life in a shell, and how a line reaches its command.

Belongs here: loading, hooks after cells, completion, and what every command has in common. Does
not belong here: the commands (`commands`).
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from coflux.errors import CofluxError, InvalidRequest
from coflux.jupyter import displays, tracebacks
from coflux.jupyter.commands import coflux
from coflux.jupyter.completing import complete
from coflux.jupyter.context import Context
from coflux.jupyter.expressions import split
from coflux.jupyter.notebook import Notebook, warn

#: Commands whose arguments are Python expressions.
_WITH_EXPRESSIONS = ("run", "form", "respond", "dismiss")


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
            failure: CofluxError = InvalidRequest(error.format_message())
        except CofluxError as error:
            failure = error
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
        try:
            # As in other magics: `%coflux show {run.id}:2`.
            return shlex.split(shell.var_expand(line))
        except ValueError as error:
            raise InvalidRequest(f"{error} in {line!r}") from None

    def after_cell(self, result: Any) -> None:
        """Tell the agent what the cell has changed. Never raises."""
        try:
            for note in self.notebook.after_cell():
                warn(note)
        except Exception as error:  # noqa: BLE001 - it would be printed under the user's cell
            warn(f"{type(error).__name__}: {error}")


_loaded: dict[int, CofluxMagics] = {}


def load(shell: Any) -> None:
    """Give a shell the magic; loading again changes nothing."""
    if id(shell) in _loaded:
        return
    magics = CofluxMagics(shell)
    _loaded[id(shell)] = magics
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.after_cell)
    for key in ("%coflux", "coflux"):
        shell.set_hook("complete_command", _completer(magics), str_key=key)
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
    tracebacks.uninstall()
    shell.magics_manager.magics["line"].pop("coflux", None)
    _end(magics)


def _end(magics: CofluxMagics) -> None:
    try:
        magics.notebook.disconnect()
    except (CofluxError, OSError) as error:
        sys.stderr.write(f"coflux: {error}\n")


def _completer(magics: CofluxMagics) -> Any:
    def matches(_: Any, event: Any) -> list[str]:
        try:
            return complete(magics.notebook, event.line)
        except CofluxError:
            return []

    return matches
