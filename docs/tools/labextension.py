"""Name JupyterLab's part of Coflux by its content, so that browsers fetch what has changed.

python docs/tools/labextension.py           rename the file and write package.json
python docs/tools/labextension.py --check   fail if that would change something
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "coflux" / "jupyter" / "labextension"


def describe(entry: str) -> str:
    """package.json, which JupyterLab reads."""
    content = {
        "name": "coflux",
        "version": version("coflux-jupyter"),
        "description": "Coflux in JupyterLab: runs as outputs, a sidebar, pages in tabs",
        "license": "BSD-3-Clause",
        "jupyterlab": {
            "extension": True,
            "_build": {"load": f"static/{entry}", "extension": "./extension"},
        },
    }
    return json.dumps(content, indent=2) + "\n"


def main(arguments: list[str]) -> int:
    """The exit code."""
    (source,) = (FOLDER / "static").glob("remoteEntry*.js")
    name = f"remoteEntry.{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.js"
    package = FOLDER / "package.json"
    is_current = source.name == name and package.exists() and package.read_text() == describe(name)
    if "--check" in arguments:
        return 0 if is_current else 1
    source.rename(source.with_name(name))
    package.write_text(describe(name), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
