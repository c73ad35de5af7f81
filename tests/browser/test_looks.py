"""Pictures of the main pages, light and dark, for people to look at.

They are written to the folder that `COFLUX_SCREENSHOTS` names, or else a temporary one; CI keeps
them. The test itself only makes sure that each page shows what it should and is not blank.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from e2e.stack import Stack
from playwright.sync_api import Page

from .conftest import OpenPage

PICTURES = {
    "home": ("", "table.list"),
    "workflow": ("workflows/flow/report", ".signature"),
    "submit": ("workflows/flow/report?submit=1", "dialog .field"),
    "graph": ("runs/{done}?step=2", ".panel .value"),
    "failure": ("runs/{failed}?step=2", ".failure"),
    "timeline": ("runs/{failed}/timeline", ".bar-ran"),
    "steps": ("runs/{done}/steps", ".grid-row"),
    "logs": ("runs/{done}/logs", ".log-line"),
    "assets": ("runs/{done}/assets", ".image-preview img"),
    "all assets": ("assets", ".asset-item"),
    "agents": ("agents", ".agent"),
    "environments": ("environments", "table.list"),
    "hooks": ("hooks", "h1"),
    "inputs": ("inputs?state=all", "table.list"),
    "input": ("inputs/{order}", ".answer-form .field"),
    "asking": ("runs/{asking}?step=2", ".panel .banner"),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go."""
    wanted = os.environ.get("COFLUX_SCREENSHOTS")
    path = Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("name", PICTURES)
def test_a_page_looks_as_it_should(
    open_page: OpenPage, folder: Path, done: str, failed: str, order: str, name: str
) -> None:
    path, sign = PICTURES[name]
    asking = order.partition("/")[0]
    page = open_page(path.format(done=done, failed=failed, order=order, asking=asking))
    page.locator(sign).first.wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert picture(page, folder / f"{name}-{scheme}.png") > 20
    page.set_viewport_size({"width": 390, "height": 844})
    assert picture(page, folder / f"{name}-phone.png") > 10


def picture(page: Page, path: Path) -> int:
    """Take it; how many different colours are in it, as the browser counts them."""
    data = page.screenshot(path=path)
    return int(
        page.evaluate(
            """async (bytes) => {
              const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
              const canvas = new OffscreenCanvas(image.width, image.height);
              const context = canvas.getContext('2d');
              context.drawImage(image, 0, 0);
              const data = context.getImageData(0, 0, image.width, image.height).data;
              const colours = new Set();
              for (let i = 0; i < data.length; i += 4 * 7) {
                colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
              }
              return colours.size;
            }""",
            list(data),
        )
    )


def test_a_stack_of_steps_looks_as_it_should(
    open_page: OpenPage, folder: Path, stack: Stack
) -> None:
    run = stack.submit("flow/sweep", 60)
    stack.value(run)
    page = open_page(f"runs/{run}")
    page.locator(".node.stack").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert picture(page, folder / f"stack-{scheme}.png") > 20
