"""The widget's module against what anywidget promises to modules, in a page that has nothing else.

VS Code and Colab cannot be installed for tests. What is known of them is put into a page here: no
globals of JupyterLab, a sandbox without an origin or storage, nothing that may be loaded from
elsewhere, and a model with the documented methods only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab import open_browser, until

from coflux.jupyter.widgets import WIDGET

pytestmark = pytest.mark.usefixtures("browser")

#: As notebooks' webviews have it: scripts and styles that are there, and nothing from elsewhere.
POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' blob:;"
    " style-src 'unsafe-inline'; img-src data: blob:"
)
PAGE = """<!doctype html><body class="vscode-dark"><div id="output"></div><script>
window.wrong = []; window.sent = []; window.heard = {};
for (const name of ["jupyterapp", "_JUPYTERLAB", "requirejs", "require", "define", "google"])
  Object.defineProperty(window, name, { get() { wrong.push(`window.${name}`); } });
addEventListener("error", event => wrong.push(String(event.message)));
addEventListener("unhandledrejection", event => wrong.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => wrong.push(`loads ${event.blockedURI}`));
const traits = __TRAITS__;
const methods = {
  get(name) { if (!(name in traits)) wrong.push(`get ${name}`); return traits[name]; },
  set(name) { wrong.push(`set ${name}`); },
  save_changes() { wrong.push("save_changes"); },
  on(name, callback) { (heard[name] ??= []).push(callback); },
  off(name, callback) { heard[name] = (heard[name] ?? []).filter(each => each !== callback); },
  send(content, callbacks, buffers) { sent.push(content); },
};
window.model = new Proxy({}, {
  get(_, name) {
    if (!(name in methods) && name !== "widget_manager") wrong.push(`model.${String(name)}`);
    return methods[name];
  },
  set(_, name) { wrong.push(`model.${String(name)} =`); return true; },
});
window.say = message => { for (const each of heard["msg:custom"] ?? []) each(message, []); };
window.begin = async source => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const found = (await import(url)).default;
  window.end = await found.render({ model, el: document.getElementById("output") });
  return Object.keys(found);
};
</script></body>"""
TRAITS = {
    "run": "Rbcdfgh",
    "environment": "dev",
    "saved": None,
    "server": {
        "base": "http://127.0.0.1:7777/", "api": "/api/v1", "project": "default",
        "scopes": [{"environment": "*", "right": "admin"}], "jupyter": True,
    },
}  # fmt: skip


@pytest.fixture
def page() -> Iterator[Any]:
    with open_browser() as page:
        html = PAGE.replace("__TRAITS__", json.dumps(TRAITS))
        asked: list[str] = []

        def answer(route: Any) -> None:
            asked.append(route.request.url)
            headers = {"Content-Type": "text/html", "Content-Security-Policy": POLICY}
            route.fulfill(body=html, headers=headers)

        page.route("http*://**", answer)
        page.goto("http://editor.test/")
        page.asked = asked
        yield page


def sent(page: Any, kind: str) -> list[Any]:
    return [each for each in page.evaluate("sent") if each.get("coflux") == kind]


def test_it_needs_the_documented_model_and_nothing_else(page: Any) -> None:
    # No `signal` and no `experimental`: older releases give neither.
    assert page.evaluate("source => begin(source)", WIDGET.read_text("utf-8")) == ["render"]
    [opened] = until(lambda: sent(page, "open"), "it asks the kernel for a connection")
    page.evaluate("id => say({ coflux: 'opened', id })", opened["id"])
    asked = until(lambda: sent(page, "send"), "it asks for its run")
    assert any(TRAITS["run"] in each["text"] for each in asked)
    # Dark as the editor is.
    assert page.evaluate("document.querySelector('#output > div').dataset.theme") == "dark"
    page.evaluate("id => say({ coflux: 'closed', id, text: 'the kernel is gone' })", opened["id"])
    page.evaluate("end()")
    page.wait_for_function("!(heard['msg:custom'] ?? []).length")
    assert page.evaluate("document.querySelector('#output .widget')") is None
    assert page.evaluate("wrong") == []
    assert page.asked == ["http://editor.test/"]


def test_it_is_one_file_that_imports_nothing() -> None:
    source = WIDGET.read_text("utf-8")
    assert "import(" not in source
    assert not source.lstrip().startswith("import ")
    assert "export{" in source[-200:]
    # anywidget sends it with each widget.
    assert len(source.encode()) < 300_000
