"""Bars of tqdm in an execution become its progress, instead of lines full of control codes.

Belongs here: what tqdm's class does differently while an execution runs. Outside of one it is as
it was. Does not belong here: progress itself (`coflux.metrics`).
"""

from __future__ import annotations

import functools
import sys
from types import FrameType, ModuleType
from typing import Any

from coflux import host as hosts
from coflux.metrics import Bar, place_of


class _Nowhere:
    """The file of a bar that is shown elsewhere."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return

    def isatty(self) -> bool:
        return False


def _place_outside(frame: FrameType) -> str:
    """Where the code of somebody else makes a bar."""
    while frame.f_globals.get("__name__", "").partition(".")[0] == "tqdm" and frame.f_back:
        frame = frame.f_back
    return place_of(frame)


def adapt(module: ModuleType) -> None:
    """Change the class `tqdm` of the module `tqdm.std`; every other kind of bar derives from it."""
    kind: Any = module.tqdm
    begin, display, close = kind.__init__, kind.display, kind.close

    @functools.wraps(begin)
    def begin_here(self: Any, *args: Any, **options: Any) -> None:
        streams = (None, sys.stdout, sys.stderr)
        # The file is the fifth parameter.
        is_ours = hosts.current() is not None and len(args) < 5 and options.get("file") in streams
        if is_ours:
            options["file"] = _Nowhere()
            if options.get("disable", False) is None:
                # Meant is: only where somebody sees it.
                options["disable"] = False
        self.coflux_is_ours = is_ours
        self.coflux_place = _place_outside(sys._getframe(1)) if is_ours else ""
        begin(self, *args, **options)

    @functools.wraps(display)
    def display_here(self: Any, msg: str | None = None, pos: int | None = None) -> Any:
        if not getattr(self, "coflux_is_ours", False):
            return display(self, msg, pos)
        bar = self.__dict__.get("coflux_bar")
        if bar is None:
            name = str(self.desc or "").strip(": ") or "progress"
            bar = self.coflux_bar = Bar(name, self.total, self.coflux_place)
        bar.show(self.n, self.total)
        return True

    @functools.wraps(close)
    def close_here(self: Any) -> None:
        close(self)
        bar = self.__dict__.pop("coflux_bar", None)
        if bar is not None:
            bar.close()

    kind.__init__, kind.display, kind.close = begin_here, display_here, close_here
