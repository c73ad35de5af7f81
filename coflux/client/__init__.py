"""Talking to a server from outside an execution. Used by the command line, notebooks and users.

Belongs here: the names that others may use. Does not belong here: anything else.
"""

from coflux.client.client import Client, connect, current, disconnect
from coflux.client.run import Run

__all__ = ["Client", "Run", "connect", "current", "disconnect"]
