"""Metrics inside an executor: definitions, order, throttling (MT-1, MT-2).

Belongs here: which points leave the executor, and when. Does not belong here: what users declare
(`coflux.metrics`), and the channel (`requests`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import msgspec

from coflux.model import Measurement, MetricDefinition

_encode = msgspec.msgpack.Encoder().encode

Clock = Callable[[], float]
#: Seconds that the thread stays for a point to come.
_IDLE_S = 1.0


class _Series:
    """One metric of the execution."""

    __slots__ = ("definition", "held", "last_at", "warned", "window_ends", "window_s")

    def __init__(self, definition: MetricDefinition) -> None:
        self.definition = definition
        self.last_at = -math.inf
        #: Until then points are held back; of them only the newest is kept.
        self.window_ends = -math.inf
        self.window_s = 0.0
        self.held: Measurement | None = None
        self.warned = False


class Measuring:
    """The metrics of one execution. Threads may share it."""

    def __init__(
        self,
        execution: str,
        send: Callable[[bytes], None],
        warn: Callable[[str], None],
        began: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._execution = execution
        self._send = send
        self._warn = warn
        self._clock = clock
        #: When the execution started, by the clock.
        self._began = began
        self._series: dict[str, _Series] = {}
        self._open: set[str] = set()
        #: Where in the code the keys of bars belong.
        self._places: dict[str, str] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def record(
        self,
        key: str,
        value: float | None,
        at: float | None,
        definition: MetricDefinition,
        throttle: float | None,
    ) -> None:
        """Take a point (value None: the definition alone).

        Raises `ValueError` where the key is defined otherwise in this execution.
        """
        with self._change:
            now = self._clock()
            series = self._series.get(key)
            is_new = series is None or series.definition != definition
            if series is None:
                series = self._series[key] = _Series(definition)
            elif is_new and "metric" in (definition.kind, series.definition.kind):
                raise ValueError(
                    f"metric {key!r} is defined otherwise in this execution; use another key, or"
                    " the same group and scale"
                )
            series.definition = definition
            if value is None:
                if is_new:
                    self._emit(Measurement(self._execution, key, definition=definition))
                return
            place = self._place(key, series, now - self._began, at)
            if place is None:
                return
            point = Measurement(
                self._execution, key, place, value if math.isfinite(value) else None,
                definition if is_new else None,
            )  # fmt: skip
            self._take(series, point, now, throttle)

    def _place(self, key: str, series: _Series, elapsed: float, at: float | None) -> float | None:
        if at is None:
            # The clock may be too coarse for two records in a row.
            at = max(elapsed, math.nextafter(series.last_at, math.inf))
        elif at <= series.last_at:
            if not series.warned:
                self._warn(
                    f"metric {key!r}: a point at {at:g} is dropped, since one at"
                    f" {series.last_at:g} came before; `at` must grow"
                )
            series.warned = True
            return None
        series.last_at = at
        return at

    def _take(
        self, series: _Series, point: Measurement, now: float, throttle: float | None
    ) -> None:
        if throttle is None:
            self._release(series)
            self._emit(point)
        elif now >= series.window_ends and series.held is None:
            series.window_s = 1 / throttle
            series.window_ends = now + series.window_s
            self._emit(point)
        else:
            if now >= series.window_ends:
                self._end_window(series, now)
            self._hold(series, point)

    def _hold(self, series: _Series, point: Measurement) -> None:
        if series.held is not None and point.definition is None:
            # A definition must not be lost with the point that it came with.
            point = msgspec.structs.replace(point, definition=series.held.definition)
        is_first = series.held is None
        series.held = point
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="coflux-metrics", daemon=True)
            self._thread.start()
        elif is_first:
            self._change.notify_all()

    def _end_window(self, series: _Series, now: float) -> None:
        """The last point of a window goes out, and the next window begins."""
        self._release(series)
        series.window_ends = now + series.window_s

    def _release(self, series: _Series) -> None:
        if series.held is not None:
            self._emit(series.held)
            series.held = None

    def _emit(self, measurement: Measurement) -> None:
        self._send(_encode(measurement))

    # --- progress -------------------------------------------------------------------------------

    def open(self, name: str, place: str) -> str:
        """A key for a progress bar that no open bar has, and none of another place in the code."""
        with self._change:
            key, number = name, 1
            while not self._is_free(key, place):
                number += 1
                key = f"{name} {number}"
            self._open.add(key)
            self._places[key] = place
            return key

    def _is_free(self, key: str, place: str) -> bool:
        series = self._series.get(key)
        is_metric = series is not None and series.definition.kind == "metric"
        is_of_another = self._places.get(key, place) != place
        return not (key in self._open or is_of_another or is_metric)

    def close_bar(self, key: str) -> None:
        """The bar has ended; its key is free for the next at that place."""
        with self._change:
            self._open.discard(key)

    # --- held points ----------------------------------------------------------------------------

    def _run(self) -> None:
        """Send held points when their windows end, also if no record follows."""
        with self._change:
            while not self._is_closed:
                now = self._clock()
                held = [series for series in self._series.values() if series.held is not None]
                for series in held:
                    if now >= series.window_ends:
                        self._end_window(series, now)
                ends = [series.window_ends for series in held if series.held is not None]
                if not self._change.wait(min(ends) - now if ends else _IDLE_S) and not held:
                    self._thread = None
                    return

    def close(self) -> None:
        """The execution has ended: send what is held."""
        with self._change:
            self._is_closed = True
            for series in self._series.values():
                self._release(series)
            thread = self._thread
            self._change.notify_all()
        if thread is not None:
            thread.join()
