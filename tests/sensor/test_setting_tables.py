import sys
from pathlib import Path

import pytest

from sensor.service.config.configuration_text import written
from sensor.service.config.setting_tables import Capture, Models
from sensor.service.config.settings import ALLOW, DEFINITIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.mark.parametrize("key", DEFINITIONS)
def test_every_default_is_a_value_that_the_key_takes(key):
    definition = DEFINITIONS[key]
    (value,) = tomllib.loads(f"v = {written(definition.default)}").values()
    assert definition.kind.parse(value, Path("/")) == definition.default


@pytest.mark.parametrize("definition", [*DEFINITIONS.values(), *ALLOW.values()])
def test_every_example_is_a_value_that_the_key_takes(definition):
    (value,) = tomllib.loads(f"v = {definition.kind.example}").values()
    definition.kind.parse(value, Path("/"))


@pytest.mark.parametrize("definition", [*DEFINITIONS.values(), *ALLOW.values()])
def test_every_key_says_what_it_means(definition):
    assert definition.help.endswith(".")
    assert definition.kind.form[:1] in 'abcdefghijklmnopqrstuvwxyzDS"'
    assert definition.takes


def test_tables_without_keys_are_the_defaults():
    assert Capture().workers == 1
    assert Models().active == ("iot-gateway",)
    assert DEFINITIONS["capture.workers"].default == 1
