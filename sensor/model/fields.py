"""The fields that a row may have: what each means, and how its value is put on the grid.

A leaf, as `sensor.model.schema` is, which chooses among them. `docs/features.md` is made of this.
"""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Field:
    """One per-packet field of a sequence and how its value is put on the grid.

    A value is ``code / scale`` where code is the rounded `transform` of the clipped raw value, an
    integer; so equal sequences are equal bytes on every machine.

    Attributes:
        revision: raised when the meaning of the field changes.
        unit: unit of the raw value.
        channels: names of the model inputs that the field becomes.
        transform: ``log2p1`` (code = round(steps · log2(1 + raw))), ``signed_log2p1`` (the same
            of the magnitude, negative where the raw value is), ``linear`` (code = raw), ``sign``,
            ``bits`` (one channel a bit), ``one_hot``, or ``one`` (1 wherever there is a packet).
        clip: largest raw value (of a signed one, largest magnitude); larger ones count as this.
        steps: codes an octave, for ``log2p1`` and ``signed_log2p1``.
        scale: divisor from code to value.
        values: bit masks (``bits``) or values (``one_hot``) of the channels.
        meaning, caveat: for the documentation (`docs/features.md` is made of them), and not part
            of the fingerprint. The caveat is what users of a dataset must know about the field.
    """

    revision: int
    unit: str
    channels: tuple[str, ...]
    transform: Literal["log2p1", "signed_log2p1", "linear", "sign", "bits", "one_hot", "one"]
    clip: int
    steps: int
    scale: int
    meaning: str
    values: tuple[int, ...] = ()
    caveat: str = ""


FIELDS: dict[str, Field] = {
    "ip_length": Field(
        1,
        "bytes",
        ("ip_length",),
        "log2p1",
        65_535,
        8,
        128,
        "IP datagram length from the IP header; never the wire length, whose padding gives the "
        "capture away.",
        caveat="A snap length does not change it: the header says it, not what was captured. "
        "Offload does: where the capturing machine joins segments (GRO, LRO) or has not split "
        "them yet (TSO), one packet of up to 65,535 bytes stands for several on the wire, and the "
        "flow has fewer packets; switch offload off before you record (`ethtool -K`). A header "
        "that says 0 is read as the wire length less the link header, padding included. The path "
        "shows too: full packets have 1,500 bytes on Ethernet and 1,492 behind PPPoE.",
    ),
    "payload_length": Field(
        1,
        "bytes",
        ("payload_length",),
        "log2p1",
        65_535,
        8,
        128,
        "Bytes after the transport header.",
        caveat="Counted from the IP header, so it holds for payload that was not captured, and "
        "UDP's own length field is not believed. Retransmitted bytes count again: sequence numbers "
        "are not read. A fragment that is not the first has no transport header, so all its bytes "
        "count. Offload changes it as it does `ip_length`. It survives encryption, which is why "
        "it is worth having; a protocol that pads its records (TLS 1.3 may) blurs it.",
    ),
    "interarrival": Field(
        1,
        "µs",
        ("interarrival",),
        "log2p1",
        60_000_000,
        2,
        64,
        "Time since the flow's previous packet; 0 for its first, never negative.",
        caveat="It belongs to the capture as much as to the traffic: interrupt coalescing, virtual "
        "interfaces and offload move gaps below a millisecond, a capture that was replayed "
        "at another speed has other gaps throughout, and packets out of order have 0. Hence the "
        "coarse grid. It is cut to whole microseconds, so 0 also means less than one. The "
        "first packet of a repeated sequence has the gap to the sequence before, not 0.",
    ),
    "direction": Field(
        1,
        "sign",
        ("direction",),
        "sign",
        1,
        1,
        1,
        "+1 from the flow's owner, −1 to it; 0 is padding.",
        caveat="Under `five_tuple` the owner is who sent the first captured packet (of a SYN-ACK: "
        "who received it). Of a connection that was older than the capture that may be the server: "
        "such rows are marked `midstream`, where the protocol is TCP. A tap or mirror port that "
        "sees one side only never gives −1. As it is 0 for padding alone, it doubles as the mask.",
    ),
    "tcp_flags": Field(
        1,
        "bits",
        ("fin", "syn", "rst", "psh", "ack"),
        "bits",
        255,
        1,
        1,
        "TCP flags FIN, SYN, RST, PSH, ACK; 0 for other protocols.",
        (0x01, 0x02, 0x04, 0x08, 0x10),
        "URG, ECE and CWR are left out: they tell stacks apart, not what these do. No flag at all "
        "is also what UDP, ICMP and fragments after the first have, so read it with `protocol`. A "
        "packet that offload put together has the PSH or FIN of its last part.",
    ),
    "protocol": Field(
        1,
        "IANA number",
        ("tcp", "udp", "icmp"),
        "one_hot",
        255,
        1,
        1,
        "Transport; ICMP and ICMPv6 share a channel, other protocols have none.",
        (6, 17, 1),
        "One value for a flow, repeated at each packet: that of the first one, so it is not "
        "always the packet's own where the key is `host_pair`. GRE, ESP, SCTP and all others "
        "have zeros in all three channels and look alike. What IPv4-in-IP and IPv6-in-IP carry "
        "counts, not the tunnel.",
    ),
    "valid": Field(
        1,
        "bool",
        ("valid",),
        "one",
        1,
        1,
        1,
        "1 for a packet, 0 for padding.",
        caveat="It tells nothing about a packet. It is the bias of a network without bias: all "
        "inputs of padding are 0, so padding leaves the network's state at exactly 0 and a short "
        "row has the same score at each length that holds it. A model trained without it needs a "
        "mask.",
    ),
    "ttl": Field(
        1,
        "hops",
        ("ttl",),
        "linear",
        255,
        1,
        256,
        "Time to live of the IPv4 header, hop limit of the IPv6 header, as it was captured: the "
        "sender's initial value less the routers passed.",
        caveat="It tells where the sensor stands and which system sent the packet (64, 128 and "
        "255 are initial values), not what the packet is for. Where the attacks of a dataset were "
        "made by one machine of a laboratory, it predicts the label there and nothing elsewhere. "
        "A sender chooses it freely: a tool that forges sources can forge it as well. Of what "
        "IPv4-in-IP and IPv6-in-IP carry it is the inner header's. A fragment that is not the "
        "first has its own.",
    ),
    "tcp_window": Field(
        1,
        "bytes",
        ("tcp_window",),
        "log2p1",
        65_535,
        8,
        128,
        "Window field of the TCP header, the 16 bits as they were captured; 0 for other protocols.",
        caveat="It is not scaled: the factor is agreed in the options of the first two packets, "
        "which are not read, so behind them it says bytes divided by an unknown power of two. "
        "Initial windows tell systems and their settings apart, and a flooding tool has one "
        "constant: both identify who recorded, rather than the attack. 0 is also a receiver whose "
        "buffer is full, and a fragment that is not the first, so read it with `protocol`.",
    ),
    "signed_length": Field(
        1,
        "bytes",
        ("signed_length",),
        "signed_log2p1",
        32_767,
        8,
        128,
        "IP datagram length with the sign of the packet's direction: positive from the flow's "
        "owner, negative to it. One channel instead of `ip_length` and `direction`.",
        caveat="It says what these two say and has their caveats: offload and the path change the "
        "length, and who the owner is depends on the flow's first captured packet. Positive and "
        "negative lengths are far apart in one channel, so a network of few inputs has to find "
        "the jump at 0 by itself.",
    ),
}
"""Every per-packet field that this version implements."""

OPTIONAL_FIELDS = ("ttl", "tcp_window")
"""Those that are decoded and kept only for a schema that names them; the default one does not."""

COMBINED_FIELDS = ("signed_length",)
"""Those that say again, in another form, what fields of the default schema say."""

DEFAULT_FIELDS = tuple(name for name in FIELDS if name not in (*OPTIONAL_FIELDS, *COMBINED_FIELDS))
"""Those of the default schema, in its order."""

LATENCY_FIELDS: dict[str, Field] = {
    "rtt": Field(
        1,
        "µs",
        ("rtt",),
        "log2p1",
        60_000_000,
        8,
        256,
        "Round-trip time of the measurement; 0 where there was no answer.",
        caveat="It is that of the part of the path behind the sensor: a gateway sees the time to a "
        "server and back in one series and that to its own device in another. What a host needs "
        "to answer is part of it: a delayed acknowledgement adds up to 40 ms to the times of kind "
        "`timestamp`, which is why each kind of measurement is a series of its own. 0 is also less "
        "than a microsecond, so read it with `answered`.",
    ),
    "rtt_gap": Field(
        1,
        "ms",
        ("rtt_gap",),
        "log2p1",
        3_600_000,
        4,
        128,
        "Time since the series' measurement before; 0 for its first.",
        caveat="Nobody measures on purpose: the gaps are those of the traffic, and say when a host "
        "is used. A series that is pinged once in four minutes and one of a busy server have "
        "nothing in common but their scale. A measurement without an answer is known when its "
        "time is over, 3 s after it began, and has its place there.",
    ),
    "answered": Field(
        1,
        "bool",
        ("answered",),
        "bits",
        1,
        1,
        1,
        "1 where there was an answer, 0 where there was none within 3 s.",
        (1,),
        "Only connections (`syn`) and echo requests (`echo`) can lack an answer; of the other "
        "kinds what was not answered is no measurement. A filter that drops silently, a host that "
        "is switched off and a path that is down look alike.",
    ),
    "rtt_above": Field(
        2,
        "‰",
        ("rtt_above",),
        "log2p1",
        65_535,
        12,
        128,
        "By how much the round-trip time is above the least one of the row, in thousandths of "
        "that, or of a millisecond where it is less; 0 where there was no answer.",
        caveat="The least of the last measurements is what the path takes without queues (RFC "
        "6817 calls it the base delay), so the field says the same of a near peer and of a far "
        "one, and to a thousandth where `rtt` has steps of 9 %. It is of the row, not of the "
        "measurement: when a faster answer comes or the least one leaves the window, all of the "
        "row changes. What lasts longer than the window can't be seen in it.",
    ),
    "rtt_usual": Field(
        1,
        "µs",
        ("rtt_usual",),
        "log2p1",
        60_000_000,
        8,
        256,
        "Usual round-trip time of the series before the measurement: the lower median of up to 64 "
        "answered ones, every eighth; 0 where there was none.",
        caveat="It looks back over some 500 answered measurements, be it a minute or a day. What "
        "lasts for half of them becomes the usual.",
    ),
    "rtt_raised": Field(
        1,
        "‰",
        ("rtt_raised",),
        "log2p1",
        65_535,
        12,
        128,
        "By how much the round-trip time is above the usual one (`rtt_usual`), in thousandths of "
        "that, or of a millisecond where it is less; 0 where there was no answer.",
        caveat="It remembers more than the row has, so a swell that lasts longer than the row can "
        "be seen in it; and it needs some measurements before it says anything.",
    ),
}
"""Fields of a measurement of a round-trip time, where rows are windows of these; with ``valid``."""

MEASURED_FIELDS = ("rtt", "rtt_gap", "answered", "rtt_usual")
"""Those of them that rows have columns for; the others are worked out from these."""

SEQUENCE_FIELDS: Mapping[str, Field] = ChainMap(FIELDS, LATENCY_FIELDS)
"""Every field of a step of a sequence, be it a packet or a measurement."""

CONTEXT_FIELDS: dict[str, Field] = {
    f"{scope}_{window}s": Field(
        1,
        "flows",
        (f"{scope}_{window}s",),
        "log2p1",
        65_535,
        4,
        64,
        f"Flows that began in the last {window} s {what}, this one excluded.",
        caveat=caveat,
    )
    for scope, what, caveat in (
        (
            "srv",
            "to the same responder address, port and protocol",
            (
                "It tells a flood of one service from a scan of many. Devices that all report to "
                "one server raise it without an attack. ICMP has the type's counterpart or the "
                "code for a port."
            ),
        ),
        (
            "src",
            "from the same originator",
            (
                "Behind address translation all devices are one originator. A flood with forged "
                "sources has 0 here, and so has an attack spread over many hosts."
            ),
        ),
        (
            "dst",
            "to the same responder",
            (
                "It counts all ports and protocols of the host, so a server of many services is "
                "never quiet. In a reflection attack it may count the reflector (responder of the "
                "forged requests) or, where only replies pass the sensor, the victim."
            ),
        ),
    )
    for window in (1, 10)
}
"""Context of a flow, taken when it begins (`docs/semantics.md` 9)."""
