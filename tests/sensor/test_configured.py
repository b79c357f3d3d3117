from ipaddress import ip_network

import pytest

from sensor.alerts.allow import AllowRule
from sensor.errors import MissingInputError
from sensor.service.config.settings import WITHOUT_A_FILE, Settings
from sensor.service.configured import detecting, trust
from sensor.service.models import model_store


def test_settings_become_what_is_detected_with(tmp_path):
    folder = tmp_path / "mine"
    rule = AllowRule(comment="why", task="scan")
    settings = Settings(allow=(rule,)).overridden(
        {
            "models.active": ("iot-gateway",),
            "models.shadow": (str(folder),),
            "models.rule": False,
            "models.store": tmp_path / "store",
            "models.permitted": ("ab" * 32,),
            "models.keys": (tmp_path / "key.pem",),
            "network.home": (ip_network("10.0.0.0/8"),),
        }
    )
    found = detecting(settings, live=True)
    assert list(found.models) == [model_store.shipped_models() / "iot-gateway"]
    assert list(found.shadow) == [folder]
    assert found.rule is False
    assert found.home.holds((4, 0, 0x0A000001))
    assert not found.home.holds((4, 0, 0x0B000001))
    assert found.allow.rules == (rule,)
    assert found.trust.permitted == {"ab" * 32}
    assert found.trust.keys == (tmp_path / "key.pem",)
    assert found.evidence is True
    replayed = detecting(settings)
    assert (list(replayed.shadow), replayed.evidence) == ([], False)
    assert detecting(WITHOUT_A_FILE, live=True).evidence is False


def test_nothing_said_is_nothing_known():
    found = detecting(Settings().overridden({"models.active": ()}))
    assert (list(found.models), found.home, found.allow, found.rule) == ([], None, None, True)
    assert trust(Settings()).permitted == frozenset()


def test_model_that_is_nowhere_is_told(tmp_path):
    settings = Settings().overridden({"models.active": ("none",), "models.store": tmp_path})
    with pytest.raises(MissingInputError, match="none: no such model"):
        detecting(settings)
