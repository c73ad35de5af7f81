"""`coflux debug`: a step again, in the foreground, under the debugger.

Belongs here: finding the step's function, calling it, and the debugger where it fails. Does not
belong here: what the function may ask for meanwhile (`foreground`).
"""

from __future__ import annotations

import pdb
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, note
from coflux.client.transport import segment

if TYPE_CHECKING:
    from coflux.agent.loader import Loaded
    from coflux.target import Target


@click.command()
@click.argument("id", metavar="RUN:STEP[:ATTEMPT]")
@click.option("--code", "code", multiple=True, metavar="REPOSITORY",
              help="Where the code is: a module or FILE.py (repeatable; default: the step's own"
                   " repository, in the working directory).")  # fmt: skip
@click.option("--from-start", is_flag=True, help="Stop at the function's first line.")
@click.option("--no-post-mortem", is_flag=True, help="Print the traceback and end.")
@common
def debug(
    call: Invocation, id: str, code: tuple[str, ...], from_start: bool, no_post_mortem: bool
) -> int:
    """Run a step in the foreground with its saved arguments, and look at it where it fails.

    All that it calls runs here as well, as plain functions; nothing is recorded. `breakpoint()`
    works. Handles among the arguments lead to what earlier executions ended with.
    """
    from coflux.cli.foreground import Foreground, Suspended

    client = call.client
    about = client.request("GET", f"/arguments/{segment(id)}", query=_viewpoint(call))
    repository, _, name = str(about["target"]).rpartition("/")
    loaded = _load(repository, code)
    target = _find(loaded, repository, name)
    _compare(call, id, target)
    bound = client.arguments(id, target.__signature__)
    bound.apply_defaults()
    note(f"{id} {about['target']}, in the foreground")
    with Foreground(id, target, client, loaded.targets) as host:
        try:
            if from_start:
                value = pdb.runcall(target.__wrapped__, *bound.args, **bound.kwargs)
            else:
                value = host.run(target, bound.args, bound.kwargs)
        except (Suspended, click.Abort) as stop:
            note(f"{stop}.")
            return 0
        except Exception as error:  # noqa: BLE001 - whatever the function raises is looked at
            _show(error)
            if not no_post_mortem:
                note("The debugger is at the place of the error; `q` ends it, `h` helps.")
                pdb.post_mortem(_own(error))
            return 1
    if call.as_json:
        emit({"value": repr(value)})
    else:
        click.echo(f"returned {value!r}")
    return 0


def _viewpoint(call: Invocation) -> dict[str, str | None]:
    return {"environment": call.client.viewpoint}


def _load(repository: str, code: tuple[str, ...]) -> Loaded:
    from coflux.cli.repositories import load_all

    if code:
        return load_all(code)
    file = Path(f"{repository}.py")
    return load_all([str(file) if file.is_file() else repository])


def _find(loaded: Loaded, repository: str, name: str) -> Target[Any, Any]:
    found = loaded.targets.get(repository, {}).get(name)
    if found is None:
        raise click.UsageError(
            f"{repository}/{name} is not in the code here; name the module or FILE.py that has it"
            " with --code."
        )
    return found


def _compare(call: Invocation, id: str, target: Target[Any, Any]) -> None:
    """Say so when the step ran other code than what is here."""
    step = call.client.request("GET", f"/steps/{segment(id)}", query=_viewpoint(call))
    codes = {number: each.get("code") for number, each in step["executions"].items()}
    _, _, attempt = id.partition(":")[2].partition(":")
    ran = codes.get(attempt) or next((code for code in reversed(codes.values()) if code), None)
    if ran is not None and ran != target.code():
        note(f"{id} ran other code ({ran[:8]}) than what is here ({target.code()[:8]}).")


def _show(error: BaseException) -> None:
    lines = traceback.format_exception(type(error), error, _own(error))
    sys.stderr.write("".join(lines))


def _own(error: BaseException) -> TracebackType | None:
    """The traceback from the user's first frame on."""
    step = error.__traceback__
    package = str(Path(__file__).parents[1])
    while step is not None and step.tb_frame.f_code.co_filename.startswith(package):
        step = step.tb_next
    return step or error.__traceback__
