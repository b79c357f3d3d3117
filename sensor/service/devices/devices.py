"""Names of the devices behind addresses, for people who read alerts.

What is known of an address comes from, in this order: what the operator has configured, DHCP leases
(`sensor.service.devices.leases`), and the kernel's neighbours, which know MAC addresses of IPv4
only. No network is asked. It is looked up when an alert is written, so it is what holds then; and
it may be wrong: devices choose the names with which they ask for leases, and make MAC addresses up.

Files are looked at again no more often than every `LOOK_S`, and read when they have changed. They
come and go and may be unreadable: then nothing is known, which `Devices.document` tells.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from sensor.errors import ConfigurationError
from sensor.service.devices.leases import LEASES, Lease, Leases, clean, clean_mac, read_leases

LOOK_S = 30.0
"""How often files are looked at again, at most."""

NEIGHBOURS = "/proc/net/arp"

_NEIGHBOURS_BYTES = 1 << 18
_ETHERNET = "0x1"  # ARPHRD_ETHER of linux/if_arp.h
_COMPLETE = 0x02  # ATF_COM: the address is known


class Devices:
    """What is known of the devices behind addresses; used by one thread."""

    def __init__(
        self,
        configured: Mapping[str, str] | None = None,
        leases: Sequence[str | Path] = (),
        neighbours: str | None = NEIGHBOURS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads nothing yet.

        Args:
            configured: names by MAC address or IP address.
            leases: lease files; those named first count before others.
            neighbours: the kernel's table of neighbours, or None.
            clock: in seconds, for how long what was read is good.

        Raises:
            ConfigurationError: a name is for nothing that could have one.
        """
        self._configured = dict(map(_entry, (configured or {}).items()))
        self._files = [_File(str(path)) for path in leases]
        self._neighbours_path = neighbours
        self._neighbours: dict[str, str] = {}
        self._clock = clock
        self._looked_s = -float("inf")

    def of(self, address: str) -> dict[str, str]:
        """``name`` and ``mac`` of the device that has an address, as far as they are known."""
        self._look()
        lease = next(
            (found for each in self._files if (found := each.leases.of.get(address))), None
        )
        lease = lease or Lease("", "")
        mac = lease.mac or self._neighbours.get(address, "")
        name = self._configured.get(address) or self._configured.get(mac) or lease.name
        return {key: value for key, value in (("name", name), ("mac", mac)) if value}

    def document(self) -> list[dict[str, object]]:
        """What `status` tells of each lease file."""
        return [
            {
                "path": each.path,
                "leases": len(each.leases.of),
                "malformed": each.leases.malformed,
                "unreadable": each.unreadable,
            }
            for each in self._files
        ]

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        for each in self._files:
            each.look()
        self._neighbours = _neighbours(self._neighbours_path) if self._neighbours_path else {}


class _File:
    """A lease file and what it held when it was last read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.leases = Leases()
        self.unreadable: str | None = None
        self._seen: tuple[int, ...] = ()

    def look(self) -> None:
        """Reads it if it is another file, or has changed, since it was last read."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 -- ValueError is caught too
            seen = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self.leases = read_leases(self.path, time.time())
                self._seen = seen
            self.unreadable = None
        except (OSError, ValueError) as error:
            self.leases, self._seen = Leases(), ()
            self.unreadable = (getattr(error, "strerror", None) or str(error)).lower()


def _entry(item: tuple[str, str]) -> tuple[str, str]:
    key, name = item
    mac, shown = clean_mac(key), clean(name)
    if not shown:
        raise ConfigurationError(f"[network.devices] {key}: its name is empty")
    if mac:
        return mac, shown
    try:
        return str(ip_address(key)), shown
    except ValueError:
        raise ConfigurationError(
            f"[network.devices] {key}: is neither a MAC address like 02:00:5e:00:53:01 nor an IP "
            "address"
        ) from None


def _neighbours(path: str) -> dict[str, str]:
    """MAC addresses by IPv4 address (proc_pid_net(5): a heading, then a line for each)."""
    found: dict[str, str] = {}
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- not all of it is read
            lines = file.read(_NEIGHBOURS_BYTES).decode("ascii", "replace").splitlines()
    except OSError:
        return found
    for line in lines[1:]:
        address, kind, flags, mac, *_ = [*line.split(), "", "", "", ""]
        if kind == _ETHERNET and flags.startswith("0x") and _is_complete(flags):
            if known := clean_mac(mac):
                found[address] = known
            if len(found) == LEASES:
                break
    return found


def _is_complete(flags: str) -> bool:
    try:
        return bool(int(flags, 16) & _COMPLETE)
    except ValueError:
        return False
