import numpy as np
import pytest
from command import ROOT
from feature_rows import random_rows

from sensor.flows.columns import COLUMNS, columns_of
from sensor.model.fields import OPTIONAL_FIELDS


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


def test_a_row_is_offloaded_by_its_own_packets():
    batch = random_rows(4, 4, seed=0)
    batch.ip_length[:] = 40
    for row, (place, length) in enumerate(((0, 1_500), (3, 1_501), (1, 65_535), (2, 1_499))):
        batch.ip_length[row, place] = length
    assert columns_of(batch)["offloaded"] == [False, True, True, False]


def test_every_column_is_described():
    page = (ROOT / "docs" / "flows.md").read_text()
    described = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert described == [*COLUMNS, *OPTIONAL_FIELDS]


@pytest.mark.parametrize("optional", [("ttl",), ("tcp_window",), OPTIONAL_FIELDS])
def test_optional_columns_stand_behind_the_others(optional):
    batch = random_rows(16, 50, seed=3, optional=optional)
    columns = columns_of(batch)
    assert tuple(columns) == (*COLUMNS, *optional)
    for name in optional:
        raw = getattr(batch, name)
        assert columns[name] == [
            row[:length].tolist() for row, length in zip(raw, batch.length, strict=True)
        ]
        assert raw.any()


def test_values_are_python_numbers():
    columns = columns_of(random_rows(4, 3, seed=1))
    for values in columns.values():
        for value in values:
            parts = value if isinstance(value, list) else [value]
            assert not any(isinstance(part, np.generic) for part in parts)
