"""JupyterLab that knows nothing of Coflux, as VS Code and others do not: the kernel is the way."""

from __future__ import annotations

import pytest
from lab import Jupyter, Lab, open_browser

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

CELLS = [
    "%load_ext coflux\nimport coflux as cf, os, time\n%coflux connect --local",
    """
@cf.task()
def look(path):
    print("looking for", path)
    while not os.path.exists(path):
        time.sleep(0.05)
    return "found it"

@cf.workflow()
def patient(path):
    return look(path)
""",
]
OUTPUT = ".jp-OutputArea-output"


def test_a_run_is_live_through_the_kernel_and_then_a_still_picture() -> None:
    with Jupyter("/", has_coflux=False) as server:
        awaited = server.folder / "awaited"
        server.write_notebook("far.ipynb", [*CELLS, f"%coflux run patient {str(awaited)!r}"])
        server.start("lab", ready="is running at")
        with open_browser() as page:
            lab = Lab(page, server)
            lab.open("far.ipynb")
            lab.run_all()
            output = page.locator(OUTPUT).last
            output.get_by_role("tab", name="Graph").wait_for()
            output.get_by_text("look").first.click()
            output.get_by_text("awaited").first.wait_for()
            output.get_by_role("tab", name="Logs").first.click()
            output.get_by_text("looking for").first.wait_for()
            lab.screenshot("lab-through-the-kernel")
            awaited.touch()
            output.locator("img").wait_for()
            output.get_by_text("succeeded").first.wait_for()
            assert lab.errors == []


def test_a_question_is_answered_through_the_kernel() -> None:
    """IN-3: with the form under the run, where its page cannot reach the server."""
    asking = [
        CELLS[0],
        "decide = cf.Prompt('Refund {order}?', model=float, title='A refund')\n"
        "@cf.workflow()\ndef refund(order):\n    with cf.suspense():\n"
        "        return decide(order=order)",
        "%coflux run refund 'A-7'",
    ]
    with Jupyter("/", has_coflux=False) as server:
        server.write_notebook("asking.ipynb", asking)
        server.start("lab", ready="is running at")
        with open_browser() as page:
            lab = Lab(page, server)
            lab.open("asking.ipynb")
            lab.run_all()
            page.locator(OUTPUT).get_by_role("button", name="Answer…").first.click()
            form = page.get_by_role("dialog")
            form.get_by_text("Refund A-7?").wait_for()
            form.get_by_role("textbox").first.fill("12.5")
            form.get_by_role("button", name="Submit").click()
            page.locator(OUTPUT).last.get_by_text("succeeded").first.wait_for()
            lab.screenshot("lab-answered-through-the-kernel")
            assert lab.errors == []
