"""The gateway's own small database: which projects there are, and which tokens.

Belongs here: `server.db` and what follows from its rows alone (who a token is, what it covers).
Does not belong here: HTTP, and anything inside a project.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase, Table

from coflux.errors import Conflict, Forbidden, InvalidRequest, NotFound
from coflux.model import SYMBOLS
from coflux.server.access import Principal, Right, Scope, includes
from coflux.server.gateway.identity import Grant, Identity
from coflux.server.gateway.schema import migrate

DEFAULT_PROJECT = "default"
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
ENVIRONMENT_PATTERN = re.compile(r"\*|[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*(/\*)?")
TOKEN_PREFIX = "cft_"
#: Keys, values of a key, and characters of each (section 32).
_MOST_TAGS, _LONGEST_TAG = 10, 64
#: Sixty years: an instant beyond it is a mistake in the unit.
_LONGEST_EXPIRY_MS = 60 * 366 * 24 * 3600 * 1000


class Accounts:
    """Projects and tokens, in memory and on disk; the server that holds the lock is the only user.

    `now` gives the time in ms.
    """

    def __init__(self, path: Path, now: Callable[[], int] | None = None) -> None:
        self._now = now or (lambda: time.time_ns() // 1_000_000)
        self._database = SqliteDatabase(
            str(path), pragmas={"journal_mode": "wal", "synchronous": "full", "foreign_keys": 1}
        )
        self._database.connect()
        try:
            migrate(self._database, path)
        except BaseException:
            self._database.close()
            raise
        self._projects_table = _table(self._database, "projects", "name directory created_at")
        self._tokens_table = _table(
            self._database,
            "tokens",
            "id name hash created_at created_by expires_at revoked_at revoked_by tags",
        )
        self._grants_table = _table(self._database, "grants", "token project environment right")
        self._projects: dict[str, str] = {}
        #: By the first bytes of the hash; the whole of it is compared in constant time.
        self._by_hash: dict[bytes, list[tuple[bytes, Identity]]] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._owner: Identity | None = None
        self._load()

    def _load(self) -> None:
        for row in self._projects_table.select().order_by(self._projects_table.name).dicts():
            self._projects[row["name"]] = row["directory"]
        grants: dict[str, list[Grant]] = {}
        for row in self._grants_table.select().dicts():
            grant = Grant(row["project"], row["environment"], row["right"])
            grants.setdefault(row["token"], []).append(grant)
        tokens = self._tokens_table
        for row in tokens.select().where(tokens.revoked_at.is_null()).dicts():
            identity = Identity(
                row["id"], row["name"], tuple(grants.get(row["id"], ())), row["expires_at"],
                tags=_read_tags(row["tags"]),
            )  # fmt: skip
            self._remember(bytes(row["hash"]), identity)
        if DEFAULT_PROJECT not in self._projects:
            self.create_project(DEFAULT_PROJECT)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # --- projects ---------------------------------------------------------------------------

    def projects(self) -> list[str]:
        """Names of all projects, sorted."""
        return sorted(self._projects)

    def directory(self, project: str) -> str | None:
        """Name of the project's folder below `projects/`; None if there is no such project."""
        return self._projects.get(project)

    def create_project(self, name: str) -> str:
        """Record a project and return the name of its folder.

        Raises `InvalidRequest` for a name that breaks ID-5 and `Conflict` for one that is taken.
        """
        if not PROJECT_NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r} is no project name: use 1 to 63 of a-z, 0-9 and `-`, not `-` first.",
                field="name",
            )
        if name in self._projects:
            raise Conflict(f"There is a project {name!r} already.", field="name")
        directory = secrets.token_hex(8)
        row = {"name": name, "directory": directory, "created_at": self._now()}
        self._projects_table.insert(row).execute()
        self._projects[name] = directory
        return directory

    # --- tokens -----------------------------------------------------------------------------

    def identify(self, token: str) -> Identity | None:
        """Whose token it is; None for one that is unknown, revoked or expired."""
        digest = _hash(token)
        found = None
        for known, identity in self._by_hash.get(digest[:8], ((bytes(32), None),)):
            if hmac.compare_digest(known, digest):
                found = identity
        if found is not None and found.expires_at is not None and found.expires_at <= self._now():
            return None
        return found

    def add_transient(self, name: str) -> str:
        """A token for everything that lives as long as this process and is stored nowhere."""
        token = new_token()
        self._owner = Identity(self._draw_id(), name, (Grant("*", "*", "admin"),), tags=None)
        self._remember(_hash(token), self._owner)
        return token

    @property
    def owner(self) -> Identity | None:
        """The server's own user, whose token is transient; None where there is none."""
        return self._owner

    def create_token(
        self,
        creator: Principal,
        project: str,
        name: str,
        right: Right,
        environment: str = "*",
        expires_ms: int | None = None,
        tags: Mapping[str, tuple[str, ...]] | None = None,
    ) -> tuple[str, str]:
        """Make a token for one project; returns its id and its value, which is kept nowhere.

        Raises `Forbidden` when it would grant more than the creator has (AU-3), `InvalidRequest`
        for a field that cannot be used.
        """
        _check_token(name, environment, expires_ms)
        tags = dict(tags or {})
        _check_tags(creator, tags)
        if not _is_admin_of(creator, Scope(environment, right)):
            raise Forbidden(
                f"Your token has no admin right over {environment!r} and cannot grant it.",
                field="environment",
            )
        token, now = new_token(), self._now()
        identity = Identity(
            self._draw_id(),
            name,
            (Grant(project, environment, right),),
            None if expires_ms is None else now + expires_ms,
            tags=tags,
        )
        self._store(token, identity, now, creator.name)
        return identity.id, token

    def list_tokens(self, reader: Principal, project: str) -> list[dict[str, Any]]:
        """The project's tokens in force that the reader may administer, oldest first."""
        tokens, grants = self._tokens_table, self._grants_table
        query = (
            tokens.select(
                tokens.id, tokens.name, grants.right, grants.environment, tokens.created_at,
                tokens.created_by, tokens.expires_at, tokens.tags,
            )
            .join(grants, on=(grants.token == tokens.id))
            .where(
                (grants.project == project)
                & tokens.revoked_at.is_null()
                & (tokens.expires_at.is_null() | (tokens.expires_at > self._now()))
            )
            .order_by(tokens.created_at, tokens.id)
        )  # fmt: skip
        return [
            {**row, "tags": _read_tags(row["tags"])}
            for row in query.dicts()
            if _is_admin_of(reader, Scope(row["environment"], row["right"]))
        ]

    def revoke_token(self, principal: Principal, project: str, id: str) -> None:
        """Make a token unusable for ever and tell the listeners.

        Raises `NotFound` for an id that is unknown or not the principal's to administer.
        """
        grants, tokens = self._grants_table, self._tokens_table
        rows = list(grants.select().where(grants.token == id).dicts())
        if not rows or not all(
            row["project"] == project
            and _is_admin_of(principal, Scope(row["environment"], row["right"]))
            for row in rows
        ):
            raise NotFound(f"There is no token {id!r} in project {project!r}.")
        tokens.update(revoked_at=self._now(), revoked_by=principal.name).where(
            (tokens.id == id) & tokens.revoked_at.is_null()
        ).execute()
        for bucket in self._by_hash.values():
            bucket[:] = [entry for entry in bucket if entry[1].id != id]
        for listener in self._listeners:
            listener(id)

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the id of each token that is revoked."""
        self._listeners.append(listener)

    def _store(self, token: str, identity: Identity, now: int, creator: str) -> None:
        digest = _hash(token)
        with self._database.atomic():
            self._tokens_table.insert(
                {
                    "id": identity.id,
                    "name": identity.name,
                    "hash": digest,
                    "created_at": now,
                    "created_by": creator,
                    "expires_at": identity.expires_at,
                    "tags": json.dumps(identity.tags),
                }
            ).execute()
            for grant in identity.grants:
                self._grants_table.insert(
                    {
                        "token": identity.id,
                        "project": grant.project,
                        "environment": grant.environment,
                        "right": grant.right,
                    }
                ).execute()
        self._remember(digest, identity)

    def _remember(self, digest: bytes, identity: Identity) -> None:
        self._by_hash.setdefault(digest[:8], []).append((digest, identity))

    def _draw_id(self) -> str:
        tokens = self._tokens_table
        length = 6
        while True:
            id = "T" + "".join(secrets.choice(SYMBOLS) for _ in range(length))
            if not list(tokens.select(tokens.id).where(tokens.id == id)):
                return id
            length += 1


def new_token() -> str:
    """A fresh token value."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _table(database: SqliteDatabase, name: str, columns: str) -> Any:
    # Tables, not model classes: a class is bound to one database for the whole process, and a
    # process may hold several servers.
    return Table(name, columns.split()).bind(database)


def _is_admin_of(principal: Principal, wanted: Scope) -> bool:
    admin = [scope for scope in principal.scopes if includes(scope.right, "admin")]
    return Principal("", "", tuple(admin)).may_grant(wanted)


def _read_tags(text: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(values) for key, values in json.loads(text).items()}


def _check_tags(creator: Principal, tags: Mapping[str, tuple[str, ...]]) -> None:
    """Tags within the limits of section 32, and none that the creator has not (AU-3)."""
    texts = [*tags, *(value for values in tags.values() for value in values)]
    if len(tags) > _MOST_TAGS or any(len(values) > _MOST_TAGS for values in tags.values()):
        raise InvalidRequest(
            f"A token has at most {_MOST_TAGS} tags with {_MOST_TAGS} values each.", field="tags"
        )
    if not all(0 < len(text) <= _LONGEST_TAG for text in texts):
        raise InvalidRequest(f"Tags have 1 to {_LONGEST_TAG} characters.", field="tags")
    for key, values in tags.items():
        held = None if creator.tags is None else creator.tags.get(key, ())
        if held is not None and not set(values) <= set(held):
            raise Forbidden(f"Your token has not the tag {key!r} and cannot give it.", field="tags")


def _check_token(name: str, environment: str, expires_ms: int | None) -> None:
    if not 1 <= len(name) <= 100:
        raise InvalidRequest("A token's name has 1 to 100 characters.", field="name")
    if len(environment) > 102 or not ENVIRONMENT_PATTERN.fullmatch(environment):
        raise InvalidRequest(
            f"{environment!r} is no pattern of environments: use `*`, a name, or `prefix/*`.",
            field="environment",
        )
    if expires_ms is not None and not 0 < expires_ms <= _LONGEST_EXPIRY_MS:
        raise InvalidRequest(
            f"expires_ms must be between 1 and {_LONGEST_EXPIRY_MS} ms from now.",
            field="expires_ms",
        )
