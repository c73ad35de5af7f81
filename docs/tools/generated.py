"""A page that a script writes: `python docs/tools/SCRIPT.py` writes it, `--check` compares only."""

from __future__ import annotations

import sys
from pathlib import Path


def main(page: Path, text: str) -> int:
    """Write the text, or say whether the page has it; the exit code."""
    if "--check" not in sys.argv:
        page.write_text(text, "utf-8")
        return 0
    if page.exists() and page.read_text("utf-8") == text:
        return 0
    sys.stderr.write(f"{page} is out of date; run {Path(sys.argv[0]).name}\n")
    return 1
