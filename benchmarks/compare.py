"""Coflux beside dask.distributed and Prefect: the same trivial work, one after the other.

    python benchmarks/compare.py            measure, print the table
    python benchmarks/compare.py --write    and put it into docs/benchmarks.md

Peers are installed from the package index into virtual environments under the folder named by
`COFLUX_BENCHMARK_ENVS` (default: one in the temporary directory), so that nothing of theirs is
needed by Coflux. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
import venv
from pathlib import Path

from stack import HERE, Stack

PEERS = {
    "dask.distributed": ("distributed", "dask_work.py"),
    "prefect": ("prefect", "prefect_work.py"),
}
ROWS = {
    "sequential_ms": ("a call of a trivial task, median", "ms"),
    "fan_out_per_s": ("1,000 tasks fanned out and gathered", "/s"),
    "outside_ms": ("from outside, submit to result, median", "ms"),
    "ready_s": ("ready after start", "s"),
    "drain_ratio": ("backlog of 10,000: rate at the end against the beginning", "×"),
    "cache_hits_per_s": ("cache hits", "/s"),
    "memo_hits_per_s": ("memo hits", "/s"),
    "gather_mb_per_s": ("64 results of 1 MB gathered", "MB/s"),
}
BARS = {
    "Coflux, reuse": {
        "sequential_ms": 1.3, "fan_out_per_s": 2000, "outside_ms": 10, "ready_s": 1,
        "drain_ratio": 0.9, "cache_hits_per_s": 3000, "memo_hits_per_s": 3000,
        "gather_mb_per_s": 500,
    },
    "Coflux, fork": {"sequential_ms": 4, "fan_out_per_s": 450},
}  # fmt: skip


def measure(isolation: str) -> dict[str, float]:
    """All figures of Coflux with one kind of isolation."""
    with Stack(isolation) as stack:
        found = {"ready_s": stack.ready_s}
        stack.run("sequential", 50)
        found["sequential_ms"] = statistics.median(stack.run("sequential", 300))
        found["fan_out_per_s"] = statistics.median(stack.run("fan_out", 1000) for _ in range(3))
        found["outside_ms"] = statistics.median(_outside(stack) for _ in range(50))
        if isolation == "reuse":
            found["drain_ratio"] = statistics.median(stack.run("drain", 10_000) for _ in range(3))
            for key, target, count in (
                ("cache_hits_per_s", "cache_hits", 1000),
                ("memo_hits_per_s", "memo_hits", 1000),
                ("gather_mb_per_s", "gather", 64),
            ):
                stack.run(target, count)
                found[key] = statistics.median(stack.run(target, count) for _ in range(3))
        return found


def _outside(stack: Stack) -> float:
    begun = time.perf_counter()
    stack.run("nothing")
    return (time.perf_counter() - begun) * 1000


def peer_folder(package: str) -> Path:
    """The virtual environment of a peer."""
    default = Path(tempfile.gettempdir()) / "coflux-benchmark-envs"
    return Path(os.environ.get("COFLUX_BENCHMARK_ENVS", default)) / package


def measure_peer(package: str, script: str) -> dict[str, float]:
    """The figures of a peer, in a virtual environment of its own."""
    folder = peer_folder(package)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", package], check=True)
    with tempfile.TemporaryDirectory() as home:
        surroundings = {**os.environ, "HOME": home, "PREFECT_HOME": home,
                        "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}  # fmt: skip
        done = subprocess.run(
            [python, str(HERE / "peers" / script)], env=surroundings, check=True, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown."""
    lines = ["| | " + " | ".join(figures) + " | bar |", "|---" * (len(figures) + 2) + "|"]
    for key, (name, unit) in ROWS.items():
        cells = [_cell(found.get(key), unit) for found in figures.values()]
        bars = [f"{BARS[who][key]:g} ({who[8:]})" for who in BARS if key in BARS[who]]
        lines.append(f"| {name} | {' | '.join(cells)} | {', '.join(bars)} |")
    return "\n".join(lines)


def _cell(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}"


def machine() -> str:
    """Where and when."""
    load = os.getloadavg()[0]
    return (
        f"{datetime.date.today()}, {os.cpu_count()} cores, load before the start {load:.1f}, "
        f"{platform.system()} {platform.machine()}, CPython {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    where = machine()
    figures: dict[str, dict[str, float]] = {}
    for isolation in ("reuse", "fork"):
        figures[f"Coflux, {isolation}"] = measure(isolation)
    for package, (name, script) in () if options.no_peers else PEERS.items():
        figures[package] = measure_peer(name, script)
    text = f"{where}\n\n{table(figures)}"
    print(text)
    if options.write:
        _write(text)


def _write(text: str) -> None:
    path = HERE.parent / "docs" / "benchmarks.md"
    head, mark, rest = path.read_text().partition("<!-- compare -->\n")
    _, end, tail = rest.partition("<!-- end -->")
    path.write_text(f"{head}{mark}{text}\n{end}{tail}")


if __name__ == "__main__":
    main()
