"""Pools as TOML: what `coflux pools export` writes and `import` reads.

Belongs here: the file's form. Secrets are in it by name only. Does not belong here: what an import
does (the server's).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coflux.errors import InvalidRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PLAIN = ("launcher", "min", "max", "concurrency")
_TABLES = ("settings", "provides", "accepts", "env")
_HEAD = """\
# Pools of a Coflux environment, for `coflux pools import`. Secrets are named, their values are kept
# on the server. `revision` guards against overwriting what somebody else has changed meanwhile.
"""


def to_toml(pools: Iterable[Mapping[str, Any]]) -> str:
    """The file for pools as the server shows them."""
    return _HEAD + "".join(_pool(pool) for pool in sorted(pools, key=lambda pool: pool["name"]))


def read_toml(path: Path) -> list[dict[str, Any]]:
    """The pools in a file, as the server takes them.

    Raises `InvalidRequest` for what is no such file.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from error
    pools = content.pop("pools", {})
    if content or not isinstance(pools, dict):
        raise InvalidRequest(f"{path} has more in it than the tables [pools.NAME]")
    found = []
    for name, pool in pools.items():
        if not isinstance(pool, dict):
            raise InvalidRequest(f"{path}: pools.{name} is no table")
        found.append({"name": name, **pool})
    return found


def _pool(pool: Mapping[str, Any]) -> str:
    name = _key(pool["name"])
    lines = [f"\n[pools.{name}]", f"revision = {pool['revision']}"]
    lines.append(f"repositories = {_value(pool['repositories'])}")
    lines += [f"{field} = {_value(pool[field])}" for field in _PLAIN]
    if pool["secrets"]:
        lines.append(f"secrets = {_value(sorted(pool['secrets']))}")
    for table in _TABLES:
        if pool[table]:
            lines.append(f"\n[pools.{name}.{table}]")
            lines += [f"{_key(key)} = {_value(value)}" for key, value in pool[table].items()]
    return "\n".join(lines) + "\n"


def _key(text: str) -> str:
    is_bare = text.isascii() and text.replace("-", "_").isidentifier()
    return text if is_bare else _value(text)


def _value(value: Any) -> str:
    # JSON's forms of these are TOML's, apart from DEL, which TOML wants escaped as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
