"""Draws docs/architecture/states.md from the table of transitions in the core.

python docs/tools/states_diagram.py            write it
python docs/tools/states_diagram.py --check    fail when it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

import generated

from coflux.server.core.statuses import TRANSITIONS, Status

PAGE = Path(__file__).parent.parent / "architecture" / "states.md"

HEAD = """\
# States of an execution

<!-- Drawn by docs/tools/states_diagram.py from coflux/server/core/statuses.py. -->

The arrows carry the fact that moves an execution. Any other fact leaves its status as it is.

```mermaid
stateDiagram-v2
"""


def page() -> str:
    """The whole page."""
    first = next(iter(Status)).value
    lines = [f"    [*] --> {first}: submitted"]
    lines += [
        f"    {status.value} --> {following.value}: {trigger.value}"
        for (status, trigger), following in TRANSITIONS.items()
    ]
    return HEAD + "\n".join([*lines, f"    {Status.ENDED.value} --> [*]"]) + "\n```\n"


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page()))
