"""The work that is measured, as a repository for Coflux."""

from __future__ import annotations

import time

import coflux as cf


@cf.task()
def echo(n: int) -> int:
    return n


@cf.task(cache=True)
def cached(n: int) -> int:
    return n


@cf.task(memo=True)
def memoised(n: int) -> int:
    return n


@cf.task()
def megabyte(n: int) -> bytes:
    return bytes([n % 256]) * 1_000_000


@cf.workflow()
def nothing() -> int:
    return 1


@cf.workflow()
def sequential(count: int = 300) -> list[float]:
    """Milliseconds of each call."""
    times = []
    for n in range(count):
        begun = time.perf_counter()
        echo(n)
        times.append((time.perf_counter() - begun) * 1000)
    return times


@cf.workflow()
def fan_out(count: int = 1000) -> float:
    """Tasks a second, submitted and gathered."""
    begun = time.perf_counter()
    parts = [echo.submit(n) for n in range(count)]
    assert sum(part.result() for part in parts) == count * (count - 1) // 2
    return count / (time.perf_counter() - begun)


@cf.task()
def moment(n: int) -> float:
    return time.time()


@cf.workflow()
def drain(count: int = 10_000) -> float:
    """Rate of a backlog's last thousand against its first: 1.0 = as fast."""
    parts = [moment.submit(n) for n in range(count)]
    submitted = time.time()
    # Some have ended while others were submitted: what counts begins behind them.
    ends = sorted(end for part in parts if (end := part.result()) > submitted)
    return (ends[1000] - ends[0]) / (ends[-1] - ends[-1001])


@cf.workflow()
def cache_hits(count: int = 1000) -> float:
    """Hits a second; the entries are made before."""
    for part in [cached.submit(0)]:
        part.result()
    begun = time.perf_counter()
    parts = [cached.submit(0) for _ in range(count)]
    assert sum(part.result() for part in parts) == 0
    return count / (time.perf_counter() - begun)


@cf.workflow()
def memo_hits(count: int = 1000) -> float:
    """Hits a second."""
    memoised(0)
    begun = time.perf_counter()
    parts = [memoised.submit(0) for _ in range(count)]
    assert sum(part.result() for part in parts) == 0
    return count / (time.perf_counter() - begun)


@cf.workflow()
def gather(count: int = 64) -> float:
    """Megabytes a second of results of 1 MB."""
    parts = [megabyte.submit(n) for n in range(count)]
    for part in parts:
        part.poll(timeout=60)
    begun = time.perf_counter()
    size = sum(len(part.result()) for part in parts)
    return size / 1e6 / (time.perf_counter() - begun)


@cf.workflow()
def large(count: int = 100_000) -> int:
    """A run of many steps."""
    done = 0
    for start in range(0, count, 2000):
        parts = [echo.submit(n) for n in range(start, min(count, start + 2000))]
        done += sum(1 for part in parts if part.result() >= 0)
    return done


@cf.workflow()
def flood(rate: int = 1000, seconds: float = 10.0) -> float:
    """Steps a second that were submitted and done, when `rate` are wanted."""
    begun = time.perf_counter()
    parts: list[cf.Execution[int]] = []
    while (passed := time.perf_counter() - begun) < seconds:
        due = int(passed * rate) - len(parts)
        parts += [echo.submit(n) for n in range(due)]
        time.sleep(0.02)  # the rate is kept in small portions
    for part in parts:
        part.result()
    return len(parts) / (time.perf_counter() - begun)


@cf.task()
def branch(count: int) -> int:
    """As many steps as `count`, itself included, no two of which lie in one pile."""
    left = (count - 1) // 2
    return 1 + sum(branch(part) for part in (left, count - 1 - left) if part)


@cf.workflow()
def tree(count: int = 5000) -> int:
    """A run of so many steps, one after the other, whose graph cannot be folded."""
    return 1 + branch(count - 1)
