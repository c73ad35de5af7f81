"""What running user code may ask for: groups, suspension, selection, checkpoints, assets, logs.

Belongs here: the functions for users, their checks, and what they do outside an execution. Does
not belong here: how a request reaches the server (`host` and who implements it).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from coflux import host as hosts
from coflux.handles import Asset, Handle
from coflux.model import Value
from coflux.options import Time, time_left

H = TypeVar("H", bound=Handle[Any])

_NAME_LIMIT = 100

_logger = logging.getLogger("coflux")


@contextmanager
def group(name: str | None = None) -> Iterator[None]:
    """Show the children submitted in this block together, under a name if one is given.

    Groups may be nested; a child belongs to the innermost one.
    """
    if name is not None and (not isinstance(name, str) or len(name) > _NAME_LIMIT):
        raise ValueError(f"a group's name is a string of at most {_NAME_LIMIT} characters")
    host = hosts.current()
    if host is None:
        yield
        return
    token = hosts.group_block.set(host.group(name))
    try:
        yield
    finally:
        hosts.group_block.reset(token)


@contextmanager
def suspense(timeout: Time | None = None) -> Iterator[None]:
    """Let waits in this block suspend the execution when they take longer than `timeout`.

    `timeout` is in seconds or a timedelta; None suspends at once. A suspended execution gives up
    its process, and starts again from its beginning when what it waited for is there. A wait with
    a timeout of its own never suspends.
    """
    limit = 0 if timeout is None else time_left(timeout, "timeout")
    token = hosts.suspense_block.set(limit)
    try:
        yield
    finally:
        hosts.suspense_block.reset(token)


def suspend(until: Time | datetime | None = None) -> None:
    """End this attempt, and start the next at an instant or after a time.

    None, a past instant and a time below zero start it at once. Does not return, and no code after
    it runs; the next attempt begins at the function's start.

    Raises `NotInExecution` outside an execution.
    """
    host = hosts.require("suspend()")
    if until is None:
        delay_ms = 0
    elif isinstance(until, datetime):
        # The server counts a duration from its own now (EN-7); a naive instant is local time.
        seconds = (until.astimezone(timezone.utc) - datetime.now(timezone.utc)).total_seconds()
        delay_ms = max(0, round(seconds * 1000))
    else:
        delay_ms = time_left(until, "until")
    host.suspend(delay_ms)


def scheduled_at() -> datetime | None:
    """The instant of the schedule that started this run (UTC), or None where none did.

    Raises `NotInExecution` outside an execution.
    """
    instant = hosts.require("scheduled_at()").scheduled_at
    return None if instant is None else datetime.fromtimestamp(instant / 1000, timezone.utc)


def select(handles: Sequence[H], cancel_remaining: bool = False) -> tuple[H, list[H]]:
    """Wait for the first of several handles, and return it and the others in order.

    With `cancel_remaining` the other executions are cancelled as the first one is there; inputs
    never are.

    Raises `ValueError` for an empty list and `NotInExecution` outside an execution.
    """
    handles = list(handles)
    if not handles:
        raise ValueError("select() needs at least one handle")
    for each in handles:
        _check_handle(each, "select()")
    host = hosts.require("select()")
    block = hosts.suspense_block.get()
    outcome = host.resolve(
        [each.id for each in handles],
        timeout_ms=block,
        suspend=block is not None,
        first=True,
        cancel_remaining=cancel_remaining,
    )
    assert outcome is not None, "without a timeout of its own a wait does not expire"
    index = next(i for i, each in enumerate(handles) if each.id == outcome.handle)
    return handles[index], handles[:index] + handles[index + 1 :]


def cancel(handles: Iterable[Handle[Any]]) -> None:
    """Cancel several executions, with all that runs for them, and inputs; all or none.

    What has ended stays as it is. Raises `NotInExecution` outside an execution.
    """
    handles = [handles] if isinstance(handles, Handle) else list(handles)
    for each in handles:
        _check_handle(each, "cancel()")
    host = hosts.require("cancel()")
    if handles:
        host.cancel([each.id for each in handles])


def _check_handle(handle: object, what: str) -> None:
    if not isinstance(handle, Handle):
        raise TypeError(f"{what} takes executions and inputs, not {type(handle).__name__}")


def checkpoint(*args: Any, **kwargs: Any) -> None:
    """Store arguments that every later attempt of this step starts with; durable on return.

    They must fit the target's signature. Raises `TypeError` where they do not, and
    `NotInExecution` outside an execution.
    """
    from coflux.signature import encode_arguments

    host = hosts.require("checkpoint()")
    host.checkpoint(encode_arguments(host.target.bind(*args, **kwargs), host.encode))


def persist_asset(
    path: str | Path | None = None, *, match: str | None = None, name: str | None = None
) -> Asset:
    """Store a file or directory so that other executions can restore it.

    `path` is inside the execution's directory (None: all of it); `match` is a pattern that the
    relative paths of files must fit, such as `**/*.csv`.

    Raises `FileNotFoundError` where nothing is found, and `NotInExecution` outside an execution.
    """
    from coflux import assets

    host = hosts.require("persist_asset()")
    manifest = assets.collect(path, base=host.directory, match=match, name=name, blobs=host.blobs)
    return Asset(host.persist(manifest))


def log_debug(template: str | None = None, /, **values: Any) -> None:
    """Log at level debug; `{label}` places in the template are filled from the values."""
    _log("debug", template, values)


def log_info(template: str | None = None, /, **values: Any) -> None:
    """Log at level info; `{label}` places in the template are filled from the values."""
    _log("info", template, values)


def log_warning(template: str | None = None, /, **values: Any) -> None:
    """Log at level warning; `{label}` places in the template are filled from the values."""
    _log("warning", template, values)


def log_error(template: str | None = None, /, **values: Any) -> None:
    """Log at level error; `{label}` places in the template are filled from the values."""
    _log("error", template, values)


_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def _log(level: str, template: object, values: dict[str, Any]) -> None:
    text = "" if template is None else str(template)
    host = hosts.current()
    if host is None:
        _logger.log(_LEVELS[level], "%s", _Filled(text, values))
        return
    encoded: dict[str, Value] = {
        label: host.encode_for_log(value, label) for label, value in values.items()
    }
    host.log(level, text, encoded)


class _Filled:
    """A template with its values, made into text only if the record is shown."""

    def __init__(self, template: str, values: dict[str, Any]) -> None:
        self._template, self._values = template, values

    def __str__(self) -> str:
        text, unused = self._template, []
        for label, value in self._values.items():
            place = f"{{{label}}}"
            if place in text:
                text = text.replace(place, str(value))
            else:
                unused.append(f"{label}={value!r}")
        return " ".join(filter(None, [text, *unused]))
