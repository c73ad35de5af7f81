"""Writes docs/reference/http.md from the list of routes.

    python docs/tools/http_reference.py [--check]

`--check` writes nothing and exits with 1 when the file is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import generated

from coflux.server.routes import PREFIX, ROUTES, Route

PAGE = Path(__file__).parents[1] / "reference" / "http.md"
_HEAD = f"""# HTTP reference

Generated from the routes by `docs/tools/http_reference.py`. The same, with the schemas of all
bodies, is served as an OpenAPI document at `{PREFIX}/openapi.json`.

Every path begins with `{PREFIX}`. Calls carry `Authorization: Bearer TOKEN`; a browser opens
`/?token=TOKEN` once. Bodies are JSON; a refusal has a status of 400 or more and the body
`{{"error": {{"code", "message", "field"}}}}`, where the code is `invalid`, `not_found`, `conflict`,
`forbidden`, `unavailable` (may be sent again), `unauthorized` or `internal`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_entry(route) for route in ROUTES)])


def _entry(route: Route) -> str:
    lines = [f"## `{route.method} {route.pattern}`\n", f"{route.summary} Right: {route.right}.\n"]
    lines += [_parameter(p.name, p.summary, p.default) for p in route.query]
    if route.request is not None:
        lines += ["Body:\n", *_fields(route.request)]
    return "\n".join([*lines, ""])


def _parameter(name: str, summary: str, default: object) -> str:
    shown = f" (default `{default}`)" if default not in (None, False) else ""
    return f"- `?{name}`: {summary}{shown}"


def _fields(body: type) -> list[str]:
    summary = (body.__doc__ or "").strip().splitlines()[0]
    names = ", ".join(f"`{name}`" for name in body.__struct_fields__)  # type: ignore[attr-defined]
    return [f"- {names}: {summary}"]


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page()))
