"""Real recordings: what is in them, and what is left of those that are cut short."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dpkt
import frames
import numpy as np
import pytest
from running import until

from sensor.errors import HostError, MissingInputError, OutputError
from sensor.model.schema import FeatureSchema
from trainer.datasets.extraction import (
    ACCOUNT,
    CAPTURE,
    LABELS,
    WORK,
    Recording,
    extract,
    parse_recordings,
)
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.catalogue import ACTIVITIES
from trainer.lab.network import contained, missing_programs
from trainer.lab.recording import record
from trainer.lab.service_shapes import SHAPES
from trainer.lab.service_truth import TASK

ROOT = Path(__file__).parents[2]
TASKS = tuple(ATTACKS)
DURATION_S = 14

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"needs {', '.join(missing_programs().values())}"
    ),
]

SMALL = """
description = "Everything at least once, in a few seconds"
[network]
lan_delay_ms = [0.2, 2]
wan_delay_ms = [3, 10]
gateway_services = ["dns", "ntp"]
flood_packets = 1500
[[hosts]]
name = "box"
stacks = "linux"
services = ["mqtt", "web", "coap", "stunnel", "sink", "ssh", "sessions", "snmp"]
[[hosts]]
name = "device"
count = 2
stacks = ["embedded", "rtos"]
services = "upnp"
[[hosts]]
name = "laptop"
count = 2
stacks = "windows"
[[hosts]]
name = "cloud"
side = "wan"
stacks = "plain_linux"
services = ["web", "dns", "guarded_mqtt", "quic"]
[[attacks]]
task = "syn_dos"
from = "device"
to = "box"
rate = 150
seconds = 3
[[attacks]]
task = "scan"
from = "laptop"
to = "cloud"
method = "syn"
spread = "ports"
ports = 60
rate = 60
seconds = 3
[[attacks]]
task = "brute_force"
from = "device"
to = "box"
service = "http"
tool = "hydra"
rate = 6
seconds = 3
[[attacks]]
task = "slow_http"
from = "device"
to = "cloud"
connections = 20
rate = 10
tool = "script"
seconds = 3
[[attacks]]
task = "udp_reflection"
from = "device"
to = "laptop"
protocol = "dns"
through = "wan"
rate = 40
seconds = 2
[[attacks]]
task = "ssdp_flood"
from = "laptop"
to = "cloud"
mode = "reflection"
rate = 30
seconds = 3
[[attacks]]
task = "ssl_renegotiation"
from = "laptop"
to = "box"
rate = 40
onset = 20
connections = 2
seconds = 5
"""


IPV6 = '[[benign]]\nactivity = "web"\nfrom = "laptop"\nip = "6"\nevery_s = 1\n'


def scenario(folder: Path) -> str:
    text = SMALL + "".join(
        f'[[benign]]\nactivity = "{name}"\nfrom = ["laptop", "device"]\nevery_s = 1.5\n'
        + IPV6 * (name == "web")
        for name in ACTIVITIES
    )
    path = folder / "small.toml"
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("lab")
    out = folder / "recording"
    seconds: list[float] = []
    account = record(scenario(folder), out, DURATION_S, 5, 262_144, seconds.append)
    assert seconds == sorted(seconds)
    assert seconds[-1] > DURATION_S - 1
    return out, account


def captured(folder: Path) -> list[tuple[int, bytes]]:
    with (folder / CAPTURE).open("rb") as file:
        return [(int(seconds * 10**9), frame) for seconds, frame in dpkt.pcap.Reader(file)]


def test_the_folder_holds_capture_labels_and_account(
    recording: tuple[Path, dict[str, Any]],
) -> None:
    folder, account = recording
    assert {path.name for path in folder.iterdir()} == {CAPTURE, LABELS, ACCOUNT}
    assert json.loads((folder / ACCOUNT).read_text()) == json.loads(json.dumps(account))
    assert account["recorder"]["dropped by kernel"] == 0
    assert DURATION_S <= account["end"] - account["start"] < DURATION_S + 5
    times = [time for time, _ in captured(folder)]
    assert account["recorder"]["captured"] == len(times)
    assert account["start"] - 2 < min(times) / 1e9
    assert max(times) / 1e9 < account["end"]


def test_everything_that_was_planned_has_happened(recording: tuple[Path, dict[str, Any]]) -> None:
    folder, account = recording
    assert set(account["activities"]) == set(ACTIVITIES)
    ports: Counter[int] = Counter()
    six: Counter[int] = Counter()
    udp: Counter[int] = Counter()
    for _, frame in captured(folder):
        packet = dpkt.ethernet.Ethernet(frame).data
        if isinstance(packet, dpkt.ip6.IP6) and isinstance(packet.data, dpkt.tcp.TCP):
            six.update({packet.data.sport, packet.data.dport})
        if isinstance(packet, dpkt.ip.IP) and isinstance(packet.data, dpkt.tcp.TCP | dpkt.udp.UDP):
            ports.update({packet.data.sport, packet.data.dport})
            if packet.p == frames.UDP:
                udp[packet.data.dport] += 1
    for port in (22, 53, 80, 123, 161, 443, 514, 1883, 1900, 4433, 5004, 5353, 5683, 8883):
        assert ports[port] > 1, port
    assert six[80] + six[443] > 10
    assert udp[443] > 10


def test_frames_are_as_on_a_wire_and_seen_once(recording: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = recording
    seen: Counter[bytes] = Counter()
    for _, frame in captured(folder):
        assert len(frame) <= 1514
        packet = dpkt.ethernet.Ethernet(frame).data
        if isinstance(packet, dpkt.ip.IP):
            start = 14 + 4 * packet.hl
            header, body = frame[14:start], frame[start : 14 + packet.len]
            assert frames.checksum(header) == 0
            if packet.p == frames.TCP:
                pseudo = header[12:20] + struct.pack("!BBH", 0, packet.p, len(body))
                assert frames.checksum(pseudo + body) == 0
                seen[frame] += packet.id > 0
    assert len(seen) > 500
    assert [count for count in seen.values() if count > 1] == []


def test_the_sensor_s_own_chain_finds_every_labelled_flow(
    recording: tuple[Path, dict[str, Any]],
) -> None:
    folder, account = recording
    _, rows, labels = extract(
        Recording("lab", folder / CAPTURE, folder / LABELS), FeatureSchema(), TASKS
    )
    for column, task in enumerate(TASKS):
        flows = np.unique(rows.flow_ordinal[labels[:, column] == 1])
        # What SSDP devices reflect is UDP reflection too.
        tasks = {task, "ssdp_flood"} if task == "udp_reflection" else {task}
        attacks = [attack for attack in account["attacks"] if attack["task"] in tasks]
        assert len(flows) == sum(attack["captured_flows"] for attack in attacks) > 0
    assert (labels == 0).all(axis=1).sum() > 100
    onset = [c["onset_packets"] for a in account["attacks"] for c in a["connections"]]
    assert min(onset) >= 20


def test_every_connection_with_a_service_has_its_class(
    recording: tuple[Path, dict[str, Any]],
) -> None:
    folder, account = recording
    _, rows, labels = extract(
        Recording("lab", folder / CAPTURE, folder / LABELS), FeatureSchema(), (TASK,)
    )
    first = rows.sequence_index == 0
    found = Counter(list(SHAPES)[place] for place in labels[first, 0] if place >= 0)
    assert found == account["classes"] != {}
    ends = Counter(each["end"] for s in account["sessions"] for each in s["connections"])
    assert found.total() == sum(ends[end] for end in ("done", "left", "over", "lost"))
    assert ends["over"] > 0
    assert max(c["closed"] for s in account["sessions"] for c in s["connections"]) < account["end"]


def test_attacks_look_as_they_were_drawn(recording: tuple[Path, dict[str, Any]]) -> None:
    folder, account = recording
    attack = account["attacks"][0]
    syns = 0
    for _, frame in captured(folder):
        packet = dpkt.ethernet.Ethernet(frame).data
        tcp = getattr(packet, "data", None)
        if not isinstance(tcp, dpkt.tcp.TCP) or tcp.flags != dpkt.tcp.TH_SYN:
            continue
        # A flood's ports lie below the kernel's.
        syns += tcp.dport == attack["port"] and tcp.sport < 32_768
    assert attack["packets"] * 0.95 <= syns <= attack["packets"]


def tshark(folder: Path, expression: str, *fields: str) -> list[tuple[str, ...]]:
    """Fields of the packets that a display filter lets through."""
    names = [word for name in fields for word in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-r", str(folder / CAPTURE), "-Y", expression, "-T", "fields", *names],
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
@pytest.mark.parametrize(
    ("task", "expression", "share"),
    [
        # What each attack is, in the words of another program than those that made and checked it.
        ("syn_dos", "tcp.flags.syn==1 && tcp.flags.ack==0", 1.0),
        ("scan", "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.window_size_value==1024", 1.0),
        ("brute_force", 'http.authorization contains "Basic"', 0.8),
        ("slow_http", "http.request || tcp.len>0", 0.8),
        ("ssl_renegotiation", "tls.handshake.type==1 || tcp.port==4433", 1.0),
        ("udp_reflection", 'dns.qry.name=="big.lab.example.net" || udp.port==1900', 1.0),
        ("ssdp_flood", 'ssdp && frame contains "M-SEARCH" || udp.srcport==1900', 0.5),
    ],
)
def test_labelled_flows_are_what_tshark_takes_them_for(
    task: str, expression: str, share: float, recording: tuple[Path, dict[str, Any]]
) -> None:
    folder, account = recording
    (attack,) = (attack for attack in account["attacks"] if attack["task"] == task)
    tuples = set()
    for label in attack["labels"]:
        start, end, source, source_port, target, port, _, named, value = label["row"].split(",")
        if value != "1" or named != task:
            continue
        ends = (source.removesuffix("/32"), target.removesuffix("/32"))
        within = f"frame.time_epoch>={start} && frame.time_epoch<={end}"
        hosts = " && ".join(f"ip.addr=={address}" for address in ends if "/" not in address)
        ports = " && ".join(
            f"(tcp.port=={each} || udp.port=={each})" for each in (source_port, port) if each != "*"
        )
        whole = " && ".join(filter(None, (within, hosts, ports, f"({expression})")))
        fields = ("ip.src", "ip.dst", "tcp.port", "udp.port")
        tuples |= {
            frozenset((*row[:2], *row[2].split(","), *row[3].split(",")))
            for row in tshark(folder, whole, *fields)
        }
    assert len(tuples) >= share * attack["captured_flows"] > 0


def test_a_recording_is_not_overwritten(recording: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = recording
    with pytest.raises(OutputError, match="holds a recording already"):
        record("demo", folder, 5, 1)


def test_what_fails_in_the_lab_is_told_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that can't start: a program of its name that only complains."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "mosquitto"
    fake.write_text("#!/bin/sh\necho no broker today >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(HostError, match=r"lab's mqtt did not start: no broker today"):
        record("demo", tmp_path / "out", 5, 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / CAPTURE).write_bytes(b"a capture of somebody")
    with pytest.raises(OutputError, match=r"holds capture\.pcap, which is no recording's"):
        record("sparse", tmp_path, 3, 1)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"a capture of somebody"]


def test_a_folder_takes_one_recording_at_a_time(tmp_path: Path) -> None:
    told: list[str] = []

    def try_another(_: float) -> None:
        with pytest.raises(OutputError, match="another recording is being made") as error:
            record("sparse", tmp_path, 3, 2)
        told.append(str(error.value))
        with pytest.raises(MissingInputError, match="is being recorded"):
            parse_recordings([str(tmp_path)], benign=True)

    account = record("sparse", tmp_path, 3, 1, progress=try_another)
    assert told
    assert account["seed"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {CAPTURE, LABELS, ACCOUNT}
    assert parse_recordings([str(tmp_path)], benign=False)


def test_a_full_disk_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    """The capture does not fit: tcpdump itself says nothing about that."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(HostError, match=r"capture\.pcap: does not hold the \d+ frames"):
            record(scenario_of_a_flood(tmp_path), tmp_path / "out", 5, 1)
        assert list((tmp_path / "out").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def scenario_of_a_flood(folder: Path) -> str:
    path = folder / "flood.toml"
    path.write_text(
        '[[hosts]]\nname = "box"\ncount = 2\nstacks = "linux"\n'
        '[[attacks]]\ntask = "syn_dos"\nfrom = "box"\nto = "box"\nrate = 1000\nseconds = 3\n'
    )
    return str(path)


def test_a_recorder_that_dies_spoils_the_recording(tmp_path: Path) -> None:
    def kill(_: float) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # the process has ended
                words = path.read_bytes().split(b"\0")
                if words[0] == b"tcpdump" and str(tmp_path / "out" / CAPTURE).encode() in words:
                    os.kill(int(path.parent.name), signal.SIGKILL)

    with pytest.raises(HostError, match="tcpdump did not record to the end"):
        record("sparse", tmp_path / "out", 4, 1, progress=kill)
    assert list((tmp_path / "out").iterdir()) == []


def namespaces() -> set[str]:
    """Network namespaces that any process lives in."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):  # the process has ended
            found.add(str(path.readlink()))
    return found


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_nothing_is_left_of_a_recording_that_is_cut_short(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    program = "from trainer.cli import main; main()"
    arguments = ["lab", "record", "--out", out, "--duration", "60", "--scenario", "demo"]
    before = namespaces()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # The file's header is written when the recorder listens.
    until((out / CAPTURE).exists, "the recording to begin")
    held = namespaces() - before
    assert len(held) > 8
    process.send_signal(number)
    _, told = process.communicate()
    assert (process.returncode, told.strip()) == (status, "")
    until(lambda: not held & namespaces(), "the lab's namespaces to go")
    if number == signal.SIGKILL:
        assert (out / WORK).exists()
        with pytest.raises(MissingInputError, match="was cut short"):
            parse_recordings([str(tmp_path)], benign=True)
        # The next recording takes the folder as it was left.
        record("sparse", out, 3, 1)
        assert {path.name for path in out.iterdir()} == {CAPTURE, LABELS, ACCOUNT}
    else:
        assert list(out.iterdir()) == []


def test_a_stage_that_nobody_listens_to_ends_by_itself(tmp_path: Path) -> None:
    """Its parent may die before the kernel has been told to end it too."""
    request = {"scenario": "sparse", "seed": 1, "duration_s": 600, "snaplen": 128}
    request |= {"capture": str(tmp_path / "c.pcap"), "folder": str(tmp_path)}
    stage = subprocess.Popen(
        contained([sys.executable, "-m", "trainer.lab.stage"]),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stage.stdin
    assert stage.stdout
    stage.stdin.write(json.dumps(request) + "\n")
    stage.stdin.flush()
    for line in stage.stdout:
        if "elapsed_s" in line:
            break
    stage.stdin.close()
    last = stage.stdout.readlines()[-1]
    assert json.loads(last) == {"error": "the recording was given up"}
    stage.stdout.close()
    assert stage.wait() == 0
