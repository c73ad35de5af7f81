"""Submissions by name: JSON arguments bound to the registered signature (SU-1, SU-2).

Belongs here: binding and encoding on the server's side for callers that have no Python object.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from coflux.blobs import LocalBlobs
from coflux.errors import InvalidRequest, NotFound
from coflux.model import Definition, Options, Parameter, RetryPolicy, Submission, Value, digest
from coflux.server.bodies import NewRun, RunOptions
from coflux.server.core import bounds
from coflux.server.core.entities import Environment
from coflux.server.core.submission import find_definition, nearest
from coflux.values import encode

_KINDS = {
    "positional": inspect.Parameter.POSITIONAL_ONLY,
    "normal": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "args": inspect.Parameter.VAR_POSITIONAL,
    "keyword": inspect.Parameter.KEYWORD_ONLY,
    "kwargs": inspect.Parameter.VAR_KEYWORD,
}
_to_bytes = msgspec.msgpack.Encoder(order="deterministic").encode


def submission_of(body: NewRun, environment: Environment, blobs: LocalBlobs) -> Submission:
    """The call that the body describes, bound to the environment's current manifest."""
    submission = _submission_of(body, environment, blobs)
    check_options(submission.options)
    for value in submission.arguments.values():
        if value.blob is not None:
            # Perhaps sent long ago, and needed by nothing until now.
            blobs.renew(value.blob)
    return submission


def check_options(options: Options) -> None:
    """Raise `InvalidRequest` for options out of bounds (LI-1).

    The core does so as well; but what is too big for a record never gets there.
    """
    problem = bounds.problem_of_options(options)
    if problem is not None:
        raise InvalidRequest(problem.message + ".", field=f"options.{problem.field}")


def _submission_of(body: NewRun, environment: Environment, blobs: LocalBlobs) -> Submission:
    if body.submission is not None:
        options = with_options(body.submission.options, body.options)
        return msgspec.structs.replace(body.submission, options=options)
    if not body.target:
        raise InvalidRequest("Give `target` or `submission`.", field="target")
    repository, _, name = body.target.rpartition("/")
    if not repository:
        raise InvalidRequest(
            f"Name the target as repository/target, not {body.target!r}.", field="target"
        )
    definition = registered(environment, repository, name)
    return Submission(
        repository, name, definition.type,
        bind(definition, body.arguments, body.keyword_arguments, blobs),
        with_options(definition.options, body.options), code=definition.code,
    )  # fmt: skip


def registered(environment: Environment, repository: str, name: str) -> Definition:
    """The target as it is registered; raises `NotFound` with the nearest name (SU-2)."""
    definition, problem = find_definition(environment, repository, name)
    if definition is None:
        raise NotFound(
            problem[:1].upper() + problem[1:] + _how_to_register(problem), field="target"
        )
    return definition


def fingerprint(submission: Submission) -> bytes:
    """What makes two requests with one idempotency key the same (SU-4).

    That is target, bound arguments and options, however they were written: by name or with the
    function at hand.
    """
    arguments = [
        (name, value.key or (value.format, value.data, value.blob), value.references)
        for name, value in submission.arguments.items()
    ]
    options = submission.options
    if options.retries is not None and options.retries.limit == 0:
        options = msgspec.structs.replace(options, retries=None)
    what = (submission.repository, submission.target, submission.type, arguments, options)
    return digest(_to_bytes(what))


def with_options(options: Options, given: RunOptions) -> Options:
    """A target's options with what this submission sets for itself (SU-3)."""
    changes = {
        name: value
        for name in RunOptions.__struct_fields__
        if (value := getattr(given, name)) is not UNSET
    }
    if isinstance(changes.get("retries"), int):
        changes["retries"] = RetryPolicy(limit=changes["retries"])
    return msgspec.structs.replace(options, **changes)


def bind(
    definition: Definition, arguments: list[Any], keywords: dict[str, Any], blobs: LocalBlobs
) -> dict[str, Value]:
    """All parameters with their values, in signature order."""
    signature = inspect.Signature([_parameter(p) for p in definition.parameters])
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise InvalidRequest(
            f"{_message(definition, keywords, str(error))} Its signature is "
            f"{definition.name}{describe(definition)}.",
            field="arguments",
        ) from None
    return {p.name: _value(p, bound.arguments, blobs) for p in definition.parameters}


def bind_given(
    definition: Definition, arguments: list[Any], keywords: dict[str, Any], blobs: LocalBlobs
) -> dict[str, Value]:
    """Only the parameters that arguments are given for, all of which must fit."""
    every = bind(definition, arguments, keywords, blobs)
    signature = inspect.Signature([_parameter(p) for p in definition.parameters])
    given = signature.bind(*arguments, **keywords).arguments
    return {name: value for name, value in every.items() if name in given}


def complete(
    definition: Definition, given: Mapping[str, Value], blobs: LocalBlobs | None
) -> dict[str, Value]:
    """All parameters, with defaults for those not given.

    Raises `InvalidRequest` where the arguments do not fit the signature (any more).
    """
    names = [parameter.name for parameter in definition.parameters]
    unknown = next((name for name in given if name not in names), None)
    if unknown is not None:
        raise InvalidRequest(
            f"{definition.name}{describe(definition)} has no parameter {unknown!r}"
            f"{nearest(unknown, names) or '.'}",
            field="arguments",
        )
    missing = next((p.name for p in definition.parameters if _is_missing(p, given)), None)
    if missing is not None:
        raise InvalidRequest(
            f"{definition.name}{describe(definition)} needs an argument {missing!r}.",
            field="arguments",
        )
    return {
        p.name: given[p.name] if p.name in given else _value(p, {}, blobs)
        for p in definition.parameters
    }


def _is_missing(parameter: Parameter, given: Mapping[str, Value]) -> bool:
    is_optional = parameter.default is not None or parameter.kind in ("args", "kwargs")
    return not is_optional and parameter.name not in given


def describe(definition: Definition) -> str:
    """The signature as a person writes it."""
    return "(" + ", ".join(_shown(p) for p in definition.parameters) + ")"


def _parameter(parameter: Parameter) -> inspect.Parameter:
    has_default = parameter.default is not None and parameter.kind not in ("args", "kwargs")
    default = None if has_default else inspect.Parameter.empty
    return inspect.Parameter(parameter.name, _KINDS[parameter.kind], default=default)


def _value(parameter: Parameter, bound: dict[str, Any], blobs: LocalBlobs | None) -> Value:
    if parameter.name in bound:
        return encode(bound[parameter.name], blobs=blobs, path=parameter.name)
    if parameter.kind == "args":
        return encode((), blobs=blobs)
    if parameter.kind == "kwargs":
        return encode({}, blobs=blobs)
    assert parameter.default is not None
    return parameter.default


def _shown(parameter: Parameter) -> str:
    prefix = {"args": "*", "kwargs": "**"}.get(parameter.kind, "")
    annotation = f": {parameter.annotation}" if parameter.annotation else ""
    default = f" = {parameter.default.preview}" if parameter.default is not None else ""
    return f"{prefix}{parameter.name}{annotation}{default}"


def _message(definition: Definition, keywords: dict[str, Any], problem: str) -> str:
    names = [p.name for p in definition.parameters]
    unknown = next((k for k in keywords if k not in names), None)
    if unknown is not None and not any(p.kind == "kwargs" for p in definition.parameters):
        problem = f"there is no parameter {unknown!r}{nearest(unknown, names)}"
    return f"The arguments do not fit {definition.name}: {problem}{_end(problem)}"


def _end(sentence: str) -> str:
    return "" if sentence.endswith("?") else "."


def _how_to_register(problem: str) -> str:
    if problem.endswith("?"):
        return ""
    return ": register it with `coflux register` or run an agent with `--register`."
