"""How far the forwarder is: written whole, read back, and damaged."""

import dataclasses
import json
import random

import pytest

from sensor.reporting.alert_follow import Place
from sensor.service.forwarding.places import read_places, write_places

LOG = "/var/log/multa/alerts.json"
PLACES = {
    "syslog": [Place(17, 1200, "ab" * 8, 1_700_000_000_123_456_789, behind=True)],
    "mqtt": [Place(16, 9, "00" * 8, 1, behind=False), Place(17, 0, "cd" * 8, 2, behind=True)],
}


@pytest.fixture
def state(tmp_path):
    return tmp_path / "forward.json"


def test_what_was_written_is_read_and_belongs_to_one_log(state):
    assert read_places(state, LOG) == {}
    write_places(state, LOG, PLACES)
    assert read_places(state, LOG) == PLACES
    assert read_places(state, "/elsewhere") == {}
    assert state.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in state.parent.iterdir()] == ["forward.json"]


def test_an_old_file_stays_where_a_new_one_can_not_be_written(state):
    write_places(state, LOG, PLACES)
    (state.parent / "forward.json.new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_places(state, LOG, {})
    assert read_places(state, LOG) == PLACES


def test_a_damaged_file_is_none(state):
    write_places(state, LOG, PLACES)
    good = state.read_bytes()
    generator = random.Random(3)
    refused = 0
    for _ in range(500):
        content = bytearray(good)
        for _ in range(generator.randrange(1, 4)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        state.write_bytes(content[: generator.choice([len(content), generator.randrange(400)])])
        found = read_places(state, LOG)
        refused += found is None
        for place in [each for some in (found or {}).values() for each in some]:
            assert {type(value) for value in dataclasses.asdict(place).values()} == {int, str, bool}
    assert refused > 300
    for content in ("", "[]", "[" * 100_000, json.dumps({"format": 2, "log": LOG, "places": {}})):
        state.write_text(content)
        assert read_places(state, LOG) is None
