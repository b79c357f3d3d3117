import fcntl
import socket
import struct
import subprocess
import time
from pathlib import Path

import netns
import pytest

from sensor.capture.interfaces import describe, interfaces
from sensor.errors import CaptureUnavailableError


def test_interfaces_are_those_of_sysfs():
    found = {entry.name: entry for entry in interfaces()}
    assert set(found) == {path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()}
    for name, entry in found.items():
        told = {
            key: Path("/sys/class/net", name, key).read_text().strip()
            for key in ("ifindex", "mtu", "address", "type", "flags")
        }
        assert (entry.index, entry.mtu) == (int(told["ifindex"]), int(told["mtu"]))
        assert entry.supported == (told["type"] in ("1", "772"))
        assert entry.mac == (told["address"] if entry.supported else "")
        assert (entry.state == "down") == (int(told["flags"], 16) & 1 == 0)


def test_loopback_is_an_interface_with_ethernet_headers():
    loopback = describe("lo")
    assert loopback.loopback
    assert loopback.supported
    assert loopback.link == "loopback"


@pytest.mark.parametrize("name", ["none0", "", "a" * 16, "a" * 200, "a\0b", "ü" * 9])
def test_unknown_interface_names_the_command_that_lists_them(name):
    with pytest.raises(CaptureUnavailableError, match="multa-sensor interfaces"):
        describe(name)


@pytest.mark.network
def test_states_and_links_in_a_namespace():
    with netns.link() as cable:
        with netns.inside(cable.near):
            socket_there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ip = ["ip", "-n", cable.near]
        with socket_there:
            assert describe(cable.port, socket_there).state == "up"
            subprocess.run(["ip", "-n", cable.far, "link", "set", cable.port, "down"], check=True)
            # The kernel notices the missing carrier a moment later.
            deadline = time.monotonic() + 30
            while describe(cable.port, socket_there).state == "up":
                assert time.monotonic() < deadline
            assert describe(cable.port, socket_there).state == "no carrier"
            subprocess.run([*ip, "link", "set", cable.port, "down"], check=True)
            assert describe(cable.port, socket_there).state == "down"
            make_tunnel(cable.near)
            tunnel = describe("multatun0", socket_there)
            assert not tunnel.supported
            assert tunnel.link == "no link header"
            assert tunnel.mac == ""


def make_tunnel(namespace: str) -> None:
    """A persistent tun interface, whose packets have no link header (linux/if_tun.h)."""
    with netns.inside(namespace), Path("/dev/net/tun").open("r+b", buffering=0) as tun:
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"multatun0", 0x1001))
        fcntl.ioctl(tun, 0x400454CB, 1)
