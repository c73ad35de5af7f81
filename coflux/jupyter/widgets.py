"""The live view of a run under a cell.

Belongs here: the widget's Python side: which run it shows and from where. What it looks like is in
`widget.js`, built from `ui/`. The browser asks the server itself where it can (in JupyterLab and
Notebook, with Jupyter's sign-in), so that the view stays alive while the kernel is busy, restarted
or gone; elsewhere (VS Code, Colab) the kernel passes its questions on (`bridge`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coflux.client import Client, Run
from coflux.client.views import RunView
from coflux.jupyter.bridge import bridge

WIDGET = Path(__file__).with_name("widget.js")

Live = tuple[dict[str, Any], Any]


def live_bundle(run: Run, view: RunView) -> Live:
    """The widget's part of an output, and the widget; nothing where widgets are not installed."""
    kind = _widget_class()
    if kind is None or not _is_in_kernel():
        return {}, None
    widget = kind(
        run=run.id,
        environment=run.client.viewpoint,
        server=_server(run.client),
    )
    bridge().serve(widget, run.client)
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    mime = "application/vnd.jupyter.widget-view+json"
    return ({mime: data[mime]}, widget) if data and mime in data else ({}, widget)


def _server(client: Client) -> dict[str, Any]:
    """Where the server is: for a Jupyter server's extension the page knows better itself."""
    base = urlsplit(client.host).path + "/"
    return {
        "base": f"{client.host}/",
        "api": f"{base}api/v1",
        "project": client.project,
        "scopes": [{"environment": "*", "right": "admin"}],
        "jupyter": True,
    }


def _is_in_kernel() -> bool:
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


_made: list[Any] = []


def _widget_class() -> Any:
    """The class, made when first needed; None where anywidget is not installed."""
    if _made:
        return _made[0]
    try:
        import anywidget
        import traitlets
    except ImportError:
        _made.append(None)
        return None

    class RunWidget(anywidget.AnyWidget):
        """A run, live."""

        _esm = WIDGET
        run = traitlets.Unicode().tag(sync=True)
        #: From where the run is seen; None = from its own environment.
        environment = traitlets.Unicode(None, allow_none=True).tag(sync=True)
        server = traitlets.Dict().tag(sync=True)
        #: A copy to show where no server can be asked.
        saved = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)

        def show(self, view: RunView) -> None:
            """The kernel has seen the run change; the browser sees so itself."""

    _made.append(RunWidget)
    return RunWidget
