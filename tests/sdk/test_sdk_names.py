"""The package's names: complete, lazy, and seen by type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import coflux


def test_all_is_sorted_and_complete() -> None:
    assert sorted(coflux.__all__) == coflux.__all__
    for name in coflux.__all__:
        assert getattr(coflux, name).__name__ == name


def test_type_checkers_see_every_name() -> None:
    tree = ast.parse(Path(coflux.__file__).read_text())
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen >= set(coflux.__all__)


def test_importing_is_light() -> None:
    """`import coflux` loads nothing of ours, and a decorator nothing heavy."""
    script = (
        "import sys, coflux; a = [m for m in sys.modules if m.startswith('coflux.')];"
        "coflux.task; heavy = [m for m in ('tornado', 'peewee', 'rich', 'click', 'cloudpickle',"
        " 'numpy', 'http.client') if m in sys.modules]; print(a, heavy)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] []"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(coflux, "nonsense")
