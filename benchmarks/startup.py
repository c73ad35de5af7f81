"""How long one waits for the first sign of life: imports, commands, the demo.

    python benchmarks/startup.py [--rounds 10]

Medians, in ms, each in a process of its own; imports without what the interpreter takes by itself.
The peers' figures are taken where `compare.py` has installed them. The demo runs in an empty
folder, so that nothing is cached.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from compare import peer_folder

#: Milliseconds.
BARS = {"import coflux": 100, "coflux --version": 150, "coflux demo, first result": 3_000}


def median(rounds: int, measure: Callable[[], float]) -> float:
    """Of so many rounds, in ms; one before them warms the disk."""
    measure()
    return statistics.median(measure() for _ in range(rounds)) * 1000


def run(*command: str) -> float:
    """Seconds that a command takes."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def first_result() -> float:
    """Seconds from the start of `coflux demo` to its first step that is done."""
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**os.environ, "XDG_RUNTIME_DIR": folder, "XDG_DATA_HOME": f"{folder}/data"}
        work = Path(folder) / "work"
        work.mkdir()
        begun = time.perf_counter()
        process = subprocess.Popen(
            _command("coflux", "demo"), cwd=work, env=surroundings, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        seconds = next(time.perf_counter() - begun for line in process.stdout if "done" in line)
        process.stdout.read()
        process.wait()
        return seconds


def _command(module: str, *arguments: str) -> Sequence[str]:
    return [str(Path(sys.executable).parent / module), *arguments]


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    pythons = {"coflux": sys.executable}
    for package in ("distributed", "prefect"):
        python = peer_folder(package) / "bin" / "python"
        if python.exists():
            pythons[package] = str(python)
    for module, python in pythons.items():
        bare = median(rounds, lambda python=python: run(python, "-c", "pass"))
        whole = median(rounds, lambda p=python, m=module: run(p, "-c", f"import {m}"))
        _print(f"import {module}", whole - bare)
    _print("coflux --version", median(rounds, lambda: run(*_command("coflux", "--version"))))
    if "prefect" in pythons:
        command = str(Path(pythons["prefect"]).parent / "prefect")
        _print("prefect --version", median(rounds, lambda: run(command, "--version")))
    _print("coflux demo, first result", median(max(rounds // 3, 1), first_result))


def _print(name: str, milliseconds: float) -> None:
    bar = f"   bar {BARS[name]:,} ms" if name in BARS else ""
    print(f"{name:28} {milliseconds:8,.0f} ms{bar}")


if __name__ == "__main__":
    main()
