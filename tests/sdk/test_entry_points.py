"""What an installation adds to pytest and to the command line."""

from __future__ import annotations

import configparser
from pathlib import Path


def test_pytest_loads_our_fixtures_and_nothing_that_needs_an_extra() -> None:
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[2] / "setup.cfg")
    points = settings["options.entry_points"]
    assert points["pytest11"].split("\n")[1:] == ["coflux = coflux.testing.plugin"]
    assert "jupyter-coflux = coflux.jupyter.extension:main" in points["console_scripts"]
