"""From what operators have said of alerts to a dataset: the rows that alerts have left as evidence.

A row of evidence is what the network saw, so no capture is needed. Its label is what was said of
its alert, for the task of the alert alone: nothing is known of the others, which are masked. A row
that belongs to several alerts gets the labels of all of them; where two contradict each other for a
task, it is masked for that task.

Each alert is a source. Rows hold the addresses of their flows, as those of captures do, which no
feature uses.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sensor
from sensor.errors import BundleError, MissingInputError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema
from sensor.reporting.evidence_files import Evidence, Row, find, read
from sensor.reporting.labels import Label
from trainer.datasets.dataset import SourceRecord
from trainer.datasets.extraction import sha256
from trainer.datasets.labels import MASKED

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

RowKey = tuple[str, int | None, str, int | None, str, datetime, int, int]


@dataclass(frozen=True)
class Judged:
    """An alert of which somebody has said whether it was right.

    Attributes:
        label: what was said.
        evidence: rows of the alert.
    """

    label: Label
    evidence: Evidence


@dataclass(frozen=True)
class LeftOut:
    """An alert whose label teaches nothing, and why."""

    label: Label
    why: str


def gather(
    directory: Path, labels: Iterable[Label], tasks: Sequence[str], schema: FeatureSchema
) -> Iterator[Judged | LeftOut]:
    """The evidence of labelled alerts.

    Args:
        directory: of the evidence.
        labels: one for each alert.
        tasks: that a network learns; alerts of others are left out, as of the counting rule.
        schema: rules by which the rows of the dataset are made.

    Raises:
        BundleError: evidence has another feature fingerprint.
        EvidenceError, PermissionDeniedError: evidence is damaged, or may not be read.
    """
    for label in labels:
        if label.task not in tasks:
            yield LeftOut(label, f"{label.task} is no task of the dataset (see --task)")
            continue
        try:
            evidence = read(find(directory, label.alert_id))
        except MissingInputError:
            if not directory.is_dir():
                raise
            yield LeftOut(label, "its evidence is gone")
            continue
        if evidence.schema.fingerprint() != schema.fingerprint():
            raise BundleError(
                f"{evidence.path}: its feature fingerprint is "
                f"{evidence.schema.fingerprint()[:16]}…, the dataset's "
                f"{schema.fingerprint()[:16]}…; use the version of multa that the sensor had, or "
                "move this evidence away"
            )
        if evidence.alert.task != label.task:
            yield LeftOut(label, f"its evidence is of {evidence.alert.task}")
            continue
        yield Judged(label, evidence)


def source(
    judged: Judged, all_labels: dict[RowKey, dict[str, int]], tasks: Sequence[str]
) -> tuple[SourceRecord, SequenceBatch, NDArray[np.int8]]:
    """A judged alert as a source of a dataset.

    Args:
        judged: the alert.
        all_labels: of `labels_by_row`, of all judged alerts.
        tasks: columns of the labels.

    Returns:
        The source, its rows in the order of the evidence, and ``(rows, tasks)`` labels.
    """
    evidence, label = judged.evidence, judged.label
    batch = _with_identities(evidence)
    labels = np.full((len(batch), len(tasks)), MASKED, np.int8)
    for place, row in enumerate(evidence.rows):
        for task, value in all_labels[_key(row, int(batch.row[place]))].items():
            labels[place, tasks.index(task)] = value
    said = json.dumps(label.document(), sort_keys=True).encode()
    record = SourceRecord(
        name=label.alert_id,
        capture=evidence.path.name,
        capture_sha256=sha256(evidence.path),
        labels_sha256=hashlib.sha256(said + labels.tobytes()).hexdigest(),
        covered=(label.task,),
        extractor=sensor.__version__,
        packets=int(batch.length.sum()),
        refused=0,
        flows=int(batch.flow_ordinal.max()) + 1,
        rows=len(batch),
        first_ns=int(batch.flow_start_ns.min()),
        last_ns=int(batch.last_packet_ns.max()),
        labelled_by=label.author,
    )
    return record, batch, labels


def labels_by_row(judged: Iterable[Judged]) -> dict[RowKey, dict[str, int]]:
    """What is known of each row from all alerts that it belongs to, by task."""
    found: dict[RowKey, dict[str, int]] = {}
    for each in judged:
        task, value = each.label.task, int(each.label.value)
        for row, number in zip(each.evidence.rows, each.evidence.batch.row.tolist(), strict=True):
            labels = found.setdefault(_key(row, number), {})
            contradicted = labels.get(task, value) != value
            labels[task] = MASKED if contradicted else value
    return found


def _key(row: Row, number: int) -> RowKey:
    """Which row of which flow it is; the same one in the evidence of another alert has the same."""
    ends = (row.source, row.source_port, row.destination, row.destination_port, row.protocol)
    return (*ends, row.start, row.sequence_index, number)


def _with_identities(evidence: Evidence) -> SequenceBatch:
    """The rows with the columns of a dataset that are no features."""
    batch = evidence.batch
    flows: dict[RowKey, int] = {}
    for place, row in enumerate(evidence.rows):
        flow = (*_key(row, 0)[:6], 0, 0)
        batch.flow_ordinal[place] = flows.setdefault(flow, len(flows))
        for side, text in (("source", row.source), ("destination", row.destination)):
            address = ip_address(text)
            batch.version[place] = address.version
            getattr(batch, f"{side}_high")[place] = int(address) >> 64
            getattr(batch, f"{side}_low")[place] = int(address) & 0xFFFF_FFFF_FFFF_FFFF
        batch.source_port[place] = row.source_port or 0
        batch.destination_port[place] = row.destination_port or 0
        batch.flow_start_ns[place] = _ns(row.start)
        first_ns = _ns(row.first_packet)
        batch.first_packet_ns[place] = first_ns
        batch.last_packet_ns[place] = batch.decided_ns[place] = first_ns + row.time_us[-1] * 1000
        batch.flow_packets[place] = row.sequence_index * evidence.schema.n + len(row.time_us)
        batch.midstream[place] = "midstream" in row.flags
        batch.context_saturated[place] = "context_saturated" in row.flags
    return batch


def _ns(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
