"""Lists as notebooks show them: HTML, or aligned columns. Nothing else belongs here."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any


class Table:
    """Rows under headings; `rows` stay as they were given, for use in code."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "none"
    ) -> None:
        self.columns = tuple(columns)
        self.rows = [tuple(row) for row in rows]
        self._empty = empty

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return self._empty
        head = [self.columns] if any(self.columns) else []
        texts = [*head, *(tuple(map(_text, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in texts
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<i>{html.escape(self._empty)}</i>"
        head = "".join(f"<th style='text-align:left'>{html.escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{_cell(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self.rows
        )
        above = f"<thead><tr>{head}</tr></thead>" if any(self.columns) else ""
        return f"<table>{above}<tbody>{body}</tbody></table>"


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _cell(cell: object) -> str:
    return html.escape(_text(cell))
