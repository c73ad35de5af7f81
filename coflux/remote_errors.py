"""Exceptions that cross processes: a raised one becomes a record, and the record one to raise (ER).

Belongs here: both directions, and what a waiter raises for each kind of result. Does not belong
here: who sends records, and the tree of our own exceptions (`errors`).
"""

from __future__ import annotations

import hashlib
import importlib
import linecache
import os
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

from coflux import errors, model

#: Longest message kept in the record; the rest goes where `store` puts it (section 32).
MESSAGE_LIMIT = 16 * 1024
#: Frames kept at each end of a long traceback.
FRAMES_KEPT = 50
_CAUSES_KEPT = 20
_LINE_LIMIT = 1000

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Not by importing it: executors are forked with what is imported, and each page of it costs.
_ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep
_MARK = "__coflux_remote__"


# --- exception -> record ----------------------------------------------------------------------


def describe(
    error: BaseException, store: Callable[[bytes], str] | None = None, depth: int = 0
) -> model.Error:
    """The record of an exception, with its frames, notes and causes.

    `store` takes the whole text of an over-long message and returns the name to find it by.
    """
    cause, is_context = error.__cause__, False
    if cause is None and not error.__suppress_context__:
        cause, is_context = error.__context__, True
    if cause is error or depth >= _CAUSES_KEPT:
        cause = None
    return model.Error(
        type=_type_name(error),
        message=_message(error, store),
        frames=_frames(error),
        notes=tuple(str(note) for note in getattr(error, "__notes__", ())),
        cause=None if cause is None else describe(cause, store, depth + 1),
        context=cause is not None and is_context,
    )


def _type_name(error: BaseException) -> str:
    if isinstance(error, errors.ExecutionError) and error.remote_type:
        return error.remote_type
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException, store: Callable[[bytes], str] | None) -> str:
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - a user's __str__ may do anything
        text = f"<its message could not be made: {type(failure).__name__}>"
    # Lone surrogates cannot travel as UTF-8.
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= MESSAGE_LIMIT:
        return data.decode()
    where = f" in blob {store(data)}" if store else f", SHA-256 {hashlib.sha256(data).hexdigest()}"
    kept = data[: MESSAGE_LIMIT - 200].decode("utf-8", "ignore")
    return f"{kept}… ({len(data):,} bytes{where})"


def _frames(error: BaseException) -> tuple[model.Frame, ...]:
    frames: list[model.Frame] = []
    traceback = error.__traceback__
    while traceback is not None and _MARK not in traceback.tb_frame.f_globals:
        frames.append(_frame(traceback))
        traceback = traceback.tb_next
    begin = 0
    while begin < len(frames) and frames[begin].file.startswith((_OWN, _ASYNCIO)):
        begin += 1
    mine = [frame for frame in frames[begin:] if not frame.file.startswith(_OWN)]
    if isinstance(error, errors.ExecutionError):
        mine += [model.Frame(*frame) for frame in error.remote_frames]
    if len(mine) > 2 * FRAMES_KEPT:
        mine = mine[:FRAMES_KEPT] + mine[-FRAMES_KEPT:]
    return tuple(mine)


def _frame(traceback: types.TracebackType) -> model.Frame:
    code, line = traceback.tb_frame.f_code, traceback.tb_lineno or 0
    source = linecache.getline(code.co_filename, line, traceback.tb_frame.f_globals).strip()
    return model.Frame(code.co_filename, line, code.co_name, _clean(source[:_LINE_LIMIT]))


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# --- record -> exception ----------------------------------------------------------------------


def revive(record: model.Error) -> errors.ExecutionError:
    """The exception to raise for an error of another process.

    It is an `ExecutionError` and, where the class can be imported here, one of that class too.
    """
    try:
        error = _instance(_remote_class(record.type), record.message)
    except Exception:  # noqa: BLE001 - whatever a user's class does, one failure is enough
        error = _instance(errors.ExecutionError, record.message)
    error.remote_type = record.type
    error.remote_frames = tuple((f.file, f.line, f.function, f.source) for f in record.frames)
    error.fields = {}
    if record.notes:
        vars(error)["__notes__"] = list(record.notes)
    if record.cause is not None:
        if record.context:
            error.__context__ = revive(record.cause)
        else:
            error.__cause__ = revive(record.cause)
    return error.with_traceback(_traceback(record.frames))


def _remote_class(name: str) -> type[errors.ExecutionError]:
    remote = _find(name)
    if remote is None or issubclass(errors.ExecutionError, remote):
        return errors.ExecutionError
    return _subclass(remote)


def _find(name: str) -> type[BaseException] | None:
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = _module(".".join(parts[:cut]))
        if module is None:
            continue
        found: Any = module
        for part in parts[cut:]:
            found = getattr(found, part, None)
        # Classes that are no Exception steer control flow (SystemExit, CancelledError …): raised
        # by the caller's `result()` they would end the caller.
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        return None
    return None


def _module(name: str) -> types.ModuleType | None:
    if (loaded := sys.modules.get(name)) is not None:
        return loaded
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - importing runs a stranger's code
        return None


def _subclass(remote: type[BaseException]) -> type[errors.ExecutionError]:
    known = _subclasses.get(remote)
    if known is None:
        body = {
            "__module__": remote.__module__,
            "__qualname__": remote.__qualname__,
            "__doc__": remote.__doc__,
            "__reduce__": _reduce,
            "__str__": errors.ExecutionError.__str__,
        }
        known = type(remote.__name__, (errors.ExecutionError, remote), body)
        _subclasses[remote] = known
    return known


_subclasses: dict[type[BaseException], type[errors.ExecutionError]] = {}


def _instance(kind: type[errors.ExecutionError], message: str) -> errors.ExecutionError:
    # The constructors of the remote class want arguments that are not known here; only the
    # built-in class below all of them makes the object.
    base: Any = next(c for c in kind.__mro__ if c.__flags__ & _HEAP_TYPE == 0)
    error: errors.ExecutionError = base.__new__(kind, message)
    error.args = (message,)
    return error


_HEAP_TYPE = 1 << 9


def _reduce(error: errors.ExecutionError) -> tuple[Any, ...]:
    return revive, (describe(error.with_traceback(None)),)


def _traceback(frames: tuple[model.Frame, ...]) -> types.TracebackType | None:
    """A traceback that shows the remote frames as if they were local ones."""
    traceback = None
    for frame in reversed(frames):
        try:
            real = _fake_frame(frame)
        except (ValueError, TypeError, SyntaxError, OverflowError):
            continue
        traceback = types.TracebackType(traceback, real, -1, max(frame.line, 1))
    return traceback


def _fake_frame(frame: model.Frame) -> types.FrameType:
    code = _RAISE.replace(
        co_name=frame.function, co_filename=frame.file, co_firstlineno=max(frame.line, 1)
    )
    try:
        exec(code, {_MARK: True, "__name__": frame.function, "__file__": frame.file})
    except ZeroDivisionError as error:
        traceback = error.__traceback__
        assert traceback is not None
        assert traceback.tb_next is not None
        return traceback.tb_next.tb_frame
    raise AssertionError("the code raises")


_RAISE = compile("1 / 0", "", "exec")


# --- results ----------------------------------------------------------------------------------


def exception_for(result: model.Resolution, execution: str = "") -> errors.CofluxError:
    """What a waiter raises for a resolved result that is no value.

    `execution` is the id of the execution or input that ended so, for the message and `fields`.
    """
    if isinstance(result, model.Raised):
        return revive(result.error)
    kind, message, fields = _terminated(result)
    what = "input" if model.is_input(execution) else "execution"
    subject = f"{what} {execution}" if execution else f"the {what}"
    return kind(f"{subject} {message}", **{what: execution}, **fields)


def _terminated(result: model.Resolution) -> tuple[type[errors.CofluxError], str, dict[str, Any]]:
    if isinstance(result, model.Crashed):
        return errors.ExecutionCrashed, f"crashed: {crash_text(result)}", _fields(result)
    if isinstance(result, model.Abandoned):
        return errors.ExecutionAbandoned, f"was abandoned: {result.cause}", _fields(result)
    if isinstance(result, model.TimedOut):
        limit = f" of {result.limit_ms / 1000:g} s" if result.limit_ms else ""
        where = " in the queue" if result.cause == "queue" else ""
        return errors.ExecutionTimeout, f"exceeded its timeout{limit}{where}", _fields(result)
    if isinstance(result, model.Cancelled):
        by = f" by {result.by}" if result.by else ""
        why = f": {result.cause}" if result.cause else ""
        return errors.ExecutionCancelled, f"was cancelled{by}{why}", _fields(result)
    if isinstance(result, model.Dismissed):
        by = f" by {result.by}" if result.by else ""
        return errors.InputDismissed, f"was dismissed{by}", _fields(result)
    return errors.CofluxError, f"has no outcome yet ({model.result_kind(result)})", {}


def _fields(result: model.Resolution) -> dict[str, Any]:
    return {name: getattr(result, name) for name in result.__struct_fields__}


def crash_text(result: model.Crashed) -> str:
    """How a process died, in words."""
    if result.signal is not None:
        try:
            name = signal.Signals(result.signal).name
        except ValueError:
            name = f"signal {result.signal}"
        memory = ", probably out of memory" if result.out_of_memory else ""
        return f"its process was killed by {name}{memory}"
    return f"its process exited with code {result.exit_code}"
