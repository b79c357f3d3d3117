"""Data sets of traffic classes, each from a folder of captures.

- ``quic``: recordings of the lab's services (`multa-trainer lab set quic`); classes are those of
  the label files, parts those of the set. Their clients close every session before the recording
  ends, so all labelled flows are whole.
- ``sentinel``: IoT Sentinel (M. Miettinen et al., ICDCS 2017), a folder a device, which is the
  class; dealt out by capture file.
- ``ndpi``: nDPI's example captures with the category that nDPI gave to each flow
  (``ndpi_flow_labels.csv``); dealt out by capture file.
- ``requet``: YouTube sessions of Requet (C. Gutterman et al., MMSys 2019); no classes.
- ``labelled``: captures of anybody with label files that declare classes, in the folders that
  `multa-trainer extract` takes; dealt out by capture. Flows without a class are kept.

Of the public sets a class counts that has enough sources and flows, and of one source and class at
most `MOST` flows, drawn once: one long capture would otherwise be the class.
"""

import contextlib
import csv
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import (
    LabelError,
    LinkTypeError,
    MissingInputError,
    TruncatedCaptureError,
    UsageError,
)
from sensor.flows.sequences import SequenceBatch
from trainer.datasets.extraction import LABELS, Recording, parse_recordings
from trainer.datasets.labels import Labeller, read_labels
from trainer.lab.recording_set import read_set, shipped_sets
from trainer.tasks import KNOWN
from trainer.traffic.inputs import LEAST_PACKETS, SCHEMA, TASKS
from trainer.traffic.material import PARTS, Material, deal
from trainer.traffic.whole_flows import WholeFlows, whole_flows

MOST = 30
"""Flows of one source and class, of the public sets."""

LEAST_SOURCES = 10
LEAST_FLOWS = 50
"""Of a class of the public sets, flows being counted after `MOST`."""

SEED = 0
"""Of all draws, the same for every network."""


@dataclass(frozen=True)
class _Source:
    """A capture's flows with their classes; an empty name is an unknown class."""

    name: str
    flows: WholeFlows
    labels: list[str]
    whole: bool = False
    part: str = ""


def read(argument: str) -> Material:
    """The data set of ``KIND:FOLDER``.

    Raises:
        UsageError: there is no such kind.
        MissingInputError: the folder holds no captures of this kind.
        MultaError: a capture or its labels can't be read.
    """
    kind, _, folder = argument.partition(":")
    if kind not in _READERS or not folder:
        raise UsageError(
            f"{argument}: no data set; write KIND:FOLDER, KIND being one of {', '.join(_READERS)}"
        )
    if not Path(folder).is_dir():
        raise MissingInputError(f"{folder}: no such folder")
    return _READERS[kind](Path(folder))


def _quic(folder: Path) -> Material:
    return services(parse_recordings([str(folder)], benign=False))


def services(recordings: Sequence[Recording]) -> Material:
    """Recordings of the lab's services, in their parts of the set if all of them are of it.

    Raises:
        MultaError: a capture or its labels can't be read.
    """
    parts = read_set("quic").parts() if "quic" in shipped_sets() else {}
    in_set = all(recording.name in parts for recording in recordings)
    sources, classes = _with_classes(recordings)
    if in_set:
        sources = [replace(source, part=parts[source.name]) for source in sources]
    return _material(
        "quic",
        "services over real QUIC in the lab: one server, stack and certificate; sources are "
        "recordings",
        [replace(source, whole=True) for source in sources],
        classes,
        labelled_alone=True,
    )


def _labelled(folder: Path) -> Material:
    sources, classes = _with_classes(parse_recordings([str(folder)], benign=False))
    about = "captures with labels; sources are captures"
    return _material("labelled", about, sources, classes)


def _with_classes(recordings: Sequence[Recording]) -> tuple[list[_Source], tuple[str, ...]]:
    """Captures whose label files declare the same classes, and these."""
    sources: list[_Source] = []
    classes: tuple[str, ...] = ()
    for recording in recordings:
        labels = read_labels(recording.capture.parent / LABELS, KNOWN)
        if TASKS[-1] not in labels.classes or labels.classes[TASKS[-1]] != (
            classes := classes or labels.classes[TASKS[-1]]
        ):
            raise LabelError(
                f"{labels.path}:1: must declare {TASKS[-1]} with the classes of the other "
                f"recordings, as in `# covered: {TASKS[-1]}{{music|video}}`"
            )
        flows = whole_flows(recording.capture, SCHEMA)
        given = Labeller(labels, TASKS[-1:]).label(flows.rows)[:, 0]
        names = [classes[place] if place >= 0 else "" for place in given]
        sources.append(_Source(recording.name, flows, names))
    return sources, classes


def _sentinel(folder: Path) -> Material:
    sources = []
    for path in _captures(folder.glob("*/*.pcap"), folder):
        flows = whole_flows(path, SCHEMA)
        name = f"{path.parent.name}/{path.stem}"
        sources.append(_Source(name, flows, [path.parent.name] * len(flows.rows)))
    return _material(
        "sentinel", "IoT devices being set up (IoT Sentinel); sources are captures", sources
    )


def _ndpi(folder: Path) -> Material:
    table = folder / "ndpi_flow_labels.csv"
    known: dict[tuple[str, _Ends], set[str]] = {}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            for entry in csv.DictReader(file):
                ends = (entry["src"], int(entry["sport"])), (entry["dst"], int(entry["dport"]))
                # Some IPv6 addresses are no addresses, as nDPI has cut them: no flow is theirs.
                with contextlib.suppress(ipaddress.AddressValueError):
                    known.setdefault((entry["file"], _ends(*ends)), set()).add(entry["category"])
    except OSError as error:
        raise MissingInputError(f"{table}: {error.strerror}") from None
    except (KeyError, ValueError) as error:
        raise LabelError(f"{table}: not nDPI's flow labels ({error}); unpack it again") from None
    listed = {name for name, _ in known}
    sources = []
    for path in _captures((p for p in folder.iterdir() if p.name in listed), folder):
        try:
            flows = whole_flows(path, SCHEMA)
        except (LinkTypeError, TruncatedCaptureError):  # some show what a parser must refuse
            continue
        names = []
        for ends in _row_ends(flows.rows):
            categories = known.get((path.name, ends), set())
            names.append(min(categories) if len(categories) == 1 else "")
        sources.append(_Source(path.name, flows, names))
    return _material(
        "ndpi", "captures of applications (nDPI), its category a class; sources are files", sources
    )


def _requet(folder: Path) -> Material:
    sources = []
    for path in _captures(folder.glob("*.pcap"), folder):
        flows = whole_flows(path, SCHEMA)
        sources.append(_Source(path.stem, flows, [""] * len(flows.rows)))
    return _material(
        "requet", "YouTube sessions (Requet), without classes; sources are captures", sources
    )


_READERS: dict[str, Callable[[Path], Material]] = {
    "quic": _quic,
    "sentinel": _sentinel,
    "ndpi": _ndpi,
    "requet": _requet,
    "labelled": _labelled,
}
KINDS = tuple(_READERS)

_Ends = tuple[tuple[str, int], tuple[str, int]]


def _ends(one: tuple[str, int], other: tuple[str, int]) -> _Ends:
    """Both ends of a flow, in one order, addresses as `ipaddress` writes them."""
    first, second = sorted((str(_written(host)), port) for host, port in (one, other))
    return first, second


def _written(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; nDPI writes those of IPv6 in brackets."""
    bare = text.strip("[]")
    return ipaddress.IPv6Address(bare) if ":" in bare else ipaddress.IPv4Address(bare)


def _row_ends(rows: SequenceBatch) -> Iterable[_Ends]:
    sides = []
    for side in ("source", "destination"):
        columns = (getattr(rows, f"{side}_{name}").tolist() for name in ("high", "low", "port"))
        sides.append(
            [
                (str(_address(version, high << 64 | low)), port)
                for version, high, low, port in zip(rows.version.tolist(), *columns, strict=True)
            ]
        )
    return (_ends(*both) for both in zip(*sides, strict=True))


def _address(version: int, word: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(word) if version == 4 else ipaddress.IPv6Address(word)


def _captures(paths: Iterable[Path], folder: Path) -> list[Path]:
    if found := sorted(paths):
        return found
    raise MissingInputError(f"{folder}: holds no captures of this data set; unpack it there")


def _material(
    name: str,
    about: str,
    sources: list[_Source],
    classes: tuple[str, ...] = (),
    *,
    labelled_alone: bool = False,
) -> Material:
    """Flows of enough packets, with the classes that have enough of them.

    Args:
        name: of the data set.
        about: it.
        sources: all captures.
        classes: of the labels; without them, what there is enough of, by name.
        labelled_alone: whether flows without a class are left out altogether.
    """
    chosen = [_chosen(source, capped=not classes) for source in sources]
    classes = classes or _enough(sources, chosen)
    place = {one: number for number, one in enumerate(classes)}
    labels = [
        np.array([place.get(source.labels[row], -1) for row in rows], np.int64)
        for source, rows in zip(sources, chosen, strict=True)
    ]
    if labelled_alone:
        chosen = [rows[label >= 0] for rows, label in zip(chosen, labels, strict=True)]
        labels = [label[label >= 0] for label in labels]
    if not sum(map(len, chosen)):
        raise MissingInputError(f"{name}: no flow of {LEAST_PACKETS} packets is in the captures")
    flows = [source.flows for source in sources]
    whole = [
        (each.ends.whole | source.whole)[rows]
        for source, each, rows in zip(sources, flows, chosen, strict=True)
    ]
    part = _parts(sources, labels)
    counts = [len(rows) for rows in chosen]
    pairs = list(zip(flows, chosen, strict=True))
    return Material(
        name=name,
        about=about,
        classes=classes,
        rows=SequenceBatch.concatenate([each.rows.take(rows) for each, rows in pairs]),
        bandwidth_bps=np.concatenate([each.ends.bandwidth_bps[rows] for each, rows in pairs]),
        duration_s=np.concatenate([each.ends.duration_ns[rows] / 1e9 for each, rows in pairs]),
        whole=np.concatenate(whole),
        label=np.concatenate(labels),
        source=np.repeat(np.arange(len(sources)), counts),
        sources=tuple(source.name for source in sources),
        part=np.repeat(part, counts),
    )


def _chosen(source: _Source, *, capped: bool) -> NDArray[np.intp]:
    """Flows of enough packets, at most `MOST` of each class where that is asked for."""
    rows = np.flatnonzero(source.flows.ends.packets.sum(axis=1) >= LEAST_PACKETS)
    if not capped:
        return rows
    generator = np.random.default_rng([SEED, *source.name.encode()])
    held: Counter[str] = Counter()
    kept = []
    for row in generator.permutation(rows):
        held[source.labels[row]] += 1
        if held[source.labels[row]] <= MOST:
            kept.append(row)
    return np.sort(np.array(kept, np.intp))


def _enough(sources: list[_Source], chosen: list[NDArray[np.intp]]) -> tuple[str, ...]:
    """Classes with `LEAST_SOURCES` sources and `LEAST_FLOWS` flows, sorted."""
    flows: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for source, rows in zip(sources, chosen, strict=True):
        counts = Counter(source.labels[row] for row in rows if source.labels[row])
        flows += counts
        held.update(counts.keys())
    return tuple(
        sorted(one for one in flows if flows[one] >= LEAST_FLOWS and held[one] >= LEAST_SOURCES)
    )


def _parts(sources: list[_Source], labels: list[NDArray[np.int64]]) -> NDArray[np.int8]:
    """The part of each source: its own, or dealt out by the class that it has most of."""
    if all(source.part for source in sources):
        return np.array([PARTS.index(source.part) for source in sources], np.int8)
    groups = []
    for label in labels:
        known = label[label >= 0]
        groups.append(str(np.bincount(known).argmax()) if known.size else "")
    return deal(groups, SEED)
