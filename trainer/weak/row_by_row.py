"""Labeling functions of Snorkel, and whatever else votes on one row at a time, as they are.

A function of Snorkel 0.10 (`snorkel.labeling.LabelingFunction`, or what its decorator makes) is
called as its appliers call it: once for each row, its preprocessors and resources included. The
row is what Snorkel's own `LFApplier` takes, a `types.SimpleNamespace` with the columns as its
attributes, and beside that the part of a pandas row that such functions use: ``row["rtt_ms"]``,
``row.get``, ``row.keys()``, and the row's number as ``row.name``. Nothing of Snorkel is imported
here: what has the parts of such a function is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.weak.functions import ABSTAIN, Columns, LabelingFunction, Task, row_count

ALL = ("*",)
"""`LabelingFunction.reads` of a function that may read any column."""


class RowFunction(Protocol):
    """What a labeling function of Snorkel has."""

    name: str

    def __call__(self, x: Any) -> int:
        """Votes on a row; below 0 it abstains."""


class Row(SimpleNamespace):
    """One row of a table, as pandas hands it to Snorkel's functions."""

    def __getitem__(self, column: str) -> Any:
        try:
            return vars(self)[column]
        except KeyError:
            raise KeyError(column) from None

    def __setitem__(self, column: str, value: Any) -> None:
        setattr(self, column, value)

    def __contains__(self, column: str) -> bool:
        return column in vars(self)

    def __iter__(self) -> Iterator[Any]:
        return iter(vars(self).values())

    def get(self, column: str, default: Any = None) -> Any:
        """The value of a column, or another where there is none."""
        return vars(self).get(column, default)

    def keys(self) -> Any:
        """Names of the columns."""
        return vars(self).keys()

    def items(self) -> Any:
        """Names and values of the columns."""
        return vars(self).items()


class RowError(Exception):
    """A function failed at a row.

    Attributes:
        row: of the columns that were given.
        error: what it raised.
    """

    def __init__(self, row: int, error: Exception) -> None:
        super().__init__(row, error)
        self.row, self.error = row, error


@dataclass(frozen=True, eq=False)
class RowByRow:
    """The vote of a function that is called once for each row.

    Attributes:
        function: of Snorkel, or like one.
    """

    function: RowFunction

    def __call__(self, columns: Columns) -> NDArray[np.int64]:
        """``(m,)`` votes; whatever is below 0 abstains, as for Snorkel.

        Raises:
            RowError: the function failed; the row is named.
        """
        votes = np.full(row_count(columns), ABSTAIN, np.int64)
        names = tuple(columns)
        for number, values in enumerate(zip(*columns.values(), strict=True)):
            row = Row(**{"name": number, **dict(zip(names, values, strict=True))})
            try:
                votes[number] = max(int(self.function(row)), ABSTAIN)
            except Exception as error:  # noqa: BLE001 -- whatever the user's own code ran into
                raise RowError(number, error) from None
        return votes


def is_row_function(candidate: object) -> bool:
    """Whether something is a labeling function of Snorkel, by the parts that these have."""
    parts = ("name", "_f", "_resources", "_pre")
    return callable(candidate) and all(hasattr(candidate, part) for part in parts)


def adapted(
    function: RowFunction, task: Task, *, confidence: float = 0.7, file: str = ""
) -> LabelingFunction:
    """A labeling function of Snorkel as one of ours.

    Args:
        function: as its author wrote it.
        task: what it votes on.
        confidence: of its votes.
        file: where it was defined.

    Raises:
        LabelError: it can't be called.
    """
    if not callable(function):
        raise LabelError(f"{file}: {function!r} can't be called; decorate a function")
    vote = RowByRow(function)
    return LabelingFunction(function.name, task, ALL, vote, 0, 0, confidence, file)
