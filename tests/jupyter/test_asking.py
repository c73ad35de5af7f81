"""Questions to people, in a notebook: asked by cells, answered from one or under the run."""

from __future__ import annotations

import re

import pytest
from kernel import Kernel
from lab import Jupyter, Lab, open_browser, until

pytestmark = pytest.mark.slow

REFUND = """
from dataclasses import dataclass
from typing import Literal

@dataclass
class Decision:
    verdict: Literal["pay", "refuse"]
    amount: float
    remark: str = ""

decide = cf.Prompt("Refund order {order}?", model=Decision, title="A refund",
                   actions=("Decide", "Not now"))

@cf.workflow()
def refund(order):
    try:
        with cf.suspense():
            decision = decide(order=order, initial={"amount": 10})
    except cf.InputDismissed:
        return "nobody decides"
    return type(decision).__name__, decision.verdict, decision.amount
"""


@pytest.fixture
def asked(kernel: Kernel) -> str:
    """A question that a run of the cells' code has asked."""
    kernel.run(REFUND)
    kernel.run("r = %coflux run refund 'A-1'")
    run = kernel.run("r.id").text.strip("'")
    until(lambda: kernel.jupyter.coflux(f"/inputs?environment=default&run={run}"), "it is asked")
    return f"{run}/i1"


def test_a_question_is_listed_and_answered_with_an_expression(kernel: Kernel, asked: str) -> None:
    """IN-1, IN-3: the answer is an object of the cell's own class again."""
    listed = kernel.run("%coflux inputs")
    assert re.search(rf"{asked} +open +A refund: Refund order A-1\? +flow/refund", listed.text)
    kernel.run("amount = 7.5")
    said = kernel.run(f'%coflux respond {asked} {{"verdict": "pay", "amount": amount}}')
    assert said.stdout == f"Answered {asked}.\n"
    assert kernel.run("r.result()").text == "('Decision', 'pay', 7.5)"
    assert asked not in kernel.run("%coflux inputs").text
    assert "answered" in kernel.run("%coflux inputs --all --run {r.id}").text


def test_an_object_of_the_model_is_an_answer(kernel: Kernel, asked: str) -> None:
    kernel.run(f'which = "{asked}"')
    kernel.run('%coflux respond which Decision("refuse", 0.0, "too late")')
    assert kernel.run("r.result()").text == "('Decision', 'refuse', 0.0)"


def test_an_answer_that_does_not_fit_says_where_and_why(kernel: Kernel, asked: str) -> None:
    """IN-4: and the question stays open; IN-3: a second answer is a conflict."""
    error = kernel.attempt(f'%coflux respond {asked} {{"verdict": "maybe", "amount": 1}}').error
    assert error.startswith("InvalidRequest: ")
    assert "value.verdict" in error
    kernel.run(f'%coflux respond {asked} {{"verdict": "pay", "amount": 1}}')
    again = kernel.attempt(f'%coflux respond {asked} {{"verdict": "pay", "amount": 2}}').error
    assert again.startswith("Conflict: ")


def test_dismissing_is_told_to_the_code(kernel: Kernel, asked: str) -> None:
    assert kernel.run(f"%coflux dismiss {asked}").stdout == f"Dismissed {asked}.\n"
    assert kernel.run("r.result()").text == "'nobody decides'"


def test_what_is_no_question_is_named(kernel: Kernel) -> None:
    assert "is no input" in kernel.attempt("%coflux respond 3 True").error
    assert "name an input and an answer" in kernel.attempt("%coflux respond Rbcdfgh/i1").error
    assert kernel.attempt("%coflux dismiss Rbcdfgh/i1").error.startswith("NotFound: ")


def test_open_questions_are_offered_for_completion(kernel: Kernel, asked: str) -> None:
    assert asked in kernel.complete("%coflux respond R")
    kernel.run(f"%coflux dismiss {{'{asked}'}}")
    assert asked not in kernel.complete("%coflux dismiss R")


@pytest.mark.usefixtures("browser")
def test_a_question_is_answered_in_a_form_under_its_run() -> None:
    """Below the prefix, with Jupyter's sign-in; the kernel is busy with waiting meanwhile."""
    cells = [
        "%load_ext coflux\nimport coflux as cf",
        REFUND,
        "%coflux run refund 'A-7'",
        "_.result()",
    ]
    with Jupyter() as server, open_browser() as page:
        server.write_notebook("refund.ipynb", cells)
        server.start("lab")
        lab = Lab(page, server)
        lab.open("refund.ipynb")
        page.evaluate(
            "() => { window.ran = jupyterapp.commands.execute('notebook:run-all-cells') }"
        )
        output = page.locator(".jp-OutputArea-output.lm-Panel")
        output.get_by_role("button", name="Answer…").first.click()
        form = page.get_by_role("dialog")
        form.get_by_text("Refund order A-7?").wait_for()
        form.get_by_label("refuse").check()
        amount = form.get_by_label("amount")
        assert amount.input_value() == "10"
        amount.fill("ten")
        form.get_by_role("button", name="Decide").click()
        form.get_by_role("alert").first.wait_for()
        lab.screenshot("lab-question")
        amount.fill("12.5")
        form.get_by_role("button", name="Decide").click()
        page.get_by_text("('Decision', 'refuse', 12.5)").wait_for()
        output.get_by_text("succeeded").first.wait_for()
        lab.screenshot("lab-answered")
        (row,) = server.coflux("/inputs?environment=default&state=all")
        assert row["state"] == "answered"
        assert lab.errors == []
