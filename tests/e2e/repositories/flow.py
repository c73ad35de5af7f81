"""Target functions that the tests run: each does one thing that a promise is about."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from witness import saw

import coflux as cf

# --- values, errors, retries ------------------------------------------------------------------


@cf.workflow()
def add(a: int, b: int = 2) -> int:
    """The sum of two numbers."""
    return a + b


@cf.task(retries=2)
def flaky(path: str, good: int) -> int:
    """Fails until it is tried for the `good`th time."""
    saw("flaky")
    with open(path, "a") as file:
        file.write("x")
    tries = os.path.getsize(path)
    if tries < good:
        raise ConnectionError(f"try {tries} fails")
    return tries


@cf.workflow()
def retried(path: str, good: int) -> int:
    return flaky(path, good)


@cf.workflow()
def fails(message: str) -> None:
    raise KeyError(message)


@cf.workflow()
def catches(message: str) -> str:
    """A caller catches what the function raised, by its own class."""
    try:
        broken(message)
    except ValueError as error:
        return f"{type(error).__mro__[1].__name__}: {error}"
    return "nothing was raised"


@cf.task()
def broken(message: str) -> None:
    raise ValueError(message)


@cf.workflow()
def unserialisable() -> Any:
    return {"a": [1, 2, (each for each in ())]}


@cf.workflow()
def exits(code: int) -> None:
    print("last words")
    print("without an end", end="", flush=True)
    os._exit(code)


# --- cache, memo, spawned runs, groups --------------------------------------------------------


@cf.task(cache=True)
def cached(key: str) -> int:
    saw("cached")
    return os.getpid()


@cf.task(cache=cf.Cache(version="2"))
def versioned(key: str) -> str:
    return key


@cf.workflow()
def uses_cache(key: str) -> int:
    return cached(key)


@cf.task(memo=True)
def memoised(key: str) -> int:
    saw("memoised")
    return os.getpid()


@cf.workflow()
def uses_memo(key: str) -> bool:
    return memoised(key) == memoised(key)


@cf.workflow()
def spawns(a: int) -> int:
    return add(a, b=10)


@cf.workflow()
def grouped(count: int) -> list[int]:
    with cf.group("squares"):
        squares = [square.submit(each) for each in range(count)]
    with cf.group():
        more = [square.submit(10 + each) for each in range(count)]
    return [each.result() for each in squares + more]


@cf.task()
def square(number: int) -> int:
    return number * number


@cf.workflow()
def deep(depth: int) -> int:
    return deeper(depth)


@cf.task()
def deeper(depth: int) -> int:
    return 1 + deeper(depth - 1) if depth > 1 else 1


# --- things that take long --------------------------------------------------------------------


@cf.task()
def endless(name: str) -> None:
    """Runs, with a subprocess, until it is ended."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    away = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    Path(name).write_text(f"{child.pid} {away.pid}")
    saw("endless")
    time.sleep(3600)


@cf.workflow()
def endless_run(name: str) -> None:
    endless(name)


@cf.workflow()
def endless_pair(name: str) -> str:
    """Goes on when its first child has been cancelled."""
    first, second = endless.submit(name + "1"), endless.submit(name + "2")
    try:
        first.result()
    except cf.ExecutionCancelled:
        saw("caught")
    second.result()
    return "both are gone"


@cf.workflow()
def until_file(path: str) -> str:
    """Runs until somebody has written something into the file; says what."""
    saw("until_file")
    while not (os.path.exists(path) and os.path.getsize(path)):
        time.sleep(0.01)
    return Path(path).read_text()


@cf.workflow()
def parent_of_until_file(path: str) -> str:
    saw("parent")
    return child_until_file(path)


@cf.task()
def child_until_file(path: str) -> str:
    saw("child")
    while not os.path.exists(path):
        time.sleep(0.01)
    return Path(path).read_text()


@cf.workflow(timeout=0.3, retries=1)
def too_slow() -> None:
    saw("too_slow")
    time.sleep(3600)


# --- where and when ---------------------------------------------------------------------------


@cf.workflow(requires={"gpu": ["big", "huge"]})
def needs_gpu() -> int:
    return os.getppid()


@cf.workflow()
def needs_nothing() -> int:
    return os.getppid()


@cf.workflow(delay=0.5)
def later() -> float:
    return time.time()


@cf.workflow()
def gated(path: str) -> str:
    """The second task starts when what it is given is there, and not before."""
    return opened(child_until_file.submit(path))


@cf.task(wait=True)
def opened(text: cf.Execution[str]) -> str:
    saw("opened")
    return text.result() + "!"


@cf.workflow()
def suspends() -> int:
    with cf.suspense():
        return 1 + slow_number.submit().result()


@cf.task(memo=True)
def slow_number() -> int:
    time.sleep(0.2)
    return 41


@cf.workflow()
def first_of(path: str) -> str:
    winner, _ = cf.select([endless.submit(path), named.submit("quick")], cancel_remaining=True)
    return winner.result()


@cf.task()
def named(name: str) -> str:
    return name


# --- logs -------------------------------------------------------------------------------------


@cf.workflow()
def talks() -> None:
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").info("logged %s", 1)
    logging.getLogger("mine").error("trouble")
    cf.log_warning("{count} left of {kind}", count=3, kind="apples", extra=[1])
    subprocess.run(["sh", "-c", "echo from below; echo below stderr >&2"], check=True)
    os.write(1, b"raw\n\n")
    print("no end", end="")


@cf.workflow()
def shouts(count: int) -> None:
    """Writes lines, then waits to be killed."""
    for each in range(count):
        print(f"line {each}")
    print("cut off", end="", flush=True)
    saw("shouted")
    time.sleep(3600)


# --- assets -----------------------------------------------------------------------------------


@cf.workflow()
def assets() -> dict[str, Any]:
    file, folder = make_file.submit(), make_folder.submit()
    return read_assets(file, folder)


@cf.task()
def make_file() -> cf.Asset:
    Path("note.txt").write_text("of note")
    return cf.persist_asset("note.txt", name="note")


@cf.task()
def make_folder() -> cf.Asset:
    Path("tree/branch").mkdir(parents=True)
    Path("tree/branch/leaf").write_bytes(b"\x00leaf")
    Path("tree/empty").touch()
    return cf.persist_asset("tree")


@cf.task()
def read_assets(file: cf.Execution[cf.Asset], folder: cf.Execution[cf.Asset]) -> dict[str, Any]:
    note = file.result().restore()
    tree = folder.result().restore(to="copy")
    return {
        "note": [str(note.relative_to(Path.cwd())), note.read_text()],
        "tree": sorted(str(p.relative_to(tree)) for p in tree.rglob("*")),
        "leaf": next(tree.rglob("leaf")).read_bytes() == b"\x00leaf",
    }


# --- isolation --------------------------------------------------------------------------------

_calls: list[int] = []


@cf.workflow()
def calls_so_far() -> list[int]:
    _calls.append(os.getpid())
    os.environ["LEFT_BEHIND"] = os.environ.get("LEFT_BEHIND", "") + "x"
    return [len(_calls), len(os.environ["LEFT_BEHIND"])]


@cf.workflow()
def fan(count: int) -> int:
    return sum(each.result() for each in [square.submit(n) for n in range(count)])


def lines() -> Iterator[str]:
    """No target: it is not registered."""
    yield "nothing"
