"""Resident memory of a process that has networks loaded, and nothing but the sensor's inference."""

from pathlib import Path

from sensor.model.inference import Inference
from sensor.model.schema import FeatureSchema
from trainer.executors import in_own_process


def resident_kib(models: tuple[tuple[bytes, tuple[str, ...]], ...], schema: FeatureSchema) -> int:
    """KiB resident with the runtime, and all graphs of the models laid out.

    Args:
        models: TFLite files, each with its tasks.
        schema: of their inputs.
    """
    return in_own_process(_resident_kib, models, schema)


def _resident_kib(models: tuple[tuple[bytes, tuple[str, ...]], ...], schema: FeatureSchema) -> int:
    loaded = [Inference(tflite, schema, tasks, "a compared network") for tflite, tasks in models]
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = next(line for line in lines if line.startswith("VmRSS:"))
    del loaded  # until here
    return int(found.split()[1])
