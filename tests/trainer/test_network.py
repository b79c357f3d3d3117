"""What the lab asks of the machine, and how it knows that it is in its own namespaces."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.errors import HostError, PermissionDeniedError
from trainer.lab import network
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario

ROOT = Path(__file__).parents[2]


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "search_path", lambda: "/nonexistent")
    everything = network.missing_programs()
    assert everything["chronyd"] == "chrony"
    assert everything["dnsmasq"] == "dnsmasq-base"
    assert "mosquitto" not in network.missing_programs({"web", "dns"})
    assert network.missing_programs({"hydra"})["hydra"] == "hydra"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HostError) as error:
        network.require_host({"ntp"})
    assert str(error.value).endswith("apt-get install chrony iproute2 openssl tcpdump util-linux")


def test_quic_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(network, "missing_programs", lambda _: {})
    monkeypatch.setattr(network, "is_installed", lambda: False)
    network.require_host({"web"})
    with pytest.raises(HostError, match="pip install aioquic"):
        network.require_host(service for service in ("web", "quic"))


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PermissionDeniedError, match="run it with sudo"):
        network.require_host(())


def test_packages_of_the_tests_contain_those_of_the_lab() -> None:
    lines = (ROOT / "tests/debian-packages.txt").read_text().splitlines()
    essential = {"util-linux"}
    assert {package for package, _ in network.PROGRAMS.values()} <= {*lines, *essential}


def test_this_process_is_outside_the_lab() -> None:
    with pytest.raises(HostError, match="multa-trainer lab record"):
        network.require_lab_namespace()


def test_interfaces_have_names_that_the_kernel_takes() -> None:
    plan = make_plan(read_scenario("mixed"), 1, 60)
    cables = network.cables(plan)
    names = [name for cable in cables.values() for name in (cable.near, cable.far)]
    assert len(set(names)) == len(names) == 2 * len(plan.hosts)
    # include/uapi/linux/if.h: IFNAMSIZ is 16 with the final zero.
    assert all(name.startswith("lab") and len(name) < 16 for name in [*names, network.BRIDGE])


@pytest.mark.network
@pytest.mark.parametrize(("interface", "inside"), [("lab7", True), ("eth0", False), (None, False)])
def test_a_namespace_is_the_lab_s_if_all_its_interfaces_are(
    interface: str | None, inside: object
) -> None:
    program = f"""
import subprocess
from trainer.lab.links import open_tap
from trainer.lab.network import enter_new_network, require_lab_namespace
enter_new_network()
keep = open_tap("{interface}") if {interface is not None} else None
require_lab_namespace()
print("inside")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout == "inside\n") is inside
    assert ("HostError" in done.stderr) is not inside


@pytest.mark.network
def test_what_is_contained_dies_with_its_parent() -> None:
    """The parent is killed, so that it can tidy nothing up."""
    program = """
import subprocess, sys
from trainer.lab.network import contained
subprocess.run(contained(["sh", "-c", "echo started; sleep 1000"]), stdout=sys.stdout)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    assert parent.stdout.readline() == "started\n"
    parent.kill()
    # The pipe ends when the last process that holds it has gone: sleep, unshare, the parent.
    assert parent.stdout.read() == ""
    parent.wait()
    parent.stdout.close()
