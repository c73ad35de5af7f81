"""Who gets which execution and when (SC-1 to SC-6, SC-10), and gates and delays (DL)."""

from __future__ import annotations

from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, handles, hosting


class TestEligibility:
    def test_repository_target_and_type_must_be_hosted_exactly(self, world: World) -> None:
        """SC-1."""
        world.agent("wf2")
        run = world.submit("wf")
        assert world.status(run) == "queued"
        world.agent("wf")
        assert world.executed == [run]

    def test_the_environment_must_be_the_same(self, world: World) -> None:
        """SC-1, EV-6."""
        world.environment("dev", "default")
        world.agent(environment="dev")
        run = world.submit("wf")
        assert world.status(run) == "queued"

    def test_the_agent_must_be_connected(self, world: World) -> None:
        """SC-1."""
        session = world.agent()
        world.disconnect(session)
        run = world.submit("wf")
        assert world.status(run) == "queued"
        world.connect(session)
        assert world.executed == [run]

    def test_newly_announced_targets_are_served_at_once(self, world: World) -> None:
        """SC-6."""
        session = world.agent("t")
        run = world.submit("wf")
        world.handle(e.TargetsAnnounced(session, (hosting("wf"),)))
        assert world.executed == [run]


class TestTags:
    def test_each_required_key_must_be_offered_with_one_of_the_values(self, world: World) -> None:
        """SC-2."""
        world.agent(provides={"gpu": ("a",)})
        assert world.status(world.submit("wf", requires={"gpu": ("b", "c")})) == "queued"
        assert world.status(world.submit("wf", requires={"gpu": ("b", "a")})) == "assigned"
        assert world.status(world.submit("wf", requires={"gpu": True})) == "assigned"
        assert world.status(world.submit("wf", requires={"disk": True})) == "queued"

    def test_accepting_keeps_other_work_away_and_offers_the_tag(self, world: World) -> None:
        """SC-2."""
        world.agent(accepts={"team": ("red", "blue")})
        assert world.status(world.submit("wf")) == "queued"
        assert world.status(world.submit("wf", requires={"team": ("green",)})) == "queued"
        assert world.status(world.submit("wf", requires={"team": ("blue",)})) == "assigned"
        assert world.status(world.submit("wf", requires={"team": True})) == "assigned"

    def test_accepting_any_value_needs_the_key(self, world: World) -> None:
        """SC-2."""
        world.agent(accepts={"team": True})
        assert world.status(world.submit("wf")) == "queued"
        assert world.status(world.submit("wf", requires={"team": ("x",)})) == "assigned"

    def test_a_steps_keys_overlay_the_runs_and_an_empty_list_removes_one(
        self, world: World
    ) -> None:
        """SC-3."""
        world.agent("wf", provides={"gpu": ("a",)})
        world.agent("t", "u")
        parent = world.submit("wf", requires={"gpu": ("a",)})
        world.start(parent)
        assert world.status(world.calls(parent, "t", 1)) == "queued"
        assert world.status(world.calls(parent, "u", 2, requires={"gpu": ()})) == "assigned"


class TestOrder:
    def fill(self, world: World) -> str:
        """An agent whose only slot is taken; what takes it."""
        world.agent(concurrency=1)
        run = world.submit("wf2")
        world.start(run)
        return run

    def drain(self, world: World, running: str) -> list[str]:
        """Let one after the other run; in which order they came."""
        order = []
        while True:
            world.now += 1
            world.returns(running)
            if not world.executed:
                return order
            (running,) = world.executed
            order.append(running)
            world.start(running)

    def test_a_higher_priority_comes_first(self, world: World) -> None:
        """SC-4."""
        running = self.fill(world)
        low = world.submit("wf")
        high = world.submit("wf", priority=1)
        assert self.drain(world, running) == [high, low]

    def test_steps_inherit_their_runs_priority_unless_they_set_their_own(
        self, world: World
    ) -> None:
        """SC-5."""
        world.agent("wf")
        world.agent("t", concurrency=1)
        one, two = world.submit("wf", priority=5), world.submit("wf")
        world.start(one, two)
        first = world.calls(one, "t", 0)
        world.start(first)
        second, third = world.calls(two, "t", 1), world.calls(two, "t", 2, priority=9)
        fourth = world.calls(one, "t", 3)
        world.returns(first)
        assert world.executed == [third]
        world.returns(third)
        assert world.executed == [fourth]
        world.returns(fourth)
        assert world.executed == [second]

    def test_the_oldest_due_comes_first_within_a_run(self, world: World) -> None:
        """SC-4."""
        running = self.fill(world)
        one = world.calls(running, "t", 1, delay_ms=500)
        two = world.calls(running, "t", 2, delay_ms=100)
        world.after(1_000)
        assert self.drain(world, running) == [two, one]

    def test_a_huge_fan_out_cannot_starve_a_small_run(self, world: World) -> None:
        """SC-4: a run's place is its last assignment, if that is later."""
        running = self.fill(world)
        many = [world.calls(running, "t", n) for n in range(4)]
        world.now += 1
        small = world.submit("wf")
        world.now += 1
        assert self.drain(world, running) == [many[0], small, *many[1:]]

    def test_runs_take_turns(self, world: World) -> None:
        """SC-4."""
        world.agent("wf")
        world.agent("t", concurrency=1)
        one, two = world.submit("wf"), world.submit("wf")
        world.start(one, two)
        children = [world.calls(run, "t", n) for run in (two, one) for n in range(3)]
        running = children[0]
        world.start(running)
        order = [running, *self.drain(world, running)]
        assert [child.partition(":")[0] for child in order] == ["R2", "R1"] * 3

    def test_a_due_retry_is_not_starved_by_newer_work(self, world: World) -> None:
        """SC-4."""
        running = self.fill(world)
        old = world.submit("wf", delay_ms=1)
        world.after(10)
        new = [world.submit("wf") for _ in range(3)]
        assert self.drain(world, running) == [old, *new]

    def test_a_run_moves_forward_when_something_older_of_it_becomes_ready(
        self, world: World
    ) -> None:
        """SC-4: its oldest waiting execution became due before the other run's."""
        world.agent("wf", "u")
        world.agent("t", concurrency=1)
        one, two, three = world.submit("wf"), world.submit("wf"), world.submit("wf")
        world.start(one, two, three)
        busy = world.calls(one, "t", 0)
        world.start(busy)
        gate = world.calls(two, "u", 0)
        world.start(gate)
        gated = world.calls(two, "t", handles(gate), wait=True)
        world.after(10)
        of_three = world.calls(three, "t", 1)
        world.after(10)
        late = world.calls(two, "t", 2)
        assert world.status(gated) == "queued"
        world.returns(gate)
        world.after(1)
        assert self.drain(world, busy) == [gated, of_three, late]

    def test_spawned_runs_share_the_place_of_their_root(self, world: World) -> None:
        """SC-4."""
        world.agent("wf")
        world.agent("wf2", "t", concurrency=1)
        one, two = world.submit("wf"), world.submit("wf")
        world.start(one, two)
        busy = world.calls(one, "t", 0)
        world.start(busy)
        world.now += 1
        spawned = [world.state.end_of(world.calls(one, "wf2", n))[0] for n in range(2)]
        world.now += 1
        other = world.calls(two, "t", 1)
        assert self.drain(world, busy) == [spawned[0], other, spawned[1]]


class TestChoice:
    def test_the_smallest_share_of_slots_in_use_is_chosen(self, world: World) -> None:
        """SC-5."""
        small, large = world.agent(concurrency=2), world.agent(concurrency=10)
        runs = [world.submit("wf") for _ in range(12)]
        chosen = [world.of(run).assigned_to for run in runs]
        assert chosen.count(small) == 2
        assert chosen.count(large) == 10
        assert chosen[:3] == [small, large, large]


class TestDraining:
    def test_it_gets_no_new_work(self, world: World) -> None:
        """SC-10."""
        session = world.agent()
        world.drain(session)
        run = world.submit("wf")
        assert world.reason(run).code == "draining"

    def test_it_gets_what_its_own_executions_wait_for_directly_or_not(self, world: World) -> None:
        """SC-10."""
        session = world.agent()
        parent = world.submit("wf")
        world.start(parent)
        gate = world.calls(parent, "u", 1, delay_ms=100)
        child = world.calls(parent, "t", handles(gate), wait=True)
        other = world.calls(parent, "v", 2, delay_ms=100)
        world.drain(session)
        world.waits(parent, child)
        world.after(100)
        assert world.status(gate) == "assigned"
        assert world.status(other) == "queued"
        world.start(gate)
        world.returns(gate)
        assert world.executed == [child]
        world.start(child)
        world.returns(child)
        assert world.status(parent) == "running"

    def test_what_a_second_wait_is_for_is_given_to_it_too(self, world: World) -> None:
        """SC-10, SC-6: at once, though the execution waits already."""
        session = world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one, two = (world.calls(parent, "t", n, delay_ms=100) for n in range(2))
        world.drain(session)
        world.waits(parent, one)
        world.after(100)
        assert (world.status(one), world.status(two)) == ("assigned", "queued")
        world.waits(parent, two)
        assert world.executed == [two]

    def test_what_they_wait_for_in_another_environment_runs_there(self, world: World) -> None:
        """SC-10, EV-6."""
        world.environment("dev", "default")
        session = world.agent(environment="dev")
        below = world.submit("wf")
        waiting = world.submit("wf", environment="dev")
        world.start(waiting)
        world.drain(session)
        world.waits(waiting, below)
        assert world.status(below) == "queued"
        world.agent()
        assert world.executed == [below]

    def test_it_stays_so_over_a_reconnect_of_the_same_process(self, world: World) -> None:
        """SC-10: between its opening and its next report nothing slips in."""
        session = world.agent()
        world.drain(session)
        world.disconnect(session)
        world.connect(session)
        assert world.status(world.submit("wf")) == "queued"
        world.disconnect(session)
        world.connect(session, incarnation="second")
        assert len(world.executed) == 1


class TestDelaysAndGates:
    def test_a_delay_counts_from_creation_and_is_met_without_anybody(self, world: World) -> None:
        """DL-1, SC-6."""
        world.agent()
        run = world.submit("wf", delay_ms=1_000)
        assert world.machine.next_deadline() == world.now + 1_000
        assert world.after(999) == []
        assert [x.execution for x in world.after(1) if isinstance(x, fx.Execute)] == [run]

    def test_a_retry_has_no_delay(self, world: World) -> None:
        """DL-1: submit and recurrence only."""
        world.agent()
        run = world.submit("wf", delay_ms=1_000, retries=1)
        world.after(1_000)
        world.start(run)
        world.fails(run)
        assert world.of("R1:1:2").due_at == world.now

    def test_what_became_due_while_the_server_was_down_starts_directly(self, world: World) -> None:
        """SC-6."""
        session = world.agent()
        run = world.submit("wf", delay_ms=1_000)
        world.now += 5_000
        world.restart()
        world.connect(session)
        assert world.executed == [run]

    def test_every_handle_in_the_arguments_named_must_be_resolved_well_or_badly(
        self, world: World
    ) -> None:
        """DL-2."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one, two, three = (world.calls(parent, "t", n) for n in range(3))
        world.start(one, two, three)
        gated = world.calls(parent, "u", handles(one, two), handles(three), wait=("a",))
        assert world.reason(gated).data["ids"] == [one, two]
        world.returns(one)
        assert world.status(gated) == "queued"
        world.fails(two)
        assert world.executed == [gated]

    def test_so_must_those_in_the_values_they_resolve_to(self, world: World) -> None:
        """DL-2: transitively."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        inner = world.calls(parent, "t", 1)
        outer = world.calls(parent, "t", 2)
        world.start(inner, outer)
        gated = world.calls(parent, "u", handles(outer), wait=True)
        world.returns(outer, handles(inner))
        assert world.reason(gated).data["ids"] == [inner]
        world.returns(inner)
        assert world.executed == [gated]

    def test_they_gate_every_attempt(self, world: World) -> None:
        """DL-2: a re-run waits for the handle that a broken link has unresolved again."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one = world.calls(parent, "t", 1)
        world.start(one)
        gated = world.calls(parent, "u", handles(one), wait=True)
        again = world.rerun(gated)
        assert world.reason(again).data["ids"] == [one]
        world.returns(one)
        assert world.executed == [again]

    def test_without_wait_handles_do_not_gate(self, world: World) -> None:
        """DL-2."""
        world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one = world.calls(parent, "t", 1)
        assert world.status(world.calls(parent, "u", handles(one))) == "assigned"

    def test_gates_hold_across_a_restart(self, world: World) -> None:
        """SE-10."""
        session = world.agent()
        parent = world.submit("wf")
        world.start(parent)
        one = world.calls(parent, "t", 1)
        world.start(one)
        gated = world.calls(parent, "u", handles(one), wait=True)
        world.restart()
        world.connect(session, held=((parent, True), (one, True)))
        assert world.status(gated) == "queued"
        world.returns(one)
        assert world.executed == [gated]
