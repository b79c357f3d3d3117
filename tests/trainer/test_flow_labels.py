"""Which row decides about a flow, and the dataset that labeling functions make."""

from dataclasses import replace

import numpy as np
import pytest
from tuning_rows import SPLIT, tuning_dataset

from sensor.errors import LabelError, MissingInputError
from trainer import fit
from trainer.datasets.dataset import load
from trainer.runs import train
from trainer.settings import Settings
from trainer.weak.flow_labels import deciding_rows, flow_labels, flow_probabilities, write
from trainer.weak.flows import columns
from trainer.weak.functions import LabelingFunction, Task
from trainer.weak.supervision import supervise

FLOW = np.array([0, 0, 1, 2, 2, 2, 3])
YES = np.array([0.9, 0.1, 0.5, 0.2, 0.7, 0.7, 0.4])
LIKELY = np.stack([1 - YES, YES], axis=1)
EVERY_ROW = np.ones(7, bool)
SYN_DOS = Task("syn_dos")


def test_the_last_row_decides_about_first_packets():
    assert deciding_rows(FLOW, LIKELY, EVERY_ROW, "first").tolist() == [1, 1, 2, 5, 5, 5, 6]


def test_rows_at_which_the_task_does_not_look_do_not_decide():
    counts = np.array([1, 0, 1, 1, 1, 0, 0], bool)
    assert deciding_rows(FLOW, LIKELY, counts, "first").tolist() == [0, 0, 2, 4, 4, 4, -1]


def test_the_most_suspicious_row_decides_about_all_packets_and_of_equal_ones_the_first():
    assert deciding_rows(FLOW, LIKELY, EVERY_ROW, "repeat").tolist() == [0, 0, 2, 4, 4, 4, 6]


def lengths(name, limit, unsure=0):
    """Votes by the length of the first packet: what `tuning_dataset` makes an attack of."""

    def vote(given):
        first = given["ip_length"][:, 0].astype(int)
        return np.where(abs(first - limit) < unsure, -1, first > limit)

    return LabelingFunction(name, SYN_DOS, ("ip_length",), vote, confidence=0.9)


@pytest.fixture(scope="module")
def voted():
    dataset = tuning_dataset(400)
    functions = [lengths("a", 700, 50), lengths("b", 720), lengths("c", 680, 10)]
    (votes,) = supervise(functions, [columns(dataset.batch)])
    return dataset, votes


def test_labels_are_those_of_the_functions_where_they_are_sure(voted):
    dataset, votes = voted
    likely = flow_probabilities(dataset, votes)
    labels = flow_labels(likely, 0.9)
    size = dataset.batch.ip_length[:, 0].astype(int)
    assert (labels[size > 800] == 1).all()
    assert (labels[size < 600] == 0).all()
    assert (flow_labels(likely, 0.9999999) == -1).any()


def test_a_dataset_of_labeling_functions_that_keeps_what_it_is_tested_with(voted, tmp_path):
    dataset, votes = voted
    written = write(tmp_path / "weak", dataset, [votes], 0.9, ["c"], "mine.py")
    found = load([tmp_path / "weak"])
    assert found.tasks == ("syn_dos",)
    assert [record.labelled_by for record in found.sources] == ["mine.py", "mine.py", ""]
    assert [record.covered for record in found.sources] == [(), (), ("syn_dos",)]
    identities = {record.identity for record in found.sources}
    assert not identities & {record.identity for record in dataset.sources[:2]}
    np.testing.assert_array_equal(found.labels, np.concatenate([its for _, its in written]))
    kept = found.source == 2
    np.testing.assert_array_equal(found.labels[kept, 0], dataset.labels[kept, 0])
    np.testing.assert_array_equal(found.batch.ip_length, dataset.batch.ip_length)
    likely = flow_probabilities(dataset, votes)[:, 1].astype(np.float32)
    np.testing.assert_array_equal(found.likely[~kept, 0], likely[~kept])
    assert np.isnan(found.likely[kept]).all()


def test_rows_of_a_flow_that_no_task_looks_at_have_no_probability(voted):
    dataset, votes = voted
    later = replace(dataset, batch=dataset.batch.take(np.arange(len(dataset))))
    later.batch.sequence_index[5] = 1
    likely = flow_probabilities(later, votes)
    assert np.isnan(likely).any(axis=1).nonzero()[0].tolist() == [5]
    assert flow_labels(likely, 0)[5] == -1


def test_other_probabilities_are_another_source(voted, tmp_path):
    """A run tells by a source's identity that it learnt from something else."""
    dataset, votes = voted
    (first, _), *_ = write(tmp_path / "a", dataset, [votes], 0.9)
    shares = votes.model.shares * [1.01, *(0.99 for _ in votes.model.shares[1:])]
    other = replace(votes, model=replace(votes.model, shares=shares / shares.sum()))
    (second, _), *_ = write(tmp_path / "b", dataset, [other], 0.9)
    same = [load([tmp_path / name]).labels for name in "ab"]
    np.testing.assert_array_equal(*same)
    assert first.identity != second.identity


def test_what_can_not_be_kept(voted, tmp_path):
    dataset, votes = voted
    with pytest.raises(MissingInputError, match="no source 'd'; it has a, b, c"):
        write(tmp_path / "weak", dataset, [votes], 0.9, ["d"])
    scan = supervise(
        [LabelingFunction("s", Task("scan"), ("length",), lambda given: given["length"] > 1)],
        [columns(dataset.batch)],
    )
    with pytest.raises(LabelError, match="no labels of scan to keep"):
        write(tmp_path / "weak", dataset, scan, 0.9, ["c"])
    assert not (tmp_path / "weak").exists()


class LearningError(Exception):
    """Carries the rows that a network would learn from."""


def test_networks_learn_from_the_probabilities(voted, tmp_path, monkeypatch):
    dataset, votes = voted

    def learning(*given):
        raise LearningError(given[-2:])

    monkeypatch.setattr(fit, "fit", learning)
    write(tmp_path / "weak", dataset, [votes], 0.9)
    weak = load([tmp_path / "weak"])
    with pytest.raises(LearningError) as caught:
        train(weak, ["syn_dos"], Settings(), SPLIT, (0,), 1.0, tmp_path / "run")
    training, validation = caught.value.args[0]
    for part, place in ((training, 0), (validation, 1)):
        np.testing.assert_array_equal(part.rows, weak.source == place)
        np.testing.assert_array_equal(part.likely, weak.likely)
