"""What a client asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from puppet_server import Puppet, refused

import coflux as cf
from coflux import config, errors, model, values
from coflux.client import Client
from coflux.client import client as module


@pytest.fixture
def client(puppet: Puppet, bare: Path) -> Client:
    return Client(config.resolve(host=puppet.url, token=puppet.token))


@pytest.fixture
def connected(puppet: Puppet, bare: Path) -> Iterator[Client]:
    puppet.on("GET", "/runs", [])
    yield cf.connect(puppet.url, token=puppet.token)
    module.disconnect()


def encoded(result: model.Result) -> Any:
    return json.loads(msgspec.json.encode(result))


def value_answer(value: Any, execution: str = "R1:1:1") -> dict[str, Any]:
    result = model.Returned(values.encode(value, blobs=None))
    return {"kind": "value", "value": value, "execution": execution, "result": encoded(result)}


SUBMITTED = {"run": "R1", "step": "R1:1", "execution": "R1:1:1", "status": "queued"}


# --- submitting -------------------------------------------------------------------------------


def test_submitting_by_name_sends_json_arguments_for_the_server_to_bind(
    puppet: Puppet, client: Client
) -> None:
    """SU-2"""
    puppet.on("POST", "/runs", (201, SUBMITTED))
    run = client.submit("repo/report", "Oslo", days=3)
    assert (run.id, run.submitted["step"]) == ("R1", "R1:1")
    body = puppet.asked[0].body
    assert body["target"] == "repo/report"
    assert (body["arguments"], body["keyword_arguments"]) == (["Oslo"], {"days": 3})
    assert body["environment"] == "default"
    assert body["idempotency_key"].startswith("auto-")


def test_an_idempotency_key_is_passed_on(puppet: Puppet, client: Client) -> None:
    """SU-4"""
    puppet.on("POST", "/runs", (200, SUBMITTED))
    client.submit("repo/report", idempotency_key="today")
    assert puppet.asked[0].body["idempotency_key"] == "today"


def test_options_of_a_submission_are_sent_beside_it(puppet: Puppet, client: Client) -> None:
    """SU-3"""
    puppet.on("POST", "/runs", (201, SUBMITTED))
    client.start("repo/report", options={"requires": {"gpu": ("true",)}, "retries": 2})
    assert puppet.asked[0].body["options"] == {"requires": {"gpu": ["true"]}, "retries": 2}


MANIFESTS = {
    "repo": {
        "revision": 1,
        "targets": [
            {
                "name": "report",
                "type": "workflow",
                "parameters": [
                    {"name": "cities"},
                    {"name": "days", "default": encoded(values.encode(7, blobs=None))},
                    {"name": "more", "kind": "kwargs"},
                ],
            }
        ],
    }
}


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), 2**70, b"x", {1: "a"}, ("x",), "\ud800"])
def test_arguments_that_are_no_json_are_bound_here_and_sent_as_values(
    puppet: Puppet, client: Client, value: Any
) -> None:
    """SU-2"""
    puppet.on("GET", "/manifests", MANIFESTS)
    puppet.on("POST", "/runs", (201, SUBMITTED))
    client.submit("repo/report", value)
    body = puppet.requests("POST", "/runs")[0].body
    submission = msgspec.convert(body["submission"], model.Submission)
    assert (submission.repository, submission.target) == ("repo", "report")
    assert list(submission.arguments) == ["cities", "days", "more"]
    assert submission.arguments["cities"].key == values.encode(value, blobs=None).key
    assert values.decode(submission.arguments["days"], blobs=None) == 7
    assert values.decode(submission.arguments["more"], blobs=None) == {}


def test_arguments_that_do_not_fit_the_manifest_create_nothing(
    puppet: Puppet, client: Client
) -> None:
    """SU-1"""
    puppet.on("GET", "/manifests", MANIFESTS)
    with pytest.raises(TypeError, match="repo/report"):
        client.submit("repo/report", {1}, {2}, {3})
    assert puppet.requests("POST", "/runs") == []


def test_a_target_object_brings_its_own_signature_and_options(
    puppet: Puppet, client: Client
) -> None:
    """SU-2"""

    @cf.workflow(retries=1)
    def report(city: str, *, days: int = 7) -> None: ...

    puppet.on("POST", "/runs", (201, SUBMITTED))
    client.start(report, ("Oslo",), options={"priority": 3})
    assert [asked.path.rpartition("/")[2] for asked in puppet.asked] == ["runs"]
    submission = msgspec.convert(puppet.asked[0].body["submission"], model.Submission)
    assert submission.type == "workflow"
    assert list(submission.arguments) == ["city", "days"]
    assert submission.options.priority == 3
    assert submission.options.retries is not None


def test_a_submission_whose_answer_was_lost_may_be_sent_again(client: Client) -> None:
    """SU-10: it always carries a key, so that the second arrival has no further effect."""
    seen = {}

    def request(method: str, path: str, **more: Any) -> Any:
        seen.update(more)
        return type("Answer", (), {"body": SUBMITTED})

    client.transport.request = request  # type: ignore[method-assign]
    client.submit("repo/report")
    assert seen["repeatable"]


# --- outcomes ---------------------------------------------------------------------------------


def test_a_result_is_waited_for_and_decoded(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/results/R1", (202, {"status": "running"}), value_answer({"a": [1]}))
    assert client.run("R1").result() == {"a": [1]}
    assert puppet.asked[0].query == {"wait_ms": "30000", "encoded": "true"}


def test_a_timeout_is_the_builtin_one(puppet: Puppet, client: Client) -> None:
    """WA-1"""
    puppet.on("GET", "/results/R1", (202, {"status": "running"}))
    with pytest.raises(TimeoutError, match="R1 is still running"):
        client.run("R1").result(timeout=0)


def test_an_error_is_raised_as_its_own_class_and_as_ours(puppet: Puppet, client: Client) -> None:
    """ER-1"""
    error = model.Error(type="builtins.ValueError", message="no such city")
    puppet.on(
        "GET", "/results/R1",
        {"kind": "error", "result": encoded(model.Raised(error)), "execution": "R1:1:1"},
    )  # fmt: skip
    with pytest.raises(ValueError, match="no such city") as caught:
        client.run("R1").result()
    assert isinstance(caught.value, errors.ExecutionError)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (model.Cancelled(by="me"), errors.ExecutionCancelled),
        (model.TimedOut(limit_ms=5), errors.ExecutionTimeout),
        (model.Crashed(signal=9), errors.ExecutionCrashed),
        (model.Abandoned(), errors.ExecutionAbandoned),
    ],
)
def test_other_ends_raise_what_they_stand_for(
    puppet: Puppet, client: Client, result: model.Result, kind: type[Exception]
) -> None:
    """RS table"""
    body = {"kind": model.result_kind(result), "result": encoded(result), "execution": "R1:1:1"}
    puppet.on("GET", "/results/R1", body)
    with pytest.raises(kind):
        client.run("R1").result()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((202, {"status": "suspended"}), "suspended"),
        ({"kind": "value"}, "succeeded"),
        ({"kind": "crashed"}, "failed"),
        ({"kind": "cancelled"}, "cancelled"),
    ],
)
def test_the_status_of_a_run_follows_its_outcome(
    puppet: Puppet, client: Client, answer: Any, status: str
) -> None:
    """RS-6"""
    puppet.on("GET", "/results/R1", answer)
    assert client.run("R1").status == status


def test_waiting_goes_on_through_a_restart_of_the_server(puppet: Puppet, client: Client) -> None:
    away = refused(503, "unavailable", "the project is starting")
    puppet.on("GET", "/results/R1", away, away, value_answer(1))
    assert client.run("R1").result() == 1


def test_other_requests_say_at_once_that_the_server_is_away(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/runs", refused(503, "unavailable", "the project is starting"))
    with pytest.raises(errors.Unavailable):
        client.runs()


def test_a_run_can_be_awaited(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/results/R1", value_answer("x"))

    async def wait() -> Any:
        return await client.run("R1")

    assert asyncio.run(wait()) == "x"


# --- looking ----------------------------------------------------------------------------------


def view(status: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"run": "R1", "target": "repo/report", "environment": "default", "status": status,
            "parent": None, "created_at": 1, "steps": list(steps)}  # fmt: skip


def step(number: int, status: str = "value", attempts: int = 1) -> dict[str, Any]:
    return {
        "step": f"R1:{number}", "target": "repo/load", "type": "task",
        "parent": None if number == 1 else "R1:1:1", "arguments": {"city": "'Oslo'"},
        "something_newer": 1,
        "executions": [
            {"execution": f"R1:{number}:{n}", "environment": "default", "status": status,
             "result": {"kind": status}}
            for n in range(1, attempts + 1)
        ],
    }  # fmt: skip


def test_steps_are_read_with_their_attempts(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/runs/R1", view("running", step(1), step(2, attempts=12)))
    first, second = client.run("R1").steps()
    assert (first.id, first.parent, second.parent) == ("R1:1", None, "R1:1:1")
    assert second.latest is not None
    assert second.latest.number == 12


def test_following_gives_each_change_until_the_outcome(puppet: Puppet, client: Client) -> None:
    running, done = view("running", step(1, "running")), view("succeeded", step(1))
    puppet.on("GET", "/runs/R1", running, running, done)
    puppet.on("GET", "/results/R1", (202, {"status": "running"}), {"kind": "value"})
    assert [seen.status for seen in client.run("R1").follow()] == ["running", "succeeded"]


def test_a_run_shows_itself_in_a_notebook_with_everything_escaped(
    puppet: Puppet, client: Client
) -> None:
    puppet.on("GET", "/runs/R1", {**view("failed", step(1, "error")), "target": "<b>"})
    shown = client.run("R1")._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "error" in shown


def test_a_display_does_not_fail_when_the_server_refuses(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/results/R1", refused(404, "not_found", "no run R1"))
    assert repr(client.run("R1")) == "<Run R1 (NotFound)>"
    assert "R1" in client.run("R1")._repr_html_()


def test_a_run_is_seen_from_the_environment_that_was_named(puppet: Puppet, bare: Path) -> None:
    """RR-6"""
    puppet.on("GET", "/results/R1", value_answer(1))
    settings = {"host": puppet.url, "token": puppet.token}
    Client(config.resolve(**settings)).run("R1").result()
    Client(config.resolve(**settings, environment="dev")).run("R1").result()
    assert [asked.query.get("environment") for asked in puppet.asked] == [None, "dev"]


# --- acting -----------------------------------------------------------------------------------


def test_a_rerun_gives_a_handle_that_sees_its_environment(puppet: Puppet, client: Client) -> None:
    """RR-1, RR-6"""
    puppet.on("POST", "/rerun/R1:2", {**SUBMITTED, "execution": "R1:2:3"})
    puppet.on("GET", "/results/R1:2:3", value_answer(5, "R1:2:3"))
    handle = client.rerun("R1:2", environment="dev", code="original")
    assert isinstance(handle, cf.Execution)
    assert (handle.id, handle.result(), handle.poll()) == ("R1:2:3", 5, 5)
    assert puppet.asked[0].body == {"environment": "dev", "code": "original", "reuse": False}
    assert puppet.asked[1].query["environment"] == "dev"


def test_cancelling_says_what_ended(puppet: Puppet, client: Client) -> None:
    puppet.on("POST", "/cancel/R1", {"cancelled": ["R1:1:1"]})
    assert client.cancel("R1") == ["R1:1:1"]


def test_arguments_come_back_bound(puppet: Puppet, client: Client) -> None:
    stored = {
        "cities": encoded(values.encode(["Oslo"], blobs=None)),
        "days": encoded(values.encode(2, blobs=None)),
        "more": encoded(values.encode({"x": 1}, blobs=None)),
    }
    puppet.on("GET", "/arguments/R1:1", {"target": "repo/report", "arguments": stored})
    puppet.on("GET", "/manifests", MANIFESTS)
    bound = client.arguments("R1:1")
    assert bound.args == (["Oslo"], 2)
    assert bound.kwargs == {"x": 1}


def test_arguments_of_a_task_are_bound_without_a_manifest(puppet: Puppet, client: Client) -> None:
    stored = {"a": encoded(values.encode(1, blobs=None)), "b": {"format": "default"}}
    puppet.on("GET", "/arguments/R1:2", {"target": "repo/load", "arguments": stored})
    puppet.on("GET", "/manifests", {})
    assert client.arguments("R1:2").args == (1,)


def test_handles_in_a_value_ask_the_connected_client(puppet: Puppet, connected: Client) -> None:
    """RS-4"""
    reference = model.Reference("execution", "R1:2:1")
    result = model.Returned(values.encode([reference], blobs=None))
    puppet.on("GET", "/results/R1", {"kind": "value", "result": encoded(result)})
    puppet.on("GET", "/results/R1:2:1", value_answer("inner"))
    (handle,) = connected.run("R1").result()
    assert handle.result() == "inner"


def test_logs_come_in_pages(puppet: Puppet, client: Client) -> None:
    puppet.on("GET", "/logs", {"entries": [{"seq": 1}], "cursor": "c1"})
    assert client.logs("R1", after="c0", wait_s=2) == ([{"seq": 1}], "c1")
    assert puppet.asked[0].query == {
        "id": "R1", "after": "c0", "limit": "1000", "wait_ms": "2000",
    }  # fmt: skip


# --- environments -----------------------------------------------------------------------------

ENVIRONMENTS = [
    {"id": "Eold", "name": "dev", "base": None, "state": "archived"},
    {"id": "Enew", "name": "dev", "base": None, "state": "active"},
]


def test_an_environment_is_changed_by_its_name(puppet: Puppet, client: Client) -> None:
    """EV-4; ID-6 edge case: a name of an archived environment means the new one."""
    puppet.on("GET", "/environments", ENVIRONMENTS)
    puppet.on("PATCH", "/environments/Enew", ENVIRONMENTS[1])
    client.environments.update("dev", base=None)
    assert puppet.asked[-1].body == {"base": None}


def test_a_misspelt_environment_is_not_found_with_the_nearest_name(
    puppet: Puppet, client: Client
) -> None:
    puppet.on("GET", "/environments", ENVIRONMENTS)
    with pytest.raises(errors.NotFound, match="did you mean 'dev'"):
        client.environments.pause("devv")


# --- connecting -------------------------------------------------------------------------------


def test_connecting_makes_a_client_current_until_it_is_disconnected(
    puppet: Puppet, connected: Client
) -> None:
    """SU-6"""
    assert module.current() is connected
    module.disconnect()
    assert module.current() is None


def test_connecting_to_a_refusing_server_changes_nothing(puppet: Puppet, bare: Path) -> None:
    puppet.on("GET", "/runs", refused(404, "not_found", "there is no environment 'devv'"))
    with pytest.raises(errors.NotFound, match="devv"):
        cf.connect(puppet.url, token=puppet.token, environment="devv")
    assert module.current() is None


def test_a_connected_process_submits_workflows_as_runs(puppet: Puppet, connected: Client) -> None:
    """SU-6"""

    @cf.workflow()
    def report(city: str) -> str:
        return city

    puppet.on("POST", "/runs", (201, SUBMITTED))
    run = report.submit("Oslo")
    assert isinstance(run, cf.Run)
    assert report("Oslo") == "Oslo"


def test_a_backup_appears_whole_and_replaces_nothing(
    puppet: Puppet, client: Client, bare: Path
) -> None:
    """DM-4"""
    puppet.on("POST", "/backup", (200, b"tar" * 100))
    assert list(client.backup(Path("b.tar")))[-1] == 300
    assert Path("b.tar").read_bytes() == b"tar" * 100
    with pytest.raises(FileExistsError):
        list(client.backup(Path("b.tar")))
    assert [p.name for p in bare.iterdir()] == ["b.tar"]
