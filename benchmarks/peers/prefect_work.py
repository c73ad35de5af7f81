"""The same work in Prefect (thread task runner, ephemeral server): prints one JSON object."""

from __future__ import annotations

import json
import logging
import statistics
import time

from prefect import flow, task

logging.disable(logging.CRITICAL)


@task
def echo(n: int) -> int:
    return n


@flow
def sequential(count: int) -> list[float]:
    times = []
    for n in range(count):
        begun = time.perf_counter()
        echo(n)
        times.append((time.perf_counter() - begun) * 1000)
    return times


@flow
def fan_out(count: int) -> float:
    begun = time.perf_counter()
    parts = [echo.submit(n) for n in range(count)]
    for part in parts:
        part.result()
    return count / (time.perf_counter() - begun)


@flow
def nothing() -> int:
    return 1


def main() -> None:
    begun = time.perf_counter()
    nothing()
    ready = time.perf_counter() - begun
    times = sequential(300)
    outside = []
    for _ in range(5):
        begun = time.perf_counter()
        nothing()
        outside.append((time.perf_counter() - begun) * 1000)
    found = {
        "ready_s": ready,
        "sequential_ms": statistics.median(times),
        "outside_ms": statistics.median(outside),
        "fan_out_per_s": fan_out(1000),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
