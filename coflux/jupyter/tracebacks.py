"""Errors as a cell shows them: short, coloured, the user's frames and none of ours.

Belongs here: what IPython prints for our exceptions. Does not belong here: what is raised when.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import IPython

from coflux.errors import CofluxError, ExecutionError
from coflux.jupyter.notebook import WaitInterrupted

#: Set on an error that a magic raises: the cell shows the message alone.
SHORT = "_coflux_short"

_RED, _GREEN, _CYAN, _BOLD, _END = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
_OURS = str(Path(__file__).resolve().parent.parent) + "/"
_SHELL = str(Path(str(IPython.__file__)).resolve().parent) + "/"
_CAUSES = 10
_SHOWN: tuple[type[BaseException], ...] = (CofluxError, WaitInterrupted)
#: IPython calls a method of this name, where an exception has one.
_HOOK = "_render_traceback_"


def install() -> None:
    """Let IPython show our errors this way; it asks the exception itself."""
    for kind in _SHOWN:
        setattr(kind, _HOOK, render)


def uninstall() -> None:
    """Let it show them as it shows others."""
    for kind in _SHOWN:
        if _HOOK in vars(kind):
            delattr(kind, _HOOK)


def render(error: BaseException) -> list[str]:
    """The lines of an error; with its causes unless it was raised by a magic."""
    if isinstance(error, WaitInterrupted) or getattr(error, SHORT, False):
        return [_headline(error)]
    lines: list[str] = []
    chain = list(_chain(error))
    for place, (each, link) in enumerate(reversed(chain)):
        lines += _frames(each)
        lines.append(_headline(each))
        if place < len(chain) - 1:
            lines += ["", link, ""]
    return lines


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The error and what caused it, outermost first, each with the words that lead on from it."""
    yield error, ""
    for _ in range(_CAUSES):
        if error.__cause__ is not None:
            error, words = error.__cause__, "The above exception led to this one:"
        elif error.__context__ is not None and not error.__suppress_context__:
            error, words = error.__context__, "While it was handled, this one occurred:"
        else:
            return
        yield error, words


def _headline(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, ExecutionError) and error.remote_type:
        name = error.remote_type.removeprefix("builtins.")
    if isinstance(error, WaitInterrupted):
        name = "KeyboardInterrupt"
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    return f"{_RED}{_BOLD}{name}{_END}: {error}{notes}"


def _frames(error: BaseException) -> list[str]:
    lines = []
    for file, line, function in _local(error.__traceback__):
        lines.append(_place(file, line, function, linecache.getline(file, line).strip()))
    if isinstance(error, ExecutionError):
        for file, line, function, source in error.remote_frames:
            lines.append(_place(file, line, function, source))
    return lines


def _local(traceback: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while traceback is not None:
        frame = traceback.tb_frame
        file = frame.f_code.co_filename
        is_remote = "__coflux_remote__" in frame.f_globals
        if not is_remote and not file.startswith((_OURS, _SHELL)) and _has_source(file):
            yield file, traceback.tb_lineno or 0, frame.f_code.co_name
        traceback = traceback.tb_next


def _has_source(file: str) -> bool:
    """Frames of the interpreter's own machinery (`<string>`, asyncio) say nothing to users."""
    return not file.startswith("<") and "/asyncio/" not in file and "/concurrent/" not in file


def _place(file: str, line: int, function: str, source: str) -> str:
    name = cell_name(file)
    where = f"{_GREEN}{name}{_END}, line {_GREEN}{line}{_END}"
    if function != "<module>":
        where += f", in {_CYAN}{function}{_END}"
    return f"{where}\n    {source}" if source else where


def cell_name(file: str) -> str:
    """A file as people know it: a cell by its number."""
    shell: Any = IPython.get_ipython()
    describe = getattr(getattr(shell, "compile", None), "format_code_name", None)
    named = describe(file) if describe is not None else None
    if named:
        return " ".join(str(part) for part in named)
    # Of another kernel: its cells have files in a temporary folder.
    return "A cell of another kernel" if "/ipykernel_" in file else f"File {file}"
