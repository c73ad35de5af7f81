"""A run of a hundred thousand steps: what it costs the project process, how soon its page opens.

python benchmarks/big_run.py [--steps 100000]

The run is decided by the core and written by the store as in a project process, only without agents
between: a workflow with ten steps that have all others as children. Then a real server is started
on the store twice: while the run is under way, with most steps queued, and after it has finished.
Prints seconds and MiB against the bars, which hold for the default size; 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from stack import Stack
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

from coflux.model import Definition, Returned, Submission, Value, run_of
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.changes import Change
from coflux.server.core.machine import Machine
from coflux.server.project.source import RandomSource
from coflux.server.store.store import Store

BATCHES = 10
PORTION = 100
#: Bars of a run of 100,000 steps: seconds, or MiB.
OPENS_S, READY_S, MEMORY_MIB = 1.0, 5.0, 1024.0
AGAIN = "finished, restarted"
_ONE = Value(data=b"\x01", size=1, type="int", preview="1")
_REPOSITORY = e.Repository(
    "big", (Definition("root", "workflow"), Definition("batch"), Definition("item"))
)


class BigRun:
    """A project process without a socket: events in, the store written."""

    def __init__(self, directory: Path, steps: int) -> None:
        self.machine = Machine(RandomSource())
        self.store = Store(directory, self.machine.state)
        self.store.load(self.machine.state)
        self.per_batch = (steps - 1 - BATCHES) // BATCHES
        self.now = time.time_ns() // 1_000_000
        self.requests = 0
        self.waiting: list[str] = []
        self.unwritten: list[Change] = []
        self._keep(self.machine.start(self.now).changes)
        confirmed = self._ask(e.SessionRequested(e.Caller(1), "default", b""), fx.Confirm)
        self.session = confirmed.data["session"]
        self._put(e.SessionConnected(self.session, 1, "i", (_REPOSITORY,), BATCHES + 1))
        accepted = self._ask(
            e.RunRequested(e.Caller(2), "default", _call("root", "workflow", 0)), fx.Submitted
        )
        self.run: str = run_of(accepted.executions[0])
        (self.root,) = self._take()
        self.batches = self._submit(self.root, "batch", BATCHES)

    def submit(self) -> int:
        """All steps; those of the batches stay queued, because there is no slot for them."""
        batches = self._take()
        for batch in batches:
            for first in range(0, self.per_batch, PORTION):
                self._submit(batch, "item", min(PORTION, self.per_batch - first))
        return len(self.machine.state.runs[self.run].steps)

    def finish(self) -> None:
        """End everything, the items first."""
        for batch in self.batches:
            self._end(batch)
        while items := self._take():
            for item in items:
                self._end(item)
        self._end(self.root)
        assert self.machine.state.runs[self.run].status == "succeeded"

    def close(self) -> None:
        """Let go of the store."""
        self._keep([], 0)
        self.store.close()

    def _submit(self, parent: str, target: str, count: int) -> list[str]:
        calls = tuple(_call(target, "task", n) for n in range(count))
        self.requests += 1
        to = e.Code(self.session, parent, self.requests)
        return list(self._ask(e.StepsRequested(to, calls), fx.Submitted).executions)

    def _take(self) -> list[str]:
        """What was handed out, started."""
        taken, self.waiting = self.waiting, []
        for id in taken:
            self._put(e.AssignmentAcknowledged(self.session, id))
            self._put(e.ExecutionStarted(self.session, id))
        return taken

    def _end(self, id: str) -> None:
        self._put(e.OutcomeReported(self.session, id, Returned(_ONE)))
        self._put(e.ProcessDied(self.session, id))

    def _ask(self, event: e.Event, kind: type[Any]) -> Any:
        return next(effect for effect in self._put(event) if isinstance(effect, kind))

    def _put(self, event: e.Event) -> list[fx.Effect]:
        self.now += 1
        outcome = self.machine.handle(event, self.now)
        self._keep(outcome.changes)
        self.waiting += [x.execution for x in outcome.effects if isinstance(x, fx.Execute)]
        return outcome.effects

    def _keep(self, changes: list[Change], most: int = 10_000) -> None:
        self.unwritten += changes
        if len(self.unwritten) >= most:
            self.store.write(self.unwritten)
            self.unwritten.clear()


def _call(target: str, kind: Any, number: int) -> Submission:
    value = Value(data=str(number).encode(), size=4, type="int", preview=str(number))
    return Submission("big", target, kind, {"number": value})


class Served:
    """A server on that store."""

    def __init__(self, stack: Stack, run: str) -> None:
        self.run = run
        began = time.perf_counter()
        self.process = stack.start_server()
        (runtime,) = (Path(stack.environment["XDG_RUNTIME_DIR"]) / "coflux").glob("server-*.json")
        found = json.loads(runtime.read_text())
        self.url = str(found["url"]).rstrip("/") + "/api/v1/projects/default"
        self.headers = {"Authorization": f"Bearer {found['token']}"}
        self.get("environments")
        self.ready_s = time.perf_counter() - began

    def get(self, path: str, body: bytes | None = None) -> Any:
        """An answer of the API."""
        headers = {**self.headers, "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/{path}", body, headers)
        with urllib.request.urlopen(asked, timeout=300) as answer:
            return json.load(answer)

    def open(self) -> float:
        """Seconds until the page's graph is there."""
        began = time.perf_counter()
        document = IOLoop.current().run_sync(self._snapshot, timeout=300)
        assert document["run"] == self.run
        return time.perf_counter() - began

    async def _snapshot(self) -> Any:
        from tornado.httpclient import HTTPRequest

        address = self.url.replace("http", "ws", 1) + "/topics"
        socket = await websocket_connect(HTTPRequest(address, headers=self.headers))
        subscribe = {"op": "sub", "id": 1, "topic": "graph", "args": {"run": self.run}}
        await socket.write_message(json.dumps(subscribe))
        while True:
            message = json.loads(await socket.read_message() or "{}")
            if message.get("id") == 1:
                socket.close()
                if message["t"] != "snap":
                    raise RuntimeError(message["message"])
                return message["data"]

    def memory(self) -> float:
        """The most that the project process has used, in MiB."""
        (project,) = psutil.Process(self.process.pid).children()
        status = Path(f"/proc/{project.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(60)


class Report:
    """Figures as they come."""

    def __init__(self, counts: bool) -> None:
        self.counts = counts
        self.missed = 0

    def say(self, what: str, value: float, unit: str, bar: float | None = None) -> None:
        """One line; a bar that is missed is marked."""
        is_missed = self.counts and bar is not None and value > bar
        self.missed += is_missed
        wanted = f"   (bar {bar:g} {unit}{', MISSED' if is_missed else ''})" if bar else ""
        print(f"{what:52} {value:9.2f} {unit}{wanted}", flush=True)


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(stack: Stack, run: str, which: str, report: Report, is_kept: bool = True) -> None:
    """One start of the server. `is_kept`: what is sent of the run is at hand, or quickly made."""
    served = Served(stack, run)
    try:
        report.say(f"{which}: restart until the first answer", served.ready_s, "s", READY_S)
        bar = OPENS_S if is_kept else None
        report.say(f"{which}: first data of the page", served.open(), "s", bar)
        report.say(f"{which}: once more", served.open(), "s", OPENS_S)
        steps = f"runs/{run}/steps?after=1000&limit=100"
        report.say(f"{which}: a page of steps", timed(lambda: served.get(steps)), "s")
        report.say(f"{which}: another", timed(lambda: served.get(steps)), "s", OPENS_S)
        step = f"steps/{run}:1000"
        report.say(f"{which}: one step whole", timed(lambda: served.get(step)), "s", OPENS_S)
        if which == AGAIN:
            # Its facts are read beside the loop, but applied on it.
            report.say(f"{which}: longest wait while it is run again", waits(served), "s")
        report.say(f"{which}: most memory of the process", served.memory(), "MiB", MEMORY_MIB)
    finally:
        served.stop()


def waits(served: Served) -> float:
    """The longest time that anybody else waits while the last step is run again, in seconds."""
    longest, ended = 0.0, threading.Event()

    def ask() -> None:
        served.get(f"rerun/{served.run}:1000", b"{}")
        ended.set()

    asking = threading.Thread(target=ask)
    asking.start()
    while not ended.is_set():
        longest = max(longest, timed(lambda: served.get("environments")))
        time.sleep(0.005)  # asked as often as a page may be
    asking.join()
    return longest


def stores(folder: Path, steps: int, report: Report) -> Iterator[tuple[str, str]]:
    """The run under way, then finished, in a store that a server may be started on."""
    big = BigRun(folder, steps)
    count = 0

    def submit() -> None:
        nonlocal count
        count = big.submit()

    report.say("written: steps submitted", timed(submit), "s")
    assert count == BATCHES * (big.per_batch + 1) + 1
    big.close()
    yield big.run, "under way"
    # A server has taken the store up and given up its session; so once more from the beginning.
    for path in folder.glob("store.db*"):
        path.unlink()
    big = BigRun(folder, steps)
    big.submit()
    report.say("written: steps run and ended", timed(big.finish), "s")
    big.close()
    yield big.run, "finished"


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    options = parser.parse_args()
    report = Report(options.steps == 100_000)
    with tempfile.TemporaryDirectory(prefix="coflux-benchmark-") as top:
        (Path(top) / "runtime").mkdir(mode=0o700)
        stack = Stack("reuse")
        stack.environment = {**os.environ, "XDG_RUNTIME_DIR": str(Path(top) / "runtime")}
        Served(stack, "").stop()
        (folder,) = (Path(stack.data_dir) / "projects").iterdir()
        for path in folder.glob("store.db*"):
            path.unlink()
        for run, which in stores(folder, options.steps, report):
            # Of a run that finishes under a server the graph is kept at once; this one had none.
            measure(stack, run, which, report, is_kept=which == "under way")
        measure(stack, run, AGAIN, report)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
