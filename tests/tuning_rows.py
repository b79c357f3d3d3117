"""A dataset of one-packet flows in three sources, and workers that answer from a table."""

from concurrent.futures import Executor, Future

import numpy as np
from flow_rows import rows

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.splits import Split
from trainer.executors import Workers
from trainer.tuning.candidates import Trained

SCHEMA = FeatureSchema()
TASKS = ("syn_dos", "ssdp_flood")
SPLIT = Split("source", ("a",), ("b",), ("c",))


def tuning_dataset(count=40, seed=0):
    """Long packets are a SYN flood, UDP is an SSDP flood; `count` flows in each of a, b and c."""
    random = np.random.default_rng(seed)
    sizes = random.integers(40, 1400, 3 * count)
    udp = random.random(3 * count) < 0.5
    batch = rows(
        *(
            {"ip_length": [int(size)], "direction": [1], "protocol": 17 if each else 6}
            for size, each in zip(sizes, udp, strict=True)
        )
    )
    labels = np.stack([sizes > 700, udp], axis=1).astype(np.int8)
    records = tuple(
        SourceRecord(name, f"{name}.pcap", name * 64, "", TASKS, "0", count, 0, count, count, 0, 1)
        for name in "abc"
    )
    source = np.repeat(np.arange(3, dtype=np.int32), count)
    return Dataset(SCHEMA, TASKS, records, batch, labels, source, np.arange(3 * count))


class Table(Executor):
    """Answers at once what a function of the candidate says, and remembers who asked.

    Args:
        aucs_of: accuracies of a candidate.
        pending: candidates whose training never ends.
    """

    def __init__(self, aucs_of, pending=()):
        self.aucs_of, self.pending = aucs_of, pending
        self.submitted = []
        self.futures = []

    def workers(self, count=1):
        return Workers(self, count)

    def submit(self, _, fn, args, kwargs):
        assert fn.__name__ == "train_candidate"
        assert not kwargs
        candidate = args[1]
        self.submitted.append(candidate)
        future = Future()
        if candidate not in self.pending:
            parameters = 100 * candidate.units * candidate.experts
            future.set_result(Trained(tuple(self.aucs_of(candidate)), parameters, 2, 1, 0.5))
        self.futures.append(future)
        return future
