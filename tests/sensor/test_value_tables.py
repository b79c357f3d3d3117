from pathlib import Path

import pytest

from sensor.service.config.value_tables import Devices, Severities
from sensor.service.config.values import WrongValueError

FOLDER = Path("/etc/multa")


def test_devices_have_one_form_of_each_address():
    given = {"AA:BB:CC:DD:EE:FF": " door ", "2001:DB8:0::1": "nas", "10.0.0.1": "printer"}
    assert Devices(3).parse(given, FOLDER) == {
        "aa:bb:cc:dd:ee:ff": "door",
        "2001:db8::1": "nas",
        "10.0.0.1": "printer",
    }


@pytest.mark.parametrize(
    ("value", "says", "below"),
    [
        (["a"], "an array is no table of MAC or IP addresses", ()),
        ({"aa:bb:cc:dd:ee": "x"}, "neither a MAC nor an IP address", ("aa:bb:cc:dd:ee",)),
        ({"00:00:00:00:00:00": "x"}, "neither a MAC nor an IP", ("00:00:00:00:00:00",)),
        ({"fe80::1%eth0": "x"}, "neither a MAC nor an IP address", ("fe80::1%eth0",)),
        ({"10.0.0.1": 5}, "'10.0.0.1': 5 is no text", ("10.0.0.1",)),
        ({"10.0.0.1": "x" * 65}, "has 65 characters; write at most 64", ("10.0.0.1",)),
        ({"10.0.0.1": {}}, "'10.0.0.1': a table is no text", ("10.0.0.1",)),
        ({"::1": "a", "0::1": "b"}, "'0::1' is given twice", ("0::1",)),
        ({f"10.0.0.{k}": "a" for k in range(4)}, "has 4 entries; 3 are allowed", ()),
    ],
)
def test_wrong_devices_are_told_with_their_key(value, says, below):
    with pytest.raises(WrongValueError) as caught:
        Devices(3).parse(value, FOLDER)
    assert says in str(caught.value)
    assert caught.value.below == below


def test_severities_are_one_to_three():
    assert Severities(3).parse({"scan": 1, "syn_dos": 3}, FOLDER) == {"scan": 1, "syn_dos": 3}
    for value, says, below in (
        ({"scan": 0}, "'scan': 0 is no whole number from 1 to 3", ("scan",)),
        ({"scan": 4}, "'scan': 4 is no whole number", ("scan",)),
        ({"Scan": 1}, "'Scan' is no task", ("Scan",)),
        ({f"t{k}": 1 for k in range(4)}, "has 4 entries", ()),
        (3, "3 is no table of tasks", ()),
    ):
        with pytest.raises(WrongValueError) as caught:
            Severities(3).parse(value, FOLDER)
        assert says in str(caught.value)
        assert caught.value.below == below
