"""Pools with the process launcher: agents come with work and go without, through restarts (PO)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coflux.errors import Conflict, Forbidden, InvalidRequest, NotFound

from .conftest import make_stack
from .stack import Stack, until

pytestmark = pytest.mark.slow

IDLE = 1_000


@pytest.fixture
def pooled() -> Iterator[Stack]:
    """A server whose pools' agents go after a second, and what they left is ended."""
    with make_stack() as stack:
        stack.start_server()
        client = stack.client()
        client.register({"pooled": [
            {"name": "tell", "type": "workflow", "parameters": [{"name": "name"}]},
            {"name": "wait_for", "type": "workflow", "parameters": [{"name": "path"}]},
        ]})  # fmt: skip
        (environment,) = client.environments.list()
        path = f"/environments/{environment['id']}/settings"
        client.request("PATCH", path, body={"values": {"pool_idle_ms": IDLE}})
        yield stack
        for process in launched(stack):
            process.kill()


def launched(stack: Stack) -> list[psutil.Process]:
    """Agents that pools have started."""
    found = []
    for process in stack.processes():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "coflux" in words and "agent" in words:
            found.append(process)
    return found


def create(stack: Stack, name: str = "workers", **fields: Any) -> dict[str, Any]:
    fields = {"repositories": ["pooled"], "settings": {"directory": str(stack.work)}, **fields}
    return stack.client().pools.create(name, **fields)


def agents(stack: Stack, name: str = "workers") -> list[dict[str, Any]]:
    launches: list[dict[str, Any]] = stack.client().pools.get(name)["launches"]
    return launches


def test_an_agent_comes_when_work_waits_and_goes_when_there_is_none_PO_2_PO_3(
    pooled: Stack,
) -> None:
    create(pooled, env={"COLOUR": "green"}, secrets={"KEY": "hush-hush"})
    assert launched(pooled) == []
    assert pooled.run("pooled/tell", "COLOUR") == "green"
    assert len(launched(pooled)) == 1
    assert pooled.run("pooled/tell", "KEY") == "hush-hush"
    assert pooled.run("pooled/tell", "COFLUX_TOKEN").startswith("cfs_default.S")
    until(lambda: not agents(pooled), "the idle agent is gone")
    until(lambda: not launched(pooled), "its process is gone")
    pool = pooled.client().pools.get("workers")
    assert (pool["error"], pool["failures"]) == (None, 0)


def test_agents_follow_the_backlog_up_to_max_PO_2(pooled: Stack, tmp_path: Path) -> None:
    create(pooled, max=2, concurrency=1)
    runs = [pooled.submit("pooled/wait_for", str(tmp_path / "go")) for _ in range(3)]
    until(lambda: len(pooled.seen("wait_for")) == 2, "two of them run")
    assert len(agents(pooled)) == 2
    waiting = next(r for r in runs if pooled.execution(r)["status"] == "queued")
    reason = pooled.execution(waiting)["reason"]
    assert (reason["code"], reason["data"]["pool"]) == ("concurrency", "workers")
    (tmp_path / "go").write_text("")
    assert len({pooled.value(run) for run in runs}) == 2


def test_a_launched_agents_token_is_for_its_environment_alone_PO_5(pooled: Stack) -> None:
    from dataclasses import replace

    from coflux.client import Client
    from coflux.config import Config

    create(pooled)
    token = pooled.run("pooled/tell", "COFLUX_TOKEN")
    pooled.client().environments.create("other")
    config = Config(pooled.url, token, "default", "default", pooled.data_dir)
    with Client(config) as mine, Client(replace(config, environment="other")) as other:
        assert mine.runs()
        with pytest.raises(NotFound):
            other.runs()
        with pytest.raises(Forbidden):
            mine.pools.disable("workers")


def test_what_cannot_start_backs_off_and_says_why_with_its_last_lines_PO_2(pooled: Stack) -> None:
    create(pooled, settings={"directory": str(pooled.work), "python": "/no/such/python"})
    run = pooled.submit("pooled/tell", "HOME")
    pool = until(lambda: (p := pooled.client().pools.get("workers"))["error"] and p, "it fails")
    assert "/no/such/python" in pool["error"]
    assert pool["retry_at"] is not None
    reason = pooled.execution(run)["reason"]
    assert reason["code"] == "agent"
    assert "pool workers tries again after a failed start" in reason["text"]
    shown = pooled.cli("pools", "inspect", "workers").out
    assert "last failure: the process could not be started" in shown
    pooled.write("broken.py", "print('starting up'); raise SystemExit(7)")
    pooled.write("fake_python", f"#!{sys.executable}\nprint('no coflux here'); raise SystemExit(9)")
    (pooled.work / "fake_python").chmod(0o755)
    fake = {"directory": str(pooled.work), "python": str(pooled.work / "fake_python")}
    pooled.client().pools.update("workers", settings=fake)
    pool = until(
        lambda: (p := pooled.client().pools.get("workers"))["lines"] and p, "it fails otherwise"
    )
    assert (pool["error"], pool["lines"]) == ("its process ended with code 9", ["no coflux here"])
    # Mended, it starts at once: the back-off was for what it was before.
    pooled.client().pools.update("workers", settings={"directory": str(pooled.work)})
    assert pooled.value(run)


def test_changing_and_disabling_drain_its_own_agents_which_finish_their_work_PO_3(
    pooled: Stack, tmp_path: Path
) -> None:
    other = pooled.start_agent("pooled.py", "--concurrency", "1", "--accepts", "mine")
    create(pooled, min=1)
    run = pooled.submit("pooled/wait_for", str(tmp_path / "go"))
    pooled.until_seen("wait_for", run)
    (first,) = agents(pooled)
    pooled.client().pools.update("workers", env={"A": "1"})
    until(
        lambda: [a["status"] for a in agents(pooled)] == ["draining", "running"]
        or len(agents(pooled)) == 1, "max counts those that drain",
    )  # fmt: skip
    assert agents(pooled)[0]["launch"] == first["launch"]
    (tmp_path / "go").write_text("")
    assert pooled.value(run)
    until(lambda: [a["status"] for a in agents(pooled)] == ["running"], "another has its place")
    assert agents(pooled)[0]["launch"] != first["launch"]
    assert pooled.client().pools.disable("workers")["state"] == "disabled"
    until(lambda: not agents(pooled), "the disabled pool has no agents")
    assert pooled.agent_info(other) is not None
    pooled.client().pools.enable("workers")
    until(lambda: agents(pooled), "the pool has an agent again")
    pooled.client().pools.delete("workers")
    until(lambda: [p.pid for p in launched(pooled)] == [other.pid], "the pool's process is gone")
    with pytest.raises(NotFound, match="no pool 'workers'"):
        pooled.client().pools.get("workers")


def test_after_a_restart_of_the_server_launches_are_adopted_and_go_on_PO_5(
    pooled: Stack, tmp_path: Path
) -> None:
    create(pooled, secrets={"KEY": "kept"})
    run = pooled.submit("pooled/wait_for", str(tmp_path / "go"))
    pooled.until_seen("wait_for", run)
    before = agents(pooled)
    pids = [process.pid for process in launched(pooled)]
    pooled.kill_server()
    pooled.start_server()
    assert [a["launch"] for a in agents(pooled)] == [a["launch"] for a in before]
    until(lambda: agents(pooled)[0]["status"] == "running", "the agent is back")
    (tmp_path / "go").write_text("")
    assert pooled.value(run)
    assert len(pooled.seen("wait_for", run)) == 1
    assert [process.pid for process in launched(pooled)] == pids
    until(lambda: not launched(pooled), "the idle agent is gone, after the restart as well")
    assert pooled.run("pooled/tell", "KEY") == "kept"


def test_a_launch_that_died_while_the_server_was_away_is_replaced_PO_5(
    pooled: Stack, tmp_path: Path
) -> None:
    create(pooled, min=1)
    until(lambda: [a["status"] for a in agents(pooled)] == ["running"], "an agent runs")
    (first,) = agents(pooled)
    pooled.kill_server()
    for process in launched(pooled):
        process.kill()
        process.wait()
    pooled.start_server()
    until(lambda: all(a["launch"] != first["launch"] for a in agents(pooled)), "it is reported")


def test_secrets_are_never_shown_nor_kept_in_the_store_PO_5(pooled: Stack) -> None:
    shown = create(pooled, secrets={"KEY": "top-hush-secret"})
    assert shown["secrets"] == {"KEY": "***"}
    client = pooled.client()
    client.pools.update("workers", secrets={"OTHER": "also-hushed"})
    assert client.pools.get("workers")["secrets"] == {"KEY": "***", "OTHER": "***"}
    assert "hush" not in str(client.pools.list())
    exported = pooled.cli("pools", "export").out
    assert 'secrets = ["KEY", "OTHER"]' in exported
    assert "hush" not in exported
    client.pools.update("workers", secrets={"OTHER": None})
    holders = [
        file for file in pooled.data_dir.rglob("*")
        if file.is_file() and b"hush-secret" in file.read_bytes()
    ]  # fmt: skip
    assert [file.name for file in holders] == ["pool-secrets.json"]
    assert holders[0].stat().st_mode & 0o077 == 0
    assert b"also-hushed" not in holders[0].read_bytes()
    client.pools.delete("workers")
    assert b"hush" not in holders[0].read_bytes()


def test_what_is_wrong_is_refused_with_its_field_PO_1_PO_4(pooled: Stack) -> None:
    with pytest.raises(InvalidRequest, match="launcher 'docker' is not allowed on this server"):
        create(pooled, launcher="docker")
    with pytest.raises(InvalidRequest, match="no setting 'image' of this launcher"):
        create(pooled, settings={"image": "x"})
    with pytest.raises(InvalidRequest, match="COFLUX_HOST is set by Coflux itself"):
        create(pooled, env={"COFLUX_HOST": "x"})
    create(pooled)
    with pytest.raises(Conflict, match="exists already in default"):
        create(pooled)
    done = pooled.cli("pools", "update", "worker", "--max", "2")
    assert done.code == 3
    assert "did you mean 'workers'?" in done.err
    assert pooled.cli("pools", "create", "x").code == 2


def test_pools_are_exported_and_imported_as_toml_PO_4(pooled: Stack) -> None:
    settings = f"directory={pooled.work}"
    made = pooled.cli(
        "pools", "create", "workers", "--launcher", "process", "--repository", "pooled", "--min",
        "0", "--max", "2", "--concurrency", "3", "--provides", "gpu:a,b", "--accepts", "gpu:a",
        "--set", settings, "--env", "A.B=1", "--json",
    )  # fmt: skip
    assert made.code == 3  # a variable's name has no dots
    made = pooled.cli(
        "pools", "create", "workers", "--launcher", "process", "--repository", "pooled", "--min",
        "0", "--max", "2", "--concurrency", "3", "--provides", "gpu:a,b", "--accepts", "gpu:a",
        "--set", settings, "--env", 'A=say "x"', "--json",
    )  # fmt: skip
    assert made.json["provides"] == {"gpu": ["a", "b"]}
    file = pooled.work / "pools.toml"
    file.write_text(pooled.cli("pools", "export").out)
    assert pooled.cli("pools", "import", str(file), "--json").json == [
        {"name": "workers", "action": "unchanged", "fields": []}
    ]
    file.write_text(file.read_text().replace("max = 2", "max = 5").replace("revision = 1\n", ""))
    create(pooled, "by-hand")
    planned = pooled.cli("pools", "import", str(file), "--dry-run", "--json").json
    assert [(s["name"], s["action"]) for s in planned] == [
        ("workers", "update"), ("by-hand", "delete"),
    ]  # fmt: skip
    assert planned[0]["fields"] == ["max"]
    done = pooled.cli("pools", "import", str(file), "--only", "workers")
    assert done.code == 0
    assert pooled.client().pools.get("workers")["max"] == 5
    assert pooled.client().pools.get("workers")["env"] == {"A": 'say "x"'}
    assert pooled.client().pools.get("by-hand")
    file.write_text(file.read_text() + "\n[pools.workers.nonsense]\nx = 1\n")
    wrong = pooled.cli("pools", "import", str(file))
    assert wrong.code == 3
    assert "nonsense" in wrong.err
