"""The keys by which calls are equal (CA-2 to CA-4, ME-1, DF-1), from values' keys and references.

Belongs here: how a key is put together. Does not belong here: what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from coflux.model import Question, Selection, Submission, Value, content_hash, digest
from coflux.server.core.entities import MemoKey
from coflux.server.core.state import State, memo_references, references_in

#: Changes whenever the way a key is made changes, so that old keys cannot match by accident.
FORMAT = b"coflux-key-1"


@dataclass(slots=True)
class Key:
    """A key with the hashes of its parts, or the reason why there is none."""

    digest: bytes | None = None
    namespace: str = ""
    parts: dict[str, bytes] = field(default_factory=dict)
    #: "argument x of type T cannot be keyed".
    problem: str = ""


def cache_key(state: State, submission: Submission) -> Key:
    """The cache key of a call as things are now."""
    policy = submission.options.cache
    assert policy is not None
    key = Key(namespace=policy.namespace or f"{submission.repository}:{submission.target}")
    if policy.version is not None:
        key.parts["version"] = digest(policy.version.encode())
    if policy.code:
        key.parts["code"] = digest((submission.code or "").encode())
    return _finish(state, submission, policy.params, key)


def memo_shape(submission: Submission) -> tuple[bytes | None, str]:
    """The memo key without what references lead to (that is compared at lookup), or the problem."""
    return _shape(submission, submission.options.memo, b"memo")


def defer_shape(submission: Submission) -> tuple[bytes | None, str]:
    """The defer key without what references lead to, or the problem."""
    return _shape(submission, submission.options.defer, b"defer")


def input_key(question: Question) -> bytes:
    """By which questions of a run are one (IN-2): the key given, or all but the initial value."""
    if question.key is not None:
        return digest(FORMAT, b"input", b"given", question.key.encode())
    schema = msgspec.json.decode(question.schema) if question.schema is not None else None
    asked = (question.template, schema, question.title, question.actions, question.requires)
    hashes = [_sorted(asked)]
    for name, value in sorted(question.placeholders.items()):
        held = [f"{r.kind}:{r.id}".encode() for r in value.references]
        content = value.key if value.key is not None else content_hash(value)
        hashes.append(digest(name.encode(), content, *held))
    return digest(FORMAT, b"input", b"derived", *hashes)


_sorted = msgspec.json.Encoder(order="sorted").encode


def _shape(
    submission: Submission, selection: Selection | None, kind: bytes
) -> tuple[bytes | None, str]:
    is_named = isinstance(selection, tuple)
    hashes = []
    for name in selection if isinstance(selection, tuple) else tuple(submission.arguments):
        content = _content(submission.arguments[name], is_named)
        if content is None:
            return None, _problem(name, submission.arguments[name])
        hashes.append(content)
    target = f"{submission.repository}:{submission.target}"
    return digest(FORMAT, kind, target.encode(), *hashes), ""


def memo_place(state: State, submission: Submission, shape: bytes) -> MemoKey:
    """The memo key with what references lead to now."""
    return shape, tuple(state.identity(r) for r in memo_references(submission))


def defer_ends(state: State, submission: Submission) -> tuple[str, ...]:
    """What the references in a defer key lead to now."""
    found = references_in(submission, submission.options.defer)
    return tuple(state.identity(reference) for reference in found)


def _finish(state: State, submission: Submission, params: tuple[str, ...] | None, key: Key) -> Key:
    for name in params if params is not None else tuple(submission.arguments):
        value = submission.arguments[name]
        content = _content(value, params is not None)
        if content is None:
            key.problem = _problem(name, value)
            return key
        key.parts[f"parameter {name}"] = _part(state, value, content)
    # Parameter names do not count (CA-2): only the values, in order.
    key.digest = digest(FORMAT, key.namespace.encode(), *_flat(key.parts))
    return key


def _flat(parts: dict[str, bytes]) -> list[bytes]:
    return [
        item for name, value in parts.items() for item in (name.partition(" ")[0].encode(), value)
    ]


def _content(value: Value, is_named: bool) -> bytes | None:
    if value.key is not None:
        return value.key
    return content_hash(value) if is_named and value.format != "default" else None


def _part(state: State, value: Value, content: bytes) -> bytes:
    if not value.references:
        return digest(content)
    identities = [f"{r.kind}:{state.identity(r)}".encode() for r in value.references]
    return digest(content, *identities)


def _problem(name: str, value: Value) -> str:
    kind = (
        "with a default that has no native encoding"
        if value.format == "default"
        else (f"of type {value.unkeyable or value.type}")
    )
    return f"argument {name} {kind} cannot be keyed"
