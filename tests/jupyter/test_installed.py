"""From an empty directory with the wheel installed: what a person does, in a real browser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from installing import ROOT, install
from lab import Jupyter, Lab, open_browser, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

OUTPUT = ".jp-OutputArea-output"
#: Outputs that JupyterLab's part of Coflux draws.
RUN = f"{OUTPUT}.lm-Panel"


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """The Python of a new virtual environment with Coflux in it."""
    with tempfile.TemporaryDirectory(prefix="cfw-") as folder:
        yield install(Path(folder))


@pytest.fixture
def server(python: Path) -> Iterator[Jupyter]:
    """`jupyter lab` in an empty directory, with nothing configured that concerns Coflux."""
    with Jupyter(python=python) as jupyter:
        assert list(jupyter.root.iterdir()) == []
        jupyter.start("lab")
        yield jupyter


@pytest.fixture
def page() -> Iterator[Any]:
    with open_browser() as page:
        yield page


def place(name: str, jupyter: Jupyter) -> None:
    """A notebook of the project as somebody gets it, without what it has shown before."""
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, jupyter.root / name)


def unexpected_errors(jupyter: Jupyter, name: str) -> list[str]:
    """Errors in a saved notebook, in cells that are not there to show one."""
    notebook = nbformat.read(jupyter.root / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    skipped = [cell.source for cell in code if not cell.execution_count]
    return skipped + [
        f"{cell.source}: {output.evalue}"
        for cell in code
        for output in cell.outputs
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]


def outputs(lab: Lab, text: str) -> Any:
    """Runs shown in the notebook that have this text."""
    return lab.page.locator(RUN).filter(has_text=text)


def test_the_tutorial_as_a_person_goes_through_it(server: Jupyter, page: Any) -> None:
    place("tutorial.ipynb", server)
    lab = Lab(page, server)
    lab.open("tutorial.ipynb")
    lab.run_all()
    lab.wait_all_run()
    lab.save()
    assert unexpected_errors(server, "tutorial.ipynb") == []

    # The first run has reached success, with its steps in the graph.
    run = page.locator(RUN).first
    run.scroll_into_view_if_needed()
    run.get_by_text("succeeded").first.wait_for()
    run.get_by_text("observations").first.wait_for()
    lab.screenshot("installed-tutorial")

    run.get_by_text("summarise").first.click()
    run.get_by_role("heading", name="summarise").first.wait_for()
    lab.screenshot("installed-tutorial-step")

    # The page is loaded again: the run is there as it was, the kernel still knows its variables.
    lab.open("tutorial.ipynb")
    run = page.locator(RUN).first
    run.scroll_into_view_if_needed()
    run.get_by_text("succeeded").first.wait_for()

    # The kernel is restarted: the runs stay, and all of it can be done again.
    lab.restart_kernel()
    run.get_by_text("succeeded").first.wait_for()
    lab.screenshot("installed-tutorial-restarted")
    before = len(server.coflux("/runs?environment=default"))
    lab.command("notebook:clear-all-cell-outputs")
    lab.run_all()
    lab.wait_all_run()
    lab.save()
    assert unexpected_errors(server, "tutorial.ipynb") == []
    assert len(server.coflux("/runs?environment=default")) == 2 * before

    # The sidebar knows them all, and opens one in a tab.
    page.locator('.jp-SideBar [data-id="coflux-sidebar"]').click()
    rows = page.locator("#coflux-sidebar [data-run]")
    until(lambda: rows.count() >= 2 * before, "the sidebar lists the runs")
    rows.filter(has_text="climate").first.click()
    tab = page.frame_locator(".jp-MainAreaWidget iframe")
    tab.get_by_role("tab", name="Graph").first.wait_for()
    tab.get_by_text("observations").first.wait_for()
    lab.screenshot("installed-tutorial-sidebar")
    assert lab.errors == []


def test_a_production_run_is_repaired_as_a_person_does_it(server: Jupyter, page: Any) -> None:
    """Point 5: real arguments, an edited function, a re-run in dev, a module to hand back."""
    place("production.ipynb", server)
    lab = Lab(page, server)
    lab.open("production.ipynb")
    page.evaluate("() => { window.ran = jupyterapp.commands.execute('notebook:run-all-cells') }")

    # The debugger stops where the step fails; the person looks at what it was called with.
    prompt = page.locator(".jp-Stdin-input")
    prompt.wait_for()
    lab.screenshot("installed-production-debugger")
    prompt.fill("p readings")
    prompt.press("Enter")
    page.locator(OUTPUT).get_by_text("'7.9', 'T'").first.wait_for()
    # The answered prompt may still be there.
    prompt = page.locator(".jp-Stdin-input").last
    prompt.fill("q")
    prompt.press("Enter")

    lab.evaluate("async () => { await window.ran }")
    lab.wait_all_run()
    lab.save()
    assert unexpected_errors(server, "production.ipynb") == []
    # Seen from `dev`, where it has been repaired since (RR-6).
    repaired = outputs(lab, "succeeded").first
    repaired.scroll_into_view_if_needed()
    repaired.get_by_text("total").first.wait_for()
    lab.screenshot("installed-production-repaired")
    runs = server.coflux("/runs?environment=production")
    assert [run["status"] for run in runs] == ["failed"]
    seen = server.coflux(f"/runs/{runs[0]['run']}?environment=dev")
    attempts = [(each["environment"], each["status"]) for each in seen["steps"][0]["executions"]]
    assert attempts == [("production", "error"), ("dev", "value")]
    assert lab.errors == []
