import json

from blocks import blocks_of
from command import flood
from reference import Frame
from test_eve import of_latency

from sensor.alerts.eve import Options, document
from sensor.packets.decode import Decoder
from sensor.pipeline import detect
from sensor.service.health.recent import KEPT, Recent
from sensor.service.lanes import Detecting, build_lanes


def events():
    contents, times = flood(300)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    return list(detect(blocks_of(packets, 100), Decoder(), build_lanes(Detecting())))


def test_an_alert_in_short_says_what_the_log_says():
    recent, (first, *_, last) = Recent(), events()
    for event in (first, last):
        recent.add(event)
    for event, short in zip((first, last), recent.document(), strict=True):
        line = json.loads(json.dumps(document(event, Options())))
        multa = line["alert"]["metadata"]["multa"]
        assert short.pop("timestamp") == line["timestamp"]
        assert short.pop("model") == multa["model"]["name"]
        assert short.pop("signature") == line["alert"]["signature"]
        assert short.pop("severity") == line["alert"]["severity"]
        assert {key: multa[key] for key in short} == short
    assert [each["event"] for each in recent.document()] == ["start", "end"]
    assert "reason" in recent.document()[1]


def test_the_last_fifty_are_kept():
    recent, (first, *_, last) = Recent(), events()
    recent.add(first)
    for _ in range(KEPT):
        recent.add(last)
    assert [each["event"] for each in recent.document()] == ["end"] * 50


def test_an_alert_about_a_peer_has_its_kind():
    recent = Recent()
    recent.add(of_latency())
    (short,) = recent.document()
    assert (short["kind"], short["rows"], short["address"]) == ("echo", 2, "10.0.0.9")
