"""The source tshark against the native one, packet by packet, and what happens without it."""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import frames
import netns
import pcapng_bytes as ng
import pytest
from command import ROOT, assert_fails, flood, sensor_command, sensor_process
from packet_rows import packets_of
from running import started, told, until

from sensor.capture.files import CaptureFiles
from sensor.capture.formats import open_capture
from sensor.capture.pcap import FILE_HEADER_BYTES
from sensor.capture.ring import FULL_FRAMES
from sensor.capture.tshark import TsharkLive, open_with_tshark
from sensor.errors import (
    CaptureFormatError,
    CaptureUnavailableError,
    LinkTypeError,
)

START_US = 1_700_000_000_000_000
DEMO = ROOT / "tests/captures/demo.pcap"

pytestmark = pytest.mark.skipif(
    not shutil.which("tshark"), reason="needs tshark (Debian package tshark)"
)


def some(count=40, seed=1):
    rng = random.Random(seed)
    payloads = [rng.randbytes(rng.randrange(400)) for _ in range(count)]
    return [frames.udp_frame("10.0.0.1", 9, "10.0.0.2", 53, payload) for payload in payloads]


def ip_packets():
    return [frame[14:] for frame in some()]


def pcap_of(link_type, contents):
    return frames.pcap_bytes(contents, link_type=link_type)


def timed(count=40):
    return [START_US + 3 * k for k in range(count)]


def many_interfaces(order):
    entries = [ng.resolution(9), ng.offset(-100, order)]
    return b"".join(
        [
            ng.section(order),
            ng.interface(1, 96, [], order),
            ng.interface(101, 0, entries, order),
            ng.interface(113, 0, [ng.resolution(3)], order),
            *(ng.enhanced(f[:96], START_US, 0, order, len(f)) for f in some()),
            *(ng.enhanced(f, START_US * 1000 + 7, 1, order) for f in ip_packets()),
            *(ng.obsolete(frames.sll(f), START_US // 1000, 2, order) for f in ip_packets()),
        ]
    )


def one_after_the_other():
    pieces = [ng.write(some(seed=k), timed(), (ng.LITTLE, ng.BIG)[k % 2]) for k in range(4)]
    return b"".join(pieces)


def tagged():
    tags = [(0x88A8, 3), (0x8100, 0x2007)]
    return [frames.udp_frame("10.0.0.1", 9, "10.0.0.2", 53, b"x", tags[k % 2 :]) for k in range(9)]


KINDS = {
    "microseconds": lambda: frames.pcap_bytes(some()),
    "microseconds, big-endian": lambda: frames.pcap_bytes(some(), magic=frames.MICROS_BE),
    "nanoseconds": lambda: frames.pcap_bytes(
        some(), [1_700_000_000_123_456_789 + k for k in range(40)], frames.NANOS_LE
    ),
    "nanoseconds, big-endian": lambda: frames.pcap_bytes(some(), magic=frames.NANOS_BE),
    "beyond 2038": lambda: frames.pcap_bytes(some(1), [4_000_000_000 * 10**9]),
    "snap length": lambda: frames.pcap_bytes(some(), snaplen=60),
    "no packets": lambda: frames.pcap_bytes([]),
    "VLAN tags": lambda: frames.pcap_bytes(tagged()),
    "NULL": lambda: pcap_of(0, [b"\2\0\0\0" + p for p in ip_packets()]),
    "LOOP": lambda: pcap_of(108, [b"\0\0\0\2" + p for p in ip_packets()]),
    "raw": lambda: pcap_of(101, ip_packets()),
    "raw IPv4": lambda: pcap_of(228, ip_packets()),
    "raw IPv6": lambda: pcap_of(229, [frames.ipv6(b"x", 59, "fd00::1", "fd00::2")]),
    "SLL": lambda: pcap_of(113, [frames.sll(p) for p in ip_packets()]),
    "SLL2": lambda: pcap_of(276, [frames.sll2(p) for p in ip_packets()]),
    "PPP": lambda: pcap_of(9, [b"\xff\x03\0\x21" + p for p in ip_packets()]),
    "PPPoE session": lambda: pcap_of(51, [frames.pppoe(p) for p in ip_packets()]),
    "Cisco HDLC": lambda: pcap_of(104, [b"\x0f\0\x08\0" + p for p in ip_packets()]),
    "pcapng": lambda: ng.write(some(), timed()),
    "pcapng, big-endian": lambda: ng.write(some(), timed(), ng.BIG),
    "pcapng of several interfaces": lambda: many_interfaces(ng.LITTLE),
    "the same, big-endian": lambda: many_interfaces(ng.BIG),
    "pcapng of several sections": one_after_the_other,
    "compressed": lambda: gzip.compress(frames.pcap_bytes(some())),
    "pcapng, compressed": lambda: gzip.compress(ng.write(some(), timed())),
    "cut": lambda: frames.pcap_bytes(some())[:-3],
    "pcapng, cut": lambda: ng.write(some(), timed())[:-9],
    "recorded in the lab": DEMO.read_bytes,
}


def read(open_file, path):
    with contextlib.closing(open_file(path)) as source:
        packets = packets_of(source)
    return packets, source


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_capture_is_the_same_through_tshark(tmp_path, kind):
    path = tmp_path / "x"
    path.write_bytes(KINDS[kind]())
    native, source = read(open_capture, path)
    through, other = read(open_with_tshark, path)
    assert through == native
    assert len(native) > 0 or kind == "no packets"
    assert (other.truncated is None) == (source.truncated is None) == (not kind.endswith("cut"))
    assert other.size_bytes == path.stat().st_size
    assert other.counters == source.counters


INVALID_FRACTIONS = ("timestamp_invalid_nano", "timestamp_invalid_micro", "rx_serviceid_oobr")


def assert_agreement(path):
    """Both sources read the same packets of a file, or refuse it for the same reason."""
    try:
        native, source = read(open_capture, path)
    except CaptureFormatError:
        # There are no versions 1.4 and 2.5 of pcap; tshark does not mind the latter.
        strange = ("tests_pcap-invalid-version-", "tests_pcapng-invalid-vers-")
        assert path.name.startswith(strange), path
        return
    except LinkTypeError:
        with pytest.raises((LinkTypeError, CaptureFormatError)):
            open_with_tshark(path)
        return
    if path.name == "tests_shb-option-too-long.pcapng":
        # tshark refuses what is cut here behind no packet.
        assert native == []
        assert "the block at byte 0 has two lengths that differ" in source.truncated
        return
    through, other = read(open_with_tshark, path)
    aliases = {12: 101, 14: 101, 50: 9}
    kept = [p._replace(link_type=aliases.get(p.link_type, p.link_type)) for p in native]
    if untold := [k for k, packet in enumerate(through) if packet.timestamp_ns == 0]:
        kept = [p._replace(timestamp_ns=0) if k in untold else p for k, p in enumerate(kept)]
    if path.stem.removeprefix("tests_") in INVALID_FRACTIONS:
        # More than a second of fraction: it is added here, and overflows there.
        through, kept = ([p._replace(timestamp_ns=0) for p in each] for each in (through, kept))
    assert through == kept, path
    assert (source.truncated is None) == (other.truncated is None), path


def test_strange_files_are_the_same_through_tshark(shared_archive):
    names = sorted(p for p in shared_archive("robustness").rglob("*") if p.is_file())
    assert len(names) == 1221
    for path in random.Random(5).sample(names, 40):
        assert_agreement(path)


@pytest.mark.parametrize(
    "form", ["snoop", "modpcap", "netmon1", "netmon2", "lanalyzer", "ngsniffer", "visual", "5views"]
)
def test_formats_that_only_tshark_reads(tmp_path, form):
    original, path = tmp_path / "x.pcap", tmp_path / "converted"
    frames.write_pcap(original, some(), [t * 1000 for t in timed()])
    subprocess.run(["tshark", "-r", original, "-F", form, "-w", path], check=True)
    with pytest.raises(CaptureFormatError, match="--source tshark"):
        open_capture(path)
    through, source = read(open_with_tshark, path)
    assert [packet.frame[:60] for packet in through] == [frame[:60] for frame in some()]
    assert source.truncated is None


def test_files_of_any_format_are_merged_by_time(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c", "d")]
    contents = [[b"%d of %d" % (k, file) for k in range(50)] for file in range(4)]
    times = [[START_US + 4 * k + file for k in range(50)] for file in range(4)]
    paths[0].write_bytes(frames.pcap_bytes(contents[0], [t * 1000 for t in times[0]]))
    paths[1].write_bytes(ng.write(contents[1], times[1]))
    paths[2].write_bytes(gzip.compress(ng.write(contents[2], times[2], ng.BIG)))
    paths[3].write_bytes(
        gzip.compress(frames.pcap_bytes(contents[3], [t * 1000 for t in times[3]], frames.NANOS_BE))
    )
    expected = [contents[k % 4][k // 4] for k in range(200)]
    for open_file in (open_capture, open_with_tshark):
        with contextlib.closing(CaptureFiles(paths, open_file)) as source:
            assert [packet.frame for packet in packets_of(source)] == expected
        assert source.truncated == []


def test_rows_of_flows_are_the_same(capfd):
    rows = [
        sensor_command(capfd, "flows", DEMO, "--source", source).out
        for source in ("native", "tshark")
    ]
    assert rows[0] == rows[1] != ""


def test_standard_input_goes_through_tshark(tmp_path):
    snoop = tmp_path / "x"
    subprocess.run(["tshark", "-r", DEMO, "-F", "snoop", "-w", snoop], check=True)
    with snoop.open("rb") as stream:
        done = sensor_process("flows", "-", "--source", "tshark", "--stats", "-", stdin=stream)
    assert json.loads(done.stdout)["packets"] == 8468


def test_what_tshark_says_is_told_in_one_line(capfd, tmp_path):
    text, missing, cut = (tmp_path / name for name in ("text", "missing", "cut"))
    text.write_text("no capture at all, just text")
    outcome = sensor_command(capfd, "flows", text, "--source", "tshark")
    assert_fails(outcome, 65, text, "tshark can't read it", "isn't a capture file")
    outcome = sensor_command(capfd, "replay", missing, "--source", "tshark", "--no-models")
    assert_fails(outcome, 66, missing, "No such file")
    outcome = sensor_command(capfd, "replay", tmp_path, "--source", "tshark", "--no-models")
    assert_fails(outcome, 65, tmp_path, "is a folder")
    cut.write_bytes(DEMO.read_bytes()[: FILE_HEADER_BYTES + 100])
    outcome = sensor_command(capfd, "flows", cut, "--source", "tshark", "--stats", os.devnull)
    assert_fails(outcome, 80, cut, "cut short in the middle of a packet")


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"PATH": "/nowhere"}, "", "the program tshark, which is not on the path"),
        ({}, "sys.modules['pyshark'] = None", "pip install pyshark"),
    ],
)
def test_what_is_not_installed_is_named(environment, code, says):
    program = f"import sys; {code}\nfrom sensor.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "flows", str(DEMO), "--source", "tshark"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 71
    assert done.stderr.startswith("multa-sensor: error: the source tshark needs ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "content", ["[server]\nport = 1\n", "[tshark]\ntshark_path = ./mine\n", "no configuration"]
)
def test_a_config_ini_of_the_current_folder_is_not_asked(tmp_path, content):
    """Whoever wrote it would choose what runs, perhaps as root."""
    (tmp_path / "config.ini").write_text(content)
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\ntouch was-run\n")
    mine.chmod(0o755)
    done = sensor_process("flows", DEMO, "--source", "tshark", "--stats", "-", cwd=tmp_path)
    assert json.loads(done.stdout)["packets"] == 8468
    assert not (tmp_path / "was-run").exists()


def children(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in listed.split()]


def test_interruption_ends_tshark_too():
    command = [sys.executable, "-m", "sensor.cli", "flows", "-", "--source", "tshark"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(frames.pcap_bytes(some()))
        process.stdin.flush()
        until(lambda: children(process), "tshark to be started")
        (child,) = children(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b""
        assert not Path(f"/proc/{child}").exists()


def test_a_source_that_is_closed_early_leaves_no_process(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", [bytes(1000)] * 20_000)
    source = open_with_tshark(path, 4096)
    next(iter(source))
    (child,) = children(type("Self", (), {"pid": os.getpid()}))
    source.close()
    source.close()
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.network
def test_live_on_a_veth():
    sent = [frame + b"%d" % k for k, frame in enumerate(some(400))] + tagged()
    with netns.link() as cable:
        with netns.inside(cable.far):
            source = TsharkLive(cable.port, snap_bytes=FULL_FRAMES)
        found = []
        with contextlib.closing(source):
            reader = threading.Thread(
                target=lambda: found.extend(packets_of(stopped_after(source, len(sent))))
            )
            reader.start()
            netns.play(cable.near, cable.port, sent)
            reader.join(timeout=60)
            assert not reader.is_alive()
    assert [packet.frame for packet in found] == sent
    assert [packet.wire_length for packet in found] == [len(frame) for frame in sent]
    assert {packet.link_type for packet in found} == {1}
    times = [packet.timestamp_ns for packet in found]
    assert times == sorted(times)
    assert source.counters.packets == len(sent)
    assert source.counters.kernel_drops == 0


def stopped_after(source, count):
    """The source's blocks; it is stopped when so many packets have come."""
    for block in source:
        yield block
        if source.counters.packets >= count:
            source.stop()


@pytest.mark.network
def test_an_interface_that_is_not_there_or_goes_away_is_told():
    with pytest.raises(CaptureUnavailableError, match="no device named") as caught:
        TsharkLive("no-such-port", snap_bytes=96)
    assert "\n" not in str(caught.value)
    with netns.link() as cable:
        with netns.inside(cable.far):
            source = TsharkLive(cable.port, snap_bytes=96)
        with contextlib.closing(source):
            blocks = iter(source)
            assert len(next(blocks)) == 0
            cable.run(cable.far, ["ip", "link", "delete", cable.port])
            with pytest.raises(CaptureUnavailableError, match="tshark can't capture on it"):
                for _ in blocks:
                    pass


@pytest.mark.network
def test_a_run_on_tshark_alerts_as_one_on_the_ring_does(tmp_path):
    attack, _ = flood()
    told_by = {}
    for source in ("native", "tshark"):
        log = tmp_path / f"{source}.json"
        with netns.link() as cable:
            arguments = ("--source", source, "--no-models", "-o", str(log), "--stats", "-")
            with started(cable, *arguments) as running:
                netns.play(cable.near, cable.port, attack)
                running.wait_for_alert(log, "start", "10.0.0.2")
                assert running.end() == 0
                assert all("error" not in line for line in running.messages)
        counted = json.loads(running.output)
        assert (counted["packets"], counted["kernel_drops"]) == (len(attack), 0)
        told_by[source] = told(log)
    assert told_by["tshark"] == told_by["native"]


@pytest.mark.network
def test_a_run_that_tshark_leaves_ends_as_one_that_is_stopped(tmp_path):
    """Incidents that are open end, and the counters are written; then the run says why."""
    attack, _ = flood()
    log = tmp_path / "alerts.json"
    with netns.link() as cable:
        arguments = ("--source", "tshark", "--no-models", "-o", str(log), "--stats", "-")
        with started(cable, *arguments) as running:
            netns.play(cable.near, cable.port, attack)
            running.wait_for_alert(log, "start", "10.0.0.2")
            cable.run(cable.far, ["ip", "link", "delete", cable.port])
            assert running.wait() == CaptureUnavailableError.exit_status
    assert running.messages[-1].startswith("multa-sensor: error: interface ")
    assert json.loads(running.output)["packets"] == len(attack)
    assert told(log)[-1] == ("flow_rate", "end", "10.0.0.2")


@pytest.mark.network
def test_a_run_on_tshark_tells_what_is_wrong(capfd):
    outcome = sensor_command(
        capfd, "run", "-i", "no-such-port", "--source", "tshark", "--no-models"
    )
    assert_fails(outcome, 69, "interface no-such-port", "no device named")
    outcome = sensor_command(
        capfd, "run", "-i", "lo", "--source", "tshark", "--no-models", "--record", "x"
    )
    assert_fails(outcome, 64, "--record, --buffer and several interfaces need the source native")
