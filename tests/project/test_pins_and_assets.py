"""What may be pinned and which assets are seen, by rights; neither needs the run in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coflux.blobs import LocalBlobs
from coflux.errors import CofluxError, Forbidden, InvalidRequest, NotFound
from coflux.model import AssetManifest, Entry, Submission
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.project.asset_operations import ENTRIES
from coflux.server.project.calls import Call, Project
from coflux.server.project.operations import OPERATIONS
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.views import runs

HERE, THERE = "Rbcdfgh", "Rbcdfgj"
NOTE = AssetManifest((Entry("note.txt", "0" * 64, 3),), name="note")
MANY = AssetManifest(tuple(Entry(f"part-{n:03}", "1" * 64, 2) for n in range(50)), name="many")


def finished(run: str, environment: str) -> list[c.Change]:
    return [
        c.RunCreated(run, environment, "shop", "order", "ada", 1),
        c.StepCreated(run, 1, Submission("shop", "order", "workflow"), environment, 1, 1),
        c.RunFinished(run, "cancelled", 9),
    ]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a finished run in `default` and one in `dev`, in the store alone."""
    orchestrator = Orchestrator(tmp_path)
    places: list[c.Change] = [
        c.EnvironmentSet("Ebcdfgh", "default", None, "active", "", 0),
        c.EnvironmentSet("Ebcdfgj", "dev", None, "active", "", 0),
    ]
    orchestrator.machine.state.load(places)
    made = [
        c.AssetRecorded("Abcdfgh", "note", NOTE, f"{HERE}:1:1", 5),
        c.AssetRecorded("Abcdfgh", "note", NOTE, f"{THERE}:1:1", 6),
        c.AssetRecorded("Abcdfgj", "many", MANY, f"{THERE}:1:1", 7),
    ]
    facts = [*places, *finished(HERE, "Ebcdfgh"), *finished(THERE, "Ebcdfgj"), *made]
    orchestrator.store.write(facts)
    yield Project("default", tmp_path, "", orchestrator, LocalBlobs(tmp_path / "blobs"))
    orchestrator.close()


def ask(project: Project, operation: str, *scopes: Scope, **path: str) -> Any:
    """The answer of an operation to somebody with these scopes, or its refusal."""
    query = {"limit": 100, **{k: v for k, v in path.items() if k in ("environment", "name")}}
    if operation == "list_assets" and "run" in path:
        query["run"] = path["run"]
    call = Call(project, Principal("ada", "T1", scopes), None, query, path)

    async def answer() -> Any:
        project.orchestrator._loop = asyncio.get_running_loop()
        return await OPERATIONS[operation](call)

    return asyncio.run(answer())


ALL = Scope("*", "run")
READ = Scope("*", "read")
DEV = Scope("dev", "run")


def test_a_run_of_the_past_is_pinned_without_being_read_DM_2(project: Project) -> None:
    state = project.orchestrator.machine.state
    answer = ask(project, "pin_run", ALL, run=HERE)
    assert answer["run"] == HERE
    assert answer["pinned"]["by"] == "ada"
    assert HERE not in state.runs
    assert ask(project, "unpin_run", ALL, run=HERE) == {"run": HERE, "pinned": None}


def test_who_has_looked_at_a_run_before_sees_that_it_is_pinned(project: Project) -> None:
    archived = project.orchestrator.state_with(HERE)
    assert archived is not None
    assert runs.show_header(archived, archived.runs[HERE], ())["pinned"] is None
    ask(project, "pin_run", ALL, run=HERE)
    again = project.orchestrator.state_with(HERE)
    assert again is archived
    assert runs.show_header(archived, archived.runs[HERE], ())["pinned"]["by"] == "ada"


@pytest.mark.parametrize(
    ("scopes", "run", "refusal"),
    [
        ((READ, DEV), HERE, Forbidden),
        ((DEV,), HERE, NotFound),
        ((ALL,), "Rzzzzzz", NotFound),
        ((ALL,), f"{HERE}:1", NotFound),
        ((ALL,), "Shop", NotFound),
    ],
)
def test_pinning_needs_the_run_right_where_the_run_is_AU_2(
    project: Project, scopes: tuple[Scope, ...], run: str, refusal: type[CofluxError]
) -> None:
    with pytest.raises(refusal):
        ask(project, "pin_run", *scopes, run=run)
    assert project.orchestrator.machine.state.pinned == {}


def test_assets_are_those_of_environments_that_the_caller_may_read_AU_2(project: Project) -> None:
    def found(*scopes: Scope, **query: str) -> list[tuple[str, str, str]]:
        listed = ask(project, "list_assets", *scopes, **query)
        return [(a["id"], a["execution"], a["environment"]) for a in listed]

    note, many = ("Abcdfgh", f"{THERE}:1:1", "dev"), ("Abcdfgj", f"{THERE}:1:1", "dev")
    assert found(READ) == [many, note]
    assert found(READ, environment="default") == [("Abcdfgh", f"{HERE}:1:1", "default")]
    assert found(Scope("dev", "read"), name="note") == [note]
    with pytest.raises(NotFound):
        found(DEV, environment="default")


def test_lists_over_many_runs_give_the_first_files_and_count_all(project: Project) -> None:
    (asset,) = ask(project, "list_assets", READ, name="PART-049")
    assert (len(asset["entries"]), asset["files"], asset["size"]) == (ENTRIES, 50, 100)
    assert len(ask(project, "get_asset", READ, id="Abcdfgj")["entries"]) == 50


def test_equal_content_is_readable_wherever_a_readable_run_persisted_it_AS_4(
    project: Project,
) -> None:
    assert ask(project, "get_asset", READ, id="Abcdfgh")["execution"] == f"{HERE}:1:1"
    assert ask(project, "get_asset", DEV, id="Abcdfgh")["execution"] == f"{THERE}:1:1"
    assert len(ask(project, "list_assets", DEV, run=THERE)) == 2
    for scope, id in ((Scope("default", "read"), "Abcdfgj"), (READ, "Azzzzzz")):
        with pytest.raises(NotFound):
            ask(project, "get_asset", scope, id=id)
    with pytest.raises(InvalidRequest):
        ask(project, "list_assets", READ, run=HERE, name="note")
