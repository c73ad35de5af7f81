"""Each command: what it asks the server, what it prints, how it exits."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from puppet_server import Puppet, refused

from .conftest import Coflux

SUBMITTED = {"run": "R1", "step": "R1:1", "execution": "R1:1:1", "status": "queued"}
VALUE = {"kind": "value", "value": {"a": 1}, "execution": "R1:1:1"}
ERROR = {
    "kind": "error",
    "error": {
        "type": "builtins.ValueError",
        "message": "no such city",
        "frames": [{"file": "w.py", "line": 3, "function": "load", "source": "raise …"}],
    },
    "execution": "R1:1:1",
}


def attempt(number: int, status: str, **more: Any) -> dict[str, Any]:
    result = None if status == "running" else {"kind": status, **more}
    return {"execution": f"R1:1:{number}", "environment": "default", "origin": "submit",
            "status": status, "result": result, "started_at": 0, "ended_at": 1500}  # fmt: skip


def run_view(status: str, *attempts: dict[str, Any]) -> dict[str, Any]:
    step = {"step": "R1:1", "target": "repo/report", "type": "workflow", "group": None,
            "parent": None, "arguments": {"city": "'Oslo'"},
            "executions": list(attempts)}  # fmt: skip
    return {"run": "R1", "target": "repo/report", "environment": "default", "status": status,
            "parent": None, "created_at": 0, "steps": [step]}  # fmt: skip


@pytest.fixture
def submitted(puppet: Puppet) -> Puppet:
    """A server that takes a submission which succeeds."""
    puppet.on("POST", "/runs", (201, SUBMITTED))
    puppet.on("GET", "/runs/R1", run_view("succeeded", attempt(1, "value")))
    puppet.on("GET", "/results/R1", VALUE)
    return puppet


# --- submit -----------------------------------------------------------------------------------


def test_submit_waits_and_prints_lines_and_the_result(submitted: Puppet, coflux: Coflux) -> None:
    ended = coflux("submit", "repo/report", "Oslo", "days=3", '"4"', "x=[1]")
    assert ended.code == 0
    assert ended.out.splitlines()[:3] == [
        "R1 repo/report in default",
        "  ✓ done R1:1:1 repo/report in 1.5 s",
        "✓ succeeded R1",
    ]
    assert json.loads(ended.out.partition("succeeded R1")[2]) == {"a": 1}
    body = submitted.asked[0].body
    assert body["arguments"] == ["Oslo", "4"]
    assert body["keyword_arguments"] == {"days": 3, "x": [1]}


def test_submit_with_json_prints_nothing_else(submitted: Puppet, coflux: Coflux) -> None:
    ended = coflux("submit", "repo/report", "--json")
    assert ended.json == {**SUBMITTED, "status": "succeeded", "result": VALUE}
    assert ended.err == ""


def test_submit_without_waiting_prints_the_id(submitted: Puppet, coflux: Coflux) -> None:
    assert coflux("submit", "repo/report", "--no-wait").out == "R1\n"
    assert coflux("submit", "repo/report", "--no-wait", "--json").json == SUBMITTED


def test_a_failed_run_exits_with_1_and_shows_the_error(submitted: Puppet, coflux: Coflux) -> None:
    failed = attempt(1, "error", error=ERROR["error"])
    submitted.on("GET", "/runs/R1", run_view("failed", failed))
    submitted.on("GET", "/results/R1", ERROR)
    ended = coflux("submit", "repo/report")
    assert ended.code == 1
    assert "(ValueError: no such city)" in ended.out
    assert "w.py:3 in load" in ended.err
    assert ended.err.strip().endswith("ValueError: no such city")
    assert "Traceback" not in ended.err


def test_a_refusal_exits_with_3_in_one_line(puppet: Puppet, coflux: Coflux) -> None:
    message = "repo has no target 'reprt'; did you mean 'report'?"
    puppet.on("POST", "/runs", refused(404, "not_found", message))
    ended = coflux("submit", "repo/reprt")
    assert (ended.code, ended.out, ended.err) == (3, "", f"error: {message}\n")


def test_options_of_submit_travel(submitted: Puppet, coflux: Coflux) -> None:
    """SU-3"""
    coflux(
        "submit", "repo/report", "--no-wait", "--idempotency-key", "k", "--requires", "gpu:a,b",
        "--requires", "big", "--delay", "1.5", "--retries", "2", "--timeout", "1m", "--no-memo",
        "--priority", "-1", "-e", "dev",
    )  # fmt: skip
    body = submitted.asked[0].body
    assert body["environment"] == "dev"
    assert body["idempotency_key"] == "k"
    assert body["options"] == {
        "requires": {"gpu": ["a", "b"], "big": ["true"]}, "delay_ms": 1500, "retries": 2,
        "timeout_ms": 60000, "memo": False, "priority": -1,
    }  # fmt: skip


def test_a_number_below_zero_is_an_argument(submitted: Puppet, coflux: Coflux) -> None:
    coflux("submit", "repo/report", "-1", "-0.5", "--no-wait")
    assert submitted.asked[0].body["arguments"] == [-1, -0.5]


def test_an_exponent_is_no_option(submitted: Puppet, coflux: Coflux) -> None:
    coflux("submit", "repo/report", "-1e3", "-2.5e-1", "--no-wait")
    assert submitted.asked[0].body["arguments"] == [-1000, -0.25]


@pytest.mark.parametrize("before", [("repo/report", "--"), ("--", "repo/report")])
def test_two_dashes_end_the_options(
    submitted: Puppet, coflux: Coflux, before: tuple[str, ...]
) -> None:
    coflux("submit", "--no-wait", *before, "-5", "--no-wait", "-q", "x=--json")
    assert submitted.asked[0].body["arguments"] == [-5, "--no-wait", "-q"]
    assert submitted.asked[0].body["keyword_arguments"] == {"x": "--json"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "report"),
        ("submit", "repo/report", "a=1", "a=2"),
        ("submit", "repo/report", "--no-such-option"),
        ("submit", "repo/report", "-q"),
        ("submit", "repo/report", "-q", "--", "-q"),
        ("submit", "repo/report", "--delay", "soon"),
        ("submit", "repo/report", "--requires", "gpu:"),
        ("runs", "set-result", "R1:1", "--reason", "x"),
        ("runs", "set-result", "R1:1", "--reason", "x", "--value", "1", "--error", "e"),
        ("runs", "set-result", "R1:1", "--reason", "x", "--value", "no json"),
        ("env", "update", "dev"),
        ("env", "update", "dev", "--base", "a", "--no-base"),
        ("cache", "forget"),
        ("run", "no-colon.py"),
        ("run", "absent.py:report"),
        ("tokens", "create", "--name", "x", "--right", "all"),
        ("rnus",),
    ],
)
def test_wrong_usage_exits_with_2_and_asks_nothing(
    puppet: Puppet, coflux: Coflux, arguments: tuple[str, ...]
) -> None:
    ended = coflux(*arguments)
    assert (ended.code, ended.out, puppet.asked) == (2, "", [])
    assert "Error: " in ended.err


def test_a_server_that_is_not_there_exits_with_3(coflux: Coflux) -> None:
    ended = coflux("queue", "--host", "127.0.0.1:1")
    assert ended.code == 3
    assert ended.err.count("\n") == 1
    assert "start one with `coflux server`" in ended.err


# --- runs -------------------------------------------------------------------------------------


def test_a_run_at_a_cap_says_so_and_how_it_is_raised_SC_9(puppet: Puppet, coflux: Coflux) -> None:
    view = run_view("running", attempt(1, "running"))
    puppet.on("GET", "/runs/R1", {**view, "held": {"setting": "run_steps", "value": 11}})
    shown = " ".join(coflux("runs", "inspect", "R1").out.split())
    assert "held: it would come to run_steps 11; raise it with" in shown
    assert "`coflux env settings default --set run_steps=22`, or cancel the run" in shown


def test_runs_are_listed_with_their_status(puppet: Puppet, coflux: Coflux) -> None:
    found = [{"run": "R1", "target": "repo/report", "environment": "default",
              "status": "failed", "created_at": 0}]  # fmt: skip
    puppet.on("GET", "/runs", found)
    assert coflux("runs", "list", "--json").json == found
    assert "R1   repo/report  ✗ failed" in coflux("runs", "list").out
    assert puppet.asked[0].query == {"environment": "default", "limit": "30"}


def test_inspecting_draws_the_tree(puppet: Puppet, coflux: Coflux) -> None:
    attempts = (attempt(1, "error", error=ERROR["error"]), attempt(2, "value"))
    puppet.on("GET", "/runs/R1", run_view("succeeded", *attempts))
    out = coflux("runs", "inspect", "R1").out
    assert "✓ succeeded R1 repo/report" in out
    assert "report('Oslo')  1.5 s  attempt 2" in out


def test_control_codes_of_a_run_do_not_reach_the_terminal(puppet: Puppet, coflux: Coflux) -> None:
    """LO-3"""
    error = {"type": "builtins.ValueError", "message": "\x1b]0;evil\x07", "frames": []}
    puppet.on("GET", "/runs/R1", run_view("failed", attempt(1, "error", error=error)))
    puppet.on("GET", "/results/R1", {"kind": "error", "error": error})
    assert "\x1b" not in coflux("runs", "inspect", "R1").out
    assert "\x1b]" not in coflux("runs", "result", "R1").err


def test_a_result_is_printed_as_json_value_or_preview(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on("GET", "/results/R1:2", VALUE, {"kind": "value", "preview": "<Model>"})
    assert json.loads(coflux("runs", "result", "R1:2").out) == {"a": 1}
    assert coflux("runs", "result", "R1:2").out == "<Model>\n"


def test_a_result_that_is_not_there_yet_need_not_be_waited_for(
    puppet: Puppet, coflux: Coflux
) -> None:
    puppet.on("GET", "/results/R1", (202, {"status": "running"}))
    ended = coflux("runs", "result", "R1", "--no-wait")
    assert (ended.code, ended.out) == (1, "")
    assert "it is running" in ended.err
    assert coflux("runs", "result", "R1", "--no-wait", "--json").json == {"status": "running"}


def test_a_rerun_waits_for_the_new_attempt(puppet: Puppet, coflux: Coflux) -> None:
    """RR-3"""
    answer = {"run": "R1", "step": "R1:2", "execution": "R1:2:3", "status": "queued"}
    puppet.on("POST", "/rerun/R1:2", (201, answer))
    puppet.on("GET", "/results/R1:2:3", VALUE)
    ended = coflux("runs", "rerun", "R1:2", "-e", "dev", "--original", "--reuse", "--json")
    assert ended.json == {**answer, "status": "succeeded", "result": VALUE}
    assert puppet.asked[0].body == {"environment": "dev", "code": "original", "reuse": True}
    coflux("runs", "rerun", "R1:2", "--no-wait")
    assert puppet.asked[-1].body == {"environment": None, "code": "current", "reuse": False}


def test_cancel_covers_all_environments_unless_one_is_given(
    puppet: Puppet, coflux: Coflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CN-1"""
    monkeypatch.setenv("COFLUX_ENVIRONMENT", "dev")
    puppet.on("POST", "/cancel/R1", {"cancelled": ["R1:1:1"]}, {"cancelled": []})
    assert coflux("runs", "cancel", "R1").out == "cancelled R1:1:1\n"
    assert coflux("runs", "cancel", "R1", "-e", "dev").out == "there was nothing left to cancel\n"
    assert [asked.body["environment"] for asked in puppet.asked] == [None, "dev"]


def test_a_run_is_pinned_and_unpinned_and_marked_in_lists(puppet: Puppet, coflux: Coflux) -> None:
    """DM-2"""
    mark = {"by": "ann", "at": 5}
    puppet.on("POST", "/runs/R1/pin", {"run": "R1", "pinned": mark})
    puppet.on("POST", "/runs/R1/unpin", {"run": "R1", "pinned": None})
    assert coflux("runs", "pin", "R1").out == "R1 is pinned by ann\n"
    assert coflux("runs", "pin", "R1", "--json").json == {"run": "R1", "pinned": mark}
    assert coflux("runs", "unpin", "R1").out == "R1 is not pinned\n"
    assert coflux("runs", "unpin", "R1", "--json").json == {"run": "R1", "pinned": None}
    found = [{"run": "R1", "target": "repo/report", "environment": "default",
              "status": "failed", "created_at": 0, "pinned": mark}]  # fmt: skip
    puppet.on("GET", "/runs", found)
    assert "by ann" in coflux("runs", "list", "--pinned").out
    assert puppet.asked[-1].query["pinned"] == "true"
    puppet.on("GET", "/runs/R1", {**run_view("succeeded", attempt(1, "value")), "pinned": mark})
    assert "pinned by ann" in coflux("runs", "inspect", "R1").out


def test_a_result_is_set_by_hand(puppet: Puppet, coflux: Coflux) -> None:
    """RR-5"""
    puppet.on("POST", "/set-result/R1:2", {**SUBMITTED, "execution": "R1:2:2"})
    coflux("runs", "set-result", "R1:2", "--value", "[1]", "--reason", "known")
    coflux("runs", "set-result", "R1:2", "--error", "no", "--reason", "known")
    first, second = (asked.body for asked in puppet.asked)
    assert first == {"reason": "known", "value": [1], "environment": None}
    assert second == {"reason": "known", "error": "no", "environment": None}


# --- logs -------------------------------------------------------------------------------------


def entry(seq: int, text: str) -> dict[str, Any]:
    return {"execution": "R1:1:1", "at": 0, "level": "stdout", "template": None, "values": {},
            "text": text, "seq": seq}  # fmt: skip


def test_logs_are_shown_page_by_page(puppet: Puppet, coflux: Coflux) -> None:
    """LO-4"""
    pages = {None: [entry(1, "a"), entry(2, "\x1b[2Jb")], "c2": []}

    def page(asked: Any) -> tuple[int, Any]:
        return 200, {"entries": pages[asked.query.get("after")], "cursor": "c2"}

    puppet.on("GET", "/logs", page)
    lines = coflux("logs", "R1").out.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["a", "[2Jb"]
    as_json = coflux("logs", "R1", "--json").out.splitlines()
    assert [json.loads(line)["seq"] for line in as_json] == [1, 2]


def test_following_logs_ends_after_the_run_with_nothing_missed(
    puppet: Puppet, coflux: Coflux
) -> None:
    puppet.on("GET", "/results/R1", (202, {"status": "running"}), VALUE)
    pages = [[entry(1, "a")], [entry(2, "b")], []]
    puppet.on("GET", "/logs", *({"entries": page, "cursor": "c"} for page in pages))
    assert [line[-1] for line in coflux("logs", "R1", "-f").out.splitlines()] == ["a", "b"]


# --- environments, projects, tokens -----------------------------------------------------------

DEV = {"id": "E1", "name": "dev", "base": "prod", "state": "active"}
OLD = {"id": "E2", "name": "old", "base": None, "state": "archived"}


def test_environments_are_listed_without_archived_ones(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on("GET", "/environments", [DEV, OLD])
    assert coflux("env", "list", "--json").json == [DEV]
    assert coflux("env", "list", "--all", "--json").json == [DEV, OLD]
    assert "dev   prod  ● active" in coflux("env", "list").out


def test_environments_are_created_and_changed(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on("GET", "/environments", [DEV])
    puppet.on("POST", "/environments", (201, DEV))
    puppet.on("PATCH", "/environments/E1", DEV)
    assert "created environment dev (E1, based on prod)" in (
        coflux("env", "create", "dev", "--base", "prod").out
    )
    coflux("env", "update", "dev", "--name", "new", "--no-base")
    assert puppet.asked[0].body == {"name": "dev", "base": "prod"}
    assert puppet.asked[-1].body == {"name": "new", "base": None}


@pytest.mark.parametrize("verb", ["pause", "resume", "archive"])
def test_environments_are_paused_resumed_and_archived(
    puppet: Puppet, coflux: Coflux, verb: str
) -> None:
    puppet.on("GET", "/environments", [DEV])
    puppet.on("POST", f"/environments/E1/{verb}", DEV)
    assert coflux("env", verb, "dev").code == 0


def test_projects_are_listed_and_created(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on_api("GET", "/projects", [{"name": "default", "state": "running"}])
    puppet.on_api("POST", "/projects", (201, {"name": "p", "state": "idle"}))
    assert "default  running" in coflux("projects", "list").out
    assert coflux("projects", "create", "p", "--json").json["name"] == "p"


def test_a_token_is_shown_once_alone_on_stdout(puppet: Puppet, coflux: Coflux) -> None:
    """AU-3"""
    puppet.on("POST", "/tokens", (201, {"id": "T1", "token": "cft_x"}))
    create = ("tokens", "create", "--name", "ci", "--right", "run")
    assert coflux(*create, "--environment", "prod/*", "--expires", "90d").out == "cft_x\n"
    assert coflux(*create, "--json").json == {"id": "T1", "token": "cft_x"}
    assert puppet.asked[0].body == {
        "name": "ci", "right": "run", "environment": "prod/*", "expires_ms": 90 * 86_400_000,
    }  # fmt: skip
    assert puppet.asked[1].body["environment"] == "*"


def test_tokens_are_listed_and_revoked(puppet: Puppet, coflux: Coflux) -> None:
    token = {"id": "T1", "name": "ci", "right": "run", "environment": "*", "created_at": 0}
    puppet.on("GET", "/tokens", [token])
    puppet.on("DELETE", "/tokens/T1", {"ok": True})
    assert "T1  ci    run" in coflux("tokens", "list").out
    assert coflux("tokens", "revoke", "T1").out == "revoked token T1\n"


# --- manifests --------------------------------------------------------------------------------


def test_registering_sends_workflows_and_sensors_only(
    puppet: Puppet, coflux: Coflux, bare: Path
) -> None:
    """CO-1, CO-2"""
    Path("registered_once.py").write_text(
        "import coflux as cf\n"
        "@cf.workflow()\ndef report(city, days=7):\n    '''About.'''\n"
        "@cf.task()\ndef load(): ...\n"
    )
    puppet.on("POST", "/manifests", {})
    ended = coflux("register", "registered_once.py")
    assert ended.out == "registered registered_once in default: report\n"
    (definition,) = puppet.asked[0].body["manifests"]["registered_once"]
    assert (definition["name"], definition["type"]) == ("report", "workflow")
    assert [parameter["name"] for parameter in definition["parameters"]] == ["city", "days"]


def test_a_file_that_fails_to_import_is_one_line(puppet: Puppet, coflux: Coflux) -> None:
    Path("broken_once.py").write_text("x = 1\nraise RuntimeError('not today')\n")
    ended = coflux("register", "broken_once.py")
    assert ended.code == 3
    assert "broken_once cannot be imported: RuntimeError: not today" in ended.err
    assert "broken_once.py:2" in ended.err
    assert ended.err.count("\n") == 1


MANIFESTS = {
    "repo": {
        "revision": 1,
        "targets": [
            {
                "name": "report", "type": "workflow", "doc": "About cities.\nMore.",
                "parameters": [
                    {"name": "city", "annotation": "str"},
                    {"name": "days", "default": {"preview": "7"}},
                    {"name": "more", "kind": "kwargs"},
                ],
            }
        ],
    }
}  # fmt: skip


def test_manifests_are_shown_as_python_signatures(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on("GET", "/manifests", MANIFESTS)
    signature = "city: str, days = 7, **more"
    assert f"repo/report  workflow  {signature}  About cities." in coflux("manifests", "list").out
    assert f"workflow report({signature})" in coflux("manifests", "inspect", "repo").out
    assert coflux("manifests", "inspect", "repp").code == 3
    assert coflux("manifests", "list", "--json").json == MANIFESTS


def test_a_repository_is_archived(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on("POST", "/manifests/archive", {"ok": True})
    coflux("manifests", "archive", "repo", "-e", "dev")
    assert puppet.asked[0].body == {"environment": "dev", "repository": "repo"}


# --- what is going on -------------------------------------------------------------------------


def test_the_queue_says_why(puppet: Puppet, coflux: Coflux) -> None:
    """SC-11"""
    reason = {"code": "agent", "text": "no agent hosts repo"}
    puppet.on("GET", "/queue", [{"execution": "R1:1:1", "target": "repo/a", "reason": reason}])
    assert "R1:1:1     repo/a  agent   no agent hosts repo" in coflux("queue").out


def test_nothing_to_list_is_said_and_is_no_output(puppet: Puppet, coflux: Coflux) -> None:
    for path in ("/queue", "/agents", "/runs"):
        puppet.on("GET", path, [])
    for command in (("queue",), ("agents",), ("runs", "list")):
        ended = coflux(*command)
        assert (ended.code, ended.out) == (0, "")
        assert ended.err
        assert coflux(*command, "--json").json == []


def test_agents_are_shown_with_tags(puppet: Puppet, coflux: Coflux) -> None:
    agent = {"session": "S1", "environment": "default", "connected": True, "concurrency": 6,
             "targets": {"repo": ["a"]}, "running": ["R1:1:1"], "provides": {"gpu": ["a"]},
             "accepts": {}}  # fmt: skip
    puppet.on("GET", "/agents", [agent])
    assert "S1       connected  1/6      repo          gpu:a" in coflux("agents").out
    puppet.on("GET", "/agents", [{**agent, "draining": True}])
    assert "S1       draining  1/6" in coflux("agents").out


def test_the_cache_explains_itself_and_forgets(puppet: Puppet, coflux: Coflux) -> None:
    """CA-12, CA-13"""
    puppet.on("GET", "/cache/R1:2", {"cache": {"kind": "hit", "execution": "R0:2:1"}})
    puppet.on("POST", "/cache/forget", {"ok": True})
    assert "execution: R0:2:1" in coflux("cache", "explain", "R1:2").out
    coflux("cache", "forget", "repo/load")
    assert puppet.asked[-1].body == {
        "environment": "default", "target": "repo/load", "execution": None,
    }  # fmt: skip


def test_doctor_goes_through_everything(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on_api("GET", "/version", {"version": "0.1.0", "protocol": 1})
    puppet.on_api("GET", "/projects", [{"name": "default", "state": "running"}])
    paused = {"id": "E1", "name": "default", "base": None, "state": "paused"}
    puppet.on("GET", "/environments", [paused])
    for path, body in (("/manifests", {}), ("/agents", []), ("/queue", [])):
        puppet.on("GET", path, body)
    puppet.on("GET", "/storage", {"rows": 5_000, "logs": 0, "blobs": 7, "blob_count": 1_234})
    ended = coflux("doctor")
    assert ended.code == 3
    assert "✗ environment: default is paused" in ended.out
    assert "coflux env resume default" in ended.out
    assert "queue: 0 queued" in ended.out
    assert "store: 5.0 kB of runs, 0 B of logs and metrics, 1,234 blobs (7 B)" in ended.out


def test_doctor_stops_at_a_token_that_is_refused(puppet: Puppet, coflux: Coflux) -> None:
    puppet.on_api("GET", "/version", {"version": "0.1.0", "protocol": 1})
    puppet.on_api("GET", "/projects", refused(401, "unauthorized", "This token is unknown."))
    findings = coflux("doctor", "--json").json
    assert findings[-1]["check"] == "access"
    assert "COFLUX_TOKEN" in findings[-1]["advice"]


# --- files ------------------------------------------------------------------------------------


def test_blobs_are_stored_and_fetched_by_their_hash(
    puppet: Puppet, coflux: Coflux, bare: Path
) -> None:
    """AS-5"""
    content = b"some bytes"
    key = hashlib.sha256(content).hexdigest()
    Path("in.bin").write_bytes(content)
    puppet.on("HEAD", f"/blobs/{key}", (404, b""))
    puppet.on("PUT", f"/blobs/{key}", (201, b""))
    puppet.on("GET", f"/blobs/{key}", (200, content))
    assert coflux("blobs", "put", "in.bin").out == f"{key}\n"
    assert coflux("blobs", "get", key, "--to", "out.bin").code == 0
    assert Path("out.bin").read_bytes() == content
    assert coflux("blobs", "get", key, "--to", "out.bin").code == 2


def test_an_asset_is_downloaded_and_overwrites_nothing_unasked(
    puppet: Puppet, coflux: Coflux, bare: Path
) -> None:
    """AS-3"""
    key = hashlib.sha256(b"row\n").hexdigest()
    entries = [{"path": "a/b.csv", "blob": key, "size": 4, "mode": 420, "media_type": "text/csv"}]
    asset = {"id": "A1", "name": "table", "entries": entries, "execution": "R1:1:1"}
    puppet.on("GET", "/assets/A1", asset)
    puppet.on("GET", "/assets", [asset])
    puppet.on("GET", f"/blobs/{key}", (200, b"row\n"))
    assert "A1     table  1      4 B   R1:1:1" in coflux("assets", "list", "R1").out
    assert f"a/b.csv  4 B   text/csv  {key}" in coflux("assets", "inspect", "A1").out
    assert coflux("assets", "download", "A1", "--to", "x").out == "x/a/b.csv\n"
    assert Path("x/a/b.csv").read_bytes() == b"row\n"
    again = coflux("assets", "download", "A1", "--to", "x")
    assert again.code == 3
    assert coflux("assets", "download", "A1", "--to", "x", "--overwrite").code == 0


def test_the_assets_of_an_environment_are_listed(puppet: Puppet, coflux: Coflux) -> None:
    entries = [{"path": "a.csv", "blob": "0" * 64, "size": 4, "mode": 420}]
    asset = {"id": "A1", "name": None, "path": "tree", "entries": entries, "files": 30,
             "size": 2048, "execution": "R1:2:1", "target": "repo/report",
             "environment": "default", "created_at": 0}  # fmt: skip
    puppet.on("GET", "/assets", [asset], [])
    out = coflux("assets", "list", "--name", "csv", "--limit", "5", "--before", "A2").out
    assert puppet.asked[-1].query == {
        "environment": "default", "name": "csv", "limit": "5", "before": "A2",
    }  # fmt: skip
    assert "A1     tree  30     2.0 kB  R1:2:1   repo/report" in out
    assert "no asset" in coflux("assets", "list").err
    assert coflux("assets", "list", "R1", "--name", "csv").code == 2


def test_an_asset_with_a_path_that_leads_out_writes_nothing(
    puppet: Puppet, coflux: Coflux, bare: Path
) -> None:
    """AS-2"""
    entries = [{"path": "../evil", "blob": "0" * 64, "size": 4, "mode": 420}]
    puppet.on("GET", "/assets/A1", {"id": "A1", "name": None, "entries": entries})
    assert coflux("assets", "download", "A1", "--to", "x").code == 3
    assert list(bare.iterdir()) == []


def test_a_backup_is_written_and_restored_elsewhere(
    puppet: Puppet, coflux: Coflux, bare: Path
) -> None:
    """DM-4"""
    puppet.on("POST", "/backup", (200, archive()))
    assert coflux("backup", "b.tar").code == 0
    assert coflux("backup", "b.tar").code == 2
    restored = coflux("restore", "b.tar", "--data-dir", "elsewhere", "--json")
    assert restored.json["project"] == "weather"
    assert list(Path("elsewhere").glob("projects/*/store.db"))
    assert coflux("restore", "b.tar", "--data-dir", "elsewhere").code == 3


def archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        manifest = json.dumps({"format": 1, "project": "weather"}).encode()
        for name, content in (("coflux-backup.json", manifest), ("store.db", b"rows")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_configure_writes_what_is_given(coflux: Coflux, bare: Path) -> None:
    ended = coflux("configure", "--host", "example.org:80", "--environment", "dev")
    assert ended.code == 0
    content = Path("coflux.toml").read_text()
    assert content == 'host = "http://example.org:80"\nenvironment = "dev"\n'


def test_configure_without_a_terminal_asks_nobody(coflux: Coflux, bare: Path) -> None:
    assert coflux("configure").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(coflux: Coflux, shell: str) -> None:
    assert "_COFLUX_COMPLETE" in coflux("completion", shell).out
