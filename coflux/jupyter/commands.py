"""The commands of `%coflux`.

Belongs here: what each takes, does and shows. Does not belong here: the notebook's state
(`notebook`), how things look (`displays`, `tables`), larger pieces of work (`stepping`,
`exporting`, `forms`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from coflux.client import Run
from coflux.client.execution import Execution
from coflux.errors import InvalidRequest, NotFound
from coflux.jupyter import expressions
from coflux.jupyter.displays import StepView
from coflux.jupyter.notebook import Notebook, warn
from coflux.jupyter.tables import Table
from coflux.target import Target


@dataclass(frozen=True)
class Context:
    """What commands work with."""

    notebook: Notebook
    shell: Any


pass_context = click.make_pass_decorator(Context)


@click.group(
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def coflux() -> None:
    """Define workflows in cells, run them in other processes, watch them here."""


# --- connecting -------------------------------------------------------------------------------


@coflux.command()
@click.option("--host", metavar="H", help="Address of the server, as host:port or URL.")
@click.option("--project", "-p", metavar="P", help="Project; `default` if not given.")
@click.option("--environment", "-e", metavar="E", help="Environment; `default` if not given.")
@click.option("--token", metavar="T", help="Token; better in COFLUX_TOKEN than in a notebook.")
@click.option(
    "--repository", metavar="NAME", help="Repository of this notebook's targets; its file's name."
)
@click.option("--local", "is_local", is_flag=True, help="A server over ./.coflux, started here.")
@click.option("--no-agent", is_flag=True, help="Only as a client; runs wait for another agent.")
@pass_context
def connect(context: Context, /, is_local: bool, no_agent: bool, **given: str | None) -> None:
    """Connect to a server, and let this kernel run the notebook's targets.

    Without options: the Jupyter server's own Coflux, or another that runs on this machine.
    """
    notebook = context.notebook
    client = notebook.connect(is_local=is_local, **given)
    if no_agent:
        notebook.stop_agent()
    else:
        notebook.start_agent()
    click.echo(
        f"Connected to {client.host}, project {client.project}, environment"
        f" {client.environment}. This notebook is the repository {notebook.repository}."
    )


@coflux.command()
@pass_context
def status(context: Context) -> Table:
    """Show the connection, the agent, and the targets of this notebook."""
    notebook = context.notebook
    if not notebook.is_connected:
        return Table((), (), empty="Not connected; `%coflux connect` does that.")
    client, agent = notebook.client, notebook.agent
    rows: list[tuple[str, Any]] = [
        ("server", client.host),
        ("project", client.project),
        ("environment", client.environment),
        ("repository", notebook.repository),
    ]
    if agent is None or not agent.is_alive:
        rows.append(("agent", "not running; `%coflux agent start` starts it"))
    else:
        session = agent.wait_ready(10.0)
        rows.append(("agent", f"session {session}, pid {agent.pid}, {agent.concurrency} at once"))
    for name, target in sorted(notebook.namespace.targets().items()):
        rows.append((target.type, name))
    return Table(("", ""), rows)


@coflux.group()
def agent() -> None:
    """Start or stop the agent of this kernel."""


@agent.command("start")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Executions at once.")
@pass_context
def agent_start(context: Context, concurrency: int | None) -> None:
    """Let this kernel run the notebook's targets."""
    found = context.notebook.start_agent(concurrency)
    session = found.wait_ready(15.0)
    click.echo(f"The agent runs: session {session}, {found.concurrency} executions at once.")


@agent.command("stop")
@pass_context
def agent_stop(context: Context) -> None:
    """End it; what it runs is abandoned, what is queued waits for another agent."""
    was_there = context.notebook.agent is not None
    context.notebook.stop_agent()
    click.echo("The agent has ended." if was_there else "No agent was running.")


@coflux.command()
@pass_context
def register(context: Context) -> None:
    """Register the workflows and sensors of this notebook now."""
    for problem in context.notebook.synchronise():
        raise InvalidRequest(problem)
    targets = context.notebook.namespace.targets().items()
    names = sorted(key for key, target in targets if target.type != "task")
    click.echo(f"Registered: {', '.join(names) or 'nothing (there are no workflows)'}.")


# --- runs -------------------------------------------------------------------------------------


@coflux.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
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


def find_target(context: Context, name: str) -> Target[Any, Any] | str:
    """A target of the notebook, or the name of a registered one; raises `NotFound`."""
    if "/" in name:
        return name
    found = context.notebook.namespace.target(name)
    if found is not None:
        return found
    if name in context.shell.user_ns:
        raise InvalidRequest(
            f"{name} is a {type(context.shell.user_ns[name]).__name__}, no workflow or task;"
            " decorate it with @cf.workflow"
        )
    import difflib

    names = [n for n in context.shell.user_ns if context.notebook.namespace.target(n) is not None]
    nearest = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else "define it in a cell, or name a"
    more = "" if nearest else " registered one as REPOSITORY/TARGET"
    raise NotFound(f"there is no target {name!r} in this notebook; {hint}{more}")


@coflux.command()
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


@coflux.command()
@click.argument("id", metavar="RUN[:STEP]")
@pass_context
def show(context: Context, id: str) -> Run | StepView:
    """Show a run, live while it goes on, or one of its steps with all details."""
    client = context.notebook.client
    number = id.partition(":")[0]
    view = client.view(number)
    if id == number:
        return client.run(number)
    return StepView(view, find_step(view, id), client.host)


def find_step(view: Any, id: str) -> Any:
    """The step of a run with this id (`RUN:STEP`, or an attempt's); raises `NotFound`."""
    wanted = ":".join(id.split(":")[:2])
    for step in view.steps:
        if step.step == wanted:
            return step
    raise NotFound(f"run {view.run} has no step {wanted}; it has {len(view.steps)} steps")


@coflux.command()
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


@coflux.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@pass_context
def cancel(context: Context, id: str) -> None:
    """Cancel a run, a step or an attempt, with all that runs for it."""
    ended = context.notebook.client.cancel(id)
    click.echo(f"Cancelled {', '.join(ended)}." if ended else "Nothing was left to cancel.")


@coflux.command()
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


@coflux.command()
@click.option("--all", "is_all", is_flag=True, help="Also those that have ended.")
@click.option("--run", metavar="RUN", help="Only those of this run.")
@pass_context
def inputs(context: Context, run: str | None, is_all: bool) -> Table:
    """List the questions that wait for an answer, newest first."""
    from coflux.jupyter.asking import list_inputs

    return list_inputs(context, run=run, is_all=is_all)


@coflux.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", metavar="INPUT ANSWER", nargs=-1, type=click.UNPROCESSED)
@pass_context
def respond(context: Context, words: tuple[str, ...]) -> None:
    """Answer a question; the first answer counts.

    INPUT is an id or an expression for one, ANSWER a Python expression:

        %coflux respond Rbcdfgh/i1 {"verdict": "pay", "amount": 40}
    """
    from coflux.jupyter import asking

    click.echo(f"Answered {asking.respond(context, words)}.")


@coflux.command()
@click.argument("word", metavar="INPUT", type=click.UNPROCESSED)
@pass_context
def dismiss(context: Context, word: str) -> None:
    """Refuse to answer a question; the code that waits for it gets InputDismissed."""
    from coflux.jupyter import asking

    click.echo(f"Dismissed {asking.dismiss(context, word)}.")


# --- environments -----------------------------------------------------------------------------


@coflux.group()
def env() -> None:
    """List, create and choose environments."""


@env.command("list")
@pass_context
def env_list(context: Context) -> Table:
    """List the environments of the project."""
    client = context.notebook.client
    rows = [
        (
            "→" if each["name"] == client.environment else "",
            each["name"],
            each["base"],
            each["state"],
        )
        for each in client.environments.list()
    ]
    return Table(("", "name", "base", "state"), rows)


@env.command("create")
@click.argument("name")
@click.option("--base", metavar="B", help="Environment that it inherits from.")
@pass_context
def env_create(context: Context, name: str, base: str | None) -> None:
    """Create an environment."""
    created = context.notebook.client.environments.create(name, base)
    click.echo(f"Created {created['name']}" + (f", based on {base}." if base else "."))


@env.command("use")
@click.argument("name")
@pass_context
def env_use(context: Context, name: str) -> None:
    """Work in an environment from now on, with client and agent."""
    context.notebook.use_environment(name)
    click.echo(f"This notebook works in {name} now.")


# --- a step's inside --------------------------------------------------------------------------


@coflux.command()
@click.argument("id", metavar="RUN:STEP")
@pass_context
def load(context: Context, id: str) -> None:
    """Make variables of a step's arguments, and `result` of its value."""
    from coflux.jupyter.stepping import load_step

    loaded = load_step(context, id)
    click.echo("Loaded: " + (", ".join(loaded) or "it has no arguments") + ".")


@coflux.command()
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


@coflux.command(context_settings={"ignore_unknown_options": True})
@click.argument("target")
@pass_context
def form(context: Context, target: str) -> Any:
    """Show a form for a target's arguments, with a button that runs it."""
    from coflux.jupyter.forms import make_form

    return make_form(context, find_target(context, target))


@coflux.command()
@click.argument("path", metavar="PATH.py")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@pass_context
def export(context: Context, path: str, force: bool) -> None:
    """Write the notebook's targets as a module: same repository, targets and options."""
    from coflux.jupyter.exporting import export_module

    names = export_module(context.notebook, path, force=force)
    click.echo(f"Wrote {path}: {', '.join(names)}.")
