"""A result as shown: kind, value or preview, error, and where a link leads."""

from __future__ import annotations

import signal
from typing import Any

from coflux.blobs import Blobs
from coflux.errors import CofluxError
from coflux.model import (
    LINKS,
    Abandoned,
    Cancelled,
    Crashed,
    Error,
    Raised,
    Recurred,
    Resolution,
    Returned,
    Superseded,
    Suspended,
    TimedOut,
    Value,
    result_kind,
)
from coflux.values import to_json

#: Values up to this many bytes are shown whole where they have a JSON form.
SHOWN = 256 * 1024


def show_result(result: Resolution, blobs: Blobs | None = None) -> dict[str, Any]:
    """`{"kind", "value" | "preview", "error", "execution"}` and what else the kind carries."""
    shown: dict[str, Any] = {"kind": result_kind(result)}
    if isinstance(result, Returned):
        shown.update(show_value(result.value, blobs))
    elif isinstance(result, Raised):
        shown["error"] = show_error(result.error)
        shown["retryable"] = result.retryable
    elif isinstance(result, LINKS):
        shown["execution"] = result.execution
    else:
        shown.update(_details(result))
    return shown


def show_value(value: Value, blobs: Blobs | None = None) -> dict[str, Any]:
    """`value` where it has a JSON form, `preview` in any case; type, size, references."""
    shown: dict[str, Any] = {"preview": value.preview, "type": value.type, "size": value.size}
    if value.references:
        shown["references"] = [{"kind": r.kind, "id": r.id} for r in value.references]
    try:
        has_form, form = to_json(value, blobs, limit=SHOWN)
    except CofluxError as error:
        shown["problem"] = str(error)
        return shown
    if has_form:
        shown["value"] = form
    return shown


def show_error(error: Error) -> dict[str, Any]:
    """Type, message, frames outermost first, notes and causes."""
    return {
        "type": error.type,
        "message": error.message,
        "frames": [
            {"file": f.file, "line": f.line, "function": f.function, "source": f.source}
            for f in error.frames
        ],
        "notes": list(error.notes),
        "cause": show_error(error.cause) if error.cause is not None else None,
    }


def describe(result: Resolution) -> str:
    """The result in a sentence."""
    if isinstance(result, Crashed):
        return _crash(result)
    if isinstance(result, Abandoned):
        return f"abandoned: {result.cause}"
    if isinstance(result, TimedOut):
        where = "" if result.cause == "timeout" else f" ({result.cause})"
        return f"timed out after {result.limit_ms / 1000:g} s{where}"
    if isinstance(result, Cancelled):
        by = f" by {result.by}" if result.by else ""
        return f"cancelled{by}" + (f": {result.cause}" if result.cause else "")
    if isinstance(result, Raised):
        return f"{result.error.type}: {result.error.message}"
    return result_kind(result)


def _details(result: Resolution) -> dict[str, Any]:
    fields = {name: getattr(result, name) for name in result.__struct_fields__}
    if isinstance(result, (Suspended, Recurred, Superseded)):
        # Nothing failed: the successor goes on.
        return fields
    failure = {"type": result_kind(result), "message": describe(result), "frames": []}
    return {**fields, "error": failure}


def _crash(result: Crashed) -> str:
    if result.out_of_memory:
        how = "was killed for memory"
    elif result.signal is not None:
        how = f"was killed by {_signal_name(result.signal)}"
    elif result.exit_code is not None:
        how = f"exited with code {result.exit_code}"
    else:
        how = "died"
    return f"the executor process {how} without an outcome"


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"
