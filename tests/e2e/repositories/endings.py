"""Target functions that end in each way."""

from __future__ import annotations

import coflux as cf


@cf.workflow()
def works() -> str:
    return "done"


@cf.workflow()
def fails(message: str) -> None:
    raise KeyError(message)


@cf.workflow()
def outer() -> str:
    """A spawned run is not told of by itself."""
    try:
        fails("inner")
    except KeyError:
        return "caught"
    return "not caught"
