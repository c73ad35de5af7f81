"""Repositories: from what the user names to imported modules and their targets.

Belongs here: finding, importing and scanning modules. Does not belong here: running targets,
watching files, and telling the server.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from coflux import packages
from coflux.code import is_project_file
from coflux.model import Definition, Error
from coflux.names import check_name, name_repository, repository_of
from coflux.remote_errors import describe
from coflux.target import Target
from coflux.wire import Repository

#: What every pickled target needs.
PICKLED = "coflux.pickled"


@dataclass
class Loaded:
    """What an import gave."""

    #: Targets by repository and name.
    targets: dict[str, dict[str, Target[Any, Any]]] = field(default_factory=dict)
    #: Repositories that could not be imported, with the exception and its traceback.
    failures: dict[str, tuple[Error, str]] = field(default_factory=dict)
    #: Repositories that were asked for (others are only re-exported by these).
    named: list[str] = field(default_factory=list)

    def repositories(self) -> tuple[Repository, ...]:
        """As a session announces them."""
        names = dict.fromkeys([*self.targets, *self.failures])
        return tuple(
            Repository(
                name=name,
                targets=tuple(self._definitions(name)),
                failure=self.failures[name][1] if name in self.failures else None,
            )
            for name in names
        )

    def _definitions(self, name: str) -> Iterator[Definition]:
        for target in self.targets.get(name, {}).values():
            yield target.definition()


def load(names: Sequence[str], directory: Path) -> Loaded:
    """Import repositories: dotted modules, packages (with all below them), or `.py` files.

    One that fails to import is recorded with its traceback and keeps none of the others back.
    """
    loaded = Loaded()
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    for name in names:
        _load(name, directory, loaded)
    return loaded


def import_ahead(modules: Sequence[str]) -> None:
    """Import modules that pickled targets will need; what fails, fails where it is needed."""
    for module in modules:
        with contextlib.suppress(BaseException):
            importlib.import_module(module)
    if PICKLED in modules:
        # Compared with in each execution.
        packages.installed()


def project_files() -> tuple[str, ...]:
    """Files of the project's modules that are imported in this process."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return tuple(sorted(file for file in files if file and is_project_file(file)))


def repository_name(name: str) -> str:
    """The repository that an argument names: a file's stem, or the dotted module itself."""
    return Path(name).stem if _is_file(name) else name


def _is_file(name: str) -> bool:
    return name.endswith(".py")


def _load(name: str, directory: Path, loaded: Loaded) -> None:
    repository = repository_name(name)
    try:
        check_name(repository, "the repository's name")
        module = _import_file(directory / name) if _is_file(name) else _import_module(name)
        _scan(module, loaded)
    except BaseException as error:  # noqa: BLE001 - a module may even call sys.exit()
        _record_failure(repository, error, loaded)
        return
    if hasattr(module, "__path__"):
        for below in _modules_below(module):
            if below not in loaded.named:
                _load(below, directory, loaded)


def _import_module(name: str) -> ModuleType:
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    # As `python file.py` does, so that the file's neighbours can be imported.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    stem = path.stem
    name = stem if stem not in sys.modules else f"coflux_file_{stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported", path=str(path))
    module = importlib.util.module_from_spec(spec)
    if name != stem:
        name_repository(name, stem)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _modules_below(package: ModuleType) -> list[str]:
    """All modules of a package, except private ones."""
    # Late: executors are forked with what is imported.
    import pkgutil

    names: list[str] = []
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        leaf = info.name.rpartition(".")[2]
        if not leaf.startswith("_"):
            names.append(info.name)
    return names


def _scan(module: ModuleType, loaded: Loaded) -> None:
    repository = repository_of(module.__name__)
    loaded.named.append(repository)
    loaded.targets.setdefault(repository, {})
    for value in list(vars(module).values()):
        if isinstance(value, Target) and not value.is_stub and not value.is_copy:
            known = loaded.targets.setdefault(value.repository, {})
            if known.setdefault(value.name, value) is not value:
                raise ValueError(f"two targets of {value.repository} are named {value.name!r}")


def _record_failure(repository: str, error: BaseException, loaded: Loaded) -> None:
    if error.__traceback__ is not None:
        # Our own frames say nothing to the user.
        error = error.with_traceback(_skip_ours(error))
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    loaded.targets.pop(repository, None)
    if repository not in loaded.named:
        loaded.named.append(repository)
    loaded.failures[repository] = (describe(error), text)


def _skip_ours(error: BaseException) -> Any:
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            return step
        step = step.tb_next
    return None
