"""Work that is done by several workers at once, each piece kept as soon as it is there."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

Piece = TypeVar("Piece")
Outcome = TypeVar("Outcome")


def side_by_side(
    pieces: Sequence[Piece],
    begin: Callable[[Piece], "Future[Outcome]"],
    keep: Callable[[Piece, Outcome], object],
    count: int,
) -> None:
    """Does all pieces; whatever ends it, what was done by then is kept.

    Args:
        pieces: begun in this order.
        begin: asks a worker for one.
        keep: takes what became of it, as soon as it is there.
        count: that are begun at once: no more than there are workers, so that an end loses no
            queue of them.
    """
    waiting = list(pieces)
    running: dict[Future[Outcome], Piece] = {}
    while waiting or running:
        while waiting and len(running) < count:
            piece = waiting.pop(0)
            running[begin(piece)] = piece
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            keep(running.pop(future), future.result())
