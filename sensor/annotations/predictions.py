"""What a detector said of flows that have not ended yet, until the end tells whether it was right.

Columns, sorted by flow: no object for each flow, and a lookup is a binary search of all at once.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.slots import DEFAULT_SLOTS

ABSTAINED = 254
"""Stands for a class where none is named, as the best one is not likely enough."""

NOT_COUNTED = 255
"""Stands for a class where the row is too short for the task."""


def prediction_type(tasks: int) -> "np.dtype[np.void]":
    """What is kept of a flow, for so many categorical tasks.

    Fields: ``ordinal`` of the flow; ``used``, packets that the prediction is based on; ``told``
    ``(tasks,)`` class, `ABSTAINED` or `NOT_COUNTED`; ``confidence`` ``(tasks,)`` the best class's
    probability.
    """
    return np.dtype(
        [
            ("ordinal", "i8"),
            ("used", "u2"),
            ("told", "u1", (tasks,)),
            ("confidence", "f4", (tasks,)),
        ]
    )


class Predictions:
    """The latest prediction of each flow.

    There are never more than a flow table has slots. An end that never comes (its rows were shed)
    leaves a prediction behind, so of too many the flows that began first are forgotten.

    Attributes:
        forgotten: predictions that were given up without an end.
    """

    def __init__(self, tasks: int, most: int = DEFAULT_SLOTS) -> None:
        """Starts without any, for so many categorical tasks and at most so many flows."""
        self._most = most
        self._records = np.zeros(0, prediction_type(tasks))
        self.forgotten = 0

    def __len__(self) -> int:
        return int(self._records.size)

    def put(self, records: NDArray[np.void]) -> int:
        """Keeps predictions, each in place of an earlier one of its flow.

        Args:
            records: of type `prediction_type`, in the order in which they were made; a flow may
                have several.

        Returns:
            How many of the flows had none before.
        """
        order = np.argsort(records["ordinal"], kind="stable")
        ordinal = records["ordinal"][order]
        records = records[order[np.append(ordinal[1:] != ordinal[:-1], True)[: order.size]]]
        place = np.searchsorted(self._records["ordinal"], records["ordinal"])
        known = self._at(place, records["ordinal"])
        self._records[place[known]] = records[known]
        added = records[~known]
        self._records = np.insert(self._records, place[~known], added)
        if (over := self._records.size - self._most) > 0:
            self._records = self._records[over:].copy()
            self.forgotten += over
        return int(added.size)

    def take(self, ordinals: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.void]]:
        """Takes out what was said of the given flows, each of which is named once.

        Returns:
            ``(found,)`` places in `ordinals` of the flows that have a prediction, and these.
        """
        place = np.searchsorted(self._records["ordinal"], ordinals)
        found = np.flatnonzero(self._at(place, ordinals))
        taken = self._records[place[found]]
        if found.size:
            self._records = np.delete(self._records, place[found])
        return found, taken

    def clear(self) -> None:
        """Forgets all, as no ends will come."""
        self.forgotten += len(self)
        self._records = self._records[:0].copy()

    def _at(self, place: NDArray[np.intp], ordinals: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places hold the flow that is looked for."""
        known = place < self._records.size
        known[known] = self._records["ordinal"][place[known]] == ordinals[known]
        return known
