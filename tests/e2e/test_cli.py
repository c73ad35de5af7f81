"""Each command against a real server: exit codes, and the JSON shapes that others build on.

Commands that bring a server of their own are in `test_embedded`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coflux.cli import execute

from .stack import Finished, Stack, until

SUBMITTED = {"run", "step", "execution", "status"}
EXECUTION = {
    "execution", "environment", "origin", "status", "reason", "result", "code", "cache",
    "children", "dependencies",
}  # fmt: skip


Cli = Callable[..., Finished]


@pytest.fixture
def cli(stack: Stack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process, which takes a tenth of the time."""
    for name in [name for name in os.environ if name.startswith(("COFLUX_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(stack.work)

    def run(*arguments: str, **variables: str) -> Finished:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            capfd.readouterr()
            code = execute(list(arguments))
        return Finished(code, *capfd.readouterr())

    return run


def ok(finished: Finished, code: int = 0) -> Finished:
    assert finished.code == code, (finished.out, finished.err)
    assert "Traceback" not in finished.err
    return finished


def one_line(finished: Finished, code: int, *words: str) -> None:
    """The command ended with one clear line."""
    ok(finished, code)
    lines = finished.err.strip().splitlines()
    # Usage errors of click have the usage above.
    assert len(lines) == 1 or code == 2, finished.err
    for word in words:
        assert word in finished.err, finished.err


# --- submit -----------------------------------------------------------------------------------


def test_submit_waits_and_exits_with_0(cli: Cli) -> None:
    shown = ok(cli("submit", "flow/add", "1", "b=5"))
    assert shown.out.splitlines()[-1] == "6"
    body = ok(cli("submit", "flow/add", "1", "--json")).json
    assert body.keys() >= SUBMITTED | {"result"}
    assert body["step"] == f"{body['run']}:1"
    assert body["execution"] == f"{body['run']}:1:1"
    assert body["status"] == "succeeded"
    assert body["result"].items() >= {"kind": "value", "value": 3}.items()


def test_submit_of_a_run_that_fails_exits_with_1(cli: Cli) -> None:
    failed = ok(cli("submit", "flow/fails", "gone"), 1)
    assert failed.err.rstrip().endswith("KeyError: 'gone'")
    body = ok(cli("submit", "flow/fails", "gone", "--json"), 1).json
    assert body["status"] == "failed"
    error = body["result"]["error"]
    assert error.keys() >= {"type", "message", "frames"}
    assert error["frames"][0].keys() >= {"file", "line", "function"}


def test_submit_without_waiting_gives_the_ids(stack: Stack, cli: Cli) -> None:
    body = ok(cli("submit", "flow/add", "1", "--no-wait", "--json")).json
    assert body.keys() >= SUBMITTED
    assert stack.value(body["run"]) == 3
    key = ("--idempotency-key", "cli")
    first = ok(cli("submit", "flow/add", "7", "--no-wait", *key)).out
    assert ok(cli("submit", "flow/add", "7", "--no-wait", *key)).out == first
    one_line(cli("submit", "flow/add", "8", *key), 3, "cli")


def test_what_does_not_fit_is_refused_with_the_way_out(cli: Cli) -> None:
    one_line(cli("submit", "flow/ad", "1"), 3, "add")
    one_line(cli("submit", "flow/add"), 3, "a")
    one_line(cli("submit", "add"), 2, "REPOSITORY/TARGET")
    one_line(cli("submit", "flow/add", "1", "-e", "nowhere"), 3, "nowhere")
    one_line(cli("submit", "flow/add", "1", "-p", "nothing"), 3, "nothing")
    one_line(cli("submit", "flow/add", "1", "--token", "cft_wrong"), 3, "token")
    one_line(cli("runs", "list", "--host", "127.0.0.1:9"), 3, "coflux server")
    one_line(cli("submitt"), 2, "submit")


def test_ctrl_c_stops_the_waiting_and_not_the_run(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "end"
    process = stack.start_cli("submit", "flow/until_file", str(path))
    assert process.stdout is not None
    run = process.stdout.readline().decode().split()[0]
    stack.until_seen("until_file", run)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"coflux runs result {run}" in err.decode()
    path.write_text("went on")
    assert ok(stack.cli("runs", "result", run, "--json")).json["value"] == "went on"


# --- runs -------------------------------------------------------------------------------------


def test_runs_are_listed_and_inspected(stack: Stack, cli: Cli) -> None:
    run = stack.submit("flow/grouped", 2)
    stack.value(run)
    listed = ok(cli("runs", "list", "--json", "--target", "flow/grouped")).json
    entry = next(each for each in listed if each["run"] == run)
    assert entry.keys() >= {"run", "target", "environment", "status", "created_at"}
    assert (entry["target"], entry["environment"]) == ("flow/grouped", "default")
    body = ok(cli("runs", "inspect", run, "--json")).json
    assert body.keys() >= {
        "run", "target", "environment", "status", "parent", "created_at", "steps",
    }  # fmt: skip
    for step in body["steps"]:
        assert step.keys() >= {
            "step", "target", "type", "parent", "group", "arguments", "executions",
        }  # fmt: skip
        assert step["executions"][0].keys() >= EXECUTION
    assert body["steps"][1]["parent"] == f"{run}:1:1"
    assert body["steps"][2]["arguments"] == {"number": "1"}
    assert body["steps"][0]["executions"][0]["result"].items() >= {"kind": "value"}.items()
    drawn = ok(cli("runs", "inspect", run)).out
    assert "grouped(2)" in drawn
    assert drawn.count("square(") == 4


def test_results_are_shown_for_run_step_and_attempt(stack: Stack, cli: Cli) -> None:
    run = stack.submit("flow/spawns", 1)
    stack.value(run)
    body = ok(cli("runs", "result", f"{run}:2", "--json")).json
    assert body.items() >= {"kind": "value", "value": 11}.items()
    # Where the link leads.
    assert not body["execution"].startswith(run)
    failed = stack.submit("flow/fails", "x")
    stack.outcome(failed)
    body = ok(cli("runs", "result", f"{failed}:1:1", "--json"), 1).json
    assert body["kind"] == "error"
    assert body["error"].keys() >= {"type", "message", "frames"}
    one_line(cli("runs", "result", "Rbcdfgh"), 3, "Rbcdfgh")
    one_line(cli("runs", "result", f"{run}:9"), 3, f"{run}:9")


def test_steps_are_run_again_cancelled_and_given_results(
    stack: Stack, cli: Cli, tmp_path: Path
) -> None:
    failed = stack.submit("flow/fails", "x")
    stack.outcome(failed)
    body = ok(cli("runs", "rerun", f"{failed}:1", "--json"), 1).json
    assert body.keys() >= SUBMITTED | {"result"}
    assert body["execution"] == f"{failed}:1:2"
    assert (body["status"], body["result"]["kind"]) == ("failed", "error")
    by_hand = ("--value", '{"a": 1}', "--reason", "known")
    body = ok(cli("runs", "set-result", f"{failed}:1", *by_hand, "--json")).json
    assert body.keys() >= SUBMITTED
    assert stack.value(failed) == {"a": 1}
    one_line(cli("runs", "set-result", f"{failed}:1", *by_hand), 3)
    one_line(cli("runs", "set-result", f"{failed}:1", "--reason", "x"), 2, "--value")
    going = stack.submit("flow/until_file", str(tmp_path / "never"))
    stack.until_seen("until_file", going)
    shown = ok(cli("runs", "result", going, "--no-wait", "--json"), 1).json
    assert shown["status"] == "running"
    assert ok(cli("runs", "cancel", going, "--json")).json == {"cancelled": [f"{going}:1:1"]}
    cancelled = ok(cli("runs", "result", going, "--json"), 1).json
    assert cancelled["kind"] == "cancelled"


def test_logs_are_a_line_each_and_can_be_followed(stack: Stack, cli: Cli, tmp_path: Path) -> None:
    run = stack.submit("flow/talks")
    stack.outcome(run)
    until(lambda: len(stack.logs(run)) >= 10, "all is logged")
    entries = ok(cli("logs", run, "--json")).lines
    for entry in entries:
        assert entry.keys() >= {"execution", "at", "level", "template", "values", "text", "seq"}
    assert "printed" in [entry["text"] for entry in entries]
    assert ok(cli("logs", f"{run}:1:1", "--level", "error")).out.count("trouble") == 1
    going = stack.submit("flow/until_file", str(tmp_path / "end"))
    follower = stack.start_cli("logs", going, "-f")
    stack.until_seen("until_file", going)
    (tmp_path / "end").write_text("went on")
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 0, err
    assert out == b""


# --- what runs where --------------------------------------------------------------------------


def test_the_queue_and_the_agents_are_shown(stack: Stack, cli: Cli) -> None:
    run = stack.submit("flow/needs_gpu")
    entry = next(e for e in ok(cli("queue", "--json")).json if e["execution"] == f"{run}:1:1")
    assert entry["target"] == "flow/needs_gpu"
    assert entry["reason"].keys() >= {"code", "text"}
    assert entry["reason"]["code"] == "tags"
    assert "gpu" in ok(cli("queue")).out
    stack.client().cancel(run)
    agents = ok(cli("agents", "--json")).json
    assert [agent["session"] for agent in agents] == [stack.agents[0].session]
    assert agents[0].keys() >= {
        "session", "environment", "connected", "targets", "running", "concurrency", "provides",
        "accepts",
    }  # fmt: skip
    assert agents[0]["connected"] is True
    assert agents[0]["concurrency"] == 8
    assert ok(cli("doctor")).out


def test_manifests_are_registered_shown_and_archived(stack: Stack) -> None:
    stack.write("extra.py", "import coflux as cf\n@cf.workflow()\ndef go(a, *, b: int = 1): ...\n")
    assert ok(stack.cli("register", "extra.py", "--json")).json.keys() >= {"extra"}
    listed = ok(stack.cli("manifests", "list", "--json")).json
    assert [target["name"] for target in listed["extra"]["targets"]] == ["go"]
    assert "go(a, b: int = 1)" in ok(stack.cli("manifests", "inspect", "extra")).out
    ok(stack.cli("manifests", "archive", "extra"))
    assert "extra" not in ok(stack.cli("manifests", "list", "--json")).json
    one_line(stack.cli("submit", "extra/go", "1"), 3, "extra")
    stack.write("bad.py", "import nothing_like_it\n")
    one_line(stack.cli("register", "bad.py"), 3, "nothing_like_it")


def test_environments_are_managed(cli: Cli) -> None:
    shape = {"id", "name", "base", "state"}
    made = ok(cli("env", "create", "team/one", "--base", "default", "--json")).json
    assert made.keys() >= shape
    assert (made["base"], made["state"]) == ("default", "active")
    renamed = ok(cli("env", "update", "team/one", "--name", "team/two", "--no-base", "--json"))
    assert (renamed.json["name"], renamed.json["base"]) == ("team/two", None)
    assert ok(cli("env", "pause", "team/two", "--json")).json["state"] == "paused"
    assert ok(cli("env", "resume", "team/two", "--json")).json["state"] == "active"
    listed = ok(cli("env", "list", "--json")).json
    assert all(each.keys() >= shape for each in listed)
    assert "team/two" in [each["name"] for each in listed]
    one_line(cli("env", "create", "team/two"), 3, "team/two")
    one_line(cli("env", "create", "no spaces"), 3, "no spaces")
    one_line(cli("env", "update", "default", "--base", "default"), 3)
    ok(cli("env", "archive", "team/two"))
    one_line(cli("env", "archive", "team/two"), 3, "team/two")


def test_the_cache_is_explained_and_forgotten(stack: Stack, cli: Cli) -> None:
    first = stack.submit("flow/uses_cache", "explained")
    stack.value(first)
    second = stack.submit("flow/uses_cache", "explained")
    stack.value(second)
    explained = ok(cli("cache", "explain", f"{second}:2", "--json")).json
    assert explained["outcome"] == "hit"
    assert f"{first}:2:1" in ok(cli("cache", "explain", f"{second}:2")).out
    assert "of flow/cached in the cache" in ok(cli("cache", "forget", "flow/cached")).out
    # A misspelt one is refused with the nearest name (ID-6).
    misspelt = cli("cache", "forget", "flow/cahced")
    assert (misspelt.code, "'flow/cached'" in misspelt.err) == (3, True)
    third = stack.submit("flow/uses_cache", "explained")
    stack.value(third)
    assert stack.seen("cached", third)


# --- files ------------------------------------------------------------------------------------


def test_assets_and_blobs_are_listed_and_fetched(stack: Stack, cli: Cli, tmp_path: Path) -> None:
    run = stack.submit("flow/assets")
    stack.value(run)
    listed = {asset["name"]: asset for asset in ok(cli("assets", "list", run, "--json")).json}
    note = listed["note"]
    inspected = ok(cli("assets", "inspect", note["id"], "--json")).json
    assert [entry["path"] for entry in inspected["entries"]] == ["note.txt"]
    ok(cli("assets", "download", note["id"], "--to", str(tmp_path)))
    assert (tmp_path / "note.txt").read_text() == "of note"
    one_line(cli("assets", "download", note["id"], "--to", str(tmp_path)), 3, "note.txt")
    newest = ok(cli("assets", "list", "--name", "NOTE.txt", "--json")).json
    assert [(a["id"], a["target"], a["files"]) for a in newest] == [(note["id"], "flow/assets", 1)]
    assert newest[0]["execution"].partition(":")[0] == run
    assert note["id"] in ok(cli("assets", "list")).out
    blob = inspected["entries"][0]["blob"]
    assert blob == hashlib.sha256(b"of note").hexdigest()
    assert ok(cli("blobs", "get", blob)).out == "of note"
    (tmp_path / "new").write_bytes(b"\0new")
    put = ok(cli("blobs", "put", str(tmp_path / "new"), "--json")).json
    assert put["blob"] == hashlib.sha256(b"\0new").hexdigest()
    one_line(cli("blobs", "get", "0" * 64), 3, "000")
    one_line(cli("assets", "inspect", "Abcdfgh"), 3, "Abcdfgh")


@pytest.mark.slow
def test_a_backup_is_a_project_that_can_be_served_again(fresh: Stack, tmp_path: Path) -> None:
    fresh.start_server()
    fresh.start_agent("flow.py", "--register")
    run = fresh.submit("flow/assets")
    value = fresh.value(run)
    archive = tmp_path / "backup.tar"
    assert ok(fresh.cli("backup", str(archive), "--json")).json["path"] == str(archive)
    one_line(fresh.cli("backup", str(archive)), 2, "exists")
    after = fresh.submit("flow/add", 1)
    fresh.value(after)
    restored = tmp_path / "restored"
    ok(fresh.cli("restore", str(archive), "--data-dir", str(restored)))
    one_line(fresh.cli("restore", str(archive), "--data-dir", str(fresh.data_dir)), 3, "running")
    fresh.stop_server()
    fresh.data_dir = restored
    fresh.start_server()
    assert fresh.value(run) == value
    shown = fresh.client().assets(run)
    leaf = next(e for asset in shown for e in asset["entries"] if e["path"].endswith("leaf"))
    assert ok(fresh.cli("blobs", "get", leaf["blob"])).out == "\0leaf"
    one_line(fresh.cli("runs", "inspect", after), 3, after)


# --- projects, tokens, settings -----------------------------------------------------------------


def test_projects_are_created_and_kept_apart(stack: Stack, cli: Cli, tmp_path: Path) -> None:
    ok(cli("projects", "create", "other"))
    names = [each["name"] for each in ok(cli("projects", "list", "--json")).json]
    assert names == ["default", "other"]
    assert ok(cli("runs", "list", "-p", "other", "--json")).json == []
    one_line(cli("projects", "create", "other"), 3, "other")
    one_line(cli("projects", "create", "No/Path"), 3, "No/Path")
    run = stack.submit("flow/add", 1)
    one_line(cli("runs", "inspect", run, "-p", "other"), 3, run)
    (tmp_path / "secret").write_text("of default")
    blob = ok(cli("blobs", "put", str(tmp_path / "secret"))).out.strip()
    one_line(cli("blobs", "get", blob, "-p", "other"), 3)


def test_tokens_allow_what_they_say_until_they_are_revoked(stack: Stack, cli: Cli) -> None:
    options = ("--name", "reader", "--right", "read", "--expires", "90d")
    made = ok(cli("tokens", "create", *options, "--json")).json
    assert made.keys() == {"id", "token"}
    token = {"COFLUX_TOKEN": made["token"], "COFLUX_HOST": stack.url}
    assert isinstance(ok(cli("runs", "list", "--json", **token)).json, list)
    one_line(cli("submit", "flow/add", "1", **token), 3, "run")
    listed = ok(cli("tokens", "list", "--json")).json
    assert made["id"] in [each["id"] for each in listed]
    assert made["token"] not in json.dumps(listed)
    ok(cli("tokens", "revoke", made["id"]))
    one_line(cli("runs", "list", **token), 3, "token")


def test_settings_come_from_flags_variables_and_a_file(
    stack: Stack, cli: Cli, tmp_path: Path
) -> None:
    run = stack.submit("flow/add", 1)
    stack.value(run)
    given = ("--host", stack.url, "--environment", "default")
    path = stack.work / "coflux.toml"
    try:
        assert ok(cli("configure", *given, "--json")).json["path"] == "coflux.toml"
        assert ok(cli("runs", "inspect", run, "--json", XDG_RUNTIME_DIR=str(tmp_path)), 3)
        ok(cli("configure", "--token", stack.token))
        assert path.stat().st_mode & 0o077 == 0
        shown = ok(cli("runs", "inspect", run, "--json", XDG_RUNTIME_DIR=str(tmp_path))).json
        assert shown["run"] == run
    finally:
        path.unlink(missing_ok=True)


# --- server -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_refuses_what_is_in_use(stack: Stack, tmp_path: Path) -> None:
    one_line(
        stack.cli("server", "--port", "0", "--data-dir", str(stack.data_dir)),
        3, str(stack.data_dir), "--data-dir",
    )  # fmt: skip
    one_line(
        # Tornado leaves the socket that it could not bind to the collector, which says so.
        stack.cli(
            "server", "--port", str(stack.port), "--data-dir", str(tmp_path), PYTHONWARNINGS=""
        ),
        3, str(stack.port), "--port",
    )  # fmt: skip


def test_an_agent_that_gets_no_session_says_why(stack: Stack) -> None:
    one_line(stack.cli("agent", "flow.py", "-e", "nowhere"), 3, "nowhere")
    one_line(stack.cli("agent", "flow.py", "--token", "cft_wrong"), 3, "token")
    one_line(stack.cli("agent", "no_such_file.py"), 2, "no_such_file.py")


@pytest.mark.parametrize("shell", ["bash"])
def test_help_and_completion_need_no_server(stack: Stack, cli: Cli, shell: str) -> None:
    nowhere: dict[str, Any] = {"XDG_RUNTIME_DIR": str(stack.folder / "nowhere")}
    assert "Begin with `coflux demo`" in ok(cli(**nowhere)).out
    assert ok(cli("--version", **nowhere)).out.startswith("coflux ")
    assert "_COFLUX_COMPLETE" in ok(cli("completion", shell, **nowhere)).out
