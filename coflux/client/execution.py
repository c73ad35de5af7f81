"""A handle to one attempt at a step, held by a program outside any execution.

Belongs here: what `cf.Execution` does when it asks a client of its own. Does not belong here:
handles inside executions (`coflux.handles`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coflux import handles
from coflux.errors import ExecutionError

if TYPE_CHECKING:
    from coflux.client.client import Client


class Execution(handles.Execution[Any]):
    """An execution that a client knows of."""

    __slots__ = ("client", "environment", "submitted")

    def __init__(
        self, client: Client, submitted: Mapping[str, Any], environment: str | None = None
    ) -> None:
        super().__init__(submitted["execution"])
        self.client = client
        #: What the server answered when it was made: `run`, `step`, `execution`, `status`.
        self.submitted = submitted
        #: From where it is seen (RR-6); None = as the client sees it.
        self.environment = environment

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """Wait for the outcome and return its value; raises as `Run.result`."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return self.client.wait(self.id, seconds, environment=self.environment)

    def poll(self, timeout: float | timedelta | None = None, default: Any = None) -> Any:
        """The value if it is there within `timeout` (None: at once), else `default`."""
        try:
            return self.result(timeout or 0.0)
        except TimeoutError as error:
            # The function itself may have raised a TimeoutError.
            if isinstance(error, ExecutionError):
                raise
            return default

    def cancel(self) -> None:
        """Cancel it with all that runs for it; what has ended stays as it is."""
        self.client.cancel(self.id)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        return asyncio.get_running_loop().run_in_executor(None, self.result).__await__()
