"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_harness import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with fake project processes."""
    with Server(tmp_path / "data") as running:
        yield running
