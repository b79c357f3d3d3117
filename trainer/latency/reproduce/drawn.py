"""The pictures of the page: the first run, its truth, and what is said of it."""

from pathlib import Path

from trainer.executors import begin_network
from trainer.latency.labelling import LIKELY
from trainer.latency.learning import Examples, alike, scores, teach
from trainer.latency.lesson import LESSON
from trainer.latency.pictures import plot_series
from trainer.latency.reproduce.approaches import looking
from trainer.latency.reproduce.claims import NAMES
from trainer.latency.reproduce.material import Voted, generated
from trainer.latency.reproduce.pictures import plot_verdicts
from trainer.latency.reproduce.trial import FIRST_RUN, MEASUREMENTS
from trainer.latency.series import TASKS


def draw(work: Path) -> None:
    """Draws ``fig1.png`` and ``fig3.png`` into a folder, where they are not there.

    Raises:
        OutputError: they can't be written.
    """
    if all((work / name).exists() for name in ("fig1.png", "fig3.png")):
        return
    voted = Voted.of(generated(FIRST_RUN, MEASUREMENTS))
    plot_series(voted.series, work / "fig1.png")
    begin_network(FIRST_RUN)
    labels, look = voted.labelling().of_votes(voted.votes), looking(voted, causal=False)
    parts = (voted.parts.training, voted.parts.validation)
    training, validation = (Examples(look(places), labels[places]) for places in parts)
    learnt = teach(TASKS, LESSON, FIRST_RUN, training, validation, alike(training.labels))
    said = scores(learnt.model, look(voted.parts.test)) >= LIKELY
    test = voted.parts.test
    verdicts = {NAMES["label_model"]: labels[test] >= LIKELY, NAMES["lmmoe"]: said}
    plot_verdicts(voted.series.take(test), verdicts, work / "fig3.png")
