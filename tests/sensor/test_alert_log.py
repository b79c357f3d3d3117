"""Reading alert logs: every alert in them, nothing else, whatever else stands there."""

import gzip
import os
from datetime import datetime, timezone

import pytest
from alert_lines import NOON, alert_line, withheld_line
from command import ROOT, sensor_command

from sensor.errors import MissingInputError
from sensor.reporting.alert_log import (
    LINE_BYTES,
    LineCutter,
    Unread,
    moment,
    parse,
    read,
    rotated,
)


def test_every_line_of_a_replay_is_an_alert(capfd, tmp_path):
    log = tmp_path / "alerts.json"
    sensor_command(capfd, "replay", ROOT / "tests/captures/demo.pcap", "-o", log)
    unread = Unread()
    found = list(read([log], unread))
    assert b"\n".join(alert.line for alert in found) + b"\n" == log.read_bytes()
    assert str(unread) == ""
    assert {alert.event for alert in found} == {"start", "update", "end"}


def test_an_alert_says_what_the_line_says():
    alert = parse(alert_line(1.5, "end", lasted=3.25, device={"name": "camera", "mac": "aa"}))
    assert alert.time == datetime(2026, 11, 21, 12, 0, 1, 500_000, timezone.utc)
    assert (alert.last_packet - alert.first_packet).total_seconds() == 3.25
    assert (alert.task, alert.address, alert.model) == ("syn_dos", "10.0.0.2", "iot-gateway")
    assert (alert.alert_id, alert.severity, alert.device) == ("00000000000000a1", 2, "camera")
    assert parse(alert_line(device={"mac": "aa:bb"})).device == "aa:bb"
    assert parse(alert_line()).device == parse(withheld_line(scan=3)).alert_id == ""


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[1]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"timestamp":"2026-11-21T12:00:00.000000+0000","event_type":"flow","flow_id":1}',
        alert_line()[:200],
        alert_line(score=float("nan")),
        alert_line(score="high"),
        alert_line(score=10**400),
        alert_line(score=0.5).replace(b'"score":0.5', b'"score":1e999'),
        alert_line(threshold=-1),
        alert_line(flows=10**400),
        alert_line(rows=-1),
        alert_line(severity=10**400),
        alert_line(event="begin"),
        alert_line(flows=9).replace(b'"flows":9', b'"flows":' + b"9" * 5000),
        alert_line().replace(b"2026-11-21T12", b"9999-11-21T12"),
        alert_line().replace(b"2026-11-21T12:00:00.000000+0000", b"yesterday"),
    ],
)
def test_what_is_no_alert_is_none(line):
    assert parse(line) is None


def test_times_need_a_zone():
    assert moment("2026-11-21T13:00:00.000000+0100") == NOON
    for text in ("2026-11-21T12:00:00.000000", "2026-11-21", "", None, 5, "x" * 30):
        assert moment(text) is None


def test_foreign_and_torn_lines_are_counted(tmp_path):
    log = tmp_path / "log"
    whole = alert_line(1), alert_line(2, "end")
    log.write_bytes(b"noise\n\n" + whole[0] + alert_line()[:70] + whole[1] + whole[1] + b'{"time')
    unread = Unread()
    assert [alert.line + b"\n" for alert in read([log], unread)] == [whole[0], whole[1]]
    assert (unread.lines, unread.torn) == (2, 1)
    assert str(unread) == "2 lines are no alert and 1 line has no end (left out)"


def test_a_line_too_long_is_left_out_and_never_held():
    cutter = LineCutter()
    found = []
    for chunk in [b"a\n", *[b"x" * 65_536] * 40, b"x\nb\n", b"y" * (LINE_BYTES + 1) + b"\nc\nd"]:
        found += cutter.feed(chunk)
        assert len(cutter._rest) <= LINE_BYTES
    assert found == [b"a", b"b", b"c"]
    assert (cutter.too_long, cutter.rest) == (2, True)


def test_packed_logs_are_unpacked_and_damaged_ones_read_as_far_as_they_go(tmp_path):
    log = tmp_path / "alerts.json.2.gz"
    lines = [alert_line(k, alert_id=f"{k:016x}") for k in range(500)]
    log.write_bytes(gzip.compress(b"".join(lines)))
    unread = Unread()
    assert [alert.line + b"\n" for alert in read([log], unread)] == lines
    assert unread.torn == 0
    log.write_bytes(log.read_bytes()[:-40])
    some = [alert.line + b"\n" for alert in read([log], unread)]
    assert some == lines[: len(some)]
    assert unread.torn >= 1


def test_rotated_logs_in_order_of_their_last_lines(tmp_path):
    names = ["alerts.json.old", "alerts.json.2.gz", "alerts.json.1", "alerts.json-20261120"]
    strangers = ["alerts.json", "alerts.json.bak", "alerts.json.1.tmp", "alerts.jsonl.1", "other.1"]
    for age, name in enumerate([*names, *strangers]):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (10_000 - 100 * age,) * 2)
    (tmp_path / "alerts.json.3").mkdir()
    found = [path.name for path in rotated(tmp_path / "alerts.json")]
    assert found == names[::-1]
    since = datetime.fromtimestamp(9_800, timezone.utc)
    assert [path.name for path in rotated(tmp_path / "alerts.json", since)] == names[2::-1]
    assert rotated(tmp_path / "nowhere" / "alerts.json") == []


def test_what_can_not_be_read_is_told(tmp_path):
    for path in (tmp_path / "missing", tmp_path, "a\0b"):
        with pytest.raises(MissingInputError, match="alert log"):
            list(read([path], Unread()))
