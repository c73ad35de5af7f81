"""The gateway before real project processes: rights, sessions, death, backup and restore."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_harness import API, P, Server, connected, eventually

import coflux.wire as wire
from coflux.model import Definition, LogEntry, Measurement
from coflux.server.access import RIGHTS
from coflux.server.gateway.backup import restore
from coflux.server.main import project_command
from coflux.server.routes import PREFIX, PROJECT_ROUTES, Route


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("real"), command=project_command()) as server:
        yield server


@pytest.fixture(scope="module")
def tokens(real: Server) -> dict[str, str]:
    return {right: real.create_token(right) for right in RIGHTS}


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("route", PROJECT_ROUTES, ids=lambda route: route.name)
def test_every_route_of_a_real_project_holds_to_its_right_AU_2(
    real: Server, tokens: dict[str, str], route: Route, right: str
) -> None:
    path = PREFIX + re.sub(
        r"\{\w+\}", "R23456", route.pattern.replace("{project}", "default")
    )  # fmt: skip
    answer = real.call(route.method, path, token=tokens[right])
    if RIGHTS.index(right) < RIGHTS.index(route.right):  # type: ignore[arg-type]
        assert answer.status == 403
    else:
        assert answer.status in (200, 400, 404, 426)


def open_session(server: Server) -> tuple[str, str]:
    body = {"environment": "default", "local": True}
    opened = server.call("POST", f"{P}/sessions", body, server.create_token("run"))
    assert opened.status == 201
    return opened.json["session"], opened.json["token"]


def test_an_agent_connects_through_the_gateway_with_its_session_token(real: Server) -> None:
    session, token = open_session(real)

    async def scenario() -> list[wire.Instruction]:
        async with connected(real, "/agent", token) as peer:
            await peer.write(wire.encode([wire.Hello(session=session, incarnation="1")]))
            frame = await peer.read()
            assert isinstance(frame, bytes)
            return wire.decode_from_server(frame)

    assert isinstance(asyncio.run(scenario())[0], wire.Welcome)


def test_an_agent_tells_only_of_what_it_was_given_LI_1(real: Server) -> None:
    """Neither do lines with ids or numbers that cannot be keep those of others from the store."""
    targets = (Definition("wf", "workflow"),)
    manifests = {
        "environment": "default",
        "manifests": {"told": [{"name": "wf", "type": "workflow"}]},
    }
    assert real.call("POST", f"{P}/manifests", manifests).status == 200
    own, own_token = open_session(real)
    other, other_token = open_session(real)
    run = real.call("POST", f"{P}/runs", {"target": "told/wf"}).json["run"]
    execution = f"{run}:1:1"

    def line(text: str, id: str = execution, seq: int = 1) -> LogEntry:
        return LogEntry(id, seq, 5, "info", text)

    async def scenario() -> None:
        async with (
            connected(real, "/agent", own_token) as mine,
            connected(real, "/agent", other_token) as theirs,
        ):
            hello = wire.Hello(session=other, incarnation="1")
            foreign = wire.Numbered(1, wire.Logged((line("foreign"),)))
            await theirs.write(wire.encode([hello, foreign]))
            hosted = (wire.Repository("told", targets),)
            await mine.write(wire.encode([wire.Hello(own, "1", hosted)]))
            while execution not in str(frame := await mine.read()):
                assert frame is not None
            lines = (
                line("malformed", "zz"), line("of nothing", "R2345678:1:1"),
                line("too large", seq=2**63), line("own", seq=2),
            )  # fmt: skip
            points = (Measurement("zz", "m", 1.0, 1.0), Measurement(execution, "m", 1.0, 1.0))
            told = [wire.Numbered(1, wire.Logged(lines)), wire.Numbered(2, wire.Measured(points))]
            await mine.write(wire.encode(told))
            await theirs.write(wire.encode([wire.Numbered(2, wire.Logged((line("late", seq=3),)))]))
            for peer, number in ((mine, 2), (theirs, 2)):
                while wire.Acknowledgement(number) not in instructions(await peer.read()):
                    pass

    asyncio.run(scenario())
    logged = real.call("GET", f"{P}/logs?id={run}").json["entries"]
    assert [entry["text"] for entry in logged] == ["own"]
    assert len(real.call("GET", f"{P}/metrics?id={run}").json["metrics"]) == 1
    real.call("POST", f"{P}/cancel/{run}", {})


def instructions(frame: str | bytes | None) -> list[wire.Instruction]:
    """What a server's frame says."""
    assert isinstance(frame, bytes)
    return wire.decode_from_server(frame)


@pytest.mark.parametrize(
    "frames",
    [
        ["{"],
        ['{"op": "subscribe", "id": 1}'],
        ['{"op": "sub", "id": 1, "bogus": 1}'],
        ['{"op": "sub", "id": 1, "topic": "runs"}'] * 2,
    ],
    ids=["no JSON", "an unknown op", "an unknown field", "an id in use"],
)
def test_a_broken_frame_ends_that_connection_only_LI_1(real: Server, frames: list[str]) -> None:
    async def scenario() -> bool:
        async with connected(real, "/topics") as other, connected(real, "/topics") as broken:
            for frame in frames:
                await broken.write(frame)
            while await broken.read() is not None:
                pass
            await other.write('{"op": "sub", "id": 1, "topic": "runs"}')
            while '"snap"' not in str(message := await other.read()):
                assert message is not None
            await other.write('{"op": "sub", "id": 2, "topic": "nope"}')
            while '"err"' not in str(message := await other.read()):
                assert message is not None
            return "there are" in str(message)

    assert asyncio.run(scenario())


def test_a_session_token_outlives_its_project_process_SE_3(real: Server) -> None:
    _, token = open_session(real)
    assert real.call("GET", f"{P}/runs", token=token).status == 200
    pid = real.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: real.pid() not in (pid, None))
    assert real.call("GET", f"{P}/runs", token=token).status == 200
    assert real.call("POST", f"{P}/environments", {"name": "x"}, token).status == 403


def test_a_backup_of_a_running_project_is_restored_with_its_environments_DM_4(
    real: Server, tmp_path: Path
) -> None:
    real.call("POST", f"{P}/environments", {"name": "kept", "base": None})
    archive = tmp_path / "backup.tar"
    archive.write_bytes(real.call("POST", f"{P}/backup").body)
    restore(archive, tmp_path / "restored", "copy")
    with Server(tmp_path / "restored", command=project_command()) as server:
        listed = server.call("GET", f"{API}/projects/copy/environments").json
    assert "kept" in [environment["name"] for environment in listed]
