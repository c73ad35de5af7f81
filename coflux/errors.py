"""Every exception that Coflux raises on purpose.

Belongs here: the tree, what each error means, and the fields it carries. Does not belong here:
how an error is detected, sent or shown.

    CofluxError
    ├ ExecutionError                 also a subclass of the remote exception's class, if importable
    ├ ExecutionTerminated
    │ ├ ExecutionCancelled
    │ ├ ExecutionTimeout
    │ └ ExecutionAbandoned
    │   └ ExecutionCrashed
    ├ InputDismissed
    ├ NotSerialisable
    ├ WaitCycle
    ├ NotInExecution
    └ Refused
      ├ InvalidRequest
      │ └ ArgumentsDoNotFit          also a TypeError
      ├ NotFound
      ├ Conflict
      ├ Forbidden
      └ Unavailable
"""

from __future__ import annotations

from typing import Any


class CofluxError(Exception):
    """Something in Coflux went wrong."""

    def __init__(self, message: str | None = None, **fields: Any) -> None:
        doc = (type(self).__doc__ or "").strip().splitlines()[0] if type(self).__doc__ else ""
        super().__init__(message if message is not None else doc)
        #: What the error is about, by name (ids, fields), for programs that want more than text.
        self.fields = fields


class ExecutionError(CofluxError):
    """The execution's function raised an exception."""

    #: Fully qualified name of the class raised remotely, such as ``builtins.ValueError``.
    remote_type: str = ""
    #: The user's frames, outermost first, as (file, line, function, source line).
    remote_frames: tuple[tuple[str, int, str, str], ...] = ()

    def __str__(self) -> str:
        # The remote class may define a __str__ that needs attributes its constructor would have
        # set; the remote message is what was recorded.
        return str(self.args[0]) if self.args else ""


class ExecutionTerminated(CofluxError):
    """The execution ended without a value or an exception of its own."""


class ExecutionCancelled(ExecutionTerminated):
    """The execution was cancelled."""


class ExecutionTimeout(ExecutionTerminated):
    """The execution took longer than its timeout allows."""


class ExecutionAbandoned(ExecutionTerminated):
    """The agent that ran the execution was lost."""


class ExecutionCrashed(ExecutionAbandoned):
    """The process that ran the execution died without reporting an outcome."""


class InputDismissed(CofluxError):
    """The input was dismissed instead of answered."""


class NotSerialisable(CofluxError):
    """The value cannot be encoded."""


class WaitCycle(CofluxError):
    """Waiting here would close a circle of executions that wait for each other."""


class NotInExecution(CofluxError):
    """This function can only be used inside an execution."""


class Refused(CofluxError):
    """The server refused the request; nothing was changed."""


class InvalidRequest(Refused):
    """The request is malformed or does not fit what it addresses."""


class ArgumentsDoNotFit(InvalidRequest, TypeError):
    """The arguments do not bind to the signature of the target that was named (SU-1)."""


class NotFound(Refused):
    """Nothing with that id or name exists, or it may not be seen."""


class Conflict(Refused):
    """The request contradicts what exists already."""


class Forbidden(Refused):
    """The token does not allow this."""


class Unavailable(Refused):
    """The server cannot do this at the moment; the request may be sent again."""


#: Refusals by the code used on the wire and in HTTP bodies.
REFUSALS: dict[str, type[Refused]] = {
    "invalid": InvalidRequest,
    "not_found": NotFound,
    "conflict": Conflict,
    "forbidden": Forbidden,
    "unavailable": Unavailable,
}
