"""The pictures of the reproduction, of a short run with a small network."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra `trainer`")

from trainer.latency.lesson import LESSON
from trainer.latency.reproduce import drawn
from trainer.latency.reproduce.material import generated
from trainer.latency.reproduce.trial import FIRST_RUN

QUICK = replace(LESSON, experts=1, units=4, tower_units=(4,), epochs=1)


def test_pictures_are_of_the_first_run_and_of_its_test_part(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "MEASUREMENTS", 800)
    monkeypatch.setattr(drawn, "LESSON", QUICK)
    shown = []

    def plot_verdicts(series, verdicts, path):
        shown.append((series, verdicts))
        path.write_bytes(b"fig3")

    monkeypatch.setattr(drawn, "plot_verdicts", plot_verdicts)
    drawn.draw(tmp_path)
    assert (tmp_path / "fig1.png").read_bytes()[1:4] == b"PNG"
    ((series, verdicts),) = shown
    whole = generated(FIRST_RUN, 800)
    np.testing.assert_array_equal(series.rtt_ms, whole.rtt_ms[640:])
    assert list(verdicts) == ["label model alone", "multi-task LMMoE"]
    assert [(said.shape, said.dtype) for said in verdicts.values()] == [((160, 3), bool)] * 2
    outage = verdicts["label model alone"][:, 1]
    np.testing.assert_array_equal(outage, ~series.answered)
    # What is there is left as it is; what lacks is drawn with all it needs.
    (tmp_path / "fig1.png").write_bytes(b"fig1")
    drawn.draw(tmp_path)
    assert len(shown) == 1
    assert (tmp_path / "fig1.png").read_bytes() == b"fig1"
