"""The tasks of latency as a bundle has them.

Thresholds are those of an untrained network; `trainer.latency.deploying` chooses them. There is no
technique of MITRE ATT&CK for a path that got worse.
"""

from sensor.model.schema import IncidentRule, TaskSpec

_CATEGORY = "Misc activity"

SPECS = (
    TaskSpec(
        name="noise",
        policy="repeat",
        threshold=0.5,
        signature_id=31,
        signature="MULTA noise: single round-trip times of a peer far above the others",
        category=_CATEGORY,
        severity=3,
        # One is nothing, and three may be a swell that begins; more within minutes are a
        # path that is not right.
        incident=IncidentRule("responder", open_flows=1, open_seconds=120, open_rows=4),
    ),
    TaskSpec(
        name="outage",
        policy="repeat",
        threshold=0.5,
        signature_id=32,
        signature="MULTA outage: a peer that has answered lately no longer answers",
        category=_CATEGORY,
        severity=3,
        incident=IncidentRule("responder", open_flows=1, open_seconds=120, open_rows=3),
    ),
    TaskSpec(
        name="swell",
        policy="repeat",
        threshold=0.5,
        signature_id=33,
        signature="MULTA swell: the round-trip times of a peer are raised for a while",
        category=_CATEGORY,
        severity=3,
        incident=IncidentRule("responder", open_flows=1, open_seconds=120, open_rows=10),
    ),
)
"""In the order of `trainer.latency.series.TASKS`."""
