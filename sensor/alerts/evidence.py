"""Evidence of incidents in bounded memory: rows with their packets (`docs/evidence.md`).

Of a batch only what can enter is looked at (`sensor.alerts.kept_rows`): in a flood, hundreds of
thousands of rows a second are positive, and next to none of them enters.

Memory is bounded for each task. After every `sensor.alerts.task_incidents.EPOCH_ROWS`-th positive
row, while the open incidents of a task hold more than `TASK_BYTES`, the one that is silent for
longest gives its rows up; in between at most that many rows are added. Rows that have not opened
an incident are remembered with their packets too, as they may become an incident's first ones.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from sensor.alerts.incident import Incident, Segment
from sensor.alerts.kept_rows import KeptRows, lots
from sensor.alerts.positives import PositiveRows

TASK_BYTES = 256 << 10
"""What the open incidents of a task may hold: 12 times 64 rows of 16 packets."""


def keep(rows: PositiveRows, segments: Sequence[Segment]) -> None:
    """Lets every incident keep what it wants of its next rows.

    Args:
        rows: positive rows of a batch, and remembered ones.
        segments: of incidents that keep rows, those of an incident one behind the other.
    """
    lot = lots(rows.ordinal, rows.column("row"))
    entering = []
    for kept, start, stop in _spans(segments):
        chosen = kept.entering(rows.score[start:stop], lot[start:stop])
        if chosen.size:
            entering.append((kept, start + chosen))
    if not entering:
        return
    # One gathering of columns for all of them: it costs as much for one row as for hundreds.
    records = rows.records(np.concatenate([chosen for _, chosen in entering]))
    for kept, chosen in entering:
        mine, records = np.split(records, [chosen.size])
        kept.put(mine)


def _spans(segments: Sequence[Segment]) -> Iterator[tuple[KeptRows, int, int]]:
    """The rows of each incident, whose segments adjoin each other."""
    start = 0
    for place, segment in enumerate(segments):
        incident = segment.incident
        if not place or segments[place - 1].incident is not incident:
            start = segment.start
        last = place + 1 == len(segments) or segments[place + 1].incident is not incident
        if last and incident.kept is not None:
            yield incident.kept, start, segment.stop


def hold_limit(incidents: Collection[Incident]) -> int:
    """Has incidents give up their rows until the others hold `TASK_BYTES` or less; how many."""
    holding = [(each, each.kept) for each in incidents if each.kept]
    excess = sum(kept.records.nbytes for _, kept in holding) - TASK_BYTES
    given_up = 0
    for _, kept in sorted(holding, key=lambda each: each[0].row_position):
        if excess <= 0:
            break
        excess -= kept.records.nbytes
        kept.give_up()
        given_up += 1
    return given_up
