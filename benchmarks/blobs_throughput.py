"""How fast files go into and out of a folder of blobs, beside copying and hashing them plainly.

    python benchmarks/blobs_throughput.py [--size MEGABYTES] [--directory DIR]

The peer does what a plain program would: `shutil.copyfile` with fsync, then SHA-256 over the file.
Prints a line for each, and the highest memory of the process, which must not grow with the size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from coflux.blobs import LocalBlobs

MEGABYTE = 1024 * 1024


def make_file(path: Path, megabytes: int) -> None:
    """A file of bytes that no disk can compress, with no two equal pieces."""
    piece = bytearray(os.urandom(MEGABYTE))
    with open(path, "wb") as file:
        for number in range(megabytes):
            piece[:8] = number.to_bytes(8, "big")
            file.write(piece)
        os.fsync(file.fileno())


def plain_copy(source: Path, target: Path) -> None:
    """The peer: copy, make durable, hash."""
    shutil.copyfile(source, target)
    with open(target, "rb") as file:
        os.fsync(file.fileno())
        sha = hashlib.sha256()
        while chunk := file.read(MEGABYTE):
            sha.update(chunk)


def timed(name: str, megabytes: int, act: Callable[[], object]) -> None:
    """Print the throughput of an action, and the process's highest memory so far."""
    started = time.perf_counter()
    act()
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:28} {megabytes / seconds:8.0f} MB/s   highest memory {memory:6.0f} MB")


def main() -> None:
    """Run all and clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="megabytes (default 2048)")
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        source, blobs = folder / "source", LocalBlobs(folder / "blobs")
        make_file(source, options.size)
        timed("copyfile + fsync + sha256", options.size, lambda: plain_copy(source, folder / "c"))
        (folder / "c").unlink()
        timed("put_file", options.size, lambda: blobs.put_file(source))
        sha = next(path.name for path in (folder / "blobs").glob("??/*"))
        timed("put_file, known already", options.size, lambda: blobs.put_file(source))
        timed("fetch_to", options.size, lambda: blobs.fetch_to(sha, folder / "fetched"))


if __name__ == "__main__":
    main()
