"""Target functions to look at under the debugger."""

from __future__ import annotations

import pdb
from pathlib import Path

import coflux as cf


@cf.task()
def divide(amount: int, by: int) -> float:
    """Fails for zero."""
    share = amount / by
    assert share is not None
    return share


@cf.task()
def earlier() -> int:
    return 40


@cf.task()
def uses(handle: cf.Execution[int], more: int = 2) -> int:
    """Takes a handle."""
    return handle.result() + more


@cf.workflow()
def split(amount: int, by: int) -> float:
    """Calls a task that fails, and sees its class."""
    try:
        return divide(amount, by)
    except cf.ExecutionError as error:
        if isinstance(error, ZeroDivisionError):
            raise
        return -1.0


@cf.workflow()
def handles() -> int:
    return uses(earlier.submit())


@cf.workflow()
def works() -> str:
    """Asks for what only an execution has."""
    Path("out.txt").write_text("made here")
    asset = cf.persist_asset("out.txt")
    Path("out.txt").unlink()
    with cf.group("parts"):
        parts = [divide.submit(n, 1) for n in cf.progress([1, 2])]
    cf.log_info("parts: {count}", count=len(parts))
    return f"{asset.restore().read_text()} {sum(part.result() for part in parts)}"


@cf.workflow()
def stops(how: str) -> None:
    """Meets a debugger, or asks."""
    if how == "breakpoint":
        breakpoint()
    elif how == "set_trace":
        pdb.set_trace()
    else:
        input("who? ")
