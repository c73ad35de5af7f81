"""JupyterLab in a real browser: a run under its cell, the sidebar, tabs; what survives what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Jupyter, Lab, open_browser, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

CELLS = [
    "%load_ext coflux\nimport coflux as cf, os, time",
    """
@cf.task()
def measure(city):
    print("measuring", city)
    return len(city)

@cf.workflow()
def survey(cities):
    return sum(found.result() for found in [measure.submit(city) for city in cities])

@cf.workflow()
def patient(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return "patience"
""",
    '%coflux run survey ["Oslo", "Rome", "Lima"]',
    "total = _.result()",
]
OUTPUT = ".jp-OutputArea-output"


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    with Jupyter() as jupyter:
        jupyter.write_notebook("survey.ipynb", CELLS)
        jupyter.start("lab")
        yield jupyter


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with open_browser() as page:
        yield page


@pytest.fixture(scope="module")
def lab(page: Any, server: Jupyter) -> Lab:
    """Lab with the notebook open and run to its end."""
    foreign: list[str] = []
    page.on("request", lambda r: foreign.append(r.url) if _is_foreign(r.url, server) else None)
    lab = Lab(page, server)
    lab.foreign = foreign
    lab.open("survey.ipynb")
    lab.run_all()
    page.locator(OUTPUT).get_by_text("succeeded").first.wait_for()
    lab.save()
    return lab


def _is_foreign(url: str, server: Jupyter) -> bool:
    return url.startswith("http") and not url.startswith(f"http://127.0.0.1:{server.port}/")


def run_id(server: Jupyter, target: str = "survey/survey") -> str:
    runs = server.coflux("/runs?environment=default")
    return str(next(run["run"] for run in runs if run["target"] == target))


def test_a_run_is_shown_live_under_its_cell(lab: Lab) -> None:
    lab.screenshot("lab-run")
    output = lab.page.locator(OUTPUT).first
    assert output.get_by_text("measure").count() >= 3
    assert output.get_by_role("tab", name="Timeline").count() == 1
    assert lab.errors == []
    assert lab.foreign == [], "everything comes from the server itself"


def test_a_step_opens_with_what_it_was_called_with(lab: Lab) -> None:
    lab.page.locator(OUTPUT).get_by_text("measure").first.click()
    lab.page.locator(OUTPUT).get_by_text("Oslo").first.wait_for()
    lab.screenshot("lab-step")


def test_keys_in_the_run_do_not_act_on_the_notebook(lab: Lab) -> None:
    cells = lab.page.locator(".jp-Cell").count()
    lab.page.locator(OUTPUT).get_by_role("tab", name="Timeline").first.click()
    lab.page.keyboard.press("b")
    lab.page.keyboard.press("a")
    assert lab.page.locator(".jp-Cell").count() == cells


def test_it_is_there_again_after_a_reload_of_the_page(lab: Lab) -> None:
    lab.open("survey.ipynb")
    lab.page.locator(OUTPUT).get_by_role("tab", name="Graph").first.wait_for()
    assert lab.page.locator(OUTPUT).get_by_text("succeeded").count() >= 1


def test_it_outlives_its_kernel(lab: Lab, server: Jupyter) -> None:
    """The notebook is opened anew when no kernel knows of the run."""
    for kernel in server.ask("GET", "api/kernels"):
        server.ask("DELETE", f"api/kernels/{kernel['id']}")
    lab.open("survey.ipynb")
    lab.page.locator(OUTPUT).get_by_role("tab", name="Graph").first.wait_for()
    assert lab.page.get_by_text("model not found").count() == 0
    lab.screenshot("lab-without-kernel")


def test_a_saved_notebook_has_a_still_picture_for_others(lab: Lab, server: Jupyter) -> None:
    saved = json.loads((server.root / "survey.ipynb").read_text())
    (output,) = saved["cells"][2]["outputs"]
    assert "application/vnd.jupyter.widget-view+json" not in output["data"]
    assert "<svg" in "".join(output["data"]["image/svg+xml"])
    assert "succeeded" in "".join(output["data"]["text/plain"])


def test_a_run_that_the_server_does_not_know_is_a_still_picture(lab: Lab, server: Jupyter) -> None:
    saved = json.loads((server.root / "survey.ipynb").read_text())
    text = json.dumps(saved).replace(run_id(server), "Rnobody")
    (server.root / "elsewhere.ipynb").write_text(text)
    lab.open("elsewhere.ipynb")
    lab.page.locator(f"{OUTPUT} img").first.wait_for()
    lab.screenshot("lab-still")
    assert lab.page.locator(OUTPUT).get_by_role("tab", name="Graph").count() == 0
    assert lab.page.locator(OUTPUT).get_by_text("succeeded").count() >= 1


def test_the_sidebar_lists_runs_and_opens_them_in_tabs(lab: Lab, server: Jupyter) -> None:
    lab.open()
    lab.page.locator('.jp-SideBar [data-id="coflux-sidebar"]').click()
    row = lab.page.locator("#coflux-sidebar [data-run]").first
    row.wait_for()
    assert "survey/survey" in row.inner_text()
    row.click()
    frame = lab.page.frame_locator(".jp-MainAreaWidget iframe")
    frame.get_by_role("tab", name="Graph").first.wait_for()
    frame.get_by_text("measure").first.wait_for()
    lab.screenshot("lab-sidebar")


def test_the_launcher_opens_all_of_coflux(lab: Lab) -> None:
    lab.open()
    lab.command("launcher:create")
    lab.page.locator(".jp-LauncherCard", has_text="Coflux").first.click()
    frame = lab.page.frame_locator(".jp-MainAreaWidget iframe")
    frame.get_by_text("survey").first.wait_for()
    lab.screenshot("lab-tab")


def test_dark_themes_are_followed(lab: Lab) -> None:
    lab.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    lab.command("coflux:open")
    frame = lab.page.frame_locator(".jp-MainAreaWidget iframe")
    frame.locator("html[data-theme=dark]").wait_for()
    lab.screenshot("lab-dark")
    lab.command("apputils:change-theme", {"theme": "JupyterLab Light"})
    frame.locator("html[data-theme=light]").wait_for()


def test_cancelling_needs_no_kernel(lab: Lab, server: Jupyter) -> None:
    """The kernel is busy with another cell; the button acts all the same."""
    cells = [*CELLS[:2], "%coflux run patient '/nowhere'", "time.sleep(600)"]
    server.write_notebook("patient.ipynb", cells)
    lab.open("patient.ipynb")
    lab.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
    output = lab.page.locator(OUTPUT).first
    output.get_by_role("button", name="Cancel").first.click()
    dialog = lab.page.get_by_role("dialog").get_by_role("button", name="Cancel")
    if dialog.count():
        dialog.first.click()
    run = run_id(server, "patient/patient")
    until(lambda: server.coflux(f"/runs/{run}")["status"] == "cancelled", "it is cancelled")
    output.get_by_text("cancelled").first.wait_for()
