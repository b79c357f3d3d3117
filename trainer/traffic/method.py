"""How the reproduction was measured, and what it does not show, in words."""

from trainer.traffic.alterations import JITTER_BITS, LOST, SHIFT_BITS, SKIPPED
from trainer.traffic.claims import NAMES
from trainer.traffic.inputs import GAIN, LEAST_PACKETS, SCHEMA
from trainer.traffic.schedule import MIDDLE
from trainer.traffic.training import (
    BATCH,
    CANDIDATES,
    EPOCHS,
    EXPERTS,
    LABELLED,
    LEAST_STEPS,
    TOWER,
    UNITS,
    Candidate,
)

PREAMBLE = """Made by `multa-trainer reproduce traffic-class --data KIND:DIR … --work DIR --out docs/results/traffic-class.md`. S. Rezaei and X. Liu, *Multitask Learning for Network Traffic Classification* (2020): one network tells bandwidth, duration and traffic class of a flow from its first packets; the first two label themselves, so it needs few labels of the third. The paper measured on the QUIC captures of UC Davis, which can't be had; its cells stand in columns of their own, are of other data, and are not to be compared digit by digit.

Accuracies are shares of tested flows, in %, mean over seeds [least, greatest]. A dash is a cell that has not been run."""  # noqa: E501

LIMITS = """- The controlled set is one server, one stack and one network; its five shapes were drawn by a generator. Figures on it say whether the method works, not how well it does on a real link.
- The public sets were recorded elsewhere, each device or application in a few networks: a class may be told by its network. Their flows are few, and most are shorter than 60 packets.
- The networks' recipe, candidates apart, was settled on quic, where nearly all flows have 60 packets. On the public sets, most of whose flows are shorter, altering them does harm: on the validation part of sentinel with 100 labels, CNNs of another weighting and of inputs as the sensor encodes them had told 45 to 46 % of the classes, 85 to 89 % of the bandwidths and 88 to 91 % of the durations right without it, and tell 34 to 43, 77 to 81 and 82 to 88 % with it (three candidates, one seed). Nothing was changed for that.
- nDPI's categories are what nDPI said, not what a person knew. A category holds many applications, and those of the test part are others than those learnt from: even with all labels hardly anything is gained on naming the commonest class.
- Of a flow with no more packets than k, bandwidth and duration can be read from the input.
- Candidates were chosen on the validation part with its labels, which the label counts leave out, for every approach alike. Dividers at class means know the classes of all training flows, as the paper's do; those at quantiles know none.
- The weighting of the losses, the candidates, and that λ is tuned (for networks that learn tasks at once only, so their candidates are not of the same kind as the others') were settled on the validation part. So was all that stands under *Attempts*. But figures of the test part had been seen before that, of up to three seeds with networks that were taught otherwise; and that networks with several tasks, too, take all their turns over the labelled flows (which with all labels means twice the steps) was put right after one seed's. A fresh test part has not been recorded.
- The networks' sizes were not searched; the paper's is the paper's."""  # noqa: E501


ATTEMPTS = """On the validation part of quic (300 flows, so a figure of one seed is good to 2 points), % of classes told right, mean of the seeds in brackets. Measured once, on 2026-11-22; this command repeats the last row that was kept.

| | multi-task CNN, 20 labels | 100 labels | multi-task LMMoE, 20 labels | 100 labels | |
|---|---|---|---|---|---|
| the paper's recipe, λ tuned; the LMMoE hands on last states | 63.3 (3) | 78.4 (3) | – | 73.6 (1) | |
| 1. inputs four times as large; the LMMoE hands on the greatest and the mean of its states | – | – | – | 79.9 (1) | kept |
| 2. flows altered each time they are shown, on top of 1 | – | 85.0 (3) | 66.8 (2) | 85.7 (3) | kept, for all networks |
| the same without 1, labelled flows alone | 68.7 (3) | 80.9 (3) | – | – | |
| 3. on top of that, the class that is told of a flow as it is (where that is told with 0.8 or more) is the label of the same flow altered, for all training flows (FixMatch); weight 1 | 67.8 (3) | 81.6 (3) | – | – | given up |
| 3. with the weight 0.3 | 69.5 (3) | 80.7 (3) | – | – | given up |

Why the LMMoE had learnt slowly, with all labels, one seed, 40 turns at 0.01: last states 79.6; with a memory of up to 60 packets to begin with 81.3; means of states 83.6; greatest states 82.6; both 87.0; last states of inputs four times as large 88.6, with the long memory 90.0; both of such inputs 90.3; and flows altered 91.3."""  # noqa: E501
"""At the networks with few labels, and what became of them."""


def rules() -> str:
    """What counts as a flow and a label, and how everything was trained."""
    tried = "; ".join(
        f"{NAMES[name]} " + ", ".join(_written(each) for each in candidates)
        for name, candidates in CANDIDATES.items()
    )
    return f"""- **Flows** of at least {LEAST_PACKETS} packets; each is seen by its first k packets (60 where nothing else is said) in two channels, inter-arrival time and length with direction (`interarrival`, `signed_length`; [features](../features.md)), {GAIN:g} times as large as the sensor encodes them; shorter ones are padded with zeros, behind the packets for the CNN, before them for LSTMs. Features {SCHEMA.fingerprint()[:12]}.
- **Self-labels** are those of the whole flow: bits of IP a second in both directions, and the time from its first packet to its last. A flow ends with RST, FIN from both sides, or 120 s of silence. Where its beginning is missing (TCP without SYN), or where neither a close nor 120 s lie between its last packet and the end of the capture, it is *truncated*: its bandwidth and duration are left out, in training and in testing. The lab's clients end all sessions before a recording ends, so there all labelled flows are whole. Both are divided by the training part alone: at the midpoints between sorted class means, as in the paper, where there are five classes; else, and as a variation, into five parts of equal size.
- **Labels** of the class are counted in total; in brackets, a class. They are drawn evenly from the training part, and fewer are among more. Which of the two the paper counts it does not say; its rows stand at the same totals.
- **Networks** learn {EPOCHS} turns over the flows that they learn from, whole or labelled, whichever takes longer, and at least {LEAST_STEPS} steps, with Adam along half a cosine. A batch is {BATCH} flows that label themselves and {LABELLED} labelled ones, and the losses are weighted as in the paper's sum over all flows, in which those without a label add nothing for the class (so the mean over the labelled ones weighs λ times their share). There is no early stopping: with ten labels there is nothing to stop on. **No network sees a flow twice in the same form**: each time, up to {100 * LOST:.0f} % of its packets are missing, half of the flows lack up to {SKIPPED} of their first packets, and gaps are scaled, all of a flow together (standard deviation {SHIFT_BITS:g} bit) and each ({JITTER_BITS:g} bits); what is tested is as it was captured. The LMMoE has {EXPERTS} experts of {UNITS} units, of which each hands on the greatest and the mean of its states, towers of {TOWER[0]}, and no context.
- **The same tuning budget** for every approach: three candidates, each tried once, with {MIDDLE} labels and seed 0, on the validation part: {tried}. They are learning rates, with λ (1 as in the paper, where nothing else is said), and for forests the least flows of a leaf. All figures below are of the test part."""  # noqa: E501


def _written(candidate: Candidate) -> str:
    weight = f" with λ = {candidate.weight:g}" if candidate.weight != 1 else ""
    return f"{candidate.setting:g}{weight}"
