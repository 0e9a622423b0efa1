"""Everything that has a name: one registry per kind, filled by plug-ins, our own methods and data sets among them.

A plug-in is a module that registers entries when it is imported. Plug-ins are found through the entry-point group
``spikemark.plugins``, or named by a user as a file or a module (`load_plugin`). An entry is an object, or the text
``"module:object"`` of one that is imported when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from spikemark.errors import InputError, unknown

PLUGIN_GROUP = "spikemark.plugins"
ADAPTER_GROUP = "spikemark.adapters"
OURS = "spikemark"

T = TypeVar("T")


class PluginError(InputError):
    """A plug-in cannot be loaded or registers something wrong; the message names it."""


class NotImportable(PluginError, ImportError):
    """What an entry stands for cannot be imported; the message names the entry and whose it is."""


@dataclass(frozen=True)
class Origin:
    """Where an entry comes from.

    Attributes:
        name: for listings and messages, such as "spikemark 0.2.0" or "my_neuron.py".
        plugin: what `load_plugin` loads it from elsewhere; None for installed packages, which every process finds.
        digest: hash of the source; empty for our own entries, whose version and commit records hold.
    """

    name: str
    plugin: str | None = None
    digest: str = ""


@dataclass
class _Entry:
    value: Any
    origin: Origin
    source: str


class Registry(Mapping[str, T], Generic[T]):
    """Entries of one kind by name. Reading resolves lazy entries; asking for names does not.

    Args:
        kind: in the singular, as messages say it.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, _Entry] = {}

    def add(self, name: str, value: T | str, *, source: str = "", origin: Origin | None = None) -> None:
        """Register an object, or the ``"module:object"`` that it is.

        Raises:
            PluginError: the name is taken, or is no name.
        """
        if not name or name != name.strip() or any(c in name for c in "=,/\\\n"):
            raise PluginError(f"{self.kind} {name!r}: a name has no spaces around it and none of = , / \\")
        origin = origin or _current_origin()
        taken = self._entries.get(name)
        if taken is not None:
            raise PluginError(f"two {self.kind} entries are called {name!r}: {taken.origin.name} and {origin.name}")
        self._entries[name] = _Entry(value, origin, source)

    def __getitem__(self, name: str) -> T:
        """The object called `name`.

        Raises:
            UnknownNameError: there is none; the message lists the known names and the closest one.
            NotImportable: it is a lazy entry, and there is nothing of that name to import.
        """
        entry = self._entry(name)
        if isinstance(entry.value, str):
            try:
                with _registering(entry.origin):
                    entry.value = imported(entry.value)
            except (ImportError, AttributeError) as error:
                raise NotImportable(f"{self.kind} {name!r} (of {entry.origin.name}): {entry.value}: {error}") from error
        value: T = entry.value
        return value

    def __contains__(self, name: object) -> bool:
        load_installed()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        load_installed()
        return iter(list(self._entries))

    def __len__(self) -> int:
        load_installed()
        return len(self._entries)

    def origin(self, name: str) -> Origin:
        """Who registered `name`."""
        return self._entry(name).origin

    def source(self, name: str) -> str:
        """The publication behind `name`, or whose it is."""
        return self._entry(name).source

    def _entry(self, name: str) -> _Entry:
        load_installed()
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]


def imported(text: str) -> Any:
    """The object that ``"module:object"`` names.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such object.
    """
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(module), name)


KINDS: Mapping[str, str] = {
    "neuron": "neurons",
    "network": "networks",
    "layer": "layers",
    "normalization": "normalizations",
    "rule": "rules",
    "system": "systems",
    "model": "models",
    "dataset": "datasets",
    "encoder": "encoders",
    "noise": "noises",
    "measure": "measures",
    "profile": "profiles",
    "framework": "frameworks",
    "claim": "claims",
    "suite": "suites",
}
"""Every kind and its plural, as `spikemark list` takes it."""

_REGISTRIES: dict[str, Registry[Any]] = {kind: Registry(kind) for kind in KINDS}


def registry(kind: str) -> Registry[Any]:
    """The registry of a kind.

    Raises:
        UnknownNameError: there is no such kind.
    """
    if kind not in _REGISTRIES:
        raise unknown("kind of entry", kind, KINDS)
    return _REGISTRIES[kind]


def register(kind: str, name: str, value: Any, *, source: str = "") -> None:
    """Add an entry, or the ``"module:object"`` of one.

    Args:
        kind: one of `KINDS`.
        name: as users write it.
        value: the entry.
        source: the publication, or whose it is.

    Raises:
        UnknownNameError: there is no such kind.
        PluginError: the name is taken; the message names both origins.
    """
    registry(kind).add(name, value, source=source)


def register_all(kind: str, entries: Mapping[str, Any]) -> None:
    """`register` every entry by name, each under the ``source`` that it holds."""
    for name, value in entries.items():
        register(kind, name, value, source=getattr(value, "source", ""))


def known(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, once every one of them is registered.

    Raises:
        UnknownNameError: one is not.
    """
    entries = registry(kind)
    for name in names:
        entries.origin(name)
    return names


def registering(kind: str) -> Callable[..., Callable[[T], T]]:
    """A decorator ``@decorator(name, source="")`` that registers what it decorates, unchanged."""

    def decorator(name: str, *, source: str = "") -> Callable[[T], T]:
        def keep(value: T) -> T:
            register(kind, name, value, source=source)
            return value

        return keep

    return decorator


def origins(used: Iterable[tuple[str, str]]) -> dict[str, Origin]:
    """By name, the origins of the entries ``(kind, name)`` that are not our own."""
    found = {registry(kind).origin(name) for kind, name in used if name in registry(kind)}
    return {origin.name: origin for origin in sorted(found, key=lambda o: o.name) if origin.digest}


def digests() -> dict[str, str]:
    """By origin's name, the digest of every plug-in that has an entry in this process."""
    entries = (entry for found in _REGISTRIES.values() for entry in found._entries.values())
    return {entry.origin.name: entry.origin.digest for entry in entries if entry.origin.digest}


# --- plug-ins -------------------------------------------------------------------------------------------------------

_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)
_loaded: dict[str, Origin] = {}
_broken: list[PluginError] = []


@contextmanager
def _registering(origin: Origin) -> Iterator[None]:
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def _current_origin() -> Origin:
    """Of the plug-in that is being loaded, else of the module that calls."""
    loading = _origin.get()
    if loading is not None:
        return loading
    frame = sys._getframe(1)
    while _is_ours(frame.f_globals):
        if frame.f_code.co_name == "<module>" or frame.f_back is None:
            return Origin(OURS)
        frame = frame.f_back
    module, file = str(frame.f_globals.get("__name__", "?")), frame.f_globals.get("__file__")
    if module == "__main__" or file is None:
        return Origin(module, digest=_digest([Path(file)]) if file else "interactive")
    for entry in entry_points(group=PLUGIN_GROUP):
        if entry.module.partition(".")[0] == module.partition(".")[0]:
            return _origin_of(entry)
    return Origin(module, module, _digest(_sources(module)))


def _is_ours(namespace: Mapping[str, Any]) -> bool:
    return str(namespace.get("__name__", "")).partition(".")[0] == OURS


def load_installed() -> None:
    """Load the plug-ins of installed packages, once.

    Raises:
        PluginError: one of them cannot be loaded.
    """
    if _broken:
        raise _broken[0]  # every time, so that nobody goes on with what was registered before it
    if PLUGIN_GROUP in _loaded:
        return
    _loaded[PLUGIN_GROUP] = Origin(PLUGIN_GROUP)
    for entry in sorted(entry_points(group=ADAPTER_GROUP), key=_ours_first):
        registry("framework").add(entry.name, entry.value, origin=_origin_of(entry))
    for entry in sorted(entry_points(group=PLUGIN_GROUP), key=_ours_first):
        origin = _origin_of(entry)
        try:
            _load(f"{entry.value} (of {origin.name})", origin, partial(importlib.import_module, entry.module))
        except PluginError as error:
            _broken.append(error)
            raise


def load_plugin(plugin: str, folder: Path | None = None) -> Origin:
    """Load a plug-in file or module, unless it is loaded already.

    Args:
        plugin: path of a ``.py`` file, or the name of a module.
        folder: that a relative path starts from; the working directory when None.

    Raises:
        PluginError: there is none, it raises while it is imported, or it registers a name that is taken.
    """
    load_installed()
    try:
        path = Path(folder or "", plugin).expanduser()
    except RuntimeError as error:  # whose home is that?
        raise PluginError(f"plug-in {plugin}: {error}") from None
    if plugin.endswith(".py") or path.is_file():
        if not path.is_file():
            raise PluginError(f"plug-in {plugin}: there is no file {path}")
        origin = Origin(path.name, str(path.resolve()), _digest([path]))
        name = f"spikemark_plugin_{path.stem}_{origin.digest}"
        load: Callable[[], object] = partial(_import_file, name, path)
    else:
        try:
            spec = importlib.util.find_spec(plugin)
        except (ImportError, ValueError) as error:
            raise PluginError(f"plug-in {plugin}: {error}") from None
        if spec is None or spec.origin is None:
            raise PluginError(f"plug-in {plugin}: no such module, nor a file of that name")
        origin = Origin(plugin, plugin, _digest(_sources(plugin)))
        load = partial(importlib.import_module, plugin)
    known = _loaded.get(str(origin.plugin))
    if known is not None:
        if known.digest != origin.digest:
            raise PluginError(f"plug-in {plugin}: its source changed after it was loaded; start a new process")
        return known
    _load(plugin, origin, load)
    _loaded[str(origin.plugin)] = origin
    return origin


def loaded_plugins() -> list[str]:
    """Files and modules that `load_plugin` loaded, for another process to load; in order."""
    return [origin.plugin for origin in _loaded.values() if origin.plugin is not None]


def _load(what: str, origin: Origin, load: Callable[[], object]) -> None:
    before = {kind: dict(found._entries) for kind, found in _REGISTRIES.items()}
    try:
        with _registering(origin):
            load()
    except Exception as error:  # whatever a stranger's module raises is one line that names it
        for kind, entries in before.items():
            _REGISTRIES[kind]._entries = entries  # half a plug-in would answer some questions and not others
        message = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"plug-in {what}: {message}") from error


def _import_file(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _origin_of(entry: EntryPoint) -> Origin:
    distribution = entry.dist
    name = f"{distribution.name} {distribution.version}" if distribution is not None else entry.value
    ours = distribution is not None and distribution.name == OURS
    return Origin(name, digest="" if ours else _digest(_sources(entry.module)))


def _ours_first(entry: EntryPoint) -> tuple[bool, str]:
    return entry.dist is None or entry.dist.name != OURS, entry.name


def _sources(module: str) -> list[Path]:
    """The Python files of a module's top-level package, or its only file."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return []
    path = Path(spec.origin)
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]


def source_digest(module: str) -> str:
    """Of the Python files of a module's top-level package."""
    return _digest(_sources(module))


def _digest(files: Iterable[Path]) -> str:
    """Of the files' contents; what cannot be read is told by the import that follows."""
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
