"""Things that lead to each other, grouped and put in order. Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping


def components(things: Iterable[str], before: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The things in groups, each after all that must come before it, else in the order given.

    `before`: what must come before a thing. Those that must come before each other are one group.
    (Tarjan's algorithm, with a stack of its own: chains may be long.)
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: dict[str, None] = {}
    found: list[list[str]] = []
    for start in things:
        todo: list[tuple[str, Iterator[str]]] = []
        if start not in order:
            _enter(start, order, lowest, path)
            todo.append((start, iter(before.get(start, ()))))
        while todo:
            thing, earlier = todo[-1]
            following = next(earlier, None)
            if following is None:
                todo.pop()
                if todo:
                    above = todo[-1][0]
                    lowest[above] = min(lowest[above], lowest[thing])
                if lowest[thing] == order[thing]:
                    found.append(_leave(thing, path))
            elif following not in order:
                _enter(following, order, lowest, path)
                todo.append((following, iter(before.get(following, ()))))
            elif following in path:
                lowest[thing] = min(lowest[thing], order[following])
    return found


def _enter(
    thing: str, order: dict[str, int], lowest: dict[str, int], path: dict[str, None]
) -> None:
    order[thing] = lowest[thing] = len(order)
    path[thing] = None


def _leave(first: str, path: dict[str, None]) -> list[str]:
    """All on the path from the first of a group on, which are in no other."""
    group = []
    while True:
        thing, _ = path.popitem()
        group.append(thing)
        if thing == first:
            return group[::-1]
