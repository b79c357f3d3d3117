"""`run --cut-off`: refused where it would change rows, given up where it is not permitted."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from command import sensor_command
from test_pcap import unprivileged

from sensor.alerts.incidents import IncidentTracker
from sensor.capture.ring import SNAP_BYTES
from sensor.errors import UsageError
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import AnnotationSpec, FeatureSchema
from sensor.service.beginnings import cut_off, measuring

SHORT = FeatureSchema(lengths=(4,), policies=("first",), idle_timeout_ms=90_000)
LONG = FeatureSchema(lengths=(4, 32), policies=("first",), idle_timeout_ms=60_000)


@pytest.mark.network
def test_longest_sequence_and_shortest_timeout_count():
    said: list[str] = []
    lanes = Lanes(Lane(FlowTable(schema)) for schema in (SHORT, LONG))
    cutting = cut_off(lanes, SNAP_BYTES, said.append)
    assert cutting
    with contextlib.closing(cutting):
        assert (cutting.packets, cutting.silence_ns) == (32, 59 * 10**9)
        assert cutting.cut == 0
    assert said == []


@pytest.mark.network
def test_every_packet_is_read_where_it_is_not_permitted():
    said: list[str] = []
    with unprivileged():
        assert cut_off(Lanes([Lane(FlowTable(SHORT))]), SNAP_BYTES, said.append) is None
    assert len(said) == 1
    assert "CAP_BPF" in said[0]


def test_refused_where_whole_flows_are_measured():
    spec = AnnotationSpec("size", ("small", "large"), 3, 0.0, "bandwidth", (20_000.0,))
    lanes = Lanes([Lane(FlowTable(SHORT))])
    detector = SimpleNamespace(
        name="classes", version="1", tasks=(), annotations=(spec,), look=print
    )
    shadow = Watch(detector, IncidentTracker(detector), shadow=True)
    lanes.running[0].watches = (shadow,)
    measured = Lanes(lanes.running)
    with pytest.raises(UsageError, match="--cut-off: classes is compared with bandwidth"):
        cut_off(measured, SNAP_BYTES, print)
    detector.annotations = (replace(spec, measured="", edges=()),)
    lanes.running[0].watches = (Watch(detector, IncidentTracker(detector)),)
    assert not measuring(Lanes(lanes.running).watches)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "iot-gateway, counting-rule needs packets late in connections"),
        (("--record", "x.pcap"), "no --record"),
        (("-i", "lo"), "one interface"),
        (("--workers", "2"), "one worker"),
        (("--source", "tshark"), "native"),
    ],
)
def test_refused_where_it_does_not_fit(capfd, arguments, part):
    outcome = sensor_command(capfd, "run", "-i", "lo", "--cut-off", *arguments)
    assert outcome.status == 64
    assert part in outcome.err
