"""Scenarios: what is shipped is valid, and what is wrong is told with its place and remedy."""

import random
from pathlib import Path

import pytest

from sensor.errors import MissingInputError, ScenarioError
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.scenario import (
    Fixed,
    Range,
    Scenario,
    Words,
    read_scenario,
    shipped_scenarios,
)

GOOD = """
description = "Small"
[network]
lan_delay_ms = [1, 2]
gateway_services = "dns"
[[hosts]]
name = "box"
stacks = "linux"
services = ["web", "upnp"]
[[hosts]]
name = "sensor"
count = [1, 3]
stacks = ["embedded", "rtos"]
[[benign]]
activity = "dns"
from = "sensor"
every_s = 2
[[attacks]]
task = "syn_dos"
from = "sensor"
to = "box"
rate = [20, 40]
style = ["bare", "linux"]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "home.toml"
    path.write_text(text)
    return str(path)


def test_reads_values_ranges_and_lists(tmp_path: Path) -> None:
    scenario = read_scenario(write(tmp_path, GOOD))
    assert (scenario.name, scenario.description) == ("home", "Small")
    assert scenario.network["lan_delay_ms"] == Range(1, 2, logarithmic=False, whole=False)
    assert scenario.gateway_services == ("dns",)
    box, sensor = scenario.groups
    assert (box.side, box.count) == ("lan", Range(1, 1, logarithmic=False, whole=True))
    assert sensor.stacks == Words(("embedded", "rtos"))
    assert scenario.benign[0].settings["every_s"] == Range(2, 2, logarithmic=True, whole=False)
    assert scenario.attacks[0].settings["style"] == Words(("bare", "linux"))
    assert scenario.attacks[0].settings["pace"] == Words(ATTACKS["syn_dos"].options["pace"].default)


def test_every_shipped_scenario_is_valid_and_described() -> None:
    assert {"mixed", "benign", "sparse", "demo"} <= set(shipped_scenarios())
    for name in shipped_scenarios():
        scenario = read_scenario(name)
        assert scenario.name == name
        assert scenario.description != name
    for name in ("benign", "sparse", "people", "quic_services"):
        assert read_scenario(name).attacks == ()
    for name in ("mixed", "mixed_other", "demo"):
        assert {attack.task for attack in read_scenario(name).attacks} == set(list(ATTACKS)[:3])
    for name in ("assault", "trickle", "left_out"):
        assert {attack.task for attack in read_scenario(name).attacks} == set(ATTACKS)


RENEGOTIATION = "ssl_renegotiation"

RESERVED = {
    "stacks": {"bsd", "lwip"},
    "groups": {"printer"},
    "style": {"mirai", "varied"},
    "tool": {"zmap", "ncrack", "hping3"},
    "protocol": {"wsd", "chargen"},
    "flavour": {"peer"},
    "services": {"wsd", "chargen"},
}
"""What only the scenario left_out has (docs/lab.md); trained on, it would be no test any more."""


def named(scenario: Scenario) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        "stacks": {word for group in scenario.groups for word in group.stacks.words},
        "groups": {group.name for group in scenario.groups},
        "services": {service for group in scenario.groups for service in group.services},
    }
    for rule in (*scenario.benign, *scenario.attacks):
        for key, setting in rule.settings.items():
            if isinstance(setting, Words):
                found.setdefault(key, set()).update(setting.words)
    return found


@pytest.mark.parametrize("name", [name for name in shipped_scenarios() if name != "left_out"])
def test_what_is_left_out_is_in_no_other_scenario(name: str) -> None:
    has, scenario = named(read_scenario(name)), read_scenario(name)
    assert {key: has.get(key, set()) & words for key, words in RESERVED.items()} == {
        key: set() for key in RESERVED
    }
    # Nobody learns what an attack is from the services.
    for key in ("wan_rate_kbit", "lan_rate_kbit", "loss_burst"):
        assert isinstance(scenario.network[key], Fixed) or name == "quic_services"


@pytest.mark.parametrize("name", shipped_scenarios())
def test_the_openssl_program_renegotiates_in_scenarios_for_tests_only(name: str) -> None:
    tools = [
        rule.settings["tool"] for rule in read_scenario(name).attacks if rule.task == RENEGOTIATION
    ]
    by_it = any("s_client" in (tool.words if isinstance(tool, Words) else ()) for tool in tools)
    assert by_it == (name in {"mixed_other", "left_out"})


def test_the_scenario_that_is_left_out_has_all_of_it() -> None:
    has = named(read_scenario("left_out"))
    assert all(words <= has[key] for key, words in RESERVED.items())
    assert isinstance(read_scenario("left_out").network["loss_burst"], Range)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "every_s = 2",
            "evry_s = 2",
            ["[[benign]] number 1", "'evry_s'", "did you mean 'every_s'"],
        ),
        ("[network]", "[netwrk]", ["'netwrk'", "did you mean 'network'"]),
        ("lan_delay_ms = [1, 2]", "lan_delay = 1", ["[network]", "did you mean 'lan_delay_ms'"]),
        ("lan_delay_ms = [1, 2]", "lan_delay_ms = [2, 1]", ["lan_delay_ms", "from 0 to 500"]),
        ("count = [1, 3]", "count = 1.5", ["[[hosts]] number 2", "count", "whole number"]),
        ("count = [1, 3]", "count = true", ["count", "whole number"]),
        ("count = [1, 3]", "count = 60", ["more than 60 hosts"]),
        ('"linux"]', '"linus"]', ["style", "'linus'", "did you mean 'linux'"]),
        ('stacks = "linux"', 'stack = "linux"', ["stacks is missing", "'stack'"]),
        ('stacks = "linux"', "stacks = []", ["stacks must be a name or a list"]),
        ('name = "sensor"', 'name = "box"', ["number 2", "'box' is taken"]),
        ('name = "sensor"', 'name = "../../etc"', ["number 2", "name = '../../etc' must be"]),
        ('name = "sensor"', 'name = "a\\nb"', ["lower-case letters, digits and '-'"]),
        ('name = "sensor"', f'name = "{"a" * 31}"', ["must be up to 30"]),
        ('name = "sensor"', 'name = "gateway"', ["'gateway' is taken"]),
        ('activity = "dns"', 'activity = "mqtt"', ["add the service 'mqtt'"]),
        ('activity = "dns"', "activity = 3", ["activity must be a text"]),
        ('task = "syn_dos"', 'task = "syn_flood"', ["'syn_flood'", "syn_dos"]),
        ('to = "box"', 'to = "bax"', ["to = 'bax' is unknown", "did you mean 'box'"]),
        ("rate = [20, 40]", "rate = 100000", ["rate = 100000", "from 0.2 to 5000"]),
        ('services = ["web", "upnp"]', "services = 7", ["services must be a name or a list"]),
        (
            'services = ["web", "upnp"]',
            'services = ["ntp", "monlist"]',
            ["number 1", "both want port 123"],
        ),
        (
            'services = ["web", "upnp"]',
            'services = ["mqtt", "guarded_mqtt"]',
            ["number 1", "both want port 1883", "different groups"],
        ),
        ("[[benign]]", "[benign]", ["[[benign]]", "an array of tables"]),
        ("[network]", "network = 1\n[x]", ["[network]: must be a table"]),
        ('description = "Small"', "description = ", ["not TOML"]),
    ],
)
def test_mistakes_are_told_with_file_key_and_remedy(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ScenarioError) as error:
        read_scenario(path)
    assert str(error.value).startswith(path)
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_a_reflection_needs_devices_and_a_lab_needs_hosts(tmp_path: Path) -> None:
    text = GOOD.replace('"syn_dos"', '"ssdp_flood"').replace('style = ["bare", "linux"]', "")
    assert read_scenario(write(tmp_path, text)).attacks[0].task == "ssdp_flood"
    with pytest.raises(ScenarioError, match="add the service 'upnp'"):
        read_scenario(write(tmp_path, text.replace(', "upnp"', "")))
    with pytest.raises(ScenarioError, match="has no hosts"):
        read_scenario(write(tmp_path, 'description = "Nobody"'))


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"mixd.*one of .*mixed"):
        read_scenario("mixd")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        read_scenario(str(tmp_path / "x.toml"))


def test_draws_keep_to_the_range() -> None:
    rng = random.Random(1)
    low = high = 0
    for _ in range(2000):
        number = Range(10, 1000, logarithmic=True, whole=False).draw(rng)
        assert 10 <= number <= 1000
        low, high = low + (number < 100), high + (number > 100)
    assert abs(low - high) < 200  # 100 is the middle of a logarithmic scale
    assert {Range(1, 3, logarithmic=False, whole=True).draw(rng) for _ in range(99)} == {1, 2, 3}
    assert {Words(("a", "b")).draw(rng) for _ in range(99)} == {"a", "b"}
