"""The page of a run: graph, timeline, steps, logs, assets and the panel of a step."""

from __future__ import annotations

import re
from pathlib import Path

from e2e.stack import Stack
from playwright.sync_api import expect

from .conftest import OpenPage


def test_the_graph_shows_every_step_with_state_and_link(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}")
    expect(page.locator(".node")).to_have_count(6)
    first = page.locator('[data-node="1"]')
    expect(first).to_contain_text("report, step 1, done")
    assert first.get_attribute("href") == f"runs/{done}?step=1"


def test_edges_are_drawn(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}")
    page.locator(".node").first.wait_for()
    inked = """() => {
      const canvas = document.querySelector('canvas.edges');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return data.some((value, i) => i % 4 === 3 && value > 0);
    }"""
    page.wait_for_function(inked)


def test_a_click_opens_the_step_and_back_closes_it(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}")
    page.locator('[data-node="2"]').click()
    panel = page.get_by_role("complementary")
    expect(panel.get_by_role("heading", name="load")).to_be_visible()
    expect(page).to_have_url(re.compile(r"step=2$"))
    expect(panel.locator(".argument")).to_contain_text("Bergen")
    expect(panel.locator(".section", has_text="Result")).to_contain_text("12.5")
    page.go_back()
    expect(panel).to_have_count(0)


def test_a_link_to_a_step_and_attempt_opens_just_that(open_page: OpenPage, failed: str) -> None:
    page = open_page(f"runs/{failed}?step=2&attempt=1")
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text(f"{failed}:2:1")
    expect(panel.locator(".attempt")).to_have_count(2)
    expect(panel.locator('.attempt[aria-current="true"]')).to_have_text("#1")


def test_an_error_is_shown_with_the_users_frames_and_source(
    open_page: OpenPage, failed: str
) -> None:
    page = open_page(f"runs/{failed}?step=2")
    failure = page.locator(".failure")
    expect(failure).to_contain_text("ZeroDivisionError")
    expect(failure).to_contain_text("division by zero")
    expect(failure.locator(".frames")).to_contain_text("return x / 0")
    expect(failure.locator(".frames")).to_contain_text("in broken")


def test_arguments_by_reference_lead_to_the_step_they_come_from(
    open_page: OpenPage, done: str
) -> None:
    page = open_page(f"runs/{done}?step=3")
    panel = page.get_by_role("complementary")
    panel.locator(".argument", has_text="data").get_by_role("link").click()
    expect(panel.get_by_role("heading", name="load")).to_be_visible()


def test_the_cache_explains_itself(open_page: OpenPage, stack: Stack, done: str) -> None:
    again = stack.submit("flow/report", "Bergen", 3)
    stack.value(again)
    page = open_page(f"runs/{again}?step=2")
    section = page.locator(".section", has=page.get_by_role("heading", name="Cache"))
    expect(section).to_contain_text("hit")
    expect(section.get_by_role("link").first).to_contain_text(f"{done}:2:1")
    expect(page.locator('[data-node="2"]')).to_contain_text("load, step 2, cached")


def test_the_keyboard_moves_through_the_graph(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}")
    page.locator('[data-node="1"]').focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-node="2"]')).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-node="3"]')).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator('[data-node="4"]')).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary").get_by_role("heading", name="load")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_have_count(0)


def test_the_graph_pans_and_zooms_and_a_drag_selects_nothing(
    open_page: OpenPage, done: str
) -> None:
    page = open_page(f"runs/{done}")
    first = page.locator('[data-node="1"]')
    before = first.bounding_box()
    assert before is not None
    x, y = before["x"] + 30, before["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 60, steps=5)
    page.mouse.up()
    expect(page.get_by_role("complementary")).to_have_count(0)
    after = first.bounding_box()
    assert after is not None
    assert abs(after["x"] - before["x"] - 120) < 3
    page.get_by_role("button", name="Zoom in (+)").click()
    page.wait_for_function(
        "w => document.querySelector('[data-node=\"1\"]').getBoundingClientRect().width > w * 1.1",
        arg=before["width"],
    )


def test_many_siblings_are_one_stack_that_opens(open_page: OpenPage, stack: Stack) -> None:
    run = stack.submit("flow/sweep", 40)
    stack.value(run)
    page = open_page(f"runs/{run}")
    expect(page.locator(".node")).to_have_count(2)
    expect(page.locator(".node.stack")).to_contain_text("×40")
    page.locator(".node.stack").click()
    panel = page.get_by_role("complementary")
    expect(panel.locator(".member").first).to_be_visible()
    panel.get_by_role("button", name="Show each in the graph").click()
    expect(page.locator(".node")).to_have_count(41)
    expect(page).to_have_url(re.compile("expand="))
    page.get_by_role("button", name="Stack again").first.click()
    expect(page.locator(".node")).to_have_count(2)


def test_the_timeline_has_a_row_for_each_step_and_a_bar_for_each_attempt(
    open_page: OpenPage, failed: str
) -> None:
    page = open_page(f"runs/{failed}/timeline")
    expect(page.locator(".time-row")).to_have_count(2)
    expect(page.locator(".time-row").nth(1).locator(".bar-ran")).to_have_count(2)
    expect(page.locator(".tick").first).to_have_text("0")


def test_the_timeline_zooms_by_dragging(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}/timeline")
    box = page.locator(".time-ticks").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 10, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Show whole run").click()
    expect(page.get_by_role("button", name="Show whole run")).to_have_count(0)


def test_steps_are_a_table_that_sorts_and_finds(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}/steps")
    rows = page.locator(".grid-row")
    expect(rows).to_have_count(6)
    page.get_by_role("searchbox", name="Find steps").fill("summ")
    expect(rows).to_have_count(3)
    expect(page).to_have_url(re.compile("q=summ"))
    page.get_by_role("button", name="Step", exact=False).first.click()
    expect(rows.first.locator(".c-number")).to_have_text("5")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("complementary")).to_contain_text("summarise")


def test_a_state_filters_every_view(open_page: OpenPage, stack: Stack, failed: str) -> None:
    page = open_page(f"runs/{failed}")
    page.get_by_role("link", name="2 failed").click()
    expect(page).to_have_url(re.compile("only=failed"))
    page.get_by_role("tab", name="Steps").click()
    expect(page.locator(".grid-row")).to_have_count(2)


def test_logs_show_lines_with_step_level_and_colours(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}/logs")
    lines = page.locator(".log-line")
    expect(lines.filter(has_text="loaded 42 rows of Bergen")).to_have_count(1)
    green = lines.filter(has_text="green day").first
    expect(green.locator(".a-green")).to_have_text("green")
    expect(green.locator(".log-step")).to_contain_text("summarise")
    page.get_by_role("combobox", name="Least level").select_option("info")
    expect(lines).to_have_count(1)
    page.get_by_role("combobox", name="Least level").select_option("")
    page.get_by_role("searchbox", name="Find in logs").fill("DAY 2")
    expect(lines).to_have_count(1)


def test_a_line_of_log_has_an_address(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}/logs")
    line = page.locator(".log-line", has_text="loaded 42 rows")
    line.locator("a.log-time").click()
    expect(page).to_have_url(re.compile(r"line=\d+"))
    page.reload()
    expect(page.locator(".log-line.marked")).to_contain_text("loaded 42 rows")


def test_a_long_log_opens_at_its_end_and_pages_up_without_jumping(
    open_page: OpenPage, stack: Stack
) -> None:
    run = stack.submit("flow/chatty", 3000)
    stack.value(run)
    page = open_page(f"runs/{run}/logs")
    expect(page.locator(".log-line").last).to_contain_text("line 2999")
    scroller = page.locator(".log-lines")
    scroller.evaluate("element => { element.scrollTop = 3000 }")
    shown = page.locator(".log-line", has_text=re.compile(r"line 21\d\d$"))
    shown.first.wait_for()
    page.wait_for_function(
        "() => document.querySelector('.log-lines').scrollHeight > 30000"
    )  # an earlier page has come
    expect(shown.first).to_be_visible()
    scroller.evaluate("element => { element.scrollTop = 0 }")
    page.wait_for_function("() => document.querySelector('.log-lines').scrollHeight >= 60000")
    scroller.evaluate("element => { element.scrollTop = 0 }")
    expect(page.locator(".log-line", has_text=re.compile(r"line 0$"))).to_be_visible()


def test_logs_follow_while_the_reader_is_at_the_end(
    open_page: OpenPage, gate: tuple[str, Path]
) -> None:
    run, _ = gate
    page = open_page(f"runs/{run}/logs?step=2&tab=logs")
    panel = page.get_by_role("complementary")
    expect(panel.get_by_text("following")).to_be_visible()
    last = panel.locator(".log-line").last
    before = last.inner_text()
    expect(last).not_to_have_text(before)
    page.wait_for_function("() => document.querySelectorAll('.panel .log-line').length > 30")
    panel.locator(".log-lines").evaluate("element => { element.scrollTop = 0 }")
    expect(panel.locator(".new-lines")).to_contain_text("new lines")
    panel.locator(".new-lines").click()
    expect(panel.get_by_text("following")).to_be_visible()


def test_a_live_run_changes_by_itself(open_page: OpenPage, gate: tuple[str, Path]) -> None:
    run, path = gate
    page = open_page(f"runs/{run}")
    expect(page.locator('[data-node="2"]')).to_contain_text("held, step 2, running")
    path.touch()
    expect(page.locator('[data-node="2"]')).to_contain_text("held, step 2, done")
    expect(page.locator(".run-facts")).to_contain_text("succeeded")


def test_assets_have_previews(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}/assets")
    expect(page.locator(".image-preview img")).to_be_visible()
    assert page.locator(".image-preview img").evaluate("image => image.naturalWidth") == 300
    page.get_by_role("button", name="table.csv").click()
    expect(page.locator("table.data tbody tr")).to_have_count(2)
    expect(page.locator("table.data")).to_contain_text("Bergen")
    page.get_by_role("button", name="notes.txt").click()
    expect(page.locator(".text-preview")).to_contain_text("Measured by hand.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert Path(download.value.path()).read_text() == "Measured by hand.\n"


def test_a_run_that_there_is_not_says_so(open_page: OpenPage) -> None:
    page = open_page("runs/Rzzzzzzz")
    expect(page.get_by_text("There is no run Rzzzzzzz here")).to_be_visible()


def test_metrics_are_charts_with_their_last_values(open_page: OpenPage, stack: Stack) -> None:
    run = stack.submit("flow/training", 0.5)
    stack.outcome(run)
    page = open_page(f"runs/{run}/metrics")
    chart = page.locator(".chart", has=page.get_by_text("training"))
    expect(chart.locator("path.line")).to_have_count(2)
    expect(chart.locator(".legend")).to_contain_text("accuracy")
    expect(chart.locator(".legend")).to_contain_text("0.95")
    expect(chart.locator(".legend")).to_contain_text("right axis")
    expect(page.locator(".progress-list")).to_contain_text("20/20")
    chart.locator("svg").hover(position={"x": 60, "y": 80})
    expect(chart.locator(".legend")).to_contain_text("at ")
