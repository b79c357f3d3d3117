"""``multa-sensor models``: what bundles there are, and what is in them."""

import json
from pathlib import Path
from typing import Any

import click

from sensor.cli import options, visible
from sensor.errors import MissingInputError, MultaError
from sensor.model.bundle import MANIFEST, Bundle
from sensor.model.verification import verify as verify_bundle
from sensor.service.model_store import shipped_models

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_folders = click.argument("folders", nargs=-1, required=True, type=options.folder, metavar="DIR...")


@click.group(no_args_is_help=False)
def models() -> None:
    """List, verify and inspect model bundles.

    \b
    Example:
      multa-sensor models verify models/iot-gateway
    """  # noqa: D301 -- click's mark for lines to leave alone


@models.command("list")
@click.argument("folder", required=False, type=options.folder, metavar="[DIR]")
@_as_json
def list_(folder: Path | None, *, as_json: bool) -> None:
    """List the bundles in a folder; without one, those that came with the sensor.

    A bundle that can't be used is listed with the reason, and the exit status tells.

    \b
    Example:
      multa-sensor models list models
    """  # noqa: D301 -- click's mark for lines to leave alone
    folder = folder or shipped_models()
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: no such folder")
    refused: list[MultaError] = []
    for path in sorted(path.parent for path in folder.glob(f"*/{MANIFEST}")):
        try:
            bundle = Bundle.read(path)
        except MultaError as error:
            refused.append(error)
            _say(path, {"error": str(error)}, f"UNUSABLE: {error}", as_json=as_json)
            continue
        tasks = [task.name for task in bundle.tasks]
        line = f"{bundle.name} {bundle.version}  {', '.join(tasks)}"
        _say(path, {**_identity(bundle), "tasks": tasks}, line, as_json=as_json)
    _raise_first(refused)


@models.command()
@_folders
@_as_json
def verify(folders: tuple[Path, ...], *, as_json: bool) -> None:
    """Prove that bundles are intact and answer their golden vectors here.

    \b
    Example:
      multa-sensor models verify models/iot-gateway
    """  # noqa: D301 -- click's mark for lines to leave alone
    refused: list[MultaError] = []
    for path in folders:
        try:
            bundle = Bundle.read(path)
            proof = verify_bundle(bundle)
        except MultaError as error:
            refused.append(error)
            if len(folders) > 1:
                _say(path, {"error": str(error)}, f"UNUSABLE: {error}", as_json=as_json)
            continue
        outcome = {
            "runtime": proof.runtime,
            "golden_rows": proof.rows,
            "max_difference": proof.max_difference,
        }
        line = (
            f"ok ({proof.rows} golden rows, largest difference {proof.max_difference:.1e}, "
            f"{proof.runtime})"
        )
        _say(path, {**_identity(bundle), **outcome}, line, as_json=as_json)
    _raise_first(refused)


@models.command()
@click.argument("folder", type=options.folder, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
@click.option("--card", is_flag=True, help="The model card instead.")
def inspect(folder: Path, *, as_json: bool, card: bool) -> None:
    """Show what a bundle detects, in what, and where it comes from.

    \b
    Example:
      multa-sensor models inspect models/iot-gateway
    """  # noqa: D301 -- click's mark for lines to leave alone
    bundle = Bundle.read(folder)
    if card:
        click.echo(visible(bundle.card), nl=False)
        return
    if as_json:
        click.echo(json.dumps(bundle.manifest))
        return
    schema = bundle.schema
    lines: list[tuple[str, str]] = [
        ("name", f"{bundle.name} {bundle.version}"),
        ("manifest", bundle.manifest_sha256),
        ("model", f"{bundle.model_sha256} ({len(bundle.model):,} bytes)"),
        ("features", schema.fingerprint()),
        ("sequences", f"{schema.n} packets by {schema.key}, {' and '.join(schema.policies)}"),
        ("fields", ", ".join(schema.fields)),
        ("context", ", ".join(schema.context) or "none"),
    ]
    for task in bundle.tasks:
        rule = task.incident
        about = (
            f"threshold {task.threshold}, policy {task.policy}, incident of {rule.open_flows} "
            f"flows and {rule.open_rows} rows in {rule.open_seconds} s about the "
            f"{rule.role.replace('_', ' ')}"
        )
        lines.append((f"task {task.name}", about))
    lines += [(f"provenance {key}", _short(value)) for key, value in _items(bundle, "provenance")]
    lines += [(f"metrics {key}", _short(value)) for key, value in _items(bundle, "metrics")]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(visible(f"{name:<{width}}  {value}"))


def _say(path: Path, document: dict[str, Any], line: str, *, as_json: bool) -> None:
    """One bundle's line."""
    if as_json:
        click.echo(json.dumps({"path": str(path), **document}))
    else:
        click.echo(f"{path}: {line}")


def _raise_first(refused: list[MultaError]) -> None:
    """Ends with the first error, if there was one, after all bundles had their turn."""
    if not refused:
        return
    more = f" (and {len(refused) - 1} more can't be used)" if len(refused) > 1 else ""
    raise type(refused[0])(f"{refused[0]}{more}")


def _identity(bundle: Bundle) -> dict[str, Any]:
    return {
        "path": str(bundle.path),
        "name": bundle.name,
        "version": bundle.version,
        "manifest_sha256": bundle.manifest_sha256,
        "fingerprint": bundle.schema.fingerprint(),
    }


def _items(bundle: Bundle, entry: str) -> list[tuple[str, Any]]:
    content = bundle.manifest[entry]
    return sorted(content.items()) if isinstance(content, dict) else [("", content)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
