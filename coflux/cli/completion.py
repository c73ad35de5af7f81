"""`coflux completion`: the shell's completion script. Nothing else belongs here."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from coflux.cli.options import Invocation, common


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(call: Invocation, shell: str) -> None:
    """Print the completion script for SHELL.

    In bash: `eval "$(coflux completion bash)"`; zsh likewise; in fish:
    `coflux completion fish | source`.
    """
    from coflux.cli.root import coflux

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}.")
    # Not `source()` of bash itself: that one runs the shell to ask for its version.
    complete = kind(coflux, {}, "coflux", "_COFLUX_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())
