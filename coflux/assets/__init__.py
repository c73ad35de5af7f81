"""The files of an asset: taken from a directory, kept as blobs, put back.

Belongs here: which files and paths are acceptable (`paths`), reading them (`collecting`), and
writing them without ever leaving a directory or passing through a link (`restoring`). Does not
belong here: who made an asset, its id, its life.
"""

from coflux.assets.collecting import collect
from coflux.assets.paths import MAX_ENTRIES, MAX_PATH, check, digest
from coflux.assets.restoring import download, restore

__all__ = [
    "MAX_ENTRIES",
    "MAX_PATH",
    "check",
    "collect",
    "digest",
    "download",
    "restore",
]
