"""What an asset looks like in a notebook: its files, and what is in the first that can be shown.

Belongs here: previews of pictures, tables and text, small enough to be saved with the notebook.
Does not belong here: the asset itself (`coflux.handles`), and the web page's previews.
"""

from __future__ import annotations

import base64
import csv
import html
import io
from typing import TYPE_CHECKING

from coflux.errors import CofluxError
from coflux.handles import Asset, client_for

if TYPE_CHECKING:
    from coflux.model import Entry

#: Files listed.
_LISTED = 50
#: Most bytes of a picture, and of a text, that are read to be shown.
_PICTURE, _TEXT = 1024 * 1024, 64 * 1024
#: Lines of a text or table, columns of a table and characters of a line or cell that are shown.
_LINES, _COLUMNS, _WIDTH = 10, 12, 200
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_TABLES = {"text/csv": ",", "text/tab-separated-values": "\t"}
_TEXTS = ("text/plain", "text/markdown", "application/json")
_UNITS = ("B", "kB", "MB", "GB")


def asset_html(asset: Asset) -> str:
    """An asset: its files with their sizes, and a preview."""
    try:
        entries = [each for each in asset.entries() if asset._entry in (None, each.path)]
        shown = _preview(entries)
    except (CofluxError, OSError, csv.Error) as error:
        return f"asset <code>{asset.id}</code> {html.escape(str(error))}"
    rows = "".join(
        f"<tr><td style='text-align:left'>{html.escape(entry.path)}</td><td>{size(entry.size)}</td>"
        f"<td style='text-align:left'>{html.escape(entry.media_type or '')}</td></tr>"
        for entry in entries[:_LISTED]
    )
    more = len(entries) - _LISTED
    note = f"… and {more} more files" if more > 0 else ""
    return f"asset <code>{asset.id}</code><table><tbody>{rows}</tbody></table>{note}{shown}"


def _preview(entries: list[Entry]) -> str:
    for entry in entries:
        kind = entry.media_type or ""
        if kind in _PICTURES and entry.size <= _PICTURE:
            # As an image, in which a drawing's scripts do not run.
            data = base64.b64encode(_read(entry)).decode()
            name = html.escape(entry.path, quote=True)
            return f"<img style='max-width:100%' alt='{name}' src='data:{kind};base64,{data}'>"
        if kind in _TABLES and entry.size <= _TEXT:
            return _table(_read(entry), _TABLES[kind])
        if kind in _TEXTS and entry.size <= _TEXT:
            return _text(_read(entry))
    return ""


def _read(entry: Entry) -> bytes:
    content: bytes = client_for(f"file {entry.path}").blobs.read(entry.blob)
    return content


def _table(content: bytes, delimiter: str) -> str:
    text = content.decode("utf-8", "replace")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not rows:
        return ""
    head, *body = rows
    cells = "".join(f"<th>{_short(cell)}</th>" for cell in head[:_COLUMNS])
    lines = "".join(
        "<tr>" + "".join(f"<td>{_short(cell)}</td>" for cell in row[:_COLUMNS]) + "</tr>"
        for row in body[:_LINES]
    )
    note = _more(len(body), "row") if len(body) > _LINES else ""
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<div style='overflow-x:auto'>{table}</div>{note}"


def _text(content: bytes) -> str:
    lines = content.decode("utf-8", "replace").splitlines()
    note = _more(len(lines), "line") if len(lines) > _LINES else ""
    return "<pre>" + "\n".join(map(_short, lines[:_LINES])) + f"</pre>{note}"


def _more(count: int, what: str) -> str:
    rest = count - _LINES
    return f"… and {rest} more {what}{'' if rest == 1 else 's'}"


def _short(text: str) -> str:
    return html.escape(text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…")


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {_UNITS[-1]}"
