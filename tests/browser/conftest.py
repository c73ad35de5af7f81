"""A real server with an agent, and pages of a real browser that look at it.

Every page fails its test if the browser's console has an error in it. Without a browser these tests
are skipped on a laptop and fail in CI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.stack import Stack, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Milliseconds that a page may take for anything.
PATIENCE_MS = 20_000
_SWITCHES = [
    "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

OpenPage = Callable[..., "Page"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these are slow."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)


def missing(what: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"no {what} here")
    pytest.skip(f"no {what} here")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A server and an agent that hosts `flow`, shared by all of these tests."""
    with Stack() as stack:
        shutil.copy(HERE / "repositories" / "flow.py", stack.work)
        stack.start_server()
        stack.start_agent("flow.py", "--register", "--concurrency", "8")
        yield stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of a module.

    Its driver keeps an event loop on this thread, so that other tests in the process could not run
    one: it must not stay for longer.
    """
    playwright = pytest.importorskip("playwright.sync_api") if not os.environ.get("CI") else None
    if playwright is None:
        import playwright.sync_api as playwright
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        missing("chromium")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, stack: Stack) -> Iterator[OpenPage]:
    """Opens a page of the stack, signed in; fails the test for errors in its console."""
    contexts = []
    problems: list[str] = []

    def open_one(
        path: str = "", *, token: str | None = None, allow: str | None = None, **options: Any
    ) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 850}, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()

        def heard(text: str) -> None:
            if allow is None or allow not in text:
                problems.append(text)

        page.on("console", lambda said: said.type == "error" and heard(said.text))
        page.on("pageerror", lambda error: heard(str(error)))
        page.goto(f"{stack.url}/?token={token or stack.token}")
        if path:
            page.goto(f"{stack.url}/{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not problems, problems


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """One page, at its home."""
    return open_page()


@pytest.fixture(scope="session")
def done(stack: Stack) -> str:
    """A report that has succeeded; its id."""
    run = stack.submit("flow/report", "Bergen", 3)
    stack.value(run)
    return run


@pytest.fixture(scope="session")
def failed(stack: Stack) -> str:
    """A run that has failed after a retry; its id."""
    run = stack.submit("flow/failing", 3)
    assert stack.outcome(run).kind == "error"
    return run


@pytest.fixture(scope="session")
def order(stack: Stack) -> str:
    """An input that stays open; its id."""
    run = stack.submit("flow/ordering", "Grace")
    return asked(stack, run)


def asked(stack: Stack, run: str) -> str:
    """The input of a run, as soon as somebody waits for it."""

    def found() -> str | None:
        rows = stack.client().request("GET", f"/inputs?environment=default&run={run}")
        return rows[0]["input"] if rows and rows[0]["awaited"] else None

    return until(found, "the run asks")


@pytest.fixture
def gate(tmp_path: Path, stack: Stack) -> Iterator[tuple[str, Path]]:
    """A run whose step 2 waits for a file: its id, and the file. It is let go at the end."""
    path = tmp_path / "gate"
    run = stack.submit("flow/gated", str(path))
    until(lambda: len(stack.client().inspect(run)["steps"]) == 2, "step 2 is there")
    stack.until_status(f"{run}:2", "running")
    yield run, path
    path.touch()
    stack.outcome(run)
