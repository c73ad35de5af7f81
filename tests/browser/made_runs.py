"""Runs too big to be run in a test, written into a project's store as if they had been.

Belongs here: facts as the decision process would have written them. The server must be down.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coflux.model import Error as RemoteError
from coflux.model import LogEntry, Raised, Reference, Returned, Submission, Value, execution_id
from coflux.server.core import changes as c
from coflux.server.core.state import State
from coflux.server.store.logs import LogStore
from coflux.server.store.store import Store

BEGAN = 1_790_000_000_000
BATCH = 10_000


def write_run(data_dir: Path, run: str, batches: int, items: int) -> int:
    """A finished run: a root with `batches` children, each with `items` children that refer to the
    one before. Every 97th item failed. Gives the number of steps.
    """
    (directory,) = (data_dir / "projects").iterdir()
    state = State()
    store = Store(directory, state)
    store.load(state)
    environment = next(e.id for e in state.environments.values() if e.name == "default")
    pending: list[c.Change] = []
    total = 0
    for change in _facts(run, environment, batches, items):
        pending.append(change)
        total += isinstance(change, c.StepCreated)
        if len(pending) >= BATCH:
            _write(store, state, pending)
            pending = []
    _write(store, state, pending)
    store.close()
    return total


def _write(store: Store, state: State, pending: list[c.Change]) -> None:
    state.load(pending)
    store.write(pending)


def _facts(run: str, environment: str, batches: int, items: int) -> Iterator[c.Change]:
    yield c.RunCreated(run, environment, "big", "root", "test", BEGAN)
    yield from _step(run, 1, environment, "root", None, None)
    number = 1
    for batch in range(batches):
        number += 1
        parent = number
        yield from _step(run, parent, environment, "batch", 1, None)
        for item in range(items):
            number += 1
            before = number - 1 if item else None
            yield from _step(run, number, environment, "item", parent, before, batch + item)
        yield from _end(run, parent, False)
    yield from _end(run, 1, False)
    yield c.RunFinished(run, "succeeded", BEGAN + number)


def _step(
    run: str, number: int, environment: str, target: str, parent: int | None, before: int | None,
    index: int = 0,
) -> Iterator[c.Change]:  # fmt: skip
    references = (Reference("execution", execution_id(run, before, 1)),) if before else ()
    arguments = {"index": Value(data=b"\x01", size=1, type="int", preview=str(index))}
    if references:
        arguments["before"] = Value(references=references, type="Execution", preview="Execution")
    kind = "workflow" if parent is None else "task"
    made = BEGAN + number
    yield c.StepCreated(
        run, number, Submission("big", target, kind, arguments), environment, made, made,
        parent=execution_id(run, parent, 1) if parent else None,
    )  # fmt: skip
    yield c.Assigned(execution_id(run, number, 1), "Sbcdfgh", made + 1)
    yield c.Started(execution_id(run, number, 1), made + 2)
    if target == "item":
        yield from _end(run, number, number % 97 == 0)


def _end(run: str, number: int, fails: bool) -> Iterator[c.Change]:
    result = (
        Raised(RemoteError("builtins.ValueError", f"no luck with {number}"))
        if fails
        else Returned(Value(data=b"\x01", size=1, type="int", preview="1"))
    )
    yield c.ResultRecorded(execution_id(run, number, 1), result, BEGAN + number + 40)


def write_logs(data_dir: Path, run: str, lines: int) -> None:
    """Many lines of log of the run's first step."""
    (directory,) = (data_dir / "projects").iterdir()
    logs = LogStore(directory)
    execution = execution_id(run, 1, 1)
    for start in range(0, lines, 50_000):
        logs.write(
            LogEntry(execution, seq, BEGAN + seq, "stdout", f"line {seq}")
            for seq in range(start, min(lines, start + 50_000))
        )
    logs.close()
