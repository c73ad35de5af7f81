"""Objects of the user's own classes that have fields: named tuples, dataclasses, enums, models.

They are held as the class's name and the fields, and come back without calling the constructor.
Belongs here: which classes qualify, and how a class is named and found again. A class that does
something of its own when pickled does not qualify; pickling knows better.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from enum import Enum
from importlib import import_module
from typing import Any

from coflux.errors import CofluxError
from coflux.values.format import DATACLASS, ENUM, MODEL, NAMED_TUPLE, ClassName, Codec

_MISSING = object()


def importable(cls: type) -> bool:
    """Whether another process can find the class by its name.

    Classes of `__main__` (scripts, notebook cells) and of functions cannot be found; neither can
    one that a newer definition of the same name has replaced.
    """
    module = cls.__module__
    if module == "__main__" or not isinstance(module, str) or _is_by_value(module):
        return False
    return _attribute(sys.modules.get(module), cls.__qualname__) is cls


def _is_by_value(module: str) -> bool:
    # Not imported for this: nobody can have registered a module without it.
    cloudpickle: Any = sys.modules.get("cloudpickle")
    if cloudpickle is None:
        return False
    registered = cloudpickle.list_registry_pickle_by_value()
    return any(module == name or module.startswith(f"{name}.") for name in registered)


def _attribute(obj: object, path: str) -> object:
    for name in path.split("."):
        obj = getattr(obj, name, _MISSING)
    return obj


def import_class(text: str) -> type:
    """The class named `module:Qualified.name`.

    Raises:
        CofluxError: naming the class and why it cannot be imported.
    """
    module, _, path = text.partition(":")
    name = f"{module}.{path}"
    try:
        cls = _attribute(sys.modules.get(module) or import_module(module), path)
    except Exception as error:
        raise CofluxError(
            f"the value is a {name}, which cannot be imported here: {error}", type=name
        ) from error
    if not isinstance(cls, type):
        raise CofluxError(
            f"the value is a {name}, but module {module} here has no class {path}", type=name
        )
    return cls


def _plain_pickling(kind: Any) -> bool:
    """The class leaves pickling, copying and construction to `object` (or to dataclasses)."""
    return (
        kind.__new__ is object.__new__
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and all(_ours(kind, name) for name in ("__getstate__", "__setstate__"))
    )


def _ours(kind: type, name: str) -> bool:
    method = getattr(kind, name, None)
    # Dataclasses that are frozen and have slots get methods of their own.
    inherited = method is getattr(object, name, None)
    return inherited or getattr(method, "__module__", None) == "dataclasses"


# --- named tuples -------------------------------------------------------------------------------


def _named_tuple(obj: Any) -> list[object] | None:
    if len(obj) != len(obj._fields) or getattr(obj, "__dict__", None):
        return None
    return [ClassName(type(obj)), *obj]


def _named_tuple_back(parts: list[Any]) -> object:
    # Not by the class's own __new__, which a user may have overridden.
    return tuple.__new__(parts[0], parts[1:])


def _named_tuple_step(obj: Any, position: int) -> str:
    return f".{obj._fields[position - 1]}" if position else ""


# --- dataclasses --------------------------------------------------------------------------------


def _state(obj: Any) -> dict[str, object]:
    """Fields in their order, then whatever else was set on the object."""
    own: dict[str, object] = getattr(obj, "__dict__", {})
    state: dict[str, object] = {}
    for field in dataclasses.fields(obj):
        value = own[field.name] if field.name in own else _slot(obj, field.name)
        if value is not _MISSING:
            state[field.name] = value
    for name in sorted(own.keys() - state.keys()):
        state[name] = own[name]
    return state


def _slot(obj: Any, name: str) -> object:
    for cls in type(obj).__mro__:
        if name in _slots(cls):
            return getattr(obj, name, _MISSING)
    return _MISSING


def _slots(cls: type) -> Sequence[str]:
    slots: str | Sequence[str] = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _only_fields(kind: Any) -> bool:
    """Whether all slots, also of bases and subclasses, are fields."""
    known = {field.name for field in dataclasses.fields(kind)} | {"__dict__", "__weakref__"}
    return all(known.issuperset(_slots(cls)) for cls in kind.__mro__)


def _dataclass(obj: Any) -> list[object]:
    return [ClassName(type(obj)), *(part for item in _state(obj).items() for part in item)]


def _dataclass_back(parts: list[Any]) -> object:
    obj = object.__new__(parts[0])
    for name, value in zip(parts[1::2], parts[2::2], strict=True):
        # Frozen ones too.
        object.__setattr__(obj, name, value)
    return obj


def _dataclass_step(obj: Any, position: int) -> str:
    return f".{list(_state(obj))[(position - 1) // 2]}" if position else ""


# --- enums --------------------------------------------------------------------------------------


def _enum(member: Any) -> list[object]:
    cls = type(member)
    if cls.__members__.get(member.name) is member:
        return [ClassName(cls), member.name]
    # A combination of flags.
    return [ClassName(cls), None, member.value]


def _enum_back(parts: list[Any]) -> object:
    cls = parts[0]
    try:
        return cls[parts[1]] if parts[1] is not None else cls(parts[2])
    except (KeyError, ValueError) as error:
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise CofluxError(
            f"the value is a member of {name} which that class does not have here: {error}",
            type=name,
        ) from error


# --- pydantic models ----------------------------------------------------------------------------


def _model(obj: Any) -> list[object] | None:
    state = obj.__getstate__()
    if set(state) != set(_MODEL_STATE):
        return None
    return [ClassName(type(obj)), *(state[name] for name in _MODEL_STATE)]


def _model_back(parts: list[Any]) -> object:
    cls = parts[0]
    obj = cls.__new__(cls)
    obj.__setstate__(dict(zip(_MODEL_STATE, parts[1:], strict=True)))
    return obj


def _model_step(obj: Any, position: int) -> str:
    return ""


#: What pydantic 2 keeps in an object, without validation.
_MODEL_STATE = (
    "__dict__",
    "__pydantic_fields_set__",
    "__pydantic_extra__",
    "__pydantic_private__",
)


def _is_model(kind: type) -> bool:
    pydantic: Any = sys.modules.get("pydantic")
    base: Any = getattr(pydantic, "BaseModel", None)
    return (
        isinstance(base, type)
        and issubclass(kind, base)
        and hasattr(base, "__pydantic_fields_set__")
        # pydantic's models have both; the checker sees any type.
        and kind.__getstate__ is base.__getstate__  # type: ignore[attr-defined]
        and kind.__setstate__ is base.__setstate__  # type: ignore[attr-defined]
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
    )


_named_tuples = Codec(NAMED_TUPLE, _named_tuple, _named_tuple_back, step=_named_tuple_step)
_dataclasses = Codec(DATACLASS, _dataclass, _dataclass_back, step=_dataclass_step)
_enums = Codec(ENUM, _enum, _enum_back)
_models = Codec(MODEL, _model, _model_back, step=_model_step)

CODECS: Sequence[Codec] = (_named_tuples, _dataclasses, _enums, _models)


def find(kind: type) -> Codec | None:
    """The codec for objects of a class with fields."""
    if issubclass(kind, Enum):
        return _enums
    if issubclass(kind, tuple):
        fields = getattr(kind, "_fields", None)
        named = isinstance(fields, tuple) and kind.__reduce_ex__ is object.__reduce_ex__
        return _named_tuples if named and kind.__reduce__ is object.__reduce__ else None
    if _is_model(kind):
        return _models
    if dataclasses.is_dataclass(kind) and _plain_pickling(kind) and _only_fields(kind):
        return _dataclasses
    return None
