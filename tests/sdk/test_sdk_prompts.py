"""`cf.Prompt` and `cf.Input`: what may be declared, and what an answer becomes (IN-1, PY-2)."""

from __future__ import annotations

import enum
import json
import pickle
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import cloudpickle
import pytest

import coflux as cf
from coflux import values
from coflux.handles import make_handle
from coflux.model import Question, Reference
from coflux.models import as_json, model_of
from coflux.testing import Engine


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: int = 1


@dataclass
class Order:
    count: int
    to: Address
    colour: Colour = Colour.RED
    notes: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        (int, 3, 3),
        (str, "x", "x"),
        (bool, False, False),
        (Literal["yes", "no"], "no", "no"),
        (list[int], [1, 2], [1, 2]),
        (dict[str, float], {"a": 1.5}, {"a": 1.5}),
        (int | None, None, None),
        (Colour, "blue", Colour.BLUE),
        (date, "2026-01-31", date(2026, 1, 31)),
        (
            Order,
            {"count": 2, "to": {"street": "A"}, "colour": "blue"},
            Order(2, Address("A"), Colour.BLUE),
        ),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)  # fmt: skip
def test_an_answer_becomes_an_object_of_the_model(kind: Any, answer: Any, expected: Any) -> None:
    prompt = cf.Prompt("What?", model=kind)

    def ask() -> Any:
        return prompt()

    with Engine(answers={prompt: answer}) as engine:
        assert engine.run(cf.workflow(name="asks")(check(ask, expected))) is True


def check(ask: Any, expected: Any) -> Any:
    def checks() -> bool:
        found = ask()
        return bool(found == expected and type(found) is type(expected))

    return checks


def test_the_schema_of_a_model_stands_at_its_top() -> None:
    schema = model_of(Order).schema
    assert schema["type"] == "object"
    assert "$ref" not in schema
    assert set(schema["$defs"]) == {"Address", "Colour"}


def test_objects_and_parts_of_them_are_initial_values() -> None:
    assert as_json(Order(1, Address("A")))["to"] == {"street": "A", "number": 1}
    assert as_json({"count": 1}) == {"count": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.Prompt(3), "template must be a string"),  # type: ignore[arg-type]
        (lambda: cf.Prompt(" "), "must not be empty"),
        (lambda: cf.Prompt("a {"), "write {{ and }} for braces"),
        (lambda: cf.Prompt("a {}"), "placeholders of a prompt have names"),
        (lambda: cf.Prompt("a {initial}"), "placeholders of a prompt have names"),
        (lambda: cf.Prompt("a", model=int, schema={}), "not both"),
        (lambda: cf.Prompt("a", model=object()), "cannot be a prompt's model"),
        (lambda: cf.Prompt("a", schema={"default": {1}}), "schema must be JSON"),
        (lambda: cf.Prompt("a", actions=("Yes",)), "two labels"),  # type: ignore[arg-type]
        (lambda: cf.Prompt("a", requires={"role": 3}), "strings or True"),  # type: ignore[dict-item]
        (lambda: cf.Prompt("a", title=""), "title must not be empty"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused_where_it_is_declared_PY_1(
    make: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def asked(prompt: cf.Prompt[Any], **arguments: Any) -> Question:
    """The question that a prompt asks in an execution."""
    with Engine() as engine:

        @cf.workflow(name="asks_once")
        def asks_once() -> str:
            return prompt.submit(**arguments).id

        run = engine.submit(asks_once)
        run.result()
        return engine.machine.state.runs[run.id].inputs[1].question


def test_placeholders_are_formatted_like_any_string() -> None:
    question = asked(cf.Prompt("Pay {amount:,.2f} to {who!r}? {{really}}"), amount=1234.5, who="A")
    assert question.message == "Pay 1,234.50 to 'A'? {really}"
    assert question.placeholders["amount"].preview == "1234.5"


def test_a_placeholder_that_is_missing_is_named_and_others_are_shown_as_well() -> None:
    with pytest.raises(TypeError, match="needs the placeholder 'who'"):
        asked(cf.Prompt("To {who}?"), amount=1)
    assert list(asked(cf.Prompt("Pay?"), why="because").placeholders) == ["why"]


def test_an_initial_value_needs_a_schema_and_satisfies_it_apart_from_required_IN_4() -> None:
    with pytest.raises(TypeError, match="needs a prompt with a model"):
        asked(cf.Prompt("a"), initial=1)
    with pytest.raises(cf.InvalidRequest, match=r"initial\.count: 'x' is not of type 'integer'"):
        asked(cf.Prompt("a", model=Order), initial={"count": "x"})
    question = asked(cf.Prompt("a", model=Order), initial={"count": 1})
    assert json.loads(question.initial or "") == {"count": 1}
    assert asked(cf.Prompt("a", model=int | None), initial=None).initial == "null"


def test_outside_an_execution_nobody_is_asked_SU_6() -> None:
    with pytest.raises(cf.NotInExecution):
        cf.Prompt("a")()


def test_a_handle_to_an_input_comes_back_from_a_value_and_a_pickle_VA_1() -> None:
    handle: cf.Input[Any] = cf.Input("Rbcdfgh/i1")
    value = values.encode([handle, handle], blobs=None, path="x")
    assert set(value.references) == {Reference("input", "Rbcdfgh/i1")}
    assert values.decode(value, blobs=None, make_handle=make_handle) == [handle, handle]
    assert pickle.loads(pickle.dumps(handle)) == handle
    assert handle != cf.Input("Rbcdfgh/i2")
    assert handle != cf.Execution("Rbcdfgh/i1")
    assert repr(handle) == "<input Rbcdfgh/i1>"


def test_a_prompt_travels_with_a_pickled_target_CO_3() -> None:
    prompt = cf.Prompt("How many {what}?", model=Order, requires={"role": "boss"}, key="k")
    copy = pickle.loads(cloudpickle.dumps(prompt))
    assert copy.is_source_of(asked(prompt, what="boxes"))
    assert model_of(Order).parse({"count": 1, "to": {"street": "A"}}) == Order(1, Address("A"))
    with Engine(answers={"k": {"count": 1, "to": {"street": "A"}}}) as engine:
        assert engine.run(cf.workflow(name="copied")(lambda: copy(what="x"))) == Order(
            1, Address("A")
        )


def test_select_and_cancel_take_inputs_and_name_what_they_do_not_take() -> None:
    with pytest.raises(TypeError, match="executions and inputs, not int"):
        cf.select([1])  # type: ignore[type-var]
    with pytest.raises(cf.NotInExecution):
        cf.cancel(cf.Input("Rbcdfgh/i1"))  # type: ignore[arg-type]
