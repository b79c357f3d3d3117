"""The attacks that a scenario may name, and their options.

A leaf: the reader of scenarios validates against it, the planner draws from it, and `docs/lab.md`
is tested to describe all of it.
"""

from dataclasses import dataclass

from trainer.lab.options import Option, count, number, word


@dataclass(frozen=True)
class AttackKind:
    """An attack.

    Attributes:
        services: one of these its victim must run; none: any host will do.
        meaning: for the documentation.
        options: what a scenario may say about it.
        flood: it sends single frames at a rate, and shares the recording's budget of them.
    """

    services: tuple[str, ...]
    meaning: str
    options: dict[str, Option]
    flood: bool = False


_SOURCE = word(
    ("own", "lan", "internet"),
    ("own", "lan", "internet"),
    "the attacker's own address, unused addresses of the LAN, or addresses of the internet",
)
_PACE = word(("even", "random", "bursts"), ("even", "random", "bursts"), "spacing of packets")

ATTACKS: dict[str, AttackKind] = {
    "syn_dos": AttackKind(
        (),
        "SYN flood (Kitsune: SYN DoS)",
        {
            "rate": number(0.2, 5000, (20, 3000), "SYNs a second"),
            "source": _SOURCE,
            "port": word(("open", "closed"), ("open", "open", "closed"), "port of the victim"),
            "style": word(
                (
                    *("bare", "payload", "linux", "windows", "macos", "embedded"),
                    *("ecn", "mirai", "varied", "masscan", "zmap"),
                ),
                ("bare", "linux", "windows", "macos", "embedded"),
                "what the SYNs look like; bare is hping3's",
            ),
            "tool": word(
                ("frames", "hping3"),
                ("frames",),
                "frames of the lab's own, or hping3, from one address and in its own style",
                later=True,
            ),
            "reset": word(
                ("yes", "no"), ("yes", "no"), "an own address resets what the victim answers"
            ),
            "pace": _PACE,
        },
        flood=True,
    ),
    "ssdp_flood": AttackKind(
        (),
        "flood of SSDP datagrams (Kitsune: SSDP Flood)",
        {
            "rate": number(0.2, 5000, (20, 2000), "datagrams a second that the attacker sends"),
            "mode": word(
                ("reflection", "multicast", "search", "notify", "response"),
                ("reflection", "multicast", "search", "notify", "response"),
                "searches in the victim's name to devices or to the multicast group, or direct",
            ),
            "source": _SOURCE,
            "ports": word(("one", "many"), ("one", "many"), "source ports"),
            "pace": _PACE,
        },
        flood=True,
    ),
    "ssl_renegotiation": AttackKind(
        ("stunnel",),
        "TLS renegotiation by the client without end (Kitsune: SSL Renegotiation)",
        {
            "rate": number(1, 1000, (4, 300), "renegotiations a second, all connections together"),
            "connections": count(1, 16, (1, 5), "parallel connections"),
            "reconnects": count(0, 50, (0, 3), "times a connection is given up and made anew"),
            "onset": count(0, 1000, (0, 0), "packets of a connection before it begins"),
            "mixed": word(("no", "yes"), ("no", "yes"), "requests between renegotiations"),
            "tool": word(("library", "s_client"), ("library",), "pyOpenSSL or openssl s_client"),
        },
    ),
    "scan": AttackKind(
        (),
        "scan of many ports of a host, or of a few ports of many",
        {
            "method": word(
                ("syn", "connect", "udp", "version", "ping"),
                ("syn", "syn", "connect", "udp", "version"),
                "half-open, whole connections, datagrams, questions to services, or ICMP echo",
            ),
            "tool": word(
                ("nmap", "masscan", "zmap", "sockets"),
                ("nmap",),
                "nmap; SYNs and datagrams as masscan and zmap send them; or plain sockets",
            ),
            "spread": word(
                ("ports", "hosts"), ("ports", "hosts"), "many ports of one host, or of all hosts"
            ),
            "ports": count(1, 2000, (20, 500), "ports; of several hosts a twentieth of them each"),
            "rate": number(0.2, 5000, (1, 500), "probes a second at most"),
        },
    ),
    "brute_force": AttackKind(
        ("ssh", "web", "guarded_mqtt"),
        "guessing of passwords",
        {
            "service": word(
                ("ssh", "http", "mqtt"),
                ("ssh", "http", "mqtt"),
                "what is guessed at, of what the victim runs; http is basic authentication",
            ),
            "tool": word(
                ("hydra", "ncrack", "script"),
                ("hydra", "script"),
                "the programs (mqtt has only the script), or a script of the lab",
            ),
            "rate": number(0.2, 100, (1, 30), "guesses a second"),
            "connections": count(1, 16, (1, 6), "parallel connections"),
        },
    ),
    "slow_http": AttackKind(
        ("web",),
        "connections that are held open with requests that never end",
        {
            "mode": word(
                ("headers", "body", "read"),
                ("headers", "body", "read"),
                "slow headers, a slow body, or an answer that is hardly read",
            ),
            "tool": word(
                ("slowhttptest", "script"), ("slowhttptest", "script"), "program, or script"
            ),
            "connections": count(2, 400, (10, 120), "connections at most"),
            "rate": number(0.5, 200, (3, 60), "new connections a second"),
            "interval_s": number(0.2, 20, (0.5, 4), "pause between pieces of a connection"),
        },
    ),
    "udp_reflection": AttackKind(
        (),
        "requests in the victim's name to servers that answer with more",
        {
            "protocol": word(
                ("dns", "ntp", "coap", "snmp", "monlist", "wsd", "chargen"),
                ("dns", "ntp", "coap", "snmp"),
                "what is asked; the hosts that run the service of that name reflect it",
            ),
            "through": word(
                ("lan", "wan"), ("lan", "wan"), "side of the reflectors, where it has any"
            ),
            "rate": number(0.2, 5000, (10, 800), "requests a second"),
            "ports": word(("one", "many"), ("one", "many"), "ports of the victim"),
            "pace": _PACE,
        },
        flood=True,
    ),
}
"""The attacks by task; every one takes ``from``, ``to``, ``start``, ``seconds`` and ``times``."""
