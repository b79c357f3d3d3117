"""Instructions of an inference, counted by callgrind: a figure that no other process can move.

``valgrind --tool=callgrind python -m trainer.reproduce.fig4.instructions FOLDER`` loads all
networks that ``FOLDER/networks.json`` names. Counting begins when all is laid out, and the process
has itself dumped by ``callgrind_control`` before and after some calls for each variant; their
difference, without what a dump by itself costs, is that of the calls. The caller's Python is in
it, once for each network. Valgrind offers no wider vectors than AVX2.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sensor.model.inference import Inference
from sensor.model.schema import FeatureSchema

CALLS = 20
"""Of one row."""

_TIMEOUT_S = 1_200
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)
_TRIGGER = re.compile(r"^desc: Trigger: (?:.* )?(\S+)$", re.MULTILINE)


def missing() -> str:
    """What is lacking to count, or nothing."""
    lacking = [name for name in ("valgrind", "callgrind_control") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} not found (Debian package valgrind)" if lacking else ""


def counted(
    variants: Mapping[str, tuple[tuple[bytes, tuple[str, ...]], ...]], schema: FeatureSchema
) -> dict[str, int]:
    """Instructions of a full row at batch 1, by variant; nothing where callgrind is missing.

    Args:
        variants: TFLite files and their tasks.
        schema: of their inputs.
    """
    if missing():
        return {}
    with tempfile.TemporaryDirectory(prefix="multa-callgrind-") as scratch:
        folder = Path(scratch)
        names = []
        for number, models in enumerate(variants.values()):
            files: list[tuple[str, tuple[str, ...]]] = []
            for place, (tflite, tasks) in enumerate(models):
                files.append((f"{number}-{place}.tflite", tasks))
                (folder / files[-1][0]).write_bytes(tflite)
            names.append(files)
        document = {"schema": schema.to_manifest(), "variants": names}
        (folder / "networks.json").write_text(json.dumps(document), encoding="utf-8")
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--instr-atstart=no",
                f"--callgrind-out-file={folder}/counts",
                sys.executable,
                "-m",
                "trainer.reproduce.fig4.instructions",
                scratch,
            ],
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        sums = _sums(folder)
    return {
        name: round((sums[f"{number}-all"] - sums[f"{number}-none"]) / CALLS)
        for number, name in enumerate(variants)
    }


def _sums(folder: Path) -> dict[str, int]:
    """Counts of each dump by its name."""
    sums = {}
    for path in folder.glob("counts.*"):
        text = path.read_text(encoding="utf-8")
        name, count = _TRIGGER.search(text), _SUMMARY.search(text)
        if name and count:
            sums[name[1]] = int(count[1])
    return sums


def main() -> None:
    """Entry point under valgrind."""
    folder = Path(sys.argv[1])
    document = json.loads((folder / "networks.json").read_text(encoding="utf-8"))
    schema = FeatureSchema.from_manifest(document["schema"], "networks.json")
    variants = [
        [Inference((folder / name).read_bytes(), schema, tasks, name) for name, tasks in networks]
        for networks in document["variants"]
    ]
    x = np.zeros((1, schema.n, len(schema.channels)), np.float32)
    c = np.zeros((1, len(schema.context)), np.float32)

    def call(number: int) -> None:
        for network in variants[number]:
            network._call(schema.n, x, c)  # noqa: SLF001 -- what it counts

    for number in range(len(variants)):
        call(number)
    _control("--instr=on")
    for number in range(len(variants)):
        call(number)
        for word, calls in (("none", 0), ("all", CALLS)):
            _control("--zero")
            for _ in range(calls):
                call(number)
            _control(f"--dump={number}-{word}")


def _control(order: str) -> None:
    subprocess.run(["callgrind_control", order, str(os.getpid())], capture_output=True, check=True)


if __name__ == "__main__":
    main()
