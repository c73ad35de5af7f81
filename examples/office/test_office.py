"""The office without a server, an archive, an editor, or time that passes."""

import office

DAYS = [
    {"date": "2015-12-01", "high": 4.0, "rain": 0.0},
    {"date": "2015-12-02", "high": 9.0, "rain": 2.5},
]


def test_a_month_is_described(coflux_engine):
    coflux_engine.fake(office.download, lambda mirror, city, key: DAYS)
    found = coflux_engine.run(office.describe, "Seattle", 2015, 12)
    assert (found["high"], found["rain"], found["high_on_rainy_days"]) == (9.0, 2.5, 9.0)
