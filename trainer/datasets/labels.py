"""Label files: what a person or the lab knows about the flows of a capture.

The format and its meaning are rule 17 of `docs/semantics.md`:

    # covered: syn_dos,ssl_renegotiation
    start,end,src,src_port,dst,dst_port,proto,task,value
    1732180000.5,1732180030,10.0.0.0/24,*,192.0.2.1,80,tcp,syn_dos,1

A row matches a flow if its tuple fits in either direction and the flow's first packet lies in
the span (both ends included). ``unknown`` gives way to a 0 or a 1 of another row, so that a wide
``unknown`` may surround narrow certainties. Further lines that begin with ``#`` are comments.

A *categorical* task has classes instead of 0 and 1, which the first line lists:

    # covered: syn_dos,traffic_class{documents|music|video}
    1732180000.5,1732180030,10.0.0.7,40123,192.0.2.1,443,udp,traffic_class,music

Its value in a row is a class, in an array of labels the class's place in the list. What matches no
row of it is unknown.
"""

import csv
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError, MissingInputError
from sensor.flows.sequences import SequenceBatch
from sensor.packets.headers import ICMP, ICMPV6, SCTP, TCP, UDP
from trainer.tasks import KNOWN

MASKED = -1
"""Label of a flow about which nothing is known; it enters no loss and no figure."""

COLUMNS = ("start", "end", "src", "src_port", "dst", "dst_port", "proto", "task", "value")

PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6, "sctp": SCTP}

_VALUES = {"0": 0, "1": 1, "unknown": MASKED}

MAX_CLASSES = 127
"""Places in the list are int8."""

_COVERED = re.compile(r"#\s*covered:(.*)")
_CATEGORICAL = re.compile(r"([^{}]*)\{([^{}]*)\}")
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}")
_TIME = re.compile(r"(\d{1,10})(?:\.(\d{1,9}))?")
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Endpoint:
    """One side of a label row: a prefix (or any address) and a port (or any).

    Attributes:
        version: 4 or 6; 0 for any address.
        high, low: network address as two 64-bit words, as in `sensor.packets.headers.Headers`.
        mask_high, mask_low: the bits that count.
        port: −1 for any.
    """

    version: int
    high: int
    low: int
    mask_high: int
    mask_low: int
    port: int


@dataclass(frozen=True)
class LabelRow:
    """One line of a label file.

    Attributes:
        start_ns, end_ns: nanoseconds since 1970.
        value: 0 or 1, of a categorical task the place of the class, or `MASKED`.
    """

    line: int
    start_ns: int
    end_ns: int
    source: Endpoint
    destination: Endpoint
    protocol: int
    task: str
    value: int


@dataclass(frozen=True)
class LabelFile:
    """What a label file says.

    Attributes:
        covered: tasks of 0 and 1 whose remaining flows are 0.
        rows: in the order of the file.
        classes: of each categorical task, in the order of the first line.
    """

    path: Path
    covered: tuple[str, ...]
    rows: tuple[LabelRow, ...]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def benign(cls, path: Path, tasks: Sequence[str]) -> "LabelFile":
        """Labels of a capture that holds no attack at all: every task is covered, none is 1."""
        return cls(path, tuple(tasks), ())


def read_labels(path: Path, tasks: Sequence[str]) -> LabelFile:
    """Reads a label file.

    Args:
        path: the CSV file.
        tasks: every task that a row or the first line may name, beside the categorical ones that
            the first line declares.

    Raises:
        MissingInputError: there is no such file.
        LabelError: the file is not in the format; file, line and remedy are named.
    """
    try:
        # Spreadsheets write a byte order mark.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabelError(f"{path}: not UTF-8 text; a label file is a CSV file") from None
    covered, classes = _covered(path, lines[0] if lines else "", tasks)
    numbered = [
        (number, line)
        for number, line in enumerate(lines[1:], 2)
        if line.strip() and not line.startswith("#")
    ]
    number, header = numbered[0] if numbered else (2, "")
    if not header or tuple(_cells(f"{path}:{number}", header)) != COLUMNS:
        raise LabelError(f"{path}:{number}: wrong header; write {','.join(COLUMNS)}")
    values = dict.fromkeys(tasks, _VALUES) | {
        task: {name: place for place, name in enumerate(names)} | {"unknown": MASKED}
        for task, names in classes.items()
    }
    rows = tuple(_row(path, number, line, values) for number, line in numbered[1:])
    return LabelFile(path, covered, rows, classes)


class Labeller:
    """Applies a label file to a capture's rows as they stream past.

    Call `label` for each batch, then `finish`. All rows of a flow get the flow's labels.
    """

    def __init__(self, labels: LabelFile, tasks: Sequence[str]) -> None:
        self._labels = labels
        self._tasks = tuple(tasks)
        self._used = np.zeros(len(labels.rows), bool)

    def label(self, batch: SequenceBatch) -> NDArray[np.int8]:
        """Labels of a batch of b rows.

        Returns:
            ``(b, tasks)`` int8: 0, 1, of a categorical task the place of the class in
            `LabelFile.classes`, or `MASKED`.

        Raises:
            LabelError: two rows give a flow two values of the same task; both lines are named.
        """
        labels = np.full((len(batch), len(self._tasks)), MASKED, np.int8)
        line = np.zeros(labels.shape, np.int32)
        for column, task in enumerate(self._tasks):
            if task in self._labels.covered:
                labels[:, column] = 0
        # Rows that say 'unknown' come first, so that the others overwrite them.
        order = sorted(enumerate(self._labels.rows), key=lambda entry: entry[1].value)
        for index, row in order:
            if row.task not in self._tasks:
                continue
            hits = _matches(row, batch)
            if not hits.size:
                continue
            self._used[index] = True
            column = self._tasks.index(row.task)
            before = line[hits, column]
            clash = (before > 0) & (labels[hits, column] != row.value) & (row.value != MASKED)
            clash &= labels[hits, column] != MASKED
            if clash.any():
                first, second = sorted((int(before[clash][0]), row.line))
                raise LabelError(
                    f"{self._labels.path}:{second}: gives the flow "
                    f"{_describe(batch, int(hits[clash][0]))} another value for {row.task} than "
                    f"line {first}; narrow one of the two"
                )
            labels[hits, column] = row.value
            line[hits, column] = row.line
        return labels

    def finish(self) -> None:
        """Checks that every row has matched a flow.

        Raises:
            LabelError: one has not; its line is named.
        """
        for row, used in zip(self._labels.rows, self._used, strict=True):
            if not used and row.task in self._tasks:
                raise LabelError(
                    f"{self._labels.path}:{row.line}: matches no flow of the capture; "
                    "correct the tuple or the span (it has to hold the flow's first packet), or "
                    "remove the row"
                )


def _covered(
    path: Path, line: str, tasks: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    found = _COVERED.fullmatch(line.strip())
    if found is None:
        raise LabelError(
            f"{path}:1: the covered tasks are missing; begin with '# covered: {','.join(tasks)}'"
        )
    covered: list[str] = []
    classes: dict[str, tuple[str, ...]] = {}
    for word in filter(None, (part.strip() for part in found[1].split(","))):
        if (declared := _CATEGORICAL.fullmatch(word)) is None:
            covered.append(_known(path, 1, word, tasks))
        else:
            task, names = declared[1].strip(), declared[2].split("|")
            classes[task] = _classes(path, task, tuple(name.strip() for name in names))
    return tuple(covered), classes


def _classes(path: Path, task: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that the first line gives to a categorical task."""
    if task in KNOWN:
        raise LabelError(f"{path}:1: {task} has the values 0 and 1; remove its classes")
    if not _CLASS.fullmatch(task):
        raise LabelError(f"{path}:1: {task!r} is no name of a task; write 'name{{class|class}}'")
    wrong = [name for name in names if not _CLASS.fullmatch(name) or name in _VALUES]
    if wrong or len(set(names)) != len(names) or not 2 <= len(names) <= MAX_CLASSES:
        raise LabelError(
            f"{path}:1: the classes of {task} must be 2 to {MAX_CLASSES} different names of "
            f"letters, digits and '_.+-'{f', {wrong[0]!r} is none' if wrong else ''}"
        )
    return names


def _known(path: Path, number: int, task: str, tasks: Sequence[str]) -> str:
    if task not in tasks:
        raise LabelError(f"{path}:{number}: unknown task {task!r}; known are {', '.join(tasks)}")
    return task


def _cells(where: str, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]))]
    except csv.Error as error:
        raise LabelError(f"{where}: {error}; write {','.join(COLUMNS)}") from None


def _row(path: Path, number: int, line: str, values: Mapping[str, Mapping[str, int]]) -> LabelRow:
    where = f"{path}:{number}"
    cells = _cells(where, line)
    if len(cells) != len(COLUMNS):
        raise LabelError(f"{where}: has {len(cells)} cells; write {','.join(COLUMNS)}")
    start, end, src, src_port, dst, dst_port, proto, task, value = cells
    row = LabelRow(
        line=number,
        start_ns=_time_ns(where, "start", start),
        end_ns=_time_ns(where, "end", end),
        source=_endpoint(where, src, src_port),
        destination=_endpoint(where, dst, dst_port),
        protocol=_protocol(where, proto),
        task=_known(path, number, task, tuple(values)),
        value=_value(where, value, values[task]),
    )
    if row.end_ns < row.start_ns:
        raise LabelError(f"{where}: ends before it starts; swap start and end")
    if {row.source.version, row.destination.version} == {4, 6}:
        raise LabelError(f"{where}: mixes IPv4 and IPv6; no flow does")
    return row


def _time_ns(where: str, name: str, text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise LabelError(
            f"{where}: {name} {text!r} is no time; write seconds since 1970 with up to 9 decimals"
        )
    return int(found[1]) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def _endpoint(where: str, prefix: str, port: str) -> Endpoint:
    number = -1
    if port != "*":
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
            raise LabelError(f"{where}: port {port!r} is no port; write 0 to 65535 or *")
        number = int(port)
    if prefix == "*":
        return Endpoint(0, 0, 0, 0, 0, number)
    try:
        network = ipaddress.ip_network(prefix)
    except ValueError as error:
        raise LabelError(f"{where}: {error}; write an address, a prefix or *") from None
    address, mask = int(network.network_address), int(network.netmask)
    return Endpoint(
        network.version, address >> 64, address & _WORD, mask >> 64, mask & _WORD, number
    )


def _protocol(where: str, text: str) -> int:
    if text == "*":
        return -1
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    if text.isascii() and text.isdigit() and int(text) <= 255:
        return int(text)
    raise LabelError(
        f"{where}: unknown protocol {text!r}; write {', '.join(PROTOCOLS)}, a number or *"
    )


def _value(where: str, text: str, values: Mapping[str, int]) -> int:
    if text not in values:
        raise LabelError(f"{where}: value {text!r} is not one of {', '.join(values)}")
    return values[text]


def _matches(row: LabelRow, batch: SequenceBatch) -> NDArray[np.intp]:
    """Rows of the batch that a label row matches, as indices."""
    within = (batch.flow_start_ns >= row.start_ns) & (batch.flow_start_ns <= row.end_ns)
    if row.protocol >= 0:
        within &= batch.protocol == row.protocol
    candidates = np.flatnonzero(within)
    if not candidates.size:
        return candidates
    flows = batch.take(candidates)
    source = (flows.source_high, flows.source_low, flows.source_port)
    destination = (flows.destination_high, flows.destination_low, flows.destination_port)
    forward = _fits(row.source, flows.version, *source)
    forward &= _fits(row.destination, flows.version, *destination)
    backward = _fits(row.source, flows.version, *destination)
    backward &= _fits(row.destination, flows.version, *source)
    return candidates[forward | backward]


def _fits(
    endpoint: Endpoint,
    version: NDArray[np.uint8],
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
    port: NDArray[np.uint16],
) -> NDArray[np.bool_]:
    fits = np.ones(version.size, bool)
    if endpoint.version:
        fits &= version == endpoint.version
        fits &= (high & np.uint64(endpoint.mask_high)) == np.uint64(endpoint.high)
        fits &= (low & np.uint64(endpoint.mask_low)) == np.uint64(endpoint.low)
    if endpoint.port >= 0:
        fits &= port == endpoint.port
    return fits


def _describe(batch: SequenceBatch, row: int) -> str:
    """A flow for an error message: both endpoints and the start."""

    def endpoint(side: str) -> str:
        word = int(getattr(batch, f"{side}_high")[row]) << 64 | int(
            getattr(batch, f"{side}_low")[row]
        )
        version = int(batch.version[row])
        address = ipaddress.IPv4Address(word) if version == 4 else ipaddress.IPv6Address(word)
        port = int(getattr(batch, f"{side}_port")[row])
        return f"{address}:{port}" if version == 4 else f"[{address}]:{port}"

    seconds, rest = divmod(int(batch.flow_start_ns[row]), 1_000_000_000)
    return f"{endpoint('source')} - {endpoint('destination')} at {seconds}.{rest:09d}"
