"""Run many seeds: `python -m tests.simulation --seeds 1000 [--from N] [--database]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.simulation.store import DatabaseDisk, Disk, ListDisk
from tests.simulation.world import Simulation

SEEDS = Path(__file__).with_name("seeds.txt")
SEEDS_OPERATED = Path(__file__).with_name("seeds_operated.txt")


def main() -> int:
    """0 when every seed ends well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first (0)")
    parser.add_argument("--database", action="store_true", help="with the real SQLite store")
    parser.add_argument("--asks", action="store_true", help="with people who are asked")
    parser.add_argument("--operates", action="store_true", help="with people who operate it")
    parser.add_argument("--collects", action="store_true", help="with runs that are removed soon")
    parser.add_argument("--lines", type=int, default=60, help="of the story of a failure (60)")
    options = parser.parse_args()
    failed = []
    began = time.process_time()
    for seed in range(options.first, options.first + options.seeds):
        if not _run(seed, options):
            failed.append(seed)
    seconds = time.process_time() - began
    print(
        f"{options.seeds} seeds, {seconds / options.seeds:.3f} s each, failed: {failed or 'none'}"
    )
    return 1 if failed else 0


def _run(seed: int, options: argparse.Namespace) -> bool:
    disk: Disk = DatabaseDisk() if options.database else ListDisk()
    simulation = Simulation(seed, disk, options.asks, options.operates, options.collects)
    try:
        simulation.run()
    except Exception as error:  # noqa: BLE001  (whatever goes wrong is what is looked for)
        print("\n".join(simulation.story[-options.lines :]))
        traceback.print_exc(limit=-3)
        print(f"seed {seed}: {type(error).__name__}: {error}\n")
        _remember(seed, SEEDS_OPERATED if options.operates else SEEDS)
        return False
    finally:
        disk.remove()
    return True


def _remember(seed: int, file: Path) -> None:
    known = file.read_text().split() if file.exists() else []
    if str(seed) not in known:
        file.write_text("\n".join([*known, str(seed)]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
