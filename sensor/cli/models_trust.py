"""What the commands of ``multa-sensor models`` share: the store, and whom an operator trusts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sensor.cli import options
from sensor.errors import UsageError
from sensor.model.bundle import Bundle
from sensor.model.trust import Trust
from sensor.model.verification import Verification
from sensor.service.config import configuration
from sensor.service.config.settings import DEFAULT_PATH, Settings
from sensor.service.models.model_store import resolve

_SHA256_DIGITS = 64

_Command = TypeVar("_Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")

config = click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help="Configuration that names store, keys and permitted bundles.  "
    f"[default: {DEFAULT_PATH}, where it exists]",
)
store = click.option(
    "--store", type=options.folder, metavar="DIR", help="Store in place of the configured one."
)

_key = click.option(
    "--key",
    "keys",
    type=options.folder,
    multiple=True,
    metavar="PEM",
    help="Public key of which one must have signed the bundle, in place of the configured ones; "
    "may be given again.",
)
_permit = click.option(
    "--permit",
    "permitted",
    multiple=True,
    metavar="SHA256",
    help="manifest_sha256 of a permitted bundle, in place of the configured ones; may be given "
    "again.",
)


def trusting(command: _Command) -> _Command:
    """Gives a command the options of `settings`."""
    for option in (_permit, _key, store, config):
        command = option(command)
    return command


def settings(
    config: Path | None,
    store: Path | None,
    keys: tuple[Path, ...] = (),
    permitted: tuple[str, ...] = (),
) -> tuple[Settings, Trust]:
    """The configuration with what options say in its place, and whom it trusts.

    Raises:
        UsageError: what is permitted is no SHA-256.
        MultaError: the configuration can't be used.
    """
    for digest in permitted:
        if len(digest) != _SHA256_DIGITS or set(digest) - set("0123456789abcdef"):
            raise UsageError(
                f"--permit {digest}: is no SHA-256 in hexadecimal; multa-sensor models list --json "
                "shows the manifest_sha256 of bundles"
            )
    found = configuration.read(config).overridden(
        {
            "models.store": store,
            "models.keys": keys or None,
            "models.permitted": permitted or None,
        }
    )
    return found, Trust(frozenset(found.models.permitted), found.models.keys)


def folder_of(model: str, store: Path) -> Path:
    """Where a bundle lies that was named on the command line: a folder, else a name.

    Raises:
        MultaError: as `resolve` does.
    """
    path = Path(model)
    return path if "/" in model or path.is_dir() else resolve(model, store)


def identity(bundle: Bundle) -> dict[str, Any]:
    """What JSON says of a bundle."""
    return {
        "path": str(bundle.path),
        "name": bundle.name,
        "version": bundle.version,
        "manifest_sha256": bundle.manifest_sha256,
        "fingerprint": bundle.schema.fingerprint(),
    }


def outcome(proof: Verification) -> dict[str, Any]:
    """What JSON says of golden vectors that were answered."""
    return {
        "runtime": proof.runtime,
        "golden_rows": proof.rows,
        "max_difference": proof.max_difference,
    }


def answered(proof: Verification) -> str:
    """The same in words."""
    return (
        f"ok ({proof.rows} golden rows, largest difference {proof.max_difference:.1e}, "
        f"{proof.runtime})"
    )


def show(path: Path, document: dict[str, Any], line: str, *, as_json: bool) -> None:
    """Writes one bundle's line."""
    if as_json:
        click.echo(json.dumps({"path": str(path), **document}))
    else:
        click.echo(f"{path}: {line}")
