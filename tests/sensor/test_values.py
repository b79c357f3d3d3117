import datetime as dt
from ipaddress import ip_network
from pathlib import Path

import pytest

from sensor.service.config.setting_tables import Forward
from sensor.service.config.settings import DEFINITIONS
from sensor.service.config.values import (
    BitsBeyondPrefixError,
    Choice,
    Expiry,
    FilePath,
    Flag,
    InterfaceName,
    ListOf,
    ModelChoice,
    Network,
    OutputPath,
    Text,
    Whole,
    WrongValueError,
    network,
    shown,
)

FOLDER = Path("/etc/multa")
SECOND = 10**9


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (Flag(), False, False),
        (Whole(2, 9), 2, 2),
        (Whole(2, 9), 9, 9),
        (Whole(2, 9, also=0), 0, 0),
        (Choice(("a", "b")), "b", "b"),
        (Text(), "  für Kim ", "für Kim"),
        (InterfaceName(), "wlan0.5@x", "wlan0.5@x"),
        (InterfaceName(), "a" * 15, "a" * 15),
        (FilePath(), "/a/b", Path("/a/b")),
        (FilePath(), "keys/a.pem", Path("/etc/multa/keys/a.pem")),
        (FilePath(optional=True), "", None),
        (OutputPath(), "-", "-"),
        (OutputPath(), "a.json", "/etc/multa/a.json"),
        (ModelChoice(), "iot-gateway", "iot-gateway"),
        (ModelChoice(), "./mine", "/etc/multa/mine"),
        (ModelChoice(), "/opt/mine", "/opt/mine"),
        (Network(), "192.168.1.7", ip_network("192.168.1.7/32")),
        (Network(), "fd00::/8", ip_network("fd00::/8")),
        (ListOf(Whole(1, 9), 3), [3, 1], (3, 1)),
        (Expiry(), "never", None),
        (Expiry(), dt.date(1970, 1, 3), 2 * 86_400 * SECOND),
        (Expiry(), dt.datetime(1970, 1, 1, 0, 1, 0, 5), 60 * SECOND + 5_000),  # noqa: DTZ001
        # an hour before the same clock reading at Greenwich
        (
            Expiry(),
            dt.datetime(1970, 1, 1, 3, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            7_200 * SECOND,
        ),
    ],
)
def test_what_is_right_becomes_what_the_program_uses(kind, value, parsed):
    found = kind.parse(value, FOLDER)
    assert (found, type(found)) == (parsed, type(parsed))


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (Flag(), 1, "1 is neither true nor false"),
        (Flag(), "yes", "'yes' is neither true nor false"),
        (Whole(2, 9), 1, "1 is no whole number from 2 to 9; write one like 2"),
        (Whole(2, 9), 10, "10 is no whole number"),
        (Whole(0, 9), True, "true is no whole number"),
        (Whole(0, 9), 1.0, "1.0 is no whole number"),
        (Whole(0, 9), float("nan"), "nan is no whole number"),
        (Whole(0, 9, "MiB"), 1 << 200, "a number of that size is no whole number from 0 to 9 ("),
        (Choice(("a", "b")), "A", '\'A\' is not "a" or "b"'),
        (Choice(("a", "b")), ["a"], "an array is not"),
        (Text(), "", "'' is no text"),
        (Text(), " \t", "is no text"),
        (Text(), "a\nb", "is no text"),
        (Text(), "a" * 201, "has 201 characters"),
        (InterfaceName(), "a" * 16, "is no name of an interface"),
        (InterfaceName(), "ä" * 8, "is no name of an interface"),  # 16 bytes
        (InterfaceName(), "..", "is no name of an interface"),
        (InterfaceName(), "eth0:1", "is no name of an interface"),
        (InterfaceName(), "a b", "is no name of an interface"),
        (InterfaceName(), 0, "0 is no name of an interface"),
        (FilePath(), "", "'' is no path"),
        (FilePath(), "~/a", "~ means nothing here"),
        (FilePath(), "/a\0b", "is no path"),
        (FilePath(), "/" + "a" * 1_024, "longer than 1024 bytes"),
        (OutputPath(), 1, "1 is no path"),
        (ModelChoice(), "Mine", "'Mine' is no name of a bundle"),
        (ModelChoice(), "..", "is no name of a bundle"),
        (Network(), "192.168.1.7/24", "write 192.168.1.0/24 for the network, or 192.168.1.7/32"),
        (Network(), "10.0.0.0/33", "'10.0.0.0/33' is no network"),
        (Network(), 10, "10 is no network or address"),
        (ListOf(Whole(1, 9), 2), [1, 2, 3], "has 3 entries; 2 are allowed"),
        (ListOf(Whole(1, 9), 3), [1, 1], "1 is given twice"),
        (ListOf(Network(), 3), ["10.0.0.1", "10.0.0.1/32"], "is given twice"),
        (ListOf(Whole(1, 9), 3), 1, "1 is no array; write one like [1]"),
        (ListOf(Whole(1, 9), 3), [{}], "a table is no whole number"),
        (Expiry(), "soon", "'soon' is no date"),
        (Expiry(), dt.time(1), "01:00:00 is no date"),
        (Expiry(), dt.date(2262, 4, 12), "is not between 1970 and 2262"),
        (Expiry(), dt.date(1969, 12, 31), "is not between 1970 and 2262"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(kind, value, says):
    with pytest.raises(WrongValueError) as caught:
        kind.parse(value, FOLDER)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


ADDRESSES = {
    "syslog": (
        ["", "udp://10.0.0.1", "udp://h:514", "tcp://[fd00::1]:601", "unix:/dev/log"],
        [
            "h:514",
            "udp://",
            "udp://h:0",
            "udp://h:65536",
            "udp://h:\u0665",
            "unix:dev/log",
            "tls://h",
            "udp://[::::]:5",
            "unix:/a?b",
        ],
    ),
    "mqtt": (
        ["", "mqtt://h/t", "mqtts://u@h.example:8883/a/b", "mqtt://[::1]:1883/t"],
        [
            "mqtt://h",
            "mqtt://h/",
            "mqtt://h/a/#",
            "mqtt://h/+/a",
            "mqtt://u:p@h/t",
            "http://h/t",
            "mqtt://\u2100@h/t",
            "mqtt://u#@h/t",
            "mqtt://h/a?b",
        ],
    ),
    "http": (
        ["", "127.0.0.1:9775", "localhost:80", "[::1]:9775"],
        ["9775", "0.0.0.0:9775", "192.168.1.1:80", "127.0.0.1", "127.0.0.1:0", "::1:9775"],
    ),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_of_the_forwarder(name):
    kind = DEFINITIONS[f"forward.{name}"].kind
    right, wrong = ADDRESSES[name]
    assert [kind.parse(each, FOLDER) for each in right] == right
    for each in [*wrong, 5, None]:
        with pytest.raises(WrongValueError):
            kind.parse(each, FOLDER)
    assert getattr(Forward(), name) == ""


def test_network_knows_which_of_two_things_is_wrong():
    assert network("10.0.0.0/8") == ip_network("10.0.0.0/8")
    with pytest.raises(BitsBeyondPrefixError):
        network("10.0.0.1/8")
    with pytest.raises(WrongValueError, match="is no network") as caught:
        network("10.0.0.0/255.0.0.0")
    assert not isinstance(caught.value, BitsBeyondPrefixError)


def test_values_are_shown_on_one_short_line():
    assert shown("a\x1b\nb") == "'a\\x1b\\nb'"
    assert len(shown("x" * 1_000)) == 62
    assert [shown(each) for each in (True, [], [1], {}, 7)] == [
        *("true", "an empty array", "an array", "a table", "7")
    ]


def test_numbers_that_python_does_not_write_are_shown_too():
    assert shown(1 << 20_000) == "a number of that size"
