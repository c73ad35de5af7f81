"""An executor that is started as a process of its own, where forking is not safe.

Belongs here: getting such a process to where a forked one begins. Does not belong here: all after.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from coflux.agent import channel, control, executor, lifeline, loader
from coflux.agent.workplace import path_of


def main() -> NoReturn:
    """Entry point; the arguments are the numbers of the inherited descriptors."""
    numbers = [int(argument) for argument in sys.argv[1:5]]
    for number in numbers:
        os.set_inheritable(number, False)
    connection, out, err, alive = numbers
    executor.settle_in(out, err)
    lifeline.die_with(alive)
    sys.argv[:] = ["coflux-agent"]
    agent = socket.socket(fileno=connection)
    body = _read(agent, int.from_bytes(_read(agent, 4), "big"))
    beginning = control.decode_beginning(body)
    begin = beginning.begin
    executor.prepare_process()
    loaded = loader.load(begin.repositories, Path(begin.directory))
    failures = {name: error for name, (error, _) in loaded.failures.items()}
    executor.prepare_process()
    surroundings = executor.Surroundings(loaded.targets, failures)
    surroundings.configure(beginning.settings)
    os.mkdir(path_of(beginning.settings.directory, beginning.ticket))
    served = executor.Executor(agent, surroundings, beginning.ticket, out)
    agent.sendall(channel.pack(channel.READY, 0, b""))
    try:
        served.serve()
    except KeyboardInterrupt:
        os._exit(130)


def _read(agent: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = agent.recv(size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


if __name__ == "__main__":
    main()
