"""Whether the disk has room for new work (SE-11). Nothing else belongs here."""

from __future__ import annotations

import shutil
from pathlib import Path

#: Bytes that stay free (section 32); or one in a hundred, of a small disk.
MINIMUM_FREE = 200 * 1000 * 1000


def shortage(directory: Path) -> str | None:
    """What is wrong, where the disk of this directory is nearly full."""
    usage = shutil.disk_usage(directory)
    if usage.free >= min(MINIMUM_FREE, usage.total // 100):
        return None
    return f"The disk of the server is full ({usage.free // 2**20} MiB left)"
