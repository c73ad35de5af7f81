"""Jupyter servers and kernels for tests; all of it in processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("jupyter_server")

from kernel import Kernel
from lab import Jupyter, browser_path


@pytest.fixture(scope="module")
def jupyter() -> Iterator[Jupyter]:
    """A Jupyter server with the extension, below a prefix, shared by the tests of a module."""
    with Jupyter() as server:
        server.start("server")
        yield server


@pytest.fixture(scope="module")
def kernel(jupyter: Jupyter) -> Iterator[Kernel]:
    """A kernel with `%coflux`, connected, shared by the tests of a module."""
    with Kernel(jupyter) as kernel:
        kernel.run("%load_ext coflux\nimport coflux as cf\nimport os, time")
        kernel.run("%coflux connect")
        yield kernel


@pytest.fixture(scope="session")
def browser() -> None:
    """A browser, or the test is skipped; where the tests are the judge it has to be there."""
    if browser_path() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no browser was found; install chromium")
        pytest.skip("no browser was found")
