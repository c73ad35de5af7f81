"""Named slots and rate limits (SC-7, SC-8, SC-11)."""

from __future__ import annotations

import pytest

from coflux.model import Returned
from coflux.server.core import effects as fx
from tests.core.given import World


def assigned(world: World, *ids: str) -> list[bool]:
    return [world.status(id) != "queued" for id in ids]


def holding(world: World, **slots: int) -> str:
    """A running workflow that holds slots."""
    run = world.submit("wf", slots=slots)
    world.start(run)
    return run


def test_an_undefined_name_has_one_unit_in_each_environment(world: World) -> None:
    """SC-7."""
    world.environment("dev")
    world.agent()
    world.agent(environment="dev")
    runs = [world.submit("wf", slots={"gpu": 1}) for _ in range(2)]
    other = world.submit("wf", slots={"gpu": 1}, environment="dev")
    assert assigned(world, *runs, other) == [True, False, True]


def test_units_in_use_are_those_of_executions_whose_process_may_be_alive(world: World) -> None:
    """SC-7: cancelled is not enough, the process must be dead."""
    world.agent()
    first = holding(world, gpu=1)
    second = world.submit("wf", slots={"gpu": 1})
    world.cancel(first)
    assert world.reason(second).data["holders"] == [first]
    world.dies(first)
    assert assigned(world, second) == [True]


def test_the_reason_names_slot_and_holder(world: World) -> None:
    """SC-11."""
    world.agent()
    first = holding(world, gpu=1)
    second = world.submit("wf", slots={"gpu": 1})
    reason = world.reason(second)
    assert reason.code == "slot"
    assert reason.text == f"waits for a slot of gpu (1 in all), held by {first}"
    assert reason.data == {"slot": "gpu", "limit": 1, "holders": [first]}


def test_a_defined_limit_counts_and_may_be_changed_at_once(world: World) -> None:
    """SC-7, SC-6."""
    world.slot("gpu", 2)
    world.agent()
    runs = [world.submit("wf", slots={"gpu": 1}) for _ in range(4)]
    assert assigned(world, *runs) == [True, True, False, False]
    world.slot("gpu", 3)
    assert assigned(world, *runs) == [True, True, True, False]
    world.slot("gpu", 1)
    assert assigned(world, *runs) == [True, True, True, False]
    world.slot("gpu", is_removed=True)
    world.cancel(runs[0])
    world.dies(runs[0])
    assert assigned(world, runs[3]) == [False]


def test_a_limit_of_the_project_counts_over_all_environments_without_their_own(
    world: World,
) -> None:
    """SC-7."""
    world.slot("licence", 1, environment=None)
    for name in ("dev", "own"):
        world.environment(name)
        world.agent(environment=name)
    world.slot("licence", 1, environment="own")
    world.agent()
    first = holding(world, licence=1)
    there = world.submit("wf", slots={"licence": 1}, environment="dev")
    apart = world.submit("wf", slots={"licence": 1}, environment="own")
    assert assigned(world, there, apart) == [False, True]
    world.returns(first)
    assert assigned(world, there) == [True]


def test_one_that_needs_more_units_than_there_are_holds_up_only_itself(world: World) -> None:
    """SC-7, SC-11."""
    world.agent()
    impossible = world.submit("wf", slots={"gpu": 2})
    other = world.submit("wf", slots={"gpu": 1})
    assert assigned(world, impossible, other) == [False, True]
    assert world.reason(impossible).text.startswith("waits for 2 slots of gpu (1 in all)")


def test_one_that_needs_more_units_is_not_overtaken_for_ever(world: World) -> None:
    """SC-4, SC-7: and it says whom it lets go first."""
    world.slot("gpu", 2)
    world.agent()
    first = holding(world, gpu=1)
    large = world.submit("wf", slots={"gpu": 2})
    small = world.submit("wf", slots={"gpu": 1})
    other = world.submit("wf", slots={"cpu": 1})
    assert assigned(world, large, small, other) == [False, False, True]
    assert world.reason(small).data == {"slot": "gpu", "before": large}
    world.returns(first)
    assert assigned(world, large, small) == [True, False]


def test_slots_are_held_while_waiting_but_lent_to_what_is_waited_for(world: World) -> None:
    """SC-7: so a parent and its child that name one slot do not block each other."""
    world.agent()
    parent = holding(world, db=1)
    child = world.calls(parent, "t", 1, slots={"db": 1})
    stranger = world.submit("wf2", slots={"db": 1})
    assert assigned(world, child, stranger) == [False, False]
    world.waits(parent, child)
    assert assigned(world, child, stranger) == [True, False]
    world.start(child)
    world.returns(child)
    assert world.status(parent) == "running"
    assert assigned(world, stranger) == [False]
    world.returns(parent)
    assert assigned(world, stranger) == [True]


def test_a_unit_is_lent_to_one_at_a_time_and_further_on(world: World) -> None:
    """SC-7: directly or not."""
    world.agent()
    parent = holding(world, db=1)
    one = world.calls(parent, "t", 1, slots={"db": 1})
    two = world.calls(parent, "t", 2, slots={"db": 1})
    between = world.calls(parent, "u", 3)
    world.start(between)
    far = world.calls(between, "v", 4, slots={"db": 1})
    world.waits(parent, one)
    world.waits(parent, two)
    world.waits(parent, between)
    assert assigned(world, one, two, far) == [True, False, False]
    world.start(one)
    world.returns(one)
    assert assigned(world, two) == [True]
    world.start(two)
    deep = world.calls(two, "v", 5, slots={"db": 1})
    world.waits(two, deep)
    assert assigned(world, deep, far) == [True, False]
    world.start(deep)
    world.returns(deep)
    world.returns(two)
    world.waits(between, far)
    assert assigned(world, far) == [True]


def test_who_lent_a_unit_goes_on_when_it_is_back(world: World) -> None:
    """SC-7: also when its wait is over before."""
    world.agent()
    parent = holding(world, db=1)
    child = world.calls(parent, "t", 1, slots={"db": 1})
    world.waits(parent, child, timeout=1_000)
    world.start(child)
    world.after(1_000)
    assert world.status(parent) == "waiting"
    world.returns(child)
    assert world.status(parent) == "running"
    assert len(world.sent(fx.Expire)) == 1


def test_a_limit_of_none_and_more_units_than_there_are_never_fit(world: World) -> None:
    """SC-7."""
    world.slot("gpu", 0)
    world.slot("db", 1)
    world.agent()
    runs = [world.submit("wf", slots={"gpu": 1}), world.submit("wf", slots={"db": 2})]
    assert assigned(world, *runs) == [False, False]
    assert world.reason(runs[1]).text == "waits for 2 slots of db (1 in all)"


def test_a_rate_counts_assignments_of_its_period(world: World) -> None:
    """SC-8: no client needs to be there when the next is free."""
    world.slot("api", rate=2, period_ms=1_000)
    world.agent()
    runs = [world.submit("wf", slots={"api": 1}) for _ in range(5)]
    assert assigned(world, *runs) == [True, True, False, False, False]
    reason = world.reason(runs[2])
    assert (reason.code, reason.data["next_at"]) == ("slot", world.now + 1_000)
    world.start(runs[0])
    world.returns(runs[0])
    assert assigned(world, runs[2]) == [False]
    world.after(999)
    assert assigned(world, runs[2]) == [False]
    world.after(1)
    assert assigned(world, *runs) == [True, True, True, True, False]


def test_a_period_passes_while_the_host_sleeps(world: World) -> None:
    """SC-8, EN-7: assignments have wall-clock times."""
    world.slot("api", rate=1, period_ms=60_000)
    world.agent()
    runs = [world.submit("wf", slots={"api": 1}) for _ in range(2)]
    assert assigned(world, *runs) == [True, False]
    world.sleep(50_000)
    world.after(10_000)
    assert assigned(world, runs[1]) == [True]


def test_what_a_holder_waits_for_is_not_assigned_in_a_paused_environment(world: World) -> None:
    """ST-2, SC-7: the holder is in another one."""
    world.slot("gpu", 1, environment=None)
    world.environment("dev", "default")
    world.agent()
    world.agent(environment="dev")
    holder = world.submit("wf", slots={"gpu": 1}, environment="dev")
    world.start(holder)
    awaited = world.submit("wf", 1, slots={"gpu": 1})
    world.put("default", "paused")
    world.waits(holder, awaited)
    assert assigned(world, awaited) == [False]
    world.put("default", "active")
    assert assigned(world, awaited) == [True]


def test_a_rate_and_holders_outlive_a_restart(world: World) -> None:
    """SC-7, SC-8, SE-10."""
    world.slot("api", rate=1, period_ms=10_000)
    session = world.agent()
    world.submit("wf", slots={"api": 1})
    second = world.submit("wf", slots={"api": 1})
    third = world.submit("wf", slots={"gpu": 1})
    fourth = world.submit("wf", slots={"gpu": 1})
    world.restart()
    world.connect(session, held=(("R1:1:1", True), (third, True)))
    assert assigned(world, second, fourth) == [False, False]
    world.after(10_000)
    assert assigned(world, second, fourth) == [True, False]


def test_slots_of_a_lost_session_are_free_again(world: World) -> None:
    """SC-7: they cannot leak."""
    session = world.agent()
    holding(world, gpu=1)
    second = world.submit("wf", slots={"gpu": 1})
    world.agent()
    world.close(session)
    assert assigned(world, second) == [True]


def test_a_cached_one_needs_no_slot(world: World) -> None:
    """T3."""
    world.agent()
    first = holding(world, gpu=1)
    world.returns(world.submit("wf2", cache=True), 5)
    hit = world.submit("wf2", cache=True, slots={"gpu": 1})
    assert world.status(hit) == "cached"
    assert isinstance(world.outcome(hit), Returned)
    assert world.status(first) == "running"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give a limit or a rate"),
        ({"units": -1}, "a limit is from 0"),
        ({"rate": 5}, "a rate needs a number and a period"),
        ({"rate": 0, "period_ms": 1_000}, "a rate is from 1"),
        ({"rate": 1, "period_ms": 0}, "a period is from 1 ms"),
        ({"name": "x" * 101, "units": 1}, "a slot's name has 1 to 100"),
    ],
)
def test_a_wrong_definition_is_refused(
    world: World, fields: dict[str, int | str], message: str
) -> None:
    """LI-3."""
    world.slot(str(fields.pop("name", "gpu")), **fields)  # type: ignore[arg-type]
    assert message in world.refusal("invalid")


def test_what_is_not_defined_cannot_be_removed(world: World) -> None:
    """ID-4."""
    world.slot("gpu", is_removed=True)
    assert "not defined" in world.refusal("not_found")
