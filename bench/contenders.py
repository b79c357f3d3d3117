"""What is measured: the sensor's commands, and the peers with what they are and how they count.

A command is a line in which ``{capture}``, ``{scratch}`` (an empty folder) and ``{python}`` (of
the contender's environment) are filled in. Counts are read from its output or, where it tells
none, from that of another command which runs once and is not timed.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.install import Debian, Here, Pip

LOOPS = Path(__file__).with_name("loops.py")

Counts = dict[str, float]
"""``packets`` and ``flows``, and whatever else a contender tells of itself."""

MIX, SYN = "mix", "syn"
FORMS = ("third", "third-pcapng", "third-gzip", "64-byte", "1500-byte")


@dataclass(frozen=True, eq=False)
class Contender:
    """A command that is measured.

    Attributes:
        name: short, for ``--only`` and in the results.
        title: in tables.
        does: what it does with the packets, in words.
        install: where its program comes from.
        command: what is run and timed.
        counts: reads counts from the output.
        count_command: whose output is read instead; empty: the timed command's.
        cuts: packets of a capture to which it is held, as it is slow; others it reads whole.
        captures: which it reads.
        limit: seconds after which a run is given up.
        starts: whether its start-up is measured, on a capture of one packet.
        difference: why its counts differ from the sensor's, in words; empty: they don't.
    """

    name: str
    title: str
    does: str
    install: Here | Pip | Debian
    command: str
    counts: Callable[[str], Counts]
    count_command: str = ""
    cuts: Mapping[str, int] = field(default_factory=dict)
    captures: tuple[str, ...] = (MIX, SYN)
    limit: float = 300
    starts: bool = True
    difference: str = ""


def found(packets: str, flows: str = "") -> Callable[[str], Counts]:
    """Reads counts with regular expressions; a count that isn't there is left out."""

    def read(text: str) -> Counts:
        patterns = {"packets": packets, "flows": flows}
        matches = {name: re.search(p, text) for name, p in patterns.items() if p}
        return {name: int(match[1]) for name, match in matches.items() if match}

    return read


def _told(text: str) -> Counts:
    return json.loads(text)  # type: ignore[no-any-return]


def _sensor(text: str) -> Counts:
    told = json.loads(text.splitlines()[-1])
    rows = {f"rows_{reason}": count for reason, count in told["sequences"].items()}
    names = ("packets", "decoded", "flows", "flows_evicted", "scored", "computed")
    return {name: told[name] for name in names} | rows


def _tshark(text: str) -> Counts:
    lines = [line.split("\t") for line in text.splitlines()]
    streams = {tuple(line[-2:]) for line in lines}
    return {"packets": len(lines), "flows": len(streams - {("", "")})}


def _cicflowmeter(text: str) -> Counts:
    rows = list(csv.DictReader(io.StringIO(text)))
    packets = sum(int(row["tot_fwd_pkts"]) + int(row["tot_bwd_pkts"]) for row in rows)
    return {"packets": packets, "flows": len(rows)}


def _nfdump(text: str) -> Counts:
    return found(r"(?m)^Packets: (\d+)", r"(?m)^Flows: (\d+)")(text)


def _argus(text: str) -> Counts:
    match = re.search(r"sum +(\d+) +(\d+)", text)
    # The last record is argus's own.
    return {"packets": int(match[2]), "flows": int(match[1]) - 1} if match else {}


_EVICTED = (
    "a flow that had to make room among 65,536 slots and then went on is counted again; with "
    "262,144 slots the mix has exactly the flows that it was made of"
)

_SENSOR = f"{sys.executable} -m sensor.cli"

OURS = (
    Contender(
        "assembly",
        "**multa-sensor flows**",
        "sequences of 16 packets, context, every check of the decoder; writes nothing",
        Here(),
        f"{_SENSOR} flows {{capture}} --stats -",
        _sensor,
        captures=(MIX, SYN, *FORMS),
        difference=_EVICTED,
    ),
    Contender(
        "chain",
        "**multa-sensor replay**",
        "the whole chain: sequences, shipped model, counting rule, incidents, alerts",
        Here(),
        f"{_SENSOR} replay {{capture}} -o /dev/null --stats -",
        _sensor,
        captures=(MIX, SYN, "syn-million", *FORMS),
        difference=_EVICTED,
    ),
    *(
        Contender(
            f"n-{n}",
            f"multa-sensor flows --n {n}",
            f"sequences of {n} packets",
            Here(),
            f"{_SENSOR} flows {{capture}} --n {n} --stats -",
            _sensor,
            captures=(MIX,),
        )
        for n in (8, 32, 64)
    ),
    Contender(
        "inference",
        "inference",
        "the network on distinct flows of the mix",
        Here(),
        f"{sys.executable} -m bench.inference {{capture}}",
        _told,
        captures=(MIX,),
        starts=False,
    ),
)

PEERS = (
    Contender(
        "nfstream",
        "NFStream 6.6",
        "C and Python; flows with sequences of 16 packets, no dissection, one meter",
        Pip(("nfstream==6.6.0",)),
        f"{{python}} {LOOPS} nfstream {{capture}}",
        found(r'"packets": (\d+)', r'"flows": (\d+)'),
        cuts={SYN: 300_000},
        difference="looks into UDP for tunnels and takes a packet of random payload for one; with "
        "`decode_tunnels=False` it has exactly the flows of the mix",
    ),
    Contender(
        "softflowd",
        "softflowd",
        "C; NetFlow records, no sequences; exported to nobody; room for 8 million flows",
        Debian("softflowd", ("softflowd",)),
        "softflowd -r {capture} -m 8000000 -6 -d -p {scratch}/pid -c none",
        found(r"Packets processed: (\d+)", r"Flows expired: (\d+)"),
        captures=(MIX, SYN, "third", "third-pcapng", "64-byte", "1500-byte"),
        difference="a ping is two flows: type and code of ICMP are its port",
    ),
    Contender(
        "nfpcapd",
        "nfpcapd",
        "C; NetFlow records, no sequences; written to files",
        Debian("nfpcapd", ("nfdump",)),
        "nfpcapd -r {capture} -l {scratch}",
        _nfdump,
        "nfdump -R {scratch} -I",
        difference="flows have one direction; each packet of DNS and ICMP is a flow",
    ),
    Contender(
        "argus",
        "argus",
        "C; flow records with many measures, no sequences; written to /dev/null",
        Debian("argus", ("argus-server", "argus-client")),
        "argus -S 3600 -r {capture} -w /dev/null",
        _argus,
        "sh -c 'argus -S 3600 -r {capture} -w {scratch}/records && racount -r {scratch}/records'",
        cuts={SYN: 300_000},
        difference="each DNS transaction is a flow, and payload on port 53 is random here",
    ),
    Contender(
        "ndpireader",
        "ndpiReader",
        "C; flows with deep packet inspection, no sequences",
        Debian("ndpiReader", ("libndpi-bin",)),
        "ndpiReader -i {capture}",
        found(r"IP packets: +(\d+)", r"Unique flows: +(\d+)"),
        cuts={SYN: 300_000},
    ),
    Contender(
        "dpkt",
        "dpkt loop",
        "Python; sequences of 16 packets in a dictionary, no timeouts",
        Pip(("dpkt",)),
        f"{{python}} {LOOPS} dpkt {{capture}}",
        found(r'"packets": (\d+)', r'"flows": (\d+)'),
        cuts={MIX: 300_000, SYN: 300_000},
    ),
    Contender(
        "tshark",
        "tshark -T fields",
        "C; dissects everything, prints addresses, ports, lengths, times and flags",
        Debian("tshark", ("tshark",)),
        "tshark -n -r {capture} -T fields -e frame.time_epoch -e ip.src -e ip.dst -e ipv6.src"
        " -e ipv6.dst -e ip.len -e tcp.flags -e tcp.stream -e udp.stream",
        _tshark,
        cuts={MIX: 50_000, SYN: 50_000},
        difference="numbers conversations of TCP and UDP only: pings have none",
    ),
    Contender(
        "scapy",
        "scapy loop",
        "Python; the same as the dpkt loop",
        Pip(("scapy",)),
        f"{{python}} {LOOPS} scapy {{capture}}",
        found(r'"packets": (\d+)', r'"flows": (\d+)'),
        cuts={MIX: 20_000, SYN: 20_000},
        limit=120,
    ),
    Contender(
        "cicflowmeter",
        "CICFlowMeter 0.2",
        "Python over scapy 2.5; flows with some eighty measures, as CSV",
        # Scapy 2.8 has other sessions: with it no flow is written, and no error told.
        Pip(("cicflowmeter==0.2.0", "scapy==2.5.0")),
        "cicflowmeter -f {capture} -c {scratch}/flows.csv",
        _cicflowmeter,
        "cat {scratch}/flows.csv",
        cuts={MIX: 10_000, SYN: 10_000},
        limit=120,
        difference="takes only TCP and UDP over IPv4 without VLAN tag, and has all of that",
    ),
    Contender(
        "pyshark",
        "pyshark loop",
        "Python over tshark; the same as the dpkt loop",
        Pip(("pyshark",)),
        f"{{python}} {LOOPS} pyshark {{capture}}",
        found(r'"packets": (\d+)', r'"flows": (\d+)'),
        cuts={MIX: 2_000, SYN: 2_000},
        limit=120,
    ),
    Contender(
        "tcpdump",
        "tcpdump -w /dev/null",
        "C; reads and writes packets, looks at none: the floor",
        Debian("tcpdump", ("tcpdump",)),
        "tcpdump -r {capture} -w /dev/null",
        found(r"(\d+) packets"),
        "tcpdump -r {capture} --count",
        captures=(MIX, SYN, "third", "third-pcapng", "64-byte", "1500-byte"),
    ),
)
