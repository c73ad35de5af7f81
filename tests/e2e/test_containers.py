"""Pools whose agents are containers of a real engine (PO).

Without an engine these tests are skipped on a laptop and fail in CI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from .conftest import make_stack
from .engine import IMAGE, PACKAGE, Engine, is_possible, volumes
from .stack import Stack, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if not is_possible():
        if os.environ.get("CI") == "true":
            pytest.fail("no container engine can be started; install docker.io, as root")
        pytest.skip("no container engine can be started here")
    with closing(Engine()) as engine:
        yield engine


@pytest.fixture
def contained(engine: Engine) -> Iterator[Stack]:
    """A server that may start containers, and to which `contained` is registered."""
    with make_stack() as stack:
        stack.environment["COFLUX_LAUNCHERS"] = "docker"
        stack.environment["COFLUX_DOCKER_HOST"] = engine.address
        stack.start_server()
        stack.cli("register", "contained.py")
        yield stack
        until(lambda: drained(stack, engine), "its containers are gone")


def drained(stack: Stack, engine: Engine) -> bool:
    for pool in stack.client().pools.list():
        stack.client().pools.delete(pool["name"])
    return engine.containers() == []


def create(stack: Stack, **settings: str) -> None:
    python = f"{sys.executable} -m coflux"
    given = {
        "image": IMAGE, "server": stack.url, "network": "host", "command": python,
        "volumes": volumes(stack.work), **settings,
    }  # fmt: skip
    stack.client().pools.create(
        "boxes", launcher="docker", repositories=["contained"], settings=given,
        env={"PYTHONPATH": os.pathsep.join([str(stack.work), str(PACKAGE)])},
    )  # fmt: skip


def pool(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.client().pools.get("boxes")
    return found


def test_a_container_comes_when_work_waits_and_goes_with_its_pool_PO_2_PO_3(
    contained: Stack, engine: Engine
) -> None:
    create(contained)
    assert engine.containers() == []
    assert contained.run("contained/look", "/.dockerenv")
    (container,) = engine.containers()
    assert container["State"] == "running"
    assert container["Labels"]["coflux.launch"] == pool(contained)["launches"][0]["launch"]
    contained.client().pools.delete("boxes")
    until(lambda: engine.containers() == [], "the container is gone")


def test_who_needs_more_memory_than_its_container_has_is_told_so(contained: Stack) -> None:
    """Issue 3, point 7: death with "killed for memory" where it can be told."""
    create(contained, memory="200m")
    outcome = contained.outcome(contained.submit("contained/swell", 400_000_000))
    assert outcome.kind == "crashed"
    assert (outcome.body["signal"], outcome.body["out_of_memory"]) == (9, True)
    # The agent in the container has lived on.
    assert contained.run("contained/look", "/.dockerenv")


def test_an_image_that_is_nowhere_is_told_PO_2(contained: Stack) -> None:
    create(contained, image="localhost:1/nothing-of-the-kind:1")
    run = contained.submit("contained/look", "/")
    until(lambda: pool(contained)["error"], "the pool says what is wrong")
    assert "image localhost:1/nothing-of-the-kind:1 cannot be pulled" in pool(contained)["error"]
    contained.client().cancel(run)


def test_a_container_is_adopted_by_the_next_server_PO_5(contained: Stack, engine: Engine) -> None:
    create(contained)
    run = contained.submit("contained/wait_long")
    contained.until_status(run, "running")
    (before,) = engine.containers()
    contained.kill_server()
    contained.start_server()
    until(lambda: contained.execution(run)["status"] == "running", "its agent is back")
    (after,) = engine.containers()
    assert after["Id"] == before["Id"]
    contained.client().cancel(run)
