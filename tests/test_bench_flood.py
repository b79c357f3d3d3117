"""The flood that `bench.flood` makes: what dpkt reads in it, and the run over it."""

import dpkt
import numpy as np

from bench.captures import START_US
from bench.flood import SPAN_US, VICTIM, Traffic, blocks, flood, run
from sensor.packets.decode import Decoder


def test_the_flood_is_syns_from_distinct_endpoints_to_one_server():
    # two stretches, as far apart as makes the address repeat
    attack = flood(0, 300, 10_000_000), flood(1 << 24, 300, 1 << 25)
    ends = set()
    for part in attack:
        for frame, length in zip(part.frames, part.captured.tolist(), strict=True):
            packet = dpkt.ethernet.Ethernet(frame[:length].tobytes()).data
            assert isinstance(packet.data, dpkt.tcp.TCP)
            assert packet.data.flags == dpkt.tcp.TH_SYN
            assert (packet.dst, packet.data.dport) == (VICTIM.to_bytes(4, "big"), 80)
            ends.add((packet.src, packet.data.sport))
    assert len(ends) == 600
    assert attack[0].time_ns.tolist()[:2] == [START_US * 1_000, START_US * 1_000 + 12_000]


def test_both_come_together_in_order_of_time_and_nothing_is_left_out():
    answered = Traffic.of_mix(0.001)
    together = list(blocks(answered, 40_000))
    time = np.concatenate([block.timestamp_ns for block in together])
    assert (np.diff(time) >= 0).all()
    assert time.size == answered.time_ns.size + 40_000
    decoder = Decoder()
    for block in together:
        decoder.decode(block)
    assert decoder.decoded == time.size
    assert time[-1] - time[0] >= 0.9 * SPAN_US * 1_000


def test_verdicts_about_answered_flows_are_those_without_the_flood():
    answered = Traffic.of_mix(0.001)
    attacked, calm = run(answered, 20_000, 0.001), run(answered, 0, 0.001)
    assert attacked.flows == calm.flows + 20_000
    for quiet, busy in zip(calm.witnesses, attacked.witnesses, strict=True):
        alone, among = quiet.verdicts(), busy.verdicts()
        assert alone.keys() == among.keys()
        assert len(alone) > 50
        assert all((among[flow] == verdict).all() for flow, verdict in alone.items())
