"""Testing workflows without a server: the same decisions, in memory, by a clock that jumps.

    def test_report(coflux_engine):
        coflux_engine.fake(load, lambda city: 3.5)
        assert coflux_engine.run(report, ["Rome", "Oslo"]) == 7.0

Belongs here: the names for users. Does not belong here: any code.
"""

from __future__ import annotations

from coflux.testing.engine import Engine, NothingLeft, TestRun
from coflux.testing.fakes import Fakes
from coflux.testing.host import Logged
from coflux.testing.people import DISMISS, Asked
from coflux.testing.records import Step

__all__ = [
    "DISMISS",
    "Asked",
    "Engine",
    "Fakes",
    "Logged",
    "NothingLeft",
    "Step",
    "TestRun",
    "fake",
]


def fake(target: object, function: object) -> Fakes:
    """Let a target (or `"repository/name"`) be this function, in engines made from now on.

    A context manager that ends it; the function is called with the arguments of the call. For one
    engine alone there is `Engine.fake`.
    """
    from coflux.testing import fakes

    return fakes.everywhere(target, function)
