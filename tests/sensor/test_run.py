"""A run over blocks, without a source; `test_lifecycle.py` has the command's."""

import json
import socket
import time
from dataclasses import replace
from functools import partial

import numpy as np
from agreement import Listener, same_rows
from blocks import blocks_of
from command import assert_fails, flood, sensor_command
from random_frames import random_frames
from reference import Frame, reference_rows, rows_of
from traffic import Mixture

from sensor.alerts.allow import AllowRule
from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.exchange import Lanes
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.fields import FIELDS
from sensor.model.schema import FeatureSchema
from sensor.service.handover import Handover
from sensor.service.lanes import Detecting, build_groups, build_lanes
from sensor.service.run import Run


def run_over(path, size, interface=""):
    contents, times = flood(200)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    log = EventLog(str(path), strict=True)
    run = Run(CaptureCounters(), build_lanes(Detecting()), log)
    blocks = blocks_of(packets, size)
    if interface:
        run.live(run.decoded(blocks), interface, Handover(lambda: False), log.flush)
    else:
        run.over(blocks)
    log.close()
    return run


def test_sizes_of_blocks_do_not_matter(tmp_path):
    contents = set()
    for size in (1, 7, 64, 200):
        run = run_over(tmp_path / f"{size}.json", size)
        contents.add((tmp_path / f"{size}.json").read_bytes())
        assert run.statistics.alerts == {"counting-rule/flow_rate": 4}
    assert len(contents) == 1


def test_each_model_gets_the_fields_of_its_schema_and_no_others():
    """Three flow tables behind one decoder, which reads what any of them wants."""
    every, default = FeatureSchema(fields=tuple(FIELDS)), FeatureSchema()
    frames = random_frames(9, 2_000, Mixture())

    def run(*schemas):
        listeners = [Listener() for _ in schemas]
        lanes = [
            Lane(FlowTable(schema), [listener])
            for schema, listener in zip(schemas, listeners, strict=True)
        ]
        Run(CaptureCounters(), Lanes(lanes), EventLog("-", strict=True)).over(
            blocks_of(frames, 500)
        )
        return [SequenceBatch.concatenate(listener.batches) for listener in listeners]

    (alone,) = run(default)
    hops = replace(default, fields=("ttl", "valid"))
    hop, wide, narrow = run(hops, every, default)
    assert (alone.optional, narrow.optional, wide.optional) == ((), (), every.optional)
    assert hop.optional == ("ttl",)
    np.testing.assert_array_equal(hop.ttl, wide.ttl)
    assert same_rows(narrow, alone)
    assert narrow.ttl.nbytes == narrow.tcp_window.nbytes == 0
    for name in ("flow_ordinal", "decided_ns", "ip_length", "context"):
        np.testing.assert_array_equal(getattr(wide, name), getattr(narrow, name))
    assert rows_of(wide) == reference_rows(frames, every)


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


def test_a_rule_counts_rows_of_the_detector_that_was_replaced_too(tmp_path):
    """All flows begin before the exchange, and are decided behind it."""
    contents, times = flood(200)
    contents, times = [*contents, contents[0]], [*times, times[-1] + 1]
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    log = EventLog(str(tmp_path / "alerts.json"), strict=True)
    lanes = build_lanes(Detecting())
    run = Run(CaptureCounters(), lanes, log)
    rules = (AllowRule("ours", task="flow_rate"),)
    run.adopt(rules, {})

    def blocks():
        for place, block in enumerate(blocks_of(packets, 200)):
            if place:
                groups = build_groups(Detecting())
                lanes.exchange(groups, partial(run.adopt, rules, {}))
            yield block

    run.over(blocks())
    log.close()
    # positive is the 30th flow of a second, and all behind it
    assert run.statistics.document()["rows_allowed"] == 171
    assert run.allow.matched == [171]
    assert (tmp_path / "alerts.json").read_bytes() == b""
