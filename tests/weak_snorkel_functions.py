"""Labeling functions as a user of Snorkel 0.10 writes them; nothing here knows of multa."""

from snorkel.labeling import LabelingFunction, labeling_function
from snorkel.preprocess import preprocessor

ABSTAIN, USUAL, SLOW = -1, 0, 1


@preprocessor(memoize=True)
def in_seconds(x):
    x.rtt_s = x.rtt_ms / 1000
    return x


@labeling_function()
def above(x):
    return SLOW if x.rtt_ms > 12 else ABSTAIN


@labeling_function(name="above_limit", resources={"limits": {"wifi": 15, "wire": 11}})
def by_link(x, limits):
    return SLOW if x["rtt_ms"] > limits[x["link"]] else USUAL


@labeling_function(pre=[in_seconds])
def short(x):
    return USUAL if x.rtt_s < 0.009 else ABSTAIN


def _lost(x):
    return ABSTAIN if x.rtt_ms == x.rtt_ms else SLOW


lost = LabelingFunction("lost", _lost)
