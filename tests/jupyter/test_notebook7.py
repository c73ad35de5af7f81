"""Notebook 7 below a prefix as JupyterHub has it: runs under their cells, and the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import TOKEN, Jupyter, Lab, open_browser, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

OUTPUT = ".jp-OutputArea-output"
CELLS = [
    "%load_ext coflux\nimport coflux as cf",
    """
@cf.task()
def measure(city):
    return len(city)

@cf.workflow()
def survey(cities):
    return sum(found.result() for found in [measure.submit(city) for city in cities])
""",
    '%coflux run survey ["Oslo", "Rome", "Lima"]',
    "total = _.result()",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    """As a hub starts it: its user's name in every address."""
    with Jupyter("/user/ann%40example.org/") as jupyter:
        jupyter.write_notebook("survey.ipynb", CELLS)
        jupyter.start("notebook")
        yield jupyter


@pytest.fixture(scope="module")
def notebook(server: Jupyter) -> Iterator[Lab]:
    """The notebook, run to its end."""
    with open_browser() as page:
        foreign: list[str] = []
        own = f"http://127.0.0.1:{server.port}/"
        page.on(
            "request",
            lambda r: foreign.append(r.url) if r.url.startswith("http") and own not in r.url else 0,
        )
        notebook = Lab(page, server, tree="notebooks")
        notebook.foreign = foreign
        notebook.open("survey.ipynb")
        notebook.run_all()
        notebook.wait_all_run()
        yield notebook


def test_a_run_is_shown_live_under_its_cell_and_its_steps_open(notebook: Lab) -> None:
    output = notebook.page.locator(OUTPUT)
    output.get_by_text("succeeded").first.wait_for()
    output.get_by_text("measure").first.click()
    output.get_by_text("Oslo").first.wait_for()
    notebook.screenshot("notebook7-run")
    assert notebook.foreign == [], "everything comes from the server itself"


def test_it_is_there_again_after_a_reload_and_without_its_kernel(
    notebook: Lab, server: Jupyter
) -> None:
    notebook.save()
    for kernel in server.ask("GET", "api/kernels"):
        server.ask("DELETE", f"api/kernels/{kernel['id']}")
    notebook.open("survey.ipynb")
    output = notebook.page.locator(OUTPUT)
    output.get_by_role("tab", name="Graph").first.wait_for()
    assert notebook.page.get_by_text("model not found").count() == 0


def test_the_page_works_below_the_prefix(notebook: Lab, server: Jupyter) -> None:
    """AU-1: with Jupyter's cookie, which the notebook's page has set."""
    page = notebook.page
    page.goto(f"{server.url}coflux/")
    page.get_by_text("survey").first.click()
    page.wait_for_url("**/coflux/**")
    address = page.url
    assert address.startswith(f"http://127.0.0.1:{server.port}/user/ann")
    page.goto(f"{server.url}coflux/runs")
    page.get_by_text("survey").first.wait_for()
    run = server.coflux("/runs?environment=default")[0]["run"]
    page.goto(f"{server.url}coflux/runs/{run}")
    page.get_by_role("tab", name="Graph").first.wait_for()
    page.get_by_text("measure").first.wait_for()
    notebook.screenshot("notebook7-page")


def test_what_the_page_does_is_done_below_the_prefix(notebook: Lab, server: Jupyter) -> None:
    """A POST of the page bears Jupyter's XSRF header."""
    page = notebook.page
    before = len(server.coflux("/runs?environment=default"))
    run = server.coflux("/runs?environment=default")[0]["run"]
    server.ask("POST", "coflux/api/v1/projects/default/environments", {"name": "x", "base": None})
    page.goto(f"{server.url}coflux/runs/{run}?token={TOKEN}")
    page.get_by_role("button", name="Run again").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Run").last.click()
    until(
        lambda: (
            len(server.coflux("/runs?environment=default")) > before
            or len(server.coflux(f"/runs/{run}")["steps"][0]["executions"]) > 1
        ),
        "it runs again",
    )
