"""What a caller hears whose arguments do not fit (SU-2)."""

from __future__ import annotations

import pytest

from coflux.errors import InvalidRequest
from coflux.model import Definition, Parameter
from coflux.server.project.submissions import bind

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
