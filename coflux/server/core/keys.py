"""The keys by which calls are equal (CA-2 to CA-4, ME-1), from values' own keys and references.

Belongs here: how a key is put together. Does not belong here: what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coflux.model import Reference, Submission, Value, content_hash, digest
from coflux.server.core.state import State

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
    #: A handle in it was not resolved, so it is worth asking again when ready (CA-5).
    is_provisional: bool = False


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
    memo = submission.options.memo
    params = memo if isinstance(memo, tuple) else tuple(submission.arguments)
    hashes = []
    for name in params:
        content = _content(submission.arguments[name], isinstance(memo, tuple))
        if content is None:
            return None, _problem(name, submission.arguments[name])
        hashes += [name.encode(), content]
    target = f"{submission.repository}:{submission.target}"
    return digest(FORMAT, b"memo", target.encode(), *hashes), ""


def same_references(state: State, one: Submission, other: Submission) -> bool:
    """Whether the references of two calls of one memo shape lead to the same things now."""
    memo = one.options.memo
    params = memo if isinstance(memo, tuple) else tuple(one.arguments)
    return all(
        [identity(state, r) for r in one.arguments[name].references]
        == [identity(state, r) for r in other.arguments[name].references]
        for name in params
    )


def identity(state: State, reference: Reference) -> str:
    """What a reference counts as in a key (CA-3)."""
    if reference.kind == "execution":
        return state.end_of(reference.id)[0]
    if reference.kind == "asset" and reference.id in state.assets:
        return state.assets[reference.id].digest
    return reference.id


def _finish(state: State, submission: Submission, params: tuple[str, ...] | None, key: Key) -> Key:
    for name in params if params is not None else tuple(submission.arguments):
        value = submission.arguments[name]
        content = _content(value, params is not None)
        if content is None:
            key.problem = _problem(name, value)
            return key
        key.parts[f"parameter {name}"] = _part(state, value, content)
        key.is_provisional = key.is_provisional or _is_provisional(state, value)
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
    identities = [f"{r.kind}:{identity(state, r)}".encode() for r in value.references]
    return digest(content, *identities)


def _is_provisional(state: State, value: Value) -> bool:
    return any(r.kind == "execution" and not state.is_resolved(r.id) for r in value.references)


def _problem(name: str, value: Value) -> str:
    kind = (
        "with a default that has no native encoding"
        if value.format == "default"
        else (f"of type {value.unkeyable or value.type}")
    )
    return f"argument {name} {kind} cannot be keyed"
