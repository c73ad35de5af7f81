"""Environments form a tree by base (EV-1 to EV-6, ID-5, ID-6)."""

from __future__ import annotations

import pytest

from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World


def change(world: World, id: str, **fields: object) -> None:
    world.handle(e.EnvironmentChangeRequested(world.caller(), id, **fields))  # type: ignore[arg-type]


class TestCreating:
    def test_a_project_begins_with_default(self, world: World) -> None:
        """ID-6."""
        assert [(x.name, x.base, x.state) for x in world.state.environments.values()] == [
            ("default", None, "active")
        ]

    def test_it_says_what_was_made(self, world: World) -> None:
        id = world.environment("team/dev", "default")
        assert world.the(fx.Confirm).data == {
            "id": id, "name": "team/dev", "base": "default", "state": "active",
        }  # fmt: skip

    @pytest.mark.parametrize("name", ["", "a b", "/a", "a/", "a//b", "ä", "a.b", "a\n"])
    def test_names_are_segments_joined_by_slashes(self, world: World, name: str) -> None:
        """ID-5."""
        assert world.environment(name) == ""
        world.refusal("invalid")

    def test_names_have_a_limited_length_and_depth(self, world: World) -> None:
        """LI-3."""
        assert world.environment("a" * 100) != ""
        assert world.environment("a" * 101) == ""
        assert world.environment("/".join("abcdefgh")) != ""
        assert world.environment("/".join("abcdefghi")) == ""

    def test_names_are_unique_with_regard_to_case(self, world: World) -> None:
        """ID-5, EV edge cases."""
        assert world.environment("dev") != ""
        assert world.environment("Dev") != ""
        assert world.environment("dev") == ""
        world.refusal("conflict")

    def test_a_base_must_exist_and_not_be_archived(self, world: World) -> None:
        """EV-3."""
        world.environment("dev")
        world.put("dev", "archived")
        assert world.environment("a", "dev") == ""
        assert world.environment("a", "nothing") == ""

    def test_bases_are_limited_in_depth_from_both_ends(self) -> None:
        """LI-3."""
        world = World(base_depth=3)
        one = world.environment("one", "default")
        world.environment("two", "one")
        assert world.environment("three", "two") == ""
        other = world.environment("other")
        world.environment("below", "other")
        change(world, one, base="below", is_base_given=True)
        world.refusal("invalid")
        change(world, other, base="default", is_base_given=True)
        assert world.sent(fx.Refuse) == []


class TestChanging:
    def test_renaming_keeps_runs_and_sessions_and_frees_the_old_name(self, world: World) -> None:
        """EV-4."""
        dev = world.environment("dev")
        world.agent(environment="dev")
        change(world, dev, name="staging")
        run = world.submit("wf", environment="staging")
        assert world.status(run) == "assigned"
        assert world.environment("dev") != ""

    def test_to_its_present_name_it_is_a_no_op(self, world: World) -> None:
        """EV-4."""
        dev = world.environment("dev")
        change(world, dev, name="dev")
        assert world.changes == []
        assert world.the(fx.Confirm).data["name"] == "dev"

    def test_to_a_name_in_use_it_is_a_conflict(self, world: World) -> None:
        """ID-5."""
        dev = world.environment("dev")
        change(world, dev, name="default")
        world.refusal("conflict")

    def test_a_base_that_would_close_a_circle_is_refused(self, world: World) -> None:
        """EV-3: including itself, judged on the whole chain."""
        one = world.environment("one")
        world.environment("two", "one")
        world.environment("three", "two")
        for base in ("one", "two", "three"):
            change(world, one, base=base, is_base_given=True)
            assert "circle" in world.refusal("conflict")

    def test_two_re_basings_cannot_make_a_circle(self, world: World) -> None:
        """EV edge cases."""
        one, two = world.environment("one"), world.environment("two")
        change(world, one, base="two", is_base_given=True)
        change(world, two, base="one", is_base_given=True)
        world.refusal("conflict")

    def test_a_base_can_be_removed(self, world: World) -> None:
        """EV-3."""
        dev = world.environment("dev", "default")
        change(world, dev, name="dev2")
        assert world.state.environments[dev].base is not None
        change(world, dev, base=None, is_base_given=True)
        assert world.state.environments[dev].base is None

    def test_lookups_are_guarded_against_circles(self, world: World) -> None:
        """EV-3."""
        one, two = world.environment("one"), world.environment("two")
        world.state.environments[one].base = two
        world.state.environments[two].base = one
        assert world.state.lineage(one) == [one, two]
        world.state.environments[one].base = world.state.environments[two].base = None


class TestPausing:
    def test_it_is_idempotent(self, world: World) -> None:
        """EV-4."""
        world.put("default", "paused")
        assert len(world.recorded(c.EnvironmentSet)) == 1
        world.put("default", "paused")
        assert world.changes == []
        world.put("default", "active")
        world.put("default", "active")
        assert world.changes == []

    def test_resuming_acts_at_once(self, world: World) -> None:
        """EV-4."""
        world.agent()
        world.put("default", "paused")
        one = world.submit("wf")
        two = world.submit("wf", delay_ms=1_000)
        world.after(2_000)
        assert world.reason(one).code == world.reason(two).code == "paused"
        world.put("default", "active")
        assert world.executed == [one, two]

    def test_what_was_ready_before_is_held_too(self, world: World) -> None:
        """ST-2."""
        run = world.submit("wf")
        world.put("default", "paused")
        world.agent()
        assert world.executed == []
        world.put("default", "active")
        assert world.executed == [run]

    def test_it_survives_a_restart(self, world: World) -> None:
        world.put("default", "paused")
        run = world.submit("wf")
        world.restart()
        world.agent()
        assert world.status(run) == "queued"
        world.put("default", "active")
        assert world.status(run) == "assigned"

    def test_another_state_is_refused(self, world: World) -> None:
        """LI-1."""
        world.put("default", "sleeping")
        world.refusal("invalid")


class TestArchiving:
    def test_it_is_refused_while_a_child_is_there(self, world: World) -> None:
        """EV-5."""
        world.environment("dev", "default")
        world.put("default", "archived")
        assert "'dev'" in world.refusal("conflict")

    def test_everything_ends_in_one_commit_and_nothing_is_retried(self, world: World) -> None:
        """EV-5: then sessions are closed."""
        world.environment("dev")
        session = world.agent(environment="dev")
        running = world.submit("wf", environment="dev", retries=5)
        world.start(running)
        delayed = world.submit("wf", environment="dev", delay_ms=1_000)
        token = world.await_outcome(running)
        world.put("dev", "archived")
        assert world.status(running) == world.status(delayed) == "cancelled"
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]
        assert world.the(fx.Close).session == session
        assert world.state.sessions == {}
        assert world.after(10_000) == []

    def test_it_is_final_and_everything_addressed_to_it_is_not_found(self, world: World) -> None:
        """EV-5, EV edge cases."""
        dev = world.environment("dev")
        world.put("dev", "archived")
        for name in ("active", "archived"):
            world.put(dev, name)
            world.refusal("not_found")
        world.submit("wf", environment="dev")
        world.refusal("not_found")
        world.handle(e.SessionRequested(world.caller(), "dev", b""))
        world.refusal("not_found")

    def test_its_name_may_be_used_again(self, world: World) -> None:
        """ID edge cases: also after a restart."""
        old = world.environment("dev")
        world.put("dev", "archived")
        new = world.environment("dev")
        assert new not in ("", old)
        world.restart()
        found = world.state.environment_named("dev")
        assert found is not None
        assert found.id == new
