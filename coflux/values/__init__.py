"""Python objects ↔ `coflux.model.Value`.

Objects come back exactly as they were, equal content always has the same key, and what the server
needs of a value it gets without running anyone's code. Belongs here: encoding, decoding, keys,
previews. Does not belong here: where bytes are kept (`coflux.blobs`), what a key is used for.

Handles take part by a protocol: objects of a class with `__coflux_reference__(self) -> Reference`
become references, those of one with `__coflux_secret__(self) -> str` are held by that name.
"""

from coflux.values.decode import decode
from coflux.values.encode import INLINE_LIMIT, encode
from coflux.values.format import type_name
from coflux.values.jsons import JSON_LIMIT, from_json, pickled_by, to_json
from coflux.values.previews import cut, preview

__all__ = [
    "INLINE_LIMIT",
    "JSON_LIMIT",
    "cut",
    "decode",
    "encode",
    "from_json",
    "pickled_by",
    "preview",
    "to_json",
    "type_name",
]
