"""``multa-sensor models install`` and ``rollback``: which version of a model is used."""

from pathlib import Path

import click

from sensor.cli import completion, models_trust, options, say
from sensor.service.config.settings import Settings
from sensor.service.models.model_install import KEPT, Installed, roll_back
from sensor.service.models.model_install import install as install_bundle

_RELOAD = "systemctl reload multa-sensor"


@click.command()
@click.argument("source", type=options.folder, metavar="DIR|FILE.tar.gz")
@click.option("--no-use", is_flag=True, help="Keep it in the store; what is in use stays.")
@models_trust.trusting
@models_trust.as_json
def install(
    source: Path,
    *,
    no_use: bool,
    config: Path | None,
    store: Path | None,
    keys: tuple[Path, ...],
    permitted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put a bundle into the store, to be used.

    It is copied, the copy is proved, and it is used under its name: the sensor takes it when it is
    reloaded or started. Three versions of a name are kept, the one used before among them. A
    bundle that is refused changes nothing.

    \b
    Examples:
      multa-sensor models install iot-gateway-4.tar.gz
      multa-sensor models install build/iot-gateway --no-use
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings, trust = models_trust.settings(config, store, keys, permitted)
    done = install_bundle(source, settings.models.store, trust, use=not no_use)
    _show(done, as_json=as_json)
    if done.used:
        _tell_of_use(done, settings)
    else:
        say(f"not in use; to use it: multa-sensor models install {done.bundle.path}")
    for path in done.removed:
        say(f"removed {path}, as {KEPT} versions are kept")


@click.command()
@click.argument("name", shell_complete=completion.models)
@models_trust.trusting
@models_trust.as_json
def rollback(
    name: str,
    *,
    config: Path | None,
    store: Path | None,
    keys: tuple[Path, ...],
    permitted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Use the version again that was used before.

    It is proved first, and what is in use stays where that fails. Another rollback takes it back.

    \b
    Example:
      multa-sensor models rollback iot-gateway
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings, trust = models_trust.settings(config, store, keys, permitted)
    done = roll_back(name, settings.models.store, trust)
    _show(done, as_json=as_json)
    _tell_of_use(done, settings)


def _show(done: Installed, *, as_json: bool) -> None:
    bundle, proof = done.bundle, done.proof
    document = {
        **models_trust.identity(bundle),
        **models_trust.outcome(proof),
        "used": done.used,
        "before": str(done.before) if done.before else None,
        "removed": [str(path) for path in done.removed],
    }
    line = f"{bundle.name} {bundle.version}  {models_trust.answered(proof)}"
    models_trust.show(bundle.path, document, line, as_json=as_json)


def _tell_of_use(done: Installed, settings: Settings) -> None:
    """What to do next, and how to undo it."""
    name = done.bundle.name
    if done.before == done.bundle.path:
        say("it was the version in use before, too")
    elif done.before is not None:
        say(f"{done.before} was used before; to go back: multa-sensor models rollback {name}")
    if name in settings.models.active:
        say(f"a sensor that runs takes it with: {_RELOAD}")
    else:
        say(
            f'no sensor uses it yet: write active = ["{name}"] under [models] in the '
            f"configuration, then {_RELOAD}"
        )
