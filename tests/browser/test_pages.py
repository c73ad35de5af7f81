"""The lists, the shell, search, empty and error states, and a server that goes away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.stack import Stack
from playwright.sync_api import Browser, expect

from .conftest import OpenPage


def test_home_shows_what_runs_and_what_failed(
    open_page: OpenPage, gate: tuple[str, Path], failed: str
) -> None:
    page = open_page()
    running = page.locator("section", has=page.get_by_role("heading", name="Running now"))
    expect(running).to_contain_text(gate[0])
    late = page.locator("section", has=page.get_by_role("heading", name="Failed in the last"))
    expect(late).to_contain_text(failed)
    gate[1].touch()
    expect(running.get_by_text(gate[0])).to_have_count(0)


def test_runs_are_found_and_filtered_in_the_address(
    open_page: OpenPage, done: str, failed: str
) -> None:
    page = open_page("runs")
    page.get_by_role("button", name="failed", exact=True).click()
    expect(page).to_have_url(re.compile("status=failed"))
    expect(page.get_by_role("row", name=re.compile(failed))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(done))).to_have_count(0)
    page.get_by_role("searchbox", name="Find runs").fill("no such thing")
    expect(page.get_by_text("No run fits")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("row", name=re.compile(done))).to_be_visible()


def test_a_row_leads_to_its_run(open_page: OpenPage, done: str) -> None:
    page = open_page("runs")
    page.get_by_role("row", name=re.compile(done)).get_by_role("link", name="report").click()
    expect(page).to_have_url(re.compile(f"runs/{done}$"))


def test_workflows_show_their_docstrings_and_history(open_page: OpenPage, done: str) -> None:
    page = open_page("workflows")
    card = page.locator(".card", has=page.get_by_role("link", name="report"))
    expect(card).to_contain_text("Report on a city.")
    card.get_by_role("link", name="report").click()
    expect(page.locator(".doc")).to_contain_text("summarises each day")
    expect(page.get_by_role("row", name=re.compile(done))).to_be_visible()


@pytest.fixture
def stranded(stack: Stack) -> Iterator[str]:
    """A run of a target that no agent hosts; cancelled at the end."""
    elsewhere = {"elsewhere": [{"name": "lonely", "type": "workflow", "parameters": []}]}
    client = stack.client()
    client.request("POST", "/manifests", body={"environment": "default", "manifests": elsewhere})
    run = stack.submit("elsewhere/lonely")
    yield run
    client.request("POST", f"/cancel/{run}", body={})
    client.request(
        "POST", "/manifests/archive", body={"environment": "default", "repository": "elsewhere"}
    )


def test_the_queue_says_why_and_what_to_do(open_page: OpenPage, stranded: str) -> None:
    page = open_page("queue")
    expect(page.get_by_role("heading", name="No agent hosts the target")).to_be_visible()
    row = page.get_by_role("row", name=re.compile(stranded))
    expect(row).to_contain_text("lonely")
    expect(page.locator("code", has_text="coflux agent elsewhere")).to_be_visible()
    page.get_by_role("link", name="Home").first.click()
    expect(page.locator(".banner")).to_contain_text("elsewhere")


def test_a_step_that_has_not_started_says_why(open_page: OpenPage, stranded: str) -> None:
    page = open_page(f"runs/{stranded}?step=1")
    panel = page.get_by_role("complementary")
    expect(panel.get_by_role("heading", name="Why it is not running")).to_be_visible()
    expect(panel.locator(".why")).to_contain_text("agent")


def test_agents_show_what_they_host_and_run(open_page: OpenPage, gate: tuple[str, Path]) -> None:
    page = open_page("agents")
    card = page.locator(".agent")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("of 8 in use")
    expect(card.get_by_role("link", name=f"{gate[0]}:2:1")).to_be_visible()
    card.get_by_text("flow", exact=True).click()
    expect(card).to_contain_text("summarise")


def test_the_environment_is_switched_and_stays_in_the_address(
    open_page: OpenPage, stack: Stack
) -> None:
    stack.cli("env", "create", "lab", "--base", "default")
    page = open_page("runs")
    page.get_by_role("button", name=re.compile("Environment:")).click()
    page.get_by_role("menuitem", name=re.compile("lab")).click()
    expect(page).to_have_url(re.compile("env=lab"))
    expect(page.get_by_text("No runs yet")).to_be_visible()
    page.get_by_role("link", name="Workflows").click()
    expect(page).to_have_url(re.compile("env=lab"))
    expect(page.get_by_text("Nothing is registered here")).to_be_visible()


def test_search_finds_by_keyboard_alone(open_page: OpenPage, done: str) -> None:
    page = open_page()
    page.get_by_role("heading", name="All environments").wait_for()
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Search")
    expect(box).to_be_focused()
    box.fill("repo")
    expect(page.get_by_role("option").first).to_contain_text("report")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("workflows/flow/report"))
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill(f"{done}:2")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"runs/{done}.*step=2"))


def test_letters_lead_to_pages(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("heading", name="All environments").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next failed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_theme_is_remembered(open_page: OpenPage) -> None:
    page = open_page("settings")
    page.get_by_role("radio", name="Dark").check()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(20, 23, 28)"


def test_what_the_project_takes_on_disk_is_told(open_page: OpenPage) -> None:
    page = open_page("settings")
    expect(page.get_by_text("of logs and metrics")).to_contain_text("of runs")


def test_an_address_that_there_is_not_says_so(open_page: OpenPage) -> None:
    page = open_page("runs/a/b/c")
    expect(page.get_by_text("There is no such page")).to_be_visible()


def test_a_wrong_token_leads_to_the_sign_in(browser: Browser, stack: Stack) -> None:
    page = browser.new_page()
    page.goto(f"{stack.url}/runs")
    expect(page.get_by_role("heading", name="Sign in to Coflux")).to_be_visible()
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{stack.url}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.close()


def test_nothing_is_asked_of_any_other_host(open_page: OpenPage, stack: Stack, done: str) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("", "workflows", f"runs/{done}?step=2", f"runs/{done}/assets", "agents"):
        page.goto(f"{stack.url}/{path}")
        page.locator("h1").first.wait_for()
    assert [url for url in asked if not url.startswith((stack.url, "blob:", "data:"))] == []


@pytest.fixture(params=[()])
def own(browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Stack, Any]]:
    """An empty stack with a page that looks at it; its console may complain."""
    with Stack() as stack:
        stack.start_server(*request.param)
        context = browser.new_context()
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.goto(f"{stack.url}/?token={stack.token}" if stack.token else stack.url)
        yield stack, page
        context.close()


def test_an_empty_server_teaches_and_ticks_off_what_is_done(own: tuple[Stack, Any]) -> None:
    stack, page = own
    steps = page.locator(".first-steps li")
    expect(steps).to_have_count(3)
    expect(page.locator(".first-steps li.done")).to_have_count(0)
    stack.write(
        "squares.py", "import coflux as cf\n@cf.workflow()\ndef total(n: int = 5):\n    return n\n"
    )
    stack.start_agent("squares.py", "--register")
    expect(page.locator(".first-steps li.done")).to_have_count(2)
    steps.nth(2).get_by_role("link", name="Run total").click()
    page.get_by_role("dialog").get_by_role("button", name="Run in default").click()
    expect(page.locator(".run-facts")).to_contain_text("succeeded")


def test_a_browser_that_the_server_does_not_know_any_more_is_asked_to_sign_in(
    own: tuple[Stack, Any],
) -> None:
    stack, page = own
    page.goto(f"{stack.url}/environments")
    expect(page.locator(".connection.live")).to_be_visible()
    stack.kill_server()
    (stack.data_dir / "browser.key").unlink()
    stack.start_server()
    page.get_by_role("button", name="sign in again").click()
    page.get_by_label("Token").fill(stack.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{stack.url}/environments")
    expect(page.locator(".connection.live")).to_be_visible()


def test_a_page_goes_on_by_itself_when_the_server_starts_again(own: tuple[Stack, Any]) -> None:
    stack, page = own
    page.goto(f"{stack.url}/environments")
    expect(page.locator(".connection.live")).to_be_visible()
    stack.kill_server()
    expect(page.locator(".connection.lost")).to_be_visible()
    stack.start_server()
    expect(page.locator(".connection.live")).to_be_visible()
    page.reload()
    expect(page.locator("h1")).to_have_text("Environments")


@pytest.mark.parametrize("own", [("--no-auth",)], indirect=True)
def test_a_lost_server_is_said_and_found_again(own: tuple[Stack, Any]) -> None:
    stack, page = own
    expect(page.locator(".connection.live")).to_be_visible()
    stack.kill_server()
    expect(page.locator(".connection.lost")).to_contain_text("Reconnecting, as of")
    stack.start_server("--no-auth")
    expect(page.locator(".connection.live")).to_be_visible()
    stack.cli("env", "create", "after")
    page.get_by_role("link", name="Environments").click()
    expect(page.get_by_role("row", name=re.compile("after"))).to_be_visible()
