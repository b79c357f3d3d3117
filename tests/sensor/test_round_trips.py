"""Measurements against an independent reading of rule 38, at every block size."""

import struct

import frames
import numpy as np
import pytest
from blocks import blocks_of
from frames import ACK, FIN, ICMP, ICMPV6, PSH, SYN, TCP
from latency_reference import Reference
from latency_traffic import option, traffic
from reference import Frame

from sensor.latency.latency_table import Measured
from sensor.latency.measurements import KINDS, MEASUREMENT
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
    found = [np.zeros(0, MEASUREMENT)]
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


A, B = "10.0.0.1", "10.0.0.2"
NOBODY, EVERYBODY = "0.0.0.0", "255.255.255.255"  # noqa: S104 -- nothing is bound
S = 1_000_000_000


def segment(source, destination, flags, payload=b"", **rest):
    ports = (1024, 80) if source == A else (80, 1024)
    given = source, ports[0], destination, ports[1]
    return frames.ip_frame(frames.tcp(*given, flags, payload, **rest), TCP, source, destination)


def echo(source, destination, kind, code=0):
    rest = struct.pack("!HH", 1, 2)
    if ":" in source:
        message = frames.icmpv6(source, destination, kind, code, rest)
        return frames.ip_frame(message, ICMPV6, source, destination)
    return frames.ip_frame(frames.icmp(kind, code, rest), ICMP, source, destination)


def handshake(flags, payload=b""):
    """A first segment and what acknowledges it."""
    answer = segment(B, A, SYN | ACK, sequence=7, acknowledgement=1)
    return segment(A, B, flags, payload, sequence=0), answer


def stamped(answers):
    """Data with a timestamp and, with some flags, its echo."""
    asks = segment(A, B, ACK | PSH, b"x", options=option(5, 0))
    return asks, segment(B, A, answers, b"y", options=option(9, 5))


@pytest.mark.parametrize(
    ("pair", "kind"),
    [
        (handshake(SYN), "syn"),
        (handshake(SYN, b"x"), None),
        (handshake(SYN | FIN), None),
        (stamped(ACK), "timestamp"),
        (stamped(PSH), None),
        ((echo(A, B, 8), echo(B, A, 0)), "echo"),
        ((echo(A, B, 8, code=1), echo(B, A, 0)), None),
        ((echo(A, B, 8), echo(B, A, 0, code=1)), None),
        ((echo(NOBODY, B, 8), echo(B, NOBODY, 0)), None),
        ((echo(A, EVERYBODY, 8), echo(EVERYBODY, A, 0)), None),
        ((echo(A, B, 8), echo(A, B, 0)), None),
        ((echo("2001:db8::", "ff::", 128), echo("ff::", "2001:db8::", 129)), "echo"),
    ],
)
def test_what_asks_and_what_answers(pair, kind):
    found, _ = measured([(S, pair[0]), (S + 5, pair[1])], 10)
    assert [(each[1], each[6]) for each in found] == ([(kind, 5)] if kind else [])


@pytest.mark.parametrize(
    ("pair", "waits"),
    [
        (handshake(SYN), 3 * S),
        ((echo(A, B, 8), echo(B, A, 0)), 3 * S),
        (stamped(ACK), 10 * S),
    ],
)
def test_an_answer_at_the_last_moment_counts(pair, waits):
    for late, count in ((0, 1), (1, 0)):
        found, _ = measured([(S, pair[0]), (S + waits + late, pair[1])], 10)
        assert [each[6] for each in found if each[7]] == [waits] * count


@pytest.mark.parametrize(
    ("pair", "waits", "fails"),
    [
        (handshake(SYN), 3 * S, True),
        ((echo(A, B, 8), echo(B, A, 0)), 3 * S, True),
        (stamped(ACK), 10 * S, False),
    ],
)
def test_no_round_trip_time_is_longer_than_a_question_waits(pair, waits, fails):
    """A question older than the clock by itself; its answer a moment of the clock later."""
    asks, answers = pair
    for late, rtt in ((0, waits), (1, None)):
        sent = [
            (S, asks),
            (S + 7, answers),  # the series begins
            (90 * S, frames.udp_frame(A, 5, B, 53, b"")),
            (80 * S, asks),
            (80 * S + waits + late, answers),
        ]
        found, _ = measured(sent, 10)
        assert found == [tuple(each) for each in expected(sent).measured]
        of_kind = [each for each in found if each[1] == found[0][1]][1:]
        assert [(each[6], each[7]) for each in of_kind] == (
            [(rtt, True)] if rtt else [(0, False)] * fails
        )
