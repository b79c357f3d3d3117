"""Labeling functions: named objects that look at columns and vote for a class, row by row, or not.

A labeling function is vectorized: it is given columns and returns a vote for every row. It says
beforehand which columns it reads and how many rows before and after a row it looks at, so it can
be applied to a long table in pieces that overlap, and votes as it would on the whole.

    NOISE = Task("noise", ("normal", "noise"))

    @labeling_function(NOISE, reads=("rtt_ms",), before=25, after=25, confidence=0.6)
    def two_deviations(columns):
        x = columns["rtt_ms"]
        bucket = rolling_moments(x, 25, 25)
        return np.where(x > bucket.mean + 2 * bucket.deviation, 1, ABSTAIN)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError

ABSTAIN = -1
"""A vote for no class."""

MAX_CLASSES = 127
"""Votes are int8."""

Columns = Mapping[str, NDArray[Any]]
"""Columns of one table by name; all have the same first length m, further axes are free."""

Vote = Callable[[Columns], NDArray[Any]]


@dataclass(frozen=True)
class Task:
    """What is to be told of a row.

    Attributes:
        name: of the task.
        classes: names of the classes; a vote is a place in this list.
    """

    name: str
    classes: tuple[str, ...] = ("no", "yes")

    def __post_init__(self) -> None:
        if not 2 <= len(set(self.classes)) == len(self.classes) <= MAX_CLASSES:
            raise LabelError(
                f"task {self.name}: needs 2 to {MAX_CLASSES} different classes, not "
                f"{', '.join(self.classes) or 'none'}"
            )


@dataclass(frozen=True, eq=False)
class LabelingFunction:
    """A named function that votes.

    Attributes:
        name: unique among the functions of a table.
        task: what it votes on.
        reads: names of the columns that it is given, and no others.
        vote: from columns of m rows to ``(m,)`` votes: places in `Task.classes`, or `ABSTAIN`.
        before, after: how many rows before and after a row its vote depends on, at most. 0 after
            means that it looks at the past alone, and so can be asked while measurements come in.
        confidence: how sure its author is of its votes, above 1 / classes and below 1: the share
            of them that would be right if all classes were equally frequent. The label model
            begins there.
        file: where it was defined, for messages.
    """

    name: str
    task: Task
    reads: tuple[str, ...]
    vote: Vote
    before: int = 0
    after: int = 0
    confidence: float = 0.7
    file: str = ""

    def __post_init__(self) -> None:
        for name, rows in (("before", self.before), ("after", self.after)):
            if not isinstance(rows, Integral) or rows < 0:
                raise LabelError(f"{self.place}: {name} is {rows}; give a whole number, 0 or more")
        if not 1 / len(self.task.classes) < self.confidence < 1:
            raise LabelError(
                f"{self.place}: its confidence is {self.confidence}; give more than "
                f"1/{len(self.task.classes)} and less than 1"
            )

    @property
    def place(self) -> str:
        """File and function, for messages."""
        return f"{self.file}: {self.name}" if self.file else self.name

    @property
    def causal(self) -> bool:
        """Whether it looks at nothing that comes after a row."""
        return self.after == 0

    def __call__(self, columns: Columns) -> NDArray[np.int8]:
        """Votes on whole columns.

        Returns:
            ``(m,)`` int8: places of classes, or `ABSTAIN`.

        Raises:
            LabelError: what it returned are no votes; the first wrong row is named.
        """
        rows = row_count(columns)
        votes = np.asarray(self.vote(columns))
        if votes.shape != (rows,):
            raise LabelError(
                f"{self.place}: returns an array {votes.shape} for {rows} rows; return one vote "
                "for each"
            )
        if votes.dtype.kind not in "iub":
            raise LabelError(
                f"{self.place}: returns {votes.dtype}; return whole numbers, as numpy.where does "
                "between whole numbers"
            )
        wrong = np.flatnonzero((votes < ABSTAIN) | (votes >= len(self.task.classes)))
        if wrong.size:
            raise WrongVoteError(int(wrong[0]), int(votes[wrong[0]]), self)
        return votes.astype(np.int8, copy=False)


class WrongVoteError(LabelError):
    """A vote for no class of the task.

    Attributes:
        row: of the columns that were given.
        vote: that was returned there.
        function: that returned it.
    """

    def __init__(self, row: int, vote: int, function: LabelingFunction) -> None:
        self.row, self.vote, self.function = row, vote, function
        places = len(function.task.classes) - 1
        super().__init__(
            f"{function.place}: row {row}: votes {vote}; return 0 to {places} for "
            f"{', '.join(function.task.classes)}, or -1 to abstain"
        )


def labeling_function(
    task: Task,
    *,
    reads: Sequence[str],
    before: int = 0,
    after: int = 0,
    confidence: float = 0.7,
    name: str = "",
) -> Callable[[Vote], LabelingFunction]:
    """Makes a labeling function of a Python function; the arguments are its attributes.

    Args:
        task: what it votes on.
        reads: columns that it is given.
        before: rows before a row that its vote depends on.
        after: rows after it.
        confidence: of its author.
        name: by default that of the Python function.
    """

    def made(vote: Vote) -> LabelingFunction:
        code = getattr(vote, "__code__", None)
        return LabelingFunction(
            name or vote.__name__,
            task,
            tuple(reads),
            vote,
            before,
            after,
            confidence,
            code.co_filename if code else "",
        )

    return made


def row_count(columns: Columns) -> int:
    """How many rows the columns have.

    Raises:
        LabelError: there are none, or they differ.
    """
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise LabelError(
            "the columns differ in length: "
            + ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        )
    return lengths.pop()


def of_task(functions: Sequence[LabelingFunction], task: Task) -> tuple[LabelingFunction, ...]:
    """Those that vote on a task, in their order."""
    return tuple(function for function in functions if function.task == task)


def tasks_of(functions: Sequence[LabelingFunction]) -> tuple[Task, ...]:
    """The tasks that are voted on, in the order of the functions.

    Raises:
        LabelError: two functions give a task different classes, or two have the same name.
    """
    found = tuple(dict.fromkeys(function.task for function in functions))
    names = [task.name for task in found]
    for name in names:
        if names.count(name) > 1:
            raise LabelError(f"task {name} has other classes in another labeling function")
    known: dict[str, LabelingFunction] = {}
    for function in functions:
        if function.name in known:
            raise LabelError(
                f"{function.place}: {known[function.name].place} has the same name; rename one"
            )
        known[function.name] = function
    return found
