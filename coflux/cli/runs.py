"""`coflux runs`: looking at runs and acting on their steps.

Belongs here: the commands on what has been submitted. Does not belong here: submitting (`submit`),
logs (`logs`), and how runs are drawn (`tree`, `watch`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from coflux.cli.options import Duration, Invocation, common
from coflux.cli.output import emit, is_terminal, moment, note, status, table
from coflux.cli.watch import detached, exit_code, print_outcome

if TYPE_CHECKING:
    from coflux.client.execution import Execution


@click.group()
def runs() -> None:
    """Show, re-run and cancel runs."""


@runs.command("list")
@click.option("--target", metavar="REPOSITORY/TARGET", help="Only runs of this target.")
@click.option("--limit", type=click.IntRange(1, 1000), default=30, show_default=True, metavar="N",
              help="Show at most N.")  # fmt: skip
@click.option("--before", metavar="RUN", help="Only runs older than RUN.")
@click.option("--pinned", is_flag=True, help="Only runs that are pinned.")
@common
def list_(
    call: Invocation, target: str | None, limit: int, before: str | None, pinned: bool
) -> None:
    """List the environment's runs, newest first."""
    found = call.client.runs(target=target, limit=limit, before=before, pinned=pinned)
    if call.as_json:
        emit(found)
        return
    rows = (
        (r["run"], r["target"], status(r["status"]), moment(r["created_at"]), _pin(r))
        for r in found
    )
    which = "pinned run" if pinned else "run"
    columns = ("run", "target", "status", "created", "pinned")
    table(columns, rows, f"There is no {which} in this environment.")


def _pin(run: dict[str, Any]) -> str:
    return f"by {run['pinned']['by']}" if run.get("pinned") else ""


@runs.command()
@click.argument("id", metavar="RUN")
@common
def inspect(call: Invocation, id: str) -> None:
    """Show the steps of a run with their attempts."""
    body = call.client.inspect(id)
    if call.as_json:
        emit(body)
        return
    from rich.console import Console

    from coflux.cli.tree import draw
    from coflux.client.views import run_view

    # Without a terminal, rich would wrap at 80 columns.
    console = Console() if is_terminal() else Console(width=200)
    console.print(draw(run_view(body)))


@runs.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@click.option("--no-wait", is_flag=True, help="Do not wait for a result that is not there yet.")
@click.option("--timeout", type=Duration(), metavar="TIME", help="Wait at most this long.")
@common
def result(call: Invocation, id: str, no_wait: bool, timeout: int | None) -> int:
    """Print the result, waiting for it if need be."""
    limit = 0.0 if no_wait else None if timeout is None else timeout / 1000
    try:
        outcome = call.client.wait_outcome(id, limit)
    except TimeoutError:
        outcome = call.client.outcome(id)
    except KeyboardInterrupt:
        return detached(id)
    if call.as_json:
        emit(outcome.shown())
    elif outcome.kind is None:
        note(f"{id} has no result yet; it is {outcome.status}.")
    else:
        print_outcome(outcome)
    return 1 if outcome.kind is None else exit_code(outcome)


@runs.command()
@click.argument("id", metavar="RUN:STEP")
@click.option("--current", "code", flag_value="current", default="current",
              help="Run the code that is hosted now (the default).")  # fmt: skip
@click.option(
    "--original", "code", flag_value="original", help="Run the code of the attempt named."
)
@click.option("--reuse", is_flag=True, help="Take the values of equal calls of its last attempt.")
@click.option("--no-wait", is_flag=True, help="Print the execution's id and do not wait for it.")
@common
def rerun(call: Invocation, id: str, code: str, reuse: bool, no_wait: bool) -> int:
    """Run a step again with its saved arguments.

    --environment is the step's own environment (the default) or one that descends from it.
    """
    client = call.client
    execution = client.rerun(id, client.viewpoint, code, reuse)
    if no_wait:
        if call.as_json:
            emit(execution.submitted)
        else:
            click.echo(execution.id)
        return 0
    return _wait(call, execution)


def _wait(call: Invocation, execution: Execution) -> int:
    if not call.as_json:
        note(f"{execution.id} is queued; waiting for its result")
    try:
        outcome = call.client.wait_outcome(execution.id, environment=execution.environment)
    except KeyboardInterrupt:
        return detached(execution.id)
    if call.as_json:
        emit({**execution.submitted, "status": outcome.status, "result": outcome.shown()})
    else:
        print_outcome(outcome)
    return exit_code(outcome)


@runs.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@common
def cancel(call: Invocation, id: str) -> None:
    """Cancel a run, a step or an attempt, with all that runs for it.

    Without --environment, a run is cancelled in all of them.
    """
    ended = call.client.cancel(id, call.flags["environment"])
    if call.as_json:
        emit({"cancelled": ended})
    elif ended:
        click.echo(f"cancelled {', '.join(ended)}")
    else:
        click.echo("there was nothing left to cancel")


@runs.command()
@click.argument("id", metavar="RUN")
@common
def pin(call: Invocation, id: str) -> None:
    """Keep a run for ever.

    Nothing removes a pinned run.
    """
    mark = call.client.pin(id)
    if call.as_json:
        emit({"run": id, "pinned": mark})
    else:
        by = f" by {mark['by']}" if mark else ""
        click.echo(f"{id} is pinned{by}")


@runs.command()
@click.argument("id", metavar="RUN")
@common
def unpin(call: Invocation, id: str) -> None:
    """Let a run be like any other again."""
    call.client.unpin(id)
    if call.as_json:
        emit({"run": id, "pinned": None})
    else:
        click.echo(f"{id} is not pinned")


@runs.command("set-result")
@click.argument("id", metavar="RUN:STEP")
@click.option("--value", metavar="JSON", help="The value to give it.")
@click.option("--error", metavar="MESSAGE", help="The error to give it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is shown with the result.")
@common
def set_result(
    call: Invocation, id: str, value: str | None, error: str | None, reason: str
) -> None:
    """Give a step without a value a result by hand."""
    if (value is None) == (error is None):
        raise click.UsageError("Give either --value JSON or --error MESSAGE.")
    body: dict[str, Any] = {"reason": reason}
    if value is not None:
        body["value"] = _json(value)
    else:
        body["error"] = error
    execution = call.client.set_result(id, body, call.client.viewpoint)
    if call.as_json:
        emit(execution.submitted)
    else:
        click.echo(f"{execution.id} has the result now")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(
            f"--value is no JSON ({error}); text is written in quotes: '\"text\"'."
        ) from error
