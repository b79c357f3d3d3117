import csv
import importlib
import json
import sys

import pytest
from feature_rows import random_rows

from sensor.errors import HostError, OutputError, UsageError
from sensor.flows.columns import COLUMNS, columns_of
from sensor.flows.sequences import SequenceBatch
from sensor.service.row_files import open_rows


@pytest.mark.parametrize("optional", [(), ("ttl", "tcp_window")])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".CSV"])
def test_no_rows_make_a_whole_file(tmp_path, suffix, optional):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    path = tmp_path / f"rows{suffix}"
    writer = open_rows(str(path), optional)
    writer.write(SequenceBatch.empty(16, optional))
    writer.close()
    writer.close()
    if suffix == ".parquet":
        table = importlib.import_module("pyarrow.parquet").read_table(path)
        assert (table.num_rows, table.column_names) == (0, [*COLUMNS, *optional])
    else:
        heading = "" if suffix == ".jsonl" else ",".join((*COLUMNS, *optional)) + "\n"
        assert path.read_text() == heading


def test_batches_follow_one_another(tmp_path):
    path = tmp_path / "rows.jsonl"
    writer = open_rows(str(path))
    rows = random_rows(16, 10, seed=5)
    writer.write(rows.take(slice(0, 4)))
    writer.write(rows.take(slice(4, 10)))
    writer.close()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    expected = columns_of(rows)
    assert written == [{name: expected[name][row] for name in COLUMNS} for row in range(10)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_optional_columns_are_lists_like_the_others(tmp_path, suffix):
    path, optional = tmp_path / f"rows{suffix}", ("ttl", "tcp_window")
    rows = random_rows(16, 10, seed=5, optional=optional)
    writer = open_rows(str(path), optional)
    writer.write(rows)
    writer.close()
    expected = columns_of(rows)
    if suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
        written = parquet.read_table(path).to_pydict()
        assert {name: written[name] for name in optional} == {
            name: expected[name] for name in optional
        }
        return
    with path.open() as file:
        for row, written in enumerate(csv.DictReader(file)):
            for name in optional:
                assert written[name].split(" ") == [str(value) for value in expected[name][row]]


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HostError, match="pip install pyarrow"):
        open_rows(str(tmp_path / "rows.parquet"))
    assert not (tmp_path / "rows.parquet").exists()


def test_other_names_and_places_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.parquet"):
        open_rows(str(tmp_path / "rows.txt"))
    with pytest.raises(OutputError, match="rows can't be written"):
        open_rows(str(tmp_path / "none" / "rows.csv"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        open_rows(str(tmp_path / "folder.jsonl"))
