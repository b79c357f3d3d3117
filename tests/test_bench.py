"""The benchmark's own parts: captures, accounting of processes, figures, page."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import dpkt
import pytest

from bench import captures
from bench.contenders import PEERS
from bench.measure import Results, plan
from bench.page import draw
from bench.summary import compare, figure

ROOT = Path(__file__).parent.parent

SPIN = "import time\nwhile time.process_time() < 0.2: pass"


def read(path):
    with path.open("rb") as stream:
        return list(dpkt.pcap.Reader(stream))


def tuples(packets):
    """Five-tuples without direction, ports of ICMP left out, and IPv4 headers that don't add up."""
    found, wrong = set(), 0
    for _, octets in packets:
        ip = dpkt.ethernet.Ethernet(octets).data
        sides = ((ip.src, "sport"), (ip.dst, "dport"))
        ends = [(side, getattr(ip.data, port, 0)) for side, port in sides]
        found.add((ip.p, *sorted(ends)))
        if isinstance(ip, dpkt.ip.IP):
            wrong += dpkt.in_cksum(bytes(ip)[:20]) != 0
    return found, wrong


@pytest.mark.parametrize("recipe", list(captures.RECIPES))
def test_captures_are_what_they_are_said_to_be(recipe, tmp_path):
    path = tmp_path / "x.pcap"
    packets, flows = captures.make(recipe, path, 0.002)
    there = read(path)
    found, wrong = tuples(there)
    assert (packets, flows, wrong) == (len(there), len(found), 0)
    times = [time for time, _ in there]
    assert times == sorted(times)
    if recipe == "syn":
        assert flows == packets == 6_000
    if recipe == "1500-byte":
        assert {len(octets) for _, octets in there} == {1_514}


def test_captures_are_the_same_in_every_form(tmp_path):
    whole, cut, other = (tmp_path / name for name in ("x.pcap", "cut.pcap", "x.other"))
    captures.make("mix", whole, 0.001)
    packets = read(whole)
    assert captures.cut(whole, cut, 100) == 100
    assert read(cut) == packets[:100]
    assert captures.cut(whole, cut, 10**6) == len(packets)
    assert read(cut) == packets
    captures.to_pcapng(whole, other)
    with other.open("rb") as stream:
        assert list(dpkt.pcapng.Reader(stream)) == packets
    captures.to_gzip(whole, other)
    assert gzip.decompress(other.read_bytes()) == whole.read_bytes()


def account(output, limit, *command):
    core = str(min(os.sched_getaffinity(0)))
    script = [sys.executable, "-I", "-S", str(ROOT / "bench/account.py"), core, limit, str(output)]
    done = subprocess.run([*script, *command], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_time_of_a_child_that_nobody_waits_for_counts(tmp_path):
    command = f"{sys.executable} -S -c '{SPIN}' & echo done; exit 3"
    told = account(tmp_path / "output", "60", "sh", "-c", command)
    assert (tmp_path / "output").read_text() == "done\n"
    assert (told["status"], told["timed_out"]) == (3, False)
    assert told["cpu"] >= 0.2


def test_memory_is_the_commands_own(tmp_path):
    told = account(tmp_path / "output", "60", "true")
    large = account(tmp_path / "output", "60", sys.executable, "-S", "-c", "bytearray(10**8)")
    assert told["resident"] < 20e6
    assert 100e6 < large["resident"] < 140e6


def test_a_command_that_takes_too_long_is_ended(tmp_path):
    told = account(tmp_path / "output", "0.2", "sh", "-c", "cat /dev/zero > /dev/null & wait")
    assert (told["status"], told["timed_out"]) == (-9, True)


def run(contender, capture, cpu, told=None):
    entry = {"contender": contender, "capture": capture, "run": 1, "cpu": cpu, "wall": 2 * cpu}
    entry |= {"at": "2026-01-02T03:04:05Z", "resident": 5e7, "status": 0, "timed_out": False}
    return entry | {"told": {"packets": 1e6, "flows": 10_000, **(told or {})}}


def results(path, runs):
    known = {"packets": 1_000_000, "flows": 10_000, "bytes": 10**8}
    cut = {"packets": 10_000, "flows": 0, "bytes": 10**6}
    named = {"one": cut | {"packets": 1}, "mix": known, "mix@10000": cut}
    return Results(path, 1, 0, "a machine", named, {}, {"pyshark": "no such thing"}, runs)


def test_figures_are_without_start_up_and_whole(tmp_path):
    peers = {peer.name: peer for peer in PEERS}
    kept = results(
        tmp_path / "page.json",
        [
            *(run("assembly", "mix", cpu) for cpu in (0.6, 0.7, 1.2)),
            run("assembly", "mix@10000", 0.25),
            *(run(c, "one", 0.2) for c in ("assembly", "nfstream", "ndpireader", "cicflowmeter")),
            run("nfstream", "mix", 10.2, {"flows": 9_999}),
            run("ndpireader", "mix", 5.2, {"flows": 9_998}),
            run("cicflowmeter", "mix@10000", 5.2),
        ],
    )
    ours = figure(kept, "assembly", "mix")
    assert ours
    assert ours.speed == pytest.approx(1e6 / 0.5)
    assert ours.speed_with_start == pytest.approx(1e6 / 0.7)
    assert ours.flow_speed == pytest.approx(20_000)
    nfstream = compare(kept, peers["nfstream"], "mix")
    assert nfstream
    assert (nfstream.times, nfstream.same_packets) == (pytest.approx(20), True)
    assert nfstream.times_with_start == pytest.approx(10.2 / 0.7)
    slow = compare(kept, peers["cicflowmeter"], "mix")
    assert slow
    assert (slow.times, slow.same_packets) == (pytest.approx(1_000), False)
    assert slow.times_with_start == pytest.approx(5.2 / 0.25)

    kept.write()
    draw(Results.read(kept.path), tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "| ≥ 18 × | 20 × (14.6 × with start-up) | met |" in page
    assert "| 9,999 of 10,000 |  |  | looks into UDP" in page
    assert "| 9,998 of 10,000 |  |  | **unexplained** |" in page
    assert "pyshark loop: no such thing" in page
    assert (tmp_path / "page.png").exists()


def test_the_sensor_reads_what_others_are_held_to():
    chosen = [peer for peer in PEERS if peer.name in {"scapy", "tcpdump"}]
    named = {name: [c.name for c in there] for name, there in plan(chosen, ["mix"]).items()}
    assert named == {"one": ["scapy", "tcpdump"], "mix@20000": ["scapy"], "mix": ["tcpdump"]}


def test_a_small_run_measures_and_goes_on(tmp_path):
    page = tmp_path / "bench.md"
    command = [sys.executable, "-m", "bench", "--only", "assembly", "--captures", "64-byte"]
    command += ["--scale", "0.001", "--work", str(tmp_path), "--page", str(page)]
    for runs in ("1", "2"):
        earlier = Results.read(page.with_suffix(".json")).runs if page.exists() else []
        subprocess.run([*command, "--resume", "--runs", runs], cwd=ROOT, check=True)
    kept = Results.read(page.with_suffix(".json"))
    assert [run for run in kept.runs if run["run"] == 1] == earlier
    assert [run["run"] for run in kept.of("assembly", "64-byte")] == [1, 2]
    assert kept.told("assembly", "64-byte")[0]["packets"] == 2_000
    assert "frames of 64 bytes | 2,000 packets" in page.read_text()
