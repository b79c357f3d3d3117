"""Labels by schedule, held against captures that are built frame by frame."""

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dpkt
import frames
import numpy as np
import pytest
from numpy.typing import NDArray

from sensor.errors import HostError, LabelError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema
from trainer.datasets.extraction import Recording, extract
from trainer.datasets.labels import read_labels
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.plan import Claim, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.truth import (
    captured_flows,
    check_rows,
    label_rows,
    require_whole,
    write_labels,
)

START = 1_700_000_000
VICTIM, ATTACKER = "10.0.0.9", "10.0.0.7"
REPORT = {"first": START + 1.0, "last": START + 2.0, "packets": 3, "flows": 3, "connections": []}


def plan_with(task: str, *claims: Claim) -> Plan:
    plan = make_plan(read_scenario("demo"), 7, 30)
    attack = next(attack for attack in plan.attacks if attack.task == task)
    attack = dataclasses.replace(attack, index=0, claims=claims, reflectors=())
    return dataclasses.replace(plan, attacks=(attack,))


def flood_plan() -> Plan:
    return plan_with("syn_dos", Claim(f"{ATTACKER}/32", "*", f"{VICTIM}/32", "80", "tcp", "1"))


def capture(folder: Path, packets: list[tuple[float, bytes]]) -> Path:
    path = folder / "c.pcap"
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, nano=True)
        for seconds, frame in packets:
            writer.writepkt(frame, START + seconds)
    return path


def syn(port: int, source: str = ATTACKER, flags: int = frames.SYN) -> bytes:
    return frames.tcp_frame(source, port, VICTIM, 80, flags)


def reply(port: int, flags: int) -> bytes:
    return frames.tcp_frame(VICTIM, 80, ATTACKER, port, flags)


def test_rows_span_the_attack_with_its_margins() -> None:
    (row,) = label_rows(flood_plan(), [REPORT])
    assert row.line() == (
        f"{START}.950000000,{START + 3}.500000000,10.0.0.7/32,*,10.0.0.9/32,80,tcp,syn_dos,1"
    )


def test_an_attack_that_sent_nothing_spoils_the_recording() -> None:
    with pytest.raises(LabelError, match="has sent nothing; record again"):
        label_rows(flood_plan(), [REPORT | {"first": 0.0, "last": 0.0}])


def test_flows_are_counted_as_the_rules_say(tmp_path: Path) -> None:
    flags = frames
    path = capture(
        tmp_path,
        [
            (0.0, syn(1000)),
            (0.1, reply(1000, flags.SYN | flags.ACK)),
            (0.2, syn(1000)),  # not closed: the same flow
            (0.3, reply(1000, flags.RST)),
            (0.4, reply(1000, flags.ACK)),  # trailing
            (0.5, syn(1000)),  # a new one
            (0.6, syn(2000)),
            (130.0, reply(2000, flags.ACK)),  # after 120 s of silence: a new one
            (131.0, syn(3000, flags=flags.ACK | flags.FIN)),
            (131.1, reply(3000, flags.ACK | flags.FIN)),
            (131.2, syn(3000)),
        ],
    )
    flows = captured_flows(path)
    assert [(flow.source_port, flow.packets) for flow in flows] == [
        (1000, 5),
        (1000, 1),
        (2000, 1),
        (80, 1),
        (3000, 2),
        (3000, 1),
    ]


def test_a_capture_holds_what_its_recorder_took_or_is_none(tmp_path: Path) -> None:
    path = capture(tmp_path, [(0.0, syn(1000)), (0.1, syn(1001))])
    require_whole(path, 2)
    whole = path.read_bytes()
    for content, frames_taken in ((whole, 3), (whole[:-1], 2), (whole[:30], 2), (b"", 0)):
        path.write_bytes(content)
        with pytest.raises(HostError, match=f"does not hold the {frames_taken} frames"):
            require_whole(path, frames_taken)


def check(plan: Plan, report: dict[str, Any], path: Path) -> Any:
    return check_rows(label_rows(plan, [report]), {0: report}, captured_flows(path), {0: 1.0})


def test_rows_are_counted_and_those_without_a_flow_are_dropped(tmp_path: Path) -> None:
    claims = [
        Claim(f"{ATTACKER}/32", "*", f"{VICTIM}/32", "80", "tcp", "1"),
        Claim("40.0.0.0/8", "*", f"{VICTIM}/32", "80", "tcp", "1"),
    ]
    path = capture(
        tmp_path,
        [
            (0.5, syn(999, "10.0.0.8")),
            (1.0, syn(1)),
            (1.5, syn(2)),
            (1.6, reply(2, 4)),
            (2.0, syn(3)),
        ],
    )
    rows, matched = check(plan_with("syn_dos", *claims), REPORT, path)
    assert [(row.claim, row.flows, row.packets) for row in rows] == [(claims[0], 3, 4)]
    assert matched == {0: 3}


def test_a_benign_flow_within_the_claim_spoils_the_recording(tmp_path: Path) -> None:
    path = capture(tmp_path, [(1 + n / 10, syn(n)) for n in range(1, 5)])
    with pytest.raises(LabelError, match="sent 3 flows, but its labels match 4"):
        check(flood_plan(), REPORT, path)


def test_an_attack_that_the_capture_lacks_spoils_the_recording(tmp_path: Path) -> None:
    path = capture(tmp_path, [(1.0, syn(1))])
    with pytest.raises(LabelError, match="sent 3 flows, but its labels match 1"):
        check(flood_plan(), REPORT, path)
    empty = capture(tmp_path, [])
    with pytest.raises(LabelError, match="sent 1 flows, but its labels match 0"):
        check(flood_plan(), REPORT | {"flows": 1}, empty)


def test_as_many_may_be_missing_as_a_cable_loses_at_a_time(tmp_path: Path) -> None:
    path = capture(tmp_path, [(1.0, syn(1)), (1.5, syn(2))])
    rows, reports = label_rows(flood_plan(), [REPORT]), {0: REPORT | {"packets": 5, "flows": 5}}
    for burst, enough in ((1.0, False), (2.4, True)):
        if enough:
            check_rows(rows, reports, captured_flows(path), {0: burst})
            continue
        with pytest.raises(LabelError, match="sent 5 flows, but its labels match 2"):
            check_rows(rows, reports, captured_flows(path), {0: burst})


def test_connections_that_never_renegotiated_are_unknown(tmp_path: Path) -> None:
    plan = plan_with(
        "ssl_renegotiation", Claim(f"{ATTACKER}/32", "*", f"{VICTIM}/32", "80", "tcp", "1")
    )
    connections = [
        {"port": 50_001, "made": START + 1.0, "count": 9},
        {"port": 50_002, "made": START + 1.2, "count": 2},
    ]
    path = capture(tmp_path, [(1.0, syn(50_001)), (1.2, syn(50_002)), (1.3, syn(50_003))])
    rows, matched = check(plan, REPORT | {"connections": connections}, path)
    assert [(row.claim.src_port, row.claim.value) for row in rows] == [
        ("50001", "1"),
        ("50002", "unknown"),
    ]
    assert matched == {0: 1}


@pytest.mark.parametrize(("reflectors", "value"), [(("10.0.0.9",), "1"), ((), "unknown")])
def test_reflected_ssdp_is_udp_reflection_too(reflectors: tuple[str, ...], value: str) -> None:
    """Sent straight to the victim it may look like either: nobody is asked about it."""
    plan = plan_with("ssdp_flood", Claim("10.0.0.8/32", "*", f"{VICTIM}/32", "1900", "udp", "1"))
    attack = dataclasses.replace(plan.attacks[0], reflectors=reflectors)
    rows = label_rows(dataclasses.replace(plan, attacks=(attack,)), [REPORT])
    assert [row.line().split(",")[7:] for row in rows] == [
        ["ssdp_flood", "1"],
        ["udp_reflection", value],
    ]


def test_nobody_is_asked_whether_reflection_by_another_protocol_is_an_ssdp_flood() -> None:
    plan = plan_with("ssdp_flood", Claim("10.0.0.8/32", "*", f"{VICTIM}/32", "53", "udp", "1"))
    attack = dataclasses.replace(plan.attacks[0], task="udp_reflection")
    rows = label_rows(dataclasses.replace(plan, attacks=(attack,)), [REPORT])
    assert [row.line().split(",")[7:] for row in rows] == [
        ["udp_reflection", "1"],
        ["ssdp_flood", "unknown"],
    ]


def test_flows_of_ipv6_and_kinds_of_icmp_are_counted_apart(tmp_path: Path) -> None:
    """An echo and its answer are one flow; an error message is another."""
    one, other = "fd00::7", "fd00::9"
    echo, answer = (
        frames.icmp_frame(*ends, kind)
        for ends, kind in (((ATTACKER, VICTIM), 8), ((VICTIM, ATTACKER), 0))
    )
    error = frames.icmp_frame(VICTIM, ATTACKER, 3)
    path = capture(
        tmp_path,
        [
            (0.1, frames.tcp_frame(one, 1000, other, 80, frames.SYN)),
            (0.2, frames.tcp_frame(other, 80, one, 1000, frames.SYN | 0x10)),
            (0.3, echo),
            (0.4, answer),
            (0.5, error),
        ],
    )
    found = [(flow.source, flow.protocol, flow.packets) for flow in captured_flows(path)]
    assert found == [(one, "tcp", 2), (ATTACKER, "icmp", 2), (VICTIM, "icmp", 1)]


def test_the_file_is_what_the_trainer_reads(tmp_path: Path) -> None:
    rows = label_rows(flood_plan(), [REPORT])
    write_labels(tmp_path / "labels.csv", (row.line() for row in rows))
    labels = read_labels(tmp_path / "labels.csv", tuple(ATTACKS))
    assert labels.covered == tuple(ATTACKS)
    (row,) = labels.rows
    assert (row.start_ns, row.end_ns) == (rows[0].start_ns, rows[0].end_ns)
    assert (row.task, row.value, row.destination.port) == ("syn_dos", 1, 80)


CAPTURES = Path(__file__).parents[1] / "captures"
COUNTED = {
    "syn_dos": 247,
    "ssdp_flood": 55,
    "ssl_renegotiation": 4,
    "scan": 60,
    "brute_force": 18,
    "slow_http": 20,
    # 77 of DNS and the 55 of SSDP.
    "udp_reflection": 132,
}
"""Flows of `seven-tasks.pcap` by task, as the attackers counted them when it was recorded."""


def seven_tasks() -> tuple[SequenceBatch, NDArray[np.int8]]:
    recording = Recording(
        "seven", CAPTURES / "seven-tasks.pcap", CAPTURES / "seven-tasks.labels.csv"
    )
    _, rows, labels = extract(recording, FeatureSchema(), tuple(COUNTED))
    return rows, labels


def test_the_committed_recording_has_the_flows_that_were_counted() -> None:
    rows, labels = seven_tasks()
    found = {
        task: len(np.unique(rows.flow_ordinal[labels[:, column] == 1]))
        for column, task in enumerate(COUNTED)
    }
    assert found == COUNTED
    # Every attack but reflected SSDP is of one task.
    assert set(np.unique((labels == 1).sum(axis=1))) == {0, 1, 2}


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
@pytest.mark.parametrize(
    ("task", "expression", "missing"),
    [
        ("scan", "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.window_size_value==1024", 0),
        # Floods' ports lie below the kernel's ephemeral ones; so does nmap's, but for its window.
        (
            "syn_dos",
            (
                "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.srcport<32768"
                " && tcp.window_size_value!=1024"
            ),
            0,
        ),
        ("slow_http", "tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.dstport==80 && SLOW", 0),
        ("udp_reflection", 'dns.qry.name=="big.lab.example.net" && udp.dstport==53', 55),
    ],
)
def test_the_committed_labels_are_what_tshark_sees(
    task: str, expression: str, missing: int
) -> None:
    """`missing` are of another protocol than the expression."""
    lines = (CAPTURES / "seven-tasks.labels.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[2:]]
    (slow,) = (row for row in rows if row[7] == "slow_http")
    window = f"ip.src=={slow[2][:-3]} && ip.dst=={slow[4][:-3]}"
    window += f" && frame.time_epoch>={slow[0]} && frame.time_epoch<={slow[1]}"
    fields = ("ip.src", "tcp.srcport", "udp.srcport", "ip.dst", "tcp.dstport")
    done = subprocess.run(
        [
            *("tshark", "-r", str(CAPTURES / "seven-tasks.pcap"), "-T", "fields"),
            *("-Y", expression.replace("SLOW", window)),
            *(word for name in fields for word in ("-e", name)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(set(done.stdout.splitlines())) == COUNTED[task] - missing
