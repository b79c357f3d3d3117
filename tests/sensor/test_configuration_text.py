import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sensor.service.config.configuration import read
from sensor.service.config.configuration_text import (
    default_text,
    effective_document,
    effective_text,
    written,
)
from sensor.service.config.settings import ALLOW, DEFINITIONS, Settings

ROOT = Path(__file__).parents[2]

FULL = """\
[capture]
interfaces = ["eth0", "wlan0"]
[network]
home = ["10.0.0.0/8", "fd00::/8"]
[network.devices]
"10.0.0.1" = 'the "big" one \\\\ für Kim'
[alerts.severity]
scan = 3
[evidence]
directory = ""
[[allow]]
comment = "why"
expires = 2027-01-01T12:00:00.25+02:00
task = "scan"
source = "10.0.0.0/8"
destination = "fd00::1"
port = 443
protocol = "tcp"
[[allow]]
comment = "for ever"
expires = "never"
port = 1
"""


@pytest.fixture
def path(tmp_path):
    """A configuration with something of everything."""
    path = tmp_path / "sensor.toml"
    path.write_text(FULL)
    return path


def without_places(settings):
    return replace(settings, origins={}, files=())


def test_default_is_a_configuration_with_every_default(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(default_text())
    settings = read(path)
    assert settings.capture.interfaces == ("eth0",)
    assert list(settings.origins) == ["capture.interfaces"]
    for key in DEFINITIONS.keys() - {"capture.interfaces"}:
        assert settings.value(key) == Settings().value(key)
    assert settings.allow == ()


def test_default_with_nothing_commented_out_is_a_configuration_too(tmp_path):
    """Whoever takes the mark away from a line has what the comment above it says."""
    path = tmp_path / "sensor.toml"
    lines = default_text().splitlines()
    bare = [line[1:] if line[:1] == "#" and line[1:2] != " " else line for line in lines]
    path.write_text("\n".join(bare))
    settings = read(path)
    assert settings.origins.keys() == DEFINITIONS.keys()
    assert settings.network.devices == {"aa:bb:cc:dd:ee:ff": "camera at the door"}
    (rule,) = settings.allow
    assert (rule.task, rule.port, rule.expires_ns) == ("scan", 1, 1_798_761_600 * 10**9)
    named = {line.split(" = ")[0] for line in bare if " = " in line and line[0] != "#"}
    assert named >= set(ALLOW)


def test_lines_of_the_default_are_short():
    assert max(map(len, default_text().splitlines())) <= 100


def test_effective_text_is_a_configuration_that_means_the_same(path):
    settings = read(path)
    text = effective_text(settings)
    again = path.with_name("again.toml")
    again.write_text(text)
    assert without_places(read(again)) == without_places(settings)
    assert f'interfaces = ["eth0", "wlan0"]  # {path}:2' in text
    assert "workers = 1  # default" in text
    assert "expires = 2027-01-01T10:00:00.250000Z" in text


def test_effective_document_tells_where_each_value_comes_from(path):
    document = json.loads(json.dumps(effective_document(read(path))))
    assert document["files"] == [str(path)]
    assert document["network"]["home"] == {"value": ["10.0.0.0/8", "fd00::/8"], "from": f"{path}:4"}
    assert document["capture"]["workers"] == {"value": 1, "from": "default"}
    assert document["evidence"]["directory"] == {"value": "", "from": f"{path}:10"}
    assert document["allow"][1] == {
        "from": f"{path}:19",
        "comment": "for ever",
        "expires": "never",
        "port": 1,
    }
    assert document["allow"][0]["source"] == "10.0.0.0/8"


def test_values_are_written_as_toml_has_them():
    values = [None, True, 7, 'a"\\', Path("/x"), (), ("a", 1), {"k é": "v"}, {}]
    assert [written(each) for each in values] == [
        *('""', "true", "7", '"a\\"\\\\"', '"/x"', "[]", '["a", 1]', '{ "k é" = "v" }', "{}")
    ]


def test_page_and_example_are_made_from_the_definitions():
    place = ROOT / "docs" / "generate_configuration.py"
    spec = importlib.util.spec_from_file_location("generate_configuration", place)
    generator = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generator
    spec.loader.exec_module(generator)
    remedy = "run: python docs/generate_configuration.py"
    assert generator.PAGE.read_text() == generator.page(), remedy
    assert generator.EXAMPLE.read_text() == default_text(), remedy
    for key, definition in DEFINITIONS.items():
        assert f"| `{definition.name}` |" in generator.page(), key
