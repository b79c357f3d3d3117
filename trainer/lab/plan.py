"""The plan of one recording: hosts, activities, attacks, and which flows are whose.

Columns of choices that the seed has made (`trainer.lab.planning`); nothing is drawn here.
"""

import functools
import ipaddress
from dataclasses import dataclass
from typing import Any

from trainer.lab.catalogue import STACKS, Stack

SSDP_GROUP = "239.255.255.250"
SSDP_PORT = 1900


@dataclass(frozen=True)
class Host:
    """One namespace.

    Attributes:
        side: ``lan``, ``wan`` or ``gateway``.
        hops: routers between a WAN host and the lab, taken off its time to live.
        delay_ms, jitter_ms: one-way delay of its link, and the most that is added to it.
        loss: share of frames that its link loses.
        key: ``rsa`` or ``ec``, the key of its TLS services.
        replies: answers of its UPnP service to a search for everything.
        replies_from: ``service`` (port 1900) or ``ephemeral`` (a new port for each search).
        rate_kbit: of its link, thousand bits a second; 0: any.
        loss_burst: frames that its link loses in a row, on average.
    """

    name: str
    group: str
    side: str
    address: str
    mac: str
    stack_name: str
    hops: int
    delay_ms: float
    jitter_ms: float
    loss: float
    services: tuple[str, ...]
    key: str
    replies: int
    replies_from: str
    rate_kbit: float = 0.0
    loss_burst: float = 1.0

    @property
    def stack(self) -> Stack:
        """Its stack's parameters."""
        return STACKS[self.stack_name]

    @property
    def ipv6(self) -> bool:
        """Whether its interface can carry IPv6, which asks for 1,280 bytes (RFC 8200 section 5)."""
        return self.stack.mtu >= 1280

    @property
    def ttl(self) -> int:
        """Time to live with which its packets reach the lab."""
        return self.stack.ttl - self.hops


@dataclass(frozen=True)
class Activity:
    """What one host does throughout the recording, from `first_s` on."""

    host: str
    activity: str
    targets: tuple[str, ...]
    first_s: float
    settings: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class Claim:
    """Tuples that belong to an attack while it lasts, in the columns of a label file.

    No benign activity opens a flow that fits a claim while it stands.
    """

    src: str
    src_port: str
    dst: str
    dst_port: str
    proto: str
    value: str

    def fits(self, src: str, src_port: int, dst: str, dst_port: int, proto: str) -> bool:
        """Whether a flow has the tuple in either direction; a port of 0 is not yet known."""
        if proto != self.proto:
            return False
        one, other = (src, src_port), (dst, dst_port)
        return any(
            _holds(self.src, self.src_port, *a) and _holds(self.dst, self.dst_port, *b)
            for a, b in ((one, other), (other, one))
        )

    def meets(self, other: "Claim") -> bool:
        """Whether a flow could have both tuples."""
        ours = ((self.src, self.src_port), (self.dst, self.dst_port))
        theirs = ((other.src, other.src_port), (other.dst, other.dst_port))
        return self.proto == other.proto and any(
            all(_meet(*a, *b) for a, b in zip(ours, ends, strict=True))
            for ends in (theirs, theirs[::-1])
        )


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        start_s, seconds: when, from the start of the recording.
        packets: most packets (or renegotiations) that it may send.
        sources: prefixes of its source addresses.
        reflectors: addresses that a reflection is sent to.
        targets: every address that a scan goes to, the victim's first; of others none.
        claims: what is its own.
    """

    index: int
    task: str
    host: str
    victim: str
    port: int
    start_s: float
    seconds: float
    packets: int
    sources: tuple[str, ...]
    reflectors: tuple[str, ...]
    settings: dict[str, Any]
    claims: tuple[Claim, ...]
    seed: int
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything that happens in one recording.

    Attributes:
        lan: prefix of the LAN.
        spoofable: its upper half.
        nowhere: an internet address that answers nothing.
        hosts: the gateway first.
    """

    scenario: str
    seed: int
    duration_s: float
    lan: str
    spoofable: str
    nowhere: str
    isp: str
    uplink: str
    hosts: tuple[Host, ...]
    activities: tuple[Activity, ...]
    attacks: tuple[Attack, ...]

    @property
    def gateway(self) -> Host:
        """The host with the bridge."""
        return self.hosts[0]

    @property
    def ipv6(self) -> bool:
        """Whether any activity speaks IPv6; hosts have no such addresses otherwise."""
        return any(activity.settings.get("ip") == "6" for activity in self.activities)

    @property
    def prefix6(self) -> str:
        """The lab's 48 bits of unique local addresses (RFC 4193), without what stands behind."""
        lan = int(_network(self.lan).network_address)
        return f"fd{lan >> 24:02x}:{lan >> 8 & 0xFFFF:x}:{self.seed & 0xFFFF:x}"

    def address6(self, host: Host) -> str:
        """A host's IPv6 address: on the LAN's own 64 bits, or on one of the internet's."""
        identifier = int(host.mac.replace(":", ""), 16)
        low = f"{identifier >> 32:x}:{identifier >> 16 & 0xFFFF:x}:{identifier & 0xFFFF:x}"
        return f"{self.prefix6}:{'ff' if host.side == 'wan' else '1'}:0:{low}"

    def host(self, address: str) -> Host | None:
        """The host with an address, if there is one."""
        return next((host for host in self.hosts if host.address == address), None)


@functools.lru_cache
def _network(prefix: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(prefix)


def _holds(prefix: str, port: str, address: str, number: int) -> bool:
    # No claim is of IPv6, so that its addresses are in none.
    inside = ipaddress.ip_address(address) in _network(prefix)
    return inside and (port == "*" or int(port) == number)


def _meet(prefix: str, port: str, other_prefix: str, other_port: str) -> bool:
    ports = "*" in {port, other_port} or port == other_port
    return ports and _network(prefix).overlaps(_network(other_prefix))
