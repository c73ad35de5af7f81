"""Target functions for agents that pools start."""

from __future__ import annotations

import os
import time
from pathlib import Path

from witness import saw

import coflux as cf


@cf.workflow()
def tell(name: str) -> str | None:
    """A variable of the agent."""
    saw("tell")
    return os.environ.get(name)


@cf.workflow()
def wait_for(path: str) -> int:
    """Runs until a file is there."""
    saw("wait_for")
    while not Path(path).exists():
        time.sleep(0.02)
    return os.getppid()
