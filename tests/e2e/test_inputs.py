"""People who are asked: what they see, what they may answer, and what the code gets (IN)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import coflux as cf
from coflux.client.client import use
from coflux.errors import Conflict, Forbidden, InvalidRequest, NotFound

from .conftest import make_stack
from .stack import Stack, until


@pytest.fixture(scope="module")
def asking() -> Iterator[Stack]:
    """A server and an agent with one slot that hosts what asks."""
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("asking.py", "--register", "--concurrency", "1")
        yield stack


def question(stack: Stack, run: str, awaited: bool = True) -> dict[str, Any]:
    """The question that a run has asked, once somebody waits for it."""

    def found() -> dict[str, Any] | None:
        rows = stack.client().inputs.list(run=run)
        return next((row for row in rows if row["awaited"] or not awaited), None)

    return until(found, f"{run} asks")


def test_a_person_answers_by_the_command_line_and_the_code_goes_on_IN_1(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "tea")
    row = question(asking, run)
    assert row["input"] == f"{run}/i1"
    assert (row["title"], row["message"]) == ("An opinion", "What do you think of tea?")
    assert (row["execution"], row["target"], row["state"]) == (
        f"{run}:1:1",
        "asking/opinion",
        "open",
    )
    listed = asking.cli("inputs", "list", "--json").json
    assert row in listed
    assert "An opinion" in asking.cli("inputs", "list").out
    assert f"waits for an answer to {run}/i1" in asking.cli("runs", "inspect", run).out
    shown = asking.cli("inputs", "inspect", row["input"]).out
    assert "What do you think of tea?" in shown
    assert "open, and awaited" in shown
    assert (
        asking.cli("inputs", "respond", row["input"], '{"stars": 5}').out == f"answered {run}/i1\n"
    )
    assert asking.value(run) == {"stars": 5}
    assert asking.client().inputs.list(run=run) == []
    (ended,) = asking.client().inputs.list(run=run, all=True)
    assert (ended["state"], ended["awaited"]) == ("answered", False)
    whole = asking.client().inputs.get(row["input"])
    assert (whole["answer"], whole["placeholders"]) == ({"stars": 5}, {"thing": "'tea'"})
    assert whole["by"]
    inspected = asking.client().inspect(run)
    assert [each["input"] for each in inspected["inputs"]] == [f"{run}/i1"]
    assert inspected["steps"][0]["executions"][0]["dependencies"] == [f"{run}/i1"]


def test_what_is_not_JSON_is_a_string_and_null_is_an_answer_IN_3(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "rain")
    asking.cli("inputs", "respond", question(asking, run)["input"], "rather wet")
    assert asking.value(run) == "rather wet"
    run = asking.submit("asking/opinion", "snow")
    asking.client().inputs.respond(question(asking, run)["input"], None)
    assert asking.value(run) is None


def test_dismissing_raises_in_the_code_IN_3(asking: Stack) -> None:
    run = asking.submit("asking/ships", 1200, "Oslo")
    row = question(asking, run)
    assert row["message"] == "Ship 1,200 boxes to Oslo?"
    assert row["actions"] == {"respond": "Decide", "dismiss": "Refuse"}
    assert asking.cli("inputs", "dismiss", row["input"]).code == 0
    assert str(asking.value(run)).startswith(f"dismissed: input {run}/i1 was dismissed by ")
    again = asking.cli("inputs", "respond", row["input"], '"yes"')
    assert again.code != 0
    assert "was dismissed by" in again.err


def test_an_answer_that_does_not_fit_is_refused_with_path_and_reason_IN_4(asking: Stack) -> None:
    run = asking.submit("asking/orders")
    row = question(asking, run)
    whole = asking.client().inputs.get(row["input"])
    assert whole["schema"]["properties"]["count"] == {"type": "integer"}
    assert (whole["has_initial"], whole["initial"]) == (True, {"note": "soon"})
    refused = asking.cli("inputs", "respond", row["input"], '{"count": "many"}')
    assert refused.code != 0
    assert "value.count: 'many' is not of type 'integer'" in refused.err
    with pytest.raises(InvalidRequest) as error:
        asking.client().inputs.respond(row["input"], {"note": "x"})
    assert "'count' is a required property" in str(error.value)
    assert asking.client().inputs.get(row["input"])["state"] == "open"
    asking.client().inputs.respond(row["input"], {"count": 3})
    assert asking.value(run) == ["Order", 3, ""]


def test_of_two_people_one_wins_IN_3(asking: Stack) -> None:
    run = asking.submit("asking/ships", 1, "Bergen")
    input = question(asking, run)["input"]
    one = asking.start_cli("inputs", "respond", input, '"yes"')
    two = asking.start_cli("inputs", "respond", input, '"no"')
    ends = [(process.communicate(), process.returncode) for process in (one, two)]
    assert sorted(code == 0 for _, code in ends) == [False, True]
    lost = next(err for (_, err), code in ends if code != 0)
    assert b"was answered by" in lost
    assert asking.value(run) == ("yes" if ends[0][1] == 0 else "no")
    with pytest.raises(Conflict):
        asking.client().inputs.respond(input, "yes")


def test_suspended_while_asking_it_has_no_process_and_no_slot_WA_3(asking: Stack) -> None:
    run = asking.submit("asking/patient", "time")
    row = question(asking, run)
    asking.until_status(f"{run}:1:1", "suspended")
    pid = asking.seen("patient", run)[0].pid
    until(lambda: not psutil.pid_exists(pid), "the process is gone")
    (queued,) = [q for q in asking.client().queue() if q["execution"] == f"{run}:1:2"]
    assert queued["reason"]["code"] == "waiting"
    assert queued["reason"]["text"] == f"waits for an answer to {row['input']}"
    other = asking.submit("asking/opinion", "the only slot")
    asking.client().inputs.respond(question(asking, other)["input"], 1)
    assert asking.value(other) == 1
    asking.client().inputs.respond(row["input"], "flies")
    assert asking.value(run) == "flies"
    assert len(asking.seen("patient", run)) == 2
    assert len(asking.client().inputs.list(run=run, all=True)) == 1


def test_tags_of_the_token_decide_who_may_answer_IN_5(asking: Stack) -> None:
    run = asking.submit("asking/guarded")
    row = question(asking, run)
    assert row["requires"] == {"role": ["boss"]}
    create = ("tokens", "create", "--json", "--right", "run")
    plain = asking.cli(*create, "--name", "plain").json["token"]
    boss = asking.cli(*create, "--name", "boss", "--tag", "role:boss").json["token"]
    reader = asking.cli("tokens", "create", "--json", "--right", "read", "--name", "reader").json[
        "token"
    ]
    with asking.client_with(plain) as client:
        with pytest.raises(Forbidden, match="role:boss"):
            client.inputs.respond(row["input"], True)
        with pytest.raises(Forbidden, match="role:boss"):
            client.inputs.dismiss(row["input"])
    with asking.client_with(reader) as client, pytest.raises(Forbidden):
        client.inputs.respond(row["input"], True)
    with asking.client_with(boss) as client:
        assert client.inputs.respond(row["input"], True)["by"] == "boss"
    assert asking.value(run) is True


def test_handles_go_through_results_and_select_WA_7(asking: Stack) -> None:
    run = asking.submit("asking/passes_on")
    row = until(
        lambda: next((r for r in asking.client().inputs.list(run=run) if "soup" in r["message"]
                      and r["awaited"]), None), "both are asked",
    )  # fmt: skip
    asking.client().inputs.respond(row["input"], "hot")
    other = {f"{run}/i1", f"{run}/i2"} - {row["input"]}
    assert asking.value(run) == [row["input"], [*other], "hot", "nothing"]


def test_what_is_withdrawn_is_cancelled_IN_6(asking: Stack) -> None:
    run = asking.submit("asking/withdraws")
    assert str(asking.value(run)).startswith(f"input {run}/i1 was cancelled")


def test_a_question_outlives_its_run_only_where_somebody_has_the_handle_IN_6(
    asking: Stack,
) -> None:
    forgotten = asking.run("asking/forgets")
    assert asking.client().inputs.get(forgotten)["state"] == "cancelled"
    client = asking.client()
    run = client.submit("asking/gives_away")
    handle = run.result()
    assert isinstance(handle, cf.Input)
    assert handle.id == f"{run.id}/i1"
    assert client.inputs.get(handle.id)["state"] == "open"
    asking.cli("inputs", "respond", handle.id, "42")
    assert client.inputs.wait(handle.id) == 42


def test_cancelling_the_run_cancels_what_it_asks_IN_6(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "patience")
    input = question(asking, run)["input"]
    asking.client().cancel(run)
    found = asking.client().inputs.get(input)
    assert (found["state"], found["cause"]) == ("cancelled", "its run ended")


def test_a_re_run_in_a_child_environment_finds_the_answer_IN_2(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "home")
    asking.client().inputs.respond(question(asking, run)["input"], "sweet")
    assert asking.value(run) == "sweet"
    asking.client().environments.create("child", base="default")
    agent = asking.start_agent("asking.py", COFLUX_ENVIRONMENT="child")
    again = asking.client().rerun(f"{run}:1", "child")
    assert again.result(timeout=30) == "sweet"
    assert len(asking.client().inputs.list(run=run, all=True)) == 1
    assert agent.stop() == 0


def test_a_connected_process_waits_withdraws_and_polls_PY_2(asking: Stack) -> None:
    client = asking.client()
    use(client)
    try:
        first, second = (client.submit("asking/gives_away").result() for _ in range(2))
        assert first.poll(default="nothing") == "nothing"
        with pytest.raises(TimeoutError):
            first.result(timeout=0.1)
        asking.cli("inputs", "respond", first.id, '["x"]')
        assert first.result(timeout=30) == ["x"]
        second.cancel()
        second.cancel()
        with pytest.raises(cf.ExecutionCancelled, match=f"input {second.id} was cancelled"):
            second.result()
    finally:
        use(None)


def test_an_id_that_is_none_is_not_found_ID_4(asking: Stack) -> None:
    for id in ("Rbcdfgh/i1", "Rbcdfgh/x", "R/i1", "nothing", "Rbcdfgh:1/i1"):
        with pytest.raises(NotFound):
            asking.client().inputs.get(id)


def test_a_question_outlives_the_project_process_SE_9(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "endurance")
    patient = asking.submit("asking/patient", "more endurance")
    rows = [question(asking, each) for each in (run, patient)]
    ended = [row for row in asking.client().inputs.list(all=True) if row["state"] != "open"]
    assert ended
    process = asking.project_process()
    assert process is not None
    process.kill()
    # Runs that are finished are not in memory any more.
    again = until(lambda: asking.client().inputs.list(all=True), "it is back")
    assert [row for row in again if row["state"] != "open"] == ended
    whole = asking.client().inputs.get(ended[-1]["input"])
    assert {name: whole[name] for name in ended[-1]} == ended[-1]
    for each, row in zip((run, patient), rows, strict=True):
        found = until(lambda row=row: asking.client().inputs.get(row["input"]), "it is back")
        assert found["state"] == "open"
        question(asking, each)
        asking.client().inputs.respond(row["input"], "kept")
        assert asking.value(each) == "kept"


def test_a_coroutine_waits_for_several_answers_at_once_PY_2(asking: Stack) -> None:
    run = asking.submit("asking/both")

    def awaited() -> Any:
        rows = asking.client().inputs.list(run=run)
        return rows if len(rows) == 2 and all(row["awaited"] for row in rows) else None

    for row in until(awaited, "both are asked"):
        asking.client().inputs.respond(row["input"], row["message"])
    assert asking.value(run) == ["What do you think of a?", "What do you think of b?"]


def test_debugging_takes_the_answers_that_the_run_has_got(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "debugging")
    asking.client().inputs.respond(question(asking, run)["input"], "useful")
    assert asking.value(run) == "useful"
    done = asking.cli("debug", f"{run}:1")
    assert done.code == 0, done.err
    assert "useful" in done.out
    assert len(asking.client().inputs.list(run=run, all=True)) == 1


def test_an_answer_that_was_acknowledged_survives_kill_9_SE_9(asking: Stack) -> None:
    run = asking.submit("asking/opinion", "luck")
    input = question(asking, run)["input"]
    process = asking.project_process()
    assert process is not None
    asking.client().inputs.respond(input, "good")
    process.kill()
    assert asking.value(run) == "good"
    assert until(lambda: asking.client().inputs.get(input), "it is back")["state"] == "answered"


def test_agents_may_go_and_come_while_a_person_thinks_WA_6(asking: Stack) -> None:
    client = asking.client("elsewhere")
    asking.client().environments.create("elsewhere")
    agent = asking.start_agent("asking.py", "--register", COFLUX_ENVIRONMENT="elsewhere")
    run = client.submit("asking/patient", "patience").id
    row = until(lambda: next(iter(client.inputs.list(run=run)), None), "it is asked")
    asking.until_status(f"{run}:1:1", "suspended")
    assert agent.stop() == 0
    client.inputs.respond(row["input"], "a virtue")
    queued = until(lambda: client.queue(), "it waits for an agent")
    assert queued[0]["reason"]["code"] == "agent"
    asking.start_agent("asking.py", COFLUX_ENVIRONMENT="elsewhere")
    assert asking.value(run) == "a virtue"
