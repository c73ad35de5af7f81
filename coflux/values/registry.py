"""Which codec belongs to a type, and which builder to a tag.

Nothing is imported for the sake of a type that the program does not use: on encoding a library's
codecs are loaded once one of its types turns up, on decoding once one of its tags does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from coflux.errors import CofluxError
from coflux.values import classes, stdlib
from coflux.values.format import ARROW, NUMPY, PANDAS, POLARS, PYTZ, Codec, damaged

#: Module of codecs by the library's name. Each has `find(type)` and `CODECS`.
_LIBRARIES = {
    "numpy": "coflux.values.for_numpy",
    "pandas": "coflux.values.for_pandas",
    "polars": "coflux.values.for_polars",
    "pyarrow": "coflux.values.for_pyarrow",
    "pytz": "coflux.values.for_pytz",
}
_LIBRARY_CODES = {
    range(NUMPY, PANDAS): "numpy",
    range(PANDAS, POLARS): "pandas",
    range(POLARS, ARROW): "polars",
    range(ARROW, PYTZ): "pyarrow",
    range(PYTZ, PYTZ + 8): "pytz",
}

_builders: dict[int, Callable[[list[Any]], object]] = {
    codec.code: codec.build for codec in (*stdlib.CODECS, *classes.CODECS)
}
_found: WeakKeyDictionary[type, Codec | None] = WeakKeyDictionary()


def find(kind: type) -> Codec | None:
    """The codec of exactly this type; None when its objects are pickled."""
    try:
        return _found[kind]
    except KeyError:
        codec = _found[kind] = _search(kind)
        return codec


def _search(kind: type) -> Codec | None:
    root = kind.__module__.partition(".")[0] if isinstance(kind.__module__, str) else ""
    if root in _LIBRARIES and root in sys.modules:
        codec: Codec | None = import_module(_LIBRARIES[root]).find(kind)
        if codec is not None:
            return codec
    return stdlib.find(kind) or classes.find(kind)


def builder(code: int) -> Callable[[list[Any]], object]:
    """What makes an object from the children of a node with this tag.

    Raises:
        CofluxError: the library that the type belongs to is not installed here.
    """
    if code not in _builders:
        _load(code)
    if code not in _builders:
        raise damaged(f"it uses tag {code}, which a newer version of coflux may know")
    return _builders[code]


def _load(code: int) -> None:
    for codes, library in _LIBRARY_CODES.items():
        if code in codes:
            try:
                module = import_module(_LIBRARIES[library])
            except ImportError as error:
                raise CofluxError(
                    f"the value needs {library}, which cannot be imported here: {error}",
                    type=library,
                ) from error
            _builders.update({codec.code: codec.build for codec in module.CODECS})
