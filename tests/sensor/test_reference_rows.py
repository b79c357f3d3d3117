"""The sensor's whole chain against the reference, for every key and blocks of every size."""

import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from agreement import (
    COUNTS,
    KEYS,
    by_reference,
    by_sensor,
    differing_rows,
    disagreements,
    schemas,
)
from blocks import blocks_of
from random_frames import fragment_flood, random_frames
from reference import Frame, ReferenceTable
from reference_capture import read_capture
from reference_decode import Packet, ReferenceDecoder
from reference_link import takes_slow_path
from traffic import Mixture
from tshark_counts import compare_with_tshark

from sensor.model.fields import DEFAULT_FIELDS
from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES

BUSY = Mixture()
TIES = Mixture(hosts=2, ports=2, steps_ns=(0, 0, 0, 10_000_000, 20_000_000, 50_000_000))
SLOW = Mixture(steps_ns=(0, 400_000_000, 1_000_000_000, 30_000_000_000, -500_000_000))
SET_BACK = Mixture(steps_ns=(0, *(500_000_000,) * 60, -50_000_000_000))
MIXTURES = {"busy": BUSY, "ties": TIES, "slow": SLOW, "set back": SET_BACK}


ARCHIVES = ("security", "iot-sentinel", "ndpi", "requet")
SLICE = 10
"""Captures of each archive; `make verify TARGET=reference` takes all of them."""
MOST_PACKETS = 20_000
NOT_TAKEN = {192}
"""Link types of which a capture file is refused as a whole."""


def chosen(folder: Path) -> list[tuple[Path, list[Frame]]]:
    """Some captures of an archive, always the same ones, with their frames."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(2026).shuffle(files)
    found = []
    for path in files:
        frames = list(read_capture(path) or ())
        if frames and frames[0].link_type not in NOT_TAKEN and len(frames) < MOST_PACKETS:
            found.append((path, frames))
        if len(found) == SLICE:
            break
    return found


def hops_and_windows(path: Path) -> list[tuple[list[int], list[int]]]:
    """Of each frame, as tshark reads it: all times to live or hop limits, and all TCP windows."""
    names = ("ip.ttl", "ipv6.hlim", "tcp.window_size_value")
    command = ["tshark", "-n", "-r", path, "-T", "fields", *(f"-e{name}" for name in names)]
    command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = []
    for line in done.stdout.splitlines():
        four, six, window = ([int(v) for v in cell.split(",") if v] for cell in line.split("\t"))
        found.append((four + six, window))
    return found


def assert_equal(frames: Sequence[Frame], sizes: Sequence[int], **others: Any) -> None:
    """Rows and counts of the frames, for every key and size."""
    wanted = schemas(**others)
    outcome = by_reference(frames, wanted)
    for size in sizes:
        got = by_sensor(blocks_of(frames, 16_384), wanted, size)
        for key in KEYS:
            assert differing_rows(got.rows[key], outcome.rows[key]) == [], (key, size)
        for name in COUNTS:
            assert getattr(got, name) == getattr(outcome, name), (name, size)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_random_frames(mixture: str) -> None:
    assert_equal(random_frames(0, 6_000, MIXTURES[mixture]), (500, 16_384))
    assert_equal(random_frames(1, 1_000, MIXTURES[mixture]), (7,))
    assert_equal(random_frames(2, 200, MIXTURES[mixture]), (1,))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_random_ethernet_frames(mixture: str) -> None:
    """Blocks of one link type take another way through the decoder than those that mix them."""
    frames = random_frames(5, 4_000, MIXTURES[mixture], link_types=False)
    short = {"lengths": (2, 3), "decide_after_ms": 50, "idle_timeout_ms": 200, "repeat_all": 2}
    assert_equal(frames, (500, 16_384), repeat_min_packets=2, **short)


def test_more_fragments_than_are_remembered() -> None:
    frames = fragment_flood(3, 10_000)
    unmatched = by_reference(frames, {}).fragments_unmatched
    assert 500 < unmatched < 3_000
    assert_equal(frames, (500, 16_384))


def test_more_slow_frames_than_are_read() -> None:
    """Also where the clock is set back within the second, and by about ten."""
    generator = random.Random(4)
    mixture = Mixture(steps_ns=(0,))
    time_ns, frames = 1_700_000_000_000_000_000, []
    for frame in random_frames(4, 40_000, mixture):
        if not takes_slow_path(frame.octets, frame.link_type, 0):
            continue
        step = generator.choice((0, *(200_000,) * 5, -300_000))
        step = (
            generator.choice((-9_999_000_000, -10_001_000_000)) if len(frames) % 777 == 7 else step
        )
        time_ns += step
        frames.append(frame._replace(time_ns=time_ns))
    assert by_reference(frames, {}).refused["slow_path_limit"] > 500
    assert_equal(frames, (500, 16_384))


@pytest.mark.parametrize("archive", ARCHIVES)
def test_slice_of_real_captures(archive: str, shared_archive: Callable[[str], Path]) -> None:
    rows = 0
    for path, frames in chosen(shared_archive(archive)):
        small = [size for size, most in ((1, 100), (7, 500)) if len(frames) < most]
        outcome, lines = disagreements(path, frames, KEYS, [*small, 500, 16_384])
        assert lines == [], path.name
        rows += sum(map(len, outcome.rows.values()))
    assert rows > 100


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs Debian's tshark")
@pytest.mark.parametrize("archive", ARCHIVES)
def test_tshark_counts_the_same_packets_and_pairs(
    archive: str, shared_archive: Callable[[str], Path]
) -> None:
    pairs = 0
    for path, frames in chosen(shared_archive(archive))[:4]:
        compared = compare_with_tshark(path, frames)
        assert compared.unexplained == [], path.name
        pairs += compared.pairs
    assert pairs


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs Debian's tshark")
@pytest.mark.parametrize("archive", ARCHIVES)
def test_tshark_reads_the_same_hops_and_windows(
    archive: str, shared_archive: Callable[[str], Path]
) -> None:
    """Of frames with one IP header: of several, tshark names all."""
    compared = 0
    for path, frames in chosen(shared_archive(archive))[:4]:
        lines = hops_and_windows(path)
        decoder = Decoder(OPTIONAL_TYPES)
        headers = [decoder.decode(block) for block in blocks_of(frames, 1)]
        for found, (hops, window) in zip(headers, lines, strict=True):
            if len(found) and len(hops) == 1 and len(window) < 2:
                assert found.ttl.tolist() == hops, path.name
                assert found.tcp_window.tolist() == (window or [0]), path.name
                compared += 1
    assert compared > 50


def test_the_default_schema_beside_the_reference() -> None:
    frames = random_frames(6, 3_000, BUSY)
    assert_equal(frames, (500, 16_384), fields=DEFAULT_FIELDS)


def test_random_frames_reach_every_rule() -> None:
    """A guard on the generator: what it never makes would never be compared."""
    frames = random_frames(0, 20_000, SET_BACK)
    decoder, table = ReferenceDecoder(), ReferenceTable(schemas()["five_tuple"])
    remarks = set()
    for frame in frames:
        packet = decoder.decode(frame)
        remarks.add(decoder.remark)
        if isinstance(packet, Packet):
            table.packet(frame.time_ns, packet)
    assert set(decoder.refused) == {
        "link_type", "truncated_frame", "not_ip", "vlan_depth", "mpls_depth", "tunnel_depth",
        "ip_header", "ipv6_extensions", "truncated_ip", "truncated_transport",
    }  # fmt: skip
    assert "later fragment" in remarks
    assert decoder.offloaded
    assert 0 < decoder.fragments_unmatched < sum(1 for frame in frames) // 4
    assert decoder.slow
    assert table.clock_steps
