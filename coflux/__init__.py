"""Coflux: orchestrate and observe workflows written as plain Python functions.

    import coflux as cf

    @cf.task(cache=True)
    def load(city: str) -> float: ...

    @cf.workflow()
    def report(cities: list[str]) -> float:
        parts = [load.submit(city) for city in cities]
        return sum(part.result() for part in parts)

Belongs here: the names of the SDK, fetched when first used. Does not belong here: any code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coflux.client import Client as Client
    from coflux.client import Run as Run
    from coflux.client import connect as connect
    from coflux.context import cancel as cancel
    from coflux.context import checkpoint as checkpoint
    from coflux.context import group as group
    from coflux.context import log_debug as log_debug
    from coflux.context import log_error as log_error
    from coflux.context import log_info as log_info
    from coflux.context import log_warning as log_warning
    from coflux.context import persist_asset as persist_asset
    from coflux.context import scheduled_at as scheduled_at
    from coflux.context import select as select
    from coflux.context import suspend as suspend
    from coflux.context import suspense as suspense
    from coflux.decorators import sensor as sensor
    from coflux.decorators import stub as stub
    from coflux.decorators import task as task
    from coflux.decorators import workflow as workflow
    from coflux.errors import ArgumentsDoNotFit as ArgumentsDoNotFit
    from coflux.errors import CofluxError as CofluxError
    from coflux.errors import Conflict as Conflict
    from coflux.errors import ExecutionAbandoned as ExecutionAbandoned
    from coflux.errors import ExecutionCancelled as ExecutionCancelled
    from coflux.errors import ExecutionCrashed as ExecutionCrashed
    from coflux.errors import ExecutionError as ExecutionError
    from coflux.errors import ExecutionTerminated as ExecutionTerminated
    from coflux.errors import ExecutionTimeout as ExecutionTimeout
    from coflux.errors import Forbidden as Forbidden
    from coflux.errors import InputDismissed as InputDismissed
    from coflux.errors import InvalidRequest as InvalidRequest
    from coflux.errors import NotFound as NotFound
    from coflux.errors import NotInExecution as NotInExecution
    from coflux.errors import NotSerialisable as NotSerialisable
    from coflux.errors import Refused as Refused
    from coflux.errors import Unavailable as Unavailable
    from coflux.errors import WaitCycle as WaitCycle
    from coflux.handles import Asset as Asset
    from coflux.handles import Execution as Execution
    from coflux.handles import Input as Input
    from coflux.metrics import Metric as Metric
    from coflux.metrics import MetricGroup as MetricGroup
    from coflux.metrics import MetricScale as MetricScale
    from coflux.metrics import progress as progress
    from coflux.options import Cache as Cache
    from coflux.options import Defer as Defer
    from coflux.options import Retries as Retries
    from coflux.prompts import Prompt as Prompt
    from coflux.schedule import Schedule as Schedule
    from coflux.secret import Secret as Secret
    from coflux.target import Target as Target

#: Where each name lives.
_HOMES = {
    "client": ("Client", "Run", "connect"),
    "context": (
        "cancel", "checkpoint", "group", "log_debug", "log_error", "log_info", "log_warning",
        "persist_asset", "scheduled_at", "select", "suspend", "suspense",
    ),
    "decorators": ("sensor", "stub", "task", "workflow"),
    "errors": (
        "ArgumentsDoNotFit", "CofluxError", "Conflict", "ExecutionAbandoned",
        "ExecutionCancelled", "ExecutionCrashed", "ExecutionError", "ExecutionTerminated",
        "ExecutionTimeout", "Forbidden", "InputDismissed", "InvalidRequest", "NotFound",
        "NotInExecution", "NotSerialisable", "Refused", "Unavailable", "WaitCycle",
    ),
    "handles": ("Asset", "Execution", "Input"),
    "metrics": ("Metric", "MetricGroup", "MetricScale", "progress"),
    "options": ("Cache", "Defer", "Retries"),
    "prompts": ("Prompt",),
    "secret": ("Secret",),
    "schedule": ("Schedule",),
    "target": ("Target",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ArgumentsDoNotFit", "Asset", "Cache", "Client", "CofluxError", "Conflict", "Defer",
    "Execution", "ExecutionAbandoned", "ExecutionCancelled", "ExecutionCrashed", "ExecutionError",
    "ExecutionTerminated", "ExecutionTimeout", "Forbidden", "Input", "InputDismissed",
    "InvalidRequest", "Metric", "MetricGroup", "MetricScale", "NotFound", "NotInExecution",
    "NotSerialisable", "Prompt", "Refused", "Retries", "Run", "Schedule", "Secret", "Target",
    "Unavailable", "WaitCycle", "cancel", "checkpoint", "connect", "group", "log_debug",
    "log_error", "log_info", "log_warning", "persist_asset", "progress", "scheduled_at", "select",
    "sensor", "stub", "suspend", "suspense", "task", "workflow",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'coflux' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"coflux.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Serve `%load_ext coflux`."""
    importlib.import_module("coflux.jupyter").load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Serve `%unload_ext coflux`."""
    importlib.import_module("coflux.jupyter").unload_ipython_extension(shell)


def _jupyter_server_extension_points() -> Any:
    return importlib.import_module("coflux.jupyter").server_extension_points()


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "jupyter/labextension", "dest": "coflux"}]
