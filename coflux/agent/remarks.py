"""What an agent has to say of the targets it runs: once for each version of a target.

Belongs here: which remarks hold now. Does not belong here: what they say, and who is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from coflux.wire import Repository


class Remarks:
    """The remarks of a session, the newest of each target."""

    def __init__(self) -> None:
        #: Pickle and text, by repository and target.
        self._found: dict[tuple[str, str], tuple[str | None, str]] = {}

    def add(self, repository: str, target: str, pickle: str | None, text: str) -> bool:
        """Note one; whether it is news."""
        place, found = (repository, target), (pickle, text)
        is_news = self._found.get(place) != found
        self._found[place] = found
        return is_news

    def outdate(self, repository: str, target: str, pickle: str | None) -> bool:
        """Forget what was said of other versions of a target; whether there was something."""
        found = self._found.get((repository, target))
        if found is None or found[0] == pickle:
            return False
        del self._found[repository, target]
        return True

    def on(self, repositories: Sequence[Repository]) -> tuple[Repository, ...]:
        """Repositories with what is said of them; those that are not hosted are added."""
        texts: dict[str, list[str]] = {}
        for (repository, _), (_, text) in sorted(self._found.items()):
            texts.setdefault(repository, []).append(text)
        named = [
            msgspec.structs.replace(each, remarks=tuple(texts.pop(each.name, ())))
            for each in repositories
        ]
        return (*named, *(Repository(name, remarks=tuple(found)) for name, found in texts.items()))
