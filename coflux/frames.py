"""WebSocket frames (RFC 6455), as both ends of an agent's connection write and read them.

Belongs here: the layout of frames, and which are malformed. Does not belong here: sockets, signs of
life, what a message means (`wire`).
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: Close codes (section 7.4.1).
NORMAL, PROTOCOL_ERROR, POLICY_VIOLATION, TOO_BIG = 1000, 1002, 1008, 1009
#: Where nobody on the way could mistake the content for something else.
NO_MASK = b"\0\0\0\0"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80
#: Bytes of a control frame's content.
_CONTROL = 125


class Malformed(Exception):
    """What came is no frame that may come here; `code` is the close code that says so."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def accepted(key: str) -> str:
    """The answer to a handshake's key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()


def new_mask() -> bytes:
    """Four random bytes, for what a client sends over a network (section 5.3)."""
    return os.urandom(4)


def pack(opcode: int, content: bytes, mask: bytes | None = None) -> bytes:
    """One frame; those of a client have a mask."""
    size, flag = len(content), 0 if mask is None else _MASKED
    if size < 126:
        head = struct.pack("!BB", _FIN | opcode, flag | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _FIN | opcode, flag | 126, size)
    else:
        head = struct.pack("!BBQ", _FIN | opcode, flag | 127, size)
    return head + content if mask is None else b"".join((head, mask, masked(content, mask)))


def masked(content: bytes, mask: bytes) -> bytes:
    """The content with a mask on it, or without it when it had one."""
    if mask == NO_MASK:
        return content
    size = len(content)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(content, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def closing(code: int, reason: str = "") -> bytes:
    """The content of a close frame."""
    cut = reason.encode()[: _CONTROL - 2].decode(errors="ignore")
    return struct.pack("!H", code) + cut.encode()


class Parser:
    """Cuts a stream of bytes into messages and control frames."""

    def __init__(self, *, are_masked: bool, limit: int) -> None:
        """`limit` is the most bytes of a message."""
        self._are_masked = are_masked
        self._limit = limit
        self._buffer = b""
        self._opcode = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Opcode and content of what is complete with `data`. Raises `Malformed`."""
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        found: list[tuple[int, bytes]] = []
        while end - position >= 2:
            first, second = buffer[position], buffer[position + 1]
            begin, size = position + 2, second & 0x7F
            if size == 126:
                begin += 2
                if begin > end:
                    break
                (size,) = struct.unpack_from("!H", buffer, position + 2)
            elif size == 127:
                begin += 8
                if begin > end:
                    break
                (size,) = struct.unpack_from("!Q", buffer, position + 2)
            self._check(first, second, size)
            mask = NO_MASK
            if self._are_masked:
                begin += 4
                mask = buffer[begin - 4 : begin]
            if begin + size > end:
                break
            position = begin + size
            self._take(first, masked(buffer[begin:position], mask), found)
        self._buffer = buffer[position:] if position < end else b""
        return found

    def _check(self, first: int, second: int, size: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED:
            raise Malformed(PROTOCOL_ERROR, "reserved bits are set")
        if bool(second & _MASKED) != self._are_masked:
            raise Malformed(PROTOCOL_ERROR, "masks are for what clients send")
        if opcode >= CLOSE:
            if opcode > PONG or size > _CONTROL or not first & _FIN:
                raise Malformed(PROTOCOL_ERROR, "no such control frame")
        elif opcode > BINARY or (opcode == CONTINUATION) != bool(self._parts):
            raise Malformed(PROTOCOL_ERROR, "frames in the wrong order")
        if size + sum(map(len, self._parts)) > self._limit:
            raise Malformed(TOO_BIG, f"longer than {self._limit} bytes")

    def _take(self, first: int, content: bytes, found: list[tuple[int, bytes]]) -> None:
        opcode = first & 0x0F
        if opcode >= CLOSE or (first & _FIN and not self._parts):
            found.append((opcode, content))
            return
        self._opcode = opcode or self._opcode
        self._parts.append(content)
        if first & _FIN:
            found.append((self._opcode, b"".join(self._parts)))
            self._parts = []
