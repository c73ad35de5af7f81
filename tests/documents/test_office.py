"""The weather office's README does what it says: each capability of the engine, on real data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from reader import Reader

OFFICE = Path(__file__).parents[2] / "examples" / "office"


@pytest.mark.slow
def test_the_weather_office_does_what_its_readme_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    ignored = shutil.ignore_patterns(".coflux", "__pycache__")
    shutil.copytree(OFFICE, reader.folder, ignore=ignored, dirs_exist_ok=True)
    try:
        reader.read(OFFICE / "README.md")
    finally:
        reader.stop()
