"""What each fact holds on to: other runs, assets, blobs (DM-2).

Every place where a change names one of these is listed here; what is not listed is removed one day
although something needs it. Belongs here: the names in facts. Does not belong here: following them
(`core.retention`), removing.

A target is told by its first letter: `R` run, `A` asset; anything else is a blob.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coflux.model import (
    LINKS,
    AssetManifest,
    Definition,
    Error,
    Raised,
    Result,
    Returned,
    Value,
    run_of,
)
from coflux.server.core import changes as c

#: Errors whose message is long say in it which blob has the rest (ER); so do logged ones.
_IN_TEXT = re.compile(r"\bin blob ([0-9a-f]{64})\b")


def of_change(change: c.Change) -> Iterable[str]:
    """What a fact of a run holds on to, perhaps with itself and repetitions."""
    find = _OF.get(type(change))
    return find(change) if find is not None else ()


def of_values(values: Iterable[Value]) -> Iterator[str]:
    """What encoded values hold on to."""
    for value in values:
        if value.blob is not None:
            yield value.blob
        for reference in value.references:
            yield reference.id if reference.kind == "asset" else run_of(reference.id)


def of_manifest(manifest: AssetManifest) -> Iterator[str]:
    """Blobs of an asset's files."""
    return (entry.blob for entry in manifest.entries)


def of_configuration(changes: Iterable[c.Change], since: int) -> set[str]:
    """What manifests, pickled targets and schedules hold on to, or did until after `since`.

    Code that was replaced a moment ago may be on its way to an executor.
    """
    current: dict[tuple[str, ...], set[str]] = {}
    replaced: set[str] = set()
    for change in changes:
        if isinstance(change, c.ManifestSet):
            place: tuple[str, ...] = (change.environment, change.repository)
            new = {each for d in change.definitions or () for each in of_definition(d)}
        elif isinstance(change, c.TargetPickled):
            place = (change.environment, change.repository, change.target)
            new = set(of_definition(change.definition)) if change.definition else set()
        elif isinstance(change, c.ScheduleSet):
            place = (change.schedule,)
            new = set(of_values(change.spec.arguments.values())) if change.spec else set()
        else:
            continue
        if change.at >= since:
            replaced |= current.get(place, set())
        current[place] = new
    return replaced.union(*current.values())


def of_definition(definition: Definition) -> Iterator[str]:
    """What a target's code, defaults and schedules hold on to."""
    if definition.pickle is not None:
        yield definition.pickle
    yield from of_values(p.default for p in definition.parameters if p.default is not None)
    for schedule in definition.schedules:
        yield from of_values(schedule.arguments.values())


def _of_result(result: Result) -> Iterator[str]:
    if isinstance(result, Returned):
        yield from of_values((result.value,))
    elif isinstance(result, LINKS):
        yield run_of(result.execution)
    elif isinstance(result, Raised):
        error: Error | None = result.error
        while error is not None:
            yield from in_text(error.message)
            error = error.cause


def in_text(text: str) -> Iterator[str]:
    """Blobs that a text cut short names."""
    if " in blob " in text:
        yield from _IN_TEXT.findall(text)


def _of_cache(x: c.CacheChecked) -> Iterator[str]:
    if x.source is not None:
        yield run_of(x.source)


def _of_dependencies(x: c.Depended) -> Iterator[str]:
    return (run_of(id) for id in x.on)


_OF: dict[type[c.Change], Callable[[Any], Iterable[str]]] = {
    c.StepCreated: lambda x: of_values(x.submission.arguments.values()),
    c.ChildJoined: lambda x: (run_of(x.child),),
    c.ExecutionCreated: lambda x: map(run_of, x.gate),
    c.CacheChecked: _of_cache,
    c.Depended: _of_dependencies,
    c.ResultRecorded: lambda x: _of_result(x.result),
    c.LinkSucceeded: lambda x: (run_of(x.successor),),
    c.AssetRecorded: lambda x: (x.asset,),
    c.CheckpointSaved: lambda x: of_values(x.arguments.values()),
    c.InputCreated: lambda x: of_values(x.question.placeholders.values()),
    c.InputEnded: lambda x: of_values((x.answer,) if x.answer is not None else ()),
}
