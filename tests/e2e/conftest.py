"""Surroundings in which `coflux` runs as a user's process does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess
Coflux = Callable[..., "Ran[str]"]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Environment variables with folders of their own and no settings."""
    for name in ("runtime", "data", "work"):
        (tmp_path / name).mkdir(mode=0o700)
    clean = {name: v for name, v in os.environ.items() if not name.startswith("COFLUX_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    own = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return {**clean, **own, "PATH": path}


@pytest.fixture
def work(tmp_path: Path, surroundings: dict[str, str]) -> Path:
    """The working directory of the commands."""
    return tmp_path / "work"


@pytest.fixture
def coflux(work: Path, surroundings: dict[str, str]) -> Coflux:
    """Runs a command to its end."""

    def run(*arguments: str) -> Ran[str]:
        return subprocess.run(
            [sys.executable, "-m", "coflux", *arguments],
            cwd=work, env=surroundings, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run
