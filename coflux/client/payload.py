"""What is inside requests and answers about calls: arguments and values, encoded and decoded.

Belongs here: the way from Python calls to bodies of submissions, and from stored values back.
Does not belong here: sending them, and the encoding of a value as such (`coflux.values`).
"""

from __future__ import annotations

import inspect
import math
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from coflux.errors import NotFound
from coflux.model import (
    OWN_KEY,
    AssetManifest,
    Definition,
    Options,
    RetryPolicy,
    Submission,
    Value,
)

if TYPE_CHECKING:
    from coflux.client.client import Client

#: Arguments whose JSON is longer than this, in bytes, go as values (the longest body is 8 MiB).
_JSON_LIMIT = 1024 * 1024
_SCALARS = (str, bool, type(None))
_NESTING = 100

_KINDS = {
    "positional": inspect.Parameter.POSITIONAL_ONLY,
    "normal": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "args": inspect.Parameter.VAR_POSITIONAL,
    "keyword": inspect.Parameter.KEYWORD_ONLY,
    "kwargs": inspect.Parameter.VAR_KEYWORD,
}


# --- calls ------------------------------------------------------------------------------------


def own_key() -> str:
    """An idempotency key for one submission, by which it can be sent again."""
    return OWN_KEY + secrets.token_hex(16)


def run_body(
    client: Client,
    target: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    """The body of a submission, without environment and idempotency key.

    A target by name with arguments of JSON is bound by the server (SU-2). Other arguments are
    encoded here, which needs the signature: a target object's own, or the manifest's.
    """
    if not isinstance(target, str):
        from coflux.target import Target

        if not isinstance(target, Target):
            raise TypeError(
                'submit() takes a decorated function or "repository/target", not'
                f" {type(target).__name__}"
            )
        submission = target.submission(args, kwargs, _encoder(client))
        return {"submission": _with_options(submission, options)}
    if is_json(args) and is_json(kwargs) and _fits([args, kwargs]):
        body = {"target": target, "arguments": args, "keyword_arguments": kwargs}
        return {**body, "options": options} if options else body
    submission = _bound_by_manifest(client, target, args, kwargs)
    return {"submission": _with_options(submission, options)}


def encode_body(body: Mapping[str, Any]) -> bytes:
    """A body that may hold records, as JSON."""
    return msgspec.json.encode(body)


def is_json(value: Any, depth: int = 0) -> bool:
    """Whether JSON gives the very same value back."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is int:
        return bool(-(1 << 63) <= value < 1 << 63)
    if kind is float:
        return isinstance(value, float) and math.isfinite(value)
    if depth > _NESTING:
        return False
    if kind is list or (kind is tuple and depth == 0):
        return all(is_json(item, depth + 1) for item in value)
    if kind is dict:
        return all(type(k) is str and is_json(v, depth + 1) for k, v in value.items())
    return False


def _fits(arguments: list[Any]) -> bool:
    try:
        return len(msgspec.json.encode(arguments)) < _JSON_LIMIT
    except UnicodeEncodeError:
        # Half of a surrogate pair has no place in JSON.
        return False


def _with_options(submission: Submission, given: dict[str, Any]) -> Submission:
    if not given:
        return submission
    changes = dict(given)
    if isinstance(changes.get("retries"), int):
        limit = int(changes["retries"])
        changes["retries"] = RetryPolicy(limit) if limit else None
    options: Options = msgspec.structs.replace(submission.options, **changes)
    return msgspec.structs.replace(submission, options=options)


def _bound_by_manifest(
    client: Client, target: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Submission:
    repository, _, name = target.rpartition("/")
    definition = find_definition(client, repository, name)
    if definition is None:
        raise NotFound(
            f"{target} is not registered in {client.environment};"
            " `coflux manifests list` shows what is"
        )
    signature = _signature(definition)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{target}: {error}") from None
    encode = _encoder(client)
    empty: dict[str, Any] = {"args": (), "kwargs": {}}
    arguments: dict[str, Value] = {}
    for parameter in definition.parameters:
        if parameter.name in bound.arguments:
            arguments[parameter.name] = encode(bound.arguments[parameter.name], parameter.name)
        elif parameter.kind in empty:
            arguments[parameter.name] = encode(empty[parameter.kind], parameter.name)
        elif parameter.default is not None:
            arguments[parameter.name] = parameter.default
    return Submission(
        repository=repository,
        target=name,
        type=definition.type,
        arguments=arguments,
        options=definition.options,
        code=definition.code,
    )


def find_definition(client: Client, repository: str, name: str) -> Definition | None:
    """The definition of a target in the environment's manifests."""
    manifest = client.manifests().get(repository)
    for each in (manifest or {}).get("targets", ()):
        if each["name"] == name:
            return msgspec.convert(each, Definition, strict=False)
    return None


def _signature(definition: Definition) -> inspect.Signature:
    return inspect.Signature(
        [
            inspect.Parameter(
                parameter.name,
                _KINDS[parameter.kind],
                default=inspect.Parameter.empty if parameter.default is None else parameter.default,
            )
            for parameter in definition.parameters
        ]
    )


# --- values -----------------------------------------------------------------------------------


def _encoder(client: Client) -> Any:
    from coflux import values

    def encode(obj: object, path: str) -> Value:
        return values.encode(obj, blobs=client.blobs, path=path)

    return encode


def decode_value(client: Client, value: Value) -> Any:
    """The object, with handles that ask the current client."""
    from coflux import values
    from coflux.handles import make_handle
    from coflux.secret import Secret

    return values.decode(value, blobs=client.blobs, make_handle=make_handle, make_secret=Secret)


def bound_arguments(
    client: Client, answer: Mapping[str, Any], signature: inspect.Signature | None
) -> inspect.BoundArguments:
    """The stored arguments of a step, decoded and bound.

    Without a `signature` the manifest's is taken; a task has none there, and its parameters then
    count as plain ones. What was left to a default that has no encoding stays unbound.
    """
    stored: dict[str, Value] = msgspec.convert(answer["arguments"], dict[str, Value], strict=False)
    if signature is None:
        repository, _, name = str(answer["target"]).rpartition("/")
        definition = find_definition(client, repository, name)
        signature = _signature(definition) if definition else _plain_signature(stored)
    decoded = {
        name: decode_value(client, value)
        for name, value in stored.items()
        if value.format != "default" and name in signature.parameters
    }
    return inspect.BoundArguments(signature, decoded)


def _plain_signature(names: Mapping[str, Value]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def asset_manifest(answer: Mapping[str, Any]) -> AssetManifest:
    """The files of an asset in an answer."""
    return msgspec.convert(answer, AssetManifest, strict=False)


def open_blobs(client: Client) -> Any:
    """The project's blobs over HTTP."""
    from coflux.blobs import HttpBlobs

    return HttpBlobs(f"{client.host}{client.prefix}/blobs", client.transport.token)
