"""Arguments as they are written after `%coflux run TARGET`: Python, separated by spaces or commas.

Belongs here: cutting the line into expressions, and evaluating them. Does not belong here: what
they are arguments of.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coflux.errors import InvalidRequest

_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Arguments:
    """Positional and named arguments."""

    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


def evaluate(text: str, names: Mapping[str, Any]) -> Arguments:
    """The values of the expressions in a line, in the namespace `names`.

    `10 [1, 2] city="Oslo"` and `10, [1, 2], city="Oslo"` are the same; separated by spaces, an
    expression with spaces stands in brackets. `*items` and `**options` work.

    Raises `InvalidRequest` for what is no expression, and for one whose evaluation fails.
    """
    pieces = split(text)
    if any(piece.endswith(",") for piece in pieces[:-1]) or _has_comma(text):
        call = _parse(f"f({text})", text)
    else:
        for piece in pieces:
            _parse(f"f({piece})", piece)
        call = _parse(f"f({', '.join(pieces)})", text)
    space = dict(names)
    positional: list[Any] = []
    for node in call.args:
        if isinstance(node, ast.Starred):
            positional.extend(_unpacked(node.value, space, tuple))
        else:
            positional.append(_value(node, space))
    named: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            named.update(_unpacked(keyword.value, space, dict))
        else:
            named[keyword.arg] = _value(keyword.value, space)
    return Arguments(tuple(positional), named)


def split(text: str) -> list[str]:
    """The pieces between spaces that are in no bracket and no quotes."""
    pieces: list[str] = []
    piece = ""
    closing: list[str] = []
    quote = ""
    escaped = False
    for symbol in text.strip():
        if quote:
            piece += symbol
            if escaped:
                escaped = False
            elif symbol == "\\":
                escaped = True
            elif symbol == quote:
                quote = ""
            continue
        if symbol.isspace() and not closing:
            if piece:
                pieces.append(piece)
            piece = ""
            continue
        if symbol in "\"'":
            quote = symbol
        elif symbol in _OPENING:
            closing.append(_OPENING[symbol])
        elif closing and symbol == closing[-1]:
            closing.pop()
        piece += symbol
    if piece:
        pieces.append(piece)
    return pieces


def _has_comma(text: str) -> bool:
    """Whether a comma separates arguments."""
    try:
        call = _call(f"f({text})")
    except SyntaxError:
        return False
    return len(call.args) + len(call.keywords) > 1


def _parse(source: str, text: str) -> ast.Call:
    try:
        return _call(source)
    except SyntaxError as error:
        raise InvalidRequest(
            f"{text!r} is no Python expression ({error.msg}); separate arguments with spaces or"
            " commas, and put an expression with spaces in brackets"
        ) from None


def _call(source: str) -> ast.Call:
    call = ast.parse(source, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise SyntaxError("unbalanced brackets")
    return call


def _unpacked(node: ast.expr, space: dict[str, Any], kind: Any) -> Any:
    """What stands behind `*` or `**`."""
    value = _value(node, space)
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"{ast.unparse(node)} cannot be unpacked: {error}") from None


def _value(node: ast.expr, space: dict[str, Any]) -> Any:
    expression = ast.Expression(node)
    ast.fix_missing_locations(expression)
    code = compile(expression, "<coflux>", "eval")
    try:
        return eval(code, space)
    except Exception as error:
        kind = type(error).__name__
        raise InvalidRequest(f"{ast.unparse(node)} has no value: {kind}: {error}") from error
