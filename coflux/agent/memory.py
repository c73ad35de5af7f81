"""Whether the kernel has killed something for lack of memory. Nothing else belongs here."""

from __future__ import annotations

from pathlib import Path


class OutOfMemory:
    """Counts the kernel's out-of-memory kills, as far as this process may see them."""

    def __init__(self) -> None:
        self._files = _counters()
        self._seen = self._count()

    def has_struck(self) -> bool:
        """Whether the kernel has killed anything since the last time this was asked."""
        now = self._count()
        before, self._seen = self._seen, now
        return now > before

    def _count(self) -> int:
        total = 0
        for file in self._files:
            try:
                text = file.read_text()
            except OSError:
                continue
            for line in text.splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill" and value.isdigit():
                    total += int(value)
        return total


def _counters() -> list[Path]:
    """Of our control group where there is one (a container's), else of the whole machine."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                group = Path("/sys/fs/cgroup") / line[3:].lstrip("/") / "memory.events"
                if group.exists():
                    return [group]
    except OSError:
        pass
    machine = Path("/proc/vmstat")
    return [machine] if machine.exists() else []
