"""A recording's decoded packets, which of them are of attacks, and the rows of a changed stream."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import Headers
from trainer.baselines.packet_flows import NumberingTable, flows_of, parts_of
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.extraction import Recording
from trainer.evasion.changes import Attacks, Change, changed
from trainer.incidents import role_addresses
from trainer.tasks import KNOWN, chosen


@dataclass(frozen=True)
class Stream:
    """The packets of a recording.

    Attributes:
        name: of the recording.
        headers: its packets, in order.
        flow: ``(packets,)`` ordinal of each packet's flow.
        labels: ``(flows, len(KNOWN))`` int8.
        attacks: which packets an attacker can change.
    """

    name: str
    headers: Headers
    flow: NDArray[np.int64]
    labels: NDArray[np.int8]
    attacks: Attacks


def read(recording: Recording) -> Stream:
    """Reads a recording.

    Raises:
        MultaError: capture or labels can't be read.
    """
    parts = [headers for _, headers, _ in parts_of(recording)]
    headers = Headers(
        *(
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Headers)
        )
    )
    found = flows_of(recording)
    batch, _ = _rows(headers)
    return Stream(
        recording.name,
        headers,
        found.flow,
        found.labels,
        _attacks(headers, found.flow, found.labels, batch),
    )


def dataset_of(stream: Stream, change: Change, seed: int = 0) -> Dataset:
    """Rows of a recording whose attacks are changed, with labels of all known tasks.

    A flow has the labels of that from which its first packet was made: one that falls apart at a
    timeout leaves several attack flows.

    Args:
        stream: the recording.
        change: of its attacks.
        seed: of what is drawn.
    """
    headers, origin = changed(stream.headers, stream.attacks, change, np.random.default_rng(seed))
    batch, flow = _rows(headers)
    ordinals, first = np.unique(flow, return_index=True)
    of_flow = np.empty((int(ordinals.max(initial=-1)) + 1, len(KNOWN)), np.int8)
    of_flow[ordinals] = stream.labels[stream.flow[origin[first]]]
    record = SourceRecord(
        stream.name, "", "", "", KNOWN, "", len(headers), 0, ordinals.size, len(batch), 0, 0
    )
    return Dataset(
        FeatureSchema(),
        KNOWN,
        (record,),
        batch,
        of_flow[batch.flow_ordinal],
        np.zeros(len(batch), np.int32),
        batch.flow_ordinal,
    )


def _rows(headers: Headers) -> tuple[SequenceBatch, NDArray[np.int64]]:
    """Rows of a stream, and ``(packets,)`` the ordinal of each packet's flow."""
    table = NumberingTable(FeatureSchema())
    batch = SequenceBatch.concatenate([table.add(headers), *table.finish()])
    return batch, np.concatenate([np.zeros(0, np.int64), *table.numbered])


def _attacks(
    headers: Headers,
    flow: NDArray[np.int64],
    labels: NDArray[np.int8],
    batch: SequenceBatch,
) -> Attacks:
    """An attack is all flows of a task about one address; its packets go to it and come from it."""
    event = np.full(len(labels), -1, np.int64)
    begun = 0
    for column, task in enumerate(chosen(KNOWN)):
        ours = (labels[batch.flow_ordinal, column] == 1) & (event[batch.flow_ordinal] < 0)
        if ours.any():
            rows = batch.take(ours)
            _, number = np.unique(role_addresses(rows, task), axis=0, return_inverse=True)
            event[rows.flow_ordinal] = begun + number.reshape(-1)
            begun += int(number.max()) + 1
    _, first = np.unique(flow, return_index=True)
    ends = [
        getattr(headers, f"source_{name}") == getattr(headers, f"source_{name}")[first][flow]
        for name in ("high", "low", "port")
    ]
    of_packet = event[flow]
    return Attacks(of_packet, (of_packet >= 0) & np.logical_and.reduce(ends))
