"""Leases of DHCP servers: which device has which address, and what it calls itself.

Three kinds of lease file, told apart by their content:

- dnsmasq's: a line for each lease, ``expiry MAC address name client-id`` (lease.c of dnsmasq);
- ISC dhcpd's: blocks ``lease ADDRESS { … }``, of which later ones count (dhcpd.leases(5));
- Kea's: CSV with a first line that names the columns, of which later lines count (memfile backend).

A device chooses the name with which it asks for a lease: that is foreign text. Lines that are none
of these are counted and left out. Memory is bounded whatever a file holds.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import ip_address

FILE_BYTES = 1 << 20
"""Of a longer file the end is read: where servers add to their files, that is what counts."""

LEASES = 4_096
"""Leases that are kept of a file, the last ones; a gateway's network is a /20 at most."""

NAME_LENGTH = 64
"""Greatest length of a name; DNS permits 63 for a label (RFC 1035, 2.3.4)."""

_LINE_BYTES = 2_048
_FIRST_CLOCK_S = 1_000_000_000
"""Below it (2001) an expiry of dnsmasq's is no time of day: built for machines without a clock
(HAVE_BROKEN_RTC), it writes durations."""

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_BEGIN = re.compile(r"lease\s+(\S+)\s*\{")
_TIME = re.compile(r"\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Lease:
    """What a lease tells: the device's own `name` and its `mac`, each perhaps empty."""

    name: str
    mac: str


@dataclass(slots=True)
class Leases:
    """Active leases of a file by address, in the way `ipaddress` writes addresses.

    Attributes:
        of: the leases.
        malformed: lines, or blocks, that are no lease.
    """

    of: dict[str, Lease] = field(default_factory=dict)
    malformed: int = 0

    def keep(self, address: str, lease: Lease | None) -> None:
        """Takes what is told last of an address; None for one that is nobody's now."""
        try:
            written = str(ip_address(address))
        except ValueError:
            self.malformed += 1
            return
        self.of.pop(written, None)
        if lease and (lease.name or lease.mac):
            self.of[written] = lease
            if len(self.of) > LEASES:
                del self.of[next(iter(self.of))]


def read_leases(path: str, now_s: float) -> Leases:
    """The active leases of a file.

    Args:
        path: of the file.
        now_s: time since 1970; leases that ended before are left out.

    Raises:
        OSError: it can't be read, or is no regular file.
    """
    # A named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(22, "is no regular file", path)
        head = file.read(min(FILE_BYTES, 1 << 16))
        file.seek(max(0, status.st_size - FILE_BYTES))
        if status.st_size > FILE_BYTES:
            file.readline(FILE_BYTES)  # the rest of a line
        # Bytes that are no text stay apart from those that are.
        lines = (
            line.decode("utf-8", "backslashreplace").strip()
            for line in _bounded(file.readline, FILE_BYTES)
        )
        leases = Leases()
        _parser(head)(lines, leases, now_s)
    return leases


def clean(name: str) -> str:
    """A foreign name that can be shown: characters that can't be are escaped, and it is short."""
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in name[:NAME_LENGTH].strip()
    )
    return shown[:NAME_LENGTH]


def clean_mac(text: str) -> str:
    """An Ethernet address with colons and small letters; empty if it is none, or says nothing."""
    mac = text.strip().lower().replace("-", ":")
    return mac if _MAC.fullmatch(mac) and mac != "00:00:00:00:00:00" else ""


_Parser = Callable[[Iterable[str], Leases, float], None]


def _parser(head: bytes) -> _Parser:
    if head.startswith(b"address,"):
        columns = head.split(b"\n", 1)[0].decode("utf-8", "backslashreplace").strip().split(",")
        return lambda lines, leases, now_s: _kea(lines, leases, now_s, columns)
    text = head.decode("utf-8", "backslashreplace")
    if re.search(r"^(lease\s+\S+\s*\{|authoring-byte-order|server-duid\s+\")", text, re.MULTILINE):
        return _isc
    return _dnsmasq


def _bounded(readline: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """Lines, of which longer ones come in parts, until so many bytes were read."""
    while count > 0 and (line := readline(_LINE_BYTES)):
        count -= len(line)
        yield line


def _dnsmasq(lines: Iterable[str], leases: Leases, now_s: float) -> None:
    for line in lines:
        words = line.split()
        if not words or words[0] == "duid":  # the server's own, before leases of IPv6
            continue
        if len(words) < 4 or not words[0].isdecimal():
            leases.malformed += 1
            continue
        expiry = int(words[0][:20])
        over = _FIRST_CLOCK_S <= expiry < now_s  # 0 is for ever
        name = "" if words[3] == "*" else clean(words[3])
        leases.keep(words[2], None if over else Lease(name, clean_mac(words[1])))


def _kea(lines: Iterable[str], leases: Leases, now_s: float, columns: list[str]) -> None:
    for line in lines:
        values = line.split(",")
        if not line or values[0] == "address":
            continue
        if len(values) != len(columns):
            leases.malformed += 1
            continue
        row = dict(zip(columns, values, strict=True))
        expiry = row.get("expire", "")
        if not expiry.isdecimal():
            leases.malformed += 1
            continue
        # State 0 is an assigned lease; Kea writes a comma in a name as its code.
        over = row.get("state", "0") != "0" or int(expiry[:20]) < now_s
        name = clean(row.get("hostname", "").replace("&#x2c", ",").rstrip("."))
        leases.keep(row["address"], None if over else Lease(name, clean_mac(row.get("hwaddr", ""))))


def _isc(lines: Iterable[str], leases: Leases, now_s: float) -> None:
    address, name, mac, active = "", "", "", True
    for line in lines:
        if begins := _BEGIN.match(line):
            leases.malformed += bool(address)
            address, name, mac, active = begins[1], "", "", True
        elif not address:
            continue
        elif line == "}":
            leases.keep(address, Lease(name, mac) if active else None)
            address = ""
        elif line.startswith("binding state "):
            active &= line == "binding state active;"
        elif line.startswith("ends "):
            active &= _ends_s(line) >= now_s
        elif line.startswith("hardware ethernet "):
            mac = clean_mac(line.removeprefix("hardware ethernet ").rstrip(";"))
        elif line.startswith("client-hostname ") and (quoted := _QUOTED.search(line)):
            # Octal codes stand for what can't be shown; they stay as they are.
            name = clean(quoted[1])
    leases.malformed += bool(address)


def _ends_s(line: str) -> float:
    """When a lease ends; for ever where that can't be read, as ``never``."""
    if epoch := re.match(r"ends epoch (\d{1,15})", line):
        return float(epoch[1])
    if not (time := _TIME.search(line)):
        return float("inf")
    year, month, day, hour, minute, second = map(int, re.findall(r"\d+", time[0]))
    try:
        ends = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        return ends.timestamp()
    except ValueError:
        return float("inf")
