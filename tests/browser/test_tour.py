"""The guided tour of docs/web-page.md, walked on the demo's real run; its pictures are taken here.

With `COFLUX_TOUR=docs/pictures` the pictures in the documents are made anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.stack import Stack
from playwright.sync_api import Browser, Page, expect

from .conftest import PATIENCE_MS, ROOT

REPOSITORY = "coflux.cli.demo.weather"
ASKING = """
from dataclasses import dataclass
from typing import Literal

import coflux as cf


@dataclass
class Decision:
    publish: bool
    audience: Literal["editors", "subscribers", "everybody"]
    remark: str = ""


decide = cf.Prompt(
    "The report on {cities} is ready: {days} days were read.\\n\\nShall it be published?",
    model=Decision,
    title="Publish the report",
    actions=("Decide", "Not now"),
)


@cf.workflow()
def publishing(cities: str = "Seattle and New York"):
    return decide(initial={"audience": "editors"}, cities=cities, days=2922).publish
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    """A server with an agent that hosts the demo."""
    with Stack() as stack:
        stack.start_server()
        (stack.work / "publishing.py").write_text(ASKING)
        stack.start_agent(REPOSITORY, "publishing.py", "--register", "--concurrency", "4")
        yield stack


@pytest.fixture(scope="module")
def run(demo: Stack) -> str:
    """A run of the demo; its id."""
    run = demo.submit(f"{REPOSITORY}/report")
    demo.outcome(run)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go."""
    wanted = os.environ.get("COFLUX_TOUR")
    path = ROOT / wanted if wanted else tmp_path_factory.mktemp("tour")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def page(browser: Browser, demo: Stack) -> Iterator[Page]:
    """A page of that server, signed in."""
    context = browser.new_context(viewport={"width": 1200, "height": 720})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{demo.url}/?token={demo.token}")
    page.locator("h1").wait_for()
    yield page
    context.close()


def test_the_form_is_made_from_the_signature(page: Page, demo: Stack, folder: Path) -> None:
    page.goto(f"{demo.url}/workflows")
    page.get_by_role("link", name="Run", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Compare the climates of two cities")
    expect(dialog.get_by_label("years")).to_be_visible()
    dialog.get_by_label("years").fill("[2012, 2013]")
    dialog.get_by_text("The same in Python and in a shell").click()
    expect(dialog).to_contain_text("years=[2012, 2013]")
    page.screenshot(path=folder / "submit.png")


def test_the_graph_shows_the_run_and_the_panel_a_step(
    page: Page, demo: Stack, run: str, folder: Path
) -> None:
    page.goto(f"{demo.url}/runs/{run}?step=1")
    expect(page.get_by_role("complementary")).to_contain_text("most_wet_days")
    page.screenshot(path=folder / "graph.png")


def test_the_retried_step_shows_both_attempts(
    page: Page, demo: Stack, run: str, folder: Path
) -> None:
    page.goto(f"{demo.url}/runs/{run}")
    page.locator(".node", has_text="almanac").click()
    page.get_by_role("link", name="#1").click()
    expect(page.locator(".failure")).to_contain_text("the almanac does not answer for Seattle")
    page.screenshot(path=folder / "attempts.png")


def test_the_timeline_shows_where_the_time_went(
    page: Page, demo: Stack, run: str, folder: Path
) -> None:
    page.goto(f"{demo.url}/runs/{run}/timeline")
    expect(page.locator(".time-row").first).to_be_visible()
    page.screenshot(path=folder / "timeline.png")


def test_the_chart_and_the_tables_have_previews(
    page: Page, demo: Stack, run: str, folder: Path
) -> None:
    page.goto(f"{demo.url}/runs/{run}/assets")
    page.get_by_role("button", name=re.compile("chart")).click()
    expect(page.locator(".image-preview img")).to_be_visible()
    page.screenshot(path=folder / "assets.png")
    page.get_by_role("button", name=re.compile("tables")).click()
    expect(page.locator("table.data")).to_contain_text("Jan")


def test_a_question_is_answered(page: Page, demo: Stack, folder: Path) -> None:
    asking = demo.submit("publishing/publishing")
    page.goto(f"{demo.url}/inputs")
    page.get_by_role("link", name="Publish the report").click()
    expect(page.get_by_role("article")).to_contain_text("somebody waits for it")
    page.screenshot(path=folder / "answer.png")
    page.get_by_label("Yes").check()
    page.get_by_role("button", name="Decide").click()
    assert demo.value(asking) is True


def test_a_second_run_takes_cached_results_and_says_so(page: Page, demo: Stack, run: str) -> None:
    again = demo.submit(f"{REPOSITORY}/report")
    demo.outcome(again)
    page.goto(f"{demo.url}/runs/{again}")
    expect(page.locator(".count.f-reused")).to_contain_text("8")
