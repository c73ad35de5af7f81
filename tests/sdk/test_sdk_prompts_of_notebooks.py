"""Prompts whose models are declared in a notebook: pickled by value, used in other processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NOTEBOOK = """
import dataclasses, enum, sys, typing
import cloudpickle
import coflux as cf

class Size(enum.Enum):
    SMALL = "small"

@dataclasses.dataclass
class Part:
    sku: str

@dataclasses.dataclass
class Order:
    verdict: typing.Literal["yes", "no"]
    parts: list[Part] = dataclasses.field(default_factory=list)
    size: Size | None = None

decide = cf.Prompt("What?", model=Order)

def asks():
    return decide, Order

cloudpickle.dumps(decide._model.parse({"verdict": "no", "parts": [{"sku": "a"}]}))
sys.stdout.buffer.write(cloudpickle.dumps(asks))
"""

EXECUTOR = """
import pickle, sys
import cloudpickle
prompt, order = pickle.load(sys.stdin.buffer)()
found = prompt._model.parse({"verdict": "yes", "parts": [{"sku": "b"}], "size": "small"})
assert type(found) is order, found
assert found.parts[0].sku == "b"
assert found.size.value == "small"
cloudpickle.dumps(found)
"""


def test_a_model_of_a_notebook_works_in_an_executor_CO_3(tmp_path: Path) -> None:
    notebook = tmp_path / "notebook.py"
    notebook.write_text(NOTEBOOK)
    made = subprocess.run([sys.executable, notebook], capture_output=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr.decode()
    command = [sys.executable, "-c", EXECUTOR]
    used = subprocess.run(
        command, input=made.stdout, capture_output=True, timeout=60, check=False
    )  # fmt: skip
    assert used.returncode == 0, used.stderr.decode()
