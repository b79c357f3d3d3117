"""The ring on a veth pair: what was sent is what comes, once, in order, with its tags."""

import contextlib
import fcntl
import itertools
import random
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import frames
import netns
import numpy as np
import pytest

from sensor.capture.formats import open_capture
from sensor.capture.record import Recorder, recorded
from sensor.capture.ring import FULL_FRAMES, Ring
from sensor.errors import CaptureUnavailableError, LinkTypeError, PermissionDeniedError

pytestmark = pytest.mark.network

QUICK = {"timeout_ms": 20, "blocks": 8}
"""Small rings come round soon, so that the last block's copy is met too."""


@contextlib.contextmanager
def listening(cable, **options):
    with netns.inside(cable.far):
        ring = Ring(cable.port, **options)
    try:
        yield ring
    finally:
        ring.close()


def traffic(count, seed=1):
    """Frames that are all different, from the shortest to a whole MTU, some tagged."""
    rng = random.Random(seed)
    choices = [[], [], [(0x8100, 5)], [(0x88A8, 0xE003)], [(0x88A8, 3), (0x8100, 0x2007)]]
    made = []
    for number in range(count):
        payload = number.to_bytes(4, "big") + rng.randbytes(rng.choice([0, 6, 200, 1400]))
        tags = rng.choice(choices)
        made.append(frames.udp_frame("10.0.0.1", 1000, "10.0.0.2", 53, payload, tags))
    return made


def collect(source, rows):
    """Copies every frame out: (bytes, tpid, tci, wire length, time)."""
    for block in source:
        assert (block.offset + 128 <= block.buffer.size).all()
        for row in range(len(block)):
            start = int(block.offset[row])
            content = block.buffer[start : start + int(block.captured_length[row])].tobytes()
            tag = (int(block.vlan_tpid[row]), int(block.vlan_tci[row]))
            rows.append((content, *tag, int(block.wire_length[row]), int(block.timestamp_ns[row])))


def until(ring, count):
    """The ring's blocks; it is stopped when so many frames have come or were lost."""
    for block in ring:
        yield block
        if ring.counters.packets + ring.counters.kernel_drops >= count:
            ring.stop()


def exchange(cable, ring, sent, packets_per_second=0):
    """Plays frames to a ring that is read meanwhile, and gives what came."""
    rows: list = []
    reader = threading.Thread(target=collect, args=(until(ring, len(sent)), rows))
    reader.start()
    netns.play(cable.near, cable.port, sent, packets_per_second)
    reader.join(timeout=60)
    assert not reader.is_alive()
    return rows


def with_tag(content, tpid, tci):
    tag = tpid.to_bytes(2, "big") + tci.to_bytes(2, "big")
    return content[:12] + tag + content[12:] if tpid else content


def test_frames_come_once_in_order_with_their_tags():
    sent = traffic(6000)
    with netns.link() as cable, listening(cable, snap_bytes=FULL_FRAMES) as ring:
        rows = exchange(cable, ring, sent, packets_per_second=50_000)
    assert [with_tag(*row[:3]) for row in rows] == sent
    assert {row[1] for row in rows} == {0, 0x8100, 0x88A8}
    times = [row[4] for row in rows]
    assert times == sorted(times)
    assert abs(times[-1] - time.time_ns()) < 60 * 10**9
    assert ring.counters.packets == len(sent)
    assert ring.counters.bytes == sum(map(len, sent))
    assert ring.counters.kernel_drops == ring.counters.offload_frames == 0


def test_small_ring_that_wraps_delivers_everything():
    sent = traffic(20_000)
    with netns.link() as cable, listening(cable, block_bytes=65_536, blocks=16) as ring:
        rows = exchange(cable, ring, sent, packets_per_second=20_000)
    assert ring.counters.kernel_drops == 0
    # What is copied is cut behind the headers, the wire length is not.
    cut = [with_tag(*row[:3]) for row in rows]
    assert all(frame.startswith(content) for frame, content in zip(sent, cut, strict=True))
    assert {len(row[0]) for row in rows if row[0][12:14] == b"\x08\0"} == {46, 52, 54}
    assert [row[3] + (4 if row[1] else 0) for row in rows] == [len(frame) for frame in sent]


def test_stop_delivers_what_the_kernel_already_has():
    sent = traffic(500)
    with netns.link() as cable, listening(cable) as ring:
        blocks = iter(ring)
        next(blocks)
        netns.play(cable.near, cable.port, sent)
        ring.stop()
        rows: list = []
        collect(blocks, rows)
    assert len(rows) == len(sent)


def test_frames_lost_for_want_of_room_are_counted():
    sent = traffic(4000)
    options = {"block_bytes": 65_536, "blocks": 8, "timeout_ms": 20}
    with netns.link() as cable, listening(cable, snap_bytes=FULL_FRAMES, **options) as ring:
        netns.play(cable.near, cable.port, sent)  # nobody reads meanwhile
        ring.stop()
        rows: list = []
        collect(ring, rows)
    assert 0 < len(rows) < len(sent)
    assert len(rows) + ring.counters.kernel_drops == len(sent)


def test_silence_ticks_and_the_clock_never_runs_ahead():
    with netns.link() as cable, listening(cable, **QUICK) as ring:
        blocks = iter(ring)
        assert next(blocks).clock_ns == 0  # nothing was heard yet, so nothing is known
        netns.play(cable.near, cable.port, traffic(1))
        heard = next(block for block in blocks if len(block))
        last = int(heard.timestamp_ns[0])
        clocks = []
        for block in blocks:
            assert len(block) == 0
            clocks.append(block.clock_ns)
            # What came less than two timeouts ago may not have been handed over yet.
            assert block.clock_ns == last or last < block.clock_ns <= time.time_ns() - 40_000_000
            if len(clocks) == 10:
                break
        assert clocks == sorted(clocks)
        assert clocks[-1] > last
        # A frame that comes now is not older than what was said.
        netns.play(cable.near, cable.port, traffic(1))
        late = next(block for block in blocks if len(block))
        assert int(late.timestamp_ns[0]) >= clocks[-1]


def test_ticks_follow_a_clock_that_was_set_back():
    """No test can set the machine's clock back, so two headers say that somebody did."""
    noon = 1_700_000_000
    with netns.link() as cable, listening(cable, **QUICK) as ring:
        for seconds in (noon, noon - 3_600):
            # struct tpacket3_hdr, and the struct sockaddr_ll behind it of an Ethernet device
            header = struct.pack("=12I", 0, seconds, 0, 60, 60, 0, 96, 0, 0, 0, 0, 0)
            address = struct.pack("=HHiHBB8s", 17, 0, 1, 1, 0, 6, b"")
            octets = np.frombuffer(header + address + bytes(256), np.uint8)
            block = ring._columns(octets, np.zeros(1, np.int64))
            assert block.timestamp_ns.tolist() == [seconds * 10**9]
        assert 0 <= ring._silence.tick().clock_ns - (noon - 3_600) * 10**9 < 60 * 10**9


def test_merged_frames_are_counted_as_such():
    segment = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(20_000))
    ordinary = [*traffic(2), frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(1472))]
    with netns.link(offloads="on") as cable, listening(cable, **QUICK) as ring:
        netns.play(cable.near, cable.port, ordinary)
        netns.play_merged(cable.near, cable.port, segment)
        rows: list = []
        collect(until(ring, 4), rows)
    assert [row[3] for row in rows][-1] == len(segment)
    assert ring.counters.offload_frames == 1


def until_blindness(ring, blocks, wanted):
    """Reads on until the ring says this about its interface."""
    for _ in itertools.islice(blocks, 2_000):
        if ring.blindness.startswith(wanted) and bool(ring.blindness) == bool(wanted):
            return
    raise AssertionError(f"{ring.blindness!r} is not {wanted!r}")


def heard(cable, blocks):
    """Whether a frame comes through; those that were sent before the carrier was there do not."""
    for block in itertools.islice(blocks, 2_000):
        if len(block):
            return True
        netns.play(cable.near, cable.port, traffic(1))
    return False


def set_link(cable, *arguments):
    subprocess.run(["ip", "-n", cable.far, "link", *arguments], check=True)


def make_cable_again(cable, index):
    peer = ["type", "veth", "peer", "name", cable.port, "netns", cable.near]
    set_link(cable, "add", cable.port, "index", str(index), *peer)
    for namespace in (cable.near, cable.far):
        subprocess.run(["ip", "-n", namespace, "link", "set", cable.port, "up"], check=True)


def test_interface_that_goes_down_or_is_made_again_is_followed():
    with netns.link() as cable, listening(cable, **QUICK) as ring:
        blocks = iter(ring)
        assert heard(cable, blocks)
        set_link(cable, "set", cable.port, "down")
        until_blindness(ring, blocks, "is down")
        set_link(cable, "set", cable.port, "up")
        until_blindness(ring, blocks, "")
        assert heard(cable, blocks)
        set_link(cable, "delete", cable.port)
        until_blindness(ring, blocks, "is gone")
        make_cable_again(cable, 77)
        until_blindness(ring, blocks, "")
        assert heard(cable, blocks)


def test_interface_made_again_with_its_old_number_is_followed():
    with netns.link() as cable, listening(cable, **QUICK) as ring:
        blocks = iter(ring)
        assert heard(cable, blocks)
        with netns.inside(cable.far):
            index = socket.if_nametoindex(cable.port)
        set_link(cable, "delete", cable.port)
        make_cable_again(cable, index)
        assert heard(cable, blocks)


def test_down_is_known_when_the_ring_is_opened():
    with netns.link() as cable:
        set_link(cable, "set", cable.port, "down")
        with listening(cable, **QUICK) as ring:
            assert ring.blindness == "is down"
            set_link(cable, "set", cable.port, "up")
            until_blindness(ring, iter(ring), "")


def test_interface_made_again_without_ethernet_headers_is_not_read():
    with netns.link() as cable, listening(cable, **QUICK) as ring:
        blocks = iter(ring)
        assert heard(cable, blocks)
        set_link(cable, "delete", cable.port)
        with tunnel(cable.far, cable.port, TUN) as packets:
            until_blindness(ring, blocks, "is there with another link (no link header)")
            packets.write(frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(50))[14:])
            assert sum(len(next(blocks)) for _ in range(5)) == 0
        until_blindness(ring, blocks, "is gone")
        make_cable_again(cable, 77)
        until_blindness(ring, blocks, "")
        assert heard(cable, blocks)


def test_frames_of_a_link_that_changes_its_kind_are_left_out():
    """As a wireless interface does that is set to monitor mode; its number stays the same."""
    frame = traffic(1)[0]
    with netns.link() as cable, tunnel(cable.far, "tap0", TAP) as packets:
        with netns.inside(cable.far):
            ring = Ring("tap0", **QUICK)
        with contextlib.closing(ring):
            blocks = iter(ring)
            packets.write(frame)
            assert sum(len(next(blocks)) for _ in range(20)) == 1
            for hardware, blindness in ((803, "is there with another link (802.11 with"), (1, "")):
                set_link(cable, "set", "tap0", "down")
                fcntl.ioctl(packets, TUNSETLINK, hardware)
                set_link(cable, "set", "tap0", "up")
                until_blindness(ring, blocks, blindness)
                packets.write(frame)
                assert sum(len(next(blocks)) for _ in range(20)) == (hardware == 1)
    assert ring.counters.packets == 2


TUN, TAP = 0x1001, 0x1002
TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD
"""linux/if_tun.h; both kinds without a header of their own."""


@contextlib.contextmanager
def tunnel(namespace, name, kind):
    """An interface, up, that receives what is written to the file; it is gone afterwards."""
    with netns.inside(namespace):
        file = Path("/dev/net/tun").open("r+b", buffering=0)  # noqa: SIM115 -- closed below
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind))
    with file:
        quiet = f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} up"
        subprocess.run(["ip", "netns", "exec", namespace, "sh", "-c", quiet], check=True)
        yield file


def test_loopback_shows_every_frame_once():
    with netns.link() as cable:
        with netns.inside(cable.far):
            ring = Ring("lo", **QUICK)
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender, contextlib.closing(ring):
            for _ in range(5):
                sender.sendto(b"hello", ("127.0.0.1", 9))
            ring.stop()
            rows: list = []
            collect(ring, rows)
    # Each is answered by an ICMP message that the port is closed.
    assert len([row for row in rows if row[0][23] == frames.UDP]) == 5


def test_recording_replays_as_the_same_frames(tmp_path):
    sent = traffic(3000)
    path = tmp_path / "x.pcap"
    live: list = []
    with (
        netns.link() as cable,
        listening(cable, snap_bytes=FULL_FRAMES) as ring,
        contextlib.closing(Recorder(path)) as recorder,
    ):
        blocks = recorded(until(ring, len(sent)), recorder)
        reader = threading.Thread(target=collect, args=(blocks, live))
        reader.start()
        netns.play(cable.near, cable.port, sent, packets_per_second=30_000)
        reader.join(timeout=60)
    replayed: list = []
    with contextlib.closing(open_capture(path)) as source:
        collect(source, replayed)
    assert [row[0] for row in replayed] == sent
    assert [row[4] for row in replayed] == [row[4] for row in live]
    assert source.counters.bytes == ring.counters.bytes


def test_unknown_interface_is_refused():
    with pytest.raises(CaptureUnavailableError, match="none0: No such device"):
        Ring("none0")


def test_interface_without_ethernet_headers_is_refused():
    from test_interfaces import make_tunnel

    with netns.link() as cable:
        make_tunnel(cable.near)
        with (
            netns.inside(cable.near),
            pytest.raises(LinkTypeError, match=r"no link header.*--source tshark"),
        ):
            Ring("multatun0")


def test_missing_capability_is_named():
    from test_pcap import unprivileged

    with unprivileged(), pytest.raises(PermissionDeniedError, match="CAP_NET_RAW"):
        Ring("lo")


def test_ring_that_does_not_fit_into_memory_is_refused():
    with pytest.raises(CaptureUnavailableError, match="use a smaller buffer"):
        Ring("lo", block_bytes=1 << 22, blocks=1 << 20)
