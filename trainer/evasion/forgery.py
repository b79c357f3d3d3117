"""Who can provoke each alert with forged packets, whom it then names, and how it is evaded.

The sensor looks at headers. It checks no sequence number (RFC 9293, section 3.4), no cookie and no
payload, so whoever can put packets on the watched link can play both ends of any flow. What is told
here is what an attacker can do from elsewhere, through networks that let forged source addresses
pass (RFC 2827 asks them not to).
"""

from collections.abc import Sequence

from trainer.evaluation import as_markdown

_HANDSHAKE = (
    "nobody from elsewhere in another's name: behind a forged source no connection comes about "
    "(its answers go elsewhere, and its initial sequence number can't be guessed, RFC 6528). In "
    "his own name anyone who can reach the server"
)

FORGERY: dict[str, tuple[str, str, str]] = {
    "syn_dos": (
        "anyone, with any source addresses: a SYN needs no answer",
        (
            "the address that the SYNs are sent to, which is attacked indeed; its peers are worth "
            "nothing"
        ),
        "slower, or spread over more addresses than the rule counts",
    ),
    "ssdp_flood": (
        "anyone: requests in the name of another, or datagrams from port 1900 to him",
        (
            "the address in whose name is asked, whether or not replies ever reach it; the peers "
            "are reflectors or forged"
        ),
        "slower, in several datagrams each, or by a service on another port",
    ),
    "ssl_renegotiation": (
        _HANDSHAKE,
        "the server, which is attacked indeed; the peer is a real address",
        "slower, from other connections each time",
    ),
    "udp_reflection": (
        "anyone, with any source addresses: a datagram needs no request",
        "the address that they are sent to; the peers are reflectors or forged",
        "slower, in several datagrams each, or in sizes that ordinary replies have",
    ),
    "scan": (
        "anyone, **in the name of any other address** (a decoy scan does): a probe needs no answer",
        (
            "the forged source, as the attacker. Block nobody because of it: only an address of "
            "one's own network behind a filter for forged sources is worth a look"
        ),
        "slower, from many addresses, or with bytes in the probes",
    ),
    "brute_force": (
        _HANDSHAKE,
        "the server, which is attacked indeed; the peers are real addresses",
        "slower, spread over servers, or in several small packets each",
    ),
    "slow_http": (
        _HANDSHAKE,
        "the server, which is attacked indeed; the peers are real addresses",
        "with few connections at a time, or in several small packets each",
    ),
    "malware_cc": (
        "a neighbour on the watched link, who can play both ends; " + _HANDSHAKE,
        "the originator, as the infected host: look at it before it is cut off",
        "rarer, in sizes of ordinary requests, or through a service that hosts use anyway",
    ),
    "dns_tunnel": (
        "of plain DNS a neighbour, with queries in the name of another; over HTTPS " + _HANDSHAKE,
        "the originator, as the host that the tunnel leads out of",
        "slower, in queries of ordinary sizes",
    ),
}
"""By task: who can provoke its alert; whom it then names; what stays evadable."""

ADVERSARY = """\
The sensor reads headers and checks neither sequence numbers nor payload: whoever can put packets \
on the watched link can play both ends of any flow. Below is what others can do, through networks \
that let forged source addresses pass (RFC 2827 asks them not to). An incident names addresses as \
they stand in the packets."""


def forgery_table(tasks: Sequence[str]) -> str:
    """The table of these tasks as Markdown."""
    rows = [["task", "who can provoke it", "whom it then names", "evaded by whoever attacks"]]
    rows += [[task, *FORGERY[task]] for task in tasks]
    return as_markdown(rows)
