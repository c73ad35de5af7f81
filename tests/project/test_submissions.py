"""What a caller hears whose arguments or options do not fit (SU-2, LI-1)."""

from __future__ import annotations

import pytest

from coflux.errors import InvalidRequest
from coflux.model import Definition, Options, Overrides, Parameter, RetryPolicy
from coflux.server.project.submissions import bind, check_options

ORDER = Definition("order", "workflow", parameters=(Parameter("items", annotation="list[str]"),))


def test_a_misspelt_name_is_told_with_the_nearest_parameter() -> None:
    with pytest.raises(
        InvalidRequest, match=r"no parameter 'itms'; did you mean 'items'\? Its sig"
    ):
        bind(ORDER, [], {"itms": 3}, None)


def test_a_missing_argument_is_named_with_the_signature() -> None:
    with pytest.raises(
        InvalidRequest, match=r"missing a .*'items'\. .*order\(items: list\[str\]\)"
    ):
        bind(ORDER, [], {}, None)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (Overrides(retries=RetryPolicy(-1)), "options.retries.limit"),
        (Overrides(retries=RetryPolicy(1, -5)), "options.retries.min_ms"),
        (Overrides(retries=RetryPolicy(1, jitter=2)), "options.retries.jitter"),
        (Overrides(delay_ms=-1), "options.delay_ms"),
        (Overrides(delay_ms=2**63 - 1), "options.delay_ms"),
        (Overrides(timeout_ms=-1), "options.timeout_ms"),
        (Overrides(priority=2**70), "options.priority"),
        (Overrides(requires={"": True}), "options.requires"),
        (Overrides(requires={"a": ("x" * 65,)}), "options.requires"),
        (Overrides(requires={"a": False}), "options.requires"),
        (Overrides(requires={str(n): True for n in range(11)}), "options.requires"),
    ],
)
def test_an_option_out_of_bounds_is_refused_naming_its_field_LI_1(
    options: Overrides, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_options(options.over(Options()))
    assert refused.value.fields["field"] == field
