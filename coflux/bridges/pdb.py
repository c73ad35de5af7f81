"""The debugger in an execution: there is no terminal, so a stray call says what to do instead.

Without this, `pdb.set_trace()` would read the end of its input and raise a `BdbQuit` that explains
nothing. `breakpoint()` has a hook of its own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NoReturn


def adapt(module: ModuleType) -> None:
    """Change the class `Pdb` of the module `pdb`."""
    kind: Any = module.Pdb
    kind.set_trace = kind.interaction = _refuse


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    sys.breakpointhook()
    raise AssertionError("the hook of an executor raises")
