"""`coflux dev`: everything that development needs in one terminal. Nothing else belongs here."""

from __future__ import annotations

import sys

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import note


@click.command()
@click.argument("repositories", metavar="REPOSITORY...", nargs=-1, required=True)
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Executions at once.")
@common
def dev(call: Invocation, repositories: tuple[str, ...], concurrency: int | None) -> int:
    """Server, reloading agent and UI in one terminal, until Ctrl-C.

    Uses the server that runs over ./.coflux, or starts one. The workflows of the repositories are
    registered, again after each change of a file.
    """
    from coflux.cli.embedded import Embedded, sign_in_url

    options = ["--concurrency", str(concurrency)] if concurrency else []
    try:
        with Embedded(call, call.config.data_dir, verbose=True) as server:
            server.ready()
            click.echo(f"UI at {sign_in_url(server.config)}")
            sys.stdout.flush()
            server.start_agent(*repositories, "--dev", *options)
            note(f"{server.wait()} has ended")
            return 3
    except KeyboardInterrupt:
        return 0
