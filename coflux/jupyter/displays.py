"""What handles look like in a notebook: runs and executions.

Belongs here: the static forms (text, HTML, SVG), and joining them with the live widget. Does not
belong here: the widget (`widgets`), drawing (`picture`), assets (`asset_views`), and following runs
(`following`).
"""

from __future__ import annotations

import base64
import html
import uuid
from typing import Any
from urllib.parse import urlencode

from coflux.client import Client, Run
from coflux.client.execution import Execution
from coflux.client.views import RunView, Step
from coflux.errors import CofluxError
from coflux.handles import Asset
from coflux.jupyter import picture
from coflux.jupyter.asset_views import asset_html
from coflux.jupyter.notebook import Notebook
from coflux.jupyter.outputs import publish
from coflux.jupyter.tracebacks import cell_name

#: The output that our JupyterLab extension draws.
RUN_MIME = "application/vnd.coflux.run+json"
#: The project that pages show where their address names none.
DEFAULT_PROJECT = "default"
#: Steps listed under a still picture.
_LISTED = 50
#: Characters of an execution's value.
_SHOWN = 500

Bundle = dict[str, Any]


def install(shell: Any, notebook: Notebook) -> None:
    """Let the shell show our handles this way."""
    formatters = shell.display_formatter
    formatters.ipython_display_formatter.for_type(Run, lambda run: show_run(run, notebook))
    formatters.ipython_display_formatter.for_type(Execution, show_execution)
    formatters.formatters["text/html"].for_type(Asset, asset_html)


def uninstall(shell: Any) -> None:
    """Let it show them as it shows others."""
    formatters = shell.display_formatter
    for kind in (Run, Execution):
        formatters.ipython_display_formatter.pop(kind, None)
    formatters.formatters["text/html"].pop(Asset, None)


def show_run(run: Run, notebook: Notebook) -> None:
    """Display a run: live where the browser can ask for it, and as a still picture elsewhere.

    Where our JupyterLab extension is, the output stays live, with or without a kernel. Elsewhere a
    widget shows the run until it is over; then the still picture takes the widget's place in the
    same output, so that a saved notebook shows how it ended to readers without a kernel.
    """
    try:
        view = run.view()
    except CofluxError as error:
        publish({"text/plain": f"<Run {run.id}: {error}>"})
        return
    bundle = {**static(view, page(run.client, run.id)), **live(run)}
    if is_over(view):
        publish(bundle)
        return
    # Widgets take a while to import, and many notebooks show none.
    from coflux.jupyter.following import follower
    from coflux.jupyter.widgets import live_bundle

    id = uuid.uuid4().hex
    view_of_widget, widget = live_bundle(run, view)
    publish({**bundle, **view_of_widget}, id=id)
    follower().follow(run, id, widget)


def is_over(view: RunView) -> bool:
    """Whether nothing of the run will change by itself."""
    return view.is_finished and all(
        attempt.ended_at is not None or attempt.result is not None
        for step in view.steps
        for attempt in step.executions
    )


# --- runs -------------------------------------------------------------------------------------


def page(client: Client, run: str, step: str | None = None) -> str:
    """Address of a run's page, seen from where the client sees it (RR-6)."""
    project = None if client.project == DEFAULT_PROJECT else client.project
    query = {"project": project, "env": client.viewpoint, "step": step}
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{client.host}/runs/{run}" + (f"?{given}" if given else "")


def static(view: RunView, link: str) -> Bundle:
    """A run in the forms that need neither kernel nor server; `link` leads to its page."""
    svg = picture.draw(view)
    return {"text/plain": text(view), "text/html": run_html(view, svg, link), "image/svg+xml": svg}


def live(run: Run) -> Bundle:
    """What JupyterLab with our extension shows: the run itself, asked for by the browser."""
    where = {"project": run.client.project, "environment": run.client.viewpoint}
    return {RUN_MIME: {"run": run.id, **where}}


def text(view: RunView) -> str:
    """A run in a few lines."""
    lines = [f"Run {view.run}: {view.target} {view.status}, {_steps(view)}"]
    for step in view.steps[:_LISTED]:
        status = step.latest.status if step.latest else "queued"
        name = step.target.rpartition("/")[2]
        lines.append(f"  {picture.sign_of(status)} {_short(step)} {name} {picture.word(status)}")
        lines += [f"      {line}" for line in _failure(step).splitlines()]
    return "\n".join([*lines, *_more(view)])


def run_html(view: RunView, svg: str, link: str) -> str:
    """A run as HTML: headline, picture, and the steps in a table."""
    colour = picture.COLOURS[picture.state_of(view.status)]
    rows = "".join(_row(step) for step in view.steps[:_LISTED])
    more = "".join(f"<tr><td colspan='4'>{html.escape(line)}</td></tr>" for line in _more(view))
    # A step that failed because of another one has the same words.
    words = dict.fromkeys(filter(None, map(_failure, view.steps[:_LISTED])))
    failures = "".join(
        f"<pre style='color:{picture.COLOURS['bad']}'>{html.escape(each)}</pre>" for each in words
    )
    return (
        f"<div class='coflux-run'><div><b>{html.escape(view.target)}</b>"
        f" <span style='color:{colour}'>{picture.sign_of(view.status)} {view.status}</span>"
        f" · {_steps(view)} · <a href='{html.escape(link)}' target='_blank'>{view.run}</a></div>"
        f"<div style='overflow-x:auto'>{_image(svg, view)}</div>{failures}"
        f"<details><summary>Steps</summary><table><tbody>{rows}{more}</tbody></table></details></div>"
    )


def _image(svg: str, view: RunView) -> str:
    # As an image: JupyterLab takes drawings out of the HTML of notebooks that it does not trust.
    data = base64.b64encode(svg.encode()).decode()
    alternative = html.escape(f"Graph of {view.target}", quote=True)
    return f"<img alt='{alternative}' src='data:image/svg+xml;base64,{data}'>"


def _steps(view: RunView) -> str:
    return "1 step" if len(view.steps) == 1 else f"{len(view.steps)} steps"


def _more(view: RunView) -> list[str]:
    more = len(view.steps) - _LISTED
    return [f"… and {more} more steps"] if more > 0 else []


def _short(step: Step) -> str:
    return ":" + step.step.partition(":")[2]


def _row(step: Step) -> str:
    status = step.latest.status if step.latest else "queued"
    colour = picture.COLOURS[picture.state_of(status)]
    arguments = ", ".join(
        f"{name}={_preview(value)}" for name, value in (step.arguments or {}).items()
    )
    cells = (
        html.escape(_short(step)),
        f"{html.escape(step.target.rpartition('/')[2])}({html.escape(arguments)})",
        f"<span style='color:{colour}'>{picture.sign_of(status)} {picture.word(status)}</span>",
        html.escape(picture.duration_of(step)),
    )
    return "<tr>" + "".join(f"<td style='text-align:left'>{c}</td>" for c in cells) + "</tr>"


def _preview(value: Any) -> str:
    shown = value.get("preview", "") if isinstance(value, dict) else str(value)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def _failure(step: Step) -> str:
    result = (step.latest.result if step.latest else None) or {}
    error = result.get("error")
    if not isinstance(error, dict):
        return ""
    kind = str(error.get("type", "")).removeprefix("builtins.")
    frames = error.get("frames") or []
    last = frames[-1] if frames else None
    where = f" (line {last['line']} in {last['function']})" if isinstance(last, dict) else ""
    return f"{kind}: {str(error.get('message', ''))[:500]}{where}"


class StepView:
    """One step with its arguments, attempts, and how it ended."""

    def __init__(self, view: RunView, step: Step, link: str) -> None:
        self.run = view.run
        self.step = step
        self._link = link

    def _facts(self) -> list[tuple[str, str]]:
        step = self.step
        facts = [(f"{name} =", _preview(value)) for name, value in (step.arguments or {}).items()]
        for attempt in step.executions:
            result = attempt.result or {}
            parts = [attempt.status, f"in {attempt.environment}"]
            if attempt.origin != "submit":
                parts.append(f"({attempt.origin})")
            if attempt.started_at and attempt.ended_at:
                parts.append(f"after {picture.duration(attempt.ended_at - attempt.started_at)}")
            reason = (
                (attempt.reason or {}).get("text") if isinstance(attempt.reason, dict) else None
            )
            if reason:
                parts.append(f"because {reason}")
            facts.append((f"attempt {attempt.number}", " ".join(parts)))
            if "preview" in result or "value" in result:
                facts.append(("result", str(result.get("preview", result.get("value")))[:500]))
            if isinstance(attempt.cache, dict) and attempt.cache.get("outcome"):
                why = f"{attempt.cache['outcome']} {attempt.cache.get('detail') or ''}".strip()
                facts.append(("cache", why))
        return facts

    def _traceback(self) -> str:
        result = (self.step.latest.result if self.step.latest else None) or {}
        error = result.get("error")
        return _remote_traceback(error) if isinstance(error, dict) else ""

    def __repr__(self) -> str:
        lines = [f"Step {self.step.step}: {self.step.target} ({self.step.type})"]
        lines += [f"  {name} {value}" for name, value in self._facts()]
        return "\n".join([*lines, *(f"  {line}" for line in self._traceback().splitlines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(name)}</td>"
            f"<td style='text-align:left'><code>{html.escape(value)}</code></td></tr>"
            for name, value in self._facts()
        )
        failure = self._traceback()
        shown = (
            f"<pre style='color:{picture.COLOURS['bad']}'>{html.escape(failure)}</pre>"
            if failure
            else ""
        )
        return (
            f"<div><b>{html.escape(self.step.target)}</b> <a href='{html.escape(self._link)}'"
            f" target='_blank'>{self.step.step}</a><table><tbody>{rows}</tbody></table>{shown}"
            "</div>"
        )


def _remote_traceback(error: dict[str, Any]) -> str:
    lines = []
    for frame in error.get("frames") or []:
        place = cell_name(str(frame["file"]))
        lines.append(f"{place}, line {frame['line']}, in {frame['function']}")
        if frame.get("source"):
            lines.append(f"    {frame['source']}")
    kind = str(error.get("type", "")).removeprefix("builtins.")
    return "\n".join([*lines, f"{kind}: {error.get('message', '')}"])


# --- other handles ----------------------------------------------------------------------------


def show_execution(execution: Execution) -> None:
    """Display an execution; when it has ended the output says how."""
    try:
        bundle, is_over = execution_bundle(execution)
    except CofluxError as error:
        publish({"text/plain": f"<execution {execution.id}: {error}>"})
        return
    if is_over:
        publish(bundle)
        return
    from coflux.jupyter.following import follower

    id = uuid.uuid4().hex
    publish(bundle, id=id)
    follower().follow_execution(execution, id)


def execution_bundle(execution: Execution) -> tuple[Bundle, bool]:
    """An execution's id, status, and its value if it has one; and whether it has ended."""
    outcome = execution.client.outcome(execution.id, environment=execution.environment)
    word = outcome.kind or outcome.status
    colour = picture.COLOURS[picture.state_of(word)]
    shown = str(outcome.body.get("preview", outcome.body.get("value")))[:_SHOWN]
    has_value = outcome.kind == "value"
    plain = f"execution {execution.id} {picture.sign_of(word)} {word}"
    value = f" <code>{html.escape(shown)}</code>" if has_value else ""
    bundle = {
        "text/plain": f"{plain} {shown}" if has_value else plain,
        "text/html": f"execution <code>{execution.id}</code> <span style='color:{colour}'>"
        f"{picture.sign_of(word)} {html.escape(word)}</span>{value}",
    }
    return bundle, outcome.kind is not None
