"""The kernel's one thread that follows what is on display, until it can stand still.

It never prints and never displays anew, because its output would land under some other cell: it
sets what a widget shows, and replaces outputs that are there (by their display ids). Belongs here:
when. Does not belong here: what is shown (`displays`).
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coflux.client import Run
from coflux.client.execution import Execution
from coflux.errors import CofluxError
from coflux.jupyter.outputs import publish

#: Seconds between two looks at a run: at first, and for one that takes long.
_LOOK_S, _LOOK_MAX_S = 0.25, 2.0
#: A look at a run that began so many seconds ago comes a tenth of that later.
_SHARE = 0.1


@dataclass
class _Followed:
    """Something on display that belongs to a run."""

    run: str
    #: Shows it as it is now; whether it is over.
    look: Callable[[], bool]
    since: float
    due: float
    is_hurried: bool = False


class _RunOnDisplay:
    """A run's output; `widget` is None where runs are shown without."""

    def __init__(self, run: Run, display: str, widget: Any) -> None:
        self._run, self._display, self._widget = run, display, widget
        self._shown: Any = None

    def look(self) -> bool:
        """Show it as it is now, when it is over as a still picture; whether it is over."""
        from coflux.jupyter import displays

        view = self._run.view()
        is_over = displays.is_over(view)
        if view == self._shown and not is_over:
            return False
        self._shown = view
        if self._widget is not None and not is_over:
            self._widget.show(view)
            return False
        still = displays.static(view, displays.page(self._run.client, self._run.id))
        bundle = {**still, **displays.live(self._run)}
        publish(bundle, id=self._display, replace=True)
        if is_over and self._widget is not None:
            self._widget.close()
        return is_over


class Follower:
    """The thread and what it follows."""

    def __init__(self) -> None:
        self._followed: list[_Followed] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def follow(self, run: Run, display: str, widget: Any) -> None:
        """Keep a run's output current until the run is over, then make it a still picture."""
        self._follow(run.id, _RunOnDisplay(run, display, widget).look)

    def follow_execution(self, execution: Execution, display: str) -> None:
        """Replace an execution's output when the execution has ended."""
        from coflux.jupyter import displays

        def look() -> bool:
            bundle, is_over = displays.execution_bundle(execution)
            if is_over:
                publish(bundle, id=display, replace=True)
            return is_over

        self._follow(execution.id.partition(":")[0], look)

    def _follow(self, run: str, look: Callable[[], bool]) -> None:
        now = time.monotonic()
        with self._changed:
            self._followed.append(_Followed(run, look, now, now + _LOOK_S))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="coflux-follower", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def hurry(self, run: str) -> None:
        """The run's outcome is known: look at it now."""
        with self._changed:
            for followed in self._followed:
                if followed.run == run:
                    followed.due, followed.is_hurried = 0.0, True
            self._changed.notify_all()

    def wait_hurried(self, timeout_s: float) -> bool:
        """Wait a moment for the outputs of runs whose outcome is known to stand still.

        Their pictures then are part of what the cell leaves, also where the kernel ends with it.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(each.is_hurried for each in self._followed), timeout_s
            )

    def _work(self) -> None:
        while True:
            followed = self._next()
            # The server may be away for a while; the run goes on and so does this.
            is_over = False
            with contextlib.suppress(CofluxError, OSError):
                is_over = followed.look()
            with self._changed:
                if is_over:
                    self._followed.remove(followed)
                    self._changed.notify_all()
                else:
                    # Parts of it still go on: that may take any time.
                    followed.is_hurried = False
                    pause = (time.monotonic() - followed.since) * _SHARE
                    followed.due = time.monotonic() + min(max(pause, _LOOK_S), _LOOK_MAX_S)
                    self._changed.notify_all()

    def _next(self) -> _Followed:
        with self._changed:
            while True:
                first = min(self._followed, key=lambda each: each.due, default=None)
                left = None if first is None else first.due - time.monotonic()
                if first is not None and left is not None and left <= 0:
                    return first
                self._changed.wait(left)


@functools.cache
def follower() -> Follower:
    """The follower of this kernel."""
    return Follower()
