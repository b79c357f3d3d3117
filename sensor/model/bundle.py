"""Model bundles: a folder ``models/NAME/`` that holds all that the sensor needs to know of a model.

``model.tflite`` (the network), ``golden.npz`` (rows and their scores), ``README.md`` (the model
card) and ``manifest.json``, which names the other files by SHA-256 and carries its own hash.
`docs/bundle.md` describes every entry. This module runs no model; a bundle that it returns is
intact and meant for this version, and `sensor.model.verification` proves that it works here.
"""

import hashlib
import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sensor.errors import BundleError, MissingInputError, OutputError, PermissionDeniedError
from sensor.model import canonical
from sensor.model.encoding import row_bytes
from sensor.model.golden import GoldenVectors
from sensor.model.manifest_tasks import read_tasks
from sensor.model.schema import AnnotationSpec, FeatureSchema, TaskSpec
from sensor.model.tflite_file import Signature, Tensor, TFLiteFile
from sensor.model.trust import Trust

FORMAT_VERSION = 1

FILES = {"model.tflite": 16 << 20, "golden.npz": 4 << 20, "README.md": 1 << 20}
"""Files beside the manifest, with the size above which one is refused unread."""

MANIFEST = "manifest.json"

SIGNATURE = "manifest.json.sig"
"""Signature of the manifest (`sensor.model.trust`); a bundle may lack it."""

LIMITS = {**FILES, MANIFEST: 1 << 20, SIGNATURE: 1 << 10}
"""All files that a bundle may have, with the size above which one is refused unread."""

_ENTRIES = frozenset(
    {
        "format_version",
        "name",
        "version",
        "features",
        "files",
        "signatures",
        "tasks",
        "histograms",
        "provenance",
        "metrics",
        "manifest_sha256",
    }
)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REMEDY = "copy the bundle again from where it was made, or export it again"


@dataclass(frozen=True)
class Bundle:
    """An intact bundle.

    Attributes:
        path: the folder.
        name, version: of the model, for people.
        schema: what its sequences are.
        tasks: binary ones, in the order of the score columns.
        annotations: categorical ones, whose classes follow in the score columns.
        model: content of ``model.tflite``. Models are always loaded from these bytes: a runtime
            that maps the file dies with SIGBUS when somebody truncates it.
        golden: rows with their scores.
        card: the model card, Markdown.
        manifest: the whole manifest.
    """

    path: Path
    name: str
    version: str
    schema: FeatureSchema
    tasks: tuple[TaskSpec, ...]
    annotations: tuple[AnnotationSpec, ...]
    model: bytes
    golden: GoldenVectors
    card: str
    manifest: dict[str, Any]

    @property
    def outputs(self) -> list[str]:
        """Names of the model's outputs, in the order of the score columns."""
        tasks = [task.name for task in self.tasks]
        return tasks + [annotation.name for annotation in self.annotations]

    @property
    def manifest_sha256(self) -> str:
        """Hash of the manifest, and through it of every file: the identity of the bundle."""
        return str(self.manifest["manifest_sha256"])

    @property
    def model_sha256(self) -> str:
        """SHA-256 of ``model.tflite``."""
        return str(self.manifest["files"]["model.tflite"]["sha256"])

    @classmethod
    def read(cls, path: Path, trust: Trust | None = None) -> "Bundle":
        """Reads a bundle and proves it intact, cheapest checks first.

        Sizes, SHA-256 of every file, the manifest's own hash, whether it is permitted, the
        feature schema, the tasks, operators and tensors of the model, the golden vectors' shapes.

        Args:
            path: the folder.
            trust: which bundles are permitted. Its keys are not looked at here: whoever runs a
                model has `sensor.model.verification.verify` look at them before.

        Raises:
            MissingInputError: there is no bundle at `path`.
            PermissionDeniedError: it may not be read.
            BundleError: it is corrupt, made for another version, or not permitted.
        """
        place = path / MANIFEST
        try:
            manifest = canonical.parse(read_file(path, MANIFEST))
        except ValueError as error:
            raise BundleError(f"{place}: is not a manifest ({error}); {_REMEDY}") from None
        if not isinstance(manifest, dict) or manifest.get("format_version") != FORMAT_VERSION:
            raise BundleError(
                f"{place}: is not in bundle format {FORMAT_VERSION}, the only one that this "
                "version reads; use the version of multa that made the bundle"
            )
        if wrong := sorted(set(manifest) ^ _ENTRIES):
            raise BundleError(f"{place}: entry {wrong[0]!r} is missing or unknown; {_REMEDY}")
        content = {name: _checked(path, name, manifest["files"]) for name in FILES}
        if manifest["manifest_sha256"] != _own_hash(manifest, place):
            raise BundleError(
                f"{place}: was changed after the bundle was made (manifest_sha256 differs); "
                f"{_REMEDY}"
            )
        if trust:
            trust.check_permitted(manifest["manifest_sha256"], place)
        for entry in ("name", "version"):
            if not isinstance(manifest[entry], str) or not NAME.fullmatch(manifest[entry]):
                raise BundleError(f"{place}: {entry} is not a short lower-case name; {_REMEDY}")
        if not isinstance(manifest["features"], dict):
            raise BundleError(f"{place}: features is not an object; {_REMEDY}")
        schema = FeatureSchema.from_manifest(manifest["features"], str(place))
        tasks, annotations = read_tasks(manifest["tasks"], schema, str(place), _REMEDY)
        widths = _widths(tasks, annotations)
        _check_model(path / "model.tflite", content["model.tflite"], schema, widths)
        if manifest["signatures"] != _signature_entries(schema, widths):
            raise BundleError(f"{place}: signatures do not fit features and tasks; {_REMEDY}")
        try:
            golden = GoldenVectors.from_npz(
                content["golden.npz"], schema, row_bytes(schema), sum(widths.values())
            )
        except ValueError as error:
            raise BundleError(f"{path / 'golden.npz'}: {error}; {_REMEDY}") from None
        try:
            card = content["README.md"].decode()
        except ValueError:
            raise BundleError(f"{path / 'README.md'}: is not UTF-8 text; {_REMEDY}") from None
        return cls(
            path,
            manifest["name"],
            manifest["version"],
            schema,
            tasks,
            annotations,
            content["model.tflite"],
            golden,
            card,
            manifest,
        )

    @classmethod
    def write(
        cls,
        path: Path,
        *,
        version: str,
        schema: FeatureSchema,
        tasks: tuple[TaskSpec, ...],
        annotations: tuple[AnnotationSpec, ...] = (),
        model: bytes,
        golden: GoldenVectors,
        card: str,
        histograms: dict[str, Any],
        provenance: dict[str, Any],
        metrics: dict[str, Any],
    ) -> "Bundle":
        """Writes a bundle named like its folder, and reads it back.

        An existing bundle is replaced file by file, the manifest last: whoever reads in between
        finds hashes that differ and keeps what they have.

        Raises:
            OutputError: the folder can't be written.
            BundleError: what was given makes no bundle that `read` accepts.
        """
        content = {
            "model.tflite": model,
            "golden.npz": golden.to_npz(),
            "README.md": card.encode(),
        }
        manifest: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "name": path.name,
            "version": version,
            "features": schema.to_manifest(),
            "files": {
                name: {"bytes": len(file), "sha256": hashlib.sha256(file).hexdigest()}
                for name, file in content.items()
            },
            "signatures": _signature_entries(schema, _widths(tasks, annotations)),
            "tasks": [*map(asdict, tasks), *map(asdict, annotations)],
            "histograms": histograms,
            "provenance": provenance,
            "metrics": metrics,
        }
        manifest["manifest_sha256"] = _own_hash(manifest, path / MANIFEST)
        content[MANIFEST] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
        try:
            path.mkdir(parents=True, exist_ok=True)
            for name, file in content.items():
                temporary = path / f".{name}.new"
                temporary.write_bytes(file)
                temporary.replace(path / name)
        except OSError as error:
            raise OutputError(f"{path}: can't write the bundle ({error.strerror})") from None
        return cls.read(path)


def read_file(path: Path, name: str) -> bytes:
    """Content of a bundle's file, of which no more is read than its limit.

    Raises:
        MissingInputError: there is no manifest, so no bundle.
        PermissionDeniedError: the file may not be read.
        BundleError: it is missing, too large, or no regular file.
    """
    place, limit = path / name, LIMITS[name]
    try:
        with open(place, "rb", opener=_opened) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(f"{place}: is no regular file; {_REMEDY}")
            content = file.read(limit + 1)
    except FileNotFoundError:
        if name == MANIFEST:
            raise MissingInputError(
                f"{place}: no such file; give the folder of a model bundle"
            ) from None
        raise BundleError(f"{place}: is missing; {_REMEDY}") from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{place}: permission denied; let the sensor's user read it"
        ) from None
    except OSError as error:
        raise BundleError(f"{place}: can't be read ({error.strerror}); {_REMEDY}") from None
    if len(content) > limit:
        size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
        raise BundleError(f"{place}: is larger than {size}; {_REMEDY}")
    return content


def _opened(place: str, flags: int) -> int:
    # Without waiting: a named pipe in place of a file would hold the sensor up for good.
    return os.open(place, flags | os.O_NONBLOCK)


def _checked(path: Path, name: str, stated: Any) -> bytes:
    content = read_file(path, name)
    found = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if not isinstance(stated, dict) or set(stated) != set(FILES) or stated[name] != found:
        raise BundleError(
            f"{path / name}: does not have the SHA-256 that {MANIFEST} states; {_REMEDY}"
        )
    return content


def _own_hash(manifest: dict[str, Any], place: Path) -> str:
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    try:
        return canonical.sha256(body)
    except ValueError as error:
        raise BundleError(f"{place}: can't be hashed ({error}); {_REMEDY}") from None


def _widths(tasks: tuple[TaskSpec, ...], annotations: tuple[AnnotationSpec, ...]) -> dict[str, int]:
    """Score columns of each output, in their order."""
    return {task.name: 1 for task in tasks} | {
        annotation.name: len(annotation.classes) for annotation in annotations
    }


def _inputs(schema: FeatureSchema, length: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a row's inputs; a model of features without context has no ``c``."""
    inputs: dict[str, tuple[int, ...]] = {"x": (length, len(schema.channels))}
    return inputs | {"c": (len(schema.context),)} if schema.context else inputs


def _signature_entries(schema: FeatureSchema, widths: dict[str, int]) -> list[dict[str, Any]]:
    """How the manifest states the tensors; only names count, order and positions never."""
    return [
        {
            "name": f"n{length}",
            "length": length,
            "inputs": {name: list(shape) for name, shape in _inputs(schema, length).items()},
            "outputs": list(widths),
        }
        for length in schema.lengths
    ]


def _check_model(place: Path, model: bytes, schema: FeatureSchema, widths: dict[str, int]) -> None:
    try:
        found = TFLiteFile.parse(model)
    except ValueError as error:
        raise BundleError(f"{place}: is not a TFLite model ({error}); {_REMEDY}") from None
    if found.foreign:
        raise BundleError(
            f"{place}: uses the operator {found.foreign[0]}, which the sensor does not run; "
            "export the model with this version of multa"
        )
    for length in schema.lengths:
        expected = Signature(
            {name: Tensor.float32(*shape) for name, shape in _inputs(schema, length).items()},
            {name: Tensor.float32(width) for name, width in widths.items()},
        )
        if found.signatures.get(f"n{length}") != expected:
            raise BundleError(
                f"{place}: signature n{length} does not have the tensors that features and tasks "
                "ask for; export the model with this version of multa"
            )
