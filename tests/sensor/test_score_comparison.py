import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forged import rewritten

from sensor.capture.files import CaptureFiles
from sensor.extract import sequences
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.reporting.comparison import match
from sensor.reporting.score_comparison import ScoreComparison, TaskRows
from sensor.service.models.model_store import shipped_models

CAPTURE = Path(__file__).parents[1] / "captures/seven-tasks.pcap"
SHIPPED = shipped_models() / "iot-gateway"


def nan(*values: float | None) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float32)


def test_rows_are_counted_by_who_finds_them_positive():
    rows = TaskRows()
    a = nan(0.9, 0.9, 0.1, 0.1, 0.51, None, 0.9)
    b = nan(0.9, 0.48, 0.9, 0.1, 0.48, 0.9, None)
    for side, scores in enumerate((a, b)):
        rows.count(side, scores, 0.5)
    rows.compare((a, b), (0.5, 0.5))
    assert (rows.rows, rows.positive) == ([6, 6], [4, 3])
    assert (rows.both, rows.only_a, rows.only_b, rows.neither) == (1, 2, 1, 1)
    assert rows.close == 1, "of (0.9, 0.48) one score is far from its threshold"
    assert rows.compared == 5
    assert rows.largest == pytest.approx(0.8)
    assert rows.mean == pytest.approx((0 + 0.42 + 0.8 + 0 + 0.03) / 5)
    rows.compare((nan(None), nan(None)), (0.5, 0.5))
    assert rows.compared == 5


def test_each_bundle_has_its_own_threshold():
    rows = TaskRows()
    scores = nan(0.3, 0.6, 0.8)
    rows.compare((scores, scores), (0.5, 0.7))
    assert (rows.both, rows.only_a, rows.only_b, rows.neither) == (1, 1, 0, 1)
    assert rows.close == 0, "0.6 lies 0.1 from either"


def test_without_rows_of_both_there_is_nothing_to_compare():
    rows = TaskRows()
    rows.count(0, nan(0.9, 0.1), 0.5)
    assert rows.document() == {"rows": {"a": 2, "b": 0}, "positive": {"a": 1, "b": 0}}
    assert rows.mean == 0


def compared(a: Path, b: Path) -> ScoreComparison:
    comparison = ScoreComparison(Bundle.read(a), Bundle.read(b))
    files = CaptureFiles([CAPTURE])
    comparison.over(files)
    files.close()
    return comparison


def varied(folder: Path, **thresholds: float) -> Path:
    """The shipped bundle with other thresholds."""
    shutil.copytree(SHIPPED, folder)

    def change(manifest):
        for task in manifest["tasks"]:
            task["threshold"] = thresholds.get(task["name"], task["threshold"])

    return rewritten(folder, change)


def test_a_capture_is_compared_row_by_row(tmp_path):
    """The figures are those of the rows themselves, scored beside it."""
    comparison = compared(SHIPPED, varied(tmp_path / "b", scan=1.0, slow_http=0.01))
    bundle = Bundle.read(SHIPPED)
    names = [task.name for task in bundle.tasks]
    scores = np.concatenate(
        [BundleDetector(bundle).score(batch) for batch in sequences([CAPTURE], bundle.schema)]
    )
    assert comparison.same_rows
    for place, task in enumerate(bundle.tasks):
        column = scores[:, place]
        rows = comparison.tasks[task.name]
        assert rows.rows == [np.count_nonzero(~np.isnan(column))] * 2
        assert rows.positive[0] == np.count_nonzero(column >= task.threshold)
        assert (rows.mean, rows.largest) == (0, 0)
    scan, slow = comparison.tasks["scan"], comparison.tasks["slow_http"]
    assert scan.positive[0] > 0
    assert (scan.positive[1], scan.only_a, scan.only_b) == (0, scan.positive[0], 0)
    beyond = scores[:, names.index("slow_http")] >= 0.01
    assert slow.positive[1] == np.count_nonzero(beyond) == slow.both + slow.only_b
    assert slow.only_b > 0
    a, b = (list(told.incidents.values()) for told in comparison.told)
    assert [incident.task for incident in match(a, b).only_a] == ["scan"]
    assert comparison.packets == 9_145


def test_bundles_of_other_features_have_their_incidents_compared(tmp_path):
    """The same network, but flows are decided later, so other rows come to it."""
    later = Path(shutil.copytree(SHIPPED, tmp_path / "later"))
    schema = Bundle.read(SHIPPED).schema
    schema = replace(schema, decide_after_ms=2 * schema.decide_after_ms)
    rewritten(later, lambda manifest: manifest.update(features=schema.to_manifest()))
    comparison = compared(SHIPPED, later)
    assert not comparison.same_rows
    same = compared(SHIPPED, SHIPPED)
    for name, rows in comparison.tasks.items():
        assert rows.compared == 0
        assert rows.rows[0] == same.tasks[name].rows[0]
        assert rows.positive[0] == same.tasks[name].positive[0]
        assert 0 < rows.rows[1] < rows.rows[0], "fewer flows are decided early"
    assert comparison.told[0].incidents == same.told[0].incidents == same.told[1].incidents
    assert len(same.told[0].incidents) == 8
    assert {each.task for each in comparison.told[1].incidents.values()} == set(same.tasks)


def test_a_task_of_one_bundle_alone_is_counted_for_it(random_bundle):
    comparison = compared(SHIPPED, random_bundle)
    alone, other = comparison.tasks["scan"], comparison.tasks["syn_dos"]
    assert alone.rows[0] > 0
    assert (alone.rows[1], alone.compared) == (0, 0)
    assert other.compared == other.rows[0] == other.rows[1]
    assert other.largest > 0
