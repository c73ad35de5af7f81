"""Removing finished runs: how long it takes, how long others wait for the loop, what comes back.

    python benchmarks/removal.py [--runs 20000] [--keep]

Makes a store with so many runs of 5 steps and one of 20,000, and lets one pass of the collector
remove them all (`--keep`: look at them, and remove nothing) on an event loop that does nothing
else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coflux.model import LogEntry, Returned, Submission, Value
from coflux.server.core import changes as c
from coflux.server.project.collecting import Collector
from coflux.server.project.kept_graphs import KeptGraphs
from coflux.server.project.orchestrator import Orchestrator

E = "Ebcdfgh"
STEPS, BIG, LINES = 5, 20_000, 50
#: Changes in one commit while the store is made.
BATCH = 20_000
ARGUMENT = Value(data=b"x" * 100, size=100, key=b"k" * 32, preview="x" * 40)
RESULT = Returned(Value(data=b"y" * 100, size=100, key=b"k" * 32))


def facts(run: str, steps: int) -> Iterator[c.Change]:
    """A finished run."""
    yield c.RunCreated(run, E, "shop", "order", "ada", 1)
    for number in range(1, steps + 1):
        id = f"{run}:{number}:1"
        call = Submission("shop", "order", "task" if number > 1 else "workflow", {"x": ARGUMENT})
        yield c.StepCreated(run, number, call, E, 1, 1, f"{run}:1:1" if number > 1 else None)
        yield c.Assigned(id, "Sbcdfgh", 2)
        yield c.Started(id, 3)
        yield c.ResultRecorded(id, RESULT, 5)
    yield c.RunFinished(run, "succeeded", 9)


def fill(place: Orchestrator, runs: int) -> None:
    """Make the store."""
    environment = c.EnvironmentSet(E, "default", None, "active", "", 0)
    place.machine.state.load([environment])
    batch: list[c.Change] = [environment, *facts("Rbig", BIG)]
    for number in range(runs):
        batch += facts(f"R{number:06d}", STEPS)
        if len(batch) > BATCH or number == runs - 1:
            place.store.write(batch)
            batch = []
        if number % 10 == 0:
            id = f"R{number:06d}:1:1"
            place.logs.write(LogEntry(id, n, 5, "info", "hello " * 20) for n in range(LINES))


async def measure(place: Orchestrator, folder: Path) -> None:
    """One pass, and the gaps in a rhythm of 1 ms meanwhile."""
    place._loop = asyncio.get_running_loop()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # as in the project's process
    late: list[float] = []
    made = Collector(place, folder / "blobs", KeptGraphs(folder)).begin()
    begun, busy = time.perf_counter(), time.process_time()
    while not made.done.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append((time.perf_counter() - before - 0.001) * 1000)
    took = time.perf_counter() - begun
    late.sort()
    p50, p99 = (late[int(len(late) * share)] for share in (0.5, 0.99))
    busy = time.process_time() - busy
    print(
        f"{made.runs:,} runs ({made.bytes / 1e6:.0f} MB of rows) in {took:.1f} s,"
        f" of which {busy:.1f} s on a processor"
    )
    print(f"the loop was late by {p50:.1f} ms (median), {p99:.1f} (p99), {late[-1]:.1f} (most)")


def main() -> None:
    """See the head of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coflux-removal-") as name:
        folder = Path(name)
        place = Orchestrator(folder)
        fill(place, options.runs)
        if options.keep:
            place.machine.state.environments[E].settings["runs_kept_ms"] = 0
        before = sizes(folder)
        asyncio.run(measure(place, folder))
        place.close()
        print(f"{before} MB of files before, {sizes(folder)} after")


def sizes(folder: Path) -> int:
    """MB of all files."""
    return sum(path.stat().st_size for path in folder.glob("*.db*")) // 1_000_000


if __name__ == "__main__":
    main()
