"""Proofs of the form in which what reads packets has no capability at all."""

import subprocess

from gateway import ALERTS, Gateway
from service import FAMILIES

TAP, ANALYSER = "multa-tap", "multa-analyser"


def takes_over(gateway: Gateway) -> str:
    """Tap and analyser take over from the single unit, with the same configuration."""
    gateway.container.run("systemctl disable --now --quiet multa-sensor")
    gateway.container.run(f"systemctl enable --now --quiet {TAP} {ANALYSER}")
    alerts = gateway.flood_until_alert("10.0.1.1")
    told = gateway.container.run("multa-sensor status", check=False)
    assert told.returncode == 0, told.stdout
    memory = [int(gateway.status_of(unit, "VmRSS").split()[0]) / 1024 for unit in (TAP, ANALYSER)]
    return (
        f"{len(alerts)} lines about a flood; resident {memory[0]:.0f} MiB (tap) and "
        f"{memory[1]:.0f} MiB"
    )


def has_no_capability(gateway: Gateway) -> str:
    """The analyser has no capability, and no interface."""
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {gateway.status_of(ANALYSER, name) for name in names} == {f"{0:016x}"}
    assert gateway.status_of(TAP, "CapEff") == f"{1 << 13:016x}"
    pid = gateway.main_pid(ANALYSER)
    seen = gateway.container.tell(f"nsenter -t {pid} -n ip -o link | cut -d: -f2").split()
    assert seen == ["lo"], seen
    users = gateway.container.tell(f"stat -c %U /proc/{pid} /proc/{gateway.main_pid(TAP)}").split()
    assert users == ["multa", "multa-tap"]
    return "all five sets empty; `lo` alone in its network; the tap has CAP_NET_RAW and other user"


def opens_no_socket(gateway: Gateway) -> str:
    """The analyser can open neither packet sockets nor IP sockets."""
    seen = gateway.probe(ANALYSER, FAMILIES).split()
    assert seen == ["AF_UNIX"], seen
    return "possible: AF_UNIX alone"


def needs_the_tap_no_more(gateway: Gateway) -> str:
    """An analyser that runs does not need the tap, not even for an interface that is made again."""
    pid = gateway.main_pid(ANALYSER)
    gateway.container.run(f"systemctl stop {TAP}")
    gateway.flood_until_alert("10.0.1.2")
    cable = gateway.cable
    link = ["ip", "-n", cable.far, "link"]
    subprocess.run([*link, "delete", cable.port], check=True)
    gateway.container.until(f"journalctl -u {ANALYSER} -o cat | grep -q 'is gone: blind'", 30)
    peer = ["type", "veth", "peer", "name", cable.port, "netns", cable.near]
    subprocess.run([*link, "add", cable.port, *peer], check=True)
    for namespace in (cable.near, cable.far):
        subprocess.run(["ip", "-n", namespace, "link", "set", cable.port, "up"], check=True)
    took = gateway.container.until(f"journalctl -u {ANALYSER} -o cat | grep -q 'is back'", 30)
    gateway.flood_until_alert("10.0.1.3")
    assert gateway.main_pid(ANALYSER) == pid
    return f"floods were told after the tap's end and, {took:.1f} s after it was back, again"


def waits_for_the_tap(gateway: Gateway) -> str:
    """An analyser that starts without a tap is started again until there is one."""
    gateway.container.run(f"systemctl mask --runtime --quiet {TAP}; systemctl stop {ANALYSER}")
    gateway.container.run(f"systemctl start {ANALYSER}", check=False)
    gateway.container.until(f"test $(systemctl show --value -p NRestarts {ANALYSER}) -ge 2", 30)
    said = gateway.container.tell(f"journalctl -u {ANALYSER} | grep -c status=69")
    gateway.container.run(f"systemctl unmask --runtime --quiet {TAP}; systemctl start {TAP}")
    took = gateway.container.until(f"systemctl is-active -q {ANALYSER}", 30)
    gateway.flood_until_alert("10.0.1.4")
    return f"tried {said} times, which ended with 69; ready {took:.1f} s after the tap"


def serves_nobody_else(gateway: Gateway) -> str:
    """Members of the group may read alerts, but get no packet socket from the tap."""
    gateway.container.run(
        "id reader >/dev/null 2>&1 || useradd --no-create-home --groups multa reader"
    )
    assert gateway.container.holds(f"runuser -u reader -- test -r {ALERTS}")
    command = "/opt/multa/bin/multa-sensor run -i port0 --tap /run/multa-tap/tap.sock --duration 1"
    done = gateway.container.run(f"runuser -u reader -- {command}", check=False)
    assert done.returncode == 77, done
    stranger = gateway.container.run(f"runuser -u nobody -- {command}", check=False)
    assert stranger.returncode == 77, stranger
    return f"`{done.stderr.strip()}`"


def survives_a_killed_tap(gateway: Gateway) -> str:
    """A tap that is killed is back, and so is its socket."""
    gateway.container.run(f"systemctl kill --signal=KILL {TAP}")
    gateway.container.until(f"test $(systemctl show --value -p NRestarts {TAP}) -ge 1", 30)
    gateway.container.until(f"systemctl is-active -q {TAP}", 30)
    gateway.container.run(f"systemctl restart {ANALYSER}")
    gateway.flood_until_alert("10.0.1.5")
    gateway.container.run(f"systemctl disable --now --quiet {TAP} {ANALYSER}")
    return "the analyser, started anew, told the next flood"


PROOFS = (
    takes_over,
    has_no_capability,
    opens_no_socket,
    needs_the_tap_no_more,
    waits_for_the_tap,
    serves_nobody_else,
    survives_a_killed_tap,
)
