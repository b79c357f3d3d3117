"""Splits by source, flows in overlapping captures, and patterns that training has seen."""

from collections.abc import Sequence

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError, MissingInputError
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.splits import (
    Split,
    require_classes,
    share_seen,
    split_by_source,
    split_by_time,
    without_repeated_flows,
)


def record(name, flows):
    return SourceRecord(name, f"{name}.pcap", "", "", ("syn_dos",), "0", 0, 0, flows, flows, 0, 0)


def flow(start, port, row=0):
    endpoints = {"source": ("10.0.0.1", port), "destination": ("10.0.0.2", 80)}
    return {"start": start, "protocol": 6, "row": row, **endpoints}


def dataset(sources: dict[str, Sequence[tuple[dict, int]]]) -> Dataset:
    """Sources of (flow, label); a row above 0 belongs to the flow before it."""
    each = [entry for entries in sources.values() for entry in entries]
    batch = rows(*(columns for columns, _ in each))
    return Dataset(
        FeatureSchema(),
        ("syn_dos",),
        tuple(record(name, len(entries)) for name, entries in sources.items()),
        batch,
        np.array([[label] for _, label in each], np.int8),
        np.repeat(np.arange(len(sources), dtype=np.int32), [len(e) for e in sources.values()]),
        np.cumsum(batch.row == 0).astype(np.int64) - 1,
    )


ATTACKED = [(flow(1, 1), 0), (flow(2, 2), 1)]
BENIGN = [(flow(3, 3), 0)]


@pytest.mark.parametrize("seed", range(8))
def test_every_source_is_in_one_part_and_attacks_are_in_each(seed):
    sources = {f"a{i}": ATTACKED for i in range(6)} | {f"b{i}": BENIGN for i in range(3)}
    split = split_by_source(dataset(sources), {}, (0.25, 0.25), seed)
    assert sorted(split.train + split.validation + split.test) == sorted(sources)
    for part in (split.train, split.validation, split.test):
        assert any(name.startswith("a") for name in part)
        assert any(name.startswith("b") for name in part)


def test_a_division_is_repeatable_and_depends_on_the_seed():
    rows_of = dataset({f"a{i}": ATTACKED for i in range(8)})
    divisions = [split_by_source(rows_of, {}, (0.25, 0.25), seed) for seed in range(6)]
    assert divisions[0] == split_by_source(rows_of, {}, (0.25, 0.25), 0)
    assert len(set(divisions)) > 1


def test_named_sources_leave_the_rest_to_training():
    rows_of = dataset({"a": ATTACKED, "b": ATTACKED, "c": ATTACKED, "d": BENIGN})
    split = split_by_source(rows_of, {"validation": ["c"], "test": ["a"]}, (0.2, 0.2), 0)
    assert split == Split("source", ("b", "d"), ("c",), ("a",))


def test_a_source_named_twice_or_unknown_is_refused():
    rows_of = dataset({"a": ATTACKED, "b": ATTACKED})
    with pytest.raises(LabelError, match="source a is in two parts"):
        split_by_source(rows_of, {"validation": ["a"], "test": ["a"]}, (0.2, 0.2), 0)
    with pytest.raises(MissingInputError, match="no source 'x'; it has a, b"):
        split_by_source(rows_of, {"test": ["x"]}, (0.2, 0.2), 0)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"a": ATTACKED, "b": BENIGN}, "no row of validation has syn_dos = 1"),
        ({"a": BENIGN, "b": ATTACKED}, "no row of train has syn_dos = 1"),
        ({"a": ATTACKED[1:], "b": ATTACKED}, "no row of train has syn_dos = 0"),
    ],
)
def test_a_part_without_a_class_is_refused(sources, message):
    made = dataset(sources)
    split = split_by_source(made, {"validation": ["b"]}, (0.2, 0.2), 0)
    with pytest.raises(LabelError, match=message):
        require_classes(split.rows(made), made.labels, made.tasks)
    # A task that is not learnt needs no class.
    require_classes(split.rows(made), made.labels[:, :0], ())


def test_rows_of_a_split_by_source():
    rows_of = dataset({"a": ATTACKED, "b": BENIGN, "c": ATTACKED, "d": BENIGN})
    parts = Split("source", ("a", "b"), ("c",), ()).rows(rows_of)
    assert {part: np.flatnonzero(rows).tolist() for part, rows in parts.items()} == {
        "train": [0, 1, 2],
        "validation": [3, 4],
        "test": [],
    }


def test_a_split_by_time_cuts_each_source_at_its_own_times_and_no_flow_in_two():
    # Started in the opposite order of their numbers; the first has a second row.
    each = [(flow(100 - i, i), 0) for i in range(20)]
    each.insert(1, (flow(100, 0, row=1), 0))
    late = [(flow(1000 + i, i), 1) for i in range(20)]
    rows_of = dataset({"a": each, "b": late})
    parts = split_by_time(rows_of).rows(rows_of)
    starts = {part: rows_of.batch.flow_start_ns[rows] // 10**9 for part, rows in parts.items()}
    assert sorted(starts["train"]) == [*range(81, 92), *range(1000, 1011)]
    assert sorted(starts["validation"]) == [*range(92, 95), *range(1011, 1014)]
    assert sorted(starts["test"]) == [*range(95, 100), 100, 100, *range(1014, 1020)]


def test_a_split_by_time_has_a_part_of_every_attack_in_every_part():
    rows_of = dataset({"a": [(flow(i, i), int(i > 70)) for i in range(100)]})
    parts = split_by_time(rows_of).rows(rows_of)
    for part in parts.values():
        assert set(rows_of.labels[part, 0]) == {0, 1}
    lone = dataset({"a": [(flow(i, i), int(i == 7)) for i in range(20)]})
    with pytest.raises(LabelError, match="no row of validation has syn_dos = 1"):
        require_classes(split_by_time(lone).rows(lone), lone.labels, lone.tasks)


def test_a_flow_in_two_captures_is_kept_once_with_all_its_rows():
    rows_of = dataset(
        {
            "a": [(flow(1, 1), 0), (flow(1, 1, row=1), 0), (flow(2, 2), 0)],
            "b": [(flow(1.0000004, 1), 0), (flow(1.0000004, 1, row=1), 0), (flow(1.001, 1), 0)],
        }
    )
    kept, removed = without_repeated_flows(rows_of)
    assert removed == 1
    assert kept.flow.tolist() == [0, 0, 1, 3]
    assert kept.source.tolist() == [0, 0, 0, 1]


def test_of_a_repeated_flow_the_one_that_was_learnt_is_kept():
    made = dataset({"a": [(flow(1, 1), 0), (flow(2, 2), 0)], "b": [(flow(1, 1), 0)], "c": BENIGN})
    assert without_repeated_flows(made)[0].source.tolist() == [0, 0, 2]
    kept, removed = without_repeated_flows(made, known=("b", "elsewhere"))
    assert (kept.source.tolist(), removed) == ([0, 1, 2], 1)
    assert kept.batch.flow_start_ns.tolist() == [2 * 10**9, 10**9, 3 * 10**9]


def test_equal_patterns_of_different_flows_are_all_kept():
    rows_of = dataset({"a": [(flow(1, p), 1) for p in range(5)], "b": BENIGN})
    kept, removed = without_repeated_flows(rows_of)
    assert (len(kept), removed) == (6, 0)


def test_share_of_patterns_that_training_has_seen():
    test, train = np.array([1, 1, 2, 3]), np.array([1, 3, 9])
    assert share_seen(test, train) == 0.75
    assert np.isnan(share_seen(test[:0], train))
