"""The README's twelve lines, and what it says is then seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reader import Reader

README = Path(__file__).parents[2] / "README.md"


def seen(printed: str) -> list[str]:
    """The lines without what differs each time: ids, times, and which step was done first."""
    text = re.sub(r"\bR\w{6,}", "RUN", printed)
    text = re.sub(r"in [\d.]+ m?s$", "in a moment", text, flags=re.M)
    return sorted(line.strip() for line in text.splitlines())


@pytest.mark.slow
def test_the_twelve_lines_do_what_the_readme_shows(tmp_path: Path) -> None:
    text = README.read_text("utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.S)
    ((command, shown),) = re.findall(r"```\n\$ (coflux run .*?)\n(.*?)```", text, re.S)
    assert len(list(filter(None, source.splitlines()))) <= 12
    reader = Reader(tmp_path)
    (reader.folder / "shop.py").write_text(source)
    reader.outputs.append("")
    reader.run(command, 0)
    assert seen(reader.outputs[-1].partition("\n")[2]) == seen(shown)
