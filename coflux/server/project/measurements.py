"""What executions have measured, over HTTP. Nothing else belongs here."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from coflux.server.project.calls import Call
from coflux.server.store.metrics import Page, Series
from coflux.server.views import runs


async def get_metrics(call: Call) -> Any:
    """A chart of all points, or the points after a cursor."""
    found = call.find_part(call.query["id"])
    seen = runs.visible_from(found.state, found.run, call.viewpoint())
    # Before it is read, so that what comes meanwhile is not missed.
    news = call.project.expect_logs(found.run.id)
    page = await _read(call)
    if not page.series and call.query["wait_ms"]:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(news.wait(), call.query["wait_ms"] / 1000)
        page = await _read(call)
    shown = [_show(each) for each in page.series if call.is_seen(each.execution, seen)]
    return {"metrics": shown, "cursor": str(page.cursor), "more": page.more}


async def _read(call: Call) -> Page:
    store, query, after = call.orchestrator.metrics, call.query, call.cursor("after")
    loop = asyncio.get_running_loop()
    # In a thread: long series take a while, and the loop decides about everything else.
    if after is None:
        return await loop.run_in_executor(
            None, store.chart, query["id"], query.get("key"), query["points"]
        )
    return await loop.run_in_executor(
        None, store.page, query["id"], query.get("key"), after, query["limit"]
    )


def _show(series: Series) -> dict[str, Any]:
    definition = series.definition
    return {
        "execution": series.execution,
        "key": series.key,
        "kind": definition.kind,
        "group": definition.group,
        "scale": definition.scale,
        "total": definition.total,
        "count": series.size,
        "last": series.last,
        "points": series.points,
    }
