"""What Fig. 4 compares: networks that do the same tasks, one by one or together."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from trainer.reproduce.courses import TASKS

Family = Literal["singles", "shared", "by hand", "attempt", "tuned"]

TITLES: dict[Family, str] = {
    "singles": "one LSTM a task",
    "shared": "one shared LSTM",
    "by hand": "LMMoE by hand",
    "attempt": "LMMoE made smaller",
    "tuned": "LMMoE by Algorithm 1",
}

EPOCHS = 10
"""Of every network; none stops early."""


@dataclass(frozen=True)
class Network:
    """A network, by all that decides its size.

    Attributes:
        tasks: that it does.
        experts: LSTMs; one has no gates.
        units: of each of them.
        tower_units: widths of the hidden layers of a task's tower.
        gates: what gates see: the experts' states and the context, or the context alone.
    """

    tasks: tuple[str, ...]
    experts: int
    units: int
    tower_units: tuple[int, ...] = (8,)
    gates: Literal["states", "context"] = "states"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def size(self) -> str:
        """In words, for tables."""
        towers = " + ".join(map(str, self.tower_units)) or "none"
        seen = "" if self.gates == "states" else ", gates see the context"
        return f"{self.experts} × {self.units}, towers {towers}{seen}"

    @property
    def name(self) -> str:
        """Of its files."""
        towers = "-".join(map(str, self.tower_units)) or "0"
        gates = "" if self.gates == "states" else "-context"
        tasks = "all" if self.tasks == TASKS else "-".join(self.tasks)
        return f"{tasks}-{self.experts}x{self.units}-{towers}{gates}"


@dataclass(frozen=True)
class Variant:
    """A way to do all of `TASKS`.

    Attributes:
        family: what it stands for.
        networks: that do it, in the order of `TASKS` where there is one for each.
    """

    family: Family
    networks: tuple[Network, ...]

    @property
    def size(self) -> str:
        """In words, for tables."""
        size = self.networks[0].size
        return size if len(self.networks) == 1 else f"{len(self.networks)} of {size}"

    @property
    def name(self) -> str:
        """In tables."""
        return f"{TITLES[self.family]}: {self.size}"


def singles(units: int, tower_units: tuple[int, ...] = (8,)) -> Variant:
    """One network a task."""
    return Variant("singles", tuple(Network((task,), 1, units, tower_units) for task in TASKS))


def common(
    family: Family,
    experts: int,
    units: int,
    tower_units: tuple[int, ...] = (8,),
    gates: Literal["states", "context"] = "states",
) -> Variant:
    """One network of all tasks."""
    return Variant(family, (Network(TASKS, experts, units, tower_units, gates),))


BY_HAND = tuple(common("by hand", 2, units) for units in (2, 4, 8, 16))
"""The paper's curve (3), whose areas Algorithm 1 takes as targets."""

ATTEMPTS = (
    # 1: towers of half the width, or without a hidden layer.
    common("attempt", 2, 2, (4,)),
    common("attempt", 2, 4, (4,)),
    common("attempt", 2, 2, ()),
    common("attempt", 2, 4, ()),
    # 2: gates that do not look at the states.
    common("attempt", 2, 2, (4,), "context"),
    common("attempt", 2, 2, (), "context"),
    # 3: experts of a single unit.
    common("attempt", 2, 1),
    common("attempt", 2, 1, (8,), "context"),
    common("attempt", 3, 1, ()),
)
"""What was tried to make the LMMoE smaller; the least singles are given the same towers."""

FIXED = (
    *BY_HAND,
    *(singles(units) for units in (2, 4, 8, 16)),
    *ATTEMPTS,
    *(common("shared", 1, units) for units in (2, 4, 8, 16)),
    *(singles(2, towers) for towers in ((4,), ())),
)
"""All but what Algorithm 1 finds."""
