"""From settings to what the parts of a run are made of."""

from sensor.alerts.allow import AllowList
from sensor.alerts.home import HomeNetworks
from sensor.model.trust import Trust
from sensor.service.config.settings import Settings
from sensor.service.lanes import Detecting
from sensor.service.models.model_store import resolve


def detecting(settings: Settings, *, live: bool = False) -> Detecting:
    """What the settings detect with.

    Args:
        settings: of the run.
        live: whether bundles are tried and evidence is kept, which a replay does not.

    Raises:
        MultaError: there is no bundle of such a name.
    """
    models, network = settings.models, settings.network
    return Detecting(
        models=[resolve(each, models.store) for each in models.active],
        shadow=[resolve(each, models.store) for each in models.shadow] if live else (),
        rule=models.rule,
        home=HomeNetworks(network.home) if network.home else None,
        allow=AllowList(settings.allow) if settings.allow else None,
        evidence=live and settings.evidence.directory is not None,
        trust=trust(settings),
    )


def trust(settings: Settings) -> Trust:
    """Which bundles the settings let be used."""
    return Trust(frozenset(settings.models.permitted), settings.models.keys)
