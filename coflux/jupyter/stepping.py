"""A step's inside in the notebook: its arguments as variables, its function under the debugger.

Belongs here: finding the function that a step ran, and calling it here. Does not belong here:
running it again as a step (`commands.rerun`).
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coflux.errors import CofluxError, NotFound
from coflux.jupyter.notebook import NotebookClient, warn
from coflux.target import Target, run_coroutine

if TYPE_CHECKING:
    from coflux.jupyter.context import Context


def load_step(context: Context, id: str) -> list[str]:
    """Put a step's arguments, and its result if it has a value, into the shell's namespace.

    Gives the names.
    """
    bound, _ = _arguments(context, id)
    names = dict(bound.arguments)
    outcome = context.notebook.client.outcome(id)
    if outcome.kind == "value":
        names["result"] = context.notebook.client.wait(id, 0)
    context.shell.user_ns.update(names)
    return list(names)


def debug_step(context: Context, id: str, *, from_start: bool = False) -> None:
    """Call a step's function with its arguments, and debug it where it fails."""
    bound, target = _arguments(context, id)
    if target is None:
        raise NotFound(
            f"the function of {id} is neither in this notebook nor can its module be imported"
            " here; define it in a cell, in a notebook connected with"
            " `--repository` of its repository"
        )
    context.shell.user_ns.update(bound.arguments)
    client = context.notebook.client
    with _stepping(client):
        if from_start:
            _debug_from_start(context, target, bound)
        else:
            _debug_failure(context, target, bound)


def _debug_failure(
    context: Context, target: Target[Any, Any], bound: inspect.BoundArguments
) -> None:
    try:
        result = _call(target, bound)
    except Exception as error:  # noqa: BLE001 - whatever the function raises is looked at
        _post_mortem(context, error)
        return
    context.shell.user_ns["result"] = result
    sys.stdout.write(f"{target.name} returned {result!r}; it is in `result`.\n")


def _post_mortem(context: Context, error: Exception) -> None:
    shell = context.shell
    traceback = error.__traceback__
    # Not our own frames, which called it.
    while traceback is not None and _is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    shell.showtraceback((type(error), error, traceback))
    if _has_prompt(shell):
        shell.debugger(force=True)
    else:
        warn("here is nobody to ask for the debugger's commands; the arguments are variables now")


def _debug_from_start(
    context: Context, target: Target[Any, Any], bound: inspect.BoundArguments
) -> None:
    from IPython.core.debugger import Pdb

    if not _has_prompt(context.shell):
        warn("here is nobody to ask for the debugger's commands; the arguments are variables now")
        return
    debugger: Any = Pdb()
    context.shell.user_ns["result"] = debugger.runcall(
        target.__wrapped__, *bound.args, **bound.kwargs
    )


def _has_prompt(shell: Any) -> bool:
    kernel = getattr(shell, "kernel", None)
    return kernel is None or bool(getattr(kernel, "_allow_stdin", False))


def _is_ours(file: str) -> bool:
    return "/coflux/jupyter/" in file or file.endswith("/coflux/target.py")


@contextmanager
def _stepping(client: NotebookClient) -> Iterator[None]:
    client.is_stepping = True
    try:
        yield
    finally:
        client.is_stepping = False


def _call(target: Target[Any, Any], bound: inspect.BoundArguments) -> Any:
    function = target.__wrapped__
    if inspect.iscoroutinefunction(function):
        return run_coroutine(function, bound.args, bound.kwargs)
    return function(*bound.args, **bound.kwargs)


# --- what a step ran --------------------------------------------------------------------------


def _arguments(context: Context, id: str) -> tuple[inspect.BoundArguments, Target[Any, Any] | None]:
    """A step's arguments bound to its function's signature, and the function if it can be had."""
    client = context.notebook.client
    view = client.view(id.partition(":")[0])
    from coflux.jupyter.context import find_step

    step = find_step(view, id if ":" in id else f"{id}:1")
    target = find_function(context, step.target)
    signature = inspect.signature(target.__wrapped__) if target is not None else None
    bound = client.arguments(step.step, signature)
    if signature is not None:
        bound.apply_defaults()
    return bound, target


def find_function(context: Context, name: str) -> Target[Any, Any] | None:
    """The target `repository/target` as this notebook has it, else its module, else its pickle."""
    found = context.notebook.namespace.targets().get(name)
    if found is not None:
        return found
    repository, _, target = name.rpartition("/")
    for find in (_imported, _unpickled):
        made = find(context, repository, target)
        if made is not None:
            return made
    return None


def _imported(context: Context, repository: str, name: str) -> Target[Any, Any] | None:
    try:
        module = importlib.import_module(repository)
    except Exception:  # noqa: BLE001 - importing runs a stranger's code
        return None
    for value in vars(module).values():
        if isinstance(value, Target) and value.name == name and not value.is_stub:
            return value
    return None


def _unpickled(context: Context, repository: str, name: str) -> Target[Any, Any] | None:
    from coflux import pickled

    client = context.notebook.client
    manifest = client.manifests().get(repository) or {}
    for definition in manifest.get("targets", ()):
        if definition["name"] == name and definition.get("pickle"):
            try:
                return pickled.load(client.blobs.read(definition["pickle"]))
            except CofluxError as error:
                warn(str(error))
    return None
