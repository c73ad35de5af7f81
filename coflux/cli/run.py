"""`coflux run`: one run of a target in a file, without any set-up. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import Invocation, TakesArguments, common, read_arguments
from coflux.cli.output import note


@click.command(cls=TakesArguments)
@click.argument("target", metavar="FILE.py:TARGET")
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@common
def run(call: Invocation, target: str, arguments: tuple[str, ...]) -> int:
    """Run one target and print its result.

    Uses the server that runs over ./.coflux, or starts one for as long as this takes. Each ARG is
    JSON, or a string where it is not JSON; `name=ARG` binds by name. After `--` nothing is
    an option.
    """
    from coflux.cli.embedded import Embedded
    from coflux.cli.repositories import load_target
    from coflux.cli.watch import wait_for_run

    positional, named = read_arguments(arguments)
    repository, function = load_target(target)
    _check_arguments(function, positional, named)
    with Embedded(call, call.config.data_dir) as server:
        server.ready()
        agent = server.start_agent(repository)
        started = call.client.start(function, positional, named)
        server.agent_ready(agent)
        server.cancel_without(agent, started)
        code = wait_for_run(started, as_json=call.as_json, detachable=server.is_attached)
        if code == 130 and not server.is_attached:
            started.cancel()
            note(f"cancelled {started.id}")
        return code


def _check_arguments(function: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Refuse what does not fit before anything is started."""
    try:
        function.bind(*positional, **named)
    except TypeError as error:
        raise click.UsageError(f"{error}.") from error
