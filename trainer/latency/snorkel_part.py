"""What of the comparison is Snorkel's own, in the environment that Snorkel has.

``python -m trainer.latency.snorkel_part WHAT IN.npz OUT.npz`` is run with that environment's
Python (`trainer.latency.snorkel_side`), so this module needs nothing but numpy, pandas, torch and
snorkel.

- ``single-task``: what the latency paper times for its single-task models: Snorkel's applier, then
  its label model, one task after the other (`trainer.latency.snorkel_rows` has the functions).
- ``label-model``: Snorkel's label model as it comes, a task at a time.
- ``multitask``: Snorkel's `MultitaskClassifier` as in its guide to multi-task learning: layers
  that all tasks share, and a linear head for each. It learns hard labels, and leaves out those that
  are −1; the epoch of the lowest validation loss is kept.
"""

import importlib
import sys
import tempfile
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.latency.snorkel_rows import row_functions

WIDTHS = (64, 32)
"""Of the shared layers."""


def single_task(given: str, answer: str) -> None:
    """Labels a series, a task at a time.

    Args:
        given: file with ``rtt_ms``: ``(m,)`` float64, NaN where there was no answer.
        answer: file to write, with ``applier`` and ``label_model``: seconds of the processor,
            of each of three tasks,
            and ``functions``, how many there were of each.
    """
    pandas = importlib.import_module("pandas")
    labeling = importlib.import_module("snorkel.labeling")
    models = importlib.import_module("snorkel.labeling.model")
    importlib.import_module("torch").set_num_threads(1)
    frame = pandas.DataFrame({"rtt_ms": np.load(given)["rtt_ms"]})
    applier, model, count = [], [], []
    for each in row_functions(frame.rtt_ms).values():
        functions = [labeling.LabelingFunction(vote.__name__, vote) for vote in each]
        begin = time.process_time()
        votes = labeling.PandasLFApplier(functions).apply(frame, progress_bar=False)
        middle = time.process_time()
        models.LabelModel(cardinality=2, verbose=False).fit(votes, seed=0, progress_bar=False)
        applier.append(middle - begin)
        model.append(time.process_time() - middle)
        count.append(len(functions))
    np.savez(answer, applier=applier, label_model=model, functions=count)


def label_model(given: str, answer: str) -> None:
    """Learns from votes.

    Args:
        given: file with ``training`` and ``asked``: ``(rows, functions)`` int8 votes on one task,
            and the number ``seed``.
        answer: file to write, with ``likely``: ``(asked,)`` float32 probability of class 1, NaN
            where no function votes, and ``seconds``.
    """
    labeling = importlib.import_module("snorkel.labeling.model")
    content = np.load(given)
    begin = time.perf_counter()
    model = labeling.LabelModel(cardinality=2, verbose=False)
    model.fit(content["training"].astype(np.int64), seed=int(content["seed"]), progress_bar=False)
    seconds = time.perf_counter() - begin
    likely = model.predict_proba(content["asked"].astype(np.int64))[:, 1].astype(np.float32)
    likely[(content["asked"] == -1).all(axis=1)] = np.nan
    np.savez(answer, likely=likely, seconds=seconds)


def multitask(given: str, answer: str) -> None:
    """Trains and answers.

    Args:
        given: file with ``training``, ``validation`` and ``asked``: ``(rows, features)`` float32;
            ``training_labels`` and ``validation_labels``: ``(rows, tasks)`` int8, −1 where not
            known; and the numbers ``seed``, ``epochs``, ``batch`` and ``rate``.
        answer: file to write, with ``said``: ``(asked, tasks)`` int8, and ``seconds``.
    """
    torch = importlib.import_module("torch")
    snorkel = importlib.import_module("snorkel.classification")
    torch.set_num_threads(1)
    content = np.load(given)
    begin = time.perf_counter()
    torch.manual_seed(int(content["seed"]))
    tasks = [f"task_{i}" for i in range(content["training_labels"].shape[1])]
    model = snorkel.MultitaskClassifier(
        _tasks(torch.nn, snorkel, content["training"].shape[1], tasks)
    )

    def loader(part: str, labels: NDArray[np.int8], *, shuffle: bool) -> Any:
        values = {
            name: torch.from_numpy(labels[:, i].astype(np.int64)) for i, name in enumerate(tasks)
        }
        rows = {"x": torch.from_numpy(content[part])}
        dataset = snorkel.DictDataset("windows", _SPLITS[part], rows, values)
        return snorkel.DictDataLoader(dataset, batch_size=int(content["batch"]), shuffle=shuffle)

    with tempfile.TemporaryDirectory() as scratch:
        trainer = snorkel.Trainer(
            seed=int(content["seed"]),
            n_epochs=int(content["epochs"]),
            lr=float(content["rate"]),
            progress_bar=False,
            checkpointing=True,
            checkpointer_config={
                "checkpoint_dir": scratch,
                "checkpoint_metric": "model/all/valid/loss:min",
            },
            log_manager_config={"counter_unit": "epochs", "evaluation_freq": 1},
        )
        loaders = [
            loader("training", content["training_labels"], shuffle=True),
            loader("validation", content["validation_labels"], shuffle=False),
        ]
        trainer.fit(model, loaders)
    seconds = time.perf_counter() - begin
    nothing = np.zeros((len(content["asked"]), len(tasks)), np.int8)
    told = model.predict(loader("asked", nothing, shuffle=False), return_preds=True)
    said = np.stack([told["preds"][name] for name in tasks], axis=1).astype(np.int8)
    np.savez(answer, said=said, seconds=seconds)


_SPLITS = {"training": "train", "validation": "valid", "asked": "test"}


def _tasks(nn: Any, snorkel: Any, features: int, names: list[str]) -> list[Any]:
    layers: list[Any] = []
    for width in WIDTHS:
        layers += [nn.Linear(features, width), nn.ReLU()]
        features = width
    shared = nn.Sequential(*layers)
    return [
        snorkel.Task(
            name=name,
            module_pool=nn.ModuleDict({"shared": shared, name: nn.Linear(features, 2)}),
            op_sequence=[
                snorkel.Operation("shared", [("_input_", "x")]),
                snorkel.Operation(name, ["shared"]),
            ],
        )
        for name in names
    ]


if __name__ == "__main__":
    parts = {"single-task": single_task, "label-model": label_model, "multitask": multitask}
    parts[sys.argv[1]](*sys.argv[2:])
