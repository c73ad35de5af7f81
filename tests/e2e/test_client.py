"""A program outside any execution against a real server and agent."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coflux as cf
from coflux import config, errors
from coflux.client import Client
from coflux.client import client as module

from .stack import Stack

SOURCE = """
import time
from pathlib import Path
import coflux as cf

@cf.workflow()
def echo(value, *more, flag: bool = False, **named):
    return [value, more, flag, named]

@cf.workflow()
def failing(message: str = "as asked"):
    raise LookupError(message)

@cf.task()
def half(x):
    print(f"half of {x}")
    if x == 3:
        raise ValueError("three has no half here")
    return x / 2

@cf.workflow()
def halves(*numbers):
    parts = [half.submit(x) for x in numbers]
    return [p.result() for p in parts]

@cf.workflow()
def handle(x):
    return half.submit(x)

@cf.workflow()
def table():
    Path("out").mkdir()
    Path("out/a.txt").write_text("A")
    return cf.persist_asset("out", name="table")

@cf.workflow()
def endless():
    while True:
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def served(stack: Stack) -> Stack:
    """The stack with an agent for this module's targets."""
    stack.write("client_targets.py", SOURCE)
    stack.start_agent("client_targets.py", "--register")
    return stack


@pytest.fixture
def client(served: Stack) -> Client:
    return served.client()


@pytest.fixture
def connected(served: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Client]:
    monkeypatch.chdir(tmp_path)
    yield cf.connect(served.url, token=served.token)
    module.disconnect()


@pytest.mark.parametrize(
    "value",
    [None, 1.5, "ö", [1, {"a": None}], (1, 2), {1, 2}, b"\x00", float("inf"), 2**80, {1: "a"},
     "long " * 5000, {"x": list(range(20_000))}],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_arrive_and_come_back_exactly(client: Client, value: Any) -> None:
    """VA-1, SU-1"""
    came, more, flag, named = client.submit("client_targets/echo", value, 2, k="x").result(60)
    assert (came, more, flag, named) == (value, (2,), False, {"k": "x"})
    assert type(came) is type(value)


def test_arguments_that_do_not_fit_are_refused_naming_the_target(client: Client) -> None:
    """SU-1, SU-2"""
    with pytest.raises(errors.InvalidRequest, match="echo"):
        client.submit("client_targets/echo")
    with pytest.raises(TypeError, match="'massage'; did you mean 'message'"):
        client.submit("client_targets/failing", massage="?")
    with pytest.raises(TypeError, match="decorated function"):
        client.submit(len, 1)
    with pytest.raises(TypeError, match="echo"):
        client.submit("client_targets/echo", flag={1})
    with pytest.raises(errors.NotFound, match="did you mean 'echo'"):
        client.submit("client_targets/ecko", 1)


def test_an_error_is_the_remote_one(client: Client) -> None:
    """ER-1, ER-2"""
    run = client.submit("client_targets/failing")
    with pytest.raises(LookupError, match="as asked") as caught:
        run.result(60)
    assert isinstance(caught.value, cf.ExecutionError)
    assert caught.value.remote_frames[-1][2] == "failing"
    assert run.status == "failed"


def test_the_same_key_gives_the_same_run_and_another_request_a_conflict(client: Client) -> None:
    """SU-4"""
    first = client.submit("client_targets/echo", 1, idempotency_key="once")
    assert client.submit("client_targets/echo", 1, idempotency_key="once") == first
    with pytest.raises(errors.Conflict):
        client.submit("client_targets/echo", 2, idempotency_key="once")
    with pytest.raises(errors.InvalidRequest, match="1 to 200 characters"):
        client.submit("client_targets/echo", 2, idempotency_key="")


def test_steps_logs_and_arguments_of_a_run_can_be_looked_at(client: Client) -> None:
    run = client.submit("client_targets/halves", 2, 4)
    statuses = [view.status for view in run.follow()]
    assert statuses[-1] == "succeeded"
    assert run.result() == [1.0, 2.0]
    steps = run.steps()
    assert [step.target for step in steps] == ["client_targets/halves"] + [
        "client_targets/half"
    ] * 2
    assert [step.latest.status for step in steps if step.latest] == ["value"] * 3
    entries, _ = client.logs(f"{run.id}:2", wait_s=10)
    assert [entry["text"] for entry in entries] == ["half of 2"]
    assert client.arguments(f"{run.id}:1").args == (2, 4)
    signature = inspect.signature(lambda x: None)
    assert client.arguments(f"{run.id}:3", signature).arguments == {"x": 4}
    assert client.runs(target="client_targets/halves", limit=1)[0]["run"] == run.id


def test_a_step_is_run_again(client: Client) -> None:
    """RR-1, RS-3"""
    run = client.submit("client_targets/halves", 2)
    run.result(60)
    again = client.rerun(f"{run.id}:2")
    assert again.id == f"{run.id}:2:2"
    assert again.result(60) == 1.0
    assert again.poll() == 1.0


def test_a_run_is_cancelled(client: Client) -> None:
    run = client.submit("client_targets/endless")
    with pytest.raises(TimeoutError):
        run.result(0.2)
    run.cancel()
    with pytest.raises(cf.ExecutionCancelled):
        run.result(60)
    assert run.status == "cancelled"
    run.cancel()


def test_a_connected_process_gets_handles_that_work(connected: Client) -> None:
    """RS-4, SU-6"""
    handle = connected.submit("client_targets/handle", 8).result(60)
    assert isinstance(handle, cf.Execution)
    assert handle.result(60) == 4.0

    async def both() -> list[Any]:
        runs = [connected.submit("client_targets/echo", n) for n in (1, 2)]
        return list(await asyncio.gather(*runs))

    assert [found[0] for found in asyncio.run(both())] == [1, 2]


def test_an_asset_is_restored_below_the_working_directory(connected: Client) -> None:
    """AS-3"""
    asset = connected.submit("client_targets/table").result(60)
    assert isinstance(asset, cf.Asset)
    assert [entry.path for entry in asset.entries()] == ["a.txt"]
    assert asset.restore() == Path.cwd() / "out"
    assert Path("out/a.txt").read_text() == "A"


def test_a_target_object_is_submitted_with_its_own_options(
    served: Stack, connected: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SU-2, SU-6: also a task, which no manifest lists."""
    monkeypatch.syspath_prepend(str(served.work))
    import client_targets

    try:
        run = client_targets.half.submit(10)
        assert isinstance(run, cf.Run)
        assert run.result(60) == 5.0
        assert client_targets.half(10) == 5.0
        # The same call means the same, by name and with the function at hand (SU-4).
        named = connected.submit("client_targets/echo", 1, idempotency_key="both")
        assert connected.submit(client_targets.echo, 1, flag=False, idempotency_key="both") == named
    finally:
        del sys.modules["client_targets"]


def test_a_token_without_rights_is_told_so(client: Client, served: Stack) -> None:
    """AU-2"""
    token = client.create_token("reader", "read")["token"]
    reader = Client(
        config.Config(served.url, token, "default", "default", Path(), {"environment": "default"})
    )
    assert reader.runs(limit=1)
    with pytest.raises(errors.Forbidden):
        reader.submit("client_targets/echo", 1)
    reader.close()
    with pytest.raises(errors.Forbidden):
        cf.connect(served.url, token="cft_wrong")
    with pytest.raises(errors.NotFound, match="nowhere"):
        cf.connect(served.url, token=served.token, environment="nowhere")
