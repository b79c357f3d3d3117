"""Measurements against an independent reading of rule 38, at every block size."""

import numpy as np
import pytest
from blocks import blocks_of
from latency_reference import Reference
from latency_traffic import traffic
from reference import Frame

from sensor.latency.latency_table import Measured
from sensor.latency.measurements import KINDS
from sensor.packets.decode import Decoder
from sensor.packets.headers import PROBE_TYPES

SIZES = (1, 7, 500, 16_384)


def address(version, high, low):
    return low.to_bytes(4, "big") if version == 4 else (high << 64 | low).to_bytes(16, "big")


def tuples(found):
    """Records as the reference has them."""
    rows = [dict(zip(found.dtype.names, each.item(), strict=True)) for each in found]
    return [
        (
            row["decided_ns"],
            KINDS[row["kind"]],
            address(row["version"], row["source_high"], row["source_low"]),
            address(row["version"], row["destination_high"], row["destination_low"]),
            (row["source_port"], row["destination_port"]),
            row["sent_ns"],
            row["rtt_ns"],
            row["answered"],
        )
        for row in rows
    ]


def measured(sent, size):
    """What the sensor measures in blocks of a size."""
    decoder, measured = Decoder(PROBE_TYPES), Measured()
    found = []
    for block in blocks_of([Frame(*each) for each in sent], size):
        found += [piece[placed.chosen] for piece, placed in measured.add(decoder.decode(block))]
    found += [piece[placed.chosen] for piece, placed in measured.finish()]
    return tuples(np.concatenate(found)), measured


def expected(sent):
    reference = Reference()
    for each in sent:
        reference.add(*each)
    reference.finish()
    return reference


@pytest.mark.parametrize(("seed", "exchanges"), [(0, 600), (1, 250)])
def test_measurements_are_those_of_the_reference(seed, exchanges):
    sent = traffic(seed, exchanges)
    reference = expected(sent)
    kinds = [each.kind for each in reference.measured]
    assert min(map(kinds.count, KINDS)) > 8
    assert sum(not each.answered for each in reference.measured) > 8
    assert reference.ambiguous > 4
    assert reference.unknown > 2
    for size in SIZES[exchanges > 250 :]:
        found, counts = measured(sent, size)
        for mine, theirs in zip(found, reference.measured, strict=False):
            assert mine == tuple(theirs)
        assert len(found) == len(reference.measured)
        assert counts.trips.ambiguous == reference.ambiguous
        assert counts.series.unknown == reference.unknown
