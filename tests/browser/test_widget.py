"""The notebook widget's bundle, mounted in a page as a notebook mounts it."""

from __future__ import annotations

from typing import Any

from e2e.stack import Stack
from playwright.sync_api import Page, expect

from .conftest import ROOT, OpenPage, asked

BUNDLE = ROOT / "coflux" / "jupyter" / "widget.js"
MOUNT = """async ({source, values}) => {
  const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
  const widget = await import(url);
  document.body.innerHTML = '<div id="cell" style="width: 900px"></div>';
  const model = {get: (name) => values[name] ?? null, on() {}, off() {}};
  const el = document.getElementById('cell');
  window.unmount = await widget.default.render({model, el});
}"""


def mount(page: Page, **values: Any) -> None:
    page.evaluate(MOUNT, {"source": BUNDLE.read_text("utf-8"), "values": values})


def test_the_widget_shows_a_run_live_and_opens_a_step(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    page = open_page("settings", bypass_csp=True)
    server = {"api": f"{stack.url}/api/v1", "base": f"{stack.url}/", "project": "default"}
    mount(page, run=done, server=server)
    expect(page.locator(".node")).to_have_count(6)
    page.locator('[data-node="2"]').click()
    expect(page.get_by_role("complementary")).to_contain_text("Bergen")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".time-row")).to_have_count(6)


def test_keys_stay_in_the_widget_and_themes_are_followed(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    page = open_page("settings", bypass_csp=True)
    server = {"api": f"{stack.url}/api/v1", "base": f"{stack.url}/", "project": "default"}
    mount(page, run=done, server=server)
    page.locator('[data-node="1"]').wait_for()
    page.evaluate("window.heard = []; addEventListener('keydown', (e) => heard.push(e.key))")
    page.locator('[data-node="1"]').focus()
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-node="2"]')).to_be_focused()
    assert page.evaluate("window.heard") == []
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    expect(page.locator(".widget")).to_have_css("background-color", "rgb(20, 23, 28)")
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    expect(page.locator(".widget")).to_have_css("background-color", "rgb(255, 255, 255)")


def test_a_question_is_answered_in_the_widget(open_page: OpenPage, stack: Stack) -> None:
    run = stack.submit("flow/releasing", "W-1")
    asked(stack, run)
    page = open_page("settings", bypass_csp=True)
    server = {"api": f"{stack.url}/api/v1", "base": f"{stack.url}/", "project": "default"}
    mount(page, run=run, server={**server, "scopes": [{"environment": "*", "right": "run"}]})
    page.get_by_role("button", name="Answer…").click()
    page.get_by_role("dialog").get_by_label("Yes").check()
    page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    assert stack.value(run) == "shipped"
    expect(page.locator(".banner.asking")).to_have_count(0)


def test_a_saved_copy_is_shown_without_a_server(open_page: OpenPage) -> None:
    page = open_page("settings", bypass_csp=True)
    header = {
        "run": "Rbcdfgh", "target": "flow/report", "environment": "default", "parent": None,
        "status": "succeeded", "created_at": 1, "created_by": "ada",
    }  # fmt: skip
    step = {"t": 0, "a": {"1": {"s": "value", "q": 1, "st": 1, "en": 9}}}
    graph = {
        **header, "targets": {"0": ["flow/report", "workflow"]}, "groups": {}, "steps": {"1": step},
    }  # fmt: skip
    saved = {
        "at": 1_790_000_000_000, "answers": {}, "blobs": {},
        "topics": {'graph [["run","Rbcdfgh"]]': graph},
    }  # fmt: skip
    mount(page, run="Rbcdfgh", saved=saved)
    expect(page.locator(".node")).to_contain_text("report, step 1, done")
    page.evaluate("window.unmount()")
    expect(page.locator(".node")).to_have_count(0)
