"""Which tasks share experts, and whose score another task's tower reads.

The paper's network shares all experts among all tasks, and each task's tower reads the mix alone.
Two ways to depart from that are named as future work of multi-task learning for network
measurement: sharing between chosen tasks only, and feeding the prediction of one task to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sensor.errors import UsageError


@dataclass(frozen=True)
class Wiring:
    """How a network's parts are connected.

    Attributes:
        groups: tasks that share experts of their own; each task in one group. None: all share all.
        feeds: pairs of tasks; the tower of the second reads the score of the first too.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    feeds: tuple[tuple[str, str], ...] = ()

    def groups_of(self, task_names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The groups of these tasks.

        Raises:
            UsageError: a task is in no group or in two, or a group names another task.
        """
        if not self.groups:
            return (tuple(task_names),)
        grouped = [name for group in self.groups for name in group]
        if sorted(grouped) != sorted(task_names) or not all(self.groups):
            raise UsageError(
                f"groups hold {', '.join(grouped)}; name each of {', '.join(task_names)} in one "
                "group"
            )
        return self.groups

    def experts_of(self, task_names: Sequence[str], experts: int) -> dict[str, tuple[int, ...]]:
        """Numbers of the experts of each task, where each group has so many.

        Raises:
            UsageError: that of `groups_of`.
        """
        return {
            name: tuple(range(place * experts, (place + 1) * experts))
            for place, group in enumerate(self.groups_of(task_names))
            for name in group
        }

    def fed(self, task: str) -> tuple[str, ...]:
        """Tasks whose scores a task's tower reads."""
        return tuple(giver for giver, taker in self.feeds if taker == task)

    def order(self, task_names: Sequence[str]) -> tuple[str, ...]:
        """The tasks, each behind those whose scores it reads.

        Raises:
            UsageError: a feed names another task, is named twice, or scores feed each other in a
                circle.
        """
        if len(set(self.feeds)) < len(self.feeds):
            raise UsageError("a feed is named twice; name each once")
        for name in (name for feed in self.feeds for name in feed):
            if name not in task_names:
                raise UsageError(f"feeds name {name}; tasks are {', '.join(task_names)}")
        done: list[str] = []
        while len(done) < len(task_names):
            ready = [
                name for name in task_names if name not in done and set(self.fed(name)) <= set(done)
            ]
            if not ready:
                left = [name for name in task_names if name not in done]
                raise UsageError(f"the scores of {', '.join(left)} feed each other in a circle")
            done.append(ready[0])
        return tuple(done)


SHARED = Wiring()
"""The paper's: all tasks share all experts, and no score feeds another task."""
