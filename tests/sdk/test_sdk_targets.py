"""Targets as objects: calls outside executions, descriptions, submissions, pickles."""

from __future__ import annotations

import asyncio
import logging
import pickle
from typing import Any

import cloudpickle
import pytest

import coflux as cf
from coflux import values
from coflux.model import Value
from coflux.names import name_repository, repository_of
from coflux.target import Target


@cf.task
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@cf.workflow(name="renamed", retries=2)
def flow(x: int, /, y: list[int], *rest: int, key: object = object, **more: Any) -> None:
    pass


@cf.task()
async def later(a: int) -> int:
    await asyncio.sleep(0)
    return a * 2


@cf.stub("other.place", type="workflow", cache=True)
def elsewhere(a: int) -> int:
    return a - 1


def encode(obj: object, path: str) -> Value:
    return values.encode(obj, blobs=None, path=path)


# --- outside an execution -----------------------------------------------------------------------


def test_a_call_is_the_plain_function_SU_6() -> None:
    assert add(1) == 3
    assert later(4) == 8
    assert elsewhere(3) == 2
    assert add.__wrapped__(1, 1) == 2
    assert add.__doc__ == "Add two numbers."


def test_async_targets_can_be_called_while_a_loop_runs() -> None:
    async def main() -> int:
        assert await later.submit(1) == 2
        return later(2)

    assert asyncio.run(main()) == 4


def test_submit_runs_it_and_gives_a_resolved_handle_SU_6() -> None:
    handle = add.submit(1, b=5)
    assert handle.result() == handle.result(timeout=1) == 6
    assert handle.poll() == 6
    handle.cancel()
    assert handle == handle
    assert handle != add.submit(1)


def test_a_failure_is_raised_where_the_outcome_is_asked_for() -> None:
    @cf.task
    def fail() -> None:
        raise KeyError("x")

    handle = fail.submit()
    with pytest.raises(KeyError):
        handle.result()
    with pytest.raises(KeyError):
        handle.poll()


def test_what_does_not_bind_is_a_type_error_SU_1() -> None:
    with pytest.raises(TypeError, match=r"add\(\): missing a required argument: 'a'"):
        add.submit()  # type: ignore[call-arg]


def test_functions_that_need_an_execution_say_so_SU_6() -> None:
    for call in (
        lambda: cf.suspend(),
        lambda: cf.checkpoint(1),
        lambda: cf.persist_asset("x"),
        lambda: cf.select([add.submit(1)]),
        lambda: cf.cancel([add.submit(1)]),
    ):
        with pytest.raises(cf.NotInExecution, match="can only be used inside an execution"):
            call()
    with pytest.raises(cf.NotInExecution, match="needs an execution, or a connection"):
        cf.Execution("R1:1:1").result()
    with pytest.raises(cf.NotInExecution, match="needs an execution, or a connection"):
        cf.Asset("A1").entries()
    with cf.group("x"), cf.suspense(5):
        assert add.submit(1).result() == 3


def test_log_functions_write_to_logging_SU_6(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "coflux"):
        cf.log_info("hello {name}", name="Ada", extra=1)
        cf.log_info(steps=3)
        cf.log_error("{stray} {")
        cf.log_debug("d")
        cf.log_warning("w")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "hello Ada extra=1"),
        ("INFO", "steps=3"),
        ("ERROR", "{stray} {"),
        ("DEBUG", "d"),
        ("WARNING", "w"),
    ]


# --- descriptions -------------------------------------------------------------------------------


def test_a_definition_has_parameters_defaults_and_doc_CO_1() -> None:
    definition = add.definition()
    assert (definition.name, definition.type, definition.doc) == ("add", "task", "Add two numbers.")
    a, b = definition.parameters
    assert (a.name, a.kind, a.annotation, a.default) == ("a", "normal", "int", None)
    assert b.default is not None
    assert values.decode(b.default, blobs=None) == 2
    assert definition.code is not None
    assert len(definition.code) == 64


def test_all_kinds_of_parameters_are_described() -> None:
    definition = flow.definition()
    assert definition.name == "renamed"
    assert [(p.name, p.kind) for p in definition.parameters] == [
        ("x", "positional"), ("y", "normal"), ("rest", "args"), ("key", "keyword"),
        ("more", "kwargs"),
    ]  # fmt: skip
    assert definition.parameters[3].default is not None


def test_a_default_without_a_native_encoding_travels_as_the_default_SU_2() -> None:
    thing = lambda: None  # noqa: E731

    @cf.task
    def target(a: Any = thing) -> None: ...

    (parameter,) = target.definition().parameters
    assert parameter.default is not None
    assert parameter.default.format == "default"
    assert parameter.default.data is None
    submission = target.submission((), {}, encode)
    assert submission.arguments["a"].format == "default"
    assert submission.arguments["a"].key is None


def test_long_docstrings_are_cut_with_a_notice() -> None:
    @cf.task
    def target() -> None: ...

    target.__wrapped__.__doc__ = "x" * 6000
    assert target.definition().doc.endswith("(cut at 5,000 characters)")


def test_a_submission_is_bound_in_signature_order_SU_1() -> None:
    submission = add.submission((), {"b": 1, "a": 2}, encode)
    assert list(submission.arguments) == ["a", "b"]
    assert submission == add.submission((2, 1), {}, encode)
    assert add.submission((2,), {}, encode) == add.submission((2,), {"b": 2}, encode)
    assert submission.code is None
    assert add.with_cache(cf.Cache(code=True)).submission((1,), {}, encode).code == add.code()


def test_a_stub_names_the_real_target_with_its_own_options_SU_7() -> None:
    submission = elsewhere.submission((1,), {}, encode)
    assert (submission.repository, submission.target, submission.type) == (
        "other.place", "elsewhere", "workflow",
    )  # fmt: skip
    assert submission.options.cache is not None
    with pytest.raises(ValueError, match="identifier"):
        cf.stub("not/a/module")(lambda: None)


def test_the_repository_is_the_module_or_what_it_is_named() -> None:
    assert add.repository == __name__
    assert repository_of("a.b") == "a.b"
    name_repository("some_notebook", "analysis")
    assert repository_of("some_notebook") == "analysis"


# --- pickles ------------------------------------------------------------------------------------


def test_a_target_of_a_module_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(add)) is add
    assert cloudpickle.loads(cloudpickle.dumps(add)) is add


def test_other_targets_are_pickled_without_their_function() -> None:
    big = list(range(100_000))

    @cf.task(timeout=3)
    def target(x: int, y: int = 7) -> int:
        return len(big) + x

    data = cloudpickle.dumps(target)
    assert len(data) < 5000
    copy: Target[Any, Any] = cloudpickle.loads(data)
    assert (copy.name, copy.repository, copy.options) == (
        target.name, target.repository, target.options,
    )  # fmt: skip
    assert copy.submission((1,), {}, encode) == target.submission((1,), {}, encode)
    with pytest.raises(cf.NotInExecution, match="without its function"):
        copy(1)


def test_handles_are_pickled_by_id() -> None:
    assert pickle.loads(pickle.dumps(cf.Execution("R1:2:3"))) == cf.Execution("R1:2:3")
    assert pickle.loads(pickle.dumps(cf.Asset("A1")["x"])) == cf.Asset("A1")["x"]
    with pytest.raises(cf.NotInExecution):
        pickle.dumps(add.submit(1))


def test_handles_are_encoded_as_references_VA_4() -> None:
    value = values.encode([cf.Execution("R1:2:3"), cf.Asset("A1")], blobs=None)
    assert [(r.kind, r.id) for r in value.references] == [("execution", "R1:2:3"), ("asset", "A1")]
    with pytest.raises(cf.NotSerialisable, match="one entry"):
        values.encode(cf.Asset("A1")["x"], blobs=None)
