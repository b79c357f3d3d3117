"""Packets that an attacker changes: each change by hand, on a stream of seven packets."""

from dataclasses import replace

import numpy as np

from sensor.packets.headers import ACK, PSH, SYN, TCP, UDP, Headers
from trainer.evasion.changes import APART_NS, CHANGES, MTU, UNCHANGED, Attacks, Change, changed

SECOND = 10**9
SENT, ANSWERED, OTHER = (0, True), (0, False), (-1, False)
# time in s, protocol, flags, IP length, payload, whose
STREAM = [
    (1.0, TCP, SYN, 40, 0, SENT),
    (1.1, TCP, SYN | ACK, 40, 0, ANSWERED),
    (1.2, TCP, ACK, 40, 0, SENT),
    (1.3, TCP, ACK | PSH, 50, 10, SENT),
    (1.4, UDP, 0, 128, 100, OTHER),
    (1.5, TCP, ACK | PSH, 1490, 1450, SENT),
    (1.6, TCP, ACK | PSH, 140, 100, ANSWERED),
]


def stream():
    time, protocol, flags, length, payload, whose = zip(*STREAM, strict=True)
    words = {name: np.arange(len(STREAM)) for name in Headers.__slots__}
    headers = replace(
        Headers(**words),
        timestamp_ns=np.array([round(each * SECOND) for each in time]),
        protocol=np.array(protocol, np.uint8),
        tcp_flags=np.array(flags, np.uint8),
        ip_length=np.array(length, np.uint16),
        payload_length=np.array(payload, np.uint16),
    )
    event, sent = zip(*whose, strict=True)
    return headers, Attacks(np.array(event), np.array(sent))


def after(change, seed=0):
    return changed(*stream(), change, np.random.default_rng(seed))


def test_without_a_change_the_stream_is_what_it_was():
    headers, origin = after(UNCHANGED)
    assert origin.tolist() == list(range(len(STREAM)))
    for name in Headers.__slots__:
        assert getattr(headers, name).tolist() == getattr(stream()[0], name).tolist()
    assert CHANGES[0] == UNCHANGED


def test_padding_is_of_the_attackers_payloads_and_syns_and_keeps_to_budget_and_mtu():
    more = []
    for seed in range(200):
        headers, _ = after(Change("pad", bytes_more=32), seed)
        grown = headers.ip_length.astype(int) - stream()[0].ip_length
        assert (grown == headers.payload_length.astype(int) - stream()[0].payload_length).all()
        assert grown[[1, 2, 4, 6]].tolist() == [0, 0, 0, 0]
        more.append(grown)
    most = np.max(more, axis=0)
    assert most.tolist() == [32, 0, 0, 32, 0, MTU - 1490, 0]
    assert (np.min(more, axis=0) == 0).all()


def test_delay_stretches_the_whole_attack_from_its_first_packet_and_nothing_else():
    headers, origin = after(Change("delay", slower=3))
    seconds = dict(zip(origin.tolist(), (headers.timestamp_ns / SECOND).tolist(), strict=True))
    expected = {0: 1.0, 1: 1.3, 2: 1.6, 3: 1.9, 4: 1.4, 5: 2.5, 6: 2.8}
    assert {key: round(value, 6) for key, value in seconds.items()} == expected
    assert (np.diff(headers.timestamp_ns) >= 0).all()
    assert origin.tolist() == [0, 1, 4, 2, 3, 5, 6]


def test_two_attacks_are_stretched_each_from_its_own_beginning():
    headers, attacks = stream()
    event = np.where(np.arange(len(STREAM)) >= 5, 1, attacks.event)
    both = replace(attacks, event=event)
    moved, origin = changed(headers, both, Change("delay", slower=2), np.random.default_rng(0))
    time = dict(zip(origin.tolist(), (moved.timestamp_ns / SECOND).round(6).tolist(), strict=True))
    assert (time[0], time[3], time[5], time[6]) == (1.0, 1.6, 1.5, 1.7)


def test_splitting_keeps_the_payload_and_leaves_what_has_none():
    headers, origin = after(Change("split", pieces=4))
    assert origin.tolist() == [0, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6]
    small = headers.payload_length[origin == 3]
    assert small.tolist() == [3, 3, 2, 2]
    assert headers.ip_length[origin == 3].tolist() == [43, 43, 42, 42]
    assert headers.payload_length[origin == 5].sum() == 1450
    gaps = np.diff(headers.timestamp_ns[origin == 3])
    assert gaps.tolist() == [APART_NS] * 3
    # Two bytes can't be three pieces.
    given, attacks = stream()
    tiny = replace(given, payload_length=np.minimum(given.payload_length, 2).astype(np.uint16))
    _, origin = changed(tiny, attacks, Change("split", pieces=3), np.random.default_rng(0))
    assert origin.tolist() == [0, 1, 2, 3, 3, 4, 5, 5, 6]


def test_budgets_are_told_in_words():
    assert [change.budget for change in CHANGES[:2]] == ["as recorded", "+32 bytes"]
    assert Change("all", 128, 5, 2).budget == "+128 bytes, 5 times slower, 2 pieces"
