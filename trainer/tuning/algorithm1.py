"""Algorithm 1 of MULTA, section III-B: the size of an expert, then the number of experts.

Trains nothing and opens nothing: the search asks about networks and is told their accuracies.
First, for each task by itself, an LSTM of growing size: doubled until it meets the target, then
bisected to the least size that does. The largest of these sizes is that of an expert. Then the
LMMoE of all tasks: the number of experts of that size is bisected between 1 and the number of
tasks, starting at half of it, to the least at which every task stays above the target less the
accepted drop.

Where the paper's pseudo code is silent or contradicts its text, this is what was decided:

- **The first probe of a bisection is no result.** The pseudo code sets s to (lb + ub) / 2 as soon
  as a size meets the target, which is a size that nothing was asked about. Here s is ub until a
  smaller size has met the target too. No size is 0, so lb = 0 is a bound like one that failed.
- **Pruning.** "If ub < s_e then continue": the size of an expert is the largest of all tasks, so
  a task that is content with less changes nothing. The same holds for ub = s_e, so here it is
  ub ≤ s_e. As the text has it, the recorded bound prunes the space of the later tasks: after its
  first size a task is asked about none below s_e, neither while doubling nor while bisecting.
- **Early stop.** The text allows to stop when the accuracy does not rise with the size. Here a
  doubling that brings no higher accuracy than all smaller sizes ends the task: its size is the
  one of the highest accuracy, and this accuracy, being what one expert can reach, takes the place
  of the target when experts are counted. So does a largest size that fails.
- **A bound.** Sizes end at a stated largest one, since nothing else ends the doubling of a task
  whose accuracy goes on rising by little.
- **No number of experts is enough.** The upper end of a bisection is usually known to do; N
  experts are not, so N is asked about before it is taken. If it fails, the number whose worst
  task came nearest is taken, and the result says that it does not meet.

With an accuracy that rises strictly with the size until the target is met, the size found is the
least up to the largest one at which every task meets the target. No oracle makes the search ask
more than `most_questions`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

from sensor.errors import UsageError

Why = Literal["start", "doubled", "bisected", "experts"]
"""Which part of the search asks."""

State = Literal["met", "pruned", "level", "largest", "open"]
"""What became of a task.

- ``met``: its size is the least at which it meets the target;
- ``pruned``: it meets the target at its size or below, and an earlier task needs as much;
- ``level``: its accuracy no longer rose, short of the target;
- ``largest``: the largest size does not meet the target;
- ``open``: the search was ended before.
"""


@dataclass(frozen=True)
class Candidate:
    """A network that is asked about: of one task and one expert, a plain LSTM.

    Attributes:
        units: size of an expert.
        experts: how many.
        tasks: their names.
    """

    units: int
    experts: int
    tasks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.experts} expert{'s' * (self.experts > 1)} of {self.units} units"


Accuracies = tuple[float, ...]
"""Of a candidate's tasks, in their order."""


@dataclass(frozen=True)
class Question:
    """What the search has to know before it can go on.

    Attributes:
        candidate: whose accuracies are asked for.
        perhaps: what is asked next, surest first: the first sizes of later tasks, which come in
            any case, then what follows if the candidate meets the target and if it does not.
    """

    candidate: Candidate
    perhaps: tuple[Candidate, ...]


@dataclass(frozen=True)
class Step:
    """A question with its answer.

    Attributes:
        why: it was asked.
        candidate: asked about.
        accuracies: that were answered.
        wanted: the accuracies that would be enough, task by task.
    """

    why: Why
    candidate: Candidate
    accuracies: Accuracies
    wanted: Accuracies

    @property
    def margin(self) -> float:
        """Of the worst task: its accuracy less what is wanted."""
        return min(a - w for a, w in zip(self.accuracies, self.wanted, strict=True))

    @property
    def enough(self) -> bool:
        """Whether every task has what is wanted."""
        return all(a >= w for a, w in zip(self.accuracies, self.wanted, strict=True))


@dataclass(frozen=True)
class TaskSize:
    """What one task needs of an expert.

    Attributes:
        task: its name.
        state: what became of it.
        units: as `State` says; 0 for an open task that no size is known for.
        accuracy: at that size.
    """

    task: str
    state: State
    units: int
    accuracy: float


@dataclass(frozen=True)
class Goal:
    """What is searched for.

    Attributes:
        tasks: names, in the order in which they are searched.
        target: accuracy that each task should have with an expert of its own.
        drop: how much less it may have in the common network.
        start: first size of an expert.
        largest: size of an expert.

    Raises:
        UsageError: there is no task, one is named twice, or a number is out of its range.
    """

    tasks: tuple[str, ...]
    target: float
    drop: float
    start: int
    largest: int

    def __post_init__(self) -> None:
        """Refuses what can't be searched for."""
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise UsageError("name at least one task, and none of them twice")
        if not 1 <= self.start <= self.largest:
            raise UsageError(
                f"sizes from {self.start} to {self.largest}: the first is at least 1 and at most "
                "the largest"
            )
        if not (0 < self.target <= 1 and 0 <= self.drop < self.target):
            raise UsageError(
                f"target {self.target:g} and drop {self.drop:g}: the target is above 0 and at most "
                "1, the drop at least 0 and below the target"
            )


@dataclass(frozen=True)
class Found:
    """What the search has found.

    Attributes:
        goal: of the search.
        units, experts: the size s_e of an expert and the number n_e; of a search that was ended,
            the largest size and the least number that are known to be needed and to be enough,
            or 0.
        meets: whether every task met what was wanted of it in the common network, which for a
            task that fell short of the target by itself is what it had reached, less the drop.
        sizes: what each task needs.
        steps: all questions with their answers, in order.
        finished: false if it was ended by a missing answer.
    """

    goal: Goal
    units: int
    experts: int
    meets: bool
    sizes: tuple[TaskSize, ...]
    steps: tuple[Step, ...]
    finished: bool

    @property
    def asked(self) -> tuple[Candidate, ...]:
        """Every candidate that was asked about, once."""
        return tuple(dict.fromkeys(step.candidate for step in self.steps))


def most_questions(goal: Goal) -> int:
    """Candidates that the search asks about at most, whatever it is told.

    For each of N tasks the doublings from the first size to the largest, and the bisection of the
    widest gap between two of them; ⌈log2 N⌉ + 1 numbers of experts.
    """
    count = len(goal.tasks)
    doublings = 1 + (-(-goal.largest // goal.start) - 1).bit_length()
    gap = max(goal.start, goal.largest // 2)
    return count * (doublings + (gap - 1).bit_length()) + 1 + (count - 1).bit_length()


def solve(search: "Search", accuracies_of: Callable[[Question], Accuracies | None]) -> Found:
    """Runs a search to its end.

    Args:
        search: a fresh one.
        accuracies_of: answers a question; None ends the search with what is known by then.
    """
    questions = search.run()
    try:
        question = next(questions)
        while True:
            question = questions.send(accuracies_of(question))
    except StopIteration as end:
        found: Found = end.value
        return found


Questions = Generator[Question, Accuracies | None, Step]


class _NoAnswerError(Exception):
    """Ends a search."""


class Search:
    """One run of the algorithm; `solve` answers its questions."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._answers: dict[Candidate, Accuracies] = {}
        self._steps: list[Step] = []
        self._sizes: list[TaskSize] = []
        self._experts = (0, False)  # how many, and whether they are enough

    def run(self) -> Generator[Question, Accuracies | None, Found]:
        """Yields questions and takes their answers; returns what was found."""
        goal = self._goal
        finished = False
        try:
            for place, task in enumerate(goal.tasks):
                later = tuple(self._single(goal.start, name) for name in goal.tasks[place + 1 :])
                yield from self._size(task, later)
            yield from self._count()
            finished = True
        except _NoAnswerError:
            pass
        begun = [size.task for size in self._sizes]
        rest = (TaskSize(name, "open", 0, 0.0) for name in goal.tasks if name not in begun)
        sizes = (*self._sizes, *rest)
        steps = tuple(self._steps)
        return Found(goal, self._units(), *self._experts, sizes, steps, finished)

    def _units(self) -> int:
        return max((size.units for size in self._sizes), default=0)

    def _size(
        self, task: str, later: tuple[Candidate, ...]
    ) -> Generator[Question, Accuracies | None, None]:
        """Finds what a task needs, and records it."""
        goal, recorded = self._goal, self._units()
        size, lower = goal.start, 0
        why: Why = "start"
        best: Step | None = None
        self._sizes.append(TaskSize(task, "open", 0, 0.0))
        while True:
            floor = max(lower, recorded - 1)
            larger = min(max(2 * size, recorded), goal.largest)
            halves = [(floor + size) // 2] if size - floor > 1 else []
            doubles = [larger] if larger > size else []
            step = yield from self._ask(
                why,
                self._single(size, task),
                (goal.target,),
                (*later, *(self._single(each, task) for each in (*doubles, *halves))),
            )
            if step.enough:
                break
            if best is not None and step.accuracies <= best.accuracies:
                self._record(task, "level", best)
                return
            best, why = step, "doubled"
            if size == goal.largest:
                self._record(task, "largest", step)
                return
            lower, size = size, larger
        self._record(task, "open", step)
        lower, upper = max(lower, recorded - 1), size
        while upper - lower > 1:
            middle = (lower + upper) // 2
            ends = ((lower, middle), (middle, upper))
            halves = [(low + high) // 2 for low, high in ends if high - low > 1]
            probe = yield from self._ask(
                "bisected",
                self._single(middle, task),
                (goal.target,),
                (*later, *(self._single(each, task) for each in halves)),
            )
            if probe.enough:
                upper, step = middle, probe
                self._record(task, "open", step)
            else:
                lower = middle
        self._record(task, "pruned" if upper <= recorded else "met", step)

    def _record(self, task: str, state: State, step: Step) -> None:
        """Replaces what is known of the task in turn."""
        self._sizes[-1] = TaskSize(task, state, step.candidate.units, step.accuracies[0])

    def _count(self) -> Generator[Question, Accuracies | None, None]:
        """Finds the number of experts, and records it."""
        goal, units, count = self._goal, self._units(), len(self._goal.tasks)
        wanted = tuple(
            (size.accuracy if size.state in {"level", "largest"} else goal.target) - goal.drop
            for size in self._sizes
        )
        asked: list[Step] = []
        lower, upper = 0, count + 1
        middle = max(1, count // 2)
        while upper - lower > 1:
            ends = ((lower, middle), (middle, upper))
            halves = [(low + high) // 2 for low, high in ends if high - low > 1]
            step = yield from self._ask(
                "experts",
                Candidate(units, middle, goal.tasks),
                wanted,
                tuple(Candidate(units, each, goal.tasks) for each in halves),
            )
            asked.append(step)
            if step.enough:
                upper, self._experts = middle, (middle, True)
            else:
                lower = middle
            middle = (lower + upper) // 2
        if upper > count:
            nearest = max(asked, key=lambda step: (step.margin, -step.candidate.experts))
            self._experts = (nearest.candidate.experts, False)

    @staticmethod
    def _single(units: int, task: str) -> Candidate:
        return Candidate(units, 1, (task,))

    def _ask(
        self, why: Why, candidate: Candidate, wanted: Accuracies, perhaps: tuple[Candidate, ...]
    ) -> Questions:
        """Asks, unless the answer is known already."""
        if candidate not in self._answers:
            unknown = tuple(each for each in perhaps if each not in self._answers)
            answer = yield Question(candidate, unknown)
            if answer is None:
                raise _NoAnswerError
            self._answers[candidate] = answer
        step = Step(why, candidate, self._answers[candidate], wanted)
        self._steps.append(step)
        return step
