"""Writes docs/reference/engine.md from the code: options, states, reasons, results, errors, limits.

python docs/tools/engine_reference.py            write it
python docs/tools/engine_reference.py --check    fail when it is not up to date
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import generated
import msgspec

import coflux
from coflux import errors, model
from coflux.server.core import reasons, statuses
from coflux.server.core.limits import SETTINGS, Limits

PAGE = Path(__file__).parent.parent / "reference" / "engine.md"

HEAD = """\
# Engine

<!-- Written by docs/tools/engine_reference.py from the code; change the code instead. -->

What options, states, reasons, results, errors and settings there are. The rules behind them are in
the documents of the project; how to use them is shown in [how-to](../how-to/wait.md).
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD, _options(), _statuses(), _reasons(), _results(), _errors(), _settings(),
        _schedules(),
    ]  # fmt: skip
    return "\n".join(parts)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(columns), "|".join(["---"] * len(columns))]
    lines += [" | ".join(_cell(text) for text in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "–"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]


def _options() -> str:
    doc = inspect.getdoc(coflux.workflow) or ""
    block = doc.partition("Args:")[2].partition("Raises:")[0]
    found = re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w+:|\Z)", block, re.M | re.S)
    rows = ((f"`{name}`", text) for name, text in found)
    return "## Options of targets\n\n" + _table(("option", "meaning"), rows)


def _statuses() -> str:
    rows = (
        (f"`{status.value}`", f"`{trigger.value}`", f"`{following.value}`")
        for (status, trigger), following in statuses.TRANSITIONS.items()
    )
    words = ", ".join(f"`{status.value}`" for status in statuses.Status)
    processes = ", ".join(f"`{process.value}`" for process in statuses.Process)
    return (
        f"## States\n\nAn execution is one of {words}; its process {processes}. A fact that is not"
        " in the table for a status changes nothing.\n\n" + _table(("status", "fact", "then"), rows)
    )


def _reasons() -> str:
    tree = ast.parse(inspect.getsource(reasons))
    order: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason":
            code = node.args[0]
            if isinstance(code, ast.Constant):
                order[str(code.value)] = None
    listed = ", ".join(f"`{code}`" for code in order)
    return f"## Reasons\n\nA queued execution has exactly one of these: {listed}.\n"


def _results() -> str:
    rows = []
    for kind in model.Result.__args__:
        name = f"`{kind.__struct_config__.tag}`"
        final = "yes" if kind in model.FINAL else "no, it leads on"
        rows.append((name, _first_line(kind), final))
    return "## Results\n\n" + _table(("kind", "meaning", "final"), rows)


def _errors() -> str:
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    rows = (
        (f"`cf.{e.__name__}`", f"`{e.__bases__[0].__name__}`", _first_line(e))
        for e in found
        if e.__module__ == errors.__name__
    )
    return "## Errors\n\n" + _table(("class", "is a", "meaning"), rows)


def _settings() -> str:
    defaults = Limits()
    rows = (
        (f"`{name}`", f"{getattr(defaults, name):,} {_unit(setting.unit)}".strip(), setting.summary)
        for name, setting in SETTINGS.items()
    )
    return (
        "## Settings of environments\n\n`coflux env settings NAME --set SETTING=VALUE`\n\n"
        + _table(("setting", "default", "meaning"), rows)
    )


def _unit(unit: str) -> str:
    return "ms" if unit == "ms" else ""


def _schedules() -> str:
    fields = msgspec.structs.fields(model.Schedule)
    rows = ((f"`{f.name}`", _default(f)) for f in fields)
    return "## Fields of schedules\n\n" + _table(("field", "default"), rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return "required" if field.default_factory is msgspec.NODEFAULT else "empty"
    return f"`{field.default!r}`"


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page()))
