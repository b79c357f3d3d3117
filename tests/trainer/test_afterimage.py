"""AfterImage against a plain implementation, on random and on real traffic."""

import numpy as np
import pytest
from afterimage_reference import plain_rows
from blocks import headers_of, packets_of
from traffic import Mixture, flood_packets, random_packets

from sensor.capture.formats import open_capture
from sensor.flows.epochs import part_of
from sensor.packets.decode import Decoder
from trainer.baselines.afterimage import FEATURES, PIECE_PACKETS, AfterImage

COLUMN = {name: index for index, name in enumerate(FEATURES)}
MIXTURES = [
    Mixture(),
    Mixture(hosts=2, ports=1, again=0.95),
    Mixture(hosts=300, ports=500, again=0.2),
    Mixture(steps_ns=(0, 1_000, 5_000_000_000, 200_000_000_000, -3_000_000_000)),
]


def largest_difference(ours, plain):
    """Of all statistics, relative to themselves or to what they are differences of.

    A variance is the difference of two numbers of the size of the mean square, of which float64
    keeps 1e-16, and whatever is made of it inherits that: 1e-9 here is 1e-12 of the mean square.
    A correlation can only be told where both streams vary by a hundredth of their means.
    """
    plain = np.asarray(plain)
    assert ours.shape == plain.shape
    worst = 0.0
    for name, index in COLUMN.items():
        stream, statistic = name.rsplit("_", 1)
        a, b = ours[:, index], plain[:, index]
        mean = plain[:, COLUMN[f"{stream}_mean"]]
        scale = np.abs(b)
        if statistic == "variance":
            scale = scale + 1e-3 * mean**2
        elif statistic == "std":
            a, b = a**2, b**2
            scale = b + 1e-3 * mean**2
        elif statistic in {"radius", "covariance"}:
            scale = scale + 1e-3 * plain[:, COLUMN[f"{stream}_magnitude"]] ** 2
        elif statistic == "pcc":
            variance = plain[:, COLUMN[f"{stream}_std"]] ** 2
            square = plain[:, COLUMN[f"{stream}_magnitude"]] ** 2
            rest = np.maximum(plain[:, COLUMN[f"{stream}_radius"]] ** 2 - variance**2, 0)
            steady = (variance > 1e-4 * square) & (rest > 1e-8 * square**2)
            a, b, scale = a[steady], b[steady], scale[steady] + 1
        unequal = a != b
        worst = max(worst, float(np.max(np.abs(a - b)[unequal] / scale[unequal], initial=0)))
    return worst


def in_blocks(headers, size):
    image = AfterImage()
    return np.concatenate(
        [
            image.add(part_of(headers, slice(start, start + size)))
            for start in range(0, len(headers), size)
        ]
    )


@pytest.mark.parametrize("mixture", MIXTURES)
def test_equals_a_plain_implementation_on_random_traffic(mixture):
    packets = random_packets(5, 1_500, mixture)
    assert largest_difference(in_blocks(headers_of(packets), 400), plain_rows(packets)) < 1e-9


def test_equals_a_plain_implementation_on_a_flood():
    packets = flood_packets(2_000, 20_000)
    assert largest_difference(in_blocks(headers_of(packets), 2_000), plain_rows(packets)) < 1e-9


@pytest.mark.parametrize(
    ("archive", "capture"),
    [
        ("security", "**/mirai2000.pcap"),
        ("security", "**/esnet/nmap_80_all.pcap"),
        ("iot-sentinel", "**/D-LinkCam/Setup-A-1-STA.pcap"),
    ],
)
def test_equals_a_plain_implementation_on_real_captures(shared_archive, archive, capture):
    (path,) = shared_archive(archive).glob(capture)
    source, decoder = open_capture(path), Decoder()
    try:
        headers = part_of(decoder.decode(next(iter(source))), slice(0, 1_000))
        plain = plain_rows(packets_of(headers))
    finally:
        source.close()
    assert len(headers) > 100
    assert largest_difference(in_blocks(headers, 700), plain) < 1e-9


@pytest.mark.parametrize("mixture", MIXTURES[:3])
def test_blocks_of_any_size_give_the_same(mixture):
    headers = headers_of(random_packets(6, 300, mixture))
    whole = in_blocks(headers, 300)
    for size in (1, 7, 100):
        assert largest_difference(in_blocks(headers, size), whole) < 1e-9


def test_what_is_remembered_is_bounded_and_does_not_depend_on_blocks():
    """Senders come back after 20,000 others: forgotten is who was silent for longest.

    The first of them is never silent for long, and is never forgotten.
    """
    flood = [
        (time, packet._replace(source=index * (index % 100 > 0)))
        for index, (time, packet) in enumerate(flood_packets(20_000, 20_000))
    ]
    headers = headers_of([*flood, *((flood[-1][0], packet) for _, packet in flood[-2_000:])])
    whole = [AfterImage(streams=2 * PIECE_PACKETS) for _ in range(2)]
    rows = whole[0].add(headers)
    parts = [
        whole[1].add(part_of(headers, slice(start, start + 3_000)))
        for start in range(0, len(headers), 3_000)
    ]
    assert largest_difference(np.concatenate(parts), rows) < 1e-9
    senders, late = slice(0, COLUMN["HH_L5_weight"]), slice(-2_000, None)
    unbounded = AfterImage().add(headers)[late, senders]
    np.testing.assert_allclose(rows[late, senders], unbounded, rtol=1e-9, atol=1e-9)
    again = headers_of([(flood[-1][0], flood[1][1])])
    weight = COLUMN["HpHp_L0.01_weight"]
    assert whole[0].add(again)[0, weight] == 1
    with pytest.raises(ValueError, match="at least"):
        AfterImage(streams=PIECE_PACKETS)


def test_nothing_is_left_after_a_restart():
    headers = headers_of(random_packets(7, 200, Mixture()))
    image = AfterImage()
    before = image.add(headers)
    image.restart()
    np.testing.assert_array_equal(image.add(headers), before)
    assert image.add(part_of(headers, slice(0, 0))).shape == (0, 115)
