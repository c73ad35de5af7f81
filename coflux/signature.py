"""A function's parameters: described for others, and bound to encoded arguments (SU-1).

Belongs here: the way between a Python signature and `model.Parameter` or encoded arguments. Does
not belong here: how one value is encoded (`values`), and options (`options`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from coflux.errors import NotSerialisable
from coflux.model import Parameter, Value

Encode = Callable[[object, str], Value]
Decode = Callable[[Value], Any]

#: Parameters of a target (section 32).
LIMIT = 64

_EMPTY = inspect.Parameter.empty
_KINDS: dict[Any, Any] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "normal",
    inspect.Parameter.VAR_POSITIONAL: "args",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "kwargs",
}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def describe(signature: inspect.Signature) -> tuple[Parameter, ...]:
    """The parameters as a manifest shows them."""
    from coflux import values

    def encode(obj: object, path: str) -> Value:
        return values.encode(obj, blobs=None, path=path)

    return tuple(
        Parameter(
            name=each.name,
            kind=_KINDS[each.kind],
            annotation=_annotation(each.annotation),
            default=None if each.default is _EMPTY else encode_default(each, encode),
        )
        for each in signature.parameters.values()
    )


def _annotation(annotation: object) -> str | None:
    if annotation is _EMPTY:
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def encode_default(parameter: inspect.Parameter, encode: Encode) -> Value:
    """The encoding of a default, or "the default" where it has no native one (SU-2)."""
    default = parameter.default
    try:
        value = encode(default, f"default of {parameter.name}")
    except NotSerialisable:
        kind = type(default)
        return Value(format="default", type=f"{kind.__module__}.{kind.__qualname__}")
    if value.format == "native":
        return value
    return Value(
        format="default", unkeyable=value.unkeyable, type=value.type, preview=value.preview
    )


def encode_arguments(bound: inspect.BoundArguments, encode: Encode) -> dict[str, Value]:
    """All arguments of a call, in signature order, with what was left to defaults."""
    given = bound.arguments
    encoded: dict[str, Value] = {}
    for name, parameter in bound.signature.parameters.items():
        if name in given:
            encoded[name] = encode(given[name], name)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            encoded[name] = encode((), name)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            encoded[name] = encode({}, name)
        else:
            encoded[name] = encode_default(parameter, encode)
    return encoded


def call_arguments(
    signature: inspect.Signature, encoded: Mapping[str, Value], decode: Decode
) -> tuple[list[Any], dict[str, Any]]:
    """The positionals and keywords to call the function with.

    Arguments are bound by name, so that stored ones fit a changed signature where they can (RR-3).

    Raises `TypeError` naming the parameters, where they do not fit.
    """
    parameters = signature.parameters
    if unknown := [name for name in encoded if name not in parameters]:
        raise TypeError(f"the function has no parameter {_listed(unknown)} (any more)")
    positionals: list[Any] = []
    keywords: dict[str, Any] = {}
    missing: list[str] = []
    for name, parameter in parameters.items():
        value = encoded.get(name)
        if value is not None and value.format != "default":
            argument = decode(value)
        elif parameter.kind in _VARIADIC:
            continue
        elif parameter.default is not _EMPTY:
            argument = parameter.default
        else:
            missing.append(name)
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positionals.extend(argument)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            keywords.update(argument)
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            keywords[name] = argument
        else:
            positionals.append(argument)
    if missing:
        raise TypeError(f"no argument is stored for the parameter {_listed(missing)}")
    return positionals, keywords


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
