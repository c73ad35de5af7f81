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
