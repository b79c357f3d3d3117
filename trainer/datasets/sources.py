"""A catalogue of captures that others have published: labels, groups, roles, licences.

One TOML file lists, archive by archive, what each capture holds and what it may be used for
(`trainer/sources/public.toml` says how, at its beginning). The captures themselves are nowhere in
the project; a folder with the unpacked archives is given.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensor.errors import ConfigurationError, MissingInputError, OutputError
from trainer.datasets.extraction import Recording
from trainer.datasets.labels import COLUMNS, read_labels
from trainer.tasks import KNOWN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parents[1] / "sources/public.toml"

ROLES = ("train", "left-out", "reported")
"""May be learnt from or held out in turn; only ever tested on; tested on without an aim."""

_REQUIRED = {"about", "files", "group", "role"}
_TEXTS = ("about", "group", "role", "origin", "licence")
_LISTS = ("files", "exclude", "unknown", "labels")
_FLAGS = ("benign", "captured_twice")
_ALWAYS = "0,9999999999"
"""Every time that a label file can write."""


@dataclass(frozen=True)
class Source:
    """Captures of one kind and origin.

    Attributes:
        archive: which holds them.
        about: what they are.
        origin, licence: where they come from.
        files, exclude: patterns below the folder of the unpacked archives.
        group: network or device, with {folder} and {stem} of the capture.
        role: one of `ROLES`.
        benign: whether their hours count as hours of benign traffic.
        captured_twice: whether they hold every packet twice.
        unknown: tasks of which nothing is known.
        labels: rows as in a label file, less the times.
    """

    archive: str
    about: str
    origin: str
    licence: str
    files: tuple[str, ...]
    group: str
    role: str
    exclude: tuple[str, ...] = ()
    benign: bool = False
    captured_twice: bool = False
    unknown: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def label_file(self) -> str:
        """The content of a label file for each of the captures."""
        covered = [name for name in KNOWN if name not in self.unknown]
        rows = (f"{_ALWAYS},{row}" for row in self.labels)
        return "\n".join([f"# covered: {','.join(covered)}", ",".join(COLUMNS), *rows, ""])


@dataclass(frozen=True)
class Capture:
    """One capture of a source.

    Attributes:
        name: of its source in a dataset.
        path: of the file.
        group: network or device.
        source: what is known of it.
    """

    name: str
    path: Path
    group: str
    source: Source


def read_sources(path: Path = SHIPPED) -> tuple[Source, ...]:
    """Reads a catalogue.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it is malformed; file and entry are named.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror}; name a catalogue") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if set(document) != {"archives"} or not isinstance(document["archives"], list):
        raise ConfigurationError(f"{path}: write [[archives]], tables, and nothing else")
    return tuple(
        source
        for number, archive in enumerate(document["archives"])
        for source in _of_archive(archive, f"{path}: archives[{number}]")
    )


def captures(sources: Sequence[Source], folder: Path) -> list[Capture]:
    """The captures of all sources, in the catalogue's order and then by name.

    Args:
        sources: of a catalogue.
        folder: into which all its archives were unpacked.

    Raises:
        MissingInputError: a pattern finds no capture there.
        ConfigurationError: two sources name one capture, or two captures have one name.
    """
    found: list[Capture] = []
    names: dict[str, Path] = {}
    for source in sources:
        excluded = {path for pattern in source.exclude for path in folder.glob(pattern)}
        paths: set[Path] = set()
        for pattern in source.files:
            matching = set(folder.glob(pattern))
            if not matching:
                raise MissingInputError(
                    f"{folder}: holds no {pattern}; unpack {source.archive}.tar.xz there "
                    f"(from {source.origin})"
                )
            paths |= matching - excluded
        for path in sorted(paths):
            name = "-".join(path.relative_to(folder).with_suffix("").parts)
            name += f"-{path.suffix[1:]}" if path.suffix != ".pcap" else ""
            if name in names:
                raise ConfigurationError(
                    f"{source.archive}: {path} is named twice, or like {names[name]}; name each "
                    "capture once"
                )
            names[name] = path
            group = source.group.format(folder=path.parent.name, stem=path.stem)
            found.append(Capture(name, path, group, source))
    return found


def recordings(found: Sequence[Capture], folder: Path) -> list[Recording]:
    """The captures with label files, which are written where they are not there or differ.

    Args:
        found: captures of a catalogue.
        folder: of the label files.

    Raises:
        OutputError: the folder can't be written.
        LabelError: a row of the catalogue is no row of a label file.
    """
    each = []
    for capture in found:
        path, content = folder / f"{capture.name}.csv", capture.source.label_file()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                path.write_text(content, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{path}: {error.strerror}; name a folder that can be written"
            ) from None
        read_labels(path, KNOWN)
        each.append(Recording(capture.name, capture.path, path, capture.source.captured_twice))
    return each


def groups(found: Sequence[Capture]) -> Mapping[str, str]:
    """The group of each source of a dataset, by name."""
    return {capture.name: capture.group for capture in found}


def _of_archive(archive: Any, where: str) -> list[Source]:
    wanted = {"name", "origin", "licence", "sources"}
    if not isinstance(archive, dict) or set(archive) != wanted:
        given = set(archive) if isinstance(archive, dict) else set()
        wrong = ", ".join(sorted(given ^ wanted))
        raise ConfigurationError(f"{where}: {wrong or 'everything'} is missing or unknown")
    if not isinstance(archive["sources"], list):
        raise ConfigurationError(f"{where}: write [[archives.sources]], tables")
    return [
        _source(archive, entry, f"{where}.sources[{number}]")
        for number, entry in enumerate(archive["sources"])
    ]


def _source(archive: dict[str, Any], entry: Any, where: str) -> Source:
    if not isinstance(entry, dict) or not set(entry) >= _REQUIRED:
        missing = _REQUIRED - set(entry) if isinstance(entry, dict) else _REQUIRED
        raise ConfigurationError(f"{where}: {', '.join(sorted(missing))} is missing")
    if unknown := sorted(set(entry) - {*_TEXTS, *_LISTS, *_FLAGS}):
        raise ConfigurationError(f"{where}.{unknown[0]} is unknown")
    values: dict[str, Any] = {}
    for key in _TEXTS:
        values[key] = entry.get(key, archive.get(key))
        if not isinstance(values[key], str) or not values[key]:
            raise ConfigurationError(f"{where}.{key} is no text")
    for key in _LISTS:
        if key in entry:
            given = entry[key]
            if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
                raise ConfigurationError(f"{where}.{key} is no list of texts")
            values[key] = tuple(given)
    for key in _FLAGS:
        if key in entry:
            if not isinstance(entry[key], bool):
                raise ConfigurationError(f"{where}.{key} is neither true nor false")
            values[key] = entry[key]
    if values["role"] not in ROLES:
        raise ConfigurationError(f"{where}.role is not one of {', '.join(ROLES)}")
    for name in values.get("unknown", ()):
        if name not in KNOWN:
            raise ConfigurationError(f"{where}.unknown: {name} is not one of {', '.join(KNOWN)}")
    return Source(archive["name"], **values)
