"""Rows of packets as Python values, column by column, for other tools (`docs/flows.md`)."""

from ipaddress import IPv6Address
from typing import Any

from sensor.flows.sequences import CONTEXT_COLUMNS, END_REASONS, SequenceBatch

PACKET_COLUMNS = ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags")

_FIRST_COLUMNS = ("flow_ordinal", "row", "sequence_index", "end_reason", "decided_ns")
_FLOW_COLUMNS = ("flow_start_ns", "first_packet_ns", "last_packet_ns", "flow_packets", "midstream")

COLUMNS = (
    *_FIRST_COLUMNS,
    *_FLOW_COLUMNS,
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "protocol",
    *CONTEXT_COLUMNS,
    "context_saturated",
    "offloaded",
    "length",
    *PACKET_COLUMNS,
)
"""Names of the columns, in order; behind them stand those of `SequenceBatch.optional`."""


def columns_of(batch: SequenceBatch) -> dict[str, list[Any]]:
    """The batch as Python values, column by column, named and ordered as `COLUMNS`.

    Behind those are the optional columns that the batch has.
    Fields of packets are lists, cut to the row's length; addresses and end reasons are text.
    """
    columns = {name: getattr(batch, name).tolist() for name in (*_FIRST_COLUMNS, *_FLOW_COLUMNS)}
    columns["end_reason"] = [END_REASONS[reason] for reason in columns["end_reason"]]
    version = batch.version.tolist()
    for side, name in (("source", "src"), ("destination", "dest")):
        high = getattr(batch, f"{side}_high").tolist()
        low = getattr(batch, f"{side}_low").tolist()
        words = zip(version, high, low, strict=True)
        columns[f"{name}_ip"] = [address_text(*each) for each in words]
        columns[f"{name}_port"] = getattr(batch, f"{side}_port").tolist()
    columns["protocol"] = batch.protocol.tolist()
    for place, name in enumerate(CONTEXT_COLUMNS):
        columns[name] = batch.context[:, place].tolist()
    columns["context_saturated"] = batch.context_saturated.tolist()
    columns["offloaded"] = batch.offloaded.tolist()
    columns["length"] = length = batch.length.tolist()
    for name in (*PACKET_COLUMNS, *batch.optional):
        values = getattr(batch, name).tolist()
        columns[name] = [row[:count] for row, count in zip(values, length, strict=True)]
    return columns


def address_text(version: int, high: int, low: int) -> str:
    """An address of IP version 4 or 6, from its words."""
    if version == 4:
        return f"{low >> 24}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return str(IPv6Address(high << 64 | low))
