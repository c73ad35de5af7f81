"""Hypothesis strategies for values."""

from __future__ import annotations

import collections
import datetime as dt
import zoneinfo
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

#: For tests of whole trees: without a deadline, since the machine may be busy.
modest = settings(deadline=None, max_examples=60)

ZONES = [None, dt.timezone.utc, zoneinfo.ZoneInfo("Europe/Berlin")]

scalars: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(), max_size=5),
        st.binary(max_size=5),
        st.decimals(allow_nan=False),
        st.datetimes(timezones=st.sampled_from(ZONES)),
        st.dates(),
        st.timedeltas(),
        st.uuids(),
        st.fractions(),
        st.complex_numbers(),
    )
)

#: Hashable, and equal to themselves.
members: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        scalars.filter(lambda x: x == x),
        st.tuples(scalars, scalars).filter(lambda x: x[0] == x[0] and x[1] == x[1]),
        st.frozensets(st.integers(), max_size=3),
    )
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        lists.map(collections.deque),
        st.dictionaries(members, inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.dictionaries(members, inner, max_size=3).map(collections.OrderedDict),
        st.sets(members, max_size=4),
    )


trees: st.SearchStrategy[Any] = st.deferred(
    lambda: st.recursive(scalars, _containers, max_leaves=12)
)
