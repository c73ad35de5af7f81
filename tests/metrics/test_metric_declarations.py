"""What users may write about metrics, and what happens outside an execution."""

from __future__ import annotations

import math

import pytest

import coflux as cf


def test_outside_an_execution_a_record_is_checked_and_does_nothing_SU_6() -> None:
    metric = cf.Metric("loss", group=cf.MetricGroup("training", units="epochs"))
    metric.record(0.5)
    metric.record(math.nan, at=3)
    with pytest.raises(TypeError, match=r"metric loss must be a number, not 'much'"):
        metric.record("much")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at must be finite"):
        metric.record(1, at=math.inf)


def test_progress_outside_an_execution_gives_the_items() -> None:
    assert list(cf.progress([1, 2])) == [1, 2]
    assert len(cf.progress([1, 2])) == 2
    assert list(cf.progress(iter("ab"), total=2)) == ["a", "b"]


def test_wrong_declarations_are_refused_where_they_are_made() -> None:
    with pytest.raises(ValueError, match="1 to 100 characters"):
        cf.Metric("")
    with pytest.raises(ValueError, match="throttle must be more than 0"):
        cf.Metric("loss", throttle=0)
    with pytest.raises(TypeError, match="group must be a MetricGroup or its name"):
        cf.Metric("loss", group=cf.MetricScale("y"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"lower \(1\) must be less than upper \(1\)"):
        cf.MetricScale("y", lower=1, upper=1)
    with pytest.raises(TypeError, match="something to iterate over"):
        cf.progress(3)  # type: ignore[arg-type]
