"""Equal calls within one run are joined (ME-1 to ME-4)."""

from __future__ import annotations

from coflux.model import Returned
from coflux.server.core import changes as c
from tests.core.given import World, handles, pickled, value


def running(world: World, **options: object) -> str:
    world.agent()
    parent = world.submit("wf", **options)
    world.start(parent)
    return parent


def test_an_equal_call_makes_an_edge_and_no_step(world: World) -> None:
    """ME-2, EN-3."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True)
    other = world.calls(parent, "u", 2)
    world.start(other)
    assert world.calls(other, "t", 1, memo=True, group=None) == first
    assert world.changes == [c.ChildJoined(other, first, None, (1, 0), world.now)]
    assert list(world.of(first).step.parents) == [parent, other]


def test_other_arguments_targets_and_runs_are_not_joined(world: World) -> None:
    """ME-1."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True)
    assert world.calls(parent, "t", 2, memo=True) != first
    assert world.calls(parent, "u", 1, memo=True) != first
    other = world.submit("wf")
    world.start(other)
    assert world.calls(other, "t", 1, memo=True).startswith("R2:")


def test_only_the_listed_parameters_count(world: World) -> None:
    """ME-1."""
    parent = running(world)
    first = world.calls(parent, "t", 1, 2, memo=("a",))
    assert world.calls(parent, "t", 1, 3, memo=("a",)) == first
    assert world.calls(parent, "t", 2, 2, memo=("a",)) != first


def test_what_cannot_be_keyed_runs_and_says_so(world: World) -> None:
    """ME-1."""
    parent = running(world)
    one = world.calls(parent, "t", pickled(), memo=True)
    two = world.calls(parent, "t", pickled(), memo=True)
    assert one != two
    note = world.of(one).step.arguments_note
    assert note == "not memoised: argument a of type module.Thing cannot be keyed"
    assert world.calls(parent, "t", pickled(), memo=("a",)) not in (one, two)


def test_unset_takes_the_workflows_setting_and_false_is_not_unset(world: World) -> None:
    """ME-3, SU edge cases."""
    parent = running(world, memo=True)
    first = world.calls(parent, "t", 1)
    assert world.calls(parent, "t", 1) == first
    assert world.calls(parent, "t", 1, memo=False) != first


def test_memoised_workflow_calls_hit_and_spawn_nothing(world: World) -> None:
    """ME-3."""
    parent = running(world)
    first = world.calls(parent, "wf2", 1, memo=True)
    assert world.calls(parent, "wf2", 1, memo=True) == first
    assert len(world.state.runs) == 2


def test_an_ancestor_is_not_joined(world: World) -> None:
    """ME-2: nor what leads to one."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True)
    world.start(first)
    assert world.calls(first, "t", 1, memo=True) != first


def test_what_leads_to_an_ancestor_is_not_joined(world: World) -> None:
    """ME-2, WA-11."""
    parent = running(world)
    leader = world.calls(parent, "t", 1, cache=True)
    world.start(leader)
    follower = world.calls(parent, "t", 1, cache=True, memo=True)
    assert world.status(follower) == "cached"
    assert world.calls(leader, "t", 1, memo=True) != follower


def test_failures_are_not_joined_and_values_set_by_hand_are(world: World) -> None:
    """ME-2, RR-5."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True)
    world.start(first)
    world.fails(first)
    second = world.calls(parent, "t", 1, memo=True)
    assert second != first
    world.start(second)
    world.fails(second)
    made = world.set_result(first, Returned(value(5)))
    assert world.calls(parent, "t", 1, memo=True) == made


def test_what_is_in_back_off_is_pending(world: World) -> None:
    """ME-2: its resolved outcome is."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True, retries={"limit": 1, "min_ms": 50})
    world.start(first)
    world.fails(first)
    assert world.calls(parent, "t", 1, memo=True) == "R1:2:2"


def test_a_failed_re_run_leaves_the_older_value_serving(world: World) -> None:
    """ME-4."""
    parent = running(world)
    first = world.calls(parent, "t", 1, memo=True)
    world.start(first)
    world.returns(first)
    again = world.rerun(first)
    assert world.calls(parent, "t", 1, memo=True) == again
    world.start(again)
    world.fails(again)
    assert world.calls(parent, "t", 1, memo=True) == first


def test_the_parent_environment_never_sees_the_childs_attempts(world: World) -> None:
    """ME-4, EV-1; and the child sees the parent's."""
    parent = running(world)
    world.environment("dev", "default")
    world.agent(environment="dev")
    first = world.calls(parent, "t", 1, memo=True)
    world.start(first)
    world.returns(first)
    again = world.rerun(first, "dev")
    world.start(again)
    world.returns(again, 2)
    assert world.calls(parent, "t", 1, memo=True) == first
    there = world.rerun(parent, "dev")
    world.start(there)
    assert world.calls(there, "t", 1, memo=True) == again


def test_pending_work_of_a_paused_ancestor_is_not_joined(world: World) -> None:
    """ME-2: own or active environment."""
    parent = running(world)
    world.environment("dev", "default")
    world.agent(environment="dev")
    first = world.calls(parent, "t", 1, memo=True)
    there = world.rerun(parent, "dev")
    world.start(there)
    assert world.calls(there, "t", 1, memo=True) == first
    world.put("default", "paused")
    assert world.calls(there, "t", 1, memo=True) != first
    assert world.calls(parent, "t", 1, memo=True) == first


class TestHandles:
    def test_equal_handles_are_equal_calls(self, world: World) -> None:
        """ME-1, CA-3."""
        parent = running(world)
        one, two = world.calls(parent, "t", 1), world.calls(parent, "t", 2)
        first = world.calls(parent, "u", handles(one), memo=True)
        assert world.calls(parent, "u", handles(one), memo=True) == first
        assert world.calls(parent, "u", handles(two), memo=True) != first

    def test_they_are_compared_by_what_they_lead_to_now(self, world: World) -> None:
        """CA-3: the index follows retries."""
        parent = running(world)
        one = world.calls(parent, "t", 1, retries=1)
        world.start(one)
        first = world.calls(parent, "u", handles(one), memo=True)
        world.fails(one)
        assert world.calls(parent, "u", handles("R1:2:2"), memo=True) == first
        world.start("R1:2:2")
        world.returns("R1:2:2")
        assert world.calls(parent, "u", handles(one), memo=True) == first

    def test_and_links_and_links_that_break(self, world: World) -> None:
        """CA-3, CA-9."""
        parent = running(world)
        leader = world.calls(parent, "t", 1, cache=True)
        follower = world.calls(parent, "t", 1, cache=True)
        first = world.calls(parent, "u", handles(follower), memo=True)
        assert world.calls(parent, "u", handles(leader), memo=True) == first
        world.cancel(leader)
        relinked = world.of(follower).link_successor
        assert relinked is not None
        assert world.calls(parent, "u", handles(relinked), memo=True) == first
        assert world.calls(parent, "u", handles(leader), memo=True) != first
