"""Numbers that running code measures: metrics, their axes, and progress (MT).

Belongs here: what users declare and record, and its checks. Does not belong here: throttling and
sending (the executor), keeping (the server). Outside an execution nothing is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import FrameType
from typing import Generic, SupportsFloat, TypeVar

from coflux import host as hosts
from coflux.model import MetricAxis, MetricDefinition

T = TypeVar("T")

_NAME_LIMIT = 100
#: Points per second that are kept of one metric, unless it says otherwise.
THROTTLE = 10.0


class _Axis:
    """An axis of a chart, which metrics can share."""

    __slots__ = ("axis",)

    def __init__(
        self,
        name: str,
        *,
        units: str | None = None,
        lower: float | None = None,
        upper: float | None = None,
    ) -> None:
        _check_name(name, f"the name of a {type(self).__name__}")
        if units is not None and not isinstance(units, str):
            raise TypeError(f"units must be a string, not {units!r}")
        low, high = _bound(lower, "lower"), _bound(upper, "upper")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"lower ({low:g}) must be less than upper ({high:g})")
        self.axis = MetricAxis(name, units, low, high)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.axis.name}>"


class MetricGroup(_Axis):
    """Metrics that are shown in one chart, over the same horizontal axis (epochs, rows, …).

    `units` label that axis, `lower` and `upper` are its ends.
    """


class MetricScale(_Axis):
    """A vertical axis that metrics share.

    `units` label it, `lower` and `upper` are its ends.
    """


class Metric:
    """A number that changes while an execution runs.

    `group` and `scale` are objects or names. Of more than `throttle` points per second the first
    and the last of each window are kept, and the very last of all (None keeps every point). The
    first record in an execution defines the metric there.
    """

    def __init__(
        self,
        key: str,
        *,
        group: MetricGroup | str | None = None,
        scale: MetricScale | str | None = None,
        throttle: float | None = THROTTLE,
    ) -> None:
        _check_name(key, "a metric's key")
        if throttle is not None and not _number(throttle, "throttle") > 0:
            raise ValueError(f"throttle must be more than 0 points per second, not {throttle:g}")
        self.key = key
        self._throttle = None if throttle is None else float(throttle)
        self._definition = MetricDefinition(
            group=_axis(group, MetricGroup, "group"), scale=_axis(scale, MetricScale, "scale")
        )

    def record(self, value: SupportsFloat, *, at: SupportsFloat | None = None) -> None:
        """Record a value at a place on the horizontal axis (default: seconds since the start).

        A value that is nan or infinite is a gap. `at` must grow from record to record; a point
        that does not is dropped, with a warning in the log.

        Raises `ValueError` where the execution has defined the key with other settings, and
        `TypeError` for what is no number.
        """
        number = _number(value, f"metric {self.key}")
        place = None if at is None else _number(at, "at")
        if place is not None and not abs(place) < float("inf"):
            raise ValueError(f"at must be finite, not {place}")
        if (host := hosts.current()) is not None:
            host.measure(self.key, number, place, self._definition, self._throttle)

    def __repr__(self) -> str:
        return f"<Metric {self.key}>"


class Bar:
    """Progress by count, as one metric of an execution: what `progress` and bridges show.

    Its key is `name`, with a number where another place in the code, or a bar that is still open,
    has that in the execution. So two loops are told apart, and an inner loop has one key, not one
    for each time that it is run through.
    """

    def __init__(self, name: str, total: float | None, place: str) -> None:
        self._host = hosts.current()
        self._total = total
        name = name[:_NAME_LIMIT]
        self.key = "" if self._host is None else self._host.open_progress(name, place)
        self._define(None)

    def show(self, count: float, total: float | None) -> None:
        """Record how much is done, out of how much."""
        self._total = total
        self._define(count)

    def close(self) -> None:
        """The key is free for another bar."""
        if self._host is not None and self._host is hosts.current():
            self._host.close_progress(self.key)

    def _define(self, count: float | None) -> None:
        if self._host is not None and self._host is hosts.current():
            definition = MetricDefinition("progress", total=self._total)
            self._host.measure(self.key, count, None, definition, THROTTLE)


def place_of(frame: FrameType) -> str:
    """Where in the code that is, to the instruction."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}:{frame.f_lasti}"


class progress(Generic[T]):
    """Iterate, and show in the execution how far that has come.

    After each item the count is recorded, with the total where it is known (from `len(items)`, or
    given). Works with `for` and, over what is asynchronous, with `async for`. Loops at
    several places of the code have keys of their own: `progress`, `progress 2` and so on.
    """

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        *,
        total: float | None = None,
        name: str = "progress",
    ) -> None:
        if not isinstance(items, Iterable | AsyncIterable):
            raise TypeError(f"progress() takes something to iterate over, not {items!r}")
        _check_name(name, "the name of a progress bar")
        if total is None:
            length = getattr(items, "__len__", None)
            total = length() if length is not None else None
        self._items = items
        self._total = None if total is None else _number(total, "total")
        self._name = name
        self._place = place_of(sys._getframe(1))

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError("the number of items is not known")
        return int(self._total)

    def __iter__(self) -> Iterator[T]:
        if not isinstance(self._items, Iterable):
            raise TypeError("these items are asynchronous; use `async for`")
        bar = Bar(self._name, self._total, self._place)
        try:
            for count, item in enumerate(self._items, 1):
                yield item
                bar.show(count, self._total)
        finally:
            bar.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        if not isinstance(self._items, AsyncIterable):
            raise TypeError("these items are not asynchronous; use `for`")
        bar = Bar(self._name, self._total, self._place)
        count = 0
        try:
            async for item in self._items:
                yield item
                count += 1
                bar.show(count, self._total)
        finally:
            bar.close()


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a string, not {name!r}")
    if not 0 < len(name) <= _NAME_LIMIT:
        raise ValueError(f"{what} must have 1 to {_NAME_LIMIT} characters, not {len(name)}")


def _number(value: object, what: str) -> float:
    if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat):
        raise TypeError(f"{what} must be a number, not {value!r}")
    return float(value)


def _bound(value: float | None, what: str) -> float | None:
    if value is None:
        return None
    number = _number(value, what)
    if not abs(number) < float("inf"):
        raise ValueError(f"{what} must be finite, not {number}")
    return number


def _axis(value: _Axis | str | None, kind: type[_Axis], what: str) -> MetricAxis | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = kind(value)
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be a {kind.__name__} or its name, not {value!r}")
    return value.axis
