"""The tutorial, file by file and command by command, in an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reader import Reader

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(reader: Reader) -> None:
    reader.read(TUTORIAL)
    told = "\n".join(reader.outputs)
    assert "7.75" in told
    assert "11.25" in told
    assert "KeyError" in told
    assert "looking up pie" in told
    assert "\n8.5\n" in told
    assert "tea\\ncake" in told or "tea\ncake" in told
