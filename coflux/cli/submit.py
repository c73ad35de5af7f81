"""`coflux submit`: start a run of a registered target. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import (
    Duration,
    Invocation,
    TakesArguments,
    common,
    read_arguments,
    read_tags,
)
from coflux.cli.output import emit
from coflux.cli.watch import wait_for_run


@click.command(cls=TakesArguments)
@click.argument("target", metavar="REPOSITORY/TARGET")
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--no-wait", is_flag=True, help="Print the run's id and do not wait for it.")
@click.option(
    "--idempotency-key", metavar="KEY",
    help="The same request with the same key gives the same run, for 24 h.",
)  # fmt: skip
@click.option(
    "--requires", multiple=True, metavar="K:V", help="Tag that the agent must have (repeatable)."
)
@click.option("--memo/--no-memo", default=None, help="Take equal calls of this run as one.")
@click.option("--delay", type=Duration(), metavar="TIME", help="Start that much later.")
@click.option("--retries", type=click.IntRange(min=0), metavar="N", help="Retries after a failure.")
@click.option("--timeout", type=Duration(), metavar="TIME", help="Limit for an attempt; 0 = none.")
@click.option("--priority", type=int, metavar="N", help="Higher goes first.")
@common
def submit(
    call: Invocation,
    target: str,
    arguments: tuple[str, ...],
    no_wait: bool,
    idempotency_key: str | None,
    requires: tuple[str, ...],
    memo: bool | None,
    delay: int | None,
    retries: int | None,
    timeout: int | None,
    priority: int | None,
) -> int:
    """Start a run of REPOSITORY/TARGET and wait for its result.

    Each ARG is JSON, or a string where it is not JSON; `name=ARG` binds by name. After `--` nothing
    is an option.
    """
    positional, named = read_arguments(arguments)
    if "/" not in target:
        raise click.UsageError(
            f"{target!r} names no target; write REPOSITORY/TARGET"
            " (`coflux manifests list` shows them)."
        )
    options: dict[str, Any] = {
        "requires": read_tags(requires) or None, "memo": memo, "delay_ms": delay,
        "retries": retries, "timeout_ms": timeout, "priority": priority,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    run = call.client.start(
        target, positional, named, options=given, idempotency_key=idempotency_key
    )
    if no_wait:
        if call.as_json:
            emit(run.submitted)
        else:
            click.echo(run.id)
        return 0
    return wait_for_run(run, as_json=call.as_json)
