"""A person with a Debian that has nothing yet, and the README."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from os import environ
from pathlib import Path

from command import flood
from container import Container, debian
from gateway import ALERTS

ROOTS = Path("out/booted")
PORT = "multa-test0"
"""The machine's own network has this cable for as long as the proof takes."""

README_NEEDS = "git make python3 python3-venv"
"""What its first line asks for, as Debian calls it."""


def from_nothing_to_an_alert(source: Path) -> str:
    """A new user: Debian's minimum, then the README's own lines, to the first alert."""
    commands = _service_lines(source)
    binds = [f"{source}:/srv/multa", *environ.get("CONTAINER_BINDS", "").split()]
    took: dict[str, float] = {}
    with _cable(), contextlib.closing(Container(debian(ROOTS), None, binds)) as gateway:

        def step(name: str, script: str) -> None:
            began = time.monotonic()
            gateway.run(script)
            took[name] = took.get(name, 0) + time.monotonic() - began

        step("apt", f"apt-get -qq update && apt-get -qq install --yes {README_NEEDS}")
        step("clone", "git config --global --add safe.directory '*'; cd; git clone -q /srv/multa")
        for line in commands:
            if line.startswith("sudoedit"):
                step(
                    "edit",
                    f"sed -i 's/^interfaces = .*/interfaces = [\"{PORT}\"]/' {line.split()[1]}",
                )
            else:
                name = "install" if "make install" in line else "start"
                step(name, f"cd ~/multa && {line.removeprefix('sudo ')}")
        began = time.monotonic()
        _send(PORT + "p")
        gateway.until(f"grep -q syn_dos {ALERTS}", 60)
        took["alert"] = time.monotonic() - began
        gateway.run("cd ~/multa && make uninstall")
        left = set(gateway.tell("find / -xdev -name '*multa*' -not -path '/root/*'").split())
        assert gateway.holds(f"test -s {ALERTS} && test -s /etc/multa/sensor.toml")
    kept = {"/etc/multa", "/var/log/multa", "/var/lib/multa", "/etc/multa-proof-root"}
    assert left <= kept | {"/srv/multa"}, left - kept
    minutes = sum(took.values()) / 60
    assert minutes < 10, took
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    return f"{minutes:.1f} minutes: {parts}; `make uninstall` left configuration and alerts"


PROOFS = (from_nothing_to_an_alert,)


def _service_lines(source: Path) -> list[str]:
    """The commands of the README's section on the service."""
    section = (source / "README.md").read_text().split("### As a service", 1)[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    return [re.sub(r"\s+#.*", "", line) for line in block[1].strip().splitlines()]


@contextlib.contextmanager
def _cable() -> Iterator[None]:
    """A cable within the machine's own network, without addresses."""
    _ip("link", "add", PORT, "type", "veth", "peer", "name", PORT + "p")
    try:
        for port in (PORT, PORT + "p"):
            Path(f"/proc/sys/net/ipv6/conf/{port}/disable_ipv6").write_text("1")
            _ip("link", "set", port, "up")
        yield
    finally:
        _ip("link", "delete", PORT)


def _send(port: str) -> None:
    import socket

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((port, 0))
        for frame in flood(2000)[0]:
            sender.send(frame)
            time.sleep(0.0005)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
