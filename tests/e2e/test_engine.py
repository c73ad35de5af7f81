"""Waiting, repeating and limits, with real processes from the function to the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import make_stack
from .stack import Stack, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A server and one agent that hosts `engine`, shared by the tests of this module."""
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("engine.py", "--register", "--concurrency", "4")
        yield stack


def words(stack: Stack, run: str) -> list[str]:
    """What target functions of a run did."""
    return [seen.what for seen in stack.seen(run=run)]


def test_of_equal_calls_only_the_last_runs_DF_2(stack: Stack) -> None:
    runs = [stack.submit("engine/index", "page", n) for n in range(3)]
    other = stack.submit("engine/index", "elsewhere", 9)
    assert [stack.value(run) for run in runs] == [2, 2, 2]
    assert stack.value(other) == 9
    assert [stack.execution(run)["status"] for run in runs] == ["deferred", "deferred", "value"]
    assert [words(stack, run) for run in runs] == [[], [], ["index2"]]


class TestSuspension:
    def test_no_user_code_runs_after_it_and_the_slot_is_free_WA_5(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        path = tmp_path / "answer"
        run = stack.submit("engine/patient", str(path))
        until(lambda: len(stack.client().inspect(run)["steps"][0]["executions"]) == 2, "suspended")
        stack.until_seen("answer", run)
        first = stack.client().inspect(run)["steps"][0]["executions"][0]
        until(lambda: stack.execution(f"{run}:1:1")["process"] == "gone", "the process is gone")
        assert first["status"] == "suspended"
        assert stack.client().run(run).status == "suspended"
        queued = stack.execution(f"{run}:1")
        assert queued["reason"]["data"]["ids"] == [f"{run}:2:1"]
        assert queued["suspensions"] == 1
        path.write_text("42")
        assert stack.value(run) == "42"
        assert words(stack, run) == ["begins", "answer", "begins", "finished"]
        assert len(stack.seen("exit_handler")) == 1
        texts = [entry["text"] for entry in stack.logs(f"{run}:1:1")]
        assert texts == ["before the wait"]

    def test_threads_do_not_outlive_it_WA_5(self, stack: Stack, tmp_path: Path) -> None:
        run = stack.submit("engine/naps", str(tmp_path / "nap"))
        assert stack.value(run) == "rested"
        assert words(stack, run) == []

    def test_a_select_goes_on_with_the_first_and_cancels_the_rest_WA_7(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        slow, quick = tmp_path / "slow", tmp_path / "quick"
        run = stack.submit("engine/quickest", str(slow), str(quick))
        until(lambda: len(stack.client().inspect(run)["steps"][0]["executions"]) == 2, "suspended")
        quick.write_text("quick")
        assert stack.value(run) == "quick"
        assert stack.execution(f"{run}:2")["status"] == "cancelled"

    def test_a_chain_that_suspends_for_ever_is_held_and_says_so_WA_12(self, stack: Stack) -> None:
        stack.cli("env", "settings", "default", "--set", "suspensions_per_minute=5")
        run = stack.submit("engine/restless")
        until(lambda: (stack.execution(run)["reason"] or {}).get("code") == "cap", "it is held")
        queue = {entry["execution"]: entry for entry in stack.cli("queue", "--json").json}
        entry = queue[f"{run}:1:7"]
        assert "suspended 6 times in a minute" in entry["reason"]["text"]
        assert entry["reason"]["data"]["setting"] == "suspensions_per_minute"
        stack.client().run(run).cancel()
        stack.cli("env", "settings", "default", "--reset", "suspensions_per_minute")


class TestRepetition:
    def test_a_recurrent_target_runs_until_it_returns_something_RC_1(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        run = stack.submit("engine/countdown", str(tmp_path / "ticks"))
        assert stack.value(run) == "lift-off"
        attempts = stack.client().inspect(run)["steps"][0]["executions"]
        assert [each["status"] for each in attempts] == ["recurred", "recurred", "value"]
        # Nothing failed (RS).
        assert attempts[0]["result"] == {"kind": "recurred"}

    def test_a_sensor_goes_on_from_its_checkpoint_RC_4_RC_5(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        path = tmp_path / "lines"
        path.write_text("one\ntwo\n")
        run = stack.submit("engine/watch", str(path))
        stack.until_seen("line2", run)
        with path.open("a") as file:
            file.write("three\n")
        stack.until_seen("line3", run)
        assert words(stack, run) == ["line1", "line2", "line3"]
        attempts = stack.client().inspect(run)["steps"][0]["executions"]
        assert attempts[1]["due_at"] - attempts[0]["started_at"] >= 5_000
        stack.client().run(run).cancel()
        until(lambda: stack.client().run(run).status == "cancelled", "the sensor is cancelled")

    def test_a_sensor_called_from_a_workflow_is_a_run_of_its_own_RC_3(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        path = tmp_path / "lines"
        path.write_text("one\n")
        run = stack.submit("engine/starts_sensor", str(path))
        spawned = stack.value(run)
        child = stack.execution(spawned)["result"]["execution"].partition(":")[0]
        stack.until_seen("line1", child)
        assert stack.client().run(run).status == "succeeded"
        stack.cli("runs", "cancel", child)


class TestLimits:
    def test_an_undefined_slot_is_one_at_a_time_SC_7(self, stack: Stack) -> None:
        assert stack.run("engine/crowd", 6) is True

    def test_a_slot_is_lent_to_what_its_holder_waits_for_SC_7(self, stack: Stack) -> None:
        assert stack.run("engine/nested", 5) == 5

    def test_slots_are_defined_shown_and_removed_SC_7_SC_8(self, stack: Stack) -> None:
        assert stack.cli("slots", "set", "api", "--rate", "1/2s", "--limit", "5").code == 0
        first, second = stack.submit("engine/polite"), stack.submit("engine/polite")
        assert stack.value(second) - stack.value(first) >= 1.8
        shown = stack.cli("slots", "list", "--json").json
        assert [(s["name"], s["limit"], s["rate"], s["period_ms"], s["scope"]) for s in shown] == [
            ("api", 5, 1, 2_000, "environment")
        ]
        assert "1 in 2.0 s" in stack.cli("slots", "list").out
        assert stack.cli("slots", "remove", "api").code == 0
        assert stack.cli("slots", "remove", "api").code == 3
        assert stack.cli("slots", "set", "api", "--everywhere", "--limit", "1").code == 0
        assert stack.client().slots.list()[0]["scope"] == "project"
        stack.client().slots.remove("api", everywhere=True)

    def test_runaway_recursion_is_held_with_the_reason_SC_9(self, stack: Stack) -> None:
        stack.cli("env", "settings", "default", "--set", "depth=6")
        run = stack.submit("engine/runaway", 0)

        def held() -> bool:
            runs = stack.client().runs(target="engine/runaway")
            return any(stack.client().inspect(each["run"]).get("held") for each in runs)

        until(held, "a run is held")
        (told,) = stack.client().queue()
        assert told["reason"]["code"] == "cap"
        assert "raise it with `coflux env settings default" in told["reason"]["text"]
        asking = told["execution"].partition(":")[0]
        assert "held: it would come to depth 7" in stack.cli("runs", "inspect", asking).out
        stack.client().run(run).cancel()
        until(lambda: stack.client().run(run).status == "cancelled", "it is cancelled")
        stack.cli("env", "settings", "default", "--reset", "depth")

    def test_a_run_at_its_cap_of_steps_goes_on_when_it_is_raised_SC_9(self, stack: Stack) -> None:
        environments = stack.client().environments
        environments.change_settings("default", {"run_steps": 10})
        run = stack.submit("engine/spreads", 30)
        held = until(lambda: stack.client().inspect(run).get("held"), "it is held")
        assert held == {"setting": "run_steps", "value": 11}
        environments.change_settings("default", {"run_steps": None})
        assert stack.value(run) == 30

    def test_settings_are_listed_and_refused_in_words(self, stack: Stack) -> None:
        listed = stack.cli("env", "settings", "default")
        assert "queue_timeout_ms" in listed.out
        refused = stack.cli("env", "settings", "default", "--set", "dept=5")
        assert refused.code == 3
        assert "did you mean 'depth'?" in refused.err

    def test_what_nobody_runs_ends_by_the_queue_timeout_T20(self, fresh: Stack) -> None:
        fresh.start_server()
        fresh.start_agent("engine.py", "--register").stop()
        fresh.cli("env", "settings", "default", "--set", "queue_timeout_ms=500ms")
        outcome = fresh.outcome(fresh.submit("engine/polite"))
        assert (outcome.kind, outcome.body["cause"]) == ("timeout", "queue")


class TestSchedules:
    def test_one_declared_in_code_is_saved_at_registration_SD_6(self, stack: Stack) -> None:
        (shown,) = stack.cli("schedules", "list", "--json").json
        assert (shown["name"], shown["state"], shown["declared"]) == (
            "engine/punctual", "paused", True,
        )  # fmt: skip
        assert shown["arguments"] == {"name": "'code'"}

    def test_an_instant_starts_a_run_that_knows_it_SD_2(self, stack: Stack) -> None:
        made = stack.cli(
            "schedules", "create", "often", "engine/punctual", "you", "greeting=hi",
            "--cron", "* * * * *", "--overlap", "allow", "--json",
        )  # fmt: skip
        assert made.code == 0, made.err
        schedule = stack.client().schedules
        run = until(lambda: schedule.get("often")["run"], "the minute has come", 90)
        assert stack.value(run) == "hi you, 0"
        shown = stack.client().inspect(run)
        assert shown["scheduled_at"] % 60_000 == 0
        assert shown["schedule"] == made.json["id"]
        history = schedule.get("often")["history"]
        assert [h["run"] for h in history][-1] == run
        assert run in stack.cli("schedules", "inspect", "often").out
        for command in ("pause", "resume", "delete"):
            assert stack.cli("schedules", command, "often").code == 0
        assert stack.cli("schedules", "pause", "often").code == 3

    def test_what_cannot_be_is_refused_when_it_is_saved_SD_1(self, stack: Stack) -> None:
        target = ("engine/punctual", "x", "--cron")
        for arguments, told in (
            (("0 0 30 2 *",), "Bad day-of-month"),
            (("0 0 * * *", "--zone", "Europe/Berln"), "did you mean 'Europe/Berlin'?"),
        ):
            refused = stack.cli("schedules", "create", "bad", *target, *arguments)
            assert refused.code == 3
            assert told in refused.err
        refused = stack.cli("schedules", "create", "bad", "engine/punctual", "--cron", "0 0 * * *")
        assert "missing a required argument" in refused.err


def test_many_calls_take_few_round_trips_SU_10(stack: Stack) -> None:
    run = stack.submit("engine/maps", 2_500)
    assert stack.value(run, 90) == 2 * sum(range(2_500))
