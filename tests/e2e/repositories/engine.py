"""Target functions that wait, repeat, give way and ask: the engine as user code sees it."""

from __future__ import annotations

import atexit
import itertools
import threading
import time
from pathlib import Path

from witness import saw

import coflux as cf


def until(path: str) -> str:
    """Wait until a file is there; gives its content."""
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)
    return Path(path).read_text()


# --- deferral -----------------------------------------------------------------------------------


@cf.workflow(defer=cf.Defer(params=["name"]), delay=1)
def index(name: str, revision: int) -> int:
    """Of many changes to one document only the last is indexed."""
    saw(f"index{revision}")
    return revision


# --- suspension ---------------------------------------------------------------------------------


@cf.task(memo=True)
def answer(path: str) -> str:
    saw("answer")
    return until(path)


@cf.workflow()
def patient(path: str) -> str:
    """Gives up its process while it waits; nothing of it runs on."""
    saw("begins")
    atexit.register(saw, "exit_handler")
    print("before the wait")
    try:
        with cf.suspense():
            return answer(path)
    except BaseException:
        saw("except")
        raise
    finally:
        if Path(path).exists():
            saw("finished")
        else:
            saw("finally")


@cf.workflow()
def naps(path: str) -> str:
    """Suspends of its own will, with a thread that would like to go on."""
    if Path(path).exists():
        return "rested"
    Path(path).write_text("nap")
    thread = threading.Thread(target=lambda: (time.sleep(20), saw("thread")))
    thread.start()
    cf.suspend(0.1)
    saw("awake")
    return "never slept"


@cf.workflow()
def restless() -> None:
    """Suspends for ever."""
    cf.suspend()


@cf.workflow()
def quickest(slow: str, quick: str) -> str:
    """Suspended in a select, it goes on with the first."""
    handles = [answer.submit(slow), answer.submit(quick)]
    with cf.suspense():
        winner, others = cf.select(handles, cancel_remaining=True)
    assert len(others) == 1
    return winner.result()


# --- repetition ---------------------------------------------------------------------------------


@cf.workflow(recurrent=True, delay=0.05)
def countdown(path: str) -> str | None:
    """Runs until the file has three lines."""
    with open(path, "a") as file:
        file.write("tick\n")
    lines = len(Path(path).read_text().splitlines())
    return "lift-off" if lines >= 3 else None


@cf.sensor()
def watch(path: str, seen: int = 0) -> None:
    """Looks at a file, and remembers how much of it it has seen."""
    lines = Path(path).read_text().splitlines()
    for number, line in enumerate(lines[seen:], seen + 1):
        saw(f"line{number}")
        handle.submit(line)
        cf.checkpoint(path, number)
    if lines and lines[-1] == "fail":
        raise RuntimeError("the last line says fail")


@cf.task()
def handle(line: str) -> str:
    return line.upper()


@cf.workflow()
def starts_sensor(path: str) -> str:
    return watch.submit(path).id


# --- limits -------------------------------------------------------------------------------------


@cf.task(slots="gpu")
def exclusive(number: int, path: str) -> tuple[float, float]:
    """When it was in the slot."""
    began = time.time()
    time.sleep(0.05)
    return began, time.time()


@cf.workflow()
def crowd(count: int) -> bool:
    """Whether no two of many were in the slot at a time."""
    spans = sorted(each.result() for each in [exclusive.submit(n, "") for n in range(count)])
    return all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


@cf.workflow(slots="gpu")
def nested(depth: int) -> int:
    """Each level holds the slot and lends it to the next."""
    return inner(depth)


@cf.task(slots="gpu")
def inner(depth: int) -> int:
    return 0 if depth == 0 else 1 + inner(depth - 1)


@cf.workflow(slots={"api": 1})
def polite() -> float:
    return time.time()


@cf.workflow()
def runaway(depth: int) -> int:
    """Calls itself for ever."""
    return runaway(depth + 1)


@cf.workflow()
def spreads(count: int) -> int:
    """Makes many steps."""
    return sum(each.result() for each in [handle_number.submit(n) for n in range(count)])


@cf.task()
def handle_number(number: int) -> int:
    return 1


# --- schedules ----------------------------------------------------------------------------------


@cf.workflow(schedule=cf.Schedule("0 6 * * *", "Europe/Berlin", {"name": "code"}, paused=True))
def punctual(name: str, greeting: str = "hello") -> str:
    instant = cf.scheduled_at()
    return f"{greeting} {name}, {instant.second if instant else 'by hand'}"


# --- many ---------------------------------------------------------------------------------------


@cf.workflow()
def maps(count: int) -> int:
    """Many calls in few round trips."""
    return sum(each.result() for each in scaled.submit_many(range(count), factor=2))


@cf.task()
def scaled(number: int, factor: int) -> int:
    return number * factor
