import importlib
import json
import sys

import numpy as np
import pytest
from command import ROOT
from feature_rows import random_rows

from sensor.errors import HostError, OutputError, UsageError
from sensor.flows.sequences import SequenceBatch
from sensor.service.row_files import COLUMNS, columns_of, open_rows


def test_columns_are_those_of_the_batch():
    batch = random_rows(16, 50, seed=2)
    columns = columns_of(batch)
    assert tuple(columns) == COLUMNS
    assert {len(values) for values in columns.values()} == {50}
    for row in range(50):
        length = int(batch.length[row])
        assert columns["ip_length"][row] == batch.ip_length[row, :length].tolist()
        assert columns["direction"][row] == batch.direction[row, :length].tolist()
        assert columns["dst_10s"][row] == int(batch.context[row, 5])


def test_addresses_of_both_versions():
    batch = random_rows(4, 2, seed=0)
    batch.version[:] = 4, 6
    batch.source_high[:] = 0, 0x20010DB8_00000000
    batch.source_low[:] = 0x0A000001, 1
    assert columns_of(batch)["src_ip"] == ["10.0.0.1", "2001:db8::1"]


def test_every_column_is_described():
    page = (ROOT / "docs" / "flows.md").read_text()
    described = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert described == list(COLUMNS)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".CSV"])
def test_no_rows_make_a_whole_file(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    path = tmp_path / f"rows{suffix}"
    writer = open_rows(str(path))
    writer.write(SequenceBatch.empty(16))
    writer.close()
    writer.close()
    if suffix == ".parquet":
        table = importlib.import_module("pyarrow.parquet").read_table(path)
        assert (table.num_rows, table.column_names) == (0, list(COLUMNS))
    else:
        heading = "" if suffix == ".jsonl" else ",".join(COLUMNS) + "\n"
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


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HostError, match=r"pip install 'multa\[parquet\]'"):
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


def test_values_are_python_numbers():
    columns = columns_of(random_rows(4, 3, seed=1))
    for values in columns.values():
        for value in values:
            parts = value if isinstance(value, list) else [value]
            assert not any(isinstance(part, np.generic) for part in parts)
