"""Python object → `model.Value`: the walk through containers, references and keys.

Belongs here: what is done once per container or value. Does not belong here: how a particular type
is taken apart (`stdlib`, `classes`, `for_…`), or what is done with the value afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from coflux.blobs import Blobs
from coflux.errors import NotSerialisable
from coflux.model import Reference, Value
from coflux.values.classes import importable
from coflux.values.format import (
    BIG_INT,
    BUFFER,
    CLASS,
    CLASS_BY_VALUE,
    DICT,
    FROZENSET,
    MARKER,
    NAN,
    NESTING,
    PICKLED,
    PICKLES,
    PLAIN,
    REFERENCE,
    SECRET,
    SET,
    SURROGATES,
    TAGS,
    TUPLE,
    Buffer,
    ClassName,
    Codec,
    Ext,
    Misfit,
    pack,
    pack_sorted,
    type_name,
)
from coflux.values.pickles import Unpicklable, dump
from coflux.values.previews import key_text, preview
from coflux.values.registry import find

#: Encoded data longer than this becomes a blob, in bytes.
INLINE_LIMIT = 4096

_PREVIEW_SCALAR = 190
_sha256 = hashlib.sha256


def encode(
    obj: object,
    *,
    blobs: Blobs | None,
    inline_limit: int = INLINE_LIMIT,
    path: str = "value",
) -> Value:
    """Encode any Python object.

    Args:
        obj: the object. Handles in it become references.
        blobs: where encoded data above `inline_limit` goes; None keeps all of it in the value.
        inline_limit: bytes of encoded data kept in the value itself.
        path: what to call the object in errors (`result`, `argument city`).

    Raises:
        NotSerialisable: naming the path inside the object and the type found there.
    """
    kind = type(obj)
    if kind in PLAIN:
        try:
            data = pack(obj if obj == obj else NAN)
        except (OverflowError, UnicodeEncodeError):
            pass
        else:
            if len(data) <= inline_limit or blobs is None:
                sha = _sha256(data).digest()
                text = repr(obj) if len(data) < _PREVIEW_SCALAR else preview(obj)
                name = kind.__name__
                return Value(data=data, size=len(data), key=sha, type=name, preview=text)
    try:
        try:
            return _encode(obj, blobs, inline_limit, careful=False)
        except (OverflowError, UnicodeEncodeError):
            return _encode(obj, blobs, inline_limit, careful=True)
    except Misfit as misfit:
        raise misfit.named(path) from misfit.__cause__


def _encode(obj: object, blobs: Blobs | None, inline_limit: int, careful: bool) -> Value:
    walk = Walk(careful=careful)
    tree = walk.lower(obj)
    data = pack(walk.document(tree, _pickles(walk, obj)))
    blob = None
    if len(data) > inline_limit and blobs is not None:
        blob = blobs.put_bytes(data)
    key = None if walk.unkeyable else _key(walk, obj, tree, data, blob)
    return Value(
        format="pickle" if walk.odd else "native",
        data=data if blob is None else None,
        blob=blob,
        size=len(data),
        references=tuple(walk.references),
        key=key,
        unkeyable=walk.unkeyable,
        type=type_name(type(obj)),
        preview=preview(obj),
    )


def _key(walk: Walk, obj: object, tree: object, data: bytes, blob: str | None) -> bytes | None:
    """SHA-256 of the canonical form, which mostly is the data itself."""
    if walk.differs:
        again = Walk(careful=walk.careful, canonical=True)
        canonical = again.document(again.lower(obj))
        walk.unkeyable = again.unkeyable
        return None if again.unkeyable else _sha256(pack_sorted(canonical)).digest()
    if walk.shuffled:
        return _sha256(pack_sorted(walk.document(tree))).digest()
    return bytes.fromhex(blob) if blob is not None else _sha256(data).digest()


def _pickles(walk: Walk, obj: object) -> bytes | None:
    """All odd objects of the value in one pickle, so that they keep what they share."""
    if not walk.odd:
        return None
    try:
        return dump(walk.odd, walk.references)
    except Unpicklable as error:
        # Walk again, up to the object at fault, to learn its path.
        trap = Walk(careful=walk.careful)
        trap.trap = error
        trap.lower(obj)
        raise AssertionError("the second walk met other objects than the first") from error


class Walk:
    """One pass over an object: from Python types down to what msgpack holds.

    With `canonical` the outcome is the form that the key is taken from: dict items in order, and
    the `content` of codecs instead of their data. With `ordering` it only serves to sort: a
    reference then stands by its id, since it has no position yet.
    """

    def __init__(
        self, *, careful: bool = False, canonical: bool = False, ordering: bool = False
    ) -> None:
        #: Check each int and str: one of them is more than msgpack can hold.
        self.careful = careful
        self.canonical = canonical
        self.ordering = ordering
        #: In the order of the canonical form, whatever the order of dicts; repeated when repeated.
        self.references: list[Reference] = []
        #: Objects that are pickled.
        self.odd: list[object] = []
        #: Type of the first pickled object that the key would need.
        self.unkeyable: str | None = None
        #: The tree holds extensions.
        self.marked = False
        #: A map's keys are not in order; otherwise the data is canonical.
        self.shuffled = False
        #: The canonical form needs a walk of its own.
        self.differs = False
        self.trap: Unpicklable | None = None
        self._active: set[int] = set()
        self._by_value: dict[type, object] = {}

    def document(self, tree: object, pickles: bytes | None = None) -> object:
        """The whole document for a tree of this walk."""
        if pickles is not None:
            return [MARKER, Ext(PICKLES, pickles), tree]
        return [MARKER, tree] if self.marked else tree

    # One frame for each level: with more, 500 levels would pass the interpreter's own limit.
    def lower(self, obj: Any) -> object:
        """The tree for one object."""
        kind = type(obj)
        if kind in PLAIN:
            return self._scalar(obj, kind)
        if len(self._active) >= NESTING:
            raise Misfit(type_name(kind), f"is nested more than {NESTING} levels deep")
        names: list[str] | None = None
        places: list[int] | None = None
        codec: Codec | None = None
        children: Iterable[object]
        out: list[object] = []
        if kind is list:
            children = obj
            if not self.careful and _all_plain(children):
                return obj
        elif kind is tuple:
            out.append(TAGS[TUPLE])
            children = obj
        elif kind is dict:
            names = self._names(obj)
            if names is not None:
                children = [obj[name] for name in names]
                if not self.careful and _all_plain(children):
                    return obj
            else:
                out.append(TAGS[DICT])
                children, places = self._pairs(obj)
        elif kind is set or kind is frozenset:
            out.append(TAGS[SET if kind is set else FROZENSET])
            children = self._sorted(obj)
        else:
            if (lowered := self._special(obj, kind)) is not None:
                return lowered
            codec = find(kind)
            exploded = None if codec is None else self._explode(codec, obj)
            if codec is None or exploded is None:
                return self._odd(obj)
            children = exploded
            out.append(TAGS[codec.code])

        active = self._active
        if id(obj) in active:
            raise Misfit(type_name(kind), "contains itself, and cyclic values cannot be encoded")
        active.add(id(obj))
        if out:
            self.marked = True
        offset = len(out)
        try:
            for child in children:
                of = type(child)
                if of not in PLAIN or self.careful:
                    out.append(self.lower(child))
                elif of is float:
                    out.append(child if child == child else NAN)
                else:
                    out.append(child)
        except Misfit as misfit:
            misfit.steps.append(_step(obj, codec, names, places, len(out) - offset))
            raise
        active.discard(id(obj))

        if names is not None:
            values = dict(zip(names, out, strict=True))
            return {name: values[name] for name in obj} if self.shuffled else values
        if places is not None and not self.canonical:
            return _replaced(out, places)
        return out

    def _special(self, obj: Any, kind: type) -> object:
        """The tree of what is neither container nor codec's: handles, secrets, parts of nodes."""
        if kind is Buffer:
            self.marked = True
            return Ext(BUFFER, obj.data)
        if kind is ClassName:
            return self._class(obj)
        if kind is Reference:
            return self._reference(obj)
        if hasattr(kind, "__coflux_reference__"):
            try:
                return self._reference(obj.__coflux_reference__())
            except NotSerialisable as error:
                raise Misfit(type_name(kind), f"cannot be encoded: {error}") from error
        if hasattr(kind, "__coflux_secret__"):
            self.marked = True
            return [TAGS[SECRET], obj.__coflux_secret__()]
        return None

    def _scalar(self, obj: Any, kind: type) -> object:
        if kind is float:
            return obj if obj == obj else NAN
        if kind is int and not -(1 << 63) <= obj < 1 << 64:
            self.marked = True
            size = obj.bit_length() // 8 + 1
            return Ext(BIG_INT, obj.to_bytes(size, "big", signed=True))
        if kind is str and not _encodable(obj):
            self.marked = True
            return Ext(SURROGATES, obj.encode("utf-8", "surrogatepass"))
        return obj

    def _names(self, mapping: dict[Any, object]) -> list[str] | None:
        """The keys in order, when all are str that msgpack can hold."""
        names = list(mapping)
        if not {str}.issuperset(map(type, names)):
            return None
        if self.careful and not all(map(_encodable, names)):
            return None
        ordered = sorted(names)
        if ordered != names:
            self.shuffled = True
        return ordered

    def _pairs(self, mapping: dict[Any, object]) -> tuple[list[object], list[int]]:
        """Keys and values in canonical order, and the place of each pair in the dict."""
        items = list(mapping.items())
        keys = self._orders(mapping)
        places = sorted(range(len(items)), key=keys.__getitem__)
        if any(place != position for position, place in enumerate(places)):
            self.differs = True
        return [part for place in places for part in items[place]], places

    def _sorted(self, items: Iterable[object]) -> list[object]:
        members = list(items)
        keys = self._orders(members)
        return [members[place] for place in sorted(range(len(members)), key=keys.__getitem__)]

    def _orders(self, items: Iterable[object]) -> list[Any]:
        """What to sort set members and dict keys by."""
        kinds = set(map(type, items))
        if len(kinds) == 1 and kinds <= {str, int, bytes}:
            return list(items)
        return [self._order(item) for item in items]

    def _order(self, obj: object) -> bytes:
        """The canonical encoding of a set's member or a dict's key by itself."""
        walk = Walk(careful=True, canonical=True, ordering=True)
        # A circle may lead through a member (a dataclass in a set of its own).
        walk._active = set(self._active)
        return pack_sorted(walk.lower(obj))

    def _explode(self, codec: Codec, obj: object) -> Sequence[object] | None:
        if codec.content is not None:
            if self.canonical:
                return codec.content(obj)
            if codec.differs is None or codec.differs(obj):
                self.differs = True
        return codec.explode(obj)

    def _reference(self, reference: Any) -> object:
        self.marked = True
        if self.ordering:
            return Ext(REFERENCE, f"{reference.kind} {reference.id}".encode())
        self.references.append(reference)
        return Ext(REFERENCE, (len(self.references) - 1).to_bytes(4, "big"))

    def _class(self, name: ClassName) -> object:
        self.marked = True
        cls = name.cls
        text = f"{cls.__module__}:{cls.__qualname__}"
        if self.canonical or importable(cls):
            return Ext(CLASS, text.encode())
        self.differs = True
        if cls not in self._by_value:
            self._by_value[cls] = [TAGS[CLASS_BY_VALUE], text, self._pickled(cls)]
        return self._by_value[cls]

    def _odd(self, obj: object) -> object:
        if self.ordering:
            return type_name(type(obj))
        if self.unkeyable is None:
            self.unkeyable = type_name(type(obj))
        return self._pickled(obj)

    def _pickled(self, obj: object) -> object:
        self.marked = True
        index = len(self.odd)
        if self.trap is not None and self.trap.index == index:
            misfit = Misfit(self.trap.type_name, self.trap.reason)
            misfit.steps.extend(reversed(self.trap.steps))
            raise misfit from self.trap.__cause__
        self.odd.append(obj)
        return Ext(PICKLED, index.to_bytes(4, "big"))


def _all_plain(items: Iterable[object]) -> bool:
    """Whether all items can go to msgpack together, at its speed."""
    kinds = set(map(type, items))
    if not kinds <= PLAIN:
        return False
    return float not in kinds or not any(item != item for item in items)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _replaced(out: list[object], places: list[int]) -> list[object]:
    """Pairs moved from canonical order to the dict's own."""
    moved = list(out)
    for position, place in enumerate(places):
        moved[1 + 2 * place : 3 + 2 * place] = out[1 + 2 * position : 3 + 2 * position]
    return moved


def _step(
    obj: Any, codec: Codec | None, names: list[str] | None, places: list[int] | None, position: int
) -> str:
    """The path from a container to its child, as one would write it."""
    if codec is not None:
        return codec.step(obj, position)
    if names is not None:
        return f"[{key_text(names[position])}]"
    if places is not None:
        key = key_text(list(obj)[places[position // 2]])
        return f"[{key}]" if position % 2 else f".keys()[{key}]"
    return f"[{position}]" if isinstance(obj, (list, tuple)) else "{…}"
