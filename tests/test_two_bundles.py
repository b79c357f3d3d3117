"""Two bundles in one sensor say what each says alone, to the last bit."""

from pathlib import Path

import numpy as np
import pytest
from command import ROOT, sensor_command

from sensor.model.detector import BundleDetector

CAPTURE = ROOT / "tests/captures/seven-tasks.pcap"
ALERTING, ANNOTATING = ROOT / "models/iot-gateway", ROOT / "models/traffic-class"


@pytest.fixture
def scores(monkeypatch):
    """By detector, which rows it was shown and what it said of them."""
    shown = {}
    look = BundleDetector.look

    def witnessed(self, batch):
        found = look(self, batch)
        rows = np.stack([batch.flow_ordinal, batch.row, batch.length.astype(np.int64)], axis=1)
        shown.setdefault(self.name, []).append((rows, found))
        return found

    monkeypatch.setattr(BundleDetector, "look", witnessed)
    return shown


def test_two_bundles_say_what_each_says_alone(capfd, scores, tmp_path):
    said = {}
    for name, models in {
        "alerting": [ALERTING],
        "annotating": [ANNOTATING],
        "both": [ALERTING, ANNOTATING],
        "turned": [ANNOTATING, ALERTING],
    }.items():
        alerts, flows = tmp_path / f"{name}.alerts", tmp_path / f"{name}.flows"
        options = [part for model in models for part in ("-m", model)]
        options += ["--flows", flows] if ANNOTATING in models else []
        scores.clear()
        outcome = sensor_command(capfd, "replay", CAPTURE, "--no-rule", "-o", alerts, *options)
        assert outcome.status == 0, outcome
        said[name] = {
            detector: tuple(np.concatenate(parts) for parts in zip(*shown, strict=True))
            for detector, shown in scores.items()
        }
        assert list(said[name]) == [model.name for model in models]
    for alone, model in (("alerting", ALERTING), ("annotating", ANNOTATING)):
        rows, found = said[alone][model.name]
        assert np.isfinite(found).any(axis=1).sum() > 100
        for together in ("both", "turned"):
            np.testing.assert_array_equal(said[together][model.name][0], rows)
            np.testing.assert_array_equal(said[together][model.name][1], found)
    for together in ("both", "turned"):
        assert lines(tmp_path / f"{together}.flows") == lines(tmp_path / "annotating.flows")
        assert lines(tmp_path / f"{together}.alerts") == lines(tmp_path / "alerting.alerts")
    assert lines(tmp_path / "annotating.alerts") == []


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
