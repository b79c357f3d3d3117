"""Alert lines: both schemas, bytes that repeat, and every value worked out by hand."""

import hashlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import communityid
import jsonschema
import numpy as np
import pytest
from flow_rows import rows

from sensor.alerts.eve import Options, alert_id, document, flow_id, line, timestamp
from sensor.alerts.event import DIRECTIONS, ROW_FLAGS, HomeView, Withheld, WithheldTask
from sensor.alerts.home import PEERS
from sensor.alerts.incidents import IncidentTracker
from sensor.flows.sequences import CONTEXT_COLUMNS, END_REASONS, MEASURED_TYPES, SequenceBatch
from sensor.model.schema import IncidentRule, TaskSpec

ROOT = Path(__file__).parents[2]
OWN = json.loads((ROOT / "sensor" / "alerts" / "alert.schema.json").read_text())
EVE = ROOT.parent / "shared" / "data" / "schemas" / "eve-schema.json"

EPOCH_NS = 1_700_000_000 * 10**9
FINGERPRINT = "0123456789abcdef" * 4
SYN_DOS = TaskSpec(
    name="syn_dos",
    policy="first",
    threshold=0.71,
    signature_id=1,
    signature="MULTA syn_dos: TCP SYN flood",
    category="Attempted Denial of Service",
    severity=2,
    incident=IncidentRule("responder", 2, 10),
    mitre_technique_id=("T1499.001",),
)
LIVE = Options(
    interface="br-lan",
    host="gw-17",
    wall_clock_ns=lambda: 1_700_000_009_000_000_999,
)


def started(milliseconds):
    start_ns = EPOCH_NS + milliseconds * 1_000_000
    return {"flow_start_ns": start_ns, "first_packet_ns": start_ns}


def events(task=SYN_DOS, **columns):
    """Start and end of an incident of two flows, the second one with a saturated context."""
    shared = {
        "source": ("10.0.0.1", 40_000),
        "destination": ("10.0.0.9", 443),
        "protocol": 6,
        "direction": [1, -1, 1],
        "ip_length": [60, 52, 40],
        "context": [1, 2, 3, 4, 5, 6],
        "end_reason": END_REASONS.index("early"),
        **started(250),
        "last_packet_ns": EPOCH_NS + 10**9,
        "decided_ns": EPOCH_NS + 1_250_000_000,
        **columns,
    }

    class Detector:
        name, fingerprint, tasks = "iot-gateway", FINGERPRINT, (task,)
        version, model_sha256 = "1.0.0", "ab" * 32

    tracker = IncidentTracker(Detector())
    tracker.add(
        rows(shared, {**shared, "flow_ordinal": 1, "context_saturated": True, **started(500)}),
        np.float32([[0.91234567], [0.8]]),
    )
    return tracker.finish()


def validate(found):
    jsonschema.Draft202012Validator(
        OWN, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(found)


@pytest.fixture(scope="module")
def eve():
    if not EVE.exists():
        pytest.skip(f"needs {EVE}")
    return jsonschema.validators.validator_for(json.loads(EVE.read_text()))(
        json.loads(EVE.read_text())
    )


VARIANTS = {
    "tcp": {},
    "udp6": {"protocol": 17, "source": ("fe80::1", 1), "destination": ("2001:db8::2", 1900)},
    "sctp": {"protocol": 132},
    "icmp": {"protocol": 1, "source": ("10.0.0.1", 8), "destination": ("10.0.0.9", 0)},
    "icmp6": {"protocol": 58, "source": ("fe80::1", 3), "destination": ("fe80::2", 1)},
    "gre": {"protocol": 47, "source": ("10.0.0.1", 0), "destination": ("10.0.0.9", 0)},
    "no packets back": {"direction": [1], "ip_length": [40]},
}


@pytest.mark.parametrize("columns", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("role", ["responder", "originator", "reflection_victim"])
@pytest.mark.parametrize("options", [LIVE, Options()], ids=["live", "replay"])
def test_every_kind_of_alert_is_valid(columns, role, options, eve):
    task = replace(SYN_DOS, incident=IncidentRule(role, 2, 10, 1900), mitre_technique_id=())
    for event in [*events(task, **columns), *events(**columns)]:
        found = json.loads(line(event, options))
        validate(found)
        eve.validate(found)


PEER, PEER_6 = (4, 0, 0x0A000001), (6, 0xFD00 << 48, 1)


@pytest.mark.parametrize(
    ("role", "inside", "peers", "roles"),
    [
        ("responder", True, (), ["victim"]),
        ("responder", True, (PEER,), ["victim", "source"]),
        ("responder", False, (PEER, PEER_6), ["source"]),
        ("originator", True, (), ["source"]),
        ("originator", False, (PEER,), ["victim"]),
        ("reflection_victim", False, (), []),
    ],
)
def test_what_is_inside_is_told_and_valid(role, inside, peers, roles, eve):
    task = replace(SYN_DOS, incident=IncidentRule(role, 2, 10, 1900))
    start = replace(events(task)[0], home=HomeView(inside, "inbound", (1, 2, 3, 4), peers))
    text = line(start, LIVE)
    found = json.loads(text)
    validate(found)
    eve.validate(found)
    multa = found["alert"]["metadata"]["multa"]
    texts = {PEER: "10.0.0.1", PEER_6: "fd00::1"}
    assert multa.pop("home") == {
        "roles": roles,
        "peers": [texts[peer] for peer in peers],
        "flows": {"external": 1, "inbound": 2, "outbound": 3, "internal": 4},
    }
    assert multa.pop("network") == {"direction": "inbound"}
    # Nothing else is told in another way.
    assert found == json.loads(line(replace(start, home=None), LIVE))
    for lacking in ("home", "network"):
        broken = json.loads(text)
        del broken["alert"]["metadata"]["multa"][lacking]
        with pytest.raises(jsonschema.ValidationError):
            validate(broken)


WITHHELD = Withheld(
    EPOCH_NS + 61 * 10**9,
    EPOCH_NS + 10**9,
    EPOCH_NS + 2_500_000_000,
    (
        WithheldTask("counting-rule", "flow_rate", 4, 3, 2),
        WithheldTask("iot-gateway", "syn_dos", 0, 0, 1),
    ),
)


@pytest.mark.parametrize("options", [LIVE, Options()], ids=["live", "replay"])
def test_what_is_withheld_is_valid(options, eve):
    found = json.loads(line(WITHHELD, options))
    validate(found)
    eve.validate(found)


def test_what_is_withheld_word_for_word():
    found = document(WITHHELD, LIVE)
    multa = found["alert"].pop("metadata")["multa"]
    assert found == {
        "timestamp": "2023-11-14T22:14:21.000000+0000",
        "event_type": "alert",
        "host": "gw-17",
        "in_iface": "br-lan",
        "alert": {
            "action": "allowed",
            "gid": 4200,
            "signature_id": 1001,
            "rev": 1,
            "signature": "MULTA: alerts withheld, too many at once",
            "category": "Attempted Denial of Service",
            "severity": 2,
        },
    }
    assert multa == {
        "event": "withheld",
        "alerts": 10,
        "first": "2023-11-14T22:13:21.000000+0000",
        "last": "2023-11-14T22:13:22.500000+0000",
        "tasks": [
            {"model": "counting-rule", "task": "flow_rate", "start": 4, "update": 3, "end": 2},
            {"model": "iot-gateway", "task": "syn_dos", "start": 0, "update": 0, "end": 1},
        ],
        "emitted_at": "2023-11-14T22:13:29.000000+0000",
    }
    assert "emitted_at" not in document(WITHHELD, Options())["alert"]["metadata"]["multa"]


def test_the_own_schema_is_valid_and_refuses_what_it_does_not_know():
    jsonschema.Draft202012Validator.check_schema(OWN)
    start, end = (document(event, LIVE) for event in events())
    validate(start)
    broken = []
    for change in ("surplus", "reason"):
        copy = json.loads(json.dumps(start))
        copy["alert"]["metadata"]["multa"][change] = "quiet"
        broken.append(copy)
    copy = json.loads(json.dumps(end))
    del copy["alert"]["metadata"]["multa"]["reason"]
    broken += [copy, {**start, "src_ip": "10.0.0.256"}, {**start, "timestamp": "now"}]
    for wrong in broken:
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)


def test_a_live_start_word_for_word():
    # first packet of the first flow, then the decision about the second
    times = "1700000000250000000\n1700000001250000000"
    who = f"iot-gateway\n{'ab' * 32}\nsyn_dos\n10.0.0.9"
    digest = hashlib.sha256(f"{who}\n{times}\n{FINGERPRINT}".encode())
    name = communityid.CommunityID().calc(
        communityid.FlowTuple.make_tcp("10.0.0.1", "10.0.0.9", 40_000, 443)
    )
    start = events()[0]
    first, second = (flow_id(flow) for flow in start.sample)
    assert first != second
    ports = {"src_ip": "10.0.0.1", "src_port": 40_000, "dest_ip": "10.0.0.9", "dest_port": 443}
    multa = {
        "alert_id": digest.hexdigest()[:16],
        "event": "start",
        "task": "syn_dos",
        "role": "victim",
        "address": "10.0.0.9",
        "score": 0.9123,
        "threshold": 0.71,
        "flows": 2,
        "rows": 2,
        "flagged": {**dict.fromkeys(ROW_FLAGS, 0), "context_saturated": 1},
        "first_packet": "2023-11-14T22:13:20.250000+0000",
        "last_packet": "2023-11-14T22:13:21.000000+0000",
        "packets_used": 3,
        "sequence_index": 0,
        "end_reason": "early",
        "context": dict(zip(CONTEXT_COLUMNS, (1, 2, 3, 4, 5, 6), strict=True)),
        "quality": dict.fromkeys(ROW_FLAGS, False),
        "sample": [
            {
                "flow_id": number,
                **ports,
                "proto": "TCP",
                "start": f"2023-11-14T22:13:20.{fraction}+0000",
                "packets_used": 3,
                "score": score,
            }
            for number, fraction, score in ((first, 250000, 0.9123), (second, 500000, 0.8))
        ],
        "model": {"name": "iot-gateway", "version": "1.0.0", "sha256": "ab" * 32},
        "features": {"fingerprint": FINGERPRINT},
        "emitted_at": "2023-11-14T22:13:29.000000+0000",
    }
    wanted = {
        "timestamp": "2023-11-14T22:13:21.250000+0000",
        "event_type": "alert",
        "host": "gw-17",
        "in_iface": "br-lan",
        "flow_id": first,
        **ports,
        "proto": "TCP",
        "community_id": name,
        "flow": {
            "start": "2023-11-14T22:13:20.250000+0000",
            "pkts_toserver": 2,
            "pkts_toclient": 1,
            "bytes_toserver": 100,
            "bytes_toclient": 52,
        },
        "alert": {
            "action": "allowed",
            "gid": 4200,
            "signature_id": 1,
            "rev": 1,
            "signature": "MULTA syn_dos: TCP SYN flood",
            "category": "Attempted Denial of Service",
            "severity": 2,
            "target": {"ip": "10.0.0.9"},
            "metadata": {"mitre_technique_id": ["T1499.001"], "multa": multa},
        },
    }
    found = line(start, LIVE).decode()
    assert json.loads(found) == wanted
    assert found == json.dumps(wanted, separators=(",", ":")) + "\n"


def test_a_replay_says_nothing_about_this_machine_or_this_moment():
    for event in events():
        found = document(event, Options())
        assert {"host", "in_iface"}.isdisjoint(found)
        assert "emitted_at" not in found["alert"]["metadata"]["multa"]
        assert line(event, Options()) == line(event, Options())


def test_the_operator_has_the_last_word_on_severity():
    for severity, told in (({}, 2), ({"syn_dos": 1}, 1), ({"scan": 1}, 2)):
        found = [document(each, replace(LIVE, severity=severity)) for each in events()]
        assert [each["alert"]["severity"] for each in found] == [told, told]
        validate(found[0])


def test_the_device_that_has_the_address_is_told(eve):
    asked = []

    def device(address):
        asked.append(address)
        return known

    for known in ({"name": "camera", "mac": "02:00:5e:00:53:01"}, {"name": "\\x1b[2J"}, {}):
        found = document(events()[0], replace(LIVE, device=device))
        validate(found)
        eve.validate(found)
        assert found["alert"]["metadata"]["multa"].get("device", {}) == known
    assert asked == ["10.0.0.9"] * 3  # whom the incident is about


def test_a_line_is_one_line_of_ascii_whatever_names_hold():
    text = line(events()[0], Options(interface="ü\n\x7f", host="\udce4"))
    assert text.isascii()
    assert text.count(b"\n") == 1
    assert json.loads(text)["in_iface"] == "ü\n\x7f"


def test_start_and_end_share_the_alert_id_and_other_incidents_have_others():
    start, end = events()
    assert alert_id(start) == alert_id(end)
    assert (end.kind, document(end, LIVE)["alert"]["metadata"]["multa"]["reason"]) == (
        "end",
        "quiet",
    )
    others = [
        events(destination=("10.0.0.8", 443))[0],
        events(replace(SYN_DOS, name="other"))[0],
        events(**started(125))[0],
        replace(start, fingerprint="0" * 64),
        replace(start, detector="other"),
        replace(start, model_sha256="cd" * 32),
    ]
    ids = {alert_id(event) for event in [start, *others]}
    assert len(ids) == 7


def test_flow_ids_fit_a_double_and_come_from_key_and_start():
    flow = events()[0].worst
    back = replace(
        flow,
        source_low=flow.destination_low,
        destination_low=flow.source_low,
        source_port=flow.destination_port,
        destination_port=flow.source_port,
    )
    assert flow_id(back) == flow_id(flow)
    ids = {flow_id(replace(flow, flow_start_ns=start)) for start in range(1000)}
    assert len(ids) == 1000
    assert max(ids) < 2**53
    assert max(ids) > 2**52
    for name in ("version", "protocol", "source_low", "source_port"):
        assert flow_id(replace(flow, **{name: getattr(flow, name) ^ 2})) != flow_id(flow)


def test_icmp_has_type_and_code_instead_of_ports():
    def found(protocol, source, destination):
        flow = document(events(protocol=protocol, source=source, destination=destination)[0], LIVE)
        assert {"src_port", "dest_port"}.isdisjoint(flow)
        return flow["proto"], flow["icmp_type"], flow["icmp_code"]

    assert found(1, ("10.0.0.1", 8), ("10.0.0.9", 0)) == ("ICMP", 8, 0)
    assert found(1, ("10.0.0.1", 0), ("10.0.0.9", 8)) == ("ICMP", 0, 0)
    assert found(1, ("10.0.0.1", 3), ("10.0.0.9", 13)) == ("ICMP", 3, 13)
    assert found(58, ("fe80::1", 135), ("fe80::2", 136)) == ("IPv6-ICMP", 135, 0)
    assert found(58, ("fe80::1", 1), ("fe80::2", 4)) == ("IPv6-ICMP", 1, 4)


def test_other_protocols_are_numbers_without_ports():
    found = document(events(**VARIANTS["gre"])[0], LIVE)
    assert found["proto"] == "047"
    assert {"src_port", "dest_port", "icmp_type"}.isdisjoint(found)


def test_the_role_is_told_in_eves_words_too():
    source = replace(SYN_DOS, incident=IncidentRule("originator", 2, 10))
    alert = document(events(source)[0], LIVE)["alert"]
    assert alert["source"] == {"ip": "10.0.0.1"}
    assert "target" not in alert
    assert alert["metadata"]["multa"]["role"] == "source"
    assert alert["metadata"]["multa"]["address"] == "10.0.0.1"


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000+0000"),
        (999, "1970-01-01T00:00:00.000000+0000"),
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456+0000"),
        (1_700_000_000_999_999_999, "2023-11-14T22:13:20.999999+0000"),
        (2**63 - 1, "2262-04-11T23:47:16.854775+0000"),
    ],
)
def test_times_are_utc_in_microseconds_rounded_down(time_ns, text):
    assert timestamp(time_ns) == text


def test_the_schema_describes_every_key_and_names_what_the_code_has():
    def undescribed(node, path=""):
        for name, entry in node.get("properties", {}).items():
            if not entry.get("description", "").endswith("."):
                yield f"{path}{name}"
            yield from undescribed(entry, f"{path}{name}.")
            yield from undescribed(entry.get("items", {}), f"{path}{name}.")

    kinds = [OWN["$defs"][choice["$ref"].split("/")[-1]] for choice in OWN["oneOf"]]
    assert [list(undescribed(kind)) for kind in kinds] == [[], []]
    alert = kinds[0]["properties"]["alert"]["properties"]
    multa = alert["metadata"]["properties"]["multa"]["properties"]
    assert tuple(multa["quality"]["properties"]) == ROW_FLAGS
    assert tuple(multa["flagged"]["properties"]) == ROW_FLAGS
    assert multa["quality"]["required"] == multa["flagged"]["required"] == list(ROW_FLAGS)
    assert tuple(multa["end_reason"]["enum"]) == END_REASONS
    assert tuple(multa["context"]["properties"]) == CONTEXT_COLUMNS
    assert tuple(multa["network"]["properties"]["direction"]["enum"]) == DIRECTIONS
    assert tuple(multa["home"]["properties"]["flows"]["properties"]) == DIRECTIONS
    assert multa["home"]["properties"]["peers"]["maxItems"] == PEERS


def test_the_page_about_alerts_is_made_from_the_schema():
    place = ROOT / "docs" / "generate_alerts.py"
    spec = importlib.util.spec_from_file_location("generate_alerts", place)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text() == generator.page(OWN), "run: python docs/generate_alerts.py"


def of_latency():
    """Start of an incident about a peer: two measurements of a series, the second one failed."""
    batch = SequenceBatch.zeros(4, 2, MEASURED_TYPES)
    batch.length[:], batch.kind[:], batch.version[:], batch.protocol[:] = [3, 4], 2, 4, 1
    batch.rtt[:] = [[12_345, 90_000, 12_001, 0], [12_345, 90_000, 12_001, 0]]
    batch.answered[:] = [[1, 1, 1, 0], [1, 1, 1, 0]]
    batch.rtt_usual[1, 3] = 12_040
    batch.source_low[:], batch.destination_low[:] = 0x0A000001, 0x0A000009
    batch.source_port[:], batch.row[:] = 8, [7, 8]
    batch.sequence_index[:], batch.flow_start_ns[:] = batch.row, EPOCH_NS
    batch.first_packet_ns[:] = batch.decided_ns[:] = EPOCH_NS + 10**9
    rule = replace(SYN_DOS.incident, open_flows=1, open_rows=2)

    class Detector:
        name, fingerprint, tasks = "latency", FINGERPRINT, (replace(SYN_DOS, incident=rule),)
        version, model_sha256 = "1", "ab" * 32

    tracker = IncidentTracker(Detector())
    for row, score in enumerate((0.8, 0.9)):  # the first one is remembered
        tracker.add(batch.take(slice(row, row + 1)), np.float32([[score]]))
    return tracker.finish()[0]


def test_an_alert_about_a_peer_tells_measurements_and_no_packets(eve):
    found = document(of_latency(), Options())
    multa = found["alert"]["metadata"]["multa"]
    assert found["flow"] == {"start": "2023-11-14T22:13:20.000000+0000"}
    assert multa["latency"] == {
        "peer": "10.0.0.9",
        "kind": "echo",
        "measurements": 4,
        "failed": 1,
        "median_ms": 12.345,
        "usual_ms": 12.04,
        "last_ms": [12.345, 90.0, 12.001, None],
    }
    assert not {"packets_used", "context"} & multa.keys()
    (sample,) = multa["sample"]
    assert (sample["kind"], sample["measurements"]) == ("echo", 3)
    validate(found)
    eve.validate(found)


def test_no_line_tells_of_both_packets_and_measurements():
    about_peer, about_flow = (document(each, Options()) for each in (of_latency(), events()[0]))
    other = about_flow["alert"]["metadata"]["multa"]
    for name in ("packets_used", "context"):
        wrong = json.loads(json.dumps(about_peer))
        wrong["alert"]["metadata"]["multa"][name] = other[name]
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)
        wrong = json.loads(json.dumps(about_flow))
        del wrong["alert"]["metadata"]["multa"][name]
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)
    for one, another in ((about_peer, about_flow), (about_flow, about_peer)):
        with pytest.raises(jsonschema.ValidationError):
            validate({**one, "flow": another["flow"]})
