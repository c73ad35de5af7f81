"""pydantic models as models of prompts (IN-1), where the user has pydantic."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import date
from typing import Any

import cloudpickle
import pytest

import coflux as cf
from coflux.models import as_json, model_of
from coflux.testing import Engine

pydantic: Any = pytest.importorskip("pydantic")


class Trip(pydantic.BaseModel):  # type: ignore[misc]
    place: str
    day: date
    seats: int = pydantic.Field(default=1, ge=1, le=9)


@dataclass
class Booking:
    """A dataclass with a pydantic model in it."""

    trip: Trip


JSON = {"place": "Oslo", "day": "2026-01-31"}
TRIP = Trip(place="Oslo", day=date(2026, 1, 31))

where_to = cf.Prompt("Where to?", model=Trip)


@cf.workflow()
def travels() -> Trip:
    return where_to(initial=TRIP)


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [(Trip, JSON, TRIP), (Booking, {"trip": JSON}, Booking(TRIP)), (list[Trip], [JSON], [TRIP])],
    ids=["model", "dataclass", "list"],
)
def test_an_answer_becomes_an_object_of_the_model(kind: Any, answer: Any, expected: Any) -> None:
    assert model_of(kind).parse(answer) == expected


def test_what_the_schema_does_not_say_is_told_by_the_code() -> None:
    with pytest.raises(cf.CofluxError, match="does not fit the prompt's model"):
        model_of(Trip).parse({**JSON, "day": "yesterday"})


def test_the_schema_stands_at_the_top_with_its_limits() -> None:
    schema = model_of(Trip).schema
    assert (schema["type"], schema["properties"]["seats"]["maximum"]) == ("object", 9)
    assert as_json(TRIP) == {**JSON, "seats": 1}


def test_a_prompt_travels_with_a_pickled_target_CO_3() -> None:
    copy = pickle.loads(cloudpickle.dumps(where_to))
    with Engine(answers={where_to: JSON}) as engine:
        assert engine.run(cf.workflow(name="copied")(lambda: copy())) == TRIP


def test_code_gets_the_object_that_a_person_has_made() -> None:
    with Engine() as engine:
        run = engine.submit(travels)
        with pytest.raises(cf.InvalidRequest, match=r"value\.seats: 10 is greater"):
            engine.respond(where_to, {**JSON, "seats": 10})
        engine.respond(where_to, JSON)
        assert run.result() == TRIP
