"""How the reproduction was measured, and what it does not show, in words."""

from trainer.latency.labelling import columns_of, functions
from trainer.latency.lesson import LESSON
from trainer.latency.offline import LONG, NEAR, STEPS
from trainer.latency.reproduce import poster, real
from trainer.latency.reproduce.timing import CAUSAL, REPEATS
from trainer.latency.reproduce.trial import FIRST_RUN, MEASUREMENTS
from trainer.latency.series import TASKS

PREAMBLE = """Made by `multa-trainer reproduce latency --atlas DIR --flent FILE… --snorkel PYTHON --work DIR --out docs/results/latency.md`. N. Henderson and R. Durairajan, *Evaluating multi-task learning for Internet measurement classification*, and their poster: noise, outages and swells of round-trip times, labelled by labeling functions instead of people; a multi-task model beside single-task ones. The paper's 15,000 pings of a home network, the poster's CAIDA Ark series and its 24.5 million measurements of RIPE Atlas can't be had: their cells stand in columns of their own, are of other data, and are not to be compared digit by digit.

Figures are means over runs [least, greatest]. A dash is a cell that has not been run."""  # noqa: E501

LIMITS = """- Truth is exact because it is generated: how large noise and swells are is for the generator to say, and figures on other magnitudes are others. On measurements of networks there are hand-marked change points and failed pings alone.
- A swell of the generator is no congestion, and a change point of the marked series is no swell: levels there change for good, too. The last table says how far one stands for the other.
- Labeling functions and settings of the networks were made by looking at runs of the generator with seeds below those of the table, at the poster's smaller size, and at nothing else; the truth of those runs was looked at.
- The networks' sizes were not searched.
- "Both sides" is a network for series that are on disk. What the sensor could say as measurements come in is the last row of each table; the sensor sees them on the grid of its fields."""  # noqa: E501

ATTEMPTS = """1. Windows of the last 64 measurements with `rtt` on the sensor's grid (steps of 9 %), 2 experts of 16 units, 20 epochs: with truth as labels, swells of one run had an F1 of 0.49, as most of them are lower than a step; with unrounded round-trip times 0.98. The field `rtt_above` ([features](../features.md)) came of it: above the least of the window, to a thousandth.
2. The same with `rtt_above`, learnt from the label model: noise 0.85 to 0.91, swells 0.80 to 0.94 in three runs, where the label model alone, which looks at more than 1,000 measurements on both sides, has 0.91 to 0.97 and 0.76 to 0.96. It is the row *last 64 measurements alone*.
3. Both sides of a measurement for the network too, as the label model has them: the rows without further words. Thresholds by the expected F1 on the validation part did no better than 0.5 and are gone. In one run of ten the network with three tasks learnt no noise at all: it is one measurement of a hundred, and the sum of the losses had stopped falling before. (The validation loss of that task shows it, without any truth.)
4. Losses that weigh alike, each divided by the entropy of its task's share: the row *losses alike*, which the claims above are about. It was made after the third attempt's figures had been seen; nothing else was changed. For networks of a single task the factor means nothing but for the clipping of gradients.
5. Before the last run of everything on this page, which is of one commit: a labeling function that says of what was not answered that it is no swell, and for windows of the last 64 measurements the field `rtt_raised`, above what was usual in the series before. Networks of the poster's comparison and of series that were not generated have losses that weigh alike, too."""  # noqa: E501


def rules() -> str:
    """How everything was made."""
    every = functions()
    counts = ", ".join(f"{task} {len(columns_of(every, task))}" for task in TASKS)
    return f"""- **Runs.** {MEASUREMENTS:,} measurements each, seeds from {FIRST_RUN} on; the first 60 % are learnt from, the next 20 % say when to stop, the last 20 % are tested. The generator is that of the paper's section 3.1 ([latency](../latency.md)); *generated* has bases drawn by a generator, *atlas* one cleaned real series a run, of the development half of the hand-marked ones.
- **Votes.** {len(every)} labeling functions ({counts}; `trainer/weak/latency.py`), most of which look at both sides. They see no truth, and neither does anything that learns from them.
- **Single-task** as the paper has it is the label model alone: ours, and Snorkel's on the same votes. Beside them stand three networks, a task each.
- **Networks** are LMMoE with {LESSON.experts} experts of {LESSON.units} units and towers of {LESSON.tower_units[0]}. They learn from the label model's probabilities (cross entropy expected under them; where all functions of a task abstain, it learns nothing), at most {LESSON.epochs} epochs, batches of {LESSON.batch}, Adam at {LESSON.rate:g} along half a cosine, and end after {LESSON.patience} epochs without a lower validation loss, which is one of label-model labels too; alike for one task and for three. What scores 0.5 or more is said.
- **Both sides.** Networks see {STEPS} measurements on each side one by one, and medians, least ones and shares of answers within {", ".join(map(str, NEAR))} on each side, all in units of the jitter within {LONG:,} (`trainer/latency/offline.py`). The labeling functions see as much.
- **Last 64 measurements alone** is what a bundle sees: the sensor's rows, byte by byte (`trainer/latency/windows.py`).
- **Snorkel's MultitaskClassifier** (0.10, PyTorch) has two shared layers and a head a task, sees the same inputs as the networks with both sides, learns the label model's likelier class, and keeps the epoch of the lowest validation loss of as many epochs.
- **Times** are those of {REPEATS} runs, one thing after the other in one process a run and one for Snorkel, in seconds of the processor, so that they are the same on a busy machine. The multi-task side of (a) stops early, as in Table 1; all that are compared in (b) have {LESSON.epochs} epochs ({CAUSAL.epochs} on the last 64 measurements). Snorkel's side has three functions a task, fewer than ours, written a row at a time with buckets out of pandas as in the paper's Fig. 2. Loading of libraries counts on no side; the tracing of each network does.
- **The poster's sizes** are generated on the bases of the development half ({", ".join(f"{size:,} in pieces of {length:,}" for size, length in poster.SIZES.items())}). All measurements are voted on; the network learns from {poster.SAMPLED:,} that were drawn from the training parts, and all test parts are asked about. Seconds of steps are by the clock, on a machine that had other work too; training is compared in seconds of the processor, where they are known, and single-task training is reckoned from the rate of Snorkel's applier above."""  # noqa: E501


def real_rules() -> str:
    """How series that were not generated were looked at."""
    return (
        f"Label models and network have learnt from {real.LEARNT} generated series of "
        f"{real.LENGTH:,} on bases of the development half, and have seen nothing of these. A "
        "change point is found where the verdict on swells changes for at least "
        f"{real.SHORTEST} answered measurements, and moved to where two levels fit best within "
        f"{real.REACH} (both chosen on the development half); found and marked ones are matched "
        "one to one. "
        f"Tolerances are {' and '.join(map(str, real.TOLERANCES))} measurements (one in about four "
        "minutes)."
    )
