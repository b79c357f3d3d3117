"""Proves that a bundle works on this machine: golden vectors, in a process of their own.

Some damaged models pass every check and crash the runtime, so a child answers the golden vectors
first. ``python -m sensor.model.verification FOLDER`` is that child: it writes one JSON object to
standard output, or one line to standard error and the error's exit status.
"""

import json
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sensor.errors import BundleError, HostError, MultaError
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.golden import TOLERANCE
from sensor.model.inference import Inference, calibrate

TIMEOUT_S = 60

MEMORY_BYTES = 1 << 30
"""What the child may use beyond its own start; a bundle of the largest allowed file needs a tenth.
A forged model of a few kilobytes can ask for any amount, and would have the kernel kill others."""


@dataclass(frozen=True)
class Verification:
    """Outcome of the golden vectors.

    Attributes:
        manifest_sha256: the bundle that answered.
        runtime: name and version of the TFLite runtime.
        rows: golden rows.
        max_difference: largest difference of a raw score from the expected one.
    """

    manifest_sha256: str
    runtime: str
    rows: int
    max_difference: float


def verify(bundle: Bundle) -> Verification:
    """Lets a child process answer the golden vectors of the bundle's folder.

    Raises:
        BundleError: the answers differ, the child crashed or took longer than a minute, or the
            folder has changed since `bundle` was read.
        HostError: there is no TFLite runtime.
    """
    # From the folder that holds the package, so that the child finds this very version.
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "sensor.model.verification", str(bundle.path.resolve())]
    remedy = "export it again or use another bundle"
    try:
        child = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"{bundle.path}: the golden vectors were not answered within {TIMEOUT_S} s; {remedy}"
        ) from None
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise BundleError(f"{bundle.path}: the model crashed the TFLite runtime ({name}); {remedy}")
    if child.returncode:
        lines = child.stderr.strip().splitlines() or ["no message"]
        kind = HostError if child.returncode == HostError.exit_status else BundleError
        raise kind(lines[-1])
    result = Verification(**json.loads(child.stdout))
    if result.manifest_sha256 != bundle.manifest_sha256:
        raise BundleError(f"{bundle.path}: the bundle was replaced while it was read; try again")
    return result


def answer(bundle: Bundle) -> Verification:
    """Answers the golden vectors in this process.

    Raises:
        BundleError: the encoding differs, a score differs by more than `TOLERANCE`, or a score
            lies on the other side of its threshold.
    """
    golden, tasks = bundle.golden, bundle.tasks
    encoded = encode(bundle.schema, golden.rows)
    if not np.array_equal(encoded.packed, golden.packed):
        raise BundleError(
            f"{bundle.path}: this version encodes the golden rows differently; use the version of "
            "multa that made the bundle, and report this"
        )
    inference = Inference(
        bundle.model, bundle.schema, [task.name for task in tasks], str(bundle.path)
    )
    scores = inference.scores(encoded)
    difference = np.abs(scores.astype(np.float64) - golden.scores)
    threshold = np.array([task.threshold for task in tasks])
    sides = [calibrate(tasks, raw) >= threshold for raw in (scores, golden.scores)]
    # `not <=`, because a NaN is not larger than anything.
    wrong = ~(difference <= TOLERANCE) | (sides[0] != sides[1])
    if wrong.any():
        row, task = np.argwhere(wrong)[0]
        raise BundleError(
            f"{bundle.path}: golden row {row} scores {scores[row, task]:.6f} for "
            f"{tasks[task].name} with {inference.runtime}, expected "
            f"{golden.scores[row, task]:.6f}; use another bundle or runtime"
        )
    return Verification(
        bundle.manifest_sha256, inference.runtime, len(scores), float(difference.max())
    )


def main() -> None:
    """Entry point of the child process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_DATA counts what is there already: on many cores numpy alone may hold gigabytes.
    pages = int(Path("/proc/self/statm").read_text().split()[5])  # proc_pid_statm(5): data + stack
    most = pages * resource.getpagesize() + MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        result = answer(Bundle.read(Path(sys.argv[1])))
    except MultaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
