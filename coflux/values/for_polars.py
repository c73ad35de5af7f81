"""Codecs for polars tables and columns. Imported only where polars is in use."""

from __future__ import annotations

import io
from typing import Any

import polars

from coflux.values.format import POLARS, Buffer, Codec

pl: Any = polars

FRAME, SERIES = POLARS, POLARS + 1


def _written(frame: Any) -> Buffer:
    file = io.BytesIO()
    frame.write_ipc(file)
    return Buffer(file.getbuffer())


def _frame(frame: Any) -> list[object] | None:
    return None if _has_objects(frame.dtypes) else [frame.height, _written(frame)]


def _frame_back(parts: list[Any]) -> Any:
    return pl.read_ipc(io.BytesIO(parts[1]))


def _frame_content(frame: Any) -> list[object]:
    return [frame.height, *(part for column in frame for part in _column(column))]


def _series(series: Any) -> list[object] | None:
    # A name need not be unique or short, so it does not become a column's.
    if _has_objects([series.dtype]):
        return None
    return [series.name, _written(pl.DataFrame([series.alias("values")]))]


def _series_back(parts: list[Any]) -> object:
    return _frame_back(parts).to_series(0).alias(parts[0])


def _has_objects(dtypes: Any) -> bool:
    return any("Object" in repr(dtype) for dtype in dtypes)


def _column(series: Any) -> list[object]:
    """What a column holds, whatever its chunks and however nulls are stored."""
    kind = series.dtype
    head = [series.name, repr(kind), len(series)]
    if kind.is_temporal():
        series = series.to_physical()
    if not series.dtype.is_numeric() or isinstance(series.dtype, pl.Decimal):
        return [*head, *_listed(series)]
    missing = series.is_null()
    filled = series.fill_null(0)
    return [*head, filled.to_numpy(), missing.to_numpy() if missing.any() else None]


def _listed(series: Any) -> list[object]:
    # Integer codes of categories depend on the process.
    if isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    return [series.to_list()]


_frames = Codec(FRAME, _frame, _frame_back, _frame_content)
_columns = Codec(SERIES, _series, _series_back, _column)

CODECS = (_frames, _columns)


def find(kind: type) -> Codec | None:
    """The codec of a type of polars' own."""
    if kind is pl.DataFrame:
        return _frames
    return _columns if kind is pl.Series else None
