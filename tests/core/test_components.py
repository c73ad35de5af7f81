"""Things that must come before each other are one group; otherwise order is kept."""

from __future__ import annotations

from coflux.server.core.components import components


def test_without_reasons_the_order_is_that_given() -> None:
    assert components("abc", {}) == [["a"], ["b"], ["c"]]


def test_what_must_come_before_comes_before() -> None:
    assert components("abc", {"a": ["c"], "b": ["a"]}) == [["c"], ["a"], ["b"]]


def test_those_in_a_circle_are_one_group_and_after_what_leads_to_it() -> None:
    before = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "e": ["b"]}
    assert components("abcde", before) == [["d"], ["a", "b", "c"], ["e"]]


def test_two_circles_are_two_groups() -> None:
    before = {"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}
    assert components("abcd", before) == [["c", "d"], ["a", "b"]]


def test_chains_may_be_long() -> None:
    names = [str(n) for n in range(50_000)]
    chain = {name: [str(int(name) + 1)] for name in names[:-1]}
    assert components(names, chain) == [[name] for name in reversed(names)]
