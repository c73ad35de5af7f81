"""What runs in containers."""

from __future__ import annotations

import time
from pathlib import Path

import coflux as cf


@cf.workflow()
def look(path: str) -> bool:
    return Path(path).exists()


@cf.workflow()
def swell(size: int) -> int:
    return len(bytearray(size))


@cf.workflow()
def wait_long() -> None:
    time.sleep(600)
