"""A world for each test, whose replay is compared with it at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core import invariants
from tests.core.given import World


@pytest.fixture
def world() -> Iterator[World]:
    """A project without agents."""
    world = World()
    yield world
    if world.is_replayed:
        invariants.check_replay(world.state, world.replayed())
