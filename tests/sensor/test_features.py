import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from command import ROOT

from sensor.model import features
from sensor.model.encoding import encode
from sensor.model.fields import CONTEXT_FIELDS, FIELDS, LATENCY_FIELDS
from sensor.model.golden import empty_rows
from sensor.model.schema import FeatureSchema

COMMAND = "python -m sensor.model.features > docs/features.md"
PAGE = ROOT / "docs" / "features.md"


def test_the_committed_page_is_what_the_command_writes():
    arguments = COMMAND.split()[1:3]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode() == PAGE.read_text(), f"run {COMMAND}"
    assert f"`{COMMAND}`" in PAGE.read_text()
    assert f"`{COMMAND}`" in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("name", [*FIELDS, *CONTEXT_FIELDS, *LATENCY_FIELDS])
def test_every_field_is_described_in_full(name):
    field = (FIELDS | CONTEXT_FIELDS | LATENCY_FIELDS)[name]
    text = PAGE.read_text()
    assert field.meaning.endswith(".")
    assert field.caveat.endswith(".")
    assert len(field.caveat) > 60
    (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` | {field.unit} |"))
    for channel in field.channels:
        assert f"`{channel}`" in row
    (heading,) = (line for line in text.splitlines() if line[:3] == "###" and f"`{name}`" in line)
    section = text[text.index(heading) :]
    assert section.index(field.meaning) < section.index(field.caveat) < section.index("\n#")


def test_codes_are_those_that_packets_get():
    """Counted through the encoder, over all raw values of the small fields."""
    for name, count in (("ip_length", 65_536), ("tcp_flags", 256)):
        batch = empty_rows(1, count)
        batch.length[:] = batch.direction[:] = 1
        getattr(batch, name)[:, 0] = np.arange(count)
        schema = FeatureSchema(lengths=(1,), fields=(name,), context=())
        codes = np.unique(encode(schema, batch).codes)
        assert features.codes_used(FIELDS[name]) == codes.size
    # 0, 2, 3, 4 and so on to 52: a microsecond is an octave above 0
    assert features.codes_used(FIELDS["interarrival"]) == 52
    small = [features.codes_used(FIELDS[name]) for name in ("direction", "protocol", "valid")]
    assert small == [2, 4, 1]


def test_examples_worked_out_by_hand():
    """8·log2(1501) = 84.4; 4·log2(31) = 19.8; 2·log2(1001) = 19.9; and the clips."""
    text = PAGE.read_text()
    # 2^(83.5/8) − 1 = 1385.8 and 2^(84.5/8) − 1 = 1511.2
    assert "| 1,500 | 84 | 0.6562 | 1,386 to 1,511 |" in text
    assert "| 30 | 20 | 0.3125 | 29 to 33 |" in text
    assert "| 1,000 | 20 | 0.3125 | 861 to 1,216 |" in text
    assert "| 0 | 0 | 0 | no other |" in text
    assert "| 65,535 | 128 | 1 | 62,757 and more |" in text
    # 8·log2(20001) = 114.3, 2^(113.5/8) − 1 = 18,656.3, 2^(114.5/8) − 1 = 20,345.1
    assert "| 20,000 | 114 | 0.4453 | 18,657 to 20,345 |" in text
    assert "| 240,000 | 71 | 0.5547 | 202,140 to 240,386 |" in text
    assert "| 60,000,000 | 52 | 0.8125 | 56,431,603 and more |" in text


def test_every_entry_of_a_schema_is_described():
    described = PAGE.read_text()
    described = described[described.index("## Sequences") :]
    for entry in fields(FeatureSchema):
        if entry.name not in ("fields", "context"):
            assert f"| `{entry.name}` | " in described
