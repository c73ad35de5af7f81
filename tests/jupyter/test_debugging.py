"""`%coflux debug` and `%coflux load`: a step's inside, in a real kernel with somebody to ask."""

from __future__ import annotations

import pytest
from kernel import Kernel

pytestmark = pytest.mark.slow

BROKEN = """
def half(x):
    return 1 / (x - 2)

@cf.task()
def fragile(x, y=10):
    before = x + y
    return half(x)

@cf.workflow()
def broken(x):
    return fragile(x)
"""


@pytest.fixture
def step(kernel: Kernel) -> str:
    """A step that has failed."""
    kernel.run(BROKEN)
    kernel.attempt("r = %coflux run broken 2\nr.result()")
    run = kernel.run("r.id").text.strip("'")
    return f"{run}:2"


def debug(kernel: Kernel, line: str, *commands: str) -> tuple[str, str]:
    """What a cell with the debugger printed, and its error."""
    kernel.late.stdout = ""
    cell = kernel.send(f"%coflux debug {line}", has_prompt=True)
    prompts = kernel.answer(*commands)
    assert prompts == ["ipdb> "] * len(commands)
    ran = kernel.wait(cell)
    return kernel.late.stdout + ran.stdout, ran.error


def test_the_debugger_opens_where_the_function_fails(kernel: Kernel, step: str) -> None:
    """With the step's real arguments, also those that were left to their defaults."""
    said, error = debug(kernel, step, "p x", "up", "p before, y", "q")
    assert "2\n" in said
    assert "(12, 10)" in said
    assert "return half(x)" in said
    assert error == ""
    assert kernel.run("x, y").text == "(2, 10)"


def test_the_debugger_can_begin_at_the_first_line(kernel: Kernel, step: str) -> None:
    said, _ = debug(kernel, f"{step} --from-start", "p x", "n", "p before", "q")
    assert "2\n" in said
    assert "12" in said


def test_a_function_that_was_corrected_in_a_cell_is_the_one_that_is_called(
    kernel: Kernel, step: str
) -> None:
    kernel.run("def half(x):\n    return x / 2")
    ran = kernel.run(f"%coflux debug {step}")
    assert "fragile returned 1.0; it is in `result`." in ran.stdout
    assert kernel.run("result").text == "1.0"
    again = kernel.run(f"_ = %coflux rerun {step}\n_.result()")
    assert again.text == "1.0"


def test_what_the_function_calls_runs_here_as_well(kernel: Kernel) -> None:
    """A step's tasks are plain calls under the debugger: nothing is submitted."""
    kernel.run("@cf.task()\ndef inner(x):\n    return os.getpid(), x")
    kernel.run("@cf.workflow()\ndef outer(x):\n    return inner(x), inner.submit(x).result()")
    kernel.run("r = %coflux run outer 3\nr.result()")
    before = kernel.run("len(r.client.runs())").text
    kernel.run("%coflux debug {r.id}:1")
    pid = kernel.run("os.getpid()").text
    assert kernel.run("result").text == f"(({pid}, 3), ({pid}, 3))"
    assert kernel.run("len(r.client.runs())").text == before


def test_without_anybody_to_ask_the_place_is_shown(kernel: Kernel, step: str) -> None:
    """In a notebook that is run by a program."""
    ran = kernel.attempt(f"%coflux debug {step}")
    assert "here is nobody to ask" in ran.stderr
    assert "ZeroDivisionError" in ran.error + ran.stdout + ran.stderr


def test_a_function_that_is_nowhere_is_told(kernel: Kernel, step: str) -> None:
    run = step.partition(":")[0]
    assert kernel.attempt(f"%coflux debug {run}:9").error.startswith("NotFound: ")
    assert "Missing argument" in kernel.attempt("%coflux debug").error


def test_loading_makes_variables_of_arguments_and_result(kernel: Kernel) -> None:
    kernel.run("@cf.workflow()\ndef pair(left, right=None):\n    return left, right")
    kernel.run('r = %coflux run pair {"a": [1, 2]} right=(3,)\nr.result()')
    kernel.run("left = right = result = None")
    assert "left, right, result" in kernel.run("%coflux load {r.id}:1").stdout
    assert kernel.run("left, right, result").text == (
        "({'a': [1, 2]}, (3,), ({'a': [1, 2]}, (3,)))"
    )
