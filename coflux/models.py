"""Types as JSON schemas, and JSON as objects of them (IN-1).

pydantic serves its own models, msgspec everything else: dataclasses, enums, `Literal`, lists,
numbers, dates. Nothing else belongs here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coflux.errors import CofluxError


class Model:
    """What a prompt needs of a type."""

    schema: dict[str, Any]

    def parse(self, answer: Any) -> Any:
        """The object that an answer stands for; raises `CofluxError` where it does not fit."""
        raise NotImplementedError


def as_json(obj: Any) -> Any:
    """An object of a model, or a part of one as JSON, as JSON."""
    dump = getattr(type(obj), "model_dump", None)
    if dump is not None:
        return dump(obj, mode="json")
    return msgspec.to_builtins(obj, str_keys=True)


def model_of(kind: Any) -> Model:
    """The model of a type; raises `TypeError` for one that has no JSON schema."""
    if _is_pydantic(kind):
        return _Pydantic(kind)
    try:
        return _Msgspec(kind)
    except TypeError as error:
        try:
            return _Pydantic(kind)
        except Exception:  # noqa: BLE001 - not there, or knows no more: the first problem counts
            raise TypeError(
                f"{kind!r} cannot be a prompt's model: {error}; give a dataclass, a pydantic model,"
                " a type such as int or list[str], or a JSON schema as `schema`"
            ) from None


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "model_json_schema") or hasattr(kind, "__pydantic_core_schema__")


class _Msgspec(Model):
    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.schema = _unfolded(msgspec.json.schema(kind))

    def parse(self, answer: Any) -> Any:
        try:
            return msgspec.convert(answer, self._kind)
        except msgspec.ValidationError as error:
            raise CofluxError(f"the answer does not fit the prompt's model: {error}") from error


class _Pydantic(Model):
    def __init__(self, kind: Any) -> None:
        import pydantic

        self._adapter = pydantic.TypeAdapter(kind)
        self.schema = _unfolded(self._adapter.json_schema())

    def parse(self, answer: Any) -> Any:
        import pydantic

        try:
            # As text: in JSON mode a date is a string, as it was answered.
            return self._adapter.validate_json(msgspec.json.encode(answer))
        except pydantic.ValidationError as error:
            raise CofluxError(f"the answer does not fit the prompt's model: {error}") from error


def _unfolded(schema: dict[str, Any]) -> dict[str, Any]:
    """With the type itself at the top, where it is only referred to there."""
    definitions = schema.get("$defs", {})
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name not in definitions:
        return schema
    top = {**definitions[name], **{k: v for k, v in schema.items() if k not in ("$ref", "$defs")}}
    rest = dict(definitions)
    if not _mentions(definitions, f"#/$defs/{name}"):
        del rest[name]
    return {**top, "$defs": rest} if rest else top


def _mentions(part: Any, reference: str) -> bool:
    if isinstance(part, dict):
        return part.get("$ref") == reference or any(_mentions(v, reference) for v in part.values())
    return isinstance(part, list) and any(_mentions(each, reference) for each in part)
