"""The command line: one file for each noun, loaded when it is used.

Belongs here: the entry point, and how errors leave the program. Does not belong here: commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `coflux` with `arguments` (default: those of the process) and exit.

    Exit codes: 0 success, 1 the run failed, 2 usage, 3 the server refuses or cannot be reached,
    130 interrupted.
    """
    sys.exit(execute(list(arguments) if arguments is not None else None))


def execute(arguments: list[str] | None = None) -> int:
    """Run `coflux` and give its exit code; errors become one line on stderr."""
    import click

    from coflux.cli.root import coflux
    from coflux.errors import CofluxError

    try:
        result = coflux.main(args=arguments, prog_name="coflux", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except CofluxError as error:
        click.echo(f"error: {error}", err=True)
        return 3
    except BrokenPipeError:
        # Whoever read us has seen enough; what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
