"""Run the notebooks and keep what they show, for readers without a kernel.

    python docs/tools/notebooks.py [NAME.ipynb ...]

A server of its own is started for it. Numbers of cells and times stay as they were where only they
would change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_USUAL = "http://127.0.0.1:7777"
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def main(names: list[str]) -> int:
    """The exit code."""
    paths = [NOTEBOOKS / name for name in names] or sorted(NOTEBOOKS.glob("*.ipynb"))
    with tempfile.TemporaryDirectory(prefix="cfn-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        os.environ["IPYTHONDIR"] = folder
        command = ["server", "--port", "0", "--data-dir", folder, "--exit-on-stdin-eof"]
        server = subprocess.Popen(
            [sys.executable, "-m", "coflux", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        assert server.stdin is not None
        server.stdout.readline()
        try:
            for path in paths:
                execute(path)
        finally:
            server.stdin.close()
            server.wait()
    return 0


def _settle(output: nbformat.NotebookNode) -> None:
    """The server that was started for it has the usual address in what is kept."""
    found = output.get("data", {})
    for kind in found:
        if isinstance(found[kind], str):
            found[kind] = _ADDRESS.sub(_USUAL, found[kind])
    if "text" in output:
        output["text"] = _ADDRESS.sub(_USUAL, output["text"])


def execute(path: Path) -> None:
    """Run one notebook and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    os.environ["JPY_SESSION_NAME"] = str(path)
    client = NotebookClient(
        notebook,
        timeout=120,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            _settle(output)
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)
    sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
