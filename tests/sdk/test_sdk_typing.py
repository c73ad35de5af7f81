"""A strict type checker accepts user code, and finds its mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

GOOD = """
from datetime import timedelta
import coflux as cf

@cf.task(cache=True, retries=(2, 1.5), requires={"gpu": True})
def load(city: str, *, days: int = 3) -> list[float]:
    return [1.0] * days

@cf.task
def mean(values: cf.Execution[list[float]], weight: float = 1) -> float:
    return sum(values.result()) * weight

@cf.task()
async def fetch(url: str) -> bytes:
    return url.encode()

@cf.stub("other.place", type="workflow")
def elsewhere(n: int) -> str: ...

@cf.sensor(delay=timedelta(seconds=5))
def watch() -> None: ...

how_many = cf.Prompt("How many in {city}?", model=int, requires={"role": "boss"})

@cf.workflow
async def flow(city: str) -> float:
    with cf.group("load"), cf.suspense(timeout=5):
        handle = load.submit(city, days=4)
    size: int = len(handle.result(timeout=3))
    maybe: list[float] | None = handle.poll()
    sure: list[float] | str = handle.poll(1, "no")
    body: bytes = fetch(city)
    again: bytes = await fetch.submit(city)
    text: str = elsewhere(size)
    first, others = cf.select([handle], cancel_remaining=True)
    cf.cancel(others)
    part: float = mean.with_cache(60).with_retries(3)(handle)
    asset: cf.Asset = cf.persist_asset("out", match="*.csv")
    cf.log_info("done {city}", city=city, size=size)
    asset["a/b"].restore(to="x")
    many: int = how_many(city=city, initial=3)
    question: cf.Input[int] = how_many.submit(city=city)
    few: int = question.result() + await question
    anything = cf.Prompt("And {city}?", schema={"type": "string"})(city=city)
    winner, losers = cf.select([question, handle])
    cf.cancel([question])
    return part + size
"""

BAD = """
import coflux as cf

@cf.task
def load(city: str) -> int:
    return 1

@cf.workflow(cache="yes")
def flow() -> None:
    load(5)
    text: str = load("x")
    load.submit("x").result().upper()
"""


def check(tmp_path: Path, source: str) -> list[str]:
    path = tmp_path / "user_code.py"
    path.write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--disable-error-code=empty-body"]
    run = subprocess.run(
        [
            *command,
            "--config-file=",
            "--python-version=3.10",
            "--ignore-missing-imports",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (run.stdout + run.stderr).splitlines()
    return [line for line in lines if "user_code.py" in line and ": error:" in line]


@pytest.mark.slow
def test_correct_code_is_accepted(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []


@pytest.mark.slow
def test_mistakes_are_found(tmp_path: Path) -> None:
    found = {line.split(":")[1] for line in check(tmp_path, BAD)}
    assert found == {"8", "10", "11", "12"}
