"""Codecs for pyarrow tables, batches and columns. Imported only where pyarrow is in use."""

from __future__ import annotations

from typing import Any

import pyarrow
import pyarrow.ipc

from coflux.values.format import ARROW, Buffer, Codec

pa: Any = pyarrow

TABLE, BATCH, ARRAY, CHUNKED = ARROW, ARROW + 1, ARROW + 2, ARROW + 3


def _written(table: Any) -> Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return Buffer(memoryview(sink.getvalue()))


def _read(data: Any) -> Any:
    # Over the encoded data itself, without a copy: arrow data never changes.
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def _table(table: Any) -> list[object]:
    return [_written(table)]


def _table_back(parts: list[Any]) -> object:
    return _read(parts[0])


def _batch_back(parts: list[Any]) -> object:
    table = _read(parts[0])
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _array(array: Any) -> list[object]:
    chunks = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return [_written(pa.Table.from_arrays([chunks], names=["values"]))]


def _array_back(parts: list[Any]) -> object:
    column = _read(parts[0]).column(0)
    return column.chunk(0) if column.num_chunks else pa.array([], type=column.type)


def _chunked_back(parts: list[Any]) -> object:
    return _read(parts[0]).column(0)


def _table_content(table: Any) -> list[object]:
    """Schema and columns, whatever the chunks, offsets and bytes under nulls."""
    parts: list[object] = [table.num_rows, table.schema.metadata]
    for field, column in zip(table.schema, table.columns, strict=True):
        parts += [field.name, field.nullable, field.metadata, *_array_content(column)]
    return parts


def _array_content(array: Any) -> list[object]:
    kind = array.type
    head = [str(kind), len(array)]
    if pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
    if pa.types.is_temporal(array.type) and array.type.bit_width in (32, 64):
        array = array.cast(pa.int64() if array.type.bit_width == 64 else pa.int32())
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return [*head, array.to_pylist()]
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    filled = array.fill_null(0) if array.null_count else array
    if isinstance(filled, pa.ChunkedArray):
        return [*head, filled.to_numpy(), missing]
    return [*head, filled.to_numpy(zero_copy_only=False), missing]


_codecs = {
    pa.Table: Codec(TABLE, _table, _table_back, _table_content),
    pa.RecordBatch: Codec(BATCH, _table, _batch_back, _table_content),
    pa.ChunkedArray: Codec(CHUNKED, _array, _chunked_back, _array_content),
}
_arrays = Codec(ARRAY, _array, _array_back, _array_content)

CODECS = (*_codecs.values(), _arrays)


def find(kind: type) -> Codec | None:
    """The codec of a type of pyarrow's own."""
    if kind in _codecs:
        return _codecs[kind]
    is_array = issubclass(kind, pa.Array) and not issubclass(kind, pa.ExtensionArray)
    return _arrays if is_array else None
