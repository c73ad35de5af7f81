"""The agent's end of an execution's output: bytes from pipes become numbered log entries (LO).

Belongs here: reading, cutting into lines, numbering, and the last lines for a crash report. Does
not belong here: keeping entries until they are delivered (`logs`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable

import msgspec

from coflux.agent import channel
from coflux.agent.control import Line
from coflux.agent.masking import Masks
from coflux.model import Level, Record

#: A line may be this long, in bytes; what is longer is split and marked.
LINE_LIMIT = 64 * 1024
#: Lines kept for a crash report.
LAST_LINES = 50
_LAST_LINE_LENGTH = 1000

_READ = 256 * 1024
#: How much one look at a pipe takes, so that a flood does not keep the agent from all else.
_AT_ONCE = 1024 * 1024
#: How much is taken from the pipe of a dead process: more than a pipe holds.
_AT_END = 64 * 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode
_NO_VALUES = msgspec.Raw(_encode({}))


class _Entry(Record):
    """`model.LogEntry` with its values as they came."""

    execution: str
    seq: int
    at: int
    level: Level
    template: str
    values: msgspec.Raw = _NO_VALUES
    partial: bool = False


class Journal:
    """The log of one execution, as it is written."""

    def __init__(self, execution: str, keep: Callable[[bytes], None], masks: Masks) -> None:
        #: What is hidden in all that is written.
        self.masks = masks
        self._execution = execution
        self._keep = keep
        self._seq = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def write(
        self,
        level: Level,
        text: str,
        *,
        at: int | None = None,
        values: msgspec.Raw = _NO_VALUES,
        partial: bool = False,
    ) -> None:
        """Number an entry and keep it."""
        self._seq += 1
        if self.masks:
            text = self.masks.text(text)
        if at is None:
            at = time.time_ns() // 1_000_000
        entry = _Entry(self._execution, self._seq, at, level, text, values, partial)
        self._last.append(text[:_LAST_LINE_LENGTH])
        self._keep(_encode(entry))

    def add(self, line: Line) -> None:
        """Number a structured entry and keep it."""
        self.write(line.level, line.template, at=line.at, values=line.values)

    def last_lines(self) -> tuple[str, ...]:
        """The newest lines, oldest first."""
        return tuple(self._last)


class Stream:
    """One captured stream of an executor: bytes become lines of the journal at hand.

    With a `secret`, marks stand among the bytes where structured lines belong, which come by
    another way.
    """

    def __init__(self, descriptor: int, level: Level, secret: bytes = b"") -> None:
        self.descriptor = descriptor
        self.journal: Journal | None = None
        self.is_at_end = False
        self._level: Level = level
        self._secret = secret
        #: Of a line whose end has not come.
        self._rest = b""
        #: Structured lines whose marks have not come.
        self._held: dict[int, Line] = {}
        #: After a mark whose structured line has not come.
        self._blocked: tuple[int, bytes] | None = None
        os.set_blocking(descriptor, False)

    def read(self, limit: int = _AT_ONCE) -> None:
        """Take what is there, up to `limit` bytes."""
        while limit > 0 and not self.is_at_end and self._blocked is None:
            try:
                data = os.read(self.descriptor, _READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.is_at_end = True
                return
            limit -= len(data)
            self._take(data)

    def finish(self) -> None:
        """The execution has ended: take all that is there, and its last line as it is."""
        self.read(_AT_END)
        while self._blocked is not None:
            # Its line never came; nor will it.
            _, data = self._blocked
            self._blocked = None
            self._take(data)
            self.read(_AT_END)
        if self._rest:
            self._write(self._rest)
            self._rest = b""
        for number in list(self._held):
            # Its mark never came: the code may have closed the stream.
            self._write_held(number)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.descriptor)
        self.is_at_end = True

    def hold(self, number: int, line: Line) -> None:
        """Keep a structured line until its mark comes."""
        self._held[number] = line
        if self._blocked is not None and self._blocked[0] == number:
            _, data = self._blocked
            self._blocked = None
            self._write_held(number)
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self._secret and (self._rest or self._secret in data or data[-1:] != b"\n"):
            self._take_marked(data)
        else:
            self._cut(data)

    def _take_marked(self, data: bytes) -> None:
        # The rest may hold the beginning of a mark.
        data, self._rest = self._rest + data, b""
        begin = data.find(self._secret)
        while begin >= 0:
            end = begin + len(self._secret) + channel.MARK_DIGITS
            if len(data) < end:
                break
            number = int(data[end - channel.MARK_DIGITS : end], 16)
            self._cut(data[:begin])
            if number not in self._held:
                self._blocked = (number, data[end:])
                return
            self._write_held(number)
            data, self._rest = self._rest + data[end:], b""
            begin = data.find(self._secret)
        self._cut(data)

    def _write_held(self, number: int) -> None:
        line = self._held.pop(number)
        if self.journal is not None:
            self.journal.add(line)

    def _cut(self, data: bytes) -> None:
        lines = (self._rest + data if self._rest else data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._write(line)
        if len(rest) >= 2 * LINE_LIMIT:
            rest = self._masked(rest)
        while len(rest) >= 2 * LINE_LIMIT:
            self._write(rest[:LINE_LIMIT], partial=True)
            rest = rest[LINE_LIMIT:]
        self._rest = rest

    def _write(self, line: bytes, partial: bool = False) -> None:
        if self.journal is None:
            # Written between two executions: nobody's.
            return
        if len(line) > LINE_LIMIT:
            line = self._masked(line)
        while len(line) > LINE_LIMIT:
            self.journal.write(self._level, _text(line[:LINE_LIMIT]), partial=True)
            line = line[LINE_LIMIT:]
        self.journal.write(self._level, _text(line), partial=partial)

    def _masked(self, line: bytes) -> bytes:
        """The line without secrets, one of which might lie where it is split."""
        if self.journal is None or not self.journal.masks:
            return line
        return self.journal.masks.data(line)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
