"""What is trained for each table and figure: a course is a network's way through the rows."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from trainer.settings import ParadigmName, Settings

TASKS = ("ssdp_flood", "ssl_renegotiation", "syn_dos")
"""Of the paper's Table II and Fig. 5, in the order in which section IV names them."""

SEEDS = (0, 1, 2)

SETTINGS = Settings(experts=2, units=16, tower_units=(16,), batch_size=256)
"""Of every network here; epochs are the courses', and nothing stops early."""

EPOCHS = (2, 4, 6, 8, 10)
"""Epochs of Table II."""

REHEARSAL = 0.05
"""Share of the flows of earlier tasks that a protected network learns again."""

Layout = Literal["own", "others"]
"""Where attack flows are: all in the set of their own task, or half of them in the others'."""

Known = Literal["correct", "filled", "masked"]
"""Labels of the tasks that a set is not of: true ones, negatives, or none."""


@dataclass(frozen=True)
class Phase:
    """Some epochs on some rows, with an optimizer and a schedule of their own.

    Attributes:
        epochs: all of them; no early stopping.
        layout: which flows are in which task's set.
        known: what is known of a set's flows beside the labels of its own task.
        task: whose set is learnt; empty for all sets.
        rehearsal: share of the flows of the sets of earlier phases that is learnt again.
    """

    epochs: int
    layout: Layout
    known: Known
    task: str = ""
    rehearsal: float = 0.0


@dataclass(frozen=True)
class Course:
    """A network's training.

    Attributes:
        name: for people; unique.
        title: in tables.
        phases: one after the other, on one network.
        paradigm: of every phase.
        measured: epochs, counted through all phases from 1, after which areas are measured.
        without: key of `METADATA` that is taken away, in training and in testing; empty for none.
    """

    name: str
    title: str
    phases: tuple[Phase, ...]
    paradigm: ParadigmName
    measured: tuple[int, ...]
    without: str = ""

    def document(self) -> dict[str, Any]:
        """What decides the result, less what it is called."""
        entries = asdict(self)
        del entries["name"], entries["title"]
        if not self.without:
            del entries["without"]
        return entries


def _row(
    layout: Layout, known: Known, title: str, paradigm: ParadigmName = "aurora"
) -> tuple[str, Course]:
    name = f"table2-{layout}-{'rainbow' if paradigm == 'rainbow' else known}"
    phase = Phase(max(EPOCHS), layout, known)
    return name, Course(name, title, (phase,), paradigm, EPOCHS)


TABLE2 = dict(
    (
        _row("own", "filled", "Aurora, filled, all right"),
        _row("own", "masked", "Aurora, masked"),
        _row("own", "masked", "Rainbow", "rainbow"),
        _row("others", "correct", "Aurora, labels correct"),
        _row("others", "filled", "Aurora, filled, half wrong"),
        _row("others", "masked", "Aurora, masked"),
        _row("others", "masked", "Rainbow", "rainbow"),
    )
)
"""By name. With each attack in its own set alone, filled labels are the correct ones."""

TURN = 4
"""Epochs of each task of Fig. 5."""


def _incremental(name: str, title: str, rehearsal: float) -> tuple[str, Course]:
    phases = tuple(
        Phase(TURN, "own", "masked", task, rehearsal if place else 0.0)
        for place, task in enumerate(TASKS)
    )
    # The recovery of section IV-C is one epoch on the first task's set and nothing else.
    recovery = Phase(1, "own", "masked", TASKS[0])
    last = TURN * len(TASKS) + 1
    every = tuple(range(1, last + 1))
    return name, Course(name, title, (*phases, recovery), "aurora", every)


FIG5 = dict(
    (
        _incremental("fig5-unprotected", "unprotected", 0.0),
        _incremental("fig5-rehearsal", f"{REHEARSAL:.0%} rehearsal", REHEARSAL),
    )
)
"""By name."""

METADATA = {
    "size": ("ip_length", "payload_length"),
    "interval": ("interarrival_us",),
    "direction": ("direction",),
    "headers": ("tcp_flags", "protocol"),
    "context": ("context",),
}
"""Columns of a row's packets, in the words of Table I; context is ours and not the paper's."""

WHOLE = "table2-own-filled"
"""The course of Table II with nothing taken away, in which every label that is learnt is right."""

TABLE1 = {
    f"table1-{name}": Course(
        f"table1-{name}",
        f"without {name}",
        TABLE2[WHOLE].phases,
        TABLE2[WHOLE].paradigm,
        EPOCHS[-1:],
        name,
    )
    for name in METADATA
}
"""By name."""

STEPS = {
    "table2": ("Aurora and Rainbow over ten epochs (Table II)", TABLE2),
    "table1": ("metadata taken away one at a time (Table I)", TABLE1),
    "fig5": ("tasks learnt one after the other (Fig. 5)", FIG5),
}
"""What there is to do: in words, and its courses."""
