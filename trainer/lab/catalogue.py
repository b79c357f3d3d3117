"""What a scenario may name: stacks, services, benign activities and their options.

A leaf, and with `trainer.lab.attack_kinds` the only list: the reader of scenarios validates against
it, the planner draws from it, and `docs/lab.md` is tested to describe all of it.
"""

from dataclasses import dataclass

from trainer.lab.options import Option, count, every, number, word


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
    # As behind PPPoE (RFC 2516 section 7).
    "bsd": Stack(
        64, timestamps=True, sack=True, window_scaling=True, receive_bytes=65_536, mtu=1492
    ),
    "lwip": Stack(
        255, timestamps=False, sack=False, window_scaling=False, receive_bytes=8192, mtu=1500
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
    "ssh": ((22,), "sshd, which echoes what is typed"),
    "guarded_mqtt": ((1883,), "mosquitto that wants a password"),
    "sessions": (
        (445, 631, 853, 5900, 6881, 7000),
        "scripted server of long sessions of small exchanges",
    ),
    "quic": ((443,), "QUIC server (UDP)"),
    "snmp": ((161,), "scripted agent (UDP)"),
    "monlist": ((123,), "scripted time server that tells its clients (UDP)"),
    "wsd": ((3702,), "scripted target of WS-Discovery (UDP)"),
    "chargen": ((19,), "scripted generator of characters (UDP)"),
}
"""Ports and meaning of each service."""

TCP_PORTS = {
    "mqtt": (1883, 8883),
    "web": (80, 443),
    "stunnel": (4433,),
    "ssh": (22,),
    "guarded_mqtt": (1883,),
    "sessions": (445, 631, 853, 5900, 6881, 7000),
}
"""Ports of the services that listen on TCP."""

_IP = word(("4", "6"), ("4",), "version of IP", later=True)
_TLS = word(("off", "1.2", "1.3"), ("off", "1.3"), "TLS version")


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
            "every_s": every((0.5, 8)),
            "payload_bytes": count(1, 8000, (20, 300), "size of a message"),
            "messages": count(1, 100_000, (20, 100_000), "messages before it reconnects"),
            "qos": count(0, 1, (0, 1), "MQTT quality of service"),
            "tls": _TLS,
            "ip": _IP,
        },
    ),
    "web": ActivityKind(
        "web",
        "loads pages, polls an interface, or transfers files, over parallel connections",
        {
            "every_s": every((3, 20)),
            "connections": count(1, 30, (1, 6), "parallel new connections of a round"),
            "requests": count(1, 2000, (1, 8), "requests on each connection"),
            "gap_s": number(0.001, 60, (0.005, 0.3), "pause between requests of a connection"),
            "object_bytes": count(1, 5_000_000, (200, 40_000), "size of an answer"),
            "upload_bytes": count(0, 5_000_000, (0, 400), "size of a request's body"),
            "tls": _TLS,
            "ip": _IP,
        },
    ),
    "renegotiation": ActivityKind(
        "stunnel",
        "an ordinary TLS 1.2 connection whose client renegotiates once or twice",
        {
            "every_s": every((6, 20)),
            "times": count(0, 2, (1, 2), "renegotiations of a connection"),
            "requests": count(1, 500, (4, 60), "requests of a connection"),
            "gap_s": number(0.001, 60, (0.01, 0.3), "pause between requests"),
            "object_bytes": count(1, 100_000, (50, 4000), "size of an answer"),
        },
    ),
    "dns": ActivityKind(
        "dns",
        "looks names up",
        {
            "every_s": every((1, 8)),
            "names": count(1, 60, (1, 6), "names of a round, asked one upon the other"),
            "ip": _IP,
        },
    ),
    "ntp": ActivityKind("ntp", "asks for the time (SNTP)", {"every_s": every((4, 16))}),
    "coap": ActivityKind(
        "coap",
        "reads a resource with confirmable requests",
        {
            "every_s": every((1, 8)),
            "requests": count(1, 100, (1, 4), "requests of a round, from one port"),
        },
    ),
    "ssdp": ActivityKind(
        None,
        "searches for UPnP devices by multicast and may read their descriptions",
        {
            "every_s": every((6, 25)),
            "repeats": count(1, 10, (1, 4), "searches of a round"),
            "fetch": word(("no", "yes"), ("no", "yes"), "read the descriptions over HTTP"),
        },
    ),
    "half_open": ActivityKind(
        None,
        "tries a server that is gone: SYNs without an answer, or refused ones",
        {
            "every_s": every((4, 20)),
            "attempts": count(1, 30, (1, 5), "connections of a round"),
            "gap_s": number(0.001, 30, (0.05, 1), "pause between attempts"),
            "wait_s": number(0.05, 10, (0.2, 2.5), "patience; over 1 s the SYN is repeated"),
            "target": word(("gone", "closed"), ("gone", "closed"), "no host, or a closed port"),
        },
    ),
    "discovery": ActivityKind(
        None,
        "tries one TCP port of every host on the LAN, as hubs and apps do",
        {
            "every_s": every((10, 40)),
            "gap_s": number(0.0005, 1, (0.002, 0.05), "pause between hosts"),
        },
    ),
    "datagrams": ActivityKind(
        "sink",
        "sends log lines in bursts",
        {
            "every_s": every((2, 10)),
            "datagrams": count(1, 500, (1, 25), "datagrams of a round"),
            "payload_bytes": count(1, 1400, (60, 300), "size of one"),
            "ports": word(("one", "each"), ("one", "each"), "a socket for all, or one for each"),
        },
    ),
    "media": ActivityKind(
        "sink",
        "a camera's stream of datagrams",
        {
            "every_s": every((5, 20)),
            "seconds": number(0.1, 600, (2, 8), "length of a stream", logarithmic=False),
            "rate": number(1, 2000, (20, 150), "datagrams a second"),
            "payload_bytes": count(1, 1400, (160, 1300), "largest size of one"),
            "ip": _IP,
        },
    ),
    "ping": ActivityKind(
        None,
        "ICMP echo to a host",
        {
            "every_s": every((5, 20)),
            "echoes": count(1, 100, (1, 5), "requests of a round, 0.2 s apart"),
        },
    ),
    "mdns": ActivityKind(
        None,
        "multicast DNS queries and announcements",
        {"every_s": every((5, 20)), "repeats": count(1, 10, (1, 3), "datagrams of a round")},
    ),
    "session": ActivityKind(
        "sessions",
        "a long session of small exchanges, as people's applications have them",
        {
            "every_s": every((2, 15)),
            "flavour": word(
                ("share", "screen", "lookup", "procedure", "beat", "peer"),
                ("share", "screen", "lookup", "procedure", "beat"),
                "file share, remote screen, encrypted DNS, remote procedures, game, peer-to-peer",
            ),
            "seconds": number(0.5, 3600, (3, 25), "length of a session"),
            "ip": _IP,
        },
    ),
    "shell": ActivityKind(
        "ssh",
        "someone logs in with ssh and types, and mistypes the password now and then",
        {
            "every_s": every((5, 30)),
            "keys": count(1, 10_000, (10, 120), "keys struck"),
            "gap_s": number(0.005, 10, (0.05, 0.3), "pause between keys"),
            "ip": _IP,
        },
    ),
    "login": ActivityKind(
        "web",
        "opens a page that wants a password",
        {
            "every_s": every((5, 30)),
            "mistakes": count(0, 3, (0, 2), "wrong passwords before the right one"),
            "gap_s": number(0.05, 30, (0.5, 3), "pause between tries"),
            "ip": _IP,
        },
    ),
    "mqtt_login": ActivityKind(
        "guarded_mqtt",
        "a device logs in at its broker and reports",
        {
            "every_s": every((2, 15)),
            "mistakes": count(0, 2, (0, 1), "old passwords before the right one"),
            "messages": count(1, 10_000, (2, 40), "messages before it leaves"),
            "gap_s": number(0.01, 30, (0.1, 2), "pause between messages"),
            "ip": _IP,
        },
    ),
    "video": ActivityKind(
        "sink",
        "a camera's video as RTP, in frames",
        {
            "every_s": every((3, 20)),
            "seconds": number(0.5, 3600, (4, 20), "length of a stream"),
            "frames": number(1, 60, (5, 30), "frames a second"),
            "rate_kbit": number(8, 8000, (100, 2000), "thousand bits a second"),
            "payload_bytes": count(200, 1400, (900, 1400), "largest size of a packet's data"),
            "ip": _IP,
        },
    ),
    "quic": ActivityKind(
        "quic",
        "loads pages or media over QUIC",
        {
            "every_s": every((3, 20)),
            "connections": count(1, 30, (1, 6), "parallel streams of its one connection"),
            "requests": count(1, 2000, (1, 8), "requests of each, a stream for each"),
            "gap_s": number(0.001, 60, (0.005, 0.3), "pause between requests"),
            "object_bytes": count(1, 5_000_000, (200, 60_000), "size of an answer"),
            "ip": _IP,
        },
    ),
    "quic_session": ActivityKind(
        "quic",
        "a session with one of five services, whose connections are labelled with it",
        {
            "every_s": every((5, 30)),
            "service": word(
                ("documents", "drive", "music", "search", "video"),
                ("documents", "drive", "music", "search", "video"),
                "what the sessions look like",
            ),
        },
    ),
    "snmp": ActivityKind(
        "snmp",
        "asks an agent for values, as monitoring does",
        {
            "every_s": every((2, 15)),
            "requests": count(1, 200, (1, 20), "values of a round, from one port"),
        },
    ),
    "boot": ActivityKind(
        None,
        "the power comes back: all hosts start at one moment, look names up and call home",
        {
            "every_s": every((1, 2)),
            "spread_s": number(0, 60, (0.5, 4), "time within which all of them start"),
            "names": count(1, 60, (3, 15), "names looked up"),
            "connections": count(1, 16, (1, 5), "parallel connections to a web server"),
        },
    ),
}


SIDES = ("lan", "wan")
