"""Taking an earlier execution's outcome (CA-1 to CA-13)."""

from __future__ import annotations

import itertools

import pytest

from coflux.model import Cached, Value
from coflux.server.core import changes as c
from coflux.server.core import events as e
from tests.core.given import World, failure, handles, pickled, value


def ran(world: World, *arguments: object, returns: object = "x", **options: object) -> str:
    """A cached workflow that has run to its end."""
    options.setdefault("cache", True)
    run = world.submit("wf", *arguments, **options)
    world.start(run)
    world.returns(run, returns)
    return run


def note(world: World, id: str) -> tuple[str, str]:
    found = world.of(id).cache
    assert found is not None
    return found.outcome, found.detail


class TestHits:
    def test_an_equal_call_takes_the_value_without_agent_or_slot(self, world: World) -> None:
        """T3, CA-1: in the same commit as its submission."""
        world.agent()
        first = ran(world, 1, returns=5)
        world.close("S1")
        second = world.submit("wf", 1, cache=True)
        assert world.of(second).result == Cached(first)
        assert world.outcome(second) == world.outcome(first)
        assert world.run_status(second) == "succeeded"

    def test_it_does_not_wait_for_its_gates(self, world: World) -> None:
        """T3: it needs no `wait`."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        gate = world.calls(parent, "t", 1)
        one = world.calls(parent, "u", handles(gate), 2, cache={"params": ("b",)})
        world.start(one)
        world.returns(one)
        two = world.calls(parent, "u", handles(gate), 2, cache={"params": ("b",)}, wait=True)
        assert world.status(two) == "cached"

    @pytest.mark.parametrize("other", [2, "1", 1.0, True])
    def test_other_arguments_miss(self, world: World, other: object) -> None:
        """CA edge cases: four keys."""
        world.agent()
        ran(world, 1)
        assert world.status(world.submit("wf", other, cache=True)) == "assigned"

    def test_parts_that_count_and_parts_that_do_not(self, world: World) -> None:
        """CA-2: version, namespace, params in the order given; max age does not count."""
        world.agent()
        first = ran(world, 1, 2)

        def hits(**cache: object) -> bool:
            run = world.submit("wf", 1, 2, cache=cache)
            return world.of(run).result == Cached(first)

        assert hits(max_age_ms=10_000)
        assert hits(params=("a", "b"))
        assert hits(namespace="repo:wf")
        assert not hits(params=("b", "a"))
        assert not hits(params=("a",))
        assert not hits(version="2")
        assert not hits(namespace="other")
        assert not hits(code=True)

    def test_a_shared_namespace_joins_targets(self, world: World) -> None:
        """CA-2."""
        world.agent()
        first = ran(world, 1, cache={"namespace": "shared"})
        second = world.submit("wf2", 1, cache={"namespace": "shared"})
        assert world.of(second).result == Cached(first)

    def test_with_code_the_identity_of_the_code_counts(self, world: World) -> None:
        """CA-2."""
        world.agent()
        first = ran(world, 1, cache={"code": True}, code="abc")
        assert world.status(world.submit("wf", 1, cache={"code": True}, code="def")) == "assigned"
        same = world.submit("wf", 1, cache={"code": True}, code="abc")
        assert world.of(same).result == Cached(first)

    def test_a_handle_counts_as_what_its_links_lead_to(self, world: World) -> None:
        """CA-3: the retry's id, asked through the first attempt's."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        handle = world.calls(parent, "t", 1, retries=1)
        world.start(handle)
        world.fails(handle)
        one = world.calls(parent, "u", handles(handle), cache=True)
        world.start(one)
        world.returns(one)
        two = world.calls(parent, "u", handles("R1:2:2"), cache=True)
        assert world.of(two).result == Cached(one)

    def test_an_asset_counts_as_its_content(self, world: World) -> None:
        """CA-3."""
        from coflux.model import AssetManifest

        session = world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        for key, digest in ((1, "same"), (2, "same"), (3, "other")):
            to = e.Code(session, parent, key)
            world.handle(e.AssetPersisted(to, AssetManifest(), digest))
        one = world.calls(parent, "u", handles("A1"), cache=True)
        world.start(one)
        world.returns(one)
        assert world.status(world.calls(parent, "u", handles("A1"), cache=True)) == "cached"
        assert world.status(world.calls(parent, "u", handles("A2"), cache=True)) != "cached"


class TestAge:
    def test_only_the_readers_max_age_counts_from_the_result(self, world: World) -> None:
        """CA-6, CA-10."""
        world.agent()
        run = world.submit("wf", 1, cache={"max_age_ms": 1})
        world.start(run)
        world.after(5_000)
        world.returns(run)
        world.after(1_000)
        assert world.status(world.submit("wf", 1, cache={"max_age_ms": 1_000})) == "cached"
        late = world.submit("wf", 1, cache={"max_age_ms": 999})
        assert world.status(late) == "assigned"
        assert note(world, late) == ("miss", f"nearest {run}: too old")
        world.after(10**9)
        assert world.status(world.submit("wf", 1, cache=True)) == "cached"


class TestCandidates:
    def test_the_newest_created_wins(self, world: World) -> None:
        """CA-6: also over one whose value is newer."""
        world.agent()
        one = world.submit("wf", 1, cache={"namespace": "n"}, delay_ms=0)
        world.start(one)
        two = world.rerun(one)
        assert world.status(one) == "superseded"
        world.dies(one)
        world.start(two)
        world.returns(two)
        three = world.rerun(two)
        world.start(three)
        found = world.submit("wf", 1, cache={"namespace": "n"})
        assert world.of(found).result == Cached(three)

    def test_what_is_assigned_running_or_waiting_leads(self, world: World) -> None:
        """CA-6, CA-8: the follower takes its outcome, value or error, after its retries."""
        world.agent()
        leader = world.submit("wf", 1, cache=True, retries=1)
        follower = world.submit("wf", 1, cache=True)
        assert world.of(follower).result == Cached(leader)
        assert note(world, follower) == ("hit", "still running")
        world.start(leader)
        world.fails(leader)
        world.start("R1:1:2")
        world.end("R1:1:2", failure("again"))
        assert world.outcome(follower) == failure("again")
        assert world.run_status(follower) == "failed"

    def test_what_is_queued_leads_if_it_is_due_no_later(self, world: World) -> None:
        """CA-6."""
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        assert world.of(follower).result == Cached(leader)

    def test_what_is_due_later_does_not(self, world: World) -> None:
        """CA-6: a retry in its back-off."""
        world.agent()
        one = world.submit("wf", 1, cache=True, retries={"limit": 1, "min_ms": 500, "max_ms": 500})
        world.start(one)
        world.fails(one)
        assert world.status(world.submit("wf", 1, cache=True)) == "assigned"

    def test_a_paused_base_serves_only_finished_values(self, world: World) -> None:
        """CA-6, EV-6."""
        world.agent()
        world.environment("dev", "default")
        finished = ran(world, 1)
        pending = world.submit("wf", 2, cache=True)
        assert world.status(pending) == "assigned"
        world.put("default", "paused")
        one = world.submit("wf", 1, cache=True, environment="dev")
        assert world.of(one).result == Cached(finished)
        assert world.status(world.submit("wf", 2, cache=True, environment="dev")) == "queued"

    def test_children_see_ancestors_and_never_the_reverse_or_siblings(self, world: World) -> None:
        """CA edge cases, EV-1."""
        world.agent()
        for name in ("dev", "test"):
            world.environment(name, "default")
            world.agent(environment=name)
        ran(world, 1)
        ran(world, 2, environment="dev")
        assert world.status(world.submit("wf", 1, cache=True, environment="dev")) == "cached"
        assert world.status(world.submit("wf", 2, cache=True, environment="test")) == "assigned"
        assert world.status(world.submit("wf", 2, cache=True)) == "assigned"

    def test_the_hierarchy_is_that_of_the_lookup(self, world: World) -> None:
        """EV-2."""
        world.agent()
        dev = world.environment("dev")
        ran(world, 1)
        assert world.status(world.submit("wf", 1, cache=True, environment="dev")) == "queued"
        world.handle(
            e.EnvironmentChangeRequested(world.caller(), dev, base="default", is_base_given=True)
        )
        assert world.status(world.submit("wf", 1, cache=True, environment="dev")) == "cached"

    def test_an_ancestor_of_the_seeker_is_none_also_across_spawns(self, world: World) -> None:
        """CA-7: it would wait for itself."""
        world.agent()
        parent = world.submit("wf", 1, cache=True)
        world.start(parent)
        step = world.calls(parent, "wf", 1, cache=True)
        assert world.status(step) == "spawned"

    def test_a_leader_that_waits_for_the_seeker_is_none(self, world: World) -> None:
        """WA-11, CA-7: the link would close a circle."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        leader = world.calls(parent, "t", 1, cache=True)
        world.start(leader)
        between = world.calls(parent, "u", 2)
        world.start(between)
        late = world.calls(parent, "t", 1, cache=True, delay_ms=100)
        world.waits(between, late)
        world.waits(leader, between)
        world.after(100)
        assert world.status(late) == "assigned"

    def test_attempts_of_the_own_step_are_none(self, world: World) -> None:
        """CA-6: of another step."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        world.start(leader)
        world.crashes(leader)
        relinked = world.of("R2:1:2")
        assert (relinked.origin, relinked.status.value) == ("relink", "assigned")
        assert world.of(follower).link_successor == "R2:1:2"

    def test_a_value_set_by_hand_is_none(self, world: World) -> None:
        """CA-7, RR-5."""
        world.agent()
        run = world.submit("wf", 1, cache=True)
        world.start(run)
        world.fails(run)
        from coflux.model import Returned

        world.set_result(run, Returned(value(1)))
        assert world.status(world.submit("wf", 1, cache=True)) == "assigned"

    def test_failures_never_serve(self, world: World) -> None:
        """CA-10."""
        world.agent()
        run = world.submit("wf", 1, cache=True)
        world.start(run)
        world.fails(run)
        again = world.submit("wf", 1, cache=True)
        assert world.status(again) == "assigned"
        assert note(world, again) == ("miss", f"nearest {run}: failed")

    def test_links_are_none_but_what_they_lead_to_is(self, world: World) -> None:
        """CA-6, CA-10."""
        world.agent()
        first = ran(world, 1)
        world.submit("wf", 1, cache=True)
        third = world.submit("wf", 1, cache=True)
        assert world.of(third).result == Cached(first)

    def test_a_lookup_does_not_go_through_all_of_history(self, world: World) -> None:
        """SC-6: of many values with one key only the newest are kept as candidates."""
        world.agent()
        world.is_checking = False
        for _ in range(100):
            newest = ran(world, 1, cache={"max_age_ms": 0})
            world.after(1)
        assert len(world.state.entries) < 100
        assert world.of(world.submit("wf", 1, cache=True)).result == Cached(newest)
        world.is_checking = True
        world.is_replayed = True


class TestBrokenLinks:
    @pytest.mark.parametrize("how", ["cancels", "crashes", "times_out", "is_abandoned"])
    def test_a_leader_lost_for_good_gives_the_follower_an_attempt(
        self, world: World, how: str
    ) -> None:
        """CA-9: in the same commit, and its waiters move there."""
        session = world.agent()
        leader = world.submit("wf", 1, cache=True, timeout_ms=1_000)
        follower = world.submit("wf", 1, cache=True)
        world.start(leader)
        token = world.await_outcome(follower)
        {
            "cancels": lambda: world.cancel(leader),
            "crashes": lambda: world.crashes(leader),
            "times_out": lambda: world.times_out(leader),
            "is_abandoned": lambda: world.close(session),
        }[how]()
        assert world.of("R2:1:2").origin == "relink"
        assert world.answers() == []
        world.agent()
        world.start("R2:1:2")
        world.returns("R2:1:2")
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]

    def test_the_first_follower_leads_the_others(self, world: World) -> None:
        """CA-9: it looks up anew."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        world.submit("wf", 1, cache=True)
        world.submit("wf", 1, cache=True)
        world.start(leader)
        world.cancel(leader)
        assert world.status("R2:1:2") == "assigned"
        assert world.of("R3:1:2").result == Cached("R2:1:2")

    def test_an_error_does_not_break_it(self, world: World) -> None:
        """CA-8."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        world.start(leader)
        world.fails(leader)
        assert world.of(follower).link_successor is None

    def test_cancelling_a_follower_leaves_the_leader_alone(self, world: World) -> None:
        """CA-8, CN-3."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        follower = world.submit("wf", 1, cache=True)
        world.cancel(follower)
        assert world.status(leader) == "assigned"
        assert world.outcome(follower).__class__.__name__ == "Cancelled"
        assert world.state.runs["R2"].status == "cancelled"

    def test_a_leader_and_its_follower_cancelled_together_stay_so(self, world: World) -> None:
        """CA-9, CN-5: nothing starts anew."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        leader = world.calls(parent, "t", 1, cache=True)
        follower = world.calls(parent, "t", 1, cache=True)
        assert world.of(follower).result == Cached(leader)
        world.cancel("R1")
        assert world.state.runs["R1"].unfinished == {}
        assert world.state.runs["R1"].status == "cancelled"

    def test_a_run_of_several_links_is_not_finished_by_a_restart(self, world: World) -> None:
        """RS-6, SE-10: whichever of them is looked at first."""
        world.agent()
        ran(world, 1)
        open_leader = world.submit("wf", 2, cache=True)
        run = world.submit("wf2")
        world.start(run)
        for argument in (1, 2):
            world.calls(run, "wf", argument, cache=True)
        world.returns(run)
        assert world.state.runs["R3"].status is None
        world.restart()
        assert world.state.runs["R3"].status is None
        world.cancel(open_leader)
        assert world.of("R3:3:2").origin == "relink"

    def test_a_link_survives_a_restart_and_still_breaks(self, world: World) -> None:
        """SE-10, CA-9."""
        world.agent()
        leader = world.submit("wf", 1, cache=True)
        world.submit("wf", 1, cache=True)
        world.restart()
        world.cancel(leader)
        assert world.of("R2:1:2").origin == "relink"


class TestWhenItIsLookedUp:
    def test_a_re_run_really_executes_and_serves_later_lookups(self, world: World) -> None:
        """CA-11."""
        world.agent()
        first = ran(world, 1)
        again = world.rerun(first)
        assert world.status(again) == "assigned"
        assert note(world, again) == ("not looked up", "rerun")
        world.start(again)
        world.returns(again, 2)
        assert world.of(world.submit("wf", 1, cache=True)).result == Cached(again)

    def test_after_a_failed_re_run_the_older_value_goes_on_serving(self, world: World) -> None:
        """CA-11."""
        world.agent()
        first = ran(world, 1)
        again = world.rerun(first)
        world.start(again)
        world.fails(again)
        assert world.of(world.submit("wf", 1, cache=True)).result == Cached(first)

    def test_it_is_looked_up_when_due(self, world: World) -> None:
        """CA-5."""
        world.agent()
        late = world.submit("wf", 1, cache=True, delay_ms=1_000)
        first = ran(world, 1)
        world.after(1_000)
        assert world.of(late).result == Cached(first)

    def test_it_is_looked_up_once_more_when_its_gates_are_open(self, world: World) -> None:
        """CA-5: the handle leads to the retry by then."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        handle = world.calls(parent, "t", 1, retries=1)
        world.start(handle)
        gated = world.calls(parent, "u", handles(handle), cache=True, wait=True)
        assert note(world, gated)[0] == "miss"
        world.fails(handle)
        other = world.calls(parent, "u", handles("R1:2:2"), cache=True)
        world.start(other)
        world.returns(other)
        world.start("R1:2:2")
        world.returns("R1:2:2")
        assert world.of(gated).result == Cached(other)

    def test_so_also_after_a_restart(self, world: World) -> None:
        """CA-5, SE-10."""
        session = world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        handle = world.calls(parent, "t", 1, retries=1)
        world.start(handle)
        gated = world.calls(parent, "u", handles(handle), cache=True, wait=True)
        world.fails(handle)
        other = world.calls(parent, "u", handles("R1:2:2"), cache=True)
        world.start(other)
        world.returns(other)
        world.start("R1:2:2")
        world.put("default", "paused")
        world.returns("R1:2:2")
        world.restart()
        world.connect(session, held=((parent, True),))
        world.put("default", "active")
        assert world.of(gated).result == Cached(other)

    def test_a_paused_environment_takes_nothing_from_it(self, world: World) -> None:
        """ST-2: neither when due nor when a gate opens."""
        world.agent()
        ran(world, 1)
        parent = world.submit("wf2")
        world.start(parent)
        handle = world.calls(parent, "t", 1)
        world.start(handle)
        gated = world.calls(parent, "u", handles(handle), cache={"params": ()}, wait=True)
        world.put("default", "paused")
        due = world.submit("wf", 1, cache=True)
        other = world.calls(parent, "u", handles(handle), cache={"params": ()})
        world.returns(handle)
        assert [world.status(id) for id in (due, gated, other)] == ["queued"] * 3
        world.put("default", "active")
        assert world.status(due) == "cached"

    def test_a_spawned_run_records_the_key_without_a_second_lookup(self, world: World) -> None:
        """SU-5."""
        world.agent()
        parent = world.submit("wf2")
        world.start(parent)
        step = world.calls(parent, "wf", 1, cache=True)
        assert note(world, step)[0] == "miss"
        assert note(world, "R2:1:1") == ("not looked up", "spawned")
        world.start("R2:1:1")
        world.returns("R2:1:1")
        assert world.of(world.submit("wf", 1, cache=True)).result == Cached("R2:1:1")


class TestExplanations:
    def test_a_hit_tells_execution_age_and_older_code(self, world: World) -> None:
        """CA-12."""
        world.agent()
        run = world.submit("wf", 1, cache=True, code="new")
        world.start(run)
        world.runs_code(run, "old")
        world.returns(run)
        world.after(7_000)
        hit = world.submit("wf", 1, cache=True, code="new")
        found = world.of(hit).cache
        assert found is not None
        assert (found.outcome, found.source, found.detail) == ("hit", run, "7 s old, older code")

    def test_a_miss_names_the_nearest_and_what_differs(self, world: World) -> None:
        """CA-12."""
        world.agent()
        first = world.submit("wf", 1, 2)
        assert world.of(first).cache is None
        ran(world, 1, 2)
        near = ran(world, 1, 3, cache={"version": "1"})
        miss = world.submit("wf", 1, 4, cache={"version": "1"})
        assert note(world, miss) == ("miss", f"nearest {near}: parameter b differs")

    def test_a_first_call_says_that_there_is_no_earlier(self, world: World) -> None:
        assert note(world, world.submit("wf", 1, cache=True)) == ("miss", "no earlier entry")

    def test_what_cannot_be_keyed_says_which_argument(self, world: World) -> None:
        """CA-4."""
        run = world.submit("wf", 1, pickled(), cache=True)
        assert note(world, run) == (
            "not cached", "argument b of type module.Thing cannot be keyed",
        )  # fmt: skip
        assert world.state.entries == {}

    def test_a_pickled_value_counts_where_its_parameter_is_named(self, world: World) -> None:
        """CA-4."""
        world.agent()
        first = ran(world, pickled(), cache={"params": ("a",)})
        second = world.submit("wf", pickled(), cache={"params": ("a",)})
        assert world.of(second).result == Cached(first)

    def test_a_default_without_encoding_is_not_keyable(self, world: World) -> None:
        """SU-2."""
        run = world.submit("wf", Value("default"), cache=True)
        assert note(world, run)[0] == "not cached"
        run = world.submit("wf", Value("default"), cache={"params": ("a",)})
        assert note(world, run)[0] == "not cached"

    def test_other_environment(self, world: World) -> None:
        """CA-12."""
        world.agent()
        world.environment("dev")
        world.agent(environment="dev")
        first = ran(world, 1, environment="dev")
        miss = world.submit("wf", 1, cache=True)
        assert note(world, miss) == ("miss", f"nearest {first}: other environment")


class TestForgetting:
    def test_entries_are_unusable_from_then_on(self, world: World) -> None:
        """CA-13: recorded with who and when, and nothing else changes."""
        world.agent()
        first = ran(world, 1)
        default = world.of(first).environment
        world.handle(e.CacheForgetRequested(e.Caller(1, "bob"), default, execution=first))
        assert world.changes == [c.CacheForgotten((first,), "bob", world.now)]
        again = world.submit("wf", 1, cache=True)
        assert world.status(again) == "assigned"
        assert note(world, again) == ("miss", f"nearest {first}: forgotten")

    def test_by_target_also_with_a_namespace_of_its_own(self, world: World) -> None:
        """CA-13."""
        world.agent()
        first = ran(world, 1, cache={"namespace": "n"})
        second = ran(world, 2)
        default = world.of(first).environment
        world.handle(e.CacheForgetRequested(world.caller(), default, target="repo/wf"))
        (forgotten,) = world.recorded(c.CacheForgotten)
        assert forgotten.executions == (first, second)

    def test_what_was_evicted_can_be_forgotten(self, world: World) -> None:
        """CA-13, DM-1."""
        world.agent()
        first = ran(world, 1)
        default = world.of(first).environment
        world.evict("R1")
        world.handle(e.CacheForgetRequested(world.caller(), default))
        assert world.status(world.submit("wf", 1, cache=True)) == "assigned"


def test_sensors_are_not_cached(world: World) -> None:
    """CA-1."""
    run = world.submit("sensor", 1, cache=True)
    assert world.of(run).cache is None


def test_keys_of_different_lists_of_parts_never_collide(world: World) -> None:
    """CA-2: length-prefixed."""
    world.agent()
    calls = [("ab", "c"), ("a", "bc"), ("abc",), ("", "abc")]
    runs = [ran(world, *arguments) for arguments in calls]
    keys = [world.of(run).cache.key for run in runs]  # type: ignore[union-attr]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
