"""What an incident and its rows look like, in words that need no knowledge of the model."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.quantities import duration, number
from sensor.reporting.alert_log import Alert
from sensor.reporting.evidence_files import SAMPLE, Evidence, Row

FIELDS = {
    "srv_1s": "to the same service, 1 s",
    "srv_10s": "to the same service, 10 s",
    "src_1s": "from the same source, 1 s",
    "src_10s": "from the same source, 10 s",
    "dst_1s": "to the same host, 1 s",
    "dst_10s": "to the same host, 10 s",
    "ip_length": "IP lengths",
    "payload_length": "payload lengths",
}
"""Fields of parts that have several."""

PARTS = {
    "flow counts": "how many flows began about then",
    "sizes": "the packets' sizes",
    "sizes and directions": "the packets' sizes and who sent which",
    "gaps": "the gaps between packets",
    "directions": "who sent which packet",
    "TCP flags": "the TCP flags",
    "protocol": "the protocol",
    "TTL": "the time to live",
    "TCP window": "the TCP window",
    "round-trip times": "the round-trip times",
    "missing answers": "what was not answered",
    "time between measurements": "the time between measurements",
}
"""Parts of a row (`sensor.reporting.explanation_occlusion`) in a sentence."""

_MEASURED = {
    "syn": "from SYN to answer",
    "syn_ack": "from SYN-ACK to ACK",
    "echo": "of echo requests",
    "timestamp": "by TCP timestamps",
}
"""Round-trip times by their kinds, as `docs/latency.md` describes these."""

LAST = 8
"""Measurements of a window that are told by themselves, as in alerts."""

_REASONS = {
    "full": "scored as it was full",
    "early": "scored as it was old enough",
    "closed": "scored as the flow closed",
    "idle": "scored as the flow fell silent",
    "evicted": "scored as the flow had to make room",
}

_QUALITY = {
    "midstream": "seen from its middle on",
    "context_saturated": "counts are lower bounds",
    "offloaded": "packets were joined by the capturing machine",
}

_FLAGS = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x10, "ACK"))

NOTICEABLE = 0.01
"""Of a score: a smaller change is not pointed out."""

_FEW = 3
"""Packets of a row that are told one by one."""

_OFTEN = 0.2
"""Share of the sampled rows from which on what they look like is told."""

_MANY = 10
"""Flows in a second that are told."""

_BEGAN = {
    "srv_1s": "to the same service",
    "dst_1s": "to the same host",
    "src_1s": "from the same source",
}


def flag_names(flags: int) -> str:
    """TCP flags as people write them, such as SYN-ACK; empty for none."""
    return "-".join(name for bit, name in _FLAGS if flags & bit)


def microseconds(value: float) -> str:
    """A time to three digits: 0 µs, 850 µs, 12.3 ms, 4.56 s."""
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if value >= size:
            whole = len(str(int(value / size)))
            return f"{value / size:,.{max(0, 3 - whole)}f} {unit}"
    return f"{value:.0f} µs"


def score(value: float) -> str:
    """A score for people, which reads 0 or 1 only where it is."""
    if 0 < value < 0.0005:
        return "<0.001"
    if 0.9995 <= value < 1:
        return ">0.999"
    return f"{value:.3f}"


def ends(row: Row) -> tuple[str, str]:
    """Originator and responder of a row, with their ports."""
    return _end(row.source, row.source_port), _end(row.destination, row.destination_port)


def packet(batch: SequenceBatch, place: int, k: int) -> str:
    """One packet of a row: flags and length, and its payload where that is not all."""
    payload = int(batch.payload_length[place, k])
    flags = flag_names(int(batch.tcp_flags[place, k]))
    size = f"{int(batch.ip_length[place, k]):,} B"
    return " ".join(
        each for each in (flags, size, f"({payload:,} payload)" * (payload > 0)) if each
    )


def circumstances(evidence: Evidence, place: int) -> list[str]:
    """Why a row was kept, when it came and was scored, and how many flows began before it."""
    row, counts = evidence.rows[place], evidence.batch.context[place].tolist()
    if evidence.measured:
        kept = f"kept as {' and '.join(row.why)}"
        told = f"{len(row.time_us)} measured: {round_trips(evidence, place)}"
        return [kept, f"the newest asked at {row.first_packet.astimezone():%H:%M:%S.%f}", told]
    pairs = zip(("service", "source", "host"), counts[::2], counts[1::2], strict=True)
    began = ", ".join(f"{name} {one:,} and {ten:,}" for name, one, ten in pairs)
    return [
        f"kept as {' and '.join(row.why)}",
        f"{row.first_packet.astimezone():%H:%M:%S.%f}",
        _REASONS[row.end_reason],
        *(_QUALITY[flag] for flag in row.flags),
        f"others begun in the 1 s and 10 s before: same {began}",
    ]


def matters(whole: float, without: Sequence[float], k: int) -> bool:
    """Whether a row's score falls most without packet `k`, and by more than a little."""
    return without[k] == min(without) and without[k] < whole - NOTICEABLE


def told_without(batch: SequenceBatch, place: int, k: int, without: Sequence[float]) -> str:
    """The measurement `k` of a row, without which the score is lowest."""
    time = microseconds(int(batch.rtt[place, k])) if batch.answered[place, k] else "no answer"
    count = int(batch.length[place]) - k
    which = "the newest" if count == 1 else f"the newest but {count - 1}"
    return f"lowest without {which} ({time}): {score(without[k])}"


def stretch(row: Row) -> str:
    """Which sequence of its flow a row is, or of which measurements."""
    if row.kind:
        return f", round-trip times {_MEASURED[row.kind]}"
    return f", stretch {row.sequence_index + 1}" if row.sequence_index else ""


def consulted(gates: Sequence[float]) -> str:
    """Which experts a gate consulted, the most heard first."""
    told = ", ".join(
        f"expert {number} {weight:.0%}"
        for number, weight in sorted(enumerate(gates, 1), key=lambda each: -each[1])
        if weight >= 0.005
    )
    return f"Of {len(gates)} experts the task's gate heard: {told}."


def threshold(alert: Alert) -> float:
    """The score from which on a row is an alarm, from 0 to 1."""
    return min(1.0, max(0.0, float(alert.multa["threshold"])))


def threat(alert: Alert) -> str:
    """What an alert is about, from its signature: ``MULTA syn_dos: TCP SYN flood``."""
    signature = alert.document["alert"].get("signature")
    text = signature.partition(": ")[2] if isinstance(signature, str) else ""
    return text or alert.task


def sampled(evidence: Evidence) -> list[int]:
    """Places of the rows that stand for all of the incident's."""
    return [place for place, row in enumerate(evidence.rows) if SAMPLE in row.why]


def incident(evidence: Evidence) -> str:
    """What happened, in a few sentences."""
    if evidence.measured:
        return _measured(evidence)
    alert, rows = evidence.alert, [evidence.rows[place] for place in sampled(evidence)]
    lasted_s = (alert.last_packet - alert.first_packet).total_seconds()
    noun = f"{rows[0].protocol} flow" if len({row.protocol for row in rows}) == 1 else "flow"
    flows, stretches = alert.multa["flows"], alert.multa["rows"]
    when = f"within {duration(lasted_s)}" if lasted_s >= 0.05 else "at once"
    text = f"{number(flows, noun)} {_whose(evidence, rows)} {when}"
    if any(row.sequence_index for row in rows):
        text += f", in which {stretches:,} stretches of packets gave the alarm"
    return f"{text}. {_looks(evidence)}{_began(evidence)}"


def lower_median(values: NDArray[np.integer]) -> int:
    """The lower median of some values, as alerts have it of round-trip times."""
    return int(np.sort(values)[(values.size - 1) // 2])


def usual_us(batch: SequenceBatch, place: int) -> int:
    """What was usual in the series before the newest measurement of a row; 0 where nothing was."""
    return int(batch.rtt_usual[place, int(batch.length[place]) - 1])


def round_trips(evidence: Evidence, place: int, last: int = 0) -> str:
    """What the measurements of a row took, or the last ones of them."""
    batch, length = evidence.batch, int(evidence.batch.length[place])
    chosen = slice(max(0, length - last) if last else 0, length)
    rtts = batch.rtt[place, chosen]
    answered = rtts[batch.answered[place, chosen] > 0]
    failed = rtts.size - answered.size
    if not answered.size:
        return "none was answered"
    share = f"{answered.size} of {rtts.size}" if failed else "all"
    text = f"{share} answered in {_range(answered, microseconds)}"
    if answered.size > 1:
        text += f", with a median of {microseconds(lower_median(answered))}"
    return text + (f"; {failed} not answered" if failed else "")


def _measured(evidence: Evidence) -> str:
    alert, place = evidence.alert, int(evidence.scores.argmax())
    row, length = evidence.rows[place], int(evidence.batch.length[place])
    lasted_s = (alert.last_packet - alert.first_packet).total_seconds()
    text = (
        f"{number(alert.multa['rows'], 'measurement')} of {row.destination} within "
        f"{duration(lasted_s)} gave the alarm, each with those before it. The window with the "
        f"highest score has {number(length, 'round-trip time')} {_MEASURED[row.kind]}, asked by "
        f"{row.source} in {duration(row.time_us[-1] / 1e6)}: {round_trips(evidence, place)}."
    )
    if length > LAST:
        text += f" Of the last {LAST}: {round_trips(evidence, place, LAST)}."
    if usual := usual_us(evidence.batch, place):
        text += f" Usual in the series was {microseconds(usual)}."
    return text


def _whose(evidence: Evidence, rows: Sequence[Row]) -> str:
    address = evidence.alert.address
    if evidence.alert.multa["role"] == "source":
        return f"from {address}"
    if 2 * sum(row.destination == address for row in rows) < len(rows):
        return f"in the name of {address}"
    ports = {row.destination_port for row in rows}
    one = len(ports) == 1 and None not in ports
    return f"to {address}" + (f" port {ports.pop()}" if one else "")


def _looks(evidence: Evidence) -> str:
    """What the commonest kinds of rows look like."""
    places = sampled(evidence)
    kinds = Counter(_kind(evidence, place) for place in places)
    told = []
    for kind, found in kinds.most_common(2):
        alike = [place for place in places if _kind(evidence, place) == kind]
        if found >= _OFTEN * len(places):
            share = "All" if found == len(places) else f"{found} of {len(places)}"
            told.append((share, _phrase(evidence, alike)))
    if not told:
        return f"No two of {len(places)} sampled ones look alike."
    (share, first), *others = told
    if len(places) == 1:
        return f"The one looked at is {first}."
    text = f"all {len(places)}" if share == "All" else share
    more = "".join(f"; {share} {phrase}" for share, phrase in others)
    return f"Of those looked at, {text} are {first}{more}."


def _kind(evidence: Evidence, place: int) -> Hashable:
    """Equal for rows that are told alike."""
    batch, length = evidence.batch, int(evidence.batch.length[place])
    directions = batch.direction[place, :length].tolist()
    protocol = int(batch.protocol[place])
    if length <= _FEW:
        return protocol, tuple(directions), tuple(batch.tcp_flags[place, :length].tolist())
    return protocol, 1 in directions, -1 in directions


def _phrase(evidence: Evidence, places: Sequence[int]) -> str:
    batch = evidence.batch
    protocol = evidence.rows[places[0]].protocol
    lengths = batch.length[list(places)]
    noun = "datagram" if protocol == "UDP" else "packet"
    if lengths[0] <= _FEW:
        return _one_by_one(evidence, places, noun)
    held = np.arange(batch.ip_length.shape[1]) < lengths[:, None]
    directions = batch.direction[list(places)]
    there, back = ((directions == sign).sum(axis=1) for sign in (1, -1))
    sizes = batch.ip_length[list(places)][held]
    times = [evidence.rows[place].time_us[-1] for place in places]
    ways = f"{_range(there)} there and {_range(back)} back"
    if not back.any():
        ways = "all one way, with no answer"
    spent = _range(times, microseconds)
    return f"{_range(lengths)} {noun}s, {ways}, of {_range(sizes)} bytes, in {spent}"


def _one_by_one(evidence: Evidence, places: Sequence[int], noun: str) -> str:
    batch, first = evidence.batch, places[0]
    count = int(batch.length[first])
    told = []
    for k in range(count):
        flags = flag_names(int(batch.tcp_flags[first, k]))
        sizes = batch.ip_length[list(places), k]
        what = f"{flags or noun} of {_range(sizes)} bytes"
        article = "an" if what[0] in "AEFIR" and flags else "a"
        answers = k and batch.direction[first, k] < 0 < batch.direction[first, k - 1]
        before = "answered by " if answers else "then " if k else ""
        told.append(f"{before}{article} {what}")
    if count == 1:
        unanswered = " that got no answer" if batch.direction[first, 0] > 0 else ""
        return f"a single {told[0].partition(' ')[2]}{unanswered}"
    reasons = {evidence.rows[place].end_reason for place in places}
    tail = ", and nothing more" if reasons <= {"early", "idle"} else ""
    return ", ".join(told) + tail


def _began(evidence: Evidence) -> str:
    """How many flows began about then, where that is many."""
    counts = np.median(evidence.batch.context[sampled(evidence)], axis=0).astype(int).tolist()
    found = {name: counts[CONTEXT_COLUMNS.index(name)] for name in _BEGAN}
    most = max(found.values())
    if most < _MANY:
        return ""
    # The narrowest of those that say about the same.
    name = next(name for name, count in found.items() if count >= 0.8 * most)
    return (
        f" When a typical one began, {found[name]:,} others {_BEGAN[name]} had begun in the "
        "second before."
    )


def _range(
    values: Sequence[int] | NDArray[np.integer], form: Callable[[int], str] = "{:,}".format
) -> str:
    low, high = form(int(min(values))), form(int(max(values)))
    return low if low == high else f"{low} to {high}"


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
