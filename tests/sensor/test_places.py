"""Where commands look for what a sensor writes."""

from pathlib import Path

import pytest

from sensor.cli.places import Places
from sensor.errors import UsageError


@pytest.fixture
def configured(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(
        '[capture]\ninterfaces = ["eth0"]\n[alerts]\noutput = "/var/a.json"\n'
        '[evidence]\ndirectory = ""\n[health]\nstatus = "/var/s.json"\n'
    )
    return path


def test_places_are_those_of_the_configuration_unless_named(configured):
    places = Places(configured)
    assert places.alert_log(None) == "/var/a.json"
    assert places.evidence(None) is None
    assert places.status(None) == Path("/var/s.json")
    assert places.alert_log("mine") == "mine"
    assert places.evidence(Path("e")) == Path("e")


def test_nothing_is_read_where_all_is_named(tmp_path):
    assert Places(tmp_path / "missing").alert_log("mine") == "mine"


def test_standard_output_is_no_log_that_can_be_read(configured):
    configured.write_text(configured.read_text().replace("/var/a.json", "-"))
    with pytest.raises(UsageError, match="standard output"):
        Places(configured).alert_log(None)
