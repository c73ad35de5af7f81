"""Target functions that use secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import coflux as cf

PASSWORD = cf.Secret("PASSWORD")


@cf.task(cache=True)
def length(secret: cf.Secret) -> int:
    """Uses a secret that it was given as a reference."""
    return len(secret.get())


@cf.workflow()
def talk() -> int:
    """Says it in every way there is."""
    content = PASSWORD.get()
    print("printed", content, repr(content))
    print(json.dumps({"token": content}), file=sys.stderr)
    subprocess.run(["echo", f"by a child {content}"], check=True)
    sys.stdout.write(content[:5])
    sys.stdout.flush()
    sys.stdout.write(content[5:] + " in two\n")
    print("x" * 65_530 + content + "y" * 70_000)
    logging.getLogger("vault").warning("logged %s", content)
    cf.log_info("labelled {one}", one=content, other={"deep": [content]})
    return length(cf.Secret("PASSWORD"))


@cf.workflow()
def fails() -> None:
    """Raises it, with a cause and in a message that is too long to keep."""
    content = PASSWORD.get()
    try:
        raise KeyError(content)
    except KeyError as error:
        raise ValueError("x" * 20_000 + content) from error


@cf.workflow()
def returns() -> list[str]:
    """Gives it away."""
    return ["here:", PASSWORD.get()]


@cf.workflow()
def passes() -> int:
    """Gives it away to a child, in what is too big to be sent inline."""
    return child("x" * 10_000 + PASSWORD.get())


@cf.task()
def child(text: str) -> int:
    return len(text)


@cf.workflow()
def unknown() -> str:
    """Asks for what the agent does not have."""
    return cf.Secret("NO_SUCH").get()


@cf.workflow()
def crashes() -> None:
    """Its last lines are told with the crash."""
    print("going with", cf.Secret("TOKEN").get())
    sys.stdout.flush()
    import os

    os._exit(3)
