"""Writes docs/reference/python.md from the public names of `coflux` and their docstrings.

    python docs/tools/python_reference.py [--check]

`--check` writes nothing and exits with 1 when the file is not what would be written.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import generated

import coflux

PAGE = Path(__file__).parents[1] / "reference" / "python.md"
_HEAD = """# Python reference

Generated from the docstrings by `docs/tools/python_reference.py`.

```python
import coflux as cf
```
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, kinds in (("Functions and decorators", _is_function), ("Classes", _is_class),
                         ("Exceptions", _is_error)):  # fmt: skip
        parts.append(f"## {title}\n")
        parts += [_entry(name) for name in sorted(coflux.__all__) if kinds(getattr(coflux, name))]
    return "\n".join(parts)


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


def _is_class(value: object) -> bool:
    return inspect.isclass(value) and not _is_error(value)


def _is_function(value: object) -> bool:
    return not inspect.isclass(value)


def _entry(name: str) -> str:
    value = getattr(coflux, name)
    lines = [f"### `cf.{name}{_signature(value)}`\n", _doc(value), ""]
    if _is_class(value):
        lines += [_member(value, member) for member in _members(value)]
    return "\n".join(lines)


def _members(owner: type) -> list[str]:
    return [
        name
        for name in sorted(dir(owner))
        if not name.startswith("_") and _documented(inspect.getattr_static(owner, name))
    ]


def _documented(value: Any) -> bool:
    return isinstance(value, (property, classmethod, staticmethod)) or inspect.isfunction(value)


def _member(owner: type, name: str) -> str:
    value = inspect.getattr_static(owner, name)
    signature = "" if isinstance(value, property) else _signature(getattr(owner, name))
    return f"- **`{name}{signature}`** {_doc(value).replace(chr(10), chr(10) + '  ')}\n"


def _signature(value: object) -> str:
    if _is_error(value):
        return ""
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    bare = signature.replace(
        parameters=[p for p in parameters if p.name != "self"], return_annotation=signature.empty
    )
    return str(bare)


def _doc(value: object) -> str:
    return inspect.cleandoc(getattr(value, "__doc__", None) or "")


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page()))
