"""The rule to beat: the sensor's counting rule, as a score of every row.

It knows nothing but a counter, and tells floods from neither each other nor from scans.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.rule import NEW_FLOWS
from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch

TASKS = ("syn_dos", "ssdp_flood", "udp_reflection", "scan")
"""Tasks about many flows, floods and scans; the rule says nothing about others."""


def rule_scores(batch: SequenceBatch) -> NDArray[np.float64]:
    """Scores ``(b,)`` in (0, 1): 0.5 at `NEW_FLOWS`, on all rows of a flow alike.

    The sensor's rule scores a flow's first row only; here the deciding row may be a later one.
    """
    others = batch.context[:, CONTEXT_COLUMNS.index("dst_1s")].astype(np.float64)
    return (others + 1) / (others + 1 + NEW_FLOWS)
