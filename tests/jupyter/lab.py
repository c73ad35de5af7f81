"""A Jupyter server in a process of its own, and JupyterLab in a real browser.

Belongs here: starting, driving and ending them. Does not belong here: what any test expects.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import nbformat
import psutil

T = TypeVar("T")

TOKEN = "a-token-for-tests"
#: Seconds that anything may take on a busy machine.
PATIENCE_S = 60.0
#: Seconds that all cells of a notebook may take.
COMMAND_S = 150.0
#: What pages say on a busy machine that is nobody's fault: anywidget gives each model two seconds
#: to start, and JupyterLab's messages end unanswered when a kernel is restarted.
_NOISE = ("[anywidget] Failed to initialize model", "Canceled future for ")
#: In the environment of every process that belongs to a server.
MARK = "COFLUX_TEST_JUPYTER"
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")

_CONFIG = """
c = get_config()
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = {port}
c.ServerApp.port_retries = 0
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.ServerApp.root_dir = {root!r}
c.ServerApp.base_url = {base!r}
c.IdentityProvider.token = {token!r}
c.LabApp.expose_app_in_browser = True
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.user_settings_dir = {settings!r}
c.LabApp.workspaces_dir = {workspaces!r}
c.JupyterNotebookApp.expose_app_in_browser = True
"""
#: Where Coflux is not installed as users install it, but worked on.
_BY_HAND = """
# Others are of no use here and take long to load.
c.ServerApp.jpserver_extensions = {{
    "coflux": {has_coflux}, "jupyterlab": {has_lab}, "jupyter_lsp": False,
    "jupyter_server_terminals": False, "notebook": {has_notebook}, "notebook_shim": False,
}}
c.LabApp.extra_labextensions_path = [{labextensions!r}]
c.JupyterNotebookApp.extra_labextensions_path = [{labextensions!r}]
"""


def until(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Wait until the condition holds; gives what it gave."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Jupyter:
    """A Jupyter server, with the extension or without; leaves no process behind."""

    def __init__(
        self,
        base: str = "/user/x/",
        *,
        has_coflux: bool = True,
        settings: str = "",
        python: Path | None = None,
    ) -> None:
        #: Where Coflux has been installed from a wheel; None: the one that runs the tests.
        self.python = python
        self.has_coflux = has_coflux
        #: Further lines of its configuration.
        self.settings = settings
        # Not pytest's folder: the addresses of Unix sockets are short.
        self.folder = Path(tempfile.mkdtemp(prefix="cfj-"))
        self.root = self.folder / "root"
        self.base = base
        self.port = free_port()
        self.mark = self.folder.name
        self.process: subprocess.Popen[bytes] | None = None
        for name in ("root", "run", "data", "config", "ipython", "settings", "labextensions"):
            (self.folder / name).mkdir(mode=0o700)
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COFLUX_", "JUPYTER_", "JPY_", "XDG_"))
        }
        self.environment = {
            **clean,
            MARK: self.mark,
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_STATE_HOME": str(self.folder / "data"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "run"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
        }
        if python is not None:
            # `jupyter` looks for its commands there.
            self.environment["PATH"] = f"{python.parent}:{os.environ['PATH']}"

    def _write_config(self, command: str) -> None:
        text = (_CONFIG if self.python else _CONFIG + _BY_HAND).format(
            port=self.port,
            has_lab=command == "lab",
            has_notebook=command == "notebook",
            has_coflux=self.has_coflux,
            root=str(self.root),
            base=self.base,
            token=TOKEN,
            settings=str(self.folder / "settings"),
            workspaces=str(self.folder / "workspaces"),
            labextensions=str(self.folder / "labextensions"),
        )
        (self.folder / "config" / "jupyter_server_config.py").write_text(text + self.settings)
        news = self.folder / "settings" / "@jupyterlab" / "apputils-extension"
        news.mkdir(parents=True, exist_ok=True)
        settings = {"fetchNews": "false", "checkForUpdates": False}
        (news / "notification.jupyterlab-settings").write_text(json.dumps(settings))
        package = Path(__file__).resolve().parents[2] / "coflux/jupyter/labextension"
        if (
            self.has_coflux
            and not self.python
            and package.exists()
            and not (self.folder / "labextensions" / "coflux").exists()
        ):
            (self.folder / "labextensions" / "coflux").symlink_to(package)

    # --- life -----------------------------------------------------------------------------------

    def start(self, command: str = "lab", ready: str = "Coflux is at") -> None:
        """Start it and wait until it answers and has said that it is ready."""
        self._write_config(command)
        log = (self.folder / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(self.python or sys.executable), "-m", "jupyter", command, "--no-browser"],
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self._answers(ready), "the Jupyter server answers")

    def _answers(self, ready: str) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.said()[-3000:]}")
        try:
            self.ask("GET", "api/status")
        except (OSError, urllib.error.URLError):
            return False
        return ready in self.said()

    def said(self) -> str:
        """What it has printed."""
        log = self.folder / "server.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request with Jupyter's token; the JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Authorization": f"token {TOKEN}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    @property
    def url(self) -> str:
        """Address with the base path's slash."""
        return f"http://127.0.0.1:{self.port}{self.base}"

    def coflux(self, path: str) -> Any:
        """GET from Coflux's API of the default project."""
        return self.ask("GET", f"coflux/api/v1/projects/default{path}")

    def processes(self) -> list[psutil.Process]:
        """Every living process that the server or a kernel of it has started, and itself."""
        found = []
        for process in psutil.process_iter():
            try:
                is_alive = process.status() != psutil.STATUS_ZOMBIE
                if is_alive and process.environ().get(MARK) == self.mark:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def close(self) -> None:
        """End everything; fails if something is left that should have ended with the server."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        deadline = time.monotonic() + 20
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        left = self.processes()
        names = [" ".join(process.cmdline()) for process in left]
        for process in left:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not names, f"left behind: {names}"

    def __enter__(self) -> Jupyter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            sys.stderr.write(self.said()[-6000:])
        self.close()

    # --- notebooks ------------------------------------------------------------------------------

    def write_notebook(self, name: str, cells: list[str]) -> Path:
        """A notebook with these code cells."""
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        notebook.metadata["kernelspec"] = {
            "name": "python3", "display_name": "Python 3", "language": "python",
        }  # fmt: skip
        path = self.root / name
        nbformat.write(notebook, path)
        return path


def browser_path() -> str | None:
    """A browser that tests can drive, if there is one."""
    return next((path for path in BROWSERS if Path(path).exists()), None)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A page of a headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(),
            headless=True,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-quic", "--disable-background-networking", "--disable-component-update",
                "--disable-sync",
            ],
        )  # fmt: skip
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_S * 1000)
        try:
            yield page
        finally:
            browser.close()


class Lab:
    """JupyterLab in a page."""

    def __init__(self, page: Any, jupyter: Jupyter, tree: str = "lab/tree") -> None:
        self.page = page
        #: Where notebooks are opened: `notebooks` in Notebook 7.
        self.tree = tree
        self.jupyter = jupyter
        self.errors: list[str] = []
        #: Addresses asked for that are not the server's.
        self.foreign: list[str] = []
        page.on("pageerror", self._on_error)

    def _on_error(self, error: Any) -> None:
        if not any(noise in str(error) for noise in _NOISE):
            self.errors.append(str(error))

    def open(self, notebook: str | None = None) -> None:
        """Open Lab, with a notebook and its kernel ready if one is named."""
        path = f"{self.tree}/{notebook}" if notebook else self.tree.partition("/")[0]
        self.page.goto(f"{self.jupyter.url}{path}?token={TOKEN}&reset")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.evaluate("async () => { await jupyterapp.started; await jupyterapp.restored }")
        if notebook:
            with self._explained("the notebook is open"):
                self.page.wait_for_function("jupyterapp.shell.currentWidget?.context?.isReady")
            self.wait_kernel()

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a function of the page gives, which `page.evaluate` would await for ever.

        Raises `AssertionError` with what the cells are doing when it gives nothing in time.
        """
        with self._explained(function):
            return self.page.evaluate(
                f"""async ([argument, patience]) => {{
                    let timer;
                    const late = new Promise((_, fail) => {{
                        timer = setTimeout(() => fail(new Error("not done in time")), patience);
                    }});
                    try {{
                        return await Promise.race([({function})(argument), late]);
                    }} finally {{
                        clearTimeout(timer);
                    }}
                }}""",
                [argument, COMMAND_S * 1000],
            )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Errors say what the notebook looked like."""
        from playwright.sync_api import Error

        try:
            yield
        except Error as error:
            raise AssertionError(
                f"{what}: {error}; {self._cells()}; seen in {self.screenshot('lab-stuck')}"
            ) from error

    def _cells(self) -> Any:
        """What each cell of the open notebook is doing, for people who look for a fault."""
        return self.page.evaluate(
            """() => Array.from(
                jupyterapp.shell.currentWidget?.context?.model?.cells ?? [],
                cell => [cell.executionCount, cell.executionState, cell.sharedModel.source])"""
        )

    def wait_kernel(self) -> None:
        """Wait until the open notebook's kernel is there."""
        self.evaluate(
            """async () => {
                const session = jupyterapp.shell.currentWidget.context.sessionContext;
                await session.ready;
                await session.session.kernel.info;
            }"""
        )

    def restart_kernel(self) -> None:
        """Restart the open notebook's kernel and wait until it is there again."""
        self.evaluate(
            "async () => { await jupyterapp.shell.currentWidget.context.sessionContext"
            ".session.kernel.restart() }"
        )
        self.wait_kernel()

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Execute one of Lab's commands, to its end."""
        self.evaluate(
            "async ([name, args]) => { await jupyterapp.commands.execute(name, args) }",
            [name, arguments or {}],
        )

    def run_all(self) -> None:
        """Run all cells of the open notebook."""
        self.command("notebook:run-all-cells")

    def wait_all_run(self) -> None:
        """Wait until every cell has been run, also those after an error that was expected."""
        with self._explained("every cell has been run"):
            self.page.wait_for_function(
                """() => Array.from(jupyterapp.shell.currentWidget.context.model.cells).every(
                    cell => cell.type !== 'code'
                        || cell.executionCount !== null && cell.executionState !== 'running')"""
            )

    def save(self) -> None:
        """Save the open notebook."""
        self.command("docmanager:save")

    def screenshot(self, name: str) -> Path:
        """Keep what is seen, for people to look at."""
        folder = Path(os.environ.get("COFLUX_SCREENSHOTS", tempfile.gettempdir()))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        self.page.screenshot(path=str(path))
        return path
