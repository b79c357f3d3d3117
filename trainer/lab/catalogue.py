"""What a scenario may name: stacks, services, benign activities, attacks, and their options.

A leaf, and the only list: the reader of scenarios validates against it, the planner draws from it,
and `docs/lab.md` is tested to describe all of it.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Option:
    """One setting of an activity or an attack.

    Attributes:
        kind: ``number`` and ``count`` (whole) take a value or a ``[low, high]`` range from which
            the seed draws; ``word`` takes one of `words` or a list of them to draw from.
        default: what is drawn from where the scenario says nothing.
        low, high: bounds of a number.
        logarithmic: small values are drawn as often as large ones.
        words: what a ``word`` may be.
        meaning: for the documentation.
    """

    kind: Literal["number", "count", "word"]
    default: tuple[float, float] | tuple[str, ...]
    meaning: str
    low: float = 0
    high: float = 0
    logarithmic: bool = False
    words: tuple[str, ...] = ()


def _number(
    low: float, high: float, default: tuple[float, float], meaning: str, *, logarithmic: bool = True
) -> Option:
    return Option("number", default, meaning, low, high, logarithmic)


def _count(low: int, high: int, default: tuple[int, int], meaning: str) -> Option:
    return Option("count", default, meaning, low, high)


def _word(words: tuple[str, ...], default: tuple[str, ...], meaning: str) -> Option:
    return Option("word", default, meaning, words=words)


def _every(default: tuple[float, float]) -> Option:
    return _number(0.05, 3600, default, "mean seconds from one round to the next")


@dataclass(frozen=True)
class Stack:
    """How a host's kernel looks from outside; applied as sysctls of its namespace.

    Attributes:
        ttl: initial time to live.
        timestamps, sack, window_scaling: TCP options offered.
        receive_bytes: default receive buffer, about twice the first window.
        mtu: of its interface; 576 gives the segment size of small embedded stacks.
        syncookies: whether a full SYN backlog is answered with cookies or with silence.
    """

    ttl: int
    timestamps: bool
    sack: bool
    window_scaling: bool
    receive_bytes: int
    mtu: int = 1500
    syncookies: bool = True


STACKS: dict[str, Stack] = {
    "linux": Stack(64, timestamps=True, sack=True, window_scaling=True, receive_bytes=131_072),
    "plain_linux": Stack(
        64, timestamps=False, sack=True, window_scaling=True, receive_bytes=65_536, syncookies=False
    ),
    "windows": Stack(128, timestamps=False, sack=True, window_scaling=True, receive_bytes=131_072),
    "embedded": Stack(64, timestamps=False, sack=False, window_scaling=False, receive_bytes=16_384),
    "rtos": Stack(
        255,
        timestamps=False,
        sack=False,
        window_scaling=False,
        receive_bytes=11_680,
        mtu=576,
        syncookies=False,
    ),
}

SERVICES: dict[str, tuple[tuple[int, ...], str]] = {
    "mqtt": ((1883, 8883), "mosquitto, plain and over TLS"),
    "web": ((80, 443), "HTTP/1.1 server, plain and over TLS"),
    "dns": ((53,), "dnsmasq (UDP)"),
    "ntp": ((123,), "chronyd (UDP)"),
    "coap": ((5683,), "libcoap's server (UDP)"),
    "upnp": ((1900,), "SSDP responder and announcer with an HTTP description"),
    "stunnel": ((4433,), "stunnel before an HTTP server; allows clients to renegotiate"),
    "sink": ((514, 5004), "receiver of datagrams (syslog, media)"),
}
"""Ports and meaning of each service."""

TCP_PORTS = {"mqtt": (1883, 8883), "web": (80, 443), "stunnel": (4433,)}
"""Ports of the services that listen on TCP."""

_TLS = _word(("off", "1.2", "1.3"), ("off", "1.3"), "TLS version")


@dataclass(frozen=True)
class ActivityKind:
    """A benign activity: what its targets must run, and its options."""

    service: str | None
    meaning: str
    options: dict[str, Option]


ACTIVITIES: dict[str, ActivityKind] = {
    "mqtt": ActivityKind(
        "mqtt",
        "publishes measurements to a broker and listens to a topic",
        {
            "every_s": _every((0.5, 8)),
            "payload_bytes": _count(1, 8000, (20, 300), "size of a message"),
            "messages": _count(1, 100_000, (20, 100_000), "messages before it reconnects"),
            "qos": _count(0, 1, (0, 1), "MQTT quality of service"),
            "tls": _TLS,
        },
    ),
    "web": ActivityKind(
        "web",
        "loads pages, polls an interface, or transfers files, over parallel connections",
        {
            "every_s": _every((3, 20)),
            "connections": _count(1, 30, (1, 6), "parallel new connections of a round"),
            "requests": _count(1, 2000, (1, 8), "requests on each connection"),
            "gap_s": _number(0.001, 60, (0.005, 0.3), "pause between requests of a connection"),
            "object_bytes": _count(1, 5_000_000, (200, 40_000), "size of an answer"),
            "upload_bytes": _count(0, 5_000_000, (0, 400), "size of a request's body"),
            "tls": _TLS,
        },
    ),
    "renegotiation": ActivityKind(
        "stunnel",
        "an ordinary TLS 1.2 connection whose client renegotiates once or twice",
        {
            "every_s": _every((6, 20)),
            "times": _count(0, 2, (1, 2), "renegotiations of a connection"),
            "requests": _count(1, 500, (4, 60), "requests of a connection"),
            "gap_s": _number(0.001, 60, (0.01, 0.3), "pause between requests"),
            "object_bytes": _count(1, 100_000, (50, 4000), "size of an answer"),
        },
    ),
    "dns": ActivityKind(
        "dns",
        "looks names up",
        {
            "every_s": _every((1, 8)),
            "names": _count(1, 60, (1, 6), "names of a round, asked one upon the other"),
        },
    ),
    "ntp": ActivityKind("ntp", "asks for the time (SNTP)", {"every_s": _every((4, 16))}),
    "coap": ActivityKind(
        "coap",
        "reads a resource with confirmable requests",
        {
            "every_s": _every((1, 8)),
            "requests": _count(1, 100, (1, 4), "requests of a round, from one port"),
        },
    ),
    "ssdp": ActivityKind(
        None,
        "searches for UPnP devices by multicast and may read their descriptions",
        {
            "every_s": _every((6, 25)),
            "repeats": _count(1, 10, (1, 4), "searches of a round"),
            "fetch": _word(("no", "yes"), ("no", "yes"), "read the descriptions over HTTP"),
        },
    ),
    "half_open": ActivityKind(
        None,
        "tries a server that is gone: SYNs without an answer, or refused ones",
        {
            "every_s": _every((4, 20)),
            "attempts": _count(1, 30, (1, 5), "connections of a round"),
            "gap_s": _number(0.001, 30, (0.05, 1), "pause between attempts"),
            "wait_s": _number(0.05, 10, (0.2, 2.5), "patience; over 1 s the SYN is repeated"),
            "target": _word(("gone", "closed"), ("gone", "closed"), "no host, or a closed port"),
        },
    ),
    "discovery": ActivityKind(
        None,
        "tries one TCP port of every host on the LAN, as hubs and apps do",
        {
            "every_s": _every((10, 40)),
            "gap_s": _number(0.0005, 1, (0.002, 0.05), "pause between hosts"),
        },
    ),
    "datagrams": ActivityKind(
        "sink",
        "sends log lines in bursts",
        {
            "every_s": _every((2, 10)),
            "datagrams": _count(1, 500, (1, 25), "datagrams of a round"),
            "payload_bytes": _count(1, 1400, (60, 300), "size of one"),
            "ports": _word(("one", "each"), ("one", "each"), "a socket for all, or one for each"),
        },
    ),
    "media": ActivityKind(
        "sink",
        "a camera's stream of datagrams",
        {
            "every_s": _every((5, 20)),
            "seconds": _number(0.1, 600, (2, 8), "length of a stream", logarithmic=False),
            "rate": _number(1, 2000, (20, 150), "datagrams a second"),
            "payload_bytes": _count(1, 1400, (160, 1300), "largest size of one"),
        },
    ),
    "ping": ActivityKind(
        None,
        "ICMP echo to a host",
        {
            "every_s": _every((5, 20)),
            "echoes": _count(1, 100, (1, 5), "requests of a round, 0.2 s apart"),
        },
    ),
    "mdns": ActivityKind(
        None,
        "multicast DNS queries and announcements",
        {"every_s": _every((5, 20)), "repeats": _count(1, 10, (1, 3), "datagrams of a round")},
    ),
}


@dataclass(frozen=True)
class AttackKind:
    """An attack: the services one of which its victim must run (none: any), and its options."""

    services: tuple[str, ...]
    meaning: str
    options: dict[str, Option]


_SOURCE = _word(
    ("own", "lan", "internet"),
    ("own", "lan", "internet"),
    "the attacker's own address, unused addresses of the LAN, or addresses of the internet",
)
_PACE = _word(("even", "random", "bursts"), ("even", "random", "bursts"), "spacing of packets")

ATTACKS: dict[str, AttackKind] = {
    "syn_dos": AttackKind(
        (),
        "SYN flood (Kitsune: SYN DoS)",
        {
            "rate": _number(5, 5000, (20, 3000), "SYNs a second"),
            "source": _SOURCE,
            "port": _word(("open", "closed"), ("open", "open", "closed"), "port of the victim"),
            "style": _word(
                ("bare", "payload", "linux", "windows", "macos", "embedded"),
                ("bare", "linux", "windows", "macos", "embedded"),
                "what the SYNs look like; bare is hping3's",
            ),
            "reset": _word(
                ("yes", "no"), ("yes", "no"), "an own address resets what the victim answers"
            ),
            "pace": _PACE,
        },
    ),
    "ssdp_flood": AttackKind(
        (),
        "flood of SSDP datagrams (Kitsune: SSDP Flood)",
        {
            "rate": _number(5, 5000, (20, 2000), "datagrams a second that the attacker sends"),
            "mode": _word(
                ("reflection", "multicast", "search", "notify", "response"),
                ("reflection", "multicast", "search", "notify", "response"),
                "searches in the victim's name to devices or to the multicast group, or direct",
            ),
            "source": _SOURCE,
            "ports": _word(("one", "many"), ("one", "many"), "source ports"),
            "pace": _PACE,
        },
    ),
    "ssl_renegotiation": AttackKind(
        ("stunnel",),
        "TLS renegotiation by the client without end (Kitsune: SSL Renegotiation)",
        {
            "rate": _number(1, 1000, (4, 300), "renegotiations a second, all connections together"),
            "connections": _count(1, 16, (1, 5), "parallel connections"),
            "reconnects": _count(0, 50, (0, 3), "times a connection is given up and made anew"),
            "onset": _count(0, 1000, (0, 0), "packets of a connection before it begins"),
            "mixed": _word(("no", "yes"), ("no", "yes"), "requests between renegotiations"),
            "tool": _word(("library", "s_client"), ("library",), "pyOpenSSL or openssl s_client"),
        },
    ),
}
"""The attacks by task; every one takes ``from``, ``to``, ``start``, ``seconds`` and ``times``."""

PACES = ("even", "random", "bursts")
SIDES = ("lan", "wan")
