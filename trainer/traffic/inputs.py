"""What the networks of this package see: the first k packets of a flow in two channels.

S. Rezaei and X. Liu, Multitask Learning for Network Traffic Classification (2020), section III:
inter-arrival time, and length combined with direction. Flows that are shorter are padded with
zeros. The third field, ``valid``, is for LSTMs without bias (`trainer.models.lmmoe`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.encoding import encode
from sensor.model.fields import FIELDS
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema(
    lengths=(8, 16, 32, 60),
    fields=("interarrival", "signed_length", "valid"),
    context=(),
    policies=("first",),
    decide_after_ms=10_000,
)
"""Of the flows' rows. There is no context: counts of other flows say something about a traffic
class, but nothing that a packet's length or time says."""

GAIN = np.float32(4)
"""Networks see both channels so many times as large as the sensor encodes them: lengths lie between
-0.7 and 0.7 and gaps between 0 and 0.6, too little for a network to begin with."""

INTERARRIVAL_BIT = FIELDS["interarrival"].steps / FIELDS["interarrival"].scale
"""Of the sensor's channel, what doubling a gap adds."""

LEAST_PACKETS = 8
"""Shorter flows are not asked about."""

TASKS = ("bandwidth", "duration", "traffic_class")
"""Heads of a network, in the order of the columns of labels."""

CLASS = 2
"""Column of the task whose labels cost work; the others label themselves."""

_MEASURED = np.array([channel != "valid" for channel in SCHEMA.channels])

Inputs = dict[str, NDArray[np.float32]]
"""By name of a network's input."""


def first(batch: SequenceBatch, k: int) -> SequenceBatch:
    """The rows with no more than their first k packets."""
    names = ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags")
    cut = {name: getattr(batch, name)[:, :k] for name in names}
    return replace(batch, **cut, length=np.minimum(batch.length, np.uint16(k)))


def recurrent(batch: SequenceBatch, k: int) -> Inputs:
    """For LSTMs: ``x`` of ``(flows, k, 3)``, zeros before the packets."""
    x, _ = encode(SCHEMA, first(batch, k), steps=k).expand(length=k)
    return {"x": x * np.where(_MEASURED, GAIN, np.float32(1))}


def convolved(batch: SequenceBatch, k: int) -> Inputs:
    """For convolutions, as in the paper: ``x`` of ``(flows, k, 2)``, zeros behind the packets."""
    x = recurrent(batch, k)["x"][..., _MEASURED]
    length = np.minimum(batch.length, k).astype(np.intp)[:, None]
    step = np.arange(k)
    places = np.where(step < length, step + k - length, 0)
    moved = np.take_along_axis(x, places[..., None], axis=1)
    return {"x": np.where((step < length)[..., None], moved, np.float32(0))}
