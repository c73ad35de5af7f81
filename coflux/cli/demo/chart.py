"""The demo's chart, as SVG made by hand. Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 48, 56, 40
_COLOURS = (("#1f6fb2", "#bcd7ee"), ("#c2410c", "#f6cdb4"), ("#3f7d20", "#cfe3c2"))
_HIGHEST = 35.0
_WETTEST = 200.0


def svg(climates: Sequence[dict[str, Any]], months: Sequence[str]) -> str:
    """Lines for the mean highest temperature of each month, bars for its rain."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *_axes(months),
    ]
    for number, climate in enumerate(climates):
        parts += _bars(climate, number, len(climates))
    for number, climate in enumerate(climates):
        parts += _line(climate, number)
    return "\n".join([*parts, "</svg>", ""])


def _axes(months: Sequence[str]) -> list[str]:
    lines = []
    for degrees in range(0, int(_HIGHEST) + 1, 5):
        y = _y(degrees / _HIGHEST)
        rain = f"{degrees / _HIGHEST * _WETTEST:.0f}"
        lines += [
            f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>',
            _text(_LEFT - 6, y + 4, f"{degrees}", "end"),
            _text(_WIDTH - _RIGHT + 6, y + 4, rain, "start", "#888"),
        ]
    lines += [_text(_x(i), _HEIGHT - 18, name, "middle") for i, name in enumerate(months)]
    lines.append(_text(_LEFT - 6, _TOP - 14, "°C", "end"))
    lines.append(_text(_WIDTH - _RIGHT + 6, _TOP - 14, "mm", "start", "#888"))
    return lines


def _bars(climate: dict[str, Any], number: int, count: int) -> list[str]:
    width = 32 / count
    bars = []
    for month, values in climate["months"].items():
        share = min(values["rain"] / _WETTEST, 1)
        x = _x(int(month) - 1) - 16 + number * width
        bars.append(
            f'<rect x="{x:.1f}" y="{_y(share)}" width="{width - 2:.1f}"'
            f' height="{_y(0) - _y(share):.1f}" fill="{_COLOURS[number % 3][1]}"/>'
        )
    return bars


def _line(climate: dict[str, Any], number: int) -> list[str]:
    colour = _COLOURS[number % 3][0]
    points = [
        f"{_x(int(month) - 1):.1f},{_y(max(values['high'], 0) / _HIGHEST)}"
        for month, values in climate["months"].items()
    ]
    x = _LEFT + number * 150
    return [
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
        f'<rect x="{x}" y="16" width="12" height="12" fill="{colour}"/>',
        _text(x + 18, 26, climate["city"], "start"),
    ]


def _x(month: int) -> float:
    step = (_WIDTH - _LEFT - _RIGHT) / 12
    return _LEFT + step * (month + 0.5)


def _y(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
