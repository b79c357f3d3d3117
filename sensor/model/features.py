"""Writes `docs/features.md` from the schema.

    python -m sensor.model.features > docs/features.md

What can be computed (grids, codes, examples) is computed from what encodes the features, so the
page can't say anything else than the code does; a test compares the committed page.
"""

import sys
from collections.abc import Iterator

import numpy as np

from sensor.model.encoding import boundaries
from sensor.model.fields import (
    COMBINED_FIELDS,
    CONTEXT_FIELDS,
    DEFAULT_FIELDS,
    FIELDS,
    LATENCY_FIELDS,
    OPTIONAL_FIELDS,
    Field,
)
from sensor.model.schema import DECODER_REVISION, FLOW_REVISION, KEYS, FeatureSchema

_EXAMPLES = {
    "bytes": (0, 1, 40, 60, 576, 1_500, 9_000, 65_535),
    "µs": (0, 1, 100, 1_000, 20_000, 1_000_000, 30_000_000, 60_000_000),
    "ms": (0, 1, 10, 100, 1_000, 60_000, 240_000, 3_600_000),
    "flows": (0, 1, 2, 10, 30, 100, 1_000, 65_535),
    "‰": (0, 1, 10, 50, 100, 1_000, 10_000, 65_535),
}
"""Raw values that are worked out in the page, by unit."""

_HEAD = """# Features

What the numbers of a row mean, for whoever trains on them, and what they hide. This page is made
of the schema: `python -m sensor.model.features > docs/features.md`.

A row is a sequence of up to n packets of one flow with the context of that flow.
[semantics.md](semantics.md) has the rules by which packets become flows and rows, and says which
flow is meant where one packet carries another; [flows.md](flows.md) has the columns of
`multa-sensor flows`, which are the raw values below. No payload, address, port or absolute
time is a feature.

Decoder revision {decoder}, flow revision {flow}. They, and the revision of each field, are part
of the fingerprint of a schema: a bundle whose features were made by other rules is refused.
"""

_TRANSFORMS = """## From raw value to input

A raw value is an integer. It is clipped, put on a grid (its *code*, one byte), and the inputs of
the network follow from the code, so equal rows are equal bytes on every machine. A dataset holds
codes.

| transform | code | input |
|---|---|---|
| `log2p1` | round(steps · log2(1 + raw)) | code / scale |
| `signed_log2p1` | that of the magnitude, 128 more if negative | ± code / scale |
| `linear` | the raw value | code / scale |
| `sign` | 1 for +1, 2 for −1, 0 for padding | +1, −1, 0 |
| `bits` | the byte, less bits without a channel | 0 or 1 a channel |
| `one_hot` | 1 + position of the value, 0 for all others | 0 or 1 a channel |
| `one` | 1 | 1 |

Boundaries of the logarithmic grid are worked out in integers: no C library's logarithm decides a
feature. Steps are codes an octave: a code of 8 steps spans 9 % of the value, one of 4 steps
19 %, one of 2 steps 41 %. Finer differences are lost on purpose, because they identify the
capture sooner than the attack. Near 0 a step of one is wider than a code, so some codes are never
used. A clipped value can't be told from a larger one.
"""

_CONTEXT = """## Context of a flow

Six numbers a row, equal in all rows of a flow: they are counted once, at its first packet, and
enter gates and towers of the network beside the sequence. One-packet flows, of which floods and
scans are made, tell little without them.

- **Only what this sensor saw** counts. In the first 10 s of a capture the counts are too low, and
  a capture that was cut into files has them too low at each beginning, unless the files are given
  together.
- **They know the size of the network.** A large gateway has more new flows a second than a lab;
  thresholds are calibrated on benign traffic of the place, or they raise false alerts.
- **Saturation.** The last 65,536 flows that began are remembered. If more began within the
  window, counts are lower bounds, and the row's `context_saturated` says so. A flood of one
  service fills the whole memory and reads 65,535, which is the clip, so nothing is lost; counts of
  *other* services are then too low. The mark is a column of raw rows and no input.
- They count five-tuple flows under every key. A flow of another key has the context of the
  conversation of its first packet.
"""

_OPTIONAL = """## Optional fields of a packet

They are not in the default schema, and no shipped bundle has them. They are decoded, and kept in
the flow table, only while a bundle is loaded whose schema names them, or where somebody asks for
them (`multa-sensor flows --with`); nobody else pays for them. Each of them is known to leak: see
[below](#what-is-no-feature-and-why) before you train on one, and show on networks that were held
back from training what it gains there.
"""

_COMBINED = """## Combined fields of a packet

They are not in the default schema either, and say again what fields of it say, for networks with
few inputs: the traffic classes are told from two channels, inter-arrival time and length with
direction. They cost nothing where no schema names them.
"""

_LATENCY = """## Fields of a measurement

With the key `peer_latency` a step of a sequence is no packet but a measurement of a round-trip time
that the sensor took from packets that passed it ([latency.md](latency.md)), and a row is the window
of the last n measurements of a series: the newest one last, older ones before it, padding before
the first. A schema with this key has these fields and `valid`, which is 1 for a measurement, and
no context; its policies, `decide_after_ms`, `idle_timeout_ms` and `repeat` entries mean nothing. A
round-trip time is told from one 10 to 20 % longer, from 10 µs to a minute, a gap from twice that,
from a millisecond to an hour.
"""

_KEYS = {
    "five_tuple": (
        "one conversation: both endpoints (address and port) and the protocol",
        "its originator",
        (
            "The default, and the only key under which a flow closes with the connection. VLAN "
            "tags are not part of it: two networks with the same addresses share flows."
        ),
    ),
    "service": (
        "a responder's address, port and protocol: what all clients do to one service",
        "the side of the clients",
        (
            "Packets of different clients alternate, and inter-arrival is the time between any "
            "two of them. A busy service fills row after row: see `repeat`."
        ),
    ),
    "source": (
        "an originator's address (of IPv6 the first 64 bits): what one host does to all others",
        "that host",
        (
            "For scans and worms. All hosts of one IPv6 network are one source, because a host "
            "has many addresses there. A forged source makes a flow of its own."
        ),
    ),
    "host_pair": (
        "two addresses: all that they say to each other",
        "who sent the first packet",
        (
            "For guessing of passwords and whatever else shows over many connections. `protocol` "
            "is that of the first packet alone, and ports are 0."
        ),
    ),
}
"""Of each key: what its flows hold, who owns them, and a caveat."""

_SEQUENCES = """## Sequences

The values are those of the default schema; a bundle's own are in its manifest
(`multa-sensor models inspect`), and the fingerprint covers them.

| entry | default | meaning |
|---|---|---|
{entries}

- **A row is a prefix, not a flow.** Packet k of a flow is packet k mod n of sequence k div n. What
  a flow does after its last row is in no row, and totals over a flow can't be had from rows.
- **Scored twice.** A flow that has fewer than n packets when `decide_after` has passed gives an
  `early` row, and another one for the same sequence when it fills or ends, if packets were added.
  Counting rows counts such flows twice: count `flow_ordinal`, and for figures of flows take a
  flow's last row.
- **Policies** belong to tasks. `first` looks at sequence 0 only; `repeat` at all rows, for what
  begins late in long flows. Of sequences from index {repeat_all} on only those whose index is a
  power of two are emitted, so rows of a long flow are no even sample of it, and long flows give
  most of the rows.
- **Padding** stands before the packets (left) in what the network sees, and is 0 in every field,
  which no packet is: `direction` and `valid` tell. Raw columns are front-aligned, without padding
  or with zeros behind.
- **Few patterns.** On this grid thousands of flows of a flood are the same bytes. A split by
  flows puts copies of the training data into the test data: split by capture, and report figures
  over distinct patterns too.
- **Twice in the capture.** A mirror port may deliver each packet twice, and then all rows hold
  each packet twice. None is removed: identical datagrams may be an attack.
- **Snap length.** Headers must have been captured; 128 bytes hold all but exotic ones. A frame
  whose headers are cut is refused and counted, so a shorter snap length makes fewer packets,
  never wrong lengths.
- **Eviction.** When the table is nearly full, short and one-sided flows are decided first
  (`evicted`), so a row may be short because others needed the room.
"""

_LEFT_OUT = """## What is no feature, and why

In most public datasets attacks and benign traffic were recorded on different machines. There a
field that identifies the machine predicts the label almost perfectly: a tree on the TTL alone
looks excellent, and is no better than a coin in the next network. TTL and window can be asked
for, so that this can be measured; these can't:

| field | what it gives away |
|---|---|
| TCP options | the system and its settings |
| wire length | padding to 60 bytes, or not yet: where in the host it was captured |
| addresses, MACs, full ports | who, not what: memorised, and wrong in the next network |
| absolute time | the hour of the recording |
| IP identification, sequence numbers | counters of one host |

The default schema would take up a field only if results on every network that was held back from
training gained by it. Its own fields leak too, but less: sizes and gaps on a fine grid would
identify a capture as well, hence the coarse one.
"""


def page() -> str:
    """The whole page, Markdown."""
    schema = FeatureSchema()
    parts = [
        _HEAD.format(decoder=DECODER_REVISION, flow=FLOW_REVISION),
        _TRANSFORMS,
        "## Fields of a packet\n",
        *_fields({name: FIELDS[name] for name in DEFAULT_FIELDS}),
        _OPTIONAL,
        *_fields({name: FIELDS[name] for name in OPTIONAL_FIELDS}),
        _COMBINED,
        *_fields({name: FIELDS[name] for name in COMBINED_FIELDS}),
        _CONTEXT,
        *_fields(CONTEXT_FIELDS),
        _LATENCY,
        *_fields(LATENCY_FIELDS),
        _SEQUENCES.format(entries=_entries(schema), repeat_all=schema.repeat_all),
        "## Keys\n",
        "A key says which packets are one flow, and so whose direction is +1.\n",
        _keys(),
        _LEFT_OUT,
    ]
    return "\n".join(parts)


def codes_used(field: Field) -> int:
    """How many different codes packets can have; padding is not counted."""
    if field.transform == "log2p1":
        return 1 + int(np.unique(boundaries(field)).size)
    if field.transform == "signed_log2p1":
        return 2 + 2 * int(np.unique(boundaries(field)).size)
    if field.transform == "linear":
        return 1 + field.clip
    if field.transform == "bits":
        return 1 << len(field.values)
    if field.transform == "one_hot":
        return 1 + len(field.values)
    return 2 if field.transform == "sign" else 1


def _fields(fields: dict[str, Field]) -> Iterator[str]:
    """All fields in one table, their grids by example, and a section for each text."""
    lines = [
        "| field | unit | transform | clip | steps | scale | codes | channels | revision |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, field in fields.items():
        logarithmic = field.transform in ("log2p1", "signed_log2p1")
        numeric = logarithmic or field.transform == "linear"
        cells = [
            f"`{name}`",
            field.unit,
            f"`{field.transform}`",
            f"{field.clip:,}" if numeric else "–",
            f"{field.steps}" if logarithmic else "–",
            f"{field.scale}" if numeric else "–",
            f"{codes_used(field)}",
            ", ".join(_channels(field)),
            f"{field.revision}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    yield "\n".join(lines) + "\n"
    grids = {
        (field.unit, field.steps, field.scale, field.clip): field
        for field in fields.values()
        if field.transform == "log2p1"
    }
    for field in grids.values():
        yield _examples(field)
    texts: dict[str, list[str]] = {}
    for name, field in fields.items():
        texts.setdefault(field.caveat, []).append(name)
    for caveat, names in texts.items():
        heading = ", ".join(f"`{name}`" for name in names)
        meaning = " ".join(fields[name].meaning for name in names)
        yield f"### {heading}\n\n{meaning}\n\n*Caveat.* {caveat}\n"


def _channels(field: Field) -> Iterator[str]:
    """The field's channels, with what sets them where there are several."""
    if field.transform not in ("bits", "one_hot"):
        yield from (f"`{channel}`" for channel in field.channels)
        return
    form = "{:#04x}" if field.transform == "bits" else "{}"
    for channel, value in zip(field.channels, field.values, strict=True):
        yield f"`{channel}` {form.format(value)}"


def _examples(field: Field) -> str:
    """A table of raw values and what becomes of them."""
    starts = boundaries(field)
    lines = [f"| raw, {field.unit} | code | input | same code |", "|---|---|---|---|"]
    for raw in _EXAMPLES[field.unit]:
        code = int(np.searchsorted(starts, min(raw, field.clip), side="right"))
        first = int(starts[code - 1]) if code else 0
        last = int(starts[code]) - 1 if code < starts.size else None
        same = f"{first:,} and more" if last is None else f"{first:,} to {last:,}"
        same = "no other" if first == last else same
        lines.append(f"| {raw:,} | {code} | {code / field.scale:.4g} | {same} |")
    return "\n".join(lines) + "\n"


def _entries(schema: FeatureSchema) -> str:
    """The schema's own entries with their default values."""
    meanings = {
        "lengths": "lengths that a model has a signature for; the longest is n",
        "key": "which packets are one flow, see below",
        "policies": "which sequences of a flow are emitted",
        "decide_after_ms": "age at which a flow of fewer than n packets is scored as it is",
        "idle_timeout_ms": "silence after which a flow has ended; the next packet begins another",
        "repeat_min_packets": "a last, shorter sequence is emitted from this length (`repeat`)",
        "repeat_all": "sequences below this index are all emitted (`repeat`)",
    }
    lines = []
    for name, meaning in meanings.items():
        value = getattr(schema, name)
        values = value if isinstance(value, tuple) else (value,)
        shown = ", ".join(f"{v:,}" if isinstance(v, int) else f"`{v}`" for v in values)
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join([*lines, "| padding | left | zeros, before the packets |"])


def _keys() -> str:
    lines = ["| key | a flow holds | owner | caveat |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {' | '.join(_KEYS[key])} |" for key in KEYS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
