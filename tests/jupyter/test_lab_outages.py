"""JupyterLab when the server is killed in the middle of a run: work is carried on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from kernel import Kernel
from lab import Jupyter, Lab, open_browser, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("browser")]

OUTPUT = ".jp-OutputArea-output.lm-Panel"
CELLS = [
    "%load_ext coflux\nimport coflux as cf, os, time",
    """
@cf.task(cache=True)
def prepare():
    return "prepared"

@cf.task(retries=5)
def patient(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return "patience"

@cf.workflow(retries=5)
def story(path):
    return prepare(), patient(path)
""",
]


def test_a_run_is_carried_on_after_its_server_and_kernel_were_killed(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with Jupyter() as server, open_browser() as page:
        server.environment["COFLUX_RECONNECT_MS"] = "5000"
        server.write_notebook("story.ipynb", [*CELLS, f"%coflux run story '{end}'"])
        server.start("lab")
        lab = Lab(page, server)
        lab.open("story.ipynb")
        lab.run_all()
        page.locator(OUTPUT).get_by_text("patient").first.wait_for()
        lab.save()
        (run,) = server.coflux("/runs?environment=default")

        server.stop(signal.SIGKILL)
        until(lambda: not server.processes(), "all of it has ended, kernel and agent as well")
        page.locator(OUTPUT).get_by_text("prepare").first.wait_for()
        lab.screenshot("lab-server-killed")

        # On the same port, over the same data; the page is loaded again.
        server.start("lab")
        lab.open("story.ipynb")
        page.locator(OUTPUT).get_by_text("patient").first.wait_for()
        assert server.coflux(f"/runs/{run['run']}")["status"] != "succeeded"
        lab.screenshot("lab-server-again")

        # A kernel with the cells again: what was abandoned is tried again, and only that.
        with Kernel(server, "story.ipynb") as kernel:
            for cell in CELLS:
                kernel.run(cell)
            kernel.run("%coflux connect")
            end.touch()
            page.locator(OUTPUT).get_by_text("succeeded").first.wait_for()
        lab.screenshot("lab-carried-on")
        steps = server.coflux(f"/runs/{run['run']}")["steps"]
        prepared = [step for step in steps if step["target"].endswith("/prepare")]
        ran = [each["status"] for step in prepared for each in step["executions"]]
        assert ran.count("value") == 1, "what had been done was not done again"
        assert lab.errors == []
