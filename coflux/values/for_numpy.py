"""Codecs for numpy arrays and scalars. Imported only where numpy is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from coflux.values.format import NUMPY, Buffer, Codec

np: Any = numpy

ARRAY, SCALAR, TEXT = NUMPY, NUMPY + 1, NUMPY + 2

#: Kinds of dtype whose elements lie in the buffer. Beside them only objects are supported;
#: everything else (structures with objects, numpy's own strings) is pickled.
_IN_BUFFER = "biufcSUmMV"


def _describe(dtype: Any) -> object:
    """The dtype as text, or for structures as a tree of lists."""
    return dtype.str if dtype.names is None else _structure(dtype)


def _structure(dtype: Any) -> list[object]:
    fields = [dtype.fields[name] for name in dtype.names]
    return [
        list(dtype.names),
        [_describe(field[0].base) for field in fields],
        [list(field[0].shape) for field in fields],
        [field[1] for field in fields],
        [field[2] if len(field) > 2 else None for field in fields],
        dtype.itemsize,
        dtype.isalignedstruct,
    ]


def _dtype(description: Any) -> Any:
    if isinstance(description, str):
        return np.dtype(description)
    names, bases, shapes, offsets, titles, itemsize, aligned = description
    formats = [(_dtype(base), tuple(shape)) for base, shape in zip(bases, shapes, strict=True)]
    parts = {"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize}
    if any(title is not None for title in titles):
        parts["titles"] = titles
    return np.dtype(parts, align=aligned)


def _is_simple(dtype: Any) -> bool:
    if dtype.metadata or dtype.type.__module__ != "numpy":
        return False
    if dtype.names is not None:
        return all(_is_simple(dtype.fields[name][0].base) for name in dtype.names)
    # The unused bytes of a long double are never the same twice.
    padded = dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16)
    return dtype.kind in _IN_BUFFER and not dtype.hasobject and not padded


def _buffer(array: Any) -> Buffer:
    """The elements in C order, without a copy where they lie so."""
    if array.nbytes == 0:
        return Buffer(b"")
    return Buffer(memoryview(np.ascontiguousarray(array).reshape(-1).view("u1")))


def _array(array: Any) -> list[object] | None:
    shape = list(array.shape)
    if array.dtype.kind == "O" and array.dtype == object:
        return ["O", shape, "C", *array.ravel().tolist()]
    if not _is_simple(array.dtype):
        return None
    if _is_fortran(array):
        return [_describe(array.dtype), shape, "F", _buffer(array.T)]
    return [_describe(array.dtype), shape, "C", _buffer(array)]


def _array_back(parts: list[Any]) -> object:
    description, shape, order, *rest = parts
    if description == "O":
        array = np.empty(len(rest), dtype=object)
        for index, item in enumerate(rest):
            array[index] = item
        return array.reshape(shape)
    dtype = _dtype(description)
    array = np.empty(shape, dtype, order)
    if array.nbytes:
        flat = array.reshape(-1) if order == "C" else array.T.reshape(-1)
        flat.view("u1")[:] = np.frombuffer(rest[0], "u1")
    return array


def _array_content(array: Any) -> Sequence[object]:
    """In C order; nan always as the same bits; structures field by field, without padding."""
    shape = list(array.shape)
    if array.dtype.names is not None:
        fields = [array[name] for name in array.dtype.names]
        return [_describe(array.dtype), shape, *fields]
    if _has_nan(array):
        array = array.copy()
        array[np.isnan(array)] = np.nan
    parts = _array(array)
    if parts is not None and parts[2] == "F":
        return [parts[0], shape, "C", _buffer(array)]
    # An array that is pickled after all has no content to offer; it never gets a key.
    return parts if parts is not None else [None]


def _array_differs(array: Any) -> bool:
    return array.dtype.names is not None or _is_fortran(array) or _has_nan(array)


def _is_fortran(array: Any) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _has_nan(array: Any) -> bool:
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())


def _scalar(scalar: Any) -> list[object] | None:
    array = np.asarray(scalar)
    if array.dtype.itemsize == 0 or not _is_simple(array.dtype):
        return None
    return [array]


def _scalar_back(parts: list[Any]) -> object:
    return parts[0][()]


def _text(text: Any) -> list[object]:
    return [str(text) if isinstance(text, str) else bytes(text)]


def _text_back(parts: list[Any]) -> object:
    return np.str_(parts[0]) if isinstance(parts[0], str) else np.bytes_(parts[0])


_arrays = Codec(
    ARRAY, _array, _array_back, _array_content, _array_differs, lambda a, i: f"[{i - 3}]"
)
_scalars = Codec(SCALAR, _scalar, _scalar_back, step=lambda *_: "")
_texts = Codec(TEXT, _text, _text_back)

CODECS = (_arrays, _scalars, _texts)


def find(kind: type) -> Codec | None:
    """The codec of a type of numpy's own."""
    if kind is np.ndarray:
        return _arrays
    if kind in (np.str_, np.bytes_):
        return _texts
    if issubclass(kind, np.generic) and kind.__module__ == "numpy":
        return _scalars
    return None
