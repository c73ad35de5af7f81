"""Exceptions that cross processes (ER)."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from typing import Any

import msgspec
import pytest

import coflux as cf
from coflux import model
from coflux.remote_errors import describe, exception_for, revive


class Odd(Exception):
    """Needs two arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code

    def __str__(self) -> str:
        return f"odd {self.code}"


class Closed(Exception):
    def __new__(cls, *args: Any) -> Closed:
        raise RuntimeError("nobody makes me")


class Vague(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001
        return raised


def again(error: BaseException) -> cf.ExecutionError:
    record = describe(caught(error))
    # As it travels.
    record = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=model.Error)
    return revive(record)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("missing"),
        OSError(2, "No such file", "x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        Odd(3, "x"),
        StopIteration(3),
        TimeoutError("late"),
    ],
)
def test_the_remote_class_can_be_caught_and_so_can_ours_ER_1(error: Exception) -> None:
    revived = again(error)
    assert isinstance(revived, cf.ExecutionError)
    assert isinstance(revived, type(error))
    assert str(revived) == str(error)
    assert revived.remote_type == f"{type(error).__module__}.{type(error).__qualname__}"
    assert repr(revived)
    assert "".join(traceback.format_exception(revived))


def test_a_class_that_cannot_be_made_gives_a_plain_error_and_no_second_failure_ER_1() -> None:
    revived = revive(model.Error(f"{__name__}.Closed", "text"))
    assert str(revived) == "text"
    assert type(again(Vague())).__mro__[1] is cf.ExecutionError
    unknown = revive(model.Error("no.such.module.Error", "text"))
    assert type(unknown) is cf.ExecutionError
    assert unknown.remote_type == "no.such.module.Error"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_would_end_the_caller_is_raised_as_ours_alone(kind: type[BaseException]) -> None:
    revived = again(kind("x"))
    assert type(revived) is cf.ExecutionError
    assert revived.remote_type.endswith(kind.__name__)


def test_notes_causes_and_contexts_are_kept_ER_2() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as error:
        error.__notes__ = ["a note"]  # type: ignore[attr-defined]
        revived = revive(describe(error))
    assert revived.__notes__ == ["a note"]  # type: ignore[attr-defined]
    assert isinstance(revived.__cause__, KeyError)
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904
    except ValueError as error:
        record = describe(error)
    assert record.context
    assert isinstance(revive(record).__context__, KeyError)


def test_causes_in_a_circle_end() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert describe(first).type == "builtins.ValueError"


def test_frames_are_the_users_and_are_shown_in_tracebacks_ER_2() -> None:
    record = model.Error(
        "builtins.ValueError",
        "bad",
        frames=(
            model.Frame("/remote/flow.py", 12, "outer", "inner()"),
            model.Frame("/remote/flow.py", 7, "inner", "raise ValueError"),
        ),
    )
    revived = revive(record)
    assert revived.remote_frames[1] == ("/remote/flow.py", 7, "inner", "raise ValueError")
    text = "".join(traceback.format_exception(type(revived), revived, revived.__traceback__))
    assert 'File "/remote/flow.py", line 12, in outer' in text
    assert 'File "/remote/flow.py", line 7, in inner' in text
    with pytest.raises(ValueError, match="bad") as raised:
        raise revived
    described = describe(raised.value)
    assert described.frames[-2:] == record.frames
    assert described.type == "builtins.ValueError"


def test_long_messages_and_tracebacks_are_limited_32() -> None:
    stored: list[bytes] = []

    def store(data: bytes) -> str:
        stored.append(data)
        return "abc"

    record = describe(ValueError("x" * 100_000), store)
    assert len(record.message) <= 16 * 1024
    assert "in blob abc" in record.message
    assert stored == [b"x" * 100_000]

    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    try:
        deep(200)
    except ValueError as error:
        record = describe(error)
    assert len(record.frames) == 100


def test_text_that_is_no_unicode_travels() -> None:
    record = describe(ValueError("half \ud800"))
    assert record.message == "half \\ud800"
    msgspec.msgpack.encode(record)


def test_revived_errors_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(again(Odd(3, "x"))))
    assert isinstance(copy, Odd)
    assert str(copy) == "odd 3"


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        (model.Crashed(exit_code=3), cf.ExecutionCrashed, "exited with code 3"),
        (model.Crashed(signal=9, out_of_memory=True), cf.ExecutionCrashed, "out of memory"),
        (model.Abandoned("session lost"), cf.ExecutionAbandoned, "session lost"),
        (model.TimedOut(1500), cf.ExecutionTimeout, "timeout of 1.5 s"),
        (model.TimedOut(1500, "queue"), cf.ExecutionTimeout, "in the queue"),
        (model.Cancelled("ada", "why"), cf.ExecutionCancelled, "by ada: why"),
    ],
)
def test_each_bad_result_has_its_exception_RS(
    result: Any, kind: type[cf.CofluxError], text: str
) -> None:
    error = exception_for(result, "R1:2:1")
    assert type(error) is kind
    assert text in str(error)
    assert "R1:2:1" in str(error)
    assert not isinstance(error, TimeoutError)
