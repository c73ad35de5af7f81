"""Registering targets (CO-1), code identities (CO-5), persisting assets (AS-4)."""

from __future__ import annotations

from typing import Any

import pytest

from coflux.model import AssetManifest, Definition, Options, Parameter
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.submission import find_definition
from tests.core.given import World

WF = Definition("wf", "workflow")
T = Definition("t", "task")


def register(world: World, **manifests: tuple[Definition, ...]) -> None:
    world.handle(e.ManifestsRegistered(world.caller(), "default", manifests))


def registered(world: World) -> dict[str, list[str]]:
    default = world.state.environment_named("default")
    assert default is not None
    return {name: list(found) for name, found in default.manifests.items()}


class TestManifests:
    def test_registering_replaces_the_repositories_named_and_no_others(self, world: World) -> None:
        """CO-1."""
        register(world, one=(WF,), two=(WF,))
        register(world, one=(Definition("wf2", "workflow"),))
        assert registered(world) == {"one": ["wf2"], "two": ["wf"]}

    def test_options_out_of_bounds_refuse_the_whole_registration(self, world: World) -> None:
        """CO-1, LI-1."""
        register(world, one=(Definition("a", "workflow", options=Options(priority=2**40)),))
        assert "one/a: priority is from" in world.refusal("invalid")
        assert registered(world) == {}

    @pytest.mark.parametrize(
        ("definition", "problem"),
        [
            (Definition("a b", "workflow"), "'a b' in 'one' is not a target name"),
            (Definition("a", "workflow", (Parameter("1x"),)), "'1x' is not a parameter's name"),
            (Definition("a", "workflow", (Parameter("x"), Parameter("x"))), "'x' is there twice"),
            (
                Definition("a", "workflow", (Parameter("x", "kwargs"), Parameter("y"))),
                "'y' cannot stand after",
            ),
            (
                Definition("a", "workflow", (Parameter("x", "args"), Parameter("y", "args"))),
                "'y' cannot stand after",
            ),
            (Definition("a", "sensor", options=Options(recurrent=True)), "takes no option"),
        ],
    )
    def test_a_target_that_cannot_be_is_refused_in_words(
        self, world: World, definition: Definition, problem: str
    ) -> None:
        """CO-1, ID-5, LI-1."""
        register(world, one=(definition,))
        assert problem in world.refusal("invalid")
        assert registered(world) == {}

    def test_every_kind_of_parameter_may_be_there(self, world: World) -> None:
        """CO-1."""
        kinds: Any = ("positional", "normal", "normal", "args", "keyword", "keyword", "kwargs")
        parameters = tuple(Parameter(f"p{n}", kind) for n, kind in enumerate(kinds))
        register(world, one=(Definition("a", "workflow", parameters),))
        assert registered(world) == {"one": ["a"]}

    def test_tasks_are_not_registered(self, world: World) -> None:
        """CO-2."""
        register(world, one=(WF, T, Definition("s", "sensor")))
        assert registered(world) == {"one": ["wf", "s"]}

    def test_nothing_changed_makes_no_revision(self, world: World) -> None:
        """CO-1."""
        register(world, one=(WF, T))
        register(world, one=(T, WF))
        assert world.changes == []
        assert world.the(fx.Confirm).data == {"changed": []}

    def test_an_empty_registration_archives_and_another_revives(self, world: World) -> None:
        """CO-1, CO edge cases."""
        register(world, one=(WF,))
        register(world, one=())
        assert registered(world) == {}
        register(world, one=(WF,))
        assert registered(world) == {"one": ["wf"]}

    @pytest.mark.parametrize(
        ("repository", "definitions"),
        [
            ("no-name", (WF,)), ("a..b", (WF,)), ("a" * 101, (WF,)),
            ("one", (Definition("no name"),)), ("one", (Definition("a" * 101),)),
            ("one", (WF, WF)),
            ("one", (Definition("wf", "workflow", tuple(
                Parameter(f"p{n}") for n in range(65))),)),
        ],
    )  # fmt: skip
    def test_it_is_refused_whole(
        self, world: World, repository: str, definitions: tuple[Definition, ...]
    ) -> None:
        """CO-1, LI-3."""
        manifests = {"good": (WF,), repository: definitions}
        world.handle(e.ManifestsRegistered(world.caller(), "default", manifests))
        world.refusal("invalid")
        assert registered(world) == {}

    def test_running_work_is_unaffected(self, world: World) -> None:
        """CO-1."""
        world.agent()
        register(world, repo=(WF,))
        run = world.submit("wf")
        register(world, repo=())
        assert world.status(run) == "assigned"

    def test_what_is_not_registered_is_told_with_the_nearest(self, world: World) -> None:
        """SU-2."""
        register(world, repository=(Definition("report", "workflow"),))
        default = world.state.environment_named("default")
        assert default is not None
        assert find_definition(default, "repository", "report")[0] is not None
        assert "did you mean 'report'?" in find_definition(default, "repository", "reprot")[1]
        assert "did you mean 'repository'?" in find_definition(default, "repositroy", "x")[1]


def test_each_execution_records_the_code_it_ran(world: World) -> None:
    """CO-5: what was hosted at the assignment, unless the agent has loaded other since."""
    world.agent(code="abc")
    run = world.submit("wf")
    world.start(run)
    assert world.of(run).code == "abc"
    world.runs_code(run, "abc")
    assert world.changes == []
    world.runs_code(run, "def")
    assert world.of(run).code == "def"


class TestAssets:
    def test_equal_content_and_entries_give_one_id(self, world: World) -> None:
        """AS-4: each producer is recorded, once."""
        session = world.agent()
        one, two = world.submit("wf"), world.submit("wf")
        world.start(one, two)
        world.handle(e.AssetPersisted(e.Code(session, one, 1), AssetManifest(), "digest"))
        assert world.the(fx.GiveAsset).asset == "A1"
        world.handle(e.AssetPersisted(e.Code(session, one, 1), AssetManifest(), "digest"))
        assert (world.the(fx.GiveAsset).asset, world.changes) == ("A1", [])
        world.handle(e.AssetPersisted(e.Code(session, two, 1), AssetManifest(), "digest"))
        assert world.the(fx.GiveAsset).asset == "A1"
        assert [x.execution for x in world.recorded(c.AssetRecorded)] == [two]
        world.handle(e.AssetPersisted(e.Code(session, two, 2), AssetManifest(), "other"))
        assert world.the(fx.GiveAsset).asset == "A2"

    def test_restoring_records_a_dependency_once(self, world: World) -> None:
        """AS-4, EN-5."""
        session = world.agent()
        run = world.submit("wf")
        world.start(run)
        manifest = AssetManifest(name="n")
        world.handle(e.AssetPersisted(e.Code(session, run, 1), manifest, "digest"))
        world.handle(e.AssetRequested(e.Code(session, run, 2), "A1"))
        assert world.the(fx.GiveAsset).manifest == manifest
        assert world.recorded(c.Depended) == [c.Depended(run, ("A1",), world.now)]
        world.handle(e.AssetRequested(e.Code(session, run, 3), "A1"))
        assert world.changes == []

    def test_an_unknown_asset_is_refused(self, world: World) -> None:
        """ID-4."""
        session = world.agent()
        run = world.submit("wf")
        world.start(run)
        world.handle(e.AssetRequested(e.Code(session, run, 1), "A9"))
        world.refusal("not_found")
