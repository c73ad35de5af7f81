"""Standard streams, `logging` and stray questions inside an executor (LO-1).

Belongs here: what user code meets when it prints, logs or reads from a terminal. Does not belong
here: the agent's end of the pipes (`output`).
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, NoReturn

from coflux import host as hosts


class Capture:
    """Unbuffered streams on descriptors 1 and 2, and a handler that logs to the host."""

    def __init__(self) -> None:
        console = _console_handlers()
        root = logging.getLogger()
        for handler in console:
            root.removeHandler(handler)
        self._handler = _Handler()
        root.addHandler(self._handler)
        if root.level == logging.WARNING and not console:
            # Nobody has chosen a level: show what is meant for people.
            root.setLevel(logging.INFO)
        self._streams = (_stream(1), _stream(2))
        sys.stdout, sys.stderr = self._streams

    def begin(self, host: hosts.Host) -> None:
        """Serve an execution."""
        # An earlier one may have put something else there.
        sys.stdout, sys.stderr = self._streams
        self._handler.host = host

    def end(self) -> None:
        """The execution has ended."""
        self.flush()
        self._handler.host = None

    def flush(self) -> None:
        """Write out what user code put into streams of its own."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue


def forget() -> None:
    """In a child that user code forked: log to the stream, not to the parent's channel."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            handler.host = None


def _stream(descriptor: int) -> io.TextIOWrapper:
    # Unbuffered, so that what was printed before a kill is there.
    raw: Any = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        raw, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
    )


def _console_handlers() -> list[logging.Handler]:
    """Handlers that print to standard streams: with them each record would be there twice."""
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in consoles
    ]


class _Handler(logging.Handler):
    """Sends records to the running execution's log."""

    host: hosts.Host | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if self.host is None:
                sys.stderr.write(text + "\n")
            else:
                self.host.log(_level(record.levelno), text, {})
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


class NoInput(io.TextIOBase):
    """Standard input of an execution: there is nobody to ask."""

    def fileno(self) -> int:
        return 0

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> NoReturn:
        raise EOFError("an execution has no standard input; pass what it needs as arguments")

    def readline(self, size: int = -1, /) -> NoReturn:  # type: ignore[override]  # never returns
        self.read()


def no_breakpoint(*args: Any, **kwargs: Any) -> NoReturn:
    """What `breakpoint()` does in an execution."""
    raise RuntimeError(
        "breakpoint() has no terminal in an execution; open it with `coflux debug RUN:STEP`"
    )
