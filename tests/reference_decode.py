"""A plain second reading of frames: rules 19 to 26 of `docs/semantics.md`, one after the other.

Built on dpkt's headers and plain dictionaries; nothing of the sensor is imported. The vectorized
decoder is held against this, and this against hand-worked frames, dpkt's own descent where that
answers the same question, tshark, and the Community ID baseline.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

import dpkt
from reference_link import Refused, find_datagram, header, takes_slow_path

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
INNER_VERSIONS = {4: 4, 41: 6}
"""Protocols whose payload is another IP header."""
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION)

TRANSPORTS = {
    TCP: dpkt.tcp.TCP,
    UDP: dpkt.udp.UDP,
    SCTP: dpkt.sctp.SCTP,
    ICMP: dpkt.icmp.ICMP,
    ICMPV6: dpkt.icmp6.ICMP6,
}
COUNTERPARTS = {
    ICMP: {0: 8, 8: 0, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17},
    ICMPV6: {a + b: a + 1 - b for a in (128, 130, 133, 135, 139, 144) for b in (0, 1)},
}
"""Two-way messages and their answers, Community ID specification."""

SECOND_NS = 1_000_000_000
STEP_NS = 10 * SECOND_NS
"""A time that is further behind than this comes from a clock that was set back."""
SLOW_FRAMES_A_SECOND = 1_000
FIRST_FRAGMENTS = 4_096
FRAGMENT_AGE_NS = 30 * SECOND_NS
OFFLOAD_BYTES = 1_500


class Packet(NamedTuple):
    """A decoded packet: the columns of `Headers`, less the time.

    The last two are 0 in packets that no frame was read for.
    """

    version: int
    protocol: int
    source: int
    destination: int
    source_port: int
    destination_port: int
    ip_length: int
    payload_length: int
    tcp_flags: int
    ttl: int = 0
    tcp_window: int = 0


class Frame(NamedTuple):
    """A frame of a capture; `wire_length` −1 stands for that of the bytes."""

    time_ns: int
    octets: bytes
    wire_length: int = -1
    link_type: int = 1
    stripped_tags: int = 0

    def decode(self) -> Packet | str:
        """Its headers or its refusal, as if it were the first frame of a capture."""
        return ReferenceDecoder().decode(self)


@dataclass(frozen=True)
class Network:
    """An IP header with its extensions.

    Attributes:
        version: 4 or 6.
        protocol: what follows the header and its extensions.
        source, destination: addresses.
        ip_length: of the datagram, rules 21 and 22.
        header_length: with all options and extensions.
        after: captured bytes that follow.
        ttl: time to live or hop limit of this header.
        fragment: ``first``, ``later``, or empty.
        identity: what the fragments of one datagram share, where there is one.
    """

    version: int
    protocol: int
    source: int
    destination: int
    ip_length: int
    header_length: int
    after: bytes
    ttl: int
    fragment: str = ""
    identity: tuple[int, ...] = ()

    @property
    def rest(self) -> int:
        """Bytes of the datagram after its headers."""
        return self.ip_length - self.header_length


class ReferenceDecoder:
    """Decodes frames in the order of the capture.

    Attributes:
        decoded: how many were.
        refused: how many were not, by reason.
        offloaded: decoded packets that are longer than Ethernet carries (rule 26).
        fragments_unmatched: later fragments without a first one (rule 24).
        slow: frames that took the slow path (rule 19).
        remark: what other readers may not make of the latest frame: a ``later fragment`` has no
            ports for them, and they may give up on TCP with ``cut options``.
    """

    def __init__(self) -> None:
        self.decoded = self.offloaded = self.fragments_unmatched = self.slow = 0
        self.refused: Counter[str] = Counter()
        self.remark = ""
        self._slow_greatest_ns = -(1 << 62)
        self._slow_in_second = 0
        self._first_fragments: deque[tuple[tuple[int, ...], int, Packet]] = deque(
            maxlen=FIRST_FRAGMENTS
        )

    def decode(self, frame: Frame) -> Packet | str:
        """The headers of the frame, or the reason why it is refused."""
        self.remark = ""
        try:
            packet = self._decode(frame)
        except Refused as refusal:
            reason = str(refusal)
            self.refused[reason] += 1
            return reason
        self.decoded += 1
        self.offloaded += packet.ip_length > OFFLOAD_BYTES
        return packet

    def _decode(self, frame: Frame) -> Packet:
        octets = frame.octets
        if takes_slow_path(octets, frame.link_type, frame.stripped_tags):
            self._count_slow(frame.time_ns)
        version, datagram = find_datagram(octets, frame.link_type, frame.stripped_tags)
        link_length = len(octets) - len(datagram)
        on_wire = max(frame.wire_length, len(octets)) - link_length
        network = _network(version, datagram, on_wire)
        first_of: tuple[int, ...] = ()
        stripped = 0
        while True:
            if network.fragment == "first":
                first_of = first_of or network.identity
            if network.protocol not in INNER_VERSIONS or network.fragment == "later":
                break
            stripped += 1
            if stripped > 2:
                raise Refused("tunnel_depth")
            on_wire -= network.header_length
            inside = network.after[: network.rest]
            network = _network(INNER_VERSIONS[network.protocol], inside, on_wire)
        if network.fragment == "later":
            return self._later_fragment(network, frame.time_ns)
        packet = _transport(network)
        if packet.protocol == TCP and len(network.after) < network.rest - packet.payload_length:
            self.remark = "cut options"
        if first_of:
            self._first_fragments.append((first_of, frame.time_ns, packet))
        return packet

    def _count_slow(self, time_ns: int) -> None:
        set_back = time_ns < self._slow_greatest_ns - STEP_NS
        if set_back or time_ns // SECOND_NS > self._slow_greatest_ns // SECOND_NS:
            self._slow_in_second = 0
        self._slow_greatest_ns = time_ns if set_back else max(self._slow_greatest_ns, time_ns)
        if self._slow_in_second == SLOW_FRAMES_A_SECOND:
            raise Refused("slow_path_limit")
        self._slow_in_second += 1
        self.slow += 1

    def _later_fragment(self, network: Network, time_ns: int) -> Packet:
        self.remark = "later fragment"
        rest = (network.ip_length, network.rest, 0, network.ttl, 0)
        for identity, first_ns, first in reversed(self._first_fragments):
            if identity == network.identity:
                if abs(time_ns - first_ns) <= FRAGMENT_AGE_NS:
                    return Packet(*first[:6], *rest)
                break
        self.fragments_unmatched += 1
        ends = (network.source, network.destination)
        return Packet(network.version, network.protocol, *ends, 0, 0, *rest)


def decode_reference(
    frame: bytes, wire_length: int, stripped_tags: int = 0, link_type: int = 1
) -> Packet | str:
    """The headers of a frame that nothing came before, or the reason why it is refused."""
    return Frame(0, frame, wire_length, link_type, stripped_tags).decode()


def _network(version: int, octets: bytes, on_wire: int) -> Network:
    return _ipv4(octets, on_wire) if version == 4 else _ipv6(octets, on_wire)


def _ipv4(octets: bytes, on_wire: int) -> Network:
    ip = header(dpkt.ip.IP, octets, "truncated_ip")
    size = 4 * ip.hl
    # dpkt takes any version, and a total length that is shorter than the header.
    if ip.v != 4 or size < 20 or 0 < ip.len < size:
        raise Refused("ip_header")
    if len(octets) < size:
        raise Refused("truncated_ip")
    source, destination = int.from_bytes(ip.src, "big"), int.from_bytes(ip.dst, "big")
    fragment = "later" if ip.offset else "first" if ip.mf else ""
    return Network(
        version=4,
        protocol=ip.p,
        source=source,
        destination=destination,
        ip_length=ip.len or min(on_wire, 65_535),
        header_length=size,
        after=octets[size:],
        ttl=ip.ttl,
        fragment=fragment,
        identity=(4, source, destination, ip.id, ip.p),
    )


def _ipv6(octets: bytes, on_wire: int) -> Network:
    ip = header(dpkt.ip6.IP6, octets, "truncated_ip")
    if ip.v != 6:
        raise Refused("ip_header")
    ip_length = min(ip.plen + 40 if ip.plen else on_wire, 65_535)
    ends = (int.from_bytes(ip.src, "big"), int.from_bytes(ip.dst, "big"))
    protocol, size, fragment, identity = ip.nxt, 40, "", ()
    # dpkt follows a chain of any length, takes ESP for a part of it, and parses the options, of
    # which a broken one ends its reading of the packet; so each header is read alone.
    followed = 0
    while protocol in EXTENSIONS and fragment != "later":
        followed += 1
        if followed > 8:
            raise Refused("ipv6_extensions")
        if protocol == FRAGMENT:
            extension = header(dpkt.ip6.IP6FragmentHeader, octets[size:], "truncated_ip")
            length = 8
            if extension.frag_off:
                fragment, identity = "later", (6, *ends, extension.id)
            elif extension.m_flag and not fragment:
                fragment, identity = "first", (6, *ends, extension.id)
        else:
            extension = header(dpkt.ip6.IP6OptsHeader, octets[size:], "truncated_ip")
            authentication = protocol == AUTHENTICATION
            length = 4 * (extension.len + 2) if authentication else 8 * (extension.len + 1)
        if len(octets) < size + length:
            raise Refused("truncated_ip")
        protocol, size = extension.nxt, size + length
    if size > ip_length:
        raise Refused("ip_header")
    after = octets[size:]
    return Network(6, protocol, *ends, ip_length, size, after, ip.hlim, fragment, identity)


def _transport(network: Network) -> Packet:
    ports, payload, flags, window = (0, 0), network.rest, 0, 0
    protocol = network.protocol
    if protocol in TRANSPORTS:
        # dpkt's own descent gives raw bytes where a header is cut, and parses what follows it.
        after = network.after[: network.rest]
        segment = header(TRANSPORTS[protocol], after, "truncated_transport")
        if protocol in COUNTERPARTS:
            ports = (segment.type, COUNTERPARTS[protocol].get(segment.type, segment.code))
            payload = max(0, payload - 8)
        else:
            ports = (segment.sport, segment.dport)
            size = segment.__hdr_len__
            if protocol == TCP:
                size = 4 * segment.off
                flags, window = segment.flags & 0xFF, segment.win
            if not segment.__hdr_len__ <= size <= network.rest:
                raise Refused("truncated_transport")
            payload -= size
    addresses = (network.source, network.destination)
    lengths = (network.ip_length, payload)
    rest = (*lengths, flags, network.ttl, window)
    return Packet(network.version, protocol, *addresses, *ports, *rest)
