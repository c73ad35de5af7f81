"""Events per second of the pure core while a run fans out and gathers: constant, whatever the size.

python benchmarks/core_rate.py [--children 10000] [--slots 8] [--rounds 3]

A workflow submits the children in batches of 100, then waits for each in turn, as user code does;
an agent acknowledges, starts and ends them. Prints the rate of each tenth of the ends, and how the
last tenth compares with the first. Figures are CPU time of this process.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import sys
import time
from collections.abc import Iterator

from coflux.model import CachePolicy, Definition, Options, Returned, Submission, Value
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.machine import Machine

BATCH = 100


class Counting:
    """Ids in order."""

    def __init__(self) -> None:
        self.count = 0

    def id(self, prefix: str) -> str:
        """The next."""
        self.count += 1
        return f"{prefix}{self.count}"

    def uniform(self, low: float, high: float) -> float:
        """The least."""
        return low


class FanOut:
    """One run with many children."""

    def __init__(self, children: int, slots: int, options: Options) -> None:
        self.machine = Machine(Counting())
        self.now = 1_000_000
        self.events = 0
        self.children = children
        self.options = options
        self.machine.start(self.now)
        self.queue: list[str] = []
        confirmed = self.handle(e.SessionRequested(e.Caller(1), "default", b""))[0]
        assert isinstance(confirmed, fx.Confirm)
        self.session = confirmed.data["session"]
        targets = (Definition("wf", "workflow"), Definition("t"))
        repository = e.Repository("repo", targets)
        self.handle(e.SessionConnected(self.session, 1, "i", (repository,), slots))
        self.handle(e.RunRequested(e.Caller(2), "default", _call("wf", 0, "workflow", Options())))
        self.parent = self.queue.pop()
        self._start(self.parent)

    def handle(self, event: e.Event) -> list[fx.Effect]:
        """One event."""
        self.events += 1
        effects = self.machine.handle(event, self.now).effects
        self.queue += [x.execution for x in effects if isinstance(x, fx.Execute)]
        return effects

    def submit(self) -> list[str]:
        """All children; their ids."""
        ids: list[str] = []
        for first in range(0, self.children, BATCH):
            calls = tuple(_call("t", n, "task", self.options) for n in range(first, first + BATCH))
            to = e.Code(self.session, self.parent, first + 1)
            (submitted,) = (
                x for x in self.handle(e.StepsRequested(to, calls)) if isinstance(x, fx.Submitted)
            )
            ids += submitted.executions
        return ids

    def gather(self, ids: list[str]) -> list[float]:
        """Run them all; seconds that each tenth took."""
        tenth = max(1, len(ids) // 10)
        seconds, began = [], time.process_time()
        handles = iter(enumerate(ids))
        waited_for = self._wait(handles)
        for ended in range(1, len(ids) + 1):
            self.now += ended % 2
            child = self.queue.pop(0)
            self._start(child)
            answers = [
                x for x in self.handle(_ended(self.session, child)) if isinstance(x, fx.Answer)
            ]
            while waited_for is not None and (answers or self._is_over(waited_for)):
                waited_for = self._wait(handles)
                answers = []
            if ended % tenth == 0:
                seconds.append(time.process_time() - began)
                began = time.process_time()
        return seconds

    def _is_over(self, id: str) -> bool:
        return self.machine.state.executions[id].result is not None

    def _wait(self, handles: Iterator[tuple[int, str]]) -> str | None:
        key, handle = next(handles, (0, None))
        if handle is not None:
            to = e.Code(self.session, self.parent, 1_000_000 + key)
            self.handle(e.WaitRequested(to, (handle,)))
        return handle

    def _start(self, id: str) -> None:
        self.handle(e.AssignmentAcknowledged(self.session, id))
        self.handle(e.ExecutionStarted(self.session, id))


def _call(target: str, number: int, type_name: str, options: Options) -> Submission:
    data = str(number).encode()
    value = Value(data=data, key=hashlib.sha256(data).digest(), type="int")
    kind = "workflow" if type_name == "workflow" else "task"
    # A conditional of two literals is a plain string to the checker.
    return Submission("repo", target, kind, {"a": value}, options)  # type: ignore[arg-type]


def _ended(session: str, id: str) -> e.OutcomeReported:
    return e.OutcomeReported(session, id, Returned(Value(data=b"1", key=b"k" * 32, type="int")))


def main() -> int:
    """Print the rates; 1 when the last tenth is more than a tenth slower than the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many (3)")
    parser.add_argument("--memo", action="store_true", help="memoised children")
    parser.add_argument("--cache", action="store_true", help="cached children, none of them equal")
    options = parser.parse_args()
    cache = CachePolicy() if options.cache else None
    chosen = Options(memo=options.memo or None, cache=cache)
    best: list[float] = []
    for _ in range(options.rounds):
        gc.collect()
        fan_out = FanOut(options.children, options.slots, chosen)
        began = time.process_time()
        ids = fan_out.submit()
        submitted = time.process_time() - began
        events = fan_out.events
        seconds = fan_out.gather(ids)
        events = fan_out.events - events
        best = [min(pair) for pair in zip(best, seconds, strict=True)] if best else seconds
        print(f"submitted {len(ids) / submitted:,.0f}/s, {events / sum(seconds):,.0f} events/s")
    tenth = options.children // 10
    print("ends/s by tenth: " + " ".join(f"{tenth / s:,.0f}" for s in best))
    ratio = best[-1] / best[0]
    print(f"the last tenth takes {ratio:.2f} times as long as the first")
    return 0 if ratio <= 1.1 else 1


if __name__ == "__main__":
    sys.exit(main())
