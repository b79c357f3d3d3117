"""Proofs of the single unit: installed, started, reloaded, hurt in every way, removed."""

import re
import time

from gateway import ALERTS, CONFIGURATION, Gateway

UNIT = "multa-sensor"

FAMILIES = """
import errno, socket
for name in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_UNIX"):
    for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"):
        try:
            socket.socket(getattr(socket, name), getattr(socket, kind)).close()
        except OSError as error:
            refused = error.errno in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES)
            if not refused:
                continue
        else:
            print(name)
            break
"""
"""Says which sockets can be opened at all."""

WRITABLE = """
import os
for top, folders, _ in os.walk("/"):
    folders[:] = [each for each in folders if not (top == "/" and each in ("proc", "dev"))]
    if os.statvfs(top).f_flag & os.ST_RDONLY:
        continue
    try:
        open(os.path.join(top, ".probe"), "w").close()
    except OSError:
        continue
    os.unlink(os.path.join(top, ".probe"))
    print(top)
"""
"""Says in which folders a file can be made."""


def installs(gateway: Gateway) -> str:
    """The package installs; nothing is started or enabled by it."""
    run = gateway.container.run
    began = time.monotonic()
    run("dpkg -i /srv/multa.deb")
    took = time.monotonic() - began
    for unit in (UNIT, "multa-tap", "multa-analyser", "multa-forward"):
        assert run(f"systemctl is-enabled {unit}", check=False).stdout == "disabled\n"
        assert run(f"systemctl is-active {unit}", check=False).stdout == "inactive\n"
    modes = gateway.container.tell("stat -c '%a %U:%G %n' /etc/multa /var/log/multa /var/lib/multa")
    assert modes.splitlines() == [
        "750 root:multa /etc/multa",
        "750 multa:multa /var/log/multa",
        "750 multa:multa /var/lib/multa",
    ]
    return f"in {took:.0f} s; four units, disabled"


def is_judged_well(gateway: Gateway) -> str:
    """`systemd-analyze verify` has nothing to say of the units where they are installed."""
    units = "multa-sensor multa-tap multa-analyser multa-forward"
    done = gateway.container.run(
        f"for u in {units}; do systemd-analyze verify --man=no $u.service; done"
    )
    assert not done.stdout + done.stderr, done.stdout + done.stderr
    ratings = gateway.container.tell(
        f"for u in {units}; do systemd-analyze security --offline=true --no-pager"
        " /usr/lib/systemd/system/$u.service | tail -1; done"
    )
    found = dict(re.findall(r"for (\S+)\.service: ([0-9.]+)", ratings))
    assert float(found[UNIT]) <= 1.2
    assert float(found["multa-analyser"]) <= 0.3
    return "clean; exposure " + ", ".join(f"{unit} {found[unit]}" for unit in units.split())


def starts(gateway: Gateway) -> str:
    """It is ready once the interface is named."""
    edit = f"sed -i 's/^interfaces = .*/interfaces = [\"{gateway.cable.port}\"]/' {CONFIGURATION}"
    gateway.container.run(edit)
    began = time.monotonic()
    gateway.container.run(f"systemctl enable --now --quiet {UNIT}")
    took = time.monotonic() - began
    assert gateway.show(UNIT, "SubState") == "running"
    megabytes = int(gateway.status_of(UNIT, "VmRSS").split()[0]) / 1024
    return f"READY after {took:.1f} s; {megabytes:.0f} MiB resident"


def has_one_capability(gateway: Gateway) -> str:
    """The process has CAP_NET_RAW and can gain nothing."""
    sets = {
        name: gateway.status_of(UNIT, name) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")
    }
    assert set(sets.values()) == {f"{1 << 13:016x}"}, sets
    assert gateway.status_of(UNIT, "NoNewPrivs") == "1"
    assert gateway.status_of(UNIT, "Seccomp") == "2"
    pid = gateway.main_pid(UNIT)
    assert gateway.container.tell(f"stat -c %U:%G /proc/{pid}") == "multa:multa"
    return f"permitted, effective, bounding and ambient sets {sets['CapEff']}; user multa"


def detects(gateway: Gateway) -> str:
    """A SYN flood is told in a few lines, however long it is."""
    alerts = gateway.flood_until_alert("10.0.0.2", 20_000)
    tasks = sorted({alert["task"] for alert in alerts})
    assert "syn_dos" in tasks
    assert len(alerts) <= 12, len(alerts)
    mode = gateway.container.tell(f"stat -c '%a %U:%G' {ALERTS}")
    assert mode == "640 multa:multa", mode
    return f"20,000 SYNs: {len(alerts)} lines about {', '.join(tasks)}"


def tells_how_it_is(gateway: Gateway) -> str:
    """`multa-sensor status` says that it is well, and metrics lie ready for node_exporter."""
    done = gateway.container.run("multa-sensor status", check=False)
    assert done.returncode == 0, done.stdout
    metrics = "/run/multa/metrics.prom"
    counted = (
        f"awk '/^multa_packets_total/ && $2 >= 20000 {{print; f = 1}} END {{exit !f}}' {metrics}"
    )
    gateway.container.until(counted, 90)
    counted = gateway.container.tell(counted)
    return f"`{done.stdout.splitlines()[0]}`; `{counted}`"


def reloads(gateway: Gateway) -> str:
    """`systemctl reload` opens the log anew, without a new process."""
    pid = gateway.main_pid(UNIT)
    gateway.container.run(f"mv {ALERTS} {ALERTS}.1 && systemctl reload {UNIT}")
    gateway.container.until(f"test -e {ALERTS}", 30)
    assert gateway.main_pid(UNIT) == pid
    alerts = gateway.flood_until_alert("10.0.0.3")
    return f"same process; {len(alerts)} lines of the next flood in the new file"


def refuses_a_wrong_reload(gateway: Gateway) -> str:
    """A reload of a wrong configuration fails, and the sensor goes on as before."""
    pid = gateway.main_pid(UNIT)
    with gateway.configured("[capture]\nworker = 2") as path:
        done = gateway.container.run(f"systemctl reload {UNIT}", check=False)
        assert done.returncode != 0
        said = gateway.container.tell(f"journalctl -u {UNIT} -o cat | grep {path} | tail -1")
        assert "worker" in said
        gateway.container.run(f"systemctl kill --signal=HUP --kill-whom=main {UNIT}")
        assert gateway.flood_until_alert("10.0.0.4")
        assert gateway.main_pid(UNIT) == pid
    return f"`{said}`"


def is_rotated(gateway: Gateway) -> str:
    """logrotate moves the log, and the sensor writes to the new one."""
    gateway.container.run("logrotate --force /etc/logrotate.d/multa")
    alerts = gateway.flood_until_alert("10.0.0.5")
    names = gateway.container.tell("ls /var/log/multa").split()
    assert "alerts.json" in names
    assert len(names) > 1
    return f"{len(alerts)} lines in the new file; {', '.join(names)}"


def is_read_only(gateway: Gateway) -> str:
    """The file system is read-only for it, less its own folders, even where users may write."""
    seen = gateway.probe(UNIT, WRITABLE).split()
    own = ("/run/multa", "/tmp", "/var/lib/multa", "/var/log/multa", "/var/tmp")  # noqa: S108
    outside = [path for path in seen if not path.startswith(own)]
    assert not outside, outside
    tops = sorted({own_path for path in seen for own_path in own if path.startswith(own_path)})
    assert "/var/log/multa" in tops
    return f"a file can be made in {', '.join(tops)} (/tmp and /var/tmp are its own)"


def opens_no_ip_socket(gateway: Gateway) -> str:
    """No IP socket can be opened under the unit."""
    seen = gateway.probe(UNIT, FAMILIES).split()
    assert seen == ["AF_NETLINK", "AF_PACKET", "AF_UNIX"], seen
    return "possible: " + ", ".join(seen)


def survives_being_killed(gateway: Gateway) -> str:
    """After `kill -9` it is back by itself."""
    before = int(gateway.show(UNIT, "NRestarts"))
    gateway.container.run(f"systemctl kill --signal=KILL {UNIT}")
    gateway.container.until(f"test $(systemctl show --value -p NRestarts {UNIT}) -gt {before}", 30)
    took = gateway.container.until(f"systemctl is-active -q {UNIT}", 30)
    gateway.flood_until_alert("10.0.0.6")
    delay = gateway.show(UNIT, "RestartUSec")
    return f"ready {took:.1f} s after its restart, which comes {delay} after the end"


def is_watched(gateway: Gateway) -> str:
    """One that stands still is killed by the watchdog, and started again."""
    before = int(gateway.show(UNIT, "NRestarts"))
    gateway.container.run(f"systemctl kill --signal=STOP {UNIT}")
    restarted = f"test $(systemctl show --value -p NRestarts {UNIT}) -gt {before}"
    took = gateway.container.until(restarted, 120)
    gateway.container.until(f"systemctl is-active -q {UNIT}", 30)
    said = gateway.container.tell(
        f"journalctl -u {UNIT} -o cat | grep -i 'watchdog timeout' | tail -1"
    )
    assert said
    gateway.flood_until_alert("10.0.0.7")
    return f"back {took:.0f} s after SIGSTOP: `{said}`"


def does_not_repeat_a_mistake(gateway: Gateway) -> str:
    """Exit status 78, a wrong configuration, is not tried again."""
    with gateway.configured("[capture]\nworkers = 0"):
        gateway.container.run(f"systemctl restart {UNIT}", check=False)
        time.sleep(5)
        state = [
            gateway.show(UNIT, name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")
        ]
    assert state == ["failed", "78", "0"], state
    return "failed with 78, 0 restarts in 5 s"


def waits_for_an_interface(gateway: Gateway) -> str:
    """An interface that appears late is found."""
    run = gateway.container.run
    with gateway.configured('[capture]\ninterfaces = ["late0"]'):
        run(f"systemctl restart {UNIT}", check=False)
        gateway.container.until(f"test $(systemctl show --value -p NRestarts {UNIT}) -ge 2", 30)
        said = gateway.container.tell(f"journalctl -u {UNIT} | grep -c status=69")
        run("ip link add late0 type veth peer name late1 && ip link set late0 up")
        took = gateway.container.until(f"systemctl is-active -q {UNIT}", 30)
    run("ip link delete late0")
    return f"tried {said} times, which ended with 69; ready {took:.1f} s after it appeared"


def stops(gateway: Gateway) -> str:
    """A stop ends well and soon, and tells the incident that is open."""
    gateway.flood_until_alert("10.0.0.8")
    began = time.monotonic()
    gateway.container.run(f"systemctl stop {UNIT}")
    took = time.monotonic() - began
    assert gateway.show(UNIT, "Result") == "success"
    events = [alert["event"] for alert in gateway.alerts() if alert["address"] == "10.0.0.8"]
    assert "end" in events
    assert took < 5, took
    gateway.container.run(f"systemctl start {UNIT}")
    return f"in {took:.1f} s, with the end of the incident written"


def forwards(gateway: Gateway) -> str:
    """The forwarder, where it is asked for, sends alerts to syslog, and writes nothing else."""
    run = gateway.container.run
    with gateway.configured('[forward]\nsyslog = "unix:/dev/log"'):
        run("systemctl start multa-forward")
        gateway.flood_until_alert("10.0.0.9")
        took = gateway.container.until("journalctl -o cat | grep -q 'MULTA.*10[.]0[.]0[.]9'", 30)
        said = gateway.container.tell("journalctl -o cat | grep 'MULTA.*10[.]0[.]0[.]9' | head -1")
        assert gateway.status_of("multa-forward", "CapEff") == f"{0:016x}"
        seen = gateway.probe("multa-forward", WRITABLE).split()
        run("systemctl stop multa-forward")
    assert not any(path.startswith(("/var/log", "/run", "/etc")) for path in seen), seen
    own = gateway.container.tell("ls /var/lib/multa-forward")
    assert own == "forward.json", own
    return (
        f"`{said[:120].replace('|', ' ')}` … after {took:.1f} s; user multa-forward, no capability"
    )


def is_upgraded(gateway: Gateway) -> str:
    """The package over itself: the service that ran runs anew, a changed configuration stays."""
    gateway.container.run("systemctl enable --now --quiet multa-sensor")
    pid = gateway.main_pid(UNIT)
    before = gateway.container.tell(f"sha256sum {CONFIGURATION}")
    gateway.container.run("dpkg -i /srv/multa.deb </dev/null")
    gateway.container.until(f"systemctl is-active -q {UNIT}", 30)
    assert gateway.main_pid(UNIT) != pid
    assert gateway.container.tell(f"sha256sum {CONFIGURATION}") == before
    return "a new process; sensor.toml as it was"


def is_removed(gateway: Gateway) -> str:
    """Removal ends the service and leaves configuration and logs; a purge leaves nothing."""
    run = gateway.container.run
    run("dpkg -r multa")
    gone = "/opt/multa /usr/bin/multa-sensor /usr/lib/systemd/system/multa-sensor.service"
    assert not run(f"ls -d {gone}", check=False).stdout
    assert "could not be found" in run(f"systemctl status {UNIT}", check=False).stderr
    assert gateway.container.holds(f"test -s {ALERTS} && test -s {CONFIGURATION}")
    run("dpkg -P multa")
    folders = "/etc/multa /var/log/multa /var/lib/multa /run/multa /etc/logrotate.d/multa"
    assert not run(f"ls -d {folders}", check=False).stdout
    left = run("find / -xdev -name '*multa*' -not -path '/srv/*'").stdout
    assert left == "/etc/multa-proof-root\n", left
    return "nothing named multa is left but the users"


PROOFS = (
    installs,
    is_judged_well,
    starts,
    has_one_capability,
    detects,
    tells_how_it_is,
    reloads,
    refuses_a_wrong_reload,
    is_rotated,
    is_read_only,
    opens_no_ip_socket,
    survives_being_killed,
    does_not_repeat_a_mistake,
    waits_for_an_interface,
    stops,
    is_watched,
)
"""In this order: each leaves the sensor running."""

LAST_PROOFS = (is_upgraded, forwards, is_removed)
