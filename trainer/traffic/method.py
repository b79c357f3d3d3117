"""How the reproduction was measured, and what it does not show, in words."""

from trainer.traffic.claims import NAMES
from trainer.traffic.inputs import LEAST_PACKETS, SCHEMA
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
- nDPI's categories are what nDPI said, not what a person knew.
- Of a flow with no more packets than k, bandwidth and duration can be read from the input.
- Candidates were chosen on the validation part with its labels, which the label counts leave out, for every approach alike. Dividers at class means know the classes of all training flows, as the paper's do; those at quantiles know none.
- The weighting of the losses, the candidates, and that λ is tuned (for networks that learn tasks at once only, so their candidates are not of the same kind as the others') were settled on the validation part, but after the figures of one seed on the test part had been seen with another weighting (the mean over the labelled flows, whatever their share).
- The networks' sizes were not searched; the paper's is the paper's."""  # noqa: E501


def rules() -> str:
    """What counts as a flow and a label, and how everything was trained."""
    tried = "; ".join(
        f"{NAMES[name]} " + ", ".join(_written(each) for each in candidates)
        for name, candidates in CANDIDATES.items()
    )
    return f"""- **Flows** of at least {LEAST_PACKETS} packets; each is seen by its first k packets (60 where nothing else is said) in two channels, inter-arrival time and length with direction (`interarrival`, `signed_length`; [features](../features.md)); shorter ones are padded with zeros, behind the packets for the CNN, before them for LSTMs. Features {SCHEMA.fingerprint()[:12]}.
- **Self-labels** are those of the whole flow: bits of IP a second in both directions, and the time from its first packet to its last. A flow ends with RST, FIN from both sides, or 120 s of silence. Where its beginning is missing (TCP without SYN), or where neither a close nor 120 s lie between its last packet and the end of the capture, it is *truncated*: its bandwidth and duration are left out, in training and in testing. The lab's clients end all sessions before a recording ends, so there all labelled flows are whole. Both are divided by the training part alone: at the midpoints between sorted class means, as in the paper, where there are five classes; else, and as a variation, into five parts of equal size.
- **Labels** of the class are counted in total; in brackets, a class. They are drawn evenly from the training part, and fewer are among more. Which of the two the paper counts it does not say; its rows stand at the same totals.
- **Networks** learn {EPOCHS} turns over the training flows (single-task ones over the labelled flows), at least {LEAST_STEPS} steps, with Adam along half a cosine. A batch is {BATCH} flows that label themselves and {LABELLED} labelled ones, and the losses are weighted as in the paper's sum over all flows, in which those without a label add nothing for the class (so the mean over the labelled ones weighs λ times their share). There is no early stopping: with ten labels there is nothing to stop on. The LMMoE has {EXPERTS} experts of {UNITS} units and towers of {TOWER[0]}; its context input is held at 0, so that all see the packets alone.
- **The same tuning budget** for every approach: three candidates, each tried once, with {MIDDLE} labels and seed 0, on the validation part: {tried}. They are learning rates, with λ (1 as in the paper, where nothing else is said), and for forests the least flows of a leaf. All figures below are of the test part."""  # noqa: E501


def _written(candidate: Candidate) -> str:
    weight = f" with λ = {candidate.weight:g}" if candidate.weight != 1 else ""
    return f"{candidate.setting:g}{weight}"
