"""A form for a target's arguments, made from its signature.

Belongs here: which field stands for which parameter. Does not belong here: submitting as such.
"""

from __future__ import annotations

import enum
import inspect
import typing
from typing import TYPE_CHECKING, Any

from coflux.errors import CofluxError, InvalidRequest
from coflux.jupyter import expressions
from coflux.jupyter.outputs import publish
from coflux.target import Target

if TYPE_CHECKING:
    from coflux.jupyter.context import Context

_STYLE = {"description_width": "12em"}


def make_form(context: Context, target: Target[Any, Any] | str) -> Any:
    """Fields for the arguments, a button, and a place where the run is shown.

    Raises `InvalidRequest` where widgets are not installed or the target is not of the notebook.
    """
    if not isinstance(target, Target):
        raise InvalidRequest("forms are made of targets of this notebook; name one of them")
    try:
        import ipywidgets
    except ImportError:
        raise InvalidRequest("forms need ipywidgets: pip install ipywidgets") from None
    hints = _hints(target)
    fields = {
        name: _field(ipywidgets, parameter, hints.get(name, parameter.annotation))
        for name, parameter in target.__signature__.parameters.items()
        if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    button = ipywidgets.Button(description=f"Run {target.name}", button_style="primary")
    output = ipywidgets.Output()

    def run(_: object) -> None:
        output.clear_output()
        with output:
            try:
                arguments = {name: _value(context, field) for name, field in fields.items()}
                run = context.notebook.client.start(target, (), arguments)
            except (CofluxError, TypeError) as error:
                publish(f"{type(error).__name__}: {error}")
                return
            publish(run)

    button.on_click(run)
    return ipywidgets.VBox([*fields.values(), button, output])


def _hints(target: Target[Any, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__wrapped__)
    except Exception:  # noqa: BLE001 - annotations may name what is not there
        return {}


def _field(ipywidgets: Any, parameter: inspect.Parameter, annotation: Any) -> Any:
    has_default = parameter.default is not inspect.Parameter.empty
    default = parameter.default if has_default else None
    common = {"description": parameter.name, "style": _STYLE}
    if typing.get_origin(annotation) is typing.Literal:
        options = list(typing.get_args(annotation))
        value = default if default in options else options[0]
        return ipywidgets.Dropdown(options=options, value=value, **common)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        options = [(each.name, each) for each in annotation]
        value = default if isinstance(default, annotation) else options[0][1]
        return ipywidgets.Dropdown(options=options, value=value, **common)
    if annotation is bool:
        return ipywidgets.Checkbox(value=bool(default), **common)
    if annotation is int:
        return ipywidgets.IntText(value=int(default or 0), **common)
    if annotation is float:
        return ipywidgets.FloatText(value=float(default or 0.0), **common)
    if annotation is str:
        return ipywidgets.Text(value=str(default or ""), **common)
    field = ipywidgets.Text(
        value=repr(default) if has_default else "", placeholder="a Python expression", **common
    )
    field.add_class("coflux-expression")
    return field


def _value(context: Context, field: Any) -> Any:
    if "coflux-expression" not in getattr(field, "_dom_classes", ()):
        return field.value
    found = expressions.evaluate(f"({field.value})", context.shell.user_ns)
    return found.positional[0]
