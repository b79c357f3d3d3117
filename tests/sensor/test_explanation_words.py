"""Words: of numbers, and of the demonstration's incidents as the packets have them."""

import pytest
from demo_evidence import demo

from sensor.reporting import explanation_words as words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 µs"), (999, "999 µs"), (1_000, "1.00 ms"), (12_345, "12.3 ms"),
        (999_400, "999 ms"), (1_000_000, "1.00 s"), (61_000_000, "61.0 s"),
    ],
)  # fmt: skip
def test_times_have_three_digits(value, text):
    assert words.microseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"), (0.0004, "<0.001"), (0.0006, "0.001"), (0.5, "0.500"),
        (0.9994, "0.999"), (0.9996, ">0.999"), (1.0, "1.000"),
    ],
)  # fmt: skip
def test_scores_read_as_0_or_1_only_where_they_are(value, text):
    assert words.score(value) == text


def test_flags_stand_in_the_order_that_people_write():
    assert [words.flag_names(flags) for flags in (0x02, 0x12, 0x18, 0x11, 0x14, 0, 0xE0)] == [
        "SYN", "SYN-ACK", "PSH-ACK", "FIN-ACK", "RST-ACK", "", "",
    ]  # fmt: skip


def test_the_experts_that_were_heard_most_come_first():
    assert words.consulted((0.004, 0.25, 0.746, 0.0)) == (
        "Of 4 experts the task's gate heard: expert 3 75%, expert 2 25%."
    )


def test_a_syn_flood_in_words_is_what_its_packets_are():
    evidence = demo()["syn_dos"]
    batch = evidence.batch
    places = words.sampled(evidence)
    alone = [
        p
        for p in places
        if batch.length[p] == 1 and (batch.tcp_flags[p, 0], batch.ip_length[p, 0]) == (2, 40)
    ]
    assert (len(alone), len(places)) == (31, 32)
    median = sorted(int(batch.context[p, 0]) for p in places)
    assert sum(median[15:17]) // 2 == 741
    assert words.incident(evidence) == (
        "1,494 TCP flows to 10.77.202.8 port 80 within 2.0 s. Of those looked at, 31 of 32 are a "
        "single SYN of 40 bytes that got no answer. When a typical one began, 741 others to the "
        "same service had begun in the second before."
    )


def test_an_ssdp_flood_in_words_is_what_its_packets_are():
    evidence = demo()["ssdp_flood"]
    batch, places = evidence.batch, words.sampled(evidence)
    lengths = batch.length[places]
    back = [int((batch.direction[p] < 0).sum()) for p in places]
    assert (lengths.min(), lengths.max(), min(back), max(back)) == (5, 10, 4, 9)
    assert words.incident(evidence).startswith(
        "177 UDP flows in the name of 10.77.202.48 within 3.9 s. Of those looked at, all 32 are "
        "5 to 10 datagrams, 1 there and 4 to 9 back, of 122 to 285 bytes, in "
    )


def test_stretches_of_a_long_flow_are_counted():
    evidence = demo()["ssl_renegotiation"]
    assert words.incident(evidence).startswith(
        "4 TCP flows to 10.77.202.8 port 4433 within 5.7 s, in which 44 stretches of packets gave "
        "the alarm. Of those looked at, all 32 are 16 packets, "
    )


def test_a_packet_tells_its_flags_and_sizes():
    batch = demo()["ssl_renegotiation"].batch
    shown = words.packet(batch, 0, 0)
    payload, length = int(batch.payload_length[0, 0]), int(batch.ip_length[0, 0])
    assert shown.endswith(f"{length:,} B ({payload:,} payload)")
    syn = demo()["syn_dos"]
    assert words.packet(syn.batch, len(syn.rows) - 1, 0) == "SYN 40 B"


def test_circumstances_tell_the_counts_of_both_windows():
    evidence = demo()["syn_dos"]
    counts = evidence.batch.context[0].tolist()
    kept, _, why, others = words.circumstances(evidence, 0)
    assert kept == f"kept as {' and '.join(evidence.rows[0].why)}"
    assert why == "scored as it was old enough"
    assert others == (
        f"others begun in the 1 s and 10 s before: same service {counts[0]} and {counts[1]}, "
        f"source {counts[2]} and {counts[3]}, host {counts[4]} and {counts[5]}"
    )
