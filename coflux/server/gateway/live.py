"""Connections that are open, and whose they are, so that a revoked or expired token ends them.

Belongs here: keeping and closing them (AU-3: within 5 s). Does not belong here: their bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from coflux.server.gateway.identity import Identity


@dataclass(frozen=True, eq=False)
class _Connection:
    identity: Identity
    close: Callable[[], None]


class LiveConnections:
    """The open connections of all callers. `now` gives the time in ms."""

    #: Seconds between two looks for expired tokens.
    SWEEP = 1.0

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._open: dict[_Connection, None] = {}

    @contextmanager
    def track(self, identity: Identity, close: Callable[[], None]) -> Iterator[None]:
        """Within the block, `close` is called as soon as the caller's token ends."""
        connection = _Connection(identity, close)
        self._open[connection] = None
        try:
            yield
        finally:
            self._open.pop(connection, None)

    def close_of(self, id: str) -> None:
        """Close the connections of the token with this id."""
        self._close(lambda connection: connection.identity.id == id)

    def close_all(self) -> None:
        """Close all."""
        self._close(lambda connection: True)

    def _close(self, wanted: Callable[[_Connection], bool]) -> None:
        for connection in [c for c in self._open if wanted(c)]:
            self._open.pop(connection, None)
            connection.close()

    async def sweep(self) -> None:
        """Close connections whose token has expired, for ever."""
        while True:
            await asyncio.sleep(self.SWEEP)
            self._close(self._has_expired)

    def _has_expired(self, connection: _Connection) -> bool:
        expires_at = connection.identity.expires_at
        return expires_at is not None and expires_at <= self._now()
