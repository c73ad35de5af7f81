"""What commands have in common: the options of each, and how arguments are read.

Belongs here: options and argument syntax that more than one command uses. Does not belong here:
output (`output`), and options of a single command.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from coflux.client import Client
    from coflux.config import Config

C = TypeVar("C", bound=Callable[..., Any])

_UNITS_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Invocation:
    """The common options of one call of a command, and what they lead to."""

    def __init__(
        self,
        host: str | None = None,
        token: str | None = None,
        project: str | None = None,
        environment: str | None = None,
        as_json: bool = False,
    ) -> None:
        self.flags = {
            "host": host, "token": token, "project": project, "environment": environment,
        }  # fmt: skip
        self.as_json = as_json

    @cached_property
    def config(self) -> Config:
        """The configuration with these options as flags."""
        from coflux import config

        flags = self.flags
        return config.resolve(
            host=flags["host"],
            token=flags["token"],
            project=flags["project"],
            environment=flags["environment"],
        )

    @cached_property
    def client(self) -> Client:
        """A client for the server, project and environment addressed."""
        from coflux.client import Client

        return Client(self.config)

    def close(self) -> None:
        """Close the client, if there has been one."""
        if "client" in self.__dict__:
            self.client.close()


def common(function: C) -> C:
    """Give a command the common options; it gets an `Invocation` as its first argument."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        names = ("host", "token", "project", "environment", "as_json")
        call = Invocation(**{name: kwargs.pop(name) for name in names})
        try:
            return function(call, *args, **kwargs)
        finally:
            call.close()

    decorated: Any = command
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON only."),
        click.option("--token", metavar="TOKEN", help="Access token (better: COFLUX_TOKEN)."),
        click.option("-e", "--environment", metavar="NAME", help="Environment to address."),
        click.option("-p", "--project", metavar="NAME", help="Project to address."),
        click.option("--host", metavar="URL", help="Server: a URL, or host:port."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click types decorators as Any


# --- arguments of targets ---------------------------------------------------------------------

_LITERAL = "coflux.literal"
_POWER = re.compile(r"-\d+(\.\d+)?e[+-]?\d+")


class TakesArguments(click.Command):
    """A command with arguments of a target: `--` ends its options, numbers below zero are none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is meant as an option and is none is told by `read_arguments`.
        self.ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember how many come after `--`."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_LITERAL] = len(args[end + 1 :])
        # The e of -1e3 would be taken for an option; JSON takes a capital one as well.
        options = [text.upper() if _POWER.fullmatch(text) else text for text in args[:end]]
        return super().parse_args(ctx, [*options, *args[end:]])


def read_arguments(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments from the command line.

    Each is JSON, or a string where it is not JSON; `name=ARG` binds by name. A string that looks
    like something else is written in JSON's quotes, one that looks like an option after `--`.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    context = click.get_current_context(silent=True)
    literal = 0 if context is None else context.meta.get(_LITERAL, 0)
    for left, text in zip(range(len(texts), 0, -1), texts, strict=True):
        if left > literal and re.match(r"--?[^\W\d]", text):
            # Numbers below zero are arguments; all else was meant as an option.
            raise click.NoSuchOption(text.partition("=")[0])
        match = re.fullmatch(r"([^\W\d]\w*)=(.*)", text, re.DOTALL)
        if match is None:
            positional.append(read_value(text))
        elif match[1] in named:
            raise click.UsageError(f"The argument {match[1]!r} is given twice.")
        else:
            named[match[1]] = read_value(match[2])
    return tuple(positional), named


def read_value(text: str) -> Any:
    """`text` as JSON where it is JSON, else as it is."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)


# --- kinds of options -------------------------------------------------------------------------

if TYPE_CHECKING:
    _Parameter = click.ParamType[int]
else:
    # Generic only in newer versions of click.
    _Parameter = click.ParamType


class Duration(_Parameter):
    """A time such as `90d`, `1h`, `500ms`, or a number of seconds; gives milliseconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:  # fmt: skip
        """Milliseconds."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no time; write 45, 45s, 10m, 12h or 90d.", param, ctx)
        return round(float(match[1]) * _UNITS_MS[match[2] or "s"])


class Size(_Parameter):
    """A number of bytes such as `500MB`, `20GB`, `1.5TB`, or without a unit."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:  # fmt: skip
        """Bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)B?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; write 500MB, 20GB or a number of bytes.", param, ctx)
        return round(float(match[1]) * _UNITS_BYTES[match[2].lower()])


def read_tags(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`k:v` options as {key: values}; a key without a value is `true` (SC-2).

    Several values for a key are given by repeating it, or with commas.
    """
    tags: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, separator, values = text.partition(":")
        if not key or (separator and not values):
            raise click.UsageError(f"{text!r} is no tag; write KEY:VALUE, KEY:ONE,OTHER or KEY.")
        given = tuple(values.split(",")) if separator else ("true",)
        tags[key] = tuple(dict.fromkeys((*tags.get(key, ()), *given)))
    return tags
