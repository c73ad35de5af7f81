"""JSON schemas of inputs: whether one can be used, and whether an answer fits it (IN-4).

Nothing is ever fetched: a schema refers to parts of itself only. Belongs here: what the library
for schemas is asked, and its words for people. Does not belong here: what becomes of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from coflux.errors import InvalidRequest
from coflux.model import Question

#: Problems that are told at once.
_SHOWN = 5
#: Longest title, label or key; longest template and message, in characters.
_SHORT, _LONG = 200, 16 * 1024


def check_question(question: Question) -> None:
    """Raise `InvalidRequest` for a question that cannot be asked."""
    for name, text, limit in (
        ("template", question.template, _LONG), ("message", question.message, _LONG),
        ("title", question.title or "", _SHORT), ("key", question.key or "", _SHORT),
        ("actions", question.actions[0], _SHORT), ("actions", question.actions[1], _SHORT),
    ):  # fmt: skip
        if len(text) > limit:
            raise InvalidRequest(
                f"the prompt's {name} has {len(text):,} characters; {limit:,} are the limit"
            )
    if question.schema is None:
        if question.initial is not None:
            raise InvalidRequest("an initial value needs a schema or a model")
        return
    schema = _decoded(question.schema, "schema")
    check_schema(schema)
    if question.initial is not None:
        initial = _decoded(question.initial, "initial value")
        problems = [p for p in _problems(schema, initial) if not _is_only_missing(p)]
        if problems:
            raise InvalidRequest(f"the initial value does not fit: {_told(problems, 'initial')}")


def check_schema(schema: Any) -> None:
    """Raise `InvalidRequest` for what is no schema, or refers to anything outside itself."""
    foreign = next((ref for ref in _references(schema) if not ref.startswith("#")), None)
    if foreign is not None:
        raise InvalidRequest(
            f"the schema refers to {foreign!r}; schemas are never fetched, so put the part into"
            " `$defs` and refer to it as `#/$defs/…`"
        )
    jsonschema = _library()
    try:
        jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator).check_schema(
            schema
        )
    except jsonschema.SchemaError as error:
        where = "".join(f".{part}" for part in error.absolute_path)
        raise InvalidRequest(f"the schema is not valid at schema{where}: {error.message}") from None
    except RecursionError:
        raise InvalidRequest("the schema is nested too deeply") from None


def check_answer(schema: str | None, answer: Any) -> None:
    """Raise `InvalidRequest` with path and reason where an answer does not fit."""
    if schema is None:
        return
    problems = list(_problems(_decoded(schema, "schema"), answer))
    if problems:
        first = problems[0]
        raise InvalidRequest(
            f"The answer does not fit: {_told(problems, 'value')}.", field=_path(first, "value")
        )


def _problems(schema: Any, answer: Any) -> Iterator[Any]:
    jsonschema = _library()
    import referencing

    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    validator = kind(
        schema, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER
    )  # fmt: skip
    try:
        yield from sorted(validator.iter_errors(answer), key=lambda e: [*map(str, e.path)])
    except referencing.exceptions.Unresolvable as error:
        raise InvalidRequest(f"the schema refers to {error.ref!r}, which it has not") from None
    except RecursionError:
        raise InvalidRequest("the answer cannot be compared with the schema: no end") from None


def _told(problems: list[Any], root: str) -> str:
    told = [f"{_path(problem, root)}: {_reason(problem)}" for problem in problems[:_SHOWN]]
    rest = len(problems) - len(told)
    return "; ".join(told) + (f"; and {rest} more" if rest > 0 else "")


def _reason(problem: Any) -> str:
    text = str(problem.message)
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"


def _path(problem: Any, root: str) -> str:
    parts = (f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem.absolute_path)
    return root + "".join(parts)


def _is_only_missing(problem: Any) -> bool:
    """Whether all that is wrong is that something required is not there (yet)."""
    if problem.validator == "required":
        return True
    if problem.validator not in ("anyOf", "oneOf", "allOf") or not problem.context:
        return False
    branches: dict[Any, list[Any]] = {}
    for each in problem.context:
        branches.setdefault(each.schema_path[0] if each.schema_path else 0, []).append(each)
    return any(all(_is_only_missing(each) for each in branch) for branch in branches.values())


def _references(schema: Any) -> Iterator[str]:
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            for name in ("$ref", "$dynamicRef", "$recursiveRef"):
                if isinstance(part.get(name), str):
                    yield part[name]
            todo += part.values()
        elif isinstance(part, list):
            todo += part


def _decoded(text: str, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"the {what} is not JSON: {error}") from None


def _library() -> Any:
    # Late, and optional: a server that is never asked with a schema does without.
    try:
        import jsonschema
    except ImportError:
        raise InvalidRequest(
            "this server cannot check answers against a schema: install coflux-jupyter[inputs]"
            " where the server runs, or leave out `model` and `schema`"
        ) from None
    return jsonschema


def missing_tags(requires: dict[str, Any], tags: dict[str, tuple[str, ...]] | None) -> list[str]:
    """Tags that a responder needs and has not (IN-5); None = has all there are."""
    if tags is None:
        return []
    return [
        f"{key}:{'|'.join(wanted) if isinstance(wanted, Iterable) else 'any'}"
        for key, wanted in requires.items()
        if wanted not in ((), False)
        and not (
            key in tags if wanted is True else set(tags.get(key, ())) & set(wanted)
        )
    ]  # fmt: skip
