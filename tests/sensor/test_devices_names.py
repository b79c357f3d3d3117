"""What is known of devices: in which order, and when files are read again."""

import os
from pathlib import Path

import pytest

from sensor.errors import ConfigurationError
from sensor.service.devices.devices import LOOK_S, NEIGHBOURS, Devices

CAMERA, PHONE, TV = "02:00:5e:00:53:01", "02:00:5e:00:53:02", "02:00:5e:00:53:03"

ARP = f"""\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.10     0x1         0x2         {TV}     *        br-lan
192.168.1.20     0x1         0x2         {TV}     *        br-lan
192.168.1.21     0x1         0x0         00:00:00:00:00:00     *        br-lan
192.168.1.22     0x1         0x6         {PHONE}     *        br-lan
192.168.1.23     0x20        0x2         {PHONE}     *        ib0
damaged
192.168.1.24     0x1         0xzz        {PHONE}     *        br-lan
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "first").write_text(f"0 {CAMERA} 192.168.1.10 camera *\n0 * 192.168.1.11 guest *\n")
    (tmp_path / "second").write_text(
        f"0 {PHONE} 192.168.1.10 other *\n0 {PHONE} 192.168.1.12 phone *\n"
    )
    (tmp_path / "arp").write_text(ARP)
    return tmp_path


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def known(files, configured=None, clock=None):
    leases = [files / "first", files / "second", files / "missing"]
    return Devices(configured, leases, str(files / "arp"), clock or Clock())


def test_nothing_configured_is_nothing_known():
    assert Devices(neighbours=None).of("192.168.1.10") == {}


def test_files_that_are_named_first_count_before_others_and_neighbours_last(files):
    devices = known(files)
    assert devices.of("192.168.1.10") == {"name": "camera", "mac": CAMERA}
    assert devices.of("192.168.1.11") == {"name": "guest"}
    assert devices.of("192.168.1.12") == {"name": "phone", "mac": PHONE}
    assert devices.of("192.168.1.20") == {"mac": TV}
    assert devices.of("192.168.1.22") == {"mac": PHONE}
    for nobody in ("192.168.1.21", "192.168.1.23", "192.168.1.24", "192.168.1.99"):
        assert devices.of(nobody) == {}


def test_what_the_operator_says_goes_before_what_a_device_says(files):
    devices = known(
        files,
        {
            "192.168.1.10": "front door",
            CAMERA: "never shown",
            PHONE.upper(): "my phone",
            TV: "TV\x1b[31m",
            "2001:DB8:0::1": "router",
        },
    )
    assert devices.of("192.168.1.10") == {"name": "front door", "mac": CAMERA}
    assert devices.of("192.168.1.12") == {"name": "my phone", "mac": PHONE}
    assert devices.of("192.168.1.20") == {"name": "TV\\x1b[31m", "mac": TV}
    assert devices.of("2001:db8::1") == {"name": "router"}


@pytest.mark.parametrize("key", ["kitchen", "192.168.1.0/24", "00:00:00:00:00:00", ""])
def test_a_name_is_for_a_device(key):
    with pytest.raises(ConfigurationError, match=r"\[network\.devices\] .*neither a MAC"):
        Devices({key: "name"})
    with pytest.raises(ConfigurationError, match="is empty"):
        Devices({CAMERA: " "})


def test_files_are_looked_at_again_after_a_while_and_read_if_they_changed(files):
    clock = Clock()
    devices = known(files, clock=clock)
    assert devices.of("192.168.1.10")["name"] == "camera"
    # dnsmasq writes another file and renames it.
    (files / "new").write_text(f"0 {CAMERA} 192.168.1.10 renamed *\n")
    (files / "new").replace(files / "first")
    clock.now = LOOK_S - 0.1
    assert devices.of("192.168.1.10")["name"] == "camera"
    clock.now = LOOK_S
    assert devices.of("192.168.1.10")["name"] == "renamed"
    assert devices.of("192.168.1.11") == {}


def test_a_file_that_has_not_changed_is_not_read_again(files):
    clock = Clock()
    devices = known(files, clock=clock)
    devices.of("192.168.1.10")
    status = (files / "first").stat()
    with (files / "first").open("r+") as file:
        file.write(f"0 {CAMERA} 192.168.1.10 CAMERA")
    os.utime(files / "first", ns=(status.st_atime_ns, status.st_mtime_ns))
    clock.now = LOOK_S
    assert devices.of("192.168.1.10")["name"] == "camera"


def test_a_file_that_goes_away_takes_its_names_along(files):
    clock = Clock()
    devices = known(files, clock=clock)
    devices.of("192.168.1.10")
    assert [each["unreadable"] for each in devices.document()] == [
        None,
        None,
        "no such file or directory",
    ]
    (files / "first").unlink()
    (files / "arp").unlink()
    (files / "missing").write_text(f"0 {TV} 192.168.1.30 tv *\nnothing\n")
    clock.now = LOOK_S
    assert devices.of("192.168.1.10") == {"name": "other", "mac": PHONE}
    assert devices.of("192.168.1.20") == {}
    assert devices.of("192.168.1.30") == {"name": "tv", "mac": TV}
    assert devices.document()[2] == {
        "path": str(files / "missing"),
        "leases": 1,
        "malformed": 1,
        "unreadable": None,
    }


def test_the_kernels_own_table_is_read():
    devices = Devices()
    for line in Path(NEIGHBOURS).read_text().splitlines()[1:]:
        address, kind, flags, mac, *_ = line.split()
        if kind == "0x1" and int(flags, 16) & 2:
            assert devices.of(address) == {"mac": mac}
    assert devices.of("203.0.113.254") == {}
