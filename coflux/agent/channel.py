"""Frames between the agent and one executor, over their private socket.

Belongs here: kinds of frames and their layout. Does not belong here: sockets, and what is done
with a frame. A body is msgpack that the agent passes on without decoding it.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<IBI")

# --- agent → executor ---------------------------------------------------------------------------

#: `wire.Execute`.
EXECUTE = 1
#: The answer of a `wire.Reply`; the key is the request's.
REPLY = 2
#: The executor shall end: nothing more comes.
RETIRE = 3
#: A `control.Given`; the key is that of the `SECRET` it answers.
SECRET_GIVEN = 4

# --- executor → agent ---------------------------------------------------------------------------

#: The executor can take work (spawned ones; the zygote speaks for forked ones).
READY = 16
#: A `wire.Request` with its key.
REQUEST = 17
#: A `wire` report that needs no answer.
NOTE = 18
#: A `Line`; the key is its number, which stands in the `mark` on stdout as well.
LOG = 19
#: A `model.Measurement`.
MEASUREMENT = 21
#: The name of a secret whose content is wanted.
SECRET = 22
#: What is to be told of the code's surroundings: UTF-8, for the log and for who runs the agent.
REMARK = 23
#: The `model.Result` of the execution; the key is 1 when it left child processes behind.
OUTCOME = 20


def pack(kind: int, key: int, body: bytes) -> bytes:
    """One frame; `key` is a number below 2**32."""
    return _HEADER.pack(len(body), kind, key) + body


#: Bytes of a mark's number.
MARK_DIGITS = 8


def mark(secret: bytes, number: int) -> bytes:
    """What an executor writes to its stdout where a line of the channel belongs.

    `secret` keeps user code from writing one by accident.
    """
    return b"%s%08x" % (secret, number & 0xFFFFFFFF)


class Parser:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """The frames (kind, key, body) that are complete with `data`."""
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        frames: list[tuple[int, int, bytes]] = []
        while end - position >= _HEADER.size:
            length, kind, key = _HEADER.unpack_from(buffer, position)
            stop = position + _HEADER.size + length
            if stop > end:
                break
            frames.append((kind, key, buffer[position + _HEADER.size : stop]))
            position = stop
        self._buffer = buffer[position:] if position < end else b""
        return frames
