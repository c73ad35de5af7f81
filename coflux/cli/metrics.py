"""`coflux metrics`: what an execution measured. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, table

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 32


@click.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@click.option("--key", metavar="KEY", help="Only the metric KEY.")
@click.option("--points", type=click.IntRange(1, 10_000), default=500, show_default=True,
              metavar="N", help="Show about N points of each metric at most.")  # fmt: skip
@common
def metrics(call: Invocation, id: str, key: str | None, points: int) -> None:
    """Show what a run, step or execution measured.

    With --json each metric comes with its points, as [at, value].
    """
    found, _ = call.client.metrics(id, key=key, points=points)
    if call.as_json:
        emit(found)
        return
    columns = ("execution", "metric", "last", "least", "greatest", "points", "")
    table(columns, map(_row, found), "Nothing has been measured there.")


def _row(series: dict[str, Any]) -> tuple[str, ...]:
    values = [value for _, value in series["points"] if value is not None]
    last = series["last"][1] if series["last"] else None
    if series["kind"] == "progress":
        total = series["total"]
        shown = f"{_number(last or 0)}/{_number(total)}" if total else _number(last)
        share = min(1.0, (last or 0) / total) if total else 0.0
        bar = "█" * round(share * _WIDTH) + "░" * (_WIDTH - round(share * _WIDTH))
        return (series["execution"], series["key"], shown, "", "", "", bar if total else "")
    scale = series["scale"] or {}
    units = f" {scale['units']}" if scale.get("units") else ""
    ends = (_number(min(values, default=None)), _number(max(values, default=None)))
    return (
        series["execution"], series["key"], _number(last) + units, *ends, str(series["count"]),
        _sparkline(values),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _sparkline(values: list[float]) -> str:
    if not values:
        return ""
    picked = values
    if len(values) > _WIDTH:
        picked = [values[i * (len(values) - 1) // (_WIDTH - 1)] for i in range(_WIDTH)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in picked)
