"""The pytest plugin that comes with Coflux: its fixture. Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from coflux.testing.engine import Engine


@pytest.fixture
def coflux_engine() -> Iterator[Engine]:
    """An engine in memory, with a clock that jumps: `coflux_engine.run(workflow, …)`."""
    # Late: most tests of a project that has Coflux need none of it.
    from coflux.testing.engine import Engine

    with Engine() as engine:
        yield engine
