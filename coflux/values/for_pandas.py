"""Codecs for pandas. Imported only where pandas is in use.

A table is its columns, and a column its values, taken apart down to numpy arrays, so that the
encoding is exact (dtypes, index, names), needs no unpickling and does not depend on how pandas
happens to store it. Extension types that are not named here are pickled.
"""

from __future__ import annotations

from typing import Any

import numpy
import pandas

from coflux.values.format import PANDAS, Codec

pd: Any = pandas
np: Any = numpy

(FRAME, SERIES, INDEX, RANGE_INDEX, MULTI_INDEX, CATEGORICAL, ZONED, MASKED, STRINGS) = range(
    PANDAS, PANDAS + 9
)
(PERIODS, INTERVALS, ARROW_ARRAY, NA, NAT, TIMESTAMP, TIMEDELTA) = range(PANDAS + 9, PANDAS + 16)


# --- tables and columns -------------------------------------------------------------------------


def _plain_array(values: Any) -> object:
    """A column's values: the numpy array inside where there is one."""
    array = values.array
    if type(array) in _WRAPPERS or (type(array) is pd.arrays.DatetimeArray and array.tz is None):
        return values.to_numpy()
    return array


def _unusual(obj: Any) -> bool:
    """Flags that a table rarely has; pickling keeps them."""
    return not obj.flags.allows_duplicate_labels


def _frame(frame: Any) -> list[object] | None:
    if _unusual(frame):
        return None
    columns = [_plain_array(frame.iloc[:, i]) for i in range(frame.shape[1])]
    return [frame.index, frame.columns, dict(frame.attrs), *columns]


def _frame_back(parts: list[Any]) -> object:
    index, columns, attrs, *arrays = parts
    series = {i: _series_of(array, index) for i, array in enumerate(arrays)}
    frame = pd.DataFrame(series, index=index)
    frame.columns = columns
    frame.attrs.update(attrs)
    return frame


def _series_of(array: Any, index: Any, name: object = None) -> Any:
    # The dtype is given, so that pandas does not look for a better one.
    return pd.Series(array, index=index, name=name, dtype=array.dtype, copy=False)


def _series(series: Any) -> list[object] | None:
    if _unusual(series):
        return None
    return [series.index, series.name, dict(series.attrs), _plain_array(series)]


def _series_back(parts: list[Any]) -> object:
    index, name, attrs, array = parts
    series = _series_of(array, index, name)
    series.attrs.update(attrs)
    return series


def _frame_step(frame: Any, position: int) -> str:
    heads = (".index", ".columns", ".attrs")
    return heads[position] if position < 3 else f"[{frame.columns[position - 3]!r}]"


def _series_step(series: Any, position: int) -> str:
    return (".index", ".name", ".attrs", ".values")[position]


# --- indexes ------------------------------------------------------------------------------------


def _index(index: Any) -> list[object]:
    freq = getattr(index, "freqstr", None) if type(index) in _WITH_FREQUENCY else None
    return [index.name, freq, _plain_array(index)]


def _index_back(parts: list[Any]) -> object:
    name, freq, array = parts
    index = pd.Index(array, dtype=array.dtype, name=name, copy=False)
    if freq is not None:
        index.freq = freq
    return index


def _range_index(index: Any) -> list[object]:
    return [index.name, index.start, index.stop, index.step]


def _range_index_back(parts: list[Any]) -> object:
    name, start, stop, step = parts
    return pd.RangeIndex(start, stop, step, name=name)


def _multi_index(index: Any) -> list[object]:
    count = index.nlevels
    codes = [np.asarray(codes) for codes in index.codes]
    return [count, *index.names, *index.levels, *codes]


def _multi_index_back(parts: list[Any]) -> object:
    count = parts[0]
    names, levels, codes = parts[1:][:count], parts[1 + count :][:count], parts[1 + 2 * count :]
    return pd.MultiIndex(levels, codes, names=names, verify_integrity=False)


def _multi_index_content(index: Any) -> list[object]:
    # Levels may hold values that no row uses, in any order.
    return [*index.names, *(index.get_level_values(i) for i in range(index.nlevels))]


# --- columns with a type of their own -----------------------------------------------------------


def _categorical(array: Any) -> list[object]:
    return [array.ordered, array.categories, np.asarray(array.codes)]


def _categorical_back(parts: list[Any]) -> object:
    ordered, categories, codes = parts
    return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)


def _zoned(array: Any) -> list[object]:
    return [array.tz, np.asarray(array.asi8).view(f"M8[{array.unit}]")]


def _zoned_back(parts: list[Any]) -> object:
    zone, instants = parts
    if zone is None:
        return pd.DatetimeIndex(instants).array
    return pd.Series(instants).dt.tz_localize("UTC").dt.tz_convert(zone).array


def _masked(array: Any) -> list[object]:
    missing = array.isna()
    kind = array.dtype.numpy_dtype
    # Whatever lies under a missing value becomes 0, so that it does not count.
    data = array.to_numpy(dtype=kind, na_value=kind.type(0)) if missing.any() else _unmasked(array)
    return [data, missing]


def _unmasked(array: Any) -> Any:
    return array.to_numpy(dtype=array.dtype.numpy_dtype)


def _masked_back(parts: list[Any]) -> object:
    data, missing = parts
    if data.dtype.kind == "b":
        return pd.arrays.BooleanArray(data, missing)
    made: Any = pd.arrays.FloatingArray if data.dtype.kind == "f" else pd.arrays.IntegerArray
    return made(data, missing)


def _strings(array: Any) -> list[object]:
    dtype = array.dtype
    missing = array.isna()
    texts = array.to_numpy(object)
    if missing.any():
        texts = np.where(missing, None, texts)
    return [dtype.storage, getattr(dtype, "na_value", pd.NA) is pd.NA, texts]


def _strings_back(parts: list[Any]) -> object:
    storage, with_na, texts = parts
    dtype = pd.StringDtype(storage) if with_na else pd.StringDtype(storage, na_value=np.nan)
    return pd.array(texts, dtype=dtype)


def _periods(array: Any) -> list[object]:
    # The dtype's name, since a frequency of periods is written otherwise than its own text.
    return [str(array.dtype), np.asarray(array.asi8)]


def _periods_back(parts: list[Any]) -> object:
    name, ordinals = parts
    return pd.arrays.PeriodArray(ordinals, dtype=pd.api.types.pandas_dtype(name))


def _intervals(array: Any) -> list[object]:
    return [array.closed, array.left, array.right]


def _intervals_back(parts: list[Any]) -> object:
    closed, left, right = parts
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def _arrow_array(array: Any) -> list[object]:
    return [array.__arrow_array__()]


def _arrow_array_back(parts: list[Any]) -> object:
    return pd.arrays.ArrowExtensionArray(parts[0])


# --- scalars ------------------------------------------------------------------------------------


def _timestamp(at: Any) -> list[object]:
    return [at.unit, int(at.asm8.view("i8")), at.tzinfo]


def _timestamp_back(parts: list[Any]) -> object:
    unit, count, zone = parts
    at = pd.Timestamp(np.datetime64(count, unit))
    return at if zone is None else at.tz_localize("UTC").tz_convert(zone)


def _timedelta(delta: Any) -> list[object]:
    return [delta.unit, int(delta.asm8.view("i8"))]


def _timedelta_back(parts: list[Any]) -> object:
    unit, count = parts
    return pd.Timedelta(np.timedelta64(count, unit))


#: Arrays around a numpy array.
_WRAPPERS = {pd.arrays.NumpyExtensionArray, pd.arrays.TimedeltaArray}
_WITH_FREQUENCY = {pd.DatetimeIndex, pd.TimedeltaIndex}

_masked_codec = Codec(MASKED, _masked, _masked_back)
_index_codec = Codec(INDEX, _index, _index_back)
_string_codec = Codec(STRINGS, _strings, _strings_back)
_zoned_codec = Codec(ZONED, _zoned, _zoned_back)

_codecs: dict[type, Codec] = {
    pd.DataFrame: Codec(FRAME, _frame, _frame_back, step=_frame_step),
    pd.Series: Codec(SERIES, _series, _series_back, step=_series_step),
    pd.RangeIndex: Codec(RANGE_INDEX, _range_index, _range_index_back),
    pd.MultiIndex: Codec(MULTI_INDEX, _multi_index, _multi_index_back, _multi_index_content),
    pd.Index: _index_codec,
    pd.DatetimeIndex: _index_codec,
    pd.TimedeltaIndex: _index_codec,
    pd.CategoricalIndex: _index_codec,
    pd.PeriodIndex: _index_codec,
    pd.IntervalIndex: _index_codec,
    pd.Categorical: Codec(CATEGORICAL, _categorical, _categorical_back),
    pd.arrays.DatetimeArray: _zoned_codec,
    pd.arrays.IntegerArray: _masked_codec,
    pd.arrays.FloatingArray: _masked_codec,
    pd.arrays.BooleanArray: _masked_codec,
    pd.arrays.StringArray: _string_codec,
    pd.arrays.PeriodArray: Codec(PERIODS, _periods, _periods_back),
    pd.arrays.IntervalArray: Codec(INTERVALS, _intervals, _intervals_back),
    type(pd.NA): Codec(NA, lambda _: [], lambda _: pd.NA),
    type(pd.NaT): Codec(NAT, lambda _: [], lambda _: pd.NaT),
    pd.Timestamp: Codec(TIMESTAMP, _timestamp, _timestamp_back),
    pd.Timedelta: Codec(TIMEDELTA, _timedelta, _timedelta_back),
}
# Of some versions only.
for _name in ("ArrowStringArray", "ArrowStringArrayNumpySemantics"):
    if hasattr(pd.arrays, _name):
        _codecs[getattr(pd.arrays, _name)] = _string_codec
_codecs[pd.arrays.ArrowExtensionArray] = Codec(ARROW_ARRAY, _arrow_array, _arrow_array_back)

CODECS = tuple(_codecs.values())


def find(kind: type) -> Codec | None:
    """The codec of a type of pandas' own."""
    return _codecs.get(kind)
