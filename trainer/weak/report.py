"""What labeling functions do, in the figures of Snorkel's LFAnalysis, from patterns of votes.

- polarity: the classes that a function votes for;
- coverage: share of all rows on which it votes;
- overlap: share of all rows on which it votes and another one does too;
- conflict: share of all rows on which it votes and functions contradict each other, this one or
  others (as Snorkel counts);
- right, wrong, accuracy: of its votes on rows of which the truth is known.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.weak.functions import ABSTAIN, LabelingFunction
from trainer.weak.patterns import Patterns


@dataclass(frozen=True)
class FunctionFigures:
    """Figures of one function.

    Attributes:
        name: of the function.
        polarity: places of the classes that it votes for.
        coverage, overlap, conflict: shares of all rows.
        right, wrong: its votes on rows whose truth is known; 0 without truth.
        accuracy: share of these that are right; NaN where there are none.
    """

    name: str
    polarity: tuple[int, ...]
    coverage: float
    overlap: float
    conflict: float
    right: int
    wrong: int
    accuracy: float

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        document = {**asdict(self), "polarity": list(self.polarity)}
        return document | ({"accuracy": None} if np.isnan(self.accuracy) else {})


@dataclass(frozen=True)
class Report:
    """Figures of the functions of one task.

    Attributes:
        rows: how many were voted on.
        coverage, overlap, conflict: shares of rows with a vote, with two, and with two votes
            that contradict each other.
        functions: in the order of their votes.
    """

    rows: int
    coverage: float
    overlap: float
    conflict: float
    functions: tuple[FunctionFigures, ...]

    @classmethod
    def of(
        cls,
        patterns: Patterns,
        functions: Sequence[LabelingFunction],
        truth: NDArray[np.int8] | None = None,
    ) -> "Report":
        """Counts over patterns.

        Args:
            patterns: of the functions' votes.
            functions: of one task.
            truth: ``(m,)`` places of classes, −1 for unknown.
        """
        votes, rows = patterns.votes, max(patterns.rows, 1)
        classes = len(functions[0].task.classes)
        votes_cast = votes != ABSTAIN
        several = votes_cast.sum(axis=1) > 1
        voted_for = np.stack([(votes == v).any(axis=1) for v in range(classes)], axis=1)
        contradicted = voted_for.sum(axis=1) > 1
        truths = np.zeros((len(votes), classes), np.int64)
        if truth is not None:
            truths = patterns.truths(truth, classes)

        def share(which: NDArray[np.bool_]) -> float:
            return float(patterns.counts[which].sum() / rows)

        figures = []
        for place, function in enumerate(functions):
            of, cast = votes[:, place], votes_cast[:, place]
            right = sum(int(truths[of == value, value].sum()) for value in range(classes))
            judged = int(truths[cast].sum())
            figures.append(
                FunctionFigures(
                    function.name,
                    tuple(value for value in range(classes) if (of == value).any()),
                    share(cast),
                    share(cast & several),
                    share(cast & contradicted),
                    right,
                    judged - right,
                    right / judged if judged else float("nan"),
                )
            )
        return cls(
            patterns.rows,
            share(votes_cast.any(axis=1)),
            share(several),
            share(contradicted),
            tuple(figures),
        )

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "rows": self.rows,
            "coverage": self.coverage,
            "overlap": self.overlap,
            "conflict": self.conflict,
            "functions": [figures.document() for figures in self.functions],
        }

    def as_text(self, classes: Sequence[str]) -> str:
        """A table for the terminal.

        Args:
            classes: names of the task's.
        """
        lines = [("function", "votes for", "coverage", "overlap", "conflict", "right", "accuracy")]
        lines += [
            (
                each.name,
                ", ".join(classes[value] for value in each.polarity) or "–",
                f"{each.coverage:.4f}",
                f"{each.overlap:.4f}",
                f"{each.conflict:.4f}",
                str(each.right) if each.right + each.wrong else "–",
                f"{each.accuracy:.4f}" if each.right + each.wrong else "–",
            )
            for each in self.functions
        ]
        whole = (f"{self.coverage:.4f}", f"{self.overlap:.4f}", f"{self.conflict:.4f}")
        lines.append(("any of them", "", *whole, "", ""))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if place < 2 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )
