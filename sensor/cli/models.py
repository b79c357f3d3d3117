"""``multa-sensor models``: what bundles there are, what is in them, and which are used."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sensor.cli import models_trust, options, say, visible
from sensor.cli.models_compare import compare
from sensor.cli.models_install import install, rollback
from sensor.errors import MissingInputError, MultaError
from sensor.model.bundle import MANIFEST, Bundle
from sensor.model.verification import read_proved
from sensor.service.models.model_store import CURRENT, names, shipped_bundles, versions


@click.group(no_args_is_help=False)
def models() -> None:
    """Install, verify, compare and inspect model bundles.

    A bundle is named by its folder, or by the name under which it was installed or came with the
    sensor.

    \b
    Examples:
      multa-sensor models list
      multa-sensor models verify iot-gateway
      multa-sensor models install iot-gateway-4.tar.gz
    """  # noqa: D301 -- click's mark for lines to leave alone


models.add_command(install)
models.add_command(rollback)
models.add_command(compare)


@models.command("list")
@click.argument("folder", required=False, type=options.folder, metavar="[DIR]")
@models_trust.config
@models_trust.store
@models_trust.as_json
def list_(folder: Path | None, *, config: Path | None, store: Path | None, as_json: bool) -> None:
    """List bundles, and which of them are used.

    Without a folder these are the bundles of the store and those that came with the sensor. Of the
    store, the current version of a name is used; a shipped bundle is where the store has
    none. A bundle that can't be used is listed with the reason, and the exit status tells.

    \b
    Examples:
      multa-sensor models list
      multa-sensor models list models
    """  # noqa: D301 -- click's mark for lines to leave alone
    if folder is None:
        settings, _ = models_trust.settings(config, store)
        listed = list(_installed(settings.models.store))
    elif folder.is_dir():
        listed = [(path.parent, "") for path in sorted(folder.glob(f"*/{MANIFEST}"))]
        listed += _versions(folder)
    else:
        raise MissingInputError(f"{folder}: no such folder")
    if not listed:
        say(f"no bundles in {folder or 'the store'}")
    refused: list[MultaError] = []
    for path, state in listed:
        stated: dict[str, Any] = {"state": state} if state else {}
        try:
            bundle = Bundle.read(path)
        except MultaError as error:
            refused.append(error)
            document = {**stated, "error": str(error)}
            models_trust.show(path, document, f"UNUSABLE: {error}", as_json=as_json)
            continue
        tasks = [task.name for task in bundle.tasks]
        document = {**models_trust.identity(bundle), **stated, "tasks": tasks}
        words = f" ({state})" if state else ""
        line = f"{bundle.name} {bundle.version}{words}  {', '.join(tasks)}"
        models_trust.show(path, document, line, as_json=as_json)
    _raise_first(refused)


def _installed(store: Path) -> Iterator[tuple[Path, str]]:
    """Folders of the store and of what was shipped, and what each of them is to the sensor."""
    current = set()
    for path, state in _versions(store):
        yield path, state
        if state == CURRENT:
            current.add(path.parent.name)
    for manifest in shipped_bundles():
        path = manifest.parent
        yield path, "shipped, not used" if path.name in current else "shipped"


def _versions(store: Path) -> Iterator[tuple[Path, str]]:
    for name in names(store):
        for version in versions(store, name):
            yield version.path, version.state or "kept"


@models.command()
@click.argument("bundles", nargs=-1, required=True, metavar="DIR|NAME...")
@models_trust.trusting
@models_trust.as_json
def verify(
    bundles: tuple[str, ...],
    *,
    config: Path | None,
    store: Path | None,
    keys: tuple[Path, ...],
    permitted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Prove that bundles are intact and work here.

    In this order: sizes, SHA-256 of all files, whether they are permitted, what the model is made
    of, the signature where there are keys, and the golden vectors in a process of its own.

    \b
    Examples:
      multa-sensor models verify models/iot-gateway
      multa-sensor models verify iot-gateway --key /etc/multa/maker.pub.pem
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings, trust = models_trust.settings(config, store, keys, permitted)
    refused: list[MultaError] = []
    for each in bundles:
        path = Path(each)
        try:
            path = models_trust.folder_of(each, settings.models.store)
            bundle, proof = read_proved(path, trust)
        except MultaError as error:
            refused.append(error)
            if len(bundles) > 1:
                document = {"error": str(error)}
                models_trust.show(path, document, f"UNUSABLE: {error}", as_json=as_json)
            continue
        document = {**models_trust.identity(bundle), **models_trust.outcome(proof)}
        models_trust.show(path, document, models_trust.answered(proof), as_json=as_json)
    _raise_first(refused)


@models.command()
@click.argument("bundle", metavar="DIR|NAME")
@models_trust.config
@models_trust.store
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
@click.option("--card", is_flag=True, help="The model card instead.")
def inspect(
    bundle: str, *, config: Path | None, store: Path | None, as_json: bool, card: bool
) -> None:
    """Show what a bundle detects, and where it is from.

    \b
    Example:
      multa-sensor models inspect models/iot-gateway
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings, _ = models_trust.settings(config, store)
    read = Bundle.read(models_trust.folder_of(bundle, settings.models.store))
    if card:
        click.echo(visible(read.card), nl=False)
        return
    if as_json:
        click.echo(json.dumps(read.manifest))
        return
    schema = read.schema
    lines: list[tuple[str, str]] = [
        ("name", f"{read.name} {read.version}"),
        ("manifest", read.manifest_sha256),
        ("model", f"{read.model_sha256} ({len(read.model):,} bytes)"),
        ("features", schema.fingerprint()),
        ("sequences", f"{schema.n} packets by {schema.key}, {' and '.join(schema.policies)}"),
        ("fields", ", ".join(schema.fields)),
        ("context", ", ".join(schema.context) or "none"),
    ]
    for task in read.tasks:
        rule = task.incident
        about = (
            f"threshold {task.threshold}, policy {task.policy}, incident of {rule.open_flows} "
            f"flows and {rule.open_rows} rows in {rule.open_seconds} s about the "
            f"{rule.role.replace('_', ' ')}"
        )
        lines.append((f"task {task.name}", about))
    lines += [(f"provenance {key}", _short(value)) for key, value in _items(read, "provenance")]
    lines += [(f"metrics {key}", _short(value)) for key, value in _items(read, "metrics")]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(visible(f"{name:<{width}}  {value}"))


def _raise_first(refused: list[MultaError]) -> None:
    """Ends with the first error, if there was one, after all bundles had their turn."""
    if not refused:
        return
    more = f" (and {len(refused) - 1} more can't be used)" if len(refused) > 1 else ""
    raise type(refused[0])(f"{refused[0]}{more}")


def _items(bundle: Bundle, entry: str) -> list[tuple[str, Any]]:
    content = bundle.manifest[entry]
    return sorted(content.items()) if isinstance(content, dict) else [("", content)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
