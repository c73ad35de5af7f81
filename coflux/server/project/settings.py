"""What the operator of a server may set for its projects, by variables of the environment.

Belongs here: their names, and reading them. Does not belong here: what they mean (`core.turn`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from coflux.errors import InvalidRequest
from coflux.server.core.turn import Limits

#: Variable -> the limit that it sets, in ms.
VARIABLES = {
    "COFLUX_RECONNECT_MS": "reconnect_ms",
    "COFLUX_START_MS": "start_ms",
    "COFLUX_RUNS_KEPT_MS": "runs_kept_ms",
    "COFLUX_LOGS_KEPT_MS": "logs_kept_ms",
    "COFLUX_BLOB_GRACE_MS": "blob_grace_ms",
}


def limits_from(variables: Mapping[str, str]) -> Limits:
    """The limits with what the variables set.

    Raises `InvalidRequest` for a value that is no positive number of milliseconds.
    """
    given: dict[str, int] = {}
    for variable, limit in VARIABLES.items():
        text = variables.get(variable)
        if not text:
            continue
        if not text.isdecimal() or int(text) == 0:
            raise InvalidRequest(
                f"{variable} is {text!r}; give a whole number of milliseconds, such as"
                f" {getattr(Limits(), limit)}, or leave it out."
            )
        given[limit] = int(text)
    return msgspec.structs.replace(Limits(), **given)
