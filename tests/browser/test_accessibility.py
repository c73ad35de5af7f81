"""Every page is sound for screen readers and keyboards as far as a machine can tell (axe), in light
and dark, and usable at the width of a phone.
"""

from __future__ import annotations

from typing import Any

import pytest
from e2e.stack import Stack
from playwright.sync_api import Page, expect

from .conftest import ROOT, OpenPage, missing

PAGES = {
    "home": "",
    "workflows": "workflows",
    "workflow": "workflows/flow/report",
    "submit": "workflows/flow/report?submit=1",
    "runs": "runs",
    "graph": "runs/{done}?step=2",
    "stack": "runs/{wide}?stack=1.flow/tiny",
    "failure": "runs/{failed}?step=2",
    "timeline": "runs/{failed}/timeline",
    "steps": "runs/{done}/steps",
    "logs": "runs/{done}/logs",
    "assets": "runs/{done}/assets",
    "all assets": "assets",
    "metrics": "runs/{measured}/metrics",
    "inputs": "inputs?state=all",
    "input": "inputs/{order}",
    "asking": "runs/{asking}?step=2",
    "schedules": "schedules",
    "hooks": "hooks",
    "pools": "pools",
    "queue": "queue",
    "agents": "agents",
    "environments": "environments",
    "tokens": "tokens",
    "settings": "settings",
    "search": "search?q=report",
    "unknown": "runs/Rzzzzzzz",
}
#: What must be there before a page is judged.
SETTLED = "h1, .empty"


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which `npm ci` in ui/ brings."""
    path = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        missing("axe-core (npm ci in ui/)")
    return path.read_text("utf-8")


@pytest.fixture(scope="session")
def wide(stack: Stack) -> str:
    """A run with a stack; its id."""
    run = stack.submit("flow/sweep", 40)
    stack.value(run)
    return run


@pytest.fixture(scope="session")
def paths(stack: Stack, done: str, failed: str, wide: str, order: str) -> dict[str, str]:
    """The address of each page."""
    measured = stack.submit("flow/training", 0.5)
    stack.outcome(measured)
    asking = order.partition("/")[0]
    ids = {
        "order": order,
        "asking": asking,
        "done": done,
        "failed": failed,
        "wide": wide,
        "measured": measured,
    }
    return {name: path.format(**ids) for name, path in PAGES.items()}


def problems(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_accessibility_violation(
    open_page: OpenPage, axe: str, paths: dict[str, str], name: str
) -> None:
    page = open_page(paths[name])
    page.locator(SETTLED).first.wait_for()
    page.wait_for_load_state("networkidle")
    assert problems(page, axe) == []
    page.emulate_media(color_scheme="dark")
    assert problems(page, axe) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(open_page: OpenPage, paths: dict[str, str], name: str) -> None:
    page = open_page(
        paths[name], viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page.locator(SETTLED).first.wait_for()
    page.wait_for_load_state("networkidle")
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390
    narrow = (
        "() => { const m = document.querySelector('main'); return m.scrollWidth - m.clientWidth; }"
    )
    assert page.evaluate(narrow) <= 0


def test_a_phone_reads_a_failed_run(open_page: OpenPage, failed: str) -> None:
    page = open_page("runs", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("link", name="failing").first.tap()
    page.locator('[data-node="2"]').tap()
    expect(page.locator(".failure")).to_contain_text("division by zero")
    page.get_by_role("button", name="Close (Esc)").tap()
    expect(page.locator('[data-node="2"]')).to_be_visible()


def test_a_phone_submits_a_run(open_page: OpenPage, stack: Stack) -> None:
    page = open_page(
        "workflows/flow/report", viewport={"width": 390, "height": 844}, has_touch=True
    )
    page.get_by_role("button", name="Run", exact=True).tap()
    page.get_by_role("dialog").get_by_label("city").fill("Hamar")
    page.get_by_role("dialog").get_by_role("button", name="Run in default").tap()
    page.locator(".node").first.wait_for()
    run = page.url.rpartition("/")[2].partition("?")[0]
    assert stack.value(run)["city"] == "Hamar"
