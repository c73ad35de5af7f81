"""The notebooks of the project, run cell by cell; what they show has to come out again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab import until

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture(scope="module")
def surroundings() -> Iterator[dict[str, str]]:
    """The environment variables of kernels that find a server."""
    with tempfile.TemporaryDirectory(prefix="cfn-") as folder:
        clean = {name: v for name, v in os.environ.items() if not name.startswith("COFLUX_")}
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        variables = {
            **clean,
            "XDG_RUNTIME_DIR": str(runtime),
            "IPYTHONDIR": folder,
            # As where there is a kernel, not as this process is.
            "PYTHONWARNINGS": "default",
        }
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "coflux",
                "server",
                "--port",
                "0",
                "--data-dir",
                f"{folder}/data",
                "--exit-on-stdin-eof",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=variables,
        )
        assert server.stdin is not None
        try:
            until(lambda: list((runtime / "coflux").glob("server-*.json")), "the server is there")
            yield variables
        finally:
            server.stdin.close()
            server.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_gives_what_it_shows(name: str, surroundings: dict[str, str]) -> None:
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env",
            "--nbval-cell-timeout", "120", "--nbval-sanitize-with", "nbval-sanitize.cfg",
            "-p", "no:cacheprovider", "-q", "-W", "default", "--rootdir", ".", "-c", os.devnull,
            name,
        ],
        cwd=NOTEBOOKS,
        env={**surroundings, "JPY_SESSION_NAME": str(NOTEBOOKS / name)},
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_notebook_is_readable_without_a_kernel(name: str) -> None:
    """Pictures and text, no widget that nobody can show, no path of the machine it was run on."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    runs = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is not None, f"{name} has been saved without its outputs"
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            assert "application/vnd.jupyter.widget-view+json" not in data
            if "application/vnd.coflux.run+json" in data:
                runs += 1
                assert "<svg" in data["image/svg+xml"]
                assert "running" not in data["text/plain"]
    assert runs
    text = (NOTEBOOKS / name).read_text("utf-8")
    assert str(NOTEBOOKS.parent) not in text
    assert "site-packages" not in text
