"""What the agent owes the server: numbered messages until acknowledged, requests until answered.

Belongs here: numbers, order, what to send again after a reconnect (SE-4, SU-10). Does not belong
here: sockets, and the disk (`spool`). Messages are encoded already and are not looked into.
"""

from __future__ import annotations

from collections import deque

import msgspec

from coflux.model import Record

_encode = msgspec.msgpack.Encoder().encode


class _Numbered(Record, tag="n"):
    """`wire.Numbered` with a message that is encoded already."""

    number: int
    message: msgspec.Raw


class Outbox:
    """The messages of one session and incarnation."""

    def __init__(self) -> None:
        self._number = 0
        self._unacknowledged: deque[tuple[int, bytes]] = deque()
        self._unsent: list[bytes] = []
        #: Requests without an answer: execution → key → (number, message).
        self._requests: dict[str, dict[int, tuple[int, bytes]]] = {}
        self._size = 0

    @property
    def unacknowledged_bytes(self) -> int:
        """Size of what has not been acknowledged."""
        return self._size

    @property
    def is_empty(self) -> bool:
        """Everything has been acknowledged."""
        return not self._unacknowledged

    def add(self, message: bytes) -> int:
        """Number a message, to be sent with the next frame; returns its number."""
        self._number += 1
        numbered = _encode(_Numbered(self._number, msgspec.Raw(message)))
        self._unacknowledged.append((self._number, numbered))
        self._size += len(numbered)
        self._unsent.append(numbered)
        return self._number

    def add_request(self, execution: str, key: int, message: bytes) -> None:
        """As `add`, for a request that waits for an answer."""
        self._requests.setdefault(execution, {})[key] = (self.add(message), message)

    def is_awaited(self, execution: str, key: int) -> bool:
        """Take note of an answer; False if it has arrived before or nobody waits for it."""
        requests = self._requests.get(execution)
        return requests is not None and requests.pop(key, None) is not None

    def forget(self, execution: str) -> None:
        """The execution is over; its requests need no answers."""
        self._requests.pop(execution, None)

    def acknowledge(self, number: int) -> None:
        """Everything up to `number` is on the server's disk."""
        waiting = self._unacknowledged
        while waiting and waiting[0][0] <= number:
            self._size -= len(waiting.popleft()[1])

    def take(self) -> list[bytes]:
        """What has not been sent on this connection."""
        taken, self._unsent = self._unsent, []
        return taken

    def restart(self) -> None:
        """A new connection: all that is not acknowledged or not answered is to be sent again."""
        oldest = self._unacknowledged[0][0] if self._unacknowledged else self._number + 1
        self._unsent = [numbered for _, numbered in self._unacknowledged]
        for requests in self._requests.values():
            for key, (number, message) in requests.items():
                if number < oldest:
                    # Acknowledged, but its answer was lost: asked again, under a new number.
                    requests[key] = (self.add(message), message)
