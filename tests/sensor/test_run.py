"""A run over blocks, without a source; `test_lifecycle.py` has the command's."""

import json
import socket
import time

from blocks import blocks_of
from command import assert_fails, flood, sensor_command
from reference import Frame

from sensor.alerts.sinks import AlertLog
from sensor.capture.block import CaptureCounters
from sensor.service.lanes import build_lanes
from sensor.service.run import Run


def run_over(path, size, interface=""):
    contents, times = flood(200)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    log = AlertLog(str(path), strict=True)
    run = Run(CaptureCounters(), build_lanes([], rule=True), log)
    run.over(blocks_of(packets, size), interface)
    log.close()
    return run


def test_sizes_of_blocks_do_not_matter(tmp_path):
    contents = set()
    for size in (1, 7, 64, 200):
        run = run_over(tmp_path / f"{size}.json", size)
        contents.add((tmp_path / f"{size}.json").read_bytes())
        assert run.statistics.alerts == {"counting-rule/flow_rate": 4}
    assert len(contents) == 1


def test_live_alerts_say_where_and_when(tmp_path):
    path = tmp_path / "alerts.json"
    before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    run_over(path, 64, "eth7")
    for record in map(json.loads, path.read_text().splitlines()):
        assert record["in_iface"] == "eth7"
        assert record["host"] == socket.gethostname()
        assert record["alert"]["metadata"]["multa"]["emitted_at"] >= before


def test_models_are_named_with_their_version(tmp_path):
    run_over(tmp_path / "alerts.json", 64)
    record = json.loads((tmp_path / "alerts.json").read_text().splitlines()[0])
    model = record["alert"]["metadata"]["multa"]["model"]
    assert model == {"name": "counting-rule", "version": "1"}


def test_limits_of_options(capfd):
    for option, value in (("--buffer", "1"), ("--count", "0"), ("--duration", "-1")):
        outcome = sensor_command(capfd, "run", "-i", "lo", option, value)
        assert_fails(outcome, 64, option)
