"""The rule to beat: many new flows a second to one address.

It knows nothing but a counter, and tells floods from neither each other nor from scans.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch

FLOWS_A_SECOND = 30
"""Other new flows to the responder in the last second from which on a flow is positive."""

TASKS = ("syn_dos", "ssdp_flood")
"""Tasks about floods of flows; the rule says nothing about others."""


def rule_scores(batch: SequenceBatch) -> NDArray[np.float64]:
    """Scores ``(b,)`` in [0, 1) that rise with the count and reach 0.5 at `FLOWS_A_SECOND`."""
    count = batch.context[:, CONTEXT_COLUMNS.index("dst_1s")].astype(np.float64)
    return count / (count + FLOWS_A_SECOND)
