"""The commands of `%coflux` about runs, their steps and their questions.

Belongs here: what each takes, does and shows. Does not belong here: commands about the notebook
itself (`commands`), larger pieces of work (`stepping`, `asking`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click

from coflux.client import Run
from coflux.client.execution import Execution
from coflux.errors import InvalidRequest
from coflux.jupyter import expressions
from coflux.jupyter.context import Context, find_step, find_target, pass_context
from coflux.jupyter.displays import StepView, page
from coflux.jupyter.notebook import warn
from coflux.jupyter.tables import Table
from coflux.target import Target

# --- runs -------------------------------------------------------------------------------------


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--idempotency-key", metavar="K", help="The same key gives the same run for a day.")
@click.argument("target")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_context
def run(
    context: Context, target: str, arguments: tuple[str, ...], idempotency_key: str | None
) -> Run:
    """Start a run of a workflow and show it; `_` is the run, and the cell returns at once.

    TARGET is a function of this notebook or a registered REPOSITORY/TARGET. Arguments are Python
    expressions, separated by spaces or commas, `name=value` for named ones:

        %coflux run report "Oslo" days=3
    """
    notebook = context.notebook
    found = find_target(context, target)
    values = expressions.evaluate(" ".join(arguments), context.shell.user_ns)
    for problem in notebook.synchronise() if isinstance(found, Target) else ():
        warn(problem)
    try:
        made: Run = notebook.client.start(
            found, values.positional, dict(values.named), idempotency_key=idempotency_key
        )
    except TypeError as error:
        raise InvalidRequest(str(error)) from None
    return made


@click.command()
@click.option("--target", metavar="REPOSITORY/TARGET", help="Only runs of this target.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@pass_context
def runs(context: Context, target: str | None, limit: int) -> Table:
    """List the environment's runs, newest first."""
    found = context.notebook.client.runs(target=target, limit=limit)
    rows = [
        (each["run"], each["target"], each["environment"], each["status"], _time(each))
        for each in found
    ]
    columns = ("run", "target", "environment", "status", "created")
    return Table(columns, rows, empty="There are no runs yet.")


def _time(run: dict[str, Any]) -> str:
    return datetime.fromtimestamp(run["created_at"] / 1000).strftime("%Y-%m-%d %H:%M:%S")


@click.command()
@click.argument("id", metavar="RUN[:STEP]")
@pass_context
def show(context: Context, id: str) -> Run | StepView:
    """Show a run, live while it goes on, or one of its steps with all details."""
    client = context.notebook.client
    number = id.partition(":")[0]
    view = client.view(number)
    if id == number:
        return client.run(number)
    step = find_step(view, id)
    return StepView(view, step, page(client, view.run, step.step.rpartition(":")[2]))


@click.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends, or you interrupt.")
@click.option("--level", metavar="L", help="debug, stdout, info, stderr, warning or error.")
@pass_context
def logs(context: Context, id: str, follow: bool, level: str | None) -> None:
    """Print what a run, step or attempt has logged and printed."""
    client = context.notebook.client
    cursor: str | None = None
    while True:
        is_over = not follow or client.outcome(id.partition(":")[0]).kind is not None
        entries, cursor = client.logs(id, after=cursor, level=level, wait_s=0.0 if is_over else 5.0)
        _print_logs(entries)
        if is_over and not entries:
            return


def _print_logs(entries: Iterable[dict[str, Any]]) -> None:
    for entry in entries:
        at = datetime.fromtimestamp(entry["at"] / 1000).strftime("%H:%M:%S")
        step = entry["execution"].partition(":")[2]
        colour = {"error": "\x1b[31m", "stderr": "\x1b[31m", "warning": "\x1b[33m"}
        begin = colour.get(entry["level"], "")
        end = "\x1b[0m" if begin else ""
        click.echo(f"\x1b[90m{at} :{step}\x1b[0m {begin}{entry['text']}{end}", color=True)


@click.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@pass_context
def cancel(context: Context, id: str) -> None:
    """Cancel a run, a step or an attempt, with all that runs for it."""
    ended = context.notebook.client.cancel(id)
    click.echo(f"Cancelled {', '.join(ended)}." if ended else "Nothing was left to cancel.")


@click.command()
@click.argument("id", metavar="RUN:STEP")
@click.option("--environment", "-e", metavar="E", help="Default: the environment worked in.")
@click.option(
    "--current", "code", flag_value="current", default="current", help="Code as it is now."
)
@click.option("--original", "code", flag_value="original", help="Code of the attempt before.")
@click.option("--reuse", is_flag=True, help="Equal calls that it makes take earlier outcomes.")
@pass_context
def rerun(context: Context, id: str, environment: str | None, code: str, reuse: bool) -> Execution:
    """Run a step again with its saved arguments, here or in the environment named.

    The code is this notebook's, if its repository and a target of it have the step's names.
    """
    notebook = context.notebook
    if notebook.agent is not None:
        for problem in notebook.synchronise():
            warn(problem)
    where = environment or notebook.client.viewpoint
    return notebook.client.rerun(id, where, code=code, reuse=reuse)


# --- questions to people ----------------------------------------------------------------------


@click.command()
@click.option("--all", "is_all", is_flag=True, help="Also those that have ended.")
@click.option("--run", metavar="RUN", help="Only those of this run.")
@pass_context
def inputs(context: Context, run: str | None, is_all: bool) -> Table:
    """List the questions that wait for an answer, newest first."""
    from coflux.jupyter.asking import list_inputs

    return list_inputs(context, run=run, is_all=is_all)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", metavar="INPUT ANSWER", nargs=-1, type=click.UNPROCESSED)
@pass_context
def respond(context: Context, words: tuple[str, ...]) -> None:
    """Answer a question; the first answer counts.

    INPUT is an id or an expression for one, ANSWER a Python expression:

        %coflux respond Rbcdfgh/i1 {"verdict": "pay", "amount": 40}
    """
    from coflux.jupyter import asking

    click.echo(f"Answered {asking.respond(context, words)}.")


@click.command()
@click.argument("word", metavar="INPUT", type=click.UNPROCESSED)
@pass_context
def dismiss(context: Context, word: str) -> None:
    """Refuse to answer a question; the code that waits for it gets InputDismissed."""
    from coflux.jupyter import asking

    click.echo(f"Dismissed {asking.dismiss(context, word)}.")


# --- a step's inside --------------------------------------------------------------------------


@click.command()
@click.argument("id", metavar="RUN:STEP")
@pass_context
def load(context: Context, id: str) -> None:
    """Make variables of a step's arguments, and `result` of its value."""
    from coflux.jupyter.stepping import load_step

    loaded = load_step(context, id)
    click.echo("Loaded: " + (", ".join(loaded) or "it has no arguments") + ".")


@click.command()
@click.argument("id", metavar="RUN:STEP")
@click.option("--from-start", is_flag=True, help="Stop at the first line, not at the error.")
@pass_context
def debug(context: Context, id: str, from_start: bool) -> None:
    """Run a step's function here with its real arguments, and stop where it fails.

    The arguments become variables. The function is this notebook's, if it has one of the step's
    name; else that of the step's module or notebook.
    """
    from coflux.jupyter.stepping import debug_step

    debug_step(context, id, from_start=from_start)


#: All of them.
COMMANDS = (run, runs, show, logs, cancel, rerun, inputs, respond, dismiss, load, debug)
