"""Labeling functions applied to a table: in pieces, here or on workers, with the same votes.

A piece is a range of rows; each function gets it with as many rows around it as it says that it
looks at, and what it votes on those is thrown away. So memory is bounded by the piece and not by
the table, and it does not matter how the table is cut. That a function looks no further than it
says is tried on a few rows of every table.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError, MultaError
from trainer.executors import Workers
from trainer.weak.functions import Columns, LabelingFunction, WrongVoteError, row_count
from trainer.weak.loading import LoadedFunction, where
from trainer.weak.row_by_row import ALL, RowError

PIECE_ROWS = 1 << 16
"""Rows of a piece: few enough for a processor's cache, enough that Python's part is nothing."""

TRIED = 8
"""Rows of a table at which it is tried that a function looks no further than it says."""

Votes = NDArray[np.int8]


def apply(
    functions: Sequence[LabelingFunction],
    columns: Columns,
    *,
    piece_rows: int = PIECE_ROWS,
    workers: Workers | None = None,
) -> Votes:
    """What the functions vote on one table; see `applied`."""
    (votes,) = applied(functions, [columns], piece_rows=piece_rows, workers=workers)
    return votes


def applied(
    functions: Sequence[LabelingFunction],
    tables: Iterable[Columns],
    *,
    piece_rows: int = PIECE_ROWS,
    workers: Workers | None = None,
) -> Iterator[Votes]:
    """What the functions vote on tables, one after the other.

    Args:
        functions: with different names.
        tables: each is one stretch of rows in their order, such as one series: windows cross no
            end. They are taken as they are needed.
        piece_rows: rows of a piece.
        workers: processes or a cluster that do it. The functions are then those of
            `trainer.weak.loading.load`, whose files each worker needs, or ones that can be
            pickled. Without, it is done here.

    Yields:
        ``(m, functions)`` int8 for each table: places of classes, or −1; in Fortran's order, so
        that a column lies together.

    Raises:
        LabelError: a function failed, voted for no class, reads a column that is not there, or
            looks further than it says; file, function and row are named.
    """
    under_way: deque[_Table] = deque()
    for number, columns in enumerate(tables):
        needed = {name: columns[name] for name in _needed(functions, columns)}
        if number == 0:
            for function in functions:
                _try_window(function, needed)
        rows = row_count(columns)
        table = _Table(np.empty((rows, len(functions)), np.int8, order="F"))
        for begin in range(0, rows, piece_rows):
            end = min(begin + piece_rows, rows)
            cut = _cut(functions, needed, begin, end)
            if workers is None:
                table.votes[begin:end] = _piece(functions, *cut)
                continue
            table.waiting.append((begin, end, workers.submit(_piece, tuple(functions), *cut)))
            # No more are under way than keep the workers busy.
            while sum(len(each.waiting) for each in under_way) + len(table.waiting) > (
                2 * workers.count
            ):
                next(each for each in (*under_way, table) if each.waiting).wait_for_one()
        under_way.append(table)
        while under_way and not under_way[0].waiting:
            yield under_way.popleft().votes
    for table in under_way:
        while table.waiting:
            table.wait_for_one()
        yield table.votes


@dataclass(frozen=True)
class _Table:
    """A table of which some pieces may be under way.

    Attributes:
        votes: as far as they are known.
        waiting: first and last rows of pieces, and what becomes of them.
    """

    votes: Votes
    waiting: "deque[tuple[int, int, Future[Votes]]]" = field(default_factory=deque)

    def wait_for_one(self) -> None:
        """Waits for the piece that was begun first."""
        begin, end, future = self.waiting.popleft()
        self.votes[begin:end] = future.result()


def _cut(
    functions: Sequence[LabelingFunction], columns: Columns, begin: int, end: int
) -> tuple[Columns, int, int, int]:
    """The columns of a piece with what its functions see around it.

    Returns:
        Columns, the piece's first row and number of rows in them, and the table's row of theirs.
    """
    first = max(0, begin - max((each.before for each in functions), default=0))
    last = end + max((each.after for each in functions), default=0)
    cut = {name: column[first:last] for name, column in columns.items()}
    return cut, begin - first, end - begin, first


def _piece(
    functions: Sequence[LabelingFunction], columns: Columns, begin: int, rows: int, offset: int
) -> Votes:
    """Votes ``(rows, functions)`` on the rows from `begin` on; `offset` is for messages."""
    votes = np.empty((rows, len(functions)), np.int8, order="F")
    for place, function in enumerate(functions):
        votes[:, place] = _vote(function, columns, begin, begin + rows, offset)
    return votes


def _vote(function: LabelingFunction, columns: Columns, begin: int, end: int, offset: int) -> Votes:
    """Votes of one function on rows of the columns, seeing what it says that it looks at."""
    first = max(0, begin - function.before)
    seen = _seen(function, columns, first, end + function.after)
    try:
        return function(seen)[begin - first : end - first]
    except WrongVoteError as error:
        raise WrongVoteError(error.row + first + offset, error.vote, function) from None
    except RowError as error:
        raise _failed(function, error.error, error.row + first + offset) from None
    except MultaError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever the user's own code ran into
        row, cause = _first_failure(function, columns, begin, end, error)
        raise _failed(function, cause, row + offset) from None


def _seen(function: LabelingFunction, columns: Columns, first: int, last: int) -> Columns:
    """What a function is given of some rows: to read alone, as others are given the same."""
    seen = {}
    for name in columns if function.reads == ALL else function.reads:
        seen[name] = columns[name][first:last]
        seen[name].flags.writeable = False
    return seen


def _first_failure(
    function: LabelingFunction, columns: Columns, begin: int, end: int, error: Exception
) -> tuple[int, Exception]:
    """The first row at which a function fails that failed somewhere in ``[begin, end)``."""
    while end - begin > 1:
        middle = (begin + end) // 2
        try:
            first = max(0, begin - function.before)
            function(_seen(function, columns, first, middle + function.after))
        except Exception as failure:  # noqa: BLE001 -- what is looked for
            error, end = failure, middle
        else:
            begin = middle
    return begin, error


def _failed(function: LabelingFunction, error: Exception, row: int) -> LabelError:
    place = function.place
    if isinstance(function, LoadedFunction):
        path = Path(function.reference[0])
        place = f"{where(error, path)}: {function.name}"
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, KeyError):
        reads = ", ".join(function.reads)
        what += f" is no column that it says it reads ({reads}); add it to `reads`"
    return LabelError(f"{place}: row {row}: {what}")


def _needed(functions: Sequence[LabelingFunction], columns: Columns) -> tuple[str, ...]:
    """Columns that are read; workers are sent no others."""
    for function in functions:
        if not function.reads:
            raise LabelError(f"{function.place}: reads no column; name those that it looks at")
        missing = [name for name in function.reads if name not in columns and name != ALL[0]]
        if missing:
            raise LabelError(
                f"{function.place}: reads {missing[0]!r}, which these rows don't have; they have "
                f"{', '.join(columns)}"
            )
    if any(function.reads == ALL for function in functions):
        return tuple(columns)
    return tuple(dict.fromkeys(name for function in functions for name in function.reads))


def _try_window(function: LabelingFunction, columns: Columns) -> None:
    """Tries on rows of the first piece that the vote depends on no row beyond what it says.

    Raises:
        LabelError: it does; the row is named.
    """
    rows = min(row_count(columns), PIECE_ROWS)
    inside = 2 * (function.before + function.after + 1)
    if rows <= inside or function.reads == ALL:
        return
    end = min(rows, 4 * inside)
    whole = _vote(function, columns, 0, end, 0)
    for row in np.linspace(0, end - 1, TRIED, dtype=int).tolist():
        first = max(0, row - function.before)
        cut = {name: column[first : row + function.after + 1] for name, column in columns.items()}
        alone = int(_vote(function, cut, row - first, row - first + 1, first)[0])
        if alone != whole[row]:
            raise LabelError(
                f"{function.place}: row {row}: votes {whole[row]}, but {alone} where it sees the "
                f"{function.before} rows before it and the {function.after} after it alone, which "
                "it says are enough; give greater `before` and `after`"
            )
