"""What a proof found: figures beside their aims, kept as JSON and shown as a page."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """One thing that was measured.

    Attributes:
        what: the quantity, with its unit.
        measured: as it is shown.
        aim: as it is shown; empty where the figure only informs.
        holds: whether the aim is met.
        share: of the aim that was taken, where that is a time.
    """

    what: str
    measured: str
    aim: str = ""
    holds: bool = True
    share: float | None = None


@dataclass
class Result:
    """What was done to the sensor, and what came of it.

    Attributes:
        name: of the fault.
        done: what was done, for a person who wants to know what the figures mean.
        figures: what was measured.
        date: of the run.
        seconds: that it took.
        load: load average of the machine at the start and at the end, where others worked there.
    """

    name: str
    done: str
    figures: list[Figure] = field(default_factory=list)
    date: str = ""
    seconds: float = 0.0
    load: str = ""

    @property
    def holds(self) -> bool:
        """Whether every aim is met."""
        return all(figure.holds for figure in self.figures)

    def exactly(self, what: str, measured: int, aim: int) -> None:
        """A number that has to be this one."""
        self.figures.append(Figure(what, f"{measured:,}", f"{aim:,}", measured == aim))

    def at_least(self, what: str, measured: int, aim: int) -> None:
        """A number that shows that something was done at all."""
        self.figures.append(Figure(what, f"{measured:,}", f"at least {aim:,}", measured >= aim))

    def at_most(self, what: str, measured: int, aim: int) -> None:
        """A number that must not grow beyond this one."""
        self.figures.append(Figure(what, f"{measured:,}", f"at most {aim:,}", measured <= aim))

    def below(self, what: str, values: Sequence[float], aim: float, unit: str = "s") -> None:
        """Measured values of which the greatest has to be below the aim."""
        greatest = max(values, default=float("inf"))
        shown = f"{spread(values)} {unit}" if values else "none"
        text, share = f"most < {aim:g} {unit}", greatest / aim
        self.figures.append(Figure(what, shown, text, greatest < aim, share))

    def inform(self, what: str, measured: object) -> None:
        """A figure without an aim."""
        self.figures.append(Figure(what, str(measured)))

    def broken(self, patience: float = 1.0) -> list[str]:
        """The aims that are not met, as text.

        Args:
            patience: how many times as long as the aim something may take, where others keep the
                machine busy.
        """
        return [
            f"{self.name}: {figure.what}: {figure.measured}, not {figure.aim}"
            for figure in self.figures
            if not figure.holds and (figure.share is None or figure.share >= patience)
        ]


def spread(values: Sequence[float]) -> str:
    """Median, 99th percentile and greatest value."""
    ordered = sorted(values)
    rank = min(len(ordered) - 1, int(0.99 * len(ordered)))
    return f"median {statistics.median(ordered):.2f}, p99 {ordered[rank]:.2f}, {ordered[-1]:.2f}"


def from_dictionary(name: str, done: str, found: dict) -> Result:
    """A result of a proof that counts cases and gives its counts as a dictionary.

    Args:
        name: of the fault.
        done: what was done.
        found: figures by name; ``failures`` is a list of texts that has to be empty.
    """
    result = Result(name, done)
    failures = found.get("failures", [])
    for what, measured in found.items():
        if what not in ("failures", "slow"):
            shown = f"{measured:,}" if isinstance(measured, int) else str(measured)
            result.inform(what.replace("_", " "), shown)
    if "slow" in found:
        result.exactly("more than a second of CPU time", found["slow"], 0)
    result.exactly("failures", len(failures), 0)
    result.figures += [Figure("failure", str(text), "none", holds=False) for text in failures[:5]]
    return result


def keep(result: Result, store: Path) -> None:
    """Writes a result to the store, whole or not at all."""
    store.mkdir(parents=True, exist_ok=True)
    new = store / f"{result.name}.new"
    new.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    new.replace(store / f"{result.name}.json")


def kept(names: Iterable[str], store: Path) -> list[Result]:
    """The results of these faults that are in the store."""
    found = []
    for name in names:
        path = store / f"{name}.json"
        if path.exists():
            entries = json.loads(path.read_text(encoding="utf-8"))
            figures = [Figure(**figure) for figure in entries.pop("figures")]
            found.append(Result(**entries, figures=figures))
    return found


HEAD = """# Faults

What happens to a running sensor when something around it fails: real processes in network \
namespaces, the shipped bundle and the counting rule unless something else is said. \
`make verify TARGET=faults` runs all of it (root; an hour and a half, of which half an hour is \
the last fault); `OPTIONS="--only NAME"` runs one. Distributions are median, 99th percentile and \
greatest value.

| fault | date | aims met |
|---|---|---|
"""


def page(results: Sequence[Result], missing: Sequence[str]) -> str:
    """The page as Markdown."""
    text = HEAD
    for result in results:
        met = sum(figure.holds for figure in result.figures if figure.aim)
        of = sum(bool(figure.aim) for figure in result.figures)
        text += f"| [{result.name}](#{result.name}) | {result.date} | {met} of {of} |\n"
    for name in missing:
        text += f"| {name} | not run | |\n"
    for result in results:
        text += f"\n## {result.name}\n\n{result.done}\n\n"
        text += f'{result.date}, {result.seconds:,.0f} s; `OPTIONS="--only {result.name}"`.'
        text += f" Load average {result.load}.\n\n" if result.load else "\n\n"
        text += "| | measured | aim | |\n|---|---|---|---|\n"
        for figure in result.figures:
            verdict = "" if not figure.aim else ("met" if figure.holds else "**missed**")
            text += f"| {figure.what} | {figure.measured} | {figure.aim} | {verdict} |\n"
    return text
