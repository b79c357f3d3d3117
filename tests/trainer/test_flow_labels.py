"""Which row decides about a flow, and the dataset that labeling functions make."""

import numpy as np
import pytest
from tuning_rows import tuning_dataset

from sensor.errors import LabelError, MissingInputError
from trainer.datasets.dataset import load
from trainer.weak.flow_labels import deciding_rows, flow_labels, write
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
    labels = flow_labels(dataset, votes, 0.9)
    size = dataset.batch.ip_length[:, 0].astype(int)
    assert (labels[size > 800] == 1).all()
    assert (labels[size < 600] == 0).all()
    assert (flow_labels(dataset, votes, 0.9999999) == -1).any()


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
