"""What the networks cost where they would run: weights, and the time of a flow in TFLite."""

import time
from dataclasses import dataclass, replace

import numpy as np

from sensor.model.inference import BATCH, installed_runtime
from trainer.executors import in_own_process
from trainer.traffic.inputs import SCHEMA, TASKS
from trainer.traffic.material import Material

_CALLS = 200


@dataclass(frozen=True)
class Cost:
    """Of a network with 60 packets.

    Attributes:
        parameters: weights.
        file_bytes: of the TFLite file, 16-bit weights.
        us: microseconds a flow: one thread, batches of 32, the fastest of 200 calls.
    """

    parameters: int
    file_bytes: int
    us: float


def costs(material: Material) -> dict[str, Cost]:
    """Of CNN and LMMoE with the heads of some material; their weights don't matter."""
    sizes = material.sizes(material.divisions[0])
    heads = {task: size for task, size in zip(TASKS, sizes, strict=True) if size}
    return {name: in_own_process(_cost, name, heads) for name in ("cnn", "lmmoe")}


def _cost(name: str, heads: dict[str, int]) -> Cost:
    import tensorflow as tf  # noqa: PLC0415 -- slow to load

    from trainer.export import convert  # noqa: PLC0415
    from trainer.traffic.networks import cnn, lmmoe  # noqa: PLC0415

    k = SCHEMA.n
    if name == "lmmoe":
        model = lmmoe(k, heads)
        tflite = convert(model, replace(SCHEMA, lengths=(k,)))
    else:
        model = cnn(k, heads)
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        tflite = bytes(converter.convert())
    module, _ = installed_runtime()
    interpreter = module.Interpreter(model_content=tflite, num_threads=1)
    for entry in interpreter.get_input_details():
        interpreter.resize_tensor_input(entry["index"], [BATCH, *entry["shape"][1:]])
    interpreter.allocate_tensors()
    generator = np.random.default_rng(0)
    for entry in interpreter.get_input_details():
        values = generator.uniform(0, 1, entry["shape"]).astype(np.float32)
        interpreter.set_tensor(entry["index"], values)
    best = np.inf
    for _ in range(_CALLS):
        begin = time.perf_counter()
        interpreter.invoke()
        best = min(best, time.perf_counter() - begin)
    return Cost(int(model.count_params()), len(tflite), best / BATCH * 1e6)
