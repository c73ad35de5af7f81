"""`%coflux export`: a module that has what the notebook's targets mention."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kernel import Kernel

pytestmark = pytest.mark.slow

CELLS = [
    "from dataclasses import dataclass\nfrom importlib.resources import files\nimport math",
    """
LEAST = 3
daily = cf.Schedule("0 6 * * *", arguments={"order": "all"})

@dataclass
class Decision:
    amount: float
""",
    'decide = cf.Prompt("Refund {order}?", model=str)',
    'decide = cf.Prompt(\n    "Refund order {order}?", model=Decision, title="A refund"\n)',
    """
def rounded(amount):
    return math.floor(amount) if amount > LEAST else 0

@cf.workflow(schedule=daily)
def refund(order: str) -> int:
    assert files("coflux")
    return rounded(decide(order=order).amount)
""",
]


def test_the_module_has_imports_constants_and_declarations_in_order(
    kernel: Kernel, tmp_path: Path
) -> None:
    for cell in CELLS:
        kernel.run(cell)
    path = tmp_path / "flow.py"
    assert "refund" in kernel.run(f"%coflux export {path}").stdout
    text = path.read_text()
    # As one would write it, not where the function happens to live.
    assert "from importlib.resources import files\n" in text
    assert (
        text.index("class Decision") < text.index("decide = cf.Prompt") < text.index("def refund")
    )
    # The newest of two declarations.
    assert text.count("decide = ") == 1
    assert 'title="A refund"' in text
    probe = "import flow; print(flow.refund, flow.rounded(7.9), flow.rounded(2), flow.decide.title)"
    ran = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split()[-4:] == ["7", "0", "A", "refund"]


def test_what_has_no_source_is_named(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import threading\nlock = threading.Lock()")
    kernel.run("@cf.workflow()\ndef guarded():\n    return bool(lock)")
    error = kernel.attempt(f"%coflux export {tmp_path / 'flow.py'}").error
    assert error.startswith("InvalidRequest: guarded mentions 'lock'")
    assert not (tmp_path / "flow.py").exists()
    kernel.run("del guarded, lock")


def test_a_file_is_not_replaced_unless_that_is_said(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("@cf.workflow()\ndef plain():\n    return 1")
    path = tmp_path / "flow.py"
    path.write_text("mine")
    assert kernel.attempt(f"%coflux export {path}").error.startswith("Conflict: ")
    assert path.read_text() == "mine"
    kernel.run(f"%coflux export --force {path}")
    assert "def plain" in path.read_text()
