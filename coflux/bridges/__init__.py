"""Bridges: what other modules do with a terminal, done in a way that fits an execution.

Belongs here: one module for each library, put in place by `install` when the library is imported.
Does not belong here: anything that imports such a library by itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

#: Module of a library -> our module, whose `adapt` is given it.
_BRIDGES = {"pdb": "coflux.bridges.pdb", "tqdm.std": "coflux.bridges.tqdm"}


def install() -> None:
    """Adapt libraries that are imported, and those that will be, in this process."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in _BRIDGES:
        if name in sys.modules:
            _adapt(sys.modules[name])
    sys.meta_path.insert(0, _Finder())


def _adapt(module: ModuleType) -> None:
    importlib.import_module(_BRIDGES[module.__name__]).adapt(module)


# Not derived from `importlib.abc`: it brings compressors and more, and executors are forked with
# what is imported.
class _Finder:
    """Finds the modules that a bridge is for as usual, and has them adapted once they have run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, with a loader of ours around its own."""
        if fullname not in _BRIDGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _Adapting(spec.loader))
        return spec


class _Adapting:
    def __init__(self, usual: Loader) -> None:
        self._usual = usual

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._usual.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # What asks a module for its loader (resources, source lines) shall meet the usual one.
        module.__loader__ = self._usual
        if module.__spec__ is not None:
            module.__spec__.loader = self._usual
        self._usual.exec_module(module)
        _adapt(module)
