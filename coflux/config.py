"""Where the server is and what to address there, settled once from all the places that may say so.

Belongs here: the order of the sources (flags, `COFLUX_*`, the nearest `coflux.toml`, the runtime
file of a running server, defaults), what each of them looks like, and writing `coflux.toml`.
Does not belong here: talking to the server, and settings that only one command has.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coflux.errors import InvalidRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_PORT = 7777
DEFAULT_HOST = f"http://127.0.0.1:{DEFAULT_PORT}"
FILE_NAME = "coflux.toml"
#: By how much processes of Coflux give way to a notebook's server and kernels (`os.nice`).
BESIDE_NOTEBOOKS = 5
#: The settings, as flags, as `COFLUX_` variables in upper case, and as keys of `coflux.toml`.
SETTINGS = ("host", "token", "project", "environment", "data_dir")
_DEFAULTS = {
    "host": DEFAULT_HOST,
    "project": "default",
    "environment": "default",
    "data_dir": ".coflux",
}


@dataclass(frozen=True)
class Config:
    """What a client, an agent or a command works with."""

    #: Address of the server with its base path and without a slash at the end.
    host: str
    token: str | None = field(repr=False)
    project: str
    environment: str
    data_dir: Path
    #: Which source each setting came from, in words for people.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class RunningServer:
    """A server of this user on this machine, as its runtime file describes it."""

    url: str
    token: str | None = field(repr=False)
    pid: int
    data_dir: Path


def resolve(
    *,
    host: str | None = None,
    token: str | None = None,
    project: str | None = None,
    environment: str | None = None,
    data_dir: str | Path | None = None,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Config:
    """Settle the configuration.

    The named settings are flags and win over everything else; `directory` is where the search for
    `coflux.toml` begins (default: the working directory); `variables` replace `os.environ`.

    Raises `InvalidRequest` for a setting that cannot be used, naming where it was made.
    """
    flags = {
        "host": host,
        "token": token,
        "project": project,
        "environment": environment,
        "data_dir": str(data_dir) if data_dir is not None else None,
    }
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for origin, found in _explicit(
        flags, directory or Path.cwd(), os.environ if variables is None else variables
    ):
        for name, value in found.items():
            if name == "token" and _is_elsewhere(found.get("host"), values.get("host")):
                # It belongs to the address that the same source names.
                continue
            if name not in values:
                values[name] = value
                sources[name] = origin.format(name=name, upper=name.upper())
    if "host" in values:
        values["host"] = address(values["host"], sources["host"])
    _discover(values, sources)
    for name, value in _DEFAULTS.items():
        if name not in values:
            values[name] = value
            sources[name] = "default"
    return Config(
        host=values["host"],
        token=values.get("token"),
        project=values["project"],
        environment=values["environment"],
        data_dir=Path(values["data_dir"]).expanduser(),
        sources=sources,
    )


def _is_elsewhere(named: str | None, chosen: str | None) -> bool:
    if named is None or chosen is None:
        return False
    try:
        return address(named) != address(chosen)
    except InvalidRequest:
        # Told where it matters; a token is not sent on the strength of it.
        return named != chosen


def _explicit(
    flags: Mapping[str, str | None], directory: Path, variables: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    yield "--{name}", {name: value for name, value in flags.items() if value}
    yield (
        "COFLUX_{upper}",
        {name: v for name in SETTINGS if (v := variables.get(f"COFLUX_{name.upper()}"))},
    )
    path = find_file(directory)
    if path is not None:
        yield str(path), read_file(path)


def _discover(values: dict[str, str], sources: dict[str, str]) -> None:
    """Take address and token from a runtime file, but never a token for somebody else's address."""
    if "host" in values and "token" in values:
        return
    for server in running_servers():
        if values.get("host", server.url) != server.url:
            continue
        origin = f"running server (pid {server.pid})"
        if "host" not in values:
            values["host"], sources["host"] = server.url, origin
        if "token" not in values and server.token:
            values["token"], sources["token"] = server.token, origin
        return


def address(text: str, source: str = "--host") -> str:
    """The URL that `text` (a URL, or host:port) stands for.

    Raises `InvalidRequest` if it is neither, naming `source`.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise InvalidRequest(
            f"{source} is {text!r}, which is no address; write host:port or http://host:port/path"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


# --- coflux.toml ------------------------------------------------------------------------------


def find_file(directory: Path) -> Path | None:
    """The nearest `coflux.toml` in `directory` or above it."""
    directory = directory.absolute()
    for folder in (directory, *directory.parents):
        path = folder / FILE_NAME
        if path.is_file():
            return path
    return None


def read_file(path: Path) -> dict[str, str]:
    """The settings in a `coflux.toml`; a relative `data_dir` counts from the file's folder.

    Raises `InvalidRequest` for TOML that does not parse and for keys that mean nothing here.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from error
    for name, value in content.items():
        if name not in SETTINGS:
            raise InvalidRequest(
                f"{path} has the key {name!r}, which means nothing here; known are "
                + ", ".join(SETTINGS)
            )
        if not isinstance(value, str):
            raise InvalidRequest(f"{path}: {name} must be text in quotes, not {value!r}")
    settings = {name: value for name, value in content.items() if value}
    if "data_dir" in settings:
        settings["data_dir"] = str(path.parent / Path(settings["data_dir"]).expanduser())
    return settings


def write_file(path: Path, settings: Mapping[str, str]) -> None:
    """Set keys of a `coflux.toml` and keep its other lines; only the user may read a token."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    for name, value in settings.items():
        line = f"{name} = {_quoted(value)}"
        places = [i for i, old in enumerate(lines) if re.match(rf"\s*{name}\s*=", old)]
        if places:
            lines[places[0]] = line
        else:
            lines.append(line)
    secret = any(re.match(r"\s*token\s*=", line) for line in lines)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644
    )
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(temporary, path)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, apart from DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- running servers --------------------------------------------------------------------------


def runtime_directory() -> Path:
    """Where servers of this user leave their runtime files."""
    # platformdirs costs more than the rest of this module; many commands have no need of it.
    import warnings

    from platformdirs import user_runtime_dir

    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR it says that it takes a folder in /tmp, on every call.
        warnings.simplefilter("ignore")
        return Path(user_runtime_dir("coflux"))


def running_servers(data_dir: Path | None = None) -> list[RunningServer]:
    """The live servers of this user, newest first; with `data_dir`, only those that serve it."""
    directory = runtime_directory()
    found = []
    for path in directory.glob("server-*.json"):
        server = _read_runtime_file(path)
        if server is None or not _is_alive(server.pid):
            continue
        if data_dir is None or _same_path(server.data_dir, data_dir):
            found.append((_modified(path), server))
    return [server for _, server in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _read_runtime_file(path: Path) -> RunningServer | None:
    """None for a file that is half-written, gone in the meantime, or somebody else's."""
    try:
        if path.stat().st_uid != os.getuid():
            return None
        content = json.loads(path.read_text("utf-8"))
        return RunningServer(
            url=str(content["url"]).rstrip("/"),
            token=content.get("token"),
            pid=int(content["pid"]),
            data_dir=Path(content["data_dir"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _same_path(one: Path, other: Path) -> bool:
    return one.expanduser().resolve() == other.expanduser().resolve()
