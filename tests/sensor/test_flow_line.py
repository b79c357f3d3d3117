"""Lines of the flow log: both schemas, the names that alerts have, and every value by hand."""

import json
from dataclasses import replace
from pathlib import Path

import communityid
import jsonschema
import pytest

from sensor.alerts.eve import Options, flow_id
from sensor.annotations.flow_event import END, PREDICTION, FlowEvent
from sensor.annotations.flow_line import flow_document, flow_line
from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED
from sensor.annotations.tally import UNKNOWN
from sensor.flows.sequences import END_REASONS
from sensor.model.schema import AnnotationSpec

ROOT = Path(__file__).parents[2]
OWN = json.loads((ROOT / "sensor" / "annotations" / "flow.schema.json").read_text())
EVE = ROOT.parent / "shared" / "data" / "schemas" / "eve-schema.json"
PAGE = (ROOT / "docs" / "annotations.md").read_text()

EPOCH_NS = 1_700_000_000 * 10**9
LIVE = Options(interface="br-lan", host="gw-17", wall_clock_ns=lambda: EPOCH_NS + 9 * 10**9 + 999)


class Bundle:
    """Who says it."""

    name, version = "traffic-class", "1.0.0"
    annotations = (
        AnnotationSpec("traffic", ("documents", "music", "video"), 8, 0.4),
        AnnotationSpec("speed", ("slow", "fast"), 2, 0.0, "bandwidth", (8_000.0,)),
        AnnotationSpec("seconds", ("below 1", "1 to 10"), 2, 0.0, "duration", (1.0,)),
    )


BEGUN = FlowEvent(
    kind=PREDICTION,
    time_ns=EPOCH_NS + 1_250_000_000,
    version=4,
    protocol=17,
    source_high=0,
    source_low=0x0A000001,
    destination_high=0,
    destination_low=0x0A000009,
    source_port=40_000,
    destination_port=443,
    flow_ordinal=3,
    end_reason=END_REASONS.index("early"),
    flow_start_ns=EPOCH_NS + 250_000_000,
    last_ns=EPOCH_NS + 10**9,
    packets=[5, 3],
    octets=[500, 4_000],
    whole=False,
    why=0,
    used=8,
    told=[2, 1, 0],
    confidence=[0.91239, 0.5, 0.66666],
    true=[0, 0, 0],
)
ENDED = replace(
    BEGUN,
    kind=END,
    time_ns=EPOCH_NS + 122_750_000_001,
    end_reason=END_REASONS.index("idle"),
    last_ns=EPOCH_NS + 2_750_000_001,
    packets=[50, 30],
    octets=[5_000, 40_000],
    whole=True,
    true=[UNKNOWN, 1, 1],
)


def validate(found):
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(OWN, format_checker=checker).validate(found)
    if EVE.exists():
        jsonschema.Draft202012Validator(json.loads(EVE.read_text())).validate(found)


def variables(document):
    pairs = [(each["key"], each["value"]) for each in document["metadata"]["flowvars"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_a_prediction_names_class_confidence_and_the_packets_that_they_rest_on():
    found = flow_document(Bundle, BEGUN, Options())
    validate(found)
    assert found["timestamp"] == "2023-11-14T22:13:21.250000+0000"
    assert (found["src_ip"], found["src_port"]) == ("10.0.0.1", 40_000)
    assert (found["dest_ip"], found["dest_port"], found["proto"]) == ("10.0.0.9", 443, "UDP")
    tuple_ = communityid.FlowTuple.make_udp("10.0.0.1", "10.0.0.9", 40_000, 443)
    assert found["community_id"] == communityid.CommunityID().calc(tuple_)
    assert found["flow_id"] == flow_id(BEGUN)
    assert found["flow"] == {
        "pkts_toserver": 5,
        "pkts_toclient": 3,
        "bytes_toserver": 500,
        "bytes_toclient": 4_000,
        "start": "2023-11-14T22:13:20.250000+0000",
        "state": "established",
    }
    assert variables(found) == {
        "multa.event": "prediction",
        "multa.model": "traffic-class",
        "multa.version": "1.0.0",
        "multa.packets": "8",
        "traffic.class": "video",
        "traffic.confidence": "0.9124",
        "speed.class": "fast",
        "speed.confidence": "0.5000",
        "seconds.class": "below 1",
        "seconds.confidence": "0.6667",
    }


def test_an_end_tells_what_was_true_and_what_was_measured():
    found = flow_document(Bundle, ENDED, Options())
    validate(found)
    assert found["flow"] == {
        "pkts_toserver": 50,
        "pkts_toclient": 30,
        "bytes_toserver": 5_000,
        "bytes_toclient": 40_000,
        "start": "2023-11-14T22:13:20.250000+0000",
        "end": "2023-11-14T22:13:22.750000+0000",
        "age": 2,
        "state": "established",
        "reason": "timeout",
    }
    told = variables(found)
    assert told["multa.event"] == "end"
    # 360,000 bits in 2.500000001 s are 143,999.99994 a second.
    assert (told["speed.true"], told["speed.measured"]) == ("fast", "144000.000")
    assert (told["seconds.true"], told["seconds.measured"]) == ("1 to 10", "2.500000001")
    assert not {"traffic.true", "traffic.measured", "traffic.unknown"} & told.keys()


def test_abstaining_names_no_class_and_a_task_that_did_not_look_says_nothing():
    abstained = replace(BEGUN, told=[ABSTAINED, NOT_COUNTED, 0])
    found = flow_document(Bundle, abstained, Options())
    validate(found)
    told = variables(found)
    assert told["traffic.abstained"] == "true"
    assert told["traffic.confidence"] == "0.9124"
    assert "traffic.class" not in told
    assert not [key for key in told if key.startswith("speed")]


@pytest.mark.parametrize(
    ("reason", "packets", "state", "told"),
    [
        ("closed", [50, 30], "closed", "timeout"),
        ("closed", [50, 0], "closed", "timeout"),
        ("idle", [50, 0], "new", "timeout"),
        ("evicted", [50, 30], "established", "forced"),
    ],
)
def test_state_and_reason_are_in_suricatas_words(reason, packets, state, told):
    ended = replace(ENDED, end_reason=END_REASONS.index(reason), packets=packets)
    found = flow_document(Bundle, ended, Options())
    validate(found)
    assert (found["flow"]["state"], found["flow"]["reason"]) == (state, told)


def test_a_prediction_about_one_side_is_about_a_new_flow():
    assert (
        flow_document(Bundle, replace(BEGUN, packets=[8, 0]), Options())["flow"]["state"] == "new"
    )


@pytest.mark.parametrize(("why", "word"), [(0, "midstream"), (1, "evicted"), (2, "unfinished")])
def test_where_the_truth_is_not_known_it_says_why(why, word):
    unknown = replace(ENDED, whole=False, why=why, true=[UNKNOWN] * 3)
    found = flow_document(Bundle, unknown, Options())
    validate(found)
    told = variables(found)
    assert (told["speed.unknown"], told["seconds.unknown"]) == (word, word)
    assert not [key for key in told if key.endswith((".true", ".measured"))]
    assert "traffic.unknown" not in told


def test_a_flow_without_duration_counts_as_a_microsecond():
    ended = replace(ENDED, last_ns=ENDED.flow_start_ns, octets=[10, 0], true=[UNKNOWN, 1, 0])
    told = variables(flow_document(Bundle, ended, Options()))
    assert told["speed.measured"] == "80000000.000"
    assert told["seconds.measured"] == "0.000000000"


def test_a_live_line_says_where_and_when_and_a_line_is_ascii_with_its_newline():
    written = flow_line(Bundle, ENDED, LIVE)
    assert written.endswith(b"}\n")
    assert written.isascii()
    found = json.loads(written)
    validate(found)
    assert (found["host"], found["in_iface"]) == ("gw-17", "br-lan")
    assert variables(found)["multa.emitted_at"] == "2023-11-14T22:13:29.000000+0000"
    capture = flow_document(Bundle, ENDED, Options(capture="monday.pcap"))
    validate(capture)
    assert capture["pcap_filename"] == "monday.pcap"


def test_icmp_has_type_and_code_as_in_alerts():
    ping = replace(ENDED, protocol=1, source_port=8, destination_port=0)
    found = flow_document(Bundle, ping, Options())
    validate(found)
    assert (found["proto"], found["icmp_type"], found["icmp_code"]) == ("ICMP", 8, 0)
    assert "src_port" not in found


def test_the_page_describes_every_key():
    for kind in ("prediction", "end"):
        properties = OWN["$defs"][kind]["properties"]
        for key in properties.keys() - {"flow", "metadata"}:
            assert f"`{key}`" in PAGE, key
        for key in properties["flow"]["properties"]:
            assert f"`flow.{key}`" in PAGE, key
    for key in ("event", "model", "version", "packets", "emitted_at"):
        assert f"`multa.{key}`" in PAGE, key
    for key in ("class", "abstained", "confidence", "true", "measured", "unknown"):
        assert f"`TASK.{key}`" in PAGE, key
