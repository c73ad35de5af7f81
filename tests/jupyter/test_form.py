"""`%coflux form`: fields from a signature, in a kernel and in a browser."""

from __future__ import annotations

import pytest
from kernel import Kernel
from lab import Jupyter, Lab, open_browser, until

pytestmark = pytest.mark.slow

ORDER = """
from typing import Literal
import enum

class Size(enum.Enum):
    SMALL = 1
    LARGE = 2

@cf.workflow()
def order(name: str, pieces: int = 2, price: float = 1.5, express: bool = False,
          colour: Literal["red", "green"] = "green", size: Size = Size.LARGE, extras: list = ()):
    return [name, pieces, price, express, colour, size.name, list(extras)]
"""
FIELDS = """[
    (f.description, type(f).__name__, getattr(f.value, "name", f.value)) for f in form.children[:-2]
]"""


def test_each_parameter_has_a_field_of_its_kind(kernel: Kernel) -> None:
    kernel.run(ORDER)
    kernel.run("form = %coflux form order")
    assert eval(kernel.run(FIELDS).text) == [
        ("name", "Text", ""),
        ("pieces", "IntText", 2),
        ("price", "FloatText", 1.5),
        ("express", "Checkbox", False),
        ("colour", "Dropdown", "green"),
        ("size", "Dropdown", "LARGE"),
        ("extras", "Text", "()"),
    ]


def test_a_default_that_is_falsy_is_the_one_that_is_chosen(kernel: Kernel) -> None:
    kernel.run("from typing import Literal")
    kernel.run("@cf.workflow()\ndef level(n: Literal[2, 1, 0] = 0, m: Literal['a'] = None): ...")
    kernel.run("form = %coflux form level")
    assert [value for _, _, value in eval(kernel.run(FIELDS).text)] == [0, "a"]


def test_the_button_starts_a_run_with_what_is_in_the_fields(
    kernel: Kernel, jupyter: Jupyter
) -> None:
    kernel.run(ORDER)
    kernel.run("form = %coflux form order\nbox = {f.description: f for f in form.children[:-2]}")
    kernel.run("wanted = ['cup', 'lid']")
    kernel.run(
        "box['name'].value, box['pieces'].value, box['express'].value = 'tea', 3, True\n"
        "box['size'].value, box['extras'].value = Size.SMALL, 'wanted[:1]'"
    )
    kernel.run("form.children[-2].click()")
    run = jupyter.coflux("/runs?environment=default&target=flow/order")[0]["run"]
    ran = kernel.run(f"from coflux.client import current\ncurrent().run('{run}').result()")
    assert ran.text == "['tea', 3, 1.5, True, 'green', 'SMALL', ['cup']]"


def test_a_field_that_cannot_be_read_is_told_and_starts_nothing(
    kernel: Kernel, jupyter: Jupyter
) -> None:
    kernel.run(ORDER)
    kernel.run("form = %coflux form order\nform.children[6].value = '1 +'")
    before = len(jupyter.coflux("/runs?environment=default"))
    # A page would put it below the button.
    assert "InvalidRequest" in kernel.run("form.children[-2].click()").text
    assert len(jupyter.coflux("/runs?environment=default")) == before


def test_forms_are_made_of_targets_of_the_notebook(kernel: Kernel) -> None:
    assert "name one of them" in kernel.attempt("%coflux form other/target").error
    kernel.run("plain = 3")
    assert "no workflow or task" in kernel.attempt("%coflux form plain").error


@pytest.mark.usefixtures("browser")
def test_a_form_is_filled_in_and_sent_in_a_browser() -> None:
    cells = ["%load_ext coflux\nimport coflux as cf", ORDER, "%coflux form order"]
    with Jupyter() as server, open_browser() as page:
        server.write_notebook("order.ipynb", cells)
        server.start("lab")
        lab = Lab(page, server)
        lab.open("order.ipynb")
        lab.run_all()
        page.get_by_label("name", exact=True).fill("tea")
        page.get_by_label("pieces", exact=True).fill("7")
        page.get_by_label("colour", exact=True).select_option("red")
        page.get_by_label("extras", exact=True).fill("['cup']")
        page.get_by_label("extras", exact=True).press("Tab")
        page.get_by_role("button", name="Run order").click()
        page.get_by_text("succeeded").first.wait_for()
        lab.screenshot("lab-form")
        run = server.coflux("/runs?environment=default")[0]["run"]
        result = until(
            lambda: server.coflux(f"/runs/{run}")["steps"][0]["executions"][0]["result"],
            "the run has a result",
        )
        assert "'tea', 7, 1.5" in str(result)
        assert "'red'" in str(result)
        assert lab.errors == []
