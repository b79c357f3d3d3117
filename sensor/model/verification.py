"""Proves that a bundle works on this machine: golden vectors, in a process of their own.

Some damaged models pass every check and crash the runtime, so a child answers the golden vectors
first. ``python -m sensor.model.verification FOLDER [KEY...]`` is that child: it writes one JSON
object to standard output, or one line to standard error and the error's exit status. Where keys
are given it looks at the signature before anything else, so that no runtime ever sees a model of
somebody else.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sensor.errors import (
    BundleError,
    HostError,
    MissingInputError,
    MultaError,
    PermissionDeniedError,
)
from sensor.model import canonical
from sensor.model.bundle import MANIFEST, SIGNATURE, Bundle, read_file
from sensor.model.encoding import encode
from sensor.model.golden import TOLERANCE
from sensor.model.inference import Inference, calibrate
from sensor.model.trust import Trust, check_signature

TIMEOUT_S = 60

_PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""

_KINDS: dict[int, type[MultaError]] = {
    each.exit_status: each for each in (HostError, MissingInputError, PermissionDeniedError)
}
"""What a child's exit status stands for; every other one for a bundle that can't be used."""

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


def read_proved(path: Path, trust: Trust | None = None) -> tuple[Bundle, Verification]:
    """Reads a bundle and proves that it may be used: every check there is, in the order of cost.

    Raises:
        MultaError: whatever `Bundle.read` and `verify` raise.
    """
    bundle = Bundle.read(path, trust)
    return bundle, verify(bundle, trust)


def verify(bundle: Bundle, trust: Trust | None = None) -> Verification:
    """Lets a child process answer the golden vectors of the bundle's folder.

    Args:
        bundle: as it was read; the child reads it again, and it must be the same.
        trust: with keys, the child looks at the bundle's signature first.

    Raises:
        BundleError: the answers differ, the child crashed or took longer than a minute, the
            folder has changed since `bundle` was read, or the signature is not what `trust` asks
            for.
        MissingInputError: a key file does not exist.
        PermissionDeniedError: the folder or a key file may not be read.
        HostError: there is no TFLite runtime, or no library for signatures.
    """
    # From the folder that holds the package, so that the child finds this very version.
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "sensor.model.verification", str(bundle.path.resolve())]
    command += [str(key.absolute()) for key in trust.keys] if trust else []
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
        raise _KINDS.get(child.returncode, BundleError)(lines[-1])
    result = Verification(**json.loads(child.stdout))
    if result.manifest_sha256 != bundle.manifest_sha256:
        raise _replaced(bundle.path)
    return result


def answer(bundle: Bundle) -> Verification:
    """Answers the golden vectors in this process.

    Raises:
        BundleError: the encoding differs, a score differs by more than `TOLERANCE`, a score lies
            on the other side of its threshold, or another class is the best.
    """
    golden, tasks = bundle.golden, bundle.tasks
    encoded = encode(bundle.schema, golden.rows)
    if not np.array_equal(encoded.packed, golden.packed):
        raise BundleError(
            f"{bundle.path}: this version encodes the golden rows differently; use the version of "
            "multa that made the bundle, and report this"
        )
    inference = Inference(bundle.model, bundle.schema, bundle.outputs, str(bundle.path))
    scores = inference.scores(encoded)
    difference = np.abs(scores.astype(np.float64) - golden.scores)
    # `not <=`, because a NaN is not larger than anything.
    wrong = ~(difference <= TOLERANCE)
    threshold = np.array([task.threshold for task in tasks])
    sides = [calibrate(tasks, raw[:, : len(tasks)]) >= threshold for raw in (scores, golden.scores)]
    wrong[:, : len(tasks)] |= sides[0] != sides[1]
    columns = [task.name for task in tasks]
    for annotation in bundle.annotations:
        part = slice(len(columns), len(columns) + len(annotation.classes))
        best = [raw[:, part].argmax(axis=1) for raw in (scores, golden.scores)]
        wrong[:, part] |= (best[0] != best[1])[:, None]
        columns += [f"{annotation.name} {name}" for name in annotation.classes]
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise BundleError(
            f"{bundle.path}: golden row {row} scores {scores[row, column]:.6f} for "
            f"{columns[column]} with {inference.runtime}, expected "
            f"{golden.scores[row, column]:.6f}; use another bundle or runtime"
        )
    return Verification(
        bundle.manifest_sha256, inference.runtime, len(scores), float(difference.max())
    )


def _signed(folder: Path, keys: Sequence[Path]) -> str:
    """The identity that the folder's manifest states, once it is proved to be signed."""
    manifest = read_file(folder, MANIFEST)
    place = folder / SIGNATURE
    signature = read_file(folder, SIGNATURE) if os.path.lexists(place) else None
    check_signature(manifest, signature, keys, place)
    try:
        return str(canonical.parse(manifest)["manifest_sha256"])
    except (ValueError, LookupError, TypeError):
        return ""  # of no bundle, as whoever reads it next will say


def _replaced(folder: Path) -> BundleError:
    return BundleError(f"{folder}: the bundle was replaced while it was read; try again")


def end_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it is gone.

    A model may keep the runtime busy for ever, and a sensor that ends meanwhile waits for nobody.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def main() -> None:
    """Entry point of the child process."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_DATA counts what is there already: on many cores numpy alone may hold gigabytes.
    pages = int(Path("/proc/self/statm").read_text().split()[5])  # proc_pid_statm(5): data + stack
    most = pages * resource.getpagesize() + MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        folder, *keys = map(Path, sys.argv[1:])
        signed = _signed(folder, keys) if keys else None
        bundle = Bundle.read(folder)
        if signed not in (None, bundle.manifest_sha256):
            raise _replaced(folder)
        result = answer(bundle)
    except MultaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
