"""Installed packages that pickled code uses: their versions there, and how those here differ.

The versions are hints (CO-3): a difference is told and refuses nothing, because most of them do no
harm. Belongs here: from modules to packages, and comparing versions. Does not belong here: finding
out which modules code uses, and whom to tell.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

#: What is no hint: a protocol of its own guards it.
_OWN = "coflux"
#: Names of packages in one message; more are counted.
_NAMED = 5


def used_by(modules: Iterable[str]) -> dict[str, str]:
    """The package of each top-level module that one is known for, as `name==version`."""
    found: dict[str, str] = {}
    for module in sorted(set(modules)):
        owner = _owner(module)
        version = _recorded(owner) if owner is not None else None
        if version is not None:
            found[module] = f"{owner}=={version}"
    return found


@functools.cache
def _owner(module: str) -> str | None:
    if module in sys.stdlib_module_names or module in ("__main__", _OWN):
        return None
    owners = _owners()
    if module not in owners:
        # It may have been installed since.
        _owners.cache_clear()
        owners = _owners()
    names = owners.get(module, ())
    if len(set(names)) == 1:
        return names[0]
    # A namespace of several packages: which of them was meant is not known.
    return next((name for name in names if _plain(name) == _plain(module)), None)


@functools.cache
def _owners() -> Mapping[str, Sequence[str]]:
    # Reads the files of every installed package: too slow for each cell of a notebook.
    return importlib.metadata.packages_distributions()


@functools.cache
def _recorded(package: str) -> str | None:
    # Once: what is installed later is not what this process has imported.
    return _read(package)


@functools.cache
def installed() -> Mapping[str, str]:
    """Versions of installed packages by name, from the names of their folders alone.

    Those without a version in the folder's name are missing. For processes that are forked often:
    asked before, it costs their children nothing.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            if (match := _FOLDER.fullmatch(entry)) is not None:
                found.setdefault(_plain(match[1]), match[2])
    return found


_FOLDER = re.compile(r"(.+?)-(\d[^-]*)(?:-py[\d.]+)?(?:-.+)?\.(?:dist|egg)-info")


def differences(recorded: Iterable[str]) -> str | None:
    """What is to be told of packages, given as `name==version`, that differ here; None if nothing.

    Of a version's parts the first two count, or all of them before version 1.
    """
    found: list[str] = []
    for each in recorded:
        name, _, there = each.partition("==")
        here = installed().get(_plain(name)) or _read(name)
        if here is None:
            found.append(f"{name} {there} (not installed here)")
        elif _counting(here) != _counting(there):
            found.append(f"{name} {there} (here {here})")
    if not found:
        return None
    rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"made with {', '.join(found[:_NAMED])}{rest}; results may differ"


def _read(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _counting(version: str) -> str:
    match = _RELEASE.match(version)
    if match is None or match[1] == "0":
        return version
    return f"{match[1]}.{match[2] or 0}"


#: An epoch is no part of it that people know, and never changes within a series.
_RELEASE = re.compile(r"(?:\d+!)?(\d+)(?:\.(\d+))?")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
