"""Schemas of inputs: what can be asked with them, and which answers fit (IN-4, IN-5)."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest

from coflux.errors import InvalidRequest
from coflux.model import Question
from coflux.server.schemas import check_answer, check_question, missing_tags

ORDER = json.dumps(
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["count"],
        "$defs": {"line": {"type": "object", "required": ["sku"]}},
    }
)


def question(**fields: Any) -> Question:
    return Question("What?", "What?", **fields)


def test_without_a_schema_any_JSON_is_an_answer() -> None:
    for answer in (None, 1, "x", [], {"a": [None]}):
        check_answer(None, answer)


@pytest.mark.parametrize(
    ("answer", "field", "message"),
    [
        ({}, "value", "'count' is a required property"),
        ({"count": 0}, "value.count", "less than the minimum"),
        ({"count": 1, "lines": [{"sku": 1}, {}]}, "value.lines[1]", "'sku' is a required"),
        ({"count": 1, "day": "tomorrow"}, "value.day", "is not a 'date'"),
        (None, "value", "None is not of type 'object'"),
    ],
)
def test_a_refusal_names_path_and_reason(answer: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as error:
        check_answer(ORDER, answer)
    assert error.value.fields["field"] == field
    assert f"{field}: " in str(error.value)


def test_several_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as error:
        check_answer(ORDER, {"count": "x", "day": 3})
    assert str(error.value).count("is not of type") == 2


@pytest.mark.parametrize(
    "reference",
    ["https://example.org/schema.json", "other.json#/a", "file:///etc/passwd", "urn:x", "item"],
)
def test_schemas_never_fetch_anything(reference: str) -> None:
    schema = json.dumps({"properties": {"a": {"items": [{"$ref": reference}]}}})
    with pytest.raises(InvalidRequest, match="never fetched"):
        check_question(question(schema=schema))
    with pytest.raises(InvalidRequest):  # not even if it had come so far
        check_answer(json.dumps({"$ref": reference}), 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema": '{"type": "number of things"}'}, "schema is not valid at schema.type"),
        ({"schema": "[]"}, "schema is not valid"),
        ({"schema": "{"}, "schema is not JSON"),
        ({"schema": '{"$ref": "#/$defs/none"}', "initial": "1"}, "which it has not"),
        ({"initial": "1"}, "needs a schema"),
        ({"schema": '{"type": "string"}', "initial": "1"}, "initial: 1 is not of type 'string'"),
        ({"title": "x" * 201}, "title has 201 characters"),
        ({"key": "x" * 201}, "key has 201 characters"),
    ],
)
def test_what_cannot_be_asked_says_why(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_question(question(**fields))


@pytest.mark.parametrize("initial", [{}, {"lines": [{}]}, {"count": 3}])
def test_an_initial_value_may_lack_what_is_required(initial: Any) -> None:
    check_question(question(schema=ORDER, initial=json.dumps(initial)))


def test_so_it_may_inside_of_alternatives() -> None:
    schema = json.dumps({"anyOf": [json.loads(ORDER), {"type": "null"}]})
    check_question(question(schema=schema, initial="{}"))
    with pytest.raises(InvalidRequest):
        check_question(question(schema=schema, initial='{"count": "x"}'))


def test_a_schema_that_describes_itself_is_fine_and_one_without_end_is_refused() -> None:
    tree = json.dumps({"type": "object", "additionalProperties": {"$ref": "#"}})
    check_answer(tree, {"a": {"b": {}}})
    with pytest.raises(InvalidRequest, match="no end"):
        check_answer('{"$ref": "#"}', 1)


def test_without_the_library_prompts_with_a_schema_are_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = builtins.__import__

    def without(name: str, *more: Any, **also: Any) -> Any:
        if name == "jsonschema":
            raise ImportError(name)
        return original(name, *more, **also)

    monkeypatch.setattr(builtins, "__import__", without)
    check_question(question())
    with pytest.raises(InvalidRequest, match=r"install coflux-jupyter\[inputs\]"):
        check_question(question(schema="{}"))


def test_tags_match_as_those_of_agents_do_IN_5() -> None:
    assert missing_tags({}, {}) == []
    assert missing_tags({"role": ("boss", "chief")}, {"role": ("chief",)}) == []
    assert missing_tags({"role": ("boss", "chief")}, {"role": ("cook",)}) == ["role:boss|chief"]
    assert missing_tags({"role": True}, {"role": ("cook",)}) == []
    assert missing_tags({"role": True, "floor": ("1",)}, {}) == ["role:any", "floor:1"]
    assert missing_tags({"role": True}, None) == []
