"""The documents are complete and current: names, commands, settings, links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import coflux

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
_LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


TOOLS = [t for t in sorted((ROOT / "docs" / "tools").glob("*.py")) if "--check" in t.read_text()]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda p: p.stem)
def test_generated_pages_are_current(tool: Path) -> None:
    done = subprocess.run([sys.executable, tool, "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, f"run python {tool.relative_to(ROOT)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [
        target for target in _LINK.findall(page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]  # fmt: skip
    assert not missing


def test_every_public_name_exists_is_sorted_and_has_a_docstring() -> None:
    names = list(coflux.__all__)
    assert names == sorted(names)
    assert [n for n in names if not (getattr(coflux, n).__doc__ or "").strip()] == []


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    assert [n for n in coflux.__all__ if f"### `cf.{n}" not in page] == []


def test_every_setting_is_documented() -> None:
    found = set()
    for path in (ROOT / "coflux").rglob("*.py"):
        found |= set(re.findall(r"[\"'](COFLUX_[A-Z_]+)[\"']", path.read_text("utf-8")))
    told = "".join(page.read_text("utf-8") for page in PAGES)
    assert [name for name in sorted(found) if name not in told] == []


def test_no_document_tells_to_fetch_the_plain_name() -> None:
    """The plain name belongs to another package on the public index."""
    for page in PAGES:
        assert "pip install coflux" not in page.read_text("utf-8"), page
