"""A failed run that is repaired in an environment of its own, as every view of it shows (RR-6)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Jupyter, Lab, open_browser

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

CELLS = [
    "%load_ext coflux\nimport coflux as cf",
    "@cf.task()\ndef total(readings):\n    return sum(float(each) for each in readings)\n\n"
    "@cf.workflow()\ndef report(readings):\n    return total(readings)",
    'failed = %coflux run report ["1.5", "T"]\ntry:\n    failed.result()\n'
    "except cf.ExecutionError as error:\n    print(error)\nfailed",
    "%coflux env create dev --base default\n%coflux env use dev",
    "@cf.task()\ndef total(readings):\n"
    '    return sum(0.0 if each == "T" else float(each) for each in readings)',
    "again = %coflux rerun {failed.id}:2\nagain.result()",
    "%coflux show {failed.id}",
    "again = %coflux rerun {failed.id}:1 --reuse\nagain.result()",
    "%coflux show {failed.id}",
    "print(failed.id, failed.status)",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    with Jupyter() as jupyter:
        jupyter.write_notebook("repair.ipynb", CELLS)
        jupyter.start("lab")
        yield jupyter


@pytest.fixture(scope="module")
def lab(server: Jupyter) -> Iterator[Lab]:
    with open_browser() as page:
        lab = Lab(page, server)
        lab.open("repair.ipynb")
        lab.run_all()
        lab.wait_all_run()
        lab.save()
        yield lab


def header(lab: Lab, cell: int) -> Any:
    """The headline of the run below a cell."""
    return lab.page.locator(".jp-Cell").nth(cell).locator(".run-facts").first


def inspect(server: Jupyter, run: str, environment: str) -> Any:
    command = [
        sys.executable, "-m", "coflux", "runs", "inspect", run, "-e", environment, "--json",
        "--host", f"{server.url}coflux",
    ]  # fmt: skip
    shown = subprocess.run(
        command, env=server.environment, capture_output=True, text=True, check=True
    )
    return json.loads(shown.stdout)


def test_it_succeeds_where_it_was_repaired_and_has_failed_where_it_was_not(
    lab: Lab, server: Jupyter
) -> None:
    [run] = server.coflux("/runs?environment=default")
    lab.page.locator(".jp-Cell").nth(8).scroll_into_view_if_needed()
    header(lab, 8).get_by_text("succeeded").wait_for()
    lab.screenshot("lab-repaired")
    # One step alone does not repair what has failed because of it.
    lab.page.locator(".jp-Cell").nth(6).scroll_into_view_if_needed()
    lab.screenshot("lab-half-repaired")
    lab.page.locator(".jp-Cell").nth(2).scroll_into_view_if_needed()
    header(lab, 2).get_by_text("failed").wait_for()
    assert lab.page.get_by_text("Several versions of the code").count() == 2
    lab.screenshot("lab-not-repaired")
    saved = json.loads((server.root / "repair.ipynb").read_text())["cells"][8]["outputs"]
    assert f"/runs/{run['run']}?env=dev'" in "".join(saved[0]["data"]["text/html"])
    assert inspect(server, run["run"], "dev")["status"] == "succeeded"
    assert inspect(server, run["run"], "default")["status"] == "failed"
    for environment, status in (("dev", "succeeded"), ("default", "failed")):
        lab.page.goto(f"{server.url}coflux/runs/{run['run']}?env={environment}")
        lab.page.locator(".run-header").get_by_text(status).first.wait_for()
        lab.screenshot(f"page-{environment}")


# Last, because the page then reaches nothing any more.
@pytest.mark.parametrize("form", ["markdown", "html"])
def test_the_saved_notebook_becomes_a_page_with_pictures(
    lab: Lab, server: Jupyter, form: str
) -> None:
    """nbconvert, without server and kernel."""
    command = [sys.executable, "-m", "nbconvert", "--to", form, "repair.ipynb"]
    subprocess.run(command, cwd=server.root, env=server.environment, check=True)
    suffix = {"html": "html", "markdown": "md"}[form]
    made = (server.root / f"repair.{suffix}").read_text("utf-8")
    assert "widget-view" not in made
    assert "Error displaying widget" not in made
    if form == "markdown":
        assert list((server.root / "repair_files").glob("*.svg")) or "<img" in made
        return
    page = lab.page
    page.route("http*://**", lambda route: route.abort())
    page.goto((server.root / "repair.html").as_uri())
    picture = page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").first
    picture.scroll_into_view_if_needed()
    assert picture.bounding_box()["height"] > 40
    lab.screenshot("nbconvert")
