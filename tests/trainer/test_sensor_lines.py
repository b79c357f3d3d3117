from pathlib import Path

import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.formats.sensor_lines import is_sensor_lines, read_sensor_lines
from trainer.latency.formats.text import AT_ONCE_MS

LINES = """\
{"time": 1700000000.123456789, "peer": "192.0.2.1", "port": 443, "kind": "syn", "rtt_ms": 12.5, "from": "10.0.0.2"}
{"time": 1700000001, "peer": "192.0.2.1", "port": 0, "kind": "echo", "rtt_ms": 3, "from": "10.0.0.2"}
{"time": 1700000002, "peer": "192.0.2.1", "port": 0, "kind": "echo", "rtt_ms": 0.000000, "from": "10.0.0.2"}

{"time": 1700000003.5, "peer": "192.0.2.1", "port": 443, "kind": "syn", "rtt_ms": null, "from": "10.0.0.9"}
"""  # noqa: E501 -- as printed


def test_a_series_for_each_peer_port_and_kind(tmp_path: Path) -> None:
    path = tmp_path / "rtt.jsonl"
    path.write_text(LINES)
    assert is_sensor_lines(LINES)
    syn, echo = read_sensor_lines(path)
    assert syn.name == "rtt.jsonl 192.0.2.1 443 syn"
    assert syn.time_ns.tolist() == [1_700_000_000_123_456_789, 1_700_000_003_500_000_000]
    assert np.array_equal(syn.rtt_ms, [12.5, np.nan], equal_nan=True)
    assert echo.name == "rtt.jsonl 192.0.2.1 0 echo"
    assert echo.rtt_ms.tolist() == [3.0, AT_ONCE_MS]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"time": 1}',
        "[]",
        '{"time": "soon", "peer": "a", "port": 0, "kind": "syn", "rtt_ms": 1}',
        '{"time": 1, "peer": "a", "port": 0, "kind": "syn", "rtt_ms": "fast"}',
        '{"time": null, "peer": "a", "port": 0, "kind": "syn", "rtt_ms": 1}',
    ],
)
def test_what_a_person_can_mend_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rtt.jsonl"
    path.write_text(LINES + line + "\n")
    with pytest.raises(SeriesError, match=r"rtt\.jsonl:6: not a line of `multa-sensor latency`"):
        list(read_sensor_lines(path))


def test_what_the_sensor_has_not_printed() -> None:
    for text in ("", "PING", '[{"prb_id": 1}]', '{"rtt_ms": 1}\n'):
        assert not is_sensor_lines(text)
