"""The lab's catalogue is consistent with itself and with its documentation."""

import re
from pathlib import Path

import pytest

from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.catalogue import ACTIVITIES, SERVICES, STACKS, TCP_PORTS
from trainer.lab.network import PROGRAMS
from trainer.lab.options import Option

ROOT = Path(__file__).parents[2]
OPTIONS = {
    f"{name}.{key}": option
    for kinds in (ACTIVITIES, ATTACKS)
    for name, kind in kinds.items()
    for key, option in kind.options.items()
}


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_defaults_keep_to_their_own_bounds(option: Option) -> None:
    if option.kind == "word":
        assert set(option.default) <= set(option.words)
    else:
        low, high = option.default
        assert option.low <= low <= high <= option.high


def test_services_are_known_wherever_they_are_named() -> None:
    named = {kind.service for kind in ACTIVITIES.values()} - {None}
    named |= {service for kind in ATTACKS.values() for service in kind.services}
    named |= {service for _, service in PROGRAMS.values()} - {None}
    tools = {
        word
        for kind in ATTACKS.values()
        if (tool := kind.options.get("tool"))
        for word in tool.words
    }
    assert named <= set(SERVICES) | tools
    assert all(ports == SERVICES[name][0] for name, ports in TCP_PORTS.items())


def test_the_documentation_lists_everything_that_a_scenario_may_name() -> None:
    words = set(re.findall(r"`(\w+)`", (ROOT / "docs/lab.md").read_text()))
    needed = {*ACTIVITIES, *ATTACKS, *SERVICES, *STACKS}
    needed |= {name.split(".")[1] for name in OPTIONS}
    needed |= {word for option in OPTIONS.values() for word in option.words if word[0].isalpha()}
    assert needed - words == set()
