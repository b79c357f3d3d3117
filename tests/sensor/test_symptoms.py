import pytest

from sensor.alerts.allow import AllowList, AllowRule
from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.service.health.symptoms import Growth, Symptoms, of_rules

NOW = 1_800_000_000 * 10**9
QUIET = dict.fromkeys(
    ("kernel_drops", "shed", "frames_unrecorded", "alerts_lost", "offload_frames", "bypassed",
     "clock_steps"), 0)  # fmt: skip


class Source:
    """What is asked of a source here."""

    interface, counters, pressed = "eth0,eth1", CaptureCounters(), False

    def __init__(self):
        self.blind = {}

    def stop(self):
        pass

    def close(self):
        pass


def status(blind=(), **counts):
    blind = dict(blind)
    return {
        "statistics": {**QUIET, **counts},
        "interfaces": {name: {"blind": blind.get(name)} for name in ("eth0", "eth1")},
    }


@pytest.fixture
def log(tmp_path):
    return EventLog(str(tmp_path / "alerts.json"), strict=False)


@pytest.fixture
def symptoms(log):
    return Symptoms(Source(), log, 300, 0.0)


def texts(reasons):
    return [each.text for each in reasons]


def test_growth_is_that_of_the_last_span():
    growth = Growth(60, 0.0)
    assert growth.of(0, 1) == 0
    assert growth.of(5, 10) == 5
    assert growth.of(7, 50) == 7
    assert growth.of(7, 69.9) == 7
    # at 70 the five of 10 are a minute old
    assert growth.of(7, 70) == 2
    assert growth.of(7, 110) == 0
    assert growth.of(8, 1_000) == 1


def test_growth_at_every_look_takes_little_memory():
    growth = Growth(60, 0.0)
    for tick in range(100_000):
        grown = growth.of(tick, tick / 100)
    assert len(growth._steps) < 130
    assert grown == pytest.approx(6_000, abs=110)


def test_nothing_is_wrong(symptoms):
    symptoms.hear(1, 290.0)
    assert symptoms.reasons(status(), 299.0, NOW) == []


def test_silence_is_told_after_its_time_and_not_beside_blindness(symptoms):
    assert symptoms.reasons(status(), 299.9, NOW) == []
    (reason,) = symptoms.reasons(status(), 300.0, NOW)
    assert reason.key == "silence"
    assert reason.text.startswith("no frame has come for 5 min:")
    assert "eth0,eth1" in reason.text
    one = symptoms.reasons(status({"eth0": "is down"}), 300.0, NOW)
    assert [each.key for each in one] == ["blind eth0", "silence"]
    both = symptoms.reasons(status({"eth0": "is down", "eth1": "is gone"}), 9_000.0, NOW)
    assert texts(both) == [
        "blind: interface eth0 is down, so nothing is seen there",
        "blind: interface eth1 is gone, so nothing is seen there",
    ]
    symptoms.hear(1, 9_000.0)
    assert symptoms.silent_s(9_001.0) == 1
    assert symptoms.reasons(status(), 9_001.0, NOW) == []


def test_a_loss_is_told_for_a_minute(symptoms):
    symptoms.hear(1, 100.0)
    (reason,) = symptoms.reasons(status(kernel_drops=1_234), 100.0, NOW)
    assert reason.text.startswith("1,234 frames were lost in the last minute (1,234 so far)")
    (reason,) = symptoms.reasons(status(kernel_drops=1_235), 159.0, NOW)
    assert reason.text.startswith("1,235 frames were lost")
    (reason,) = symptoms.reasons(status(kernel_drops=1_235), 161.0, NOW)
    assert reason.text.startswith("1 frame was lost in the last minute (1,235 so far)")
    assert symptoms.reasons(status(kernel_drops=1_235), 219.0, NOW) == []


@pytest.mark.parametrize(
    ("counter", "says"),
    [
        ("shed", "5 rows were not looked at in the last minute (5 so far)"),
        ("frames_unrecorded", "5 frames were not recorded"),
        ("offload_frames", "5 frames were merged before they were captured"),
        ("bypassed", "5 frames were forwarded past the capture"),
        ("alerts_lost", "5 alerts of the last hour could not be written and are lost (5 so far)"),
        ("clock_steps", "the clock was set back in the last minute"),
    ],
)
def test_what_is_lost_is_told_in_words(symptoms, counter, says):
    (reason,) = symptoms.reasons(status(**{counter: 5}), 10.0, NOW)
    assert reason.text.startswith(says)


def test_lost_alerts_are_told_for_an_hour(symptoms):
    symptoms.reasons(status(alerts_lost=1), 10.0, NOW)
    symptoms.hear(1, 3_600.0)
    (reason,) = symptoms.reasons(status(alerts_lost=1), 3_600.0, NOW)
    assert "1 alert of the last hour could not be written and is lost" in reason.text
    assert symptoms.reasons(status(alerts_lost=1), 3_611.0, NOW) == []


def test_a_log_that_can_not_be_written_is_told_until_it_can(tmp_path):
    (tmp_path / "logs").mkdir()
    log = EventLog(str(tmp_path / "logs" / "alerts.json"), strict=False)
    symptoms = Symptoms(Source(), log, 300, 0.0)
    (tmp_path / "logs").rename(tmp_path / "elsewhere")
    log.write(b"{}\n")
    (reason,) = symptoms.reasons(status(), 1.0, NOW)
    assert "alerts can't be written and 1 wait in memory" in reason.text
    (tmp_path / "elsewhere").rename(tmp_path / "logs")
    log.flush()
    assert symptoms.reasons(status(), 2.0, NOW) == []


def test_a_clock_that_nobody_has_set_is_told(symptoms):
    (reason,) = symptoms.reasons(status(), 1.0, 5 * 10**9)
    assert reason.text.startswith("the clock says 1970-01-01, so times in alerts are wrong")
    assert symptoms.reasons(status(), 1.0, 1_577_836_800 * 10**9) == []
    assert symptoms.reasons(status(), 1.0, 1_577_836_800 * 10**9 - 1) != []


def test_rules_that_expire_are_told():
    day = 86_400 * 10**9
    rules = [
        AllowRule("for ever"),
        AllowRule("far", NOW + 8 * day),
        AllowRule("soon", NOW + 7 * day, place="sensor.toml:3"),
        AllowRule("over", NOW, place="sensor.toml:9"),
    ]
    soon, over = of_rules(AllowList(rules), NOW)
    assert soon.text == (
        "allow rule 'soon' (sensor.toml:3) expires at 2027-01-22 08:00 UTC: renew it if it is "
        "still wanted"
    )
    assert "'over' (sensor.toml:9) expired at 2027-01-15 08:00 UTC" in over.text
