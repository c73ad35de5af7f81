"""Long work on the loop, with chances for other work in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Things between two chances.
PORTION = 200


async def bit_by_bit(things: Iterable[T]) -> AsyncIterator[T]:
    """The same things; whoever uses them lets others work after each portion."""
    for count, thing in enumerate(things):
        if count % PORTION == PORTION - 1:
            await asyncio.sleep(0)
        yield thing
