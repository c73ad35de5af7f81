"""Targets of notebooks: claims on their names, and generic agents that take over (CO-3, CO-4)."""

from __future__ import annotations

from coflux.model import Definition
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World


def notebook(*targets: str, version: str = "1") -> e.Repository:
    """A repository whose targets are pickled; `version` tells one pickle from the next."""
    definitions = tuple(
        Definition(t, "workflow", code=f"code-{t}-{version}", pickle=f"pickle-{t}-{version}")
        for t in targets
    )
    return e.Repository("repo", definitions)


def kernel(world: World, *targets: str, version: str = "1", python: str = "3.11.7") -> str:
    """A kernel's agent connects with its targets; its session."""
    session = world.agent("u")
    world.disconnect(session)
    connect(world, session, (notebook(*targets, version=version),), python=python)
    return session


def connect(
    world: World, session: str, repositories: tuple[e.Repository, ...], **fields: object
) -> None:
    world._connections += 1
    world.handle(
        e.SessionConnected(session, world._connections, "second", repositories, 10, **fields)  # type: ignore[arg-type]
    )


def generic(world: World, python: str = "3.11.2") -> str:
    """An agent without repositories; its session."""
    session = world.agent("u")
    world.disconnect(session)
    connect(world, session, (), generic=True, python=python)
    return session


def told(world: World) -> dict[str, str]:
    """Notices of the last event, by session."""
    return {each.session: each.text for each in world.sent(fx.Notify)}


def test_a_kernels_agent_gets_the_pickle_to_run(world: World) -> None:
    """CO-3."""
    session = kernel(world, "wf")
    world.submit("wf")
    assert world.the(fx.Execute).session == session
    assert world.the(fx.Execute).pickle == "pickle-wf-1"


def test_a_redefined_target_counts_from_the_next_assignment_on(world: World) -> None:
    """CO-3."""
    session = kernel(world, "wf", "wf2")
    changed = e.Repository("repo", (*notebook("wf", version="2").targets, *notebook("wf2").targets))
    world.handle(e.TargetsAnnounced(session, (changed,)))
    world.submit("wf")
    assert world.the(fx.Execute).pickle == "pickle-wf-2"
    world.submit("wf2")
    assert world.the(fx.Execute).pickle == "pickle-wf2-1"


def test_a_generic_agent_takes_over_when_the_kernel_is_gone(world: World) -> None:
    """CO-4, SE table: kernel as agent."""
    session = kernel(world, "wf")
    world.close(session)
    world.submit("wf")
    assert world.status("R1:1:1") == "queued"
    other = generic(world)
    execute = world.the(fx.Execute)
    assert (execute.session, execute.execution) == (other, "R1:1:1")
    assert execute.pickle == "pickle-wf-1"
    assert world.of("R1:1:1").code == "code-wf-1"


def test_it_takes_over_after_a_restart_as_well(world: World) -> None:
    """SE-10."""
    world.close(kernel(world, "wf"))
    world.restart()
    generic(world)
    world.submit("wf")
    assert world.the(fx.Execute).pickle == "pickle-wf-1"


def test_a_generic_agent_shares_the_work_of_a_live_kernel(world: World) -> None:
    """CO-4."""
    kernel(world, "wf")
    other = generic(world)
    sessions = set()
    for _ in range(2):
        world.submit("wf")
        sessions.add(world.the(fx.Execute).session)
    assert other in sessions


def test_another_minor_version_of_python_is_no_match(world: World) -> None:
    """CO-4."""
    world.close(kernel(world, "wf", python="3.11.7"))
    generic(world, python="3.12.1")
    world.submit("wf")
    assert world.status("R1:1:1") == "queued"


def test_what_a_notebook_has_deleted_nobody_runs(world: World) -> None:
    session = kernel(world, "wf", "wf2")
    world.handle(e.TargetsAnnounced(session, (notebook("wf2"),)))
    world.close(session)
    generic(world)
    world.submit("wf")
    assert world.status("R1:1:1") == "queued"


def test_of_two_notebooks_with_one_name_the_newer_counts_and_both_are_told(world: World) -> None:
    """CO-3."""
    first = kernel(world, "wf", version="1")
    assert told(world) == {}
    second = kernel(world, "wf", version="2")
    notices = told(world)
    assert set(notices) == {first, second}
    assert "this one's count" in notices[second]
    assert "that one's count" in notices[first]
    world.submit("wf")
    assert world.the(fx.Execute).session == second
    world.handle(e.TargetsAnnounced(first, (notebook("wf", version="3"),)))
    assert told(world) == {}
    world.submit("wf")
    assert (world.the(fx.Execute).session, world.the(fx.Execute).pickle) == (first, "pickle-wf-3")


def test_the_older_notebook_serves_again_when_the_newer_is_gone(world: World) -> None:
    first = kernel(world, "wf", version="1")
    second = kernel(world, "wf", version="2")
    world.close(second)
    world.submit("wf")
    assert world.the(fx.Execute).session == first


def test_a_module_that_takes_a_notebooks_name_counts(world: World) -> None:
    """Exported code: the pickle is not wanted any more."""
    session = kernel(world, "wf")
    world.close(session)
    module = world.agent("wf", "u")
    world.submit("wf")
    assert (world.the(fx.Execute).session, world.the(fx.Execute).pickle) == (module, None)


def test_without_kernel_the_reason_names_what_could_take_over(world: World) -> None:
    """CO-4, SC-11: not the nearest name, which would be of something else."""
    session = kernel(world, "wf", python="3.11.7")
    world.agent("wfx")
    world.close(session)
    run = world.submit("wf")
    reason = world.reason(run)
    assert (reason.code, reason.data["missing"], reason.data["python"]) == (
        "agent",
        "agent",
        "3.11",
    )
    assert "a generic agent (`coflux agent` without repositories, with Python 3.11)" in reason.text
    other = generic(world, python="3.12.1")
    reason = world.reason(run)
    assert (reason.data["missing"], reason.data["session"]) == ("python", other)
    assert f"agent {other} has Python 3.12.1, and it needs 3.11" in reason.text
    generic(world, python="3.11.2")
    assert world.status(run) == "assigned"
