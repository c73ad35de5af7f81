"""Types as JSON schemas, and JSON as objects of them (IN-1).

pydantic serves its own models, msgspec everything else: dataclasses, enums, `Literal`, lists,
numbers, dates. Nothing else belongs here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coflux.errors import CofluxError

#: Name of an attribute that msgspec sets on classes.
_MARK = "__msgspec_cache__"


class Model:
    """What a prompt needs of a type, the `kind`."""

    def __init__(self, kind: Any, schema: dict[str, Any]) -> None:
        self.kind = kind
        self.schema = schema

    def __reduce__(self) -> tuple[Any, ...]:
        # Targets of notebooks are pickled with their prompts; what parses answers is made anew.
        return type(self), (self.kind, self.schema)

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
        return _Pydantic(kind, _unfolded(_adapter(kind).json_schema()))
    try:
        schema = _unfolded(msgspec.json.schema(kind))
        _leave_no_marks(kind)
        return _Msgspec(kind, schema)
    except TypeError as error:
        try:
            return _Pydantic(kind, _unfolded(_adapter(kind).json_schema()))
        except Exception:  # noqa: BLE001 - not there, or knows no more: the first problem counts
            raise TypeError(
                f"{kind!r} cannot be a prompt's model: {error}; give a dataclass, a pydantic model,"
                " a type such as int or list[str], or a JSON schema as `schema`"
            ) from None


def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def _is_pydantic(kind: Any) -> bool:
    return hasattr(kind, "model_json_schema") or hasattr(kind, "__pydantic_core_schema__")


class _Msgspec(Model):
    def parse(self, answer: Any) -> Any:
        try:
            return msgspec.convert(answer, self.kind)
        except msgspec.ValidationError as error:
            raise CofluxError(f"the answer does not fit the prompt's model: {error}") from error
        finally:
            _leave_no_marks(self.kind)


class _Pydantic(Model):
    def parse(self, answer: Any) -> Any:
        import pydantic

        try:
            # As text: in JSON mode a date is a string, as it was answered.
            return _adapter(self.kind).validate_json(msgspec.json.encode(answer))
        except pydantic.ValidationError as error:
            raise CofluxError(f"the answer does not fit the prompt's model: {error}") from error


def _leave_no_marks(kind: Any) -> None:
    """Take away what msgspec has noted on a user's classes: with it they cannot be pickled."""
    todo: list[Any] = [msgspec.inspect.type_info(kind)]
    seen: set[int] = set()
    for part in todo:  # grows while it is gone through
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, tuple):
            todo += part
        elif isinstance(part, (msgspec.inspect.Type, msgspec.inspect.Field)):
            todo += [getattr(part, name) for name in part.__struct_fields__ if name != "default"]
        elif isinstance(part, type) and _MARK in vars(part):
            delattr(part, _MARK)


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
