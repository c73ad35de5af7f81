"""Questions to people on the page: seen at once wherever one looks, answered in a form made from
their schema, by one person only, within their rights.
"""

from __future__ import annotations

import re

import pytest
from e2e.stack import Stack
from playwright.sync_api import Page, expect

from .conftest import OpenPage, asked


def ask(stack: Stack, target: str, *arguments: str) -> tuple[str, str]:
    """A run that asks, and its input, as soon as somebody waits for it."""
    run = stack.submit(target, *arguments)
    return run, asked(stack, run)


@pytest.fixture
def ordering(stack: Stack) -> tuple[str, str]:
    return ask(stack, "flow/ordering", "Ada")


@pytest.fixture
def release(stack: Stack) -> tuple[str, str]:
    return ask(stack, "flow/releasing", "A-17")


def test_an_open_question_is_counted_listed_and_answered(
    page: Page, stack: Stack, release: tuple[str, str]
) -> None:
    run, id = release
    expect(page.locator(".rail-count")).not_to_have_text("0")
    expect(page.get_by_role("heading", name="Waiting for you")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(\d+\) Home"))
    page.get_by_role("link", name=re.compile("^Inputs")).click()
    row = page.get_by_role("row").filter(has_text="Ship A-17?").first
    expect(row).to_contain_text("waiting for you")
    page.goto(f"{stack.url}/inputs/{id}")
    card = page.get_by_role("article")
    expect(card).to_contain_text("Ship A-17?")
    expect(card).to_contain_text("somebody waits for it")
    card.get_by_role("button", name="Submit").click()
    expect(card.get_by_role("alert")).to_have_text("Choose one.")
    card.get_by_label("Yes").check()
    card.get_by_role("button", name="Submit").click()
    expect(card).to_contain_text("Answered by")
    assert stack.value(run) == "shipped"


def test_a_form_is_made_from_the_schema_with_initial_values(
    open_page: OpenPage, stack: Stack, ordering: tuple[str, str]
) -> None:
    run, id = ordering
    page = open_page(f"inputs/{id}")
    card = page.get_by_role("article")
    expect(card.get_by_role("link", name="https://stock.example/a?b=1")).to_be_visible()
    count = card.get_by_label("count")
    expect(count).to_have_value("2")
    expect(card.get_by_label("street")).to_have_value("Main")
    count.fill("two")
    card.get_by_role("button", name="Place it").click()
    expect(card.get_by_text("A whole number, such as 7.")).to_be_visible()
    expect(card.get_by_text("Choose one.")).to_be_visible()
    count.fill("3")
    card.get_by_label("fast").check()
    card.get_by_role("button", name="Add").click()
    card.get_by_role("textbox", name="labels 1").fill("fragile")
    card.get_by_role("button", name="Place it").click()
    expect(card).to_contain_text("Answered by")
    assert stack.value(run) == {
        "count": 3,
        "speed": "fast",
        "to": {"street": "Main", "floor": None},
        "labels": ["fragile"],
        "is_gift": False,
    }


def test_what_the_server_refuses_is_told_at_its_field_and_nothing_is_lost(
    open_page: OpenPage, ordering: tuple[str, str]
) -> None:
    _, id = ordering
    page = open_page(f"inputs/{id}", allow="400")
    card = page.get_by_role("article")
    card.get_by_label("slow").check()
    card.get_by_role("button", name="as JSON").click()
    text = card.get_by_label("Answer as JSON")
    answer = text.input_value()
    text.fill(answer.replace('"slow"', '"soon"'))
    card.get_by_role("button", name="Place it").click()
    expect(card.get_by_role("alert")).to_contain_text("value.speed")
    text.fill(answer.replace('"slow"', '"fast"'))
    card.get_by_role("button", name="as fields").click()
    expect(card.get_by_label("fast")).to_be_checked()
    card.get_by_role("button", name="Reject").click()
    expect(card).to_contain_text("Dismissed by")


def test_the_run_shows_who_waits_and_is_answered_where_it_is_looked_at(
    open_page: OpenPage, stack: Stack, ordering: tuple[str, str]
) -> None:
    run, _ = ordering
    page = open_page(f"runs/{run}?step=2")
    expect(page.locator(".count.f-input")).to_be_visible()
    expect(page.locator('[data-node="2"]')).to_contain_text("waiting for you")
    expect(page.get_by_role("complementary")).to_contain_text("An order")
    page.locator(".run > .banner").get_by_role("button", name="Answer…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("slow").check()
    page.keyboard.press("Control+Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".banner.asking")).to_have_count(0)
    expect(page.get_by_role("complementary")).to_contain_text("answered")
    assert stack.value(run)["speed"] == "slow"


def test_a_question_answered_elsewhere_is_closed_for_who_looks_at_it(
    open_page: OpenPage, stack: Stack, release: tuple[str, str]
) -> None:
    _, id = release
    page = open_page(f"inputs/{id}")
    card = page.get_by_role("article")
    card.get_by_label("No").check()
    stack.cli("inputs", "respond", id, "true")
    expect(card).to_contain_text("Answered by")
    expect(card.get_by_role("button", name="Submit")).to_have_count(0)


def test_of_two_answers_at_once_the_second_is_told_of_the_first(
    open_page: OpenPage, stack: Stack, release: tuple[str, str]
) -> None:
    _, id = release
    page = open_page(f"inputs/{id}", allow="409")
    card = page.get_by_role("article")
    card.get_by_label("No").check()

    def answer_first(route: object) -> None:
        stack.cli("inputs", "respond", id, "true")
        route.continue_()  # type: ignore[attr-defined]

    page.route("**/respond", answer_first, times=1)
    card.get_by_role("button", name="Submit").click()
    expect(card).to_contain_text("Answered by")
    expect(card).to_contain_text("True")


def test_without_a_schema_any_text_or_json_is_an_answer(open_page: OpenPage, stack: Stack) -> None:
    run, id = ask(stack, "flow/wondering", "it")
    page = open_page(f"inputs/{id}")
    page.get_by_label("Answer").fill("wait and see")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("article")).to_contain_text("Answered by")
    assert stack.value(run) == "wait and see"


def test_who_may_only_read_sees_the_question_and_cannot_answer(
    open_page: OpenPage, stack: Stack, release: tuple[str, str]
) -> None:
    _, id = release
    token = stack.cli("tokens", "create", "--name", "reader", "--right", "read", "--json").json[
        "token"
    ]
    page = open_page(f"inputs/{id}", token=token)
    card = page.get_by_role("article")
    expect(card).to_contain_text("that needs the run right")
    expect(card.get_by_role("button", name="Submit")).to_be_disabled()
    expect(card.get_by_role("button", name="Dismiss")).to_be_disabled()
    expect(card.get_by_label("Yes")).to_be_disabled()


def test_a_phone_answers(open_page: OpenPage, stack: Stack, release: tuple[str, str]) -> None:
    run, id = release
    page = open_page(
        "inputs", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page.locator(f'a[href$="inputs/{id}"]').tap()
    page.get_by_label("No").tap()
    page.get_by_role("button", name="Submit").tap()
    expect(page.get_by_role("article")).to_contain_text("Answered by")
    assert stack.value(run) == "kept"
