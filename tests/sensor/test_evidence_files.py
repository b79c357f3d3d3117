"""Evidence read back: what it says of packets against dpkt, and what is done with damage."""

import json
import socket
from datetime import datetime, timedelta, timezone

import dpkt
import numpy as np
import pytest
from demo_evidence import DEMO, demo, write_evidence

from sensor.errors import EvidenceError, MissingInputError, PermissionDeniedError, UsageError
from sensor.reporting.evidence_files import MOST_BYTES, find, read

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def plain_packets():
    """Packets as dpkt reads them, by their unordered ends and protocol: (ns, source, values).

    The capture has nanoseconds, for which dpkt uses exact decimals.
    """
    found = {}
    with DEMO.open("rb") as file:
        for time, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if not isinstance(packet, dpkt.ip.IP) or not hasattr(packet.data, "sport"):
                continue
            transport, header = packet.data, 8
            flags = 0
            if isinstance(transport, dpkt.tcp.TCP):
                header, flags = transport.off * 4, transport.flags
            source, destination = (
                (socket.inet_ntoa(address), port)
                for address, port in ((packet.src, transport.sport), (packet.dst, transport.dport))
            )
            values = [packet.len, packet.len - packet.hl * 4 - header, flags]
            key = (frozenset([source, destination]), packet.p)
            found.setdefault(key, []).append((int(time * 10**9), source, values))
    return found


def test_packets_of_every_row_are_those_of_the_capture_as_dpkt_reads_them():
    packets_of, looked_at = plain_packets(), 0
    for evidence in demo().values():
        batch = evidence.batch
        for place, row in enumerate(evidence.rows):
            source, destination = (
                (row.source, row.source_port),
                (row.destination, row.destination_port),
            )
            key = (frozenset([source, destination]), int(batch.protocol[place]))
            start_ns = (row.start - EPOCH) // timedelta(microseconds=1) * 1_000
            flow = [each for each in packets_of[key] if each[0] >= start_ns]
            first, length = row.sequence_index * 16, int(batch.length[place])
            mine = flow[first : first + length]
            assert row.first_packet == EPOCH + timedelta(microseconds=mine[0][0] // 1_000)
            expected, time_us = [], 0
            for k, (time_ns, sender, values) in enumerate(mine):
                if k:
                    latest_ns = max(each[0] for each in flow[: first + k])
                    time_us += max(0, time_ns - latest_ns) // 1_000
                expected.append([time_us, 1 if sender == source else -1, *values])
            columns = (batch.direction, batch.ip_length, batch.payload_length, batch.tcp_flags)
            told = [
                [row.time_us[k], *(int(column[place, k]) for column in columns)]
                for k in range(length)
            ]
            assert told == expected
            before_ns = max((each[0] for each in flow[:first]), default=mine[0][0])
            assert batch.interarrival_us[place, 0] == max(0, mine[0][0] - before_ns) // 1_000
            if row.end_reason == "early":  # nothing more came within the second
                assert all(each[0] > flow[0][0] + 10**9 for each in flow[length:])
            looked_at += length
    assert looked_at > 1_000


def test_the_same_packets_leave_the_same_files_however_they_are_read(tmp_path):
    for name, chunk_bytes in (("whole", None), ("pieces", 5_000)):
        store = write_evidence(DEMO, tmp_path / name, chunk_bytes)
        assert store.failures == 0
    files = sorted((tmp_path / "whole").iterdir())
    assert len(files) == 6
    for file in files:
        other = tmp_path / "pieces" / file.name
        assert file.read_bytes() == other.read_bytes()


def test_rows_are_those_that_the_incident_had():
    for evidence in demo().values():
        whys = [why for row in evidence.rows for why in row.why]
        seen = evidence.alert.multa["rows"]
        assert evidence.seen == seen
        wanted = {"first": 16, "highest": 16, "sampled": 32}
        assert {why: whys.count(why) for why in wanted} == {
            why: min(count, seen) for why, count in wanted.items()
        }
        assert round(float(evidence.scores.max()), 4) == evidence.alert.multa["score"]
        assert (
            evidence.schema.fingerprint() == evidence.alert.multa["features"]["fingerprint"]
            or evidence.alert.model == "counting-rule"
        )


DAMAGES = {
    "format": lambda d: d.update(format=2),
    "no rows": lambda d: d.update(rows=[]),
    "too many rows": lambda d: d.update(rows=d["rows"] * 9),
    "rows of another kind": lambda d: d.update(rows={"a": 1}),
    "another alert": lambda d: d["alert"]["alert"]["metadata"]["multa"].update(alert_id="0" * 16),
    "no alert": lambda d: d.update(alert={}),
    "features": lambda d: d["features"].update(lengths=[4, 8]),
    "columns": lambda d: d["columns"].append("ttl"),
    "fewer seen than kept": lambda d: d.update(seen=1),
    "score": lambda d: d["rows"][0].update(score=1.5),
    "score of another kind": lambda d: d["rows"][0].update(score="0.9"),
    "address": lambda d: d["rows"][0].update(src_ip="\x1b[31mred"),
    "port": lambda d: d["rows"][0].update(src_port=65_536),
    "protocol": lambda d: d["rows"][0].update(proto="QUIC"),
    "protocol number": lambda d: d["rows"][0].update(proto="999"),
    "time": lambda d: d["rows"][0].update(start="yesterday"),
    "why": lambda d: d["rows"][0].update(why=["because"]),
    "no sample": lambda d: [row.update(why=["first"]) for row in d["rows"]],
    "end": lambda d: d["rows"][0].update(end_reason="bored"),
    "count": lambda d: d["rows"][0]["context"].update(srv_1s=-1),
    "count too large": lambda d: d["rows"][0]["context"].update(srv_1s=2**32),
    "a bool for a count": lambda d: d["rows"][0]["context"].update(srv_1s=True),
    "quality": lambda d: d["rows"][0]["quality"].update(midstream=1),
    "no packets": lambda d: d["rows"][0].update(packets=[]),
    "too many packets": lambda d: d["rows"][0].update(packets=[[0, 1, 40, 0, 2]] * 17),
    "a packet of fewer values": lambda d: d["rows"][0].update(packets=[[0, 1, 40, 0]]),
    "direction": lambda d: d["rows"][0].update(packets=[[0, 0, 40, 0, 2]]),
    "length": lambda d: d["rows"][0].update(packets=[[0, 1, 65_536, 0, 2]]),
    "time backwards": lambda d: d["rows"][0].update(packets=[[0, 1, 40, 0, 2], [-1, 1, 40, 0, 2]]),
    "a first packet later": lambda d: d["rows"][0].update(packets=[[5, 1, 40, 0, 2]]),
    "a gap too long": lambda d: d["rows"][0].update(interarrival_us=60_000_001),
    "a missing entry": lambda d: d["rows"][0].pop("packets"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line_that_names_the_file(damage, damage_folder):
    path = damage_folder
    document = json.loads(path.read_bytes())
    DAMAGES[damage](document)
    copy = path.parent.parent / "copy" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(document))
    with pytest.raises(EvidenceError, match=path.name) as caught:
        read(copy)
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def damage_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "evidence"
    write_evidence(DEMO, folder)
    return min(folder.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b'{"format":1,"format":1}', b"\xff", b"[" * 100_000]
)
def test_bytes_that_are_no_evidence(tmp_path, content):
    path = tmp_path / f"{'a' * 16}.json"
    path.write_bytes(content)
    with pytest.raises(EvidenceError):
        read(path)


def test_links_pipes_and_giants_are_not_read(tmp_path):
    path = tmp_path / f"{'a' * 16}.json"
    path.symlink_to("/etc/passwd")
    with pytest.raises(EvidenceError, match="can't be read"):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(EvidenceError):
        read(path)
    path.rmdir()
    path.write_bytes(bytes(MOST_BYTES + 1))
    with pytest.raises(EvidenceError, match="longer than 4 MiB"):
        read(path)
    path.unlink()
    with pytest.raises(MissingInputError):
        read(path)


def test_an_alert_is_found_by_its_first_digits(tmp_path):
    for name in ("aaaa000000000000", "aaaa111111111111", "bbbb000000000000"):
        (tmp_path / f"{name}.json").touch()
    (tmp_path / "bbbb.txt").touch()
    assert find(tmp_path, "bbbb").name == "bbbb000000000000.json"
    assert find(tmp_path, "aaaa1").name == "aaaa111111111111.json"
    with pytest.raises(UsageError, match="2 alerts begin like this"):
        find(tmp_path, "aaaa")
    with pytest.raises(MissingInputError, match="no evidence of this alert"):
        find(tmp_path, "cccc")
    with pytest.raises(MissingInputError, match="no such folder"):
        find(tmp_path / "gone", "aaaa")
    for wrong in ("../etc/passwd", "aaa", "AAAA", "a" * 17, ""):
        with pytest.raises(UsageError, match="no alert_id"):
            find(tmp_path, wrong)


def test_a_folder_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(PermissionDeniedError, match="permission denied"):
        find(tmp_path, "aaaa")


def test_columns_are_those_that_were_scored():
    """No column lost its type or its place on the way."""
    for evidence in demo().values():
        batch, held = evidence.batch, evidence.batch.length
        for name in ("ip_length", "payload_length", "tcp_flags", "direction", "interarrival_us"):
            column = getattr(batch, name)
            assert not column[np.arange(16) >= held[:, None]].any()
