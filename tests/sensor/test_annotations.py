"""A bundle that annotates flows, through the commands: what it says, and how right it says it is.

`annotated_flows` works the same out from the capture by itself.
"""

import json
import random
from dataclasses import replace

import annotated_flows
import frames
import jsonschema
import pytest
from command import ROOT, START, assert_fails, sensor_command

from sensor.alerts.eve import timestamp
from sensor.model.bundle import Bundle

EVE = ROOT.parent / "shared" / "data" / "schemas" / "eve-schema.json"
OWN = json.loads((ROOT / "sensor" / "annotations" / "flow.schema.json").read_text())
GATEWAY = ROOT / "models" / "iot-gateway"


@pytest.fixture(scope="module")
def bundle(annotating_bundle, tmp_path_factory):
    """The annotating bundle with a task of each measure, one of which abstains."""
    made = Bundle.read(annotating_bundle)
    traffic, seconds = made.annotations
    rate = replace(traffic, abstain_below=0.5, measured="bandwidth", edges=(20_000.0, 200_000.0))
    manifest = made.manifest
    return Bundle.write(
        tmp_path_factory.mktemp("bundles") / "measured",
        version="1.2.3",
        schema=made.schema,
        tasks=made.tasks,
        annotations=(rate, replace(seconds, least_packets=4)),
        model=made.model,
        golden=made.golden,
        card=made.card,
        histograms={"traffic": {"told": [40, 30, 30]}},
        provenance=manifest["provenance"],
        metrics={"annotations": {"seconds": {"accuracy": 0.5}}},
    )


def session(rng, number):
    """Frames of a session with its times in seconds: TCP or UDP, short or long, however it ends."""
    client = f"10.1.{number // 200}.{number % 200 + 1}" if number % 3 else f"fd00::{number:x}"
    server = rng.choice(["10.0.0.2", "10.0.0.3"] if number % 3 else ["fd00:1::2", "fd00:1::3"])
    there = (client, 30_000 + number % 7, server, rng.choice([443, 8_883]))
    back = (*there[2:], *there[:2])
    count, step = rng.choice([1, 3, 5, 9, 16, 40, 90]), rng.choice([0.001, 0.05, 0.3])
    time, sent = rng.random() * 250, []
    tcp = rng.random() < 0.6

    def say(path, flags, size):
        nonlocal time
        body = bytes(size)
        frame = frames.tcp_frame(*path, flags, body) if tcp else frames.udp_frame(*path, body)
        sent.append((time, frame))
        time += step * rng.random() + 0.000_002

    whole = rng.random() < 0.85
    if tcp and whole:
        for path, flags in ((there, 0x02), (back, 0x12), (there, 0x10)):
            say(path, flags, 0)
    for _ in range(count):
        say(rng.choice([there, back, back]) if sent else there, 0x18, rng.randrange(1_400))
    end = rng.choice(["fin", "reset", "silence", "again"]) if tcp else "silence"
    if end == "fin":
        # The last acknowledgement trails: it belongs to no flow's totals.
        for path, flags in ((there, 0x11), (back, 0x11), (there, 0x10)):
            say(path, flags, 0)
    elif end in ("reset", "again"):
        say(back, 0x04, 0)
    if end == "again":
        say(there, 0x02, 0)
        for _ in range(8):
            say(back, 0x10, 1_000)
    return sent


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Five minutes of sessions and a flood; some flows are cut by the end, most are not."""
    rng = random.Random(11)
    sent = [each for number in range(180) for each in session(rng, number)]
    flood = frames.udp_frame
    sent += [(40 + k / 1_000, flood("10.9.0.1", k + 1, "10.0.0.9", 53, b"?")) for k in range(300)]
    # Times that no two packets share, in whole microseconds.
    taken, timed = set(), []
    for time, frame in sent:
        micros = round(time * 1e6)
        while micros in taken:
            micros += 1
        taken.add(micros)
        timed.append((START + micros * 1_000, frame))
    timed.sort(key=lambda each: each[0])
    path = tmp_path_factory.mktemp("captures") / "sessions.pcap"
    return frames.write_pcap(path, [frame for _, frame in timed], [time for time, _ in timed])


class Replay:
    """A replay with everything that it wrote."""

    def __init__(self, capfd, folder, *arguments, alerts="alerts.json", flows="flows.json"):
        self.alerts, self.flows, stats = (folder / n for n in (alerts, flows, f"stats-{flows}"))
        outputs = ["-o", self.alerts, "--flows", self.flows, "--stats", stats]
        outcome = sensor_command(capfd, "replay", *arguments, *outputs)
        assert (outcome.status, outcome.out) == (0, ""), outcome
        self.statistics = json.loads(stats.read_text())
        self.lines = [json.loads(line) for line in self.flows.read_text().splitlines()]


def variables(line):
    return {each["key"]: each["value"] for each in line["metadata"]["flowvars"]}


def of_kind(lines, kind):
    return [line for line in lines if variables(line)["multa.event"] == kind]


def test_the_statistics_equal_an_evaluation_of_the_capture(capfd, tmp_path, bundle, capture):
    replayed = Replay(capfd, tmp_path, capture, "-m", bundle.path, "--no-rule")
    flows = annotated_flows.flows_of(capture)
    assert replayed.statistics["flows"] == len(flows)
    told = replayed.statistics["annotations"]["measured"]
    evaluated = {
        each.name: annotated_flows.evaluate(bundle.model, flows, each)
        for each in bundle.annotations
    }
    looked_at = [any(each.told[k] for each in evaluated.values()) for k in range(len(flows))]
    assert told["predicted"] == told["ended"] == sum(looked_at) > 150
    assert told["open"] == told["forgotten"] == told["unknown"]["evicted"] == 0
    chosen = [flow for flow, which in zip(flows, looked_at, strict=True) if which]
    assert told["unknown"]["midstream"] == sum(flow.midstream for flow in chosen) > 3
    cut = [flow for flow in chosen if not flow.whole and not flow.midstream]
    assert told["unknown"]["unfinished"] == len(cut) > 3
    for spec in bundle.annotations:
        task, own = told["tasks"][spec.name], evaluated[spec.name]
        said = [each for each in own.told if each]
        for name in spec.classes:
            assert task["told"][name] == said.count(name)
        assert task["abstained"] == said.count("abstained")
        found = {
            (true, name): count
            for true, row in task["confusion"].items()
            for name, count in row.items()
        }
        assert found == own.confusion
        judged = {pair: n for pair, n in own.confusion.items() if pair[1] != "abstained"}
        right = sum(n for (true, name), n in judged.items() if true == name)
        assert (task["judged"], task["right"]) == (sum(judged.values()), right)
        assert task["accuracy"] == round(right / task["judged"], 4)
        commonest = max(
            sum(n for (true, _), n in judged.items() if true == name) for name in spec.classes
        )
        assert task["majority"] == round(commonest / task["judged"], 4)
    # What is compared is worth comparing.
    rate, seconds = (evaluated[each.name] for each in bundle.annotations)
    assert {*rate.told} >= {None, "abstained", "documents"}
    assert len({*seconds.told}) >= 3
    assert {*rate.true, *seconds.true} >= {None, *bundle.annotations[0].classes, "below 1"}
    assert told["tasks"]["seconds"]["test"] == 0.5


def test_every_line_equals_the_evaluation_and_both_schemas(capfd, tmp_path, bundle, capture):
    replayed = Replay(capfd, tmp_path, capture, "-m", bundle.path, "--no-rule")
    flows = annotated_flows.flows_of(capture)
    rate, seconds = bundle.annotations
    evaluated = [annotated_flows.evaluate(bundle.model, flows, each) for each in (rate, seconds)]
    expected = {}
    for k, flow in enumerate(flows):
        if not any(each.told[k] for each in evaluated):
            continue
        values = {"multa.packets": str(min(16, len(flow.packets)))}
        for spec, own in zip((rate, seconds), evaluated, strict=True):
            if own.told[k] is None:
                continue
            key = "abstained" if own.told[k] == "abstained" else "class"
            values[f"{spec.name}.{key}"] = "true" if key == "abstained" else own.told[k]
            values[f"{spec.name}.confidence"] = own.confidence[k]
            if own.true[k]:
                values[f"{spec.name}.true"] = own.true[k]
                measured = flow.bits_per_second if spec is rate else flow.seconds
                values[f"{spec.name}.measured"] = measured
            else:
                values[f"{spec.name}.unknown"] = "midstream" if flow.midstream else "unfinished"
        outward = [packet[2] for packet in flow.packets if packet[1]]
        inward = [packet[2] for packet in flow.packets if not packet[1]]
        first, last = flow.packets[0][0], flow.packets[-1][0]
        state = "closed" if flow.closed else "established" if outward and inward else "new"
        volume = {
            "pkts_toserver": len(outward),
            "pkts_toclient": len(inward),
            "bytes_toserver": sum(outward),
            "bytes_toclient": sum(inward),
            "start": timestamp(first),
            "end": timestamp(last),
            "age": (last - first) // 10**9,
            "state": state,
            "reason": "timeout",
        }
        expected[timestamp(first)] = (values, volume)
    own = jsonschema.Draft202012Validator(OWN)
    eve = jsonschema.Draft202012Validator(json.loads(EVE.read_text()) if EVE.exists() else {})
    ends = of_kind(replayed.lines, "end")
    assert len(ends) == len(expected)
    for line in ends:
        own.validate(line)
        values, volume = expected[line["flow"]["start"]]
        assert line["flow"] == volume
        told = {
            k: v for k, v in variables(line).items() if k in values or not k.startswith("multa")
        }
        assert told.keys() == values.keys()
        for key, value in values.items():
            if isinstance(value, str):
                assert told[key] == value, key
            else:
                assert float(told[key]) == pytest.approx(value, rel=1e-6, abs=1e-4), key
    eve.validate(ends[0])
    predictions = of_kind(replayed.lines, "prediction")
    for line in (predictions[0], predictions[-1]):
        own.validate(line)
        eve.validate(line)
    # Early after a second, and again when 16 packets are there: at most two of a flow.
    counts = [line["flow"]["start"] for line in predictions]
    assert max(map(counts.count, counts)) == 2
    assert [line["timestamp"] for line in replayed.lines] == sorted(
        line["timestamp"] for line in replayed.lines
    )
    assert replayed.statistics["flow_events_written"] == len(replayed.lines)


def test_a_replay_gives_the_same_bytes_again(capfd, tmp_path, bundle, capture):
    first = Replay(capfd, tmp_path, capture, "-m", bundle.path)
    before = first.flows.read_bytes()
    again = Replay(capfd, tmp_path, capture, "-m", bundle.path)
    assert again.flows.read_bytes() == before
    independent = Replay(
        capfd, tmp_path, "--independent", capture, "-m", bundle.path, flows="each.json"
    )
    for line in independent.lines:
        assert line.pop("pcap_filename") == str(capture)
    assert independent.lines == again.lines
    assert independent.statistics["annotations"] == again.statistics["annotations"]


def test_two_bundles_say_what_each_says_alone(capfd, tmp_path, bundle, capture):
    recordings = (capture, ROOT / "tests" / "captures" / "demo.pcap")
    for number, recording in enumerate(recordings):
        folder = tmp_path / str(number)
        folder.mkdir()
        alone = Replay(capfd, folder, recording, "-m", bundle.path, "--no-rule")
        gateway = sensor_command(
            capfd, "replay", recording, "-m", GATEWAY, "-o", folder / "gateway.json"
        )
        assert gateway.status == 0
        both = Replay(
            capfd, folder, recording, "-m", GATEWAY, "-m", bundle.path, alerts="a", flows="f"
        )
        assert both.flows.read_bytes() == alone.flows.read_bytes()
        kept = [
            line
            for line in both.alerts.read_bytes().splitlines(keepends=True)
            if json.loads(line)["alert"]["metadata"]["multa"]["model"]["name"] != "measured"
        ]
        assert b"".join(kept) == (folder / "gateway.json").read_bytes()
        assert both.statistics["annotations"] == alone.statistics["annotations"]


def test_without_annotations_or_a_file_the_option_is_refused(capfd, tmp_path, bundle, capture):
    flows = tmp_path / "flows.json"
    outcome = sensor_command(capfd, "replay", capture, "-m", GATEWAY, "--flows", flows)
    assert_fails(outcome, 64, "--flows: none of the models says of flows which class they are")
    outcome = sensor_command(
        capfd, "replay", "--independent", capture, "-m", GATEWAY, "--flows", flows
    )
    assert_fails(outcome, 64, "--flows: none of the models")
    assert not flows.exists()
    outcome = sensor_command(capfd, "replay", capture, "-m", bundle.path, "--flows", "-")
    assert_fails(outcome, 64, "--flows can't write to standard output")
    outcome = sensor_command(
        capfd, "replay", capture, "-m", bundle.path, "-o", flows, "--flows", flows
    )
    assert_fails(outcome, 64, "flows.json: is", "already; choose another output")


def test_the_summary_tells_how_right_it_was(capfd, tmp_path, bundle, capture):
    outcome = sensor_command(
        capfd, "replay", capture, "-m", bundle.path, "-o", tmp_path / "alerts", "--summary"
    )
    assert "measured: something said of " in outcome.err
    assert "flows whose truth is known (always naming the commonest: " in outcome.err
    assert "; in its test 50.0%" in outcome.err
