"""Causal windows of series: each measurement with the 63 before it, as the sensor's rows have them.

Rows are made as the sensor makes them (`sensor.latency.peer_windows`) and put on
the grid by its own `encode`; that both are the same bytes on the same series is tested.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import LONGEST_MS, LONGEST_US, SequenceBatch
from sensor.latency.usual import Usual
from sensor.model.encoding import Encoded, encode, row_bytes
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from trainer.latency.series import LatencySeries

SCHEMA = FeatureSchema(
    lengths=(16, 64),
    fields=("rtt", "rtt_above", "rtt_raised", "rtt_gap", "answered", "valid"),
    context=(),
    key=PEER_LATENCY,
)
"""Of the windows that networks learn from and bundles see."""

_NS_OF_US, _NS_OF_MS = 1_000, 1_000_000
_CHUNK = 8_192
"""Windows that are put together at once."""

Places = NDArray[np.intp]


class Windows:
    """The windows of one series.

    Args:
        schema: of the windows; its n is their length.
        series: whose measurements they are.
    """

    def __init__(self, schema: FeatureSchema, series: LatencySeries) -> None:
        self._schema, self._count = schema, len(series)
        rtt_ns = np.rint(np.nan_to_num(series.rtt_ms) * _NS_OF_MS).astype(np.int64)
        rtt = np.minimum(rtt_ns // _NS_OF_US, LONGEST_US).astype(np.uint32)
        one, all_of_it = np.zeros(1, np.int32), np.array([len(series)])
        self._columns: dict[str, NDArray[np.unsignedinteger]] = {
            "rtt": rtt,
            "rtt_gap": np.minimum(series.gap_ns // _NS_OF_MS, LONGEST_MS).astype(np.uint32),
            "answered": series.answered.astype(np.uint8),
            "rtt_usual": Usual(1).push(rtt, series.answered, one, all_of_it),
        }

    def __len__(self) -> int:
        return self._count

    def rows(self, places: Places) -> SequenceBatch:
        """The sensor's rows that end with these measurements; of other columns, all is 0."""
        n = self._schema.n
        batch = SequenceBatch.zeros(n, len(places), tuple(self._columns))
        batch.length[:] = np.minimum(places + 1, n)
        batch.row[:] = batch.sequence_index[:] = places
        step = np.arange(n)
        held = step < batch.length[:, None]
        source = np.where(held, places[:, None] + 1 - batch.length[:, None] + step, 0)
        for name, values in self._columns.items():
            getattr(batch, name)[:] = np.where(held, values[source], 0)
        return batch

    def encoded(self, places: Places) -> Encoded:
        """The same on the grid."""
        packed = np.empty((len(places), row_bytes(self._schema)), np.uint8)
        for begin in range(0, len(places), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            packed[part] = encode(self._schema, self.rows(places[part])).packed
        return Encoded(self._schema, packed, self._schema.n)
