"""Figures of a task: which flows they count, at which threshold, and how they are shown."""

from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows
from sklearn.metrics import roc_auc_score

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.evaluation import COLUMNS, as_markdown, as_text, figures, summary, table
from trainer.tasks import TASKS

SYN_DOS = replace(TASKS[0], threshold=0.6)

#        flow, row, label, score, pattern
ROWS = [
    (0, 0, 1, 0.9, 0),
    (1, 0, 1, 0.9, 0),
    (2, 0, 1, 0.5, 1),
    (3, 0, 0, 0.7, 2),
    (3, 1, 0, 0.6, 3),
    (4, 0, 0, 0.1, 4),
    (5, 0, -1, 1.0, 5),
]


@pytest.fixture
def made():
    table = np.array(ROWS)
    batch = rows(*({"row": int(r), "flow_ordinal": int(f), "start": 1} for f, r, *_ in ROWS))
    dataset = Dataset(
        FeatureSchema(),
        ("syn_dos",),
        (),
        batch,
        table[:, 2:3].astype(np.int8),
        np.zeros(len(ROWS), np.int32),
        table[:, 0].astype(np.int64),
    )
    (task,) = figures(dataset, table[:, 4].astype(np.int64), [SYN_DOS], table[:, 3:4])
    return task


def test_counts_by_hand(made):
    assert (made.flows, made.attack_flows) == (5, 3)
    assert (made.patterns, made.attack_patterns) == (4, 2)
    assert made.recall == pytest.approx(2 / 3)
    assert made.pattern_recall == 0.5
    # Flow 3 counts by its last row, whose score is the threshold itself.
    assert made.false_positives == 1
    assert made.threshold == 0.6


def test_areas_are_over_flows_and_over_patterns(made):
    assert made.roc_auc == pytest.approx(roc_auc_score([1, 1, 1, 0, 0], [0.9, 0.9, 0.5, 0.6, 0.1]))
    assert made.pattern_roc_auc == pytest.approx(roc_auc_score([1, 1, 0, 0], [0.9, 0.5, 0.6, 0.1]))


def test_the_document_has_null_where_there_is_no_figure(made):
    document = replace(made, roc_auc=float("nan")).document()
    assert document["roc_auc"] is None
    assert document["incidents"]["attacks"] == made.incidents.attacks


def test_summaries_show_median_and_extremes():
    assert summary([0.5, 0.25, 1.0]) == "0.5000 [0.2500, 1.0000]"
    assert summary([0.5]) == "0.5000"
    assert summary([float("nan"), 0.25]) == "0.2500"
    assert summary([float("nan")]) == "–"


def test_the_table_has_a_row_for_every_model_that_knows_the_task(made):
    other = replace(made, task="ssdp_flood", false_positives=4)
    again = replace(other, false_positives=7)
    shown = table({"lmmoe": [[made, other], [made, again]], "rule": [[made]]})
    assert shown[0] == list(COLUMNS)
    assert [row[:2] for row in shown[1:]] == [
        ["syn_dos", "lmmoe"],
        ["syn_dos", "rule"],
        ["ssdp_flood", "lmmoe"],
    ]
    assert shown[3][COLUMNS.index("false flows")] == "4–7"
    assert shown[1][COLUMNS.index("attack flows")] == "3 / 5"
    text = as_text(shown).splitlines()
    assert (
        len({line.index(word) for line, word in zip(text[1:3], ("lmmoe", "rule"), strict=True)})
        == 1
    )
    assert as_markdown(shown).splitlines()[1] == "|" + "---|" * len(COLUMNS)
