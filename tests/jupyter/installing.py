"""Coflux as users install it: a wheel, in a virtual environment of its own.

Belongs here: building and installing. Does not belong here: what any test expects.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What a wheel is made of.
_PARTS = ("coflux", "jupyter-config", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> Path:
    """A wheel of the checkout; nothing is left in the checkout itself."""
    source = folder / "source"
    source.mkdir()
    for name in _PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path) -> Path:
    """The Python of a new virtual environment with the wheel and JupyterLab."""
    wheel = build(folder)
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    _run(str(python), "-m", "pip", "install", f"{wheel}[jupyter]", "jupyterlab>=4.2")
    return python


def _run(*command: str) -> None:
    clean = {
        name: v for name, v in os.environ.items() if not name.startswith(("COFLUX_", "PYTHON"))
    }
    ran = subprocess.run(
        command, env=clean, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"
