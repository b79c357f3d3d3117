"""The counting rule: many new flows to one address, whatever they look like.

The baseline that a network has to beat, and the fallback of a sensor without one. It finds
floods and does not tell them from each other, nor from scans.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.hops import hop
from sensor.model.schema import FeatureSchema, IncidentRule, TaskSpec

NEW_FLOWS = 30
"""New flows to one address within a second, the present one among them, that are too many."""

_COUNT = CONTEXT_COLUMNS.index("dst_1s")


def can_count(schema: FeatureSchema) -> bool:
    """Whether the rule can look at rows of this schema.

    Their context must be counted, and each connection must be a flow of its own: a flow that
    gathers several has the context of its first one, so a flood that joins it is not seen.
    """
    return bool(schema.context) and schema.key == "five_tuple"


class CountingRule:
    """Scores a flow by the number of flows that began to its responder in the last second.

    A detector (`sensor.pipeline.Detector`) with one task. It looks at the first row of every
    flow, so it needs a flow table of connections that counts context.

    Attributes:
        name: ``counting-rule``.
        version: raised when the rule changes.
        model_sha256: empty, as there is no network.
        fingerprint: SHA-256 over the rule and the features of the flow table that counts.
        tasks: ``flow_rate``, about the responder.
    """

    name = "counting-rule"
    version = "1"
    model_sha256 = ""

    def __init__(self, schema: FeatureSchema) -> None:
        """Makes the rule for rows of a flow table with `schema`, of which `can_count` is true."""
        if not can_count(schema):
            raise ValueError("the counting rule needs a schema of connections with context")
        self.fingerprint = hashlib.sha256(
            f"{self.name} {self.version} {schema.fingerprint()}".encode()
        ).hexdigest()
        self.tasks: tuple[TaskSpec, ...] = (
            TaskSpec(
                name="flow_rate",
                policy="first",
                threshold=0.5,
                signature_id=1000,
                signature=f"MULTA flow_rate: {NEW_FLOWS} or more new flows a second to one address",
                category="Attempted Denial of Service",
                severity=2,
                incident=IncidentRule(role="responder", open_flows=1, open_seconds=1),
                mitre_technique_id=("T1498", "T1046"),  # a flood or a scan
            ),
        )

    @hop("inference")
    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Scores ``(b, 1)``: c / (c + `NEW_FLOWS`) for a count c; NaN for a flow's later rows."""
        count = batch.context[:, _COUNT].astype(np.float64) + 1
        score = np.where(batch.row == 0, count / (count + NEW_FLOWS), np.nan)
        return score.astype(np.float32)[:, None]
