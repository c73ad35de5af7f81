"""Of equal executions that have not started, only the latest runs (DF-1 to DF-4)."""

from __future__ import annotations

from coflux.model import Cancelled, Deferred, Returned
from coflux.server.core import effects as fx
from tests.core.given import World, handles, pickled, value


def test_a_later_equal_call_replaces_the_one_that_waits_for_its_time(world: World) -> None:
    """DF-2, T4: due or not; each run ends with the survivor's outcome."""
    world.agent()
    first = world.submit("wf", 1, defer=True, delay_ms=1_000)
    world.after(500)
    second = world.submit("wf", 1, defer=True, delay_ms=1_000)
    assert world.of(first).result == Deferred(second)
    world.after(999)
    assert world.status(second) == "queued"
    world.after(1)
    world.start(second)
    world.returns(second, 7)
    assert world.outcome(first) == Returned(value(7))
    assert [world.run_status(first), world.run_status(second)] == ["succeeded", "succeeded"]


def test_the_last_by_due_survives_even_if_it_was_made_before(world: World) -> None:
    """DF-2: (due, created)."""
    late = world.submit("wf", defer=True, delay_ms=5_000)
    early = world.submit("wf", defer=True, delay_ms=1_000)
    assert world.of(early).result == Deferred(late)
    assert world.status(late) == "queued"


def test_it_follows_again_whenever_a_newer_one_comes(world: World) -> None:
    """DF-2, RS-2: a client that waits for the first hears of the last."""
    first = world.submit("wf", defer=True)
    token = world.await_outcome(first)
    second = world.submit("wf", defer=True)
    third = world.submit("wf", defer=True)
    assert [world.status(id) for id in (first, second, third)] == ["deferred", "deferred", "queued"]
    world.agent()
    world.start(third)
    world.returns(third)
    assert [(a.to.token, a.outcomes[0].execution) for a in world.sent(fx.Answer)] == [
        (token, third)
    ]


def test_only_the_listed_parameters_are_compared(world: World) -> None:
    """DF-1."""
    first = world.submit("wf", "page", 1, defer=("a",))
    world.submit("wf", "page", 2, defer=("a",))
    assert world.status(first) == "deferred"
    other = world.submit("wf", "page", 3, defer=True)
    world.submit("wf", "page", 4, defer=True)
    assert world.status(other) == "queued"


def test_targets_and_environments_are_compared_apart(world: World) -> None:
    """DF-1, DF edge cases."""
    world.environment("dev", "default")
    first = world.submit("wf", 1, defer=True)
    world.submit("wf2", 1, defer=True)
    world.submit("wf", 1, defer=True, environment="dev")
    assert world.status(first) == "queued"


def test_what_cannot_be_keyed_is_not_deferred_and_says_so(world: World) -> None:
    """DF-1."""
    first = world.submit("wf", pickled(), defer=True)
    second = world.submit("wf", pickled(), defer=True)
    assert [world.status(first), world.status(second)] == ["queued", "queued"]
    assert world.of(first).step.arguments_note == (
        "not deferred: argument a of type module.Thing cannot be keyed"
    )


def test_what_is_assigned_is_not_replaced_and_a_later_call_runs_too(world: World) -> None:
    """DF-3."""
    world.agent()
    first = world.submit("wf", defer=True)
    second = world.submit("wf", defer=True)
    assert [world.status(first), world.status(second)] == ["assigned", "assigned"]


def test_attempts_of_a_chain_that_has_begun_take_no_part(world: World) -> None:
    """DF-3: a retry neither replaces a later call nor is replaced by it."""
    world.agent()
    first = world.submit("wf", defer=True, retries={"limit": 1, "min_ms": 5_000, "max_ms": 5_000})
    world.start(first)
    world.fails(first)
    second = world.submit("wf", defer=True, delay_ms=9_000)
    assert [world.status("R1:1:2"), world.status(second)] == ["queued", "queued"]


def test_steps_are_deferred_across_runs_and_the_waiting_parent_sees_the_survivor(
    world: World,
) -> None:
    """DF-1, DF-2, RS-2."""
    world.agent()
    one, two = world.submit("wf"), world.submit("wf2")
    world.start(one, two)
    first = world.calls(one, "t", 1, defer=True, delay_ms=1_000)
    world.waits(one, first)
    second = world.calls(two, "t", 1, defer=True, delay_ms=1_000)
    assert world.status(first) == "deferred"
    world.after(1_000)
    world.start(second)
    world.returns(second, 3)
    assert world.answers()[0][1] == {first: "value"}
    world.returns(two)
    world.returns(one)
    assert world.run_status(one) == "succeeded"


def test_nothing_is_deferred_in_a_paused_environment_until_it_is_resumed(world: World) -> None:
    """DF-2, ST-2, EV-4."""
    world.put("default", "paused")
    runs = [world.submit("wf", defer=True) for _ in range(3)]
    assert [world.status(run) for run in runs] == ["queued"] * 3
    world.put("default", "active")
    assert [world.status(run) for run in runs] == ["deferred", "deferred", "queued"]


def test_a_restart_changes_neither_survivor_nor_due_time(world: World) -> None:
    """DF edge cases."""
    first = world.submit("wf", defer=True, delay_ms=60_000)
    second = world.submit("wf", defer=True, delay_ms=60_000)
    due_at = world.of(second).due_at
    world.after(10_000)
    world.restart()
    assert world.of(first).result == Deferred(second)
    assert world.of(second).due_at == due_at
    third = world.submit("wf", defer=True)
    assert [world.status(second), world.status(third)] == ["queued", "deferred"]


class TestACancelledSurvivor:
    def test_the_newest_deferred_to_it_runs_and_the_others_follow(self, world: World) -> None:
        """DF-4."""
        runs = [world.submit("wf", defer=True) for _ in range(3)]
        world.cancel(runs[2])
        again = world.of("R2:1:2")
        assert (again.origin, again.status.value) == ("relink", "queued")
        assert world.state.end_of(runs[0])[0] == again.id
        assert world.of(runs[1]).link_successor == again.id
        world.agent()
        world.start(again.id)
        world.returns(again.id, 1)
        assert [world.run_status(run) for run in runs] == ["succeeded", "succeeded", "cancelled"]

    def test_also_when_it_was_running_and_had_been_tried_before(self, world: World) -> None:
        """DF-4."""
        first = world.submit("wf", defer=True)
        second = world.submit("wf", defer=True, retries=1)
        world.agent()
        world.start(second)
        world.fails(second)
        world.start("R2:1:2")
        assert world.status(first) == "deferred"
        world.cancel("R2")
        assert world.status("R1:1:2") == "assigned"

    def test_one_in_the_middle_that_is_cancelled_takes_nobody_along(self, world: World) -> None:
        """DF-4, CN-3: the survivor stays everybody's."""
        runs = [world.submit("wf", defer=True) for _ in range(3)]
        world.cancel(runs[1])
        assert isinstance(world.outcome(runs[1]), Cancelled)
        assert world.state.end_of(runs[0])[0] == runs[2]
        world.cancel(runs[2])
        assert world.of("R1:1:3").origin == "relink"
        assert world.run_status(runs[0]) == "queued"

    def test_a_call_that_came_after_it_had_started_is_the_next(self, world: World) -> None:
        """DF-2, DF-4: the relinked one stands where it stood, before the newer call."""
        first = world.submit("wf", defer=True)
        second = world.submit("wf", defer=True)
        session = world.agent()
        world.start(second)
        world.drain(session)
        third = world.submit("wf", defer=True)
        world.cancel(second)
        assert world.state.end_of(first)[0] == third
        assert world.status(third) == "queued"

    def test_any_other_outcome_is_everybodys(self, world: World) -> None:
        """DF-4."""
        first = world.submit("wf", defer=True)
        second = world.submit("wf", defer=True)
        world.agent()
        world.start(second)
        world.crashes(second)
        assert world.run_status(first) == "failed"
        world.cancel(first)
        assert world.run_status(first) == "failed"
        assert len(world.of(first).step.executions) == 1

    def test_it_is_relinked_after_a_restart_as_well(self, world: World) -> None:
        """DF-4, SE-10."""
        world.submit("wf", defer=True)
        second = world.submit("wf", defer=True)
        world.restart()
        world.cancel(second)
        assert world.status("R1:1:2") == "queued"


def test_a_re_run_of_a_deferred_step_really_runs(world: World) -> None:
    """RR table, T22."""
    first = world.submit("wf", defer=True)
    second = world.submit("wf", defer=True, delay_ms=10_000)
    world.agent()
    again = world.rerun(first)
    assert world.status(again) == "assigned"
    assert world.state.end_of(first)[0] == again
    assert world.status(second) == "queued"


def test_handles_count_as_what_they_lead_to(world: World) -> None:
    """DF-1, CA-3: calls become equal when their arguments come to lead to the same."""
    world.agent()
    one = world.submit("wf", cache=True)
    two = world.submit("wf2")
    world.start(one, two)
    source = world.calls(two, "u", 1, cache=True)
    same = world.calls(two, "u", 1, cache=True, delay_ms=1_000)
    world.calls(two, "t", handles(source), defer=True, delay_ms=9_000)
    world.calls(two, "t", handles(same), defer=True, delay_ms=9_000)
    assert world.status("R2:4:1") == "queued"
    world.after(1_000)
    assert world.of(same).result is not None
    assert world.of("R2:4:1").result == Deferred("R2:5:1")


def test_the_survivor_is_not_one_that_waits_for_who_waits_for_the_other(world: World) -> None:
    """WA-11: that would be a circle, so both run."""
    world.agent("wf")
    parent = world.submit("wf")
    world.start(parent)
    first = world.calls(parent, "t", 1, defer=("a",))
    world.waits(parent, first)
    second = world.calls(parent, "t", 1, handles(parent), defer=("a",), wait=("b",))
    assert [world.status(first), world.status(second)] == ["queued", "queued"]
