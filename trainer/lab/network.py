"""Namespaces, interfaces and addresses of the lab, and the proof that a process is inside it.

Everything lives in namespaces that belong to the lab's processes and have no name: a PID namespace
whose first process is `trainer.lab.stage`, and a network namespace for every host. When the
recording's own process ends, in whatever way, the kernel kills the first process, with it all
others of the PID namespace, and with them the network namespaces and interfaces. So nothing is
left after Ctrl-C or a crash, and two recordings at once don't meet.

LAN hosts ─cable─ bridge in the gateway ─cable─ ISP ─cable─ WAN hosts. The ISP swallows what goes to
addresses that it does not know, the answers to spoofed sources among them.
"""

import array
import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from sensor.errors import HostError, PermissionDeniedError
from trainer.lab.links import Cable
from trainer.lab.plan import Host, Plan
from trainer.lab.quic import is_installed

BRIDGE = "lab-bridge"
ISP_MAC = "02:00:00:00:00:01"
"""All of the ISP's interfaces have it: a generator on a WAN host needs to know it."""

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_PREFIX = "lab"
_SIOCETHTOOL = 0x8946
_OFFLOAD_COMMANDS = (0x17, 0x1F, 0x24, 0x2C)
"""ETHTOOL_STXCSUM, STSO, SGSO and SGRO of include/uapi/linux/ethtool.h."""

PROGRAMS: dict[str, tuple[str, str | None]] = {
    "ip": ("iproute2", None),
    "unshare": ("util-linux", None),
    "setpriv": ("util-linux", None),
    "tcpdump": ("tcpdump", None),
    "openssl": ("openssl", None),
    "mosquitto": ("mosquitto", "mqtt"),
    "dnsmasq": ("dnsmasq-base", "dns"),
    "chronyd": ("chrony", "ntp"),
    "coap-server-notls": ("libcoap3-bin", "coap"),
    "stunnel4": ("stunnel4", "stunnel"),
    "mosquitto_passwd": ("mosquitto", "guarded_mqtt"),
    "sshd": ("openssh-server", "ssh"),
    "ssh-keygen": ("openssh-client", "ssh"),
    "ssh": ("openssh-client", "ssh"),
    "hping3": ("hping3", "hping3"),
    "nmap": ("nmap", "nmap"),
    "hydra": ("hydra", "hydra"),
    "ncrack": ("ncrack", "ncrack"),
    "slowhttptest": ("slowhttptest", "slowhttptest"),
}
"""Programs that the lab runs: their Debian package, and the service or tool of an attack that needs
them (none: all do)."""


def missing_programs(services: Iterable[str] | None = None) -> dict[str, str]:
    """Programs that this machine lacks, with the Debian package of each.

    Args:
        services: those of a scenario, and the tools of its attacks; without them everything is
            looked for.
    """
    wanted = None if services is None else set(services)
    return {
        program: package
        for program, (package, service) in PROGRAMS.items()
        if (service is None or wanted is None or service in wanted)
        and not shutil.which(program, path=search_path())
    }


def search_path() -> str:
    """PATH with the folders of daemons, which a user's own may lack."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def require_host(services: Iterable[str]) -> None:
    """Checks that this machine can play a scenario.

    Raises:
        PermissionDeniedError: the user is not root.
        HostError: a program or TAP devices are missing; the remedy is named.
    """
    if os.geteuid() != 0:
        raise PermissionDeniedError(
            "lab record makes network namespaces, which takes root; run it with sudo"
        )
    services = set(services)
    if missing := missing_programs(services):
        packages = " ".join(sorted(set(missing.values())))
        raise HostError(
            f"lab record needs {', '.join(missing)}, which this machine lacks; "
            f"install them with: apt-get install {packages}"
        )
    if "quic" in services and not is_installed():
        raise HostError(
            "lab record needs aioquic for a scenario with QUIC; install it with: "
            "pip install aioquic"
        )
    if not Path("/dev/net/tun").exists():
        raise HostError("lab record needs TAP devices; load them with: modprobe tun")


def contained(command: list[str]) -> list[str]:
    """A command that runs as the first process of new namespaces and dies with its parent."""
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc", "--"),
        *command,
    ]


def enter_new_network() -> None:
    """Moves the calling process into a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise HostError(f"can't make a network namespace: {os.strerror(ctypes.get_errno())}")


def require_lab_namespace() -> None:
    """Refuses to go on outside the lab; every traffic generator calls it before it sends.

    A namespace of the lab has interfaces of the lab only, so that nothing can leave it.

    Raises:
        HostError: there is another interface.
    """
    names = {name for _, name in socket.if_nameindex()} - {"lo"}
    if not names or any(not name.startswith(_PREFIX) for name in names):
        raise HostError(
            "this traffic generator only runs inside the lab's own network namespaces; "
            "start it with: multa-trainer lab record"
        )


def cables(plan: Plan) -> dict[str, Cable]:
    """The cable of every host by its name; the gateway's leads to the ISP.

    The host has the end ``far``; the gateway's bridge or the ISP has ``near``.
    """
    return {
        host.name: Cable(
            f"labn{i}",
            f"labf{i}",
            host.delay_ms,
            host.jitter_ms,
            host.loss,
            host.rate_kbit,
            host.loss_burst,
        )
        for i, host in enumerate(plan.hosts)
    }


def move(interface: str, process: int) -> None:
    """Moves an interface into the network namespace of a process."""
    _ip([f"link set dev {interface} netns {process}"])


def configure_gateway(plan: Plan) -> None:
    """Bridge, uplink and routes, in the gateway's namespace."""
    _set("net/ipv4/ip_forward", 1)
    _no_reverse_path_filter()
    host, links = plan.gateway, cables(plan)
    lines = [
        "link set lo up",
        f"link add {BRIDGE} address {host.mac} type bridge mcast_snooping 0 forward_delay 0",
        f"addr add {host.address}/{_length(plan)} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    for lan_host in plan.hosts:
        if lan_host.side == "lan":
            near = links[lan_host.name].near
            _quiet_ipv6(near)
            lines += [f"link set {near} master {BRIDGE}", f"link set {near} up"]
    uplink = links[host.name].far
    lines += [
        f"addr add {plan.uplink}/32 dev {uplink}",
        f"link set {uplink} up",
        f"route add {plan.isp} dev {uplink} scope link",
        f"route add default via {plan.isp} dev {uplink} onlink",
    ]
    if plan.ipv6:
        _set("net/ipv6/conf/all/forwarding", 1)
        lines += [
            f"addr add {plan.address6(host)}/64 dev {BRIDGE} nodad",
            # The ISP has written this neighbour down.
            f"link set {uplink} address {host.mac}",
            f"route add {_isp6(plan)} dev {uplink}",
            f"neigh add {_isp6(plan)} lladdr {ISP_MAC} dev {uplink}",
            f"route add default via {_isp6(plan)} dev {uplink}",
        ]
    _ip(lines)
    _offloads_off(BRIDGE)


def configure_isp(plan: Plan) -> None:
    """A router that knows the lab's addresses and swallows everything else."""
    _set("net/ipv4/ip_forward", 1)
    _no_reverse_path_filter()
    links = cables(plan)
    lines = ["link set lo up", f"addr add {plan.isp}/32 dev lo", "route add blackhole default"]
    for host in plan.hosts:
        if host.side == "lan":
            continue
        near = links[host.name].near
        address = plan.uplink if host.side == "gateway" else host.address
        lines += [
            f"link set {near} address {ISP_MAC}",
            f"link set {near} up",
            f"route add {address} dev {near} scope link",
        ]
    lines.append(f"route add {plan.lan} via {plan.uplink} dev {links['gateway'].near} onlink")
    if plan.ipv6:
        _set("net/ipv6/conf/all/forwarding", 1)
        lines += [f"addr add {_isp6(plan)}/128 dev lo nodad", *_routes6(plan)]
    _ip(lines)


def _isp6(plan: Plan) -> str:
    return f"{plan.prefix6}:ffff::1"


def _routes6(plan: Plan) -> list[str]:
    """The ISP's: neighbours are written down, as nobody asks for addresses behind a route."""
    lines = []
    for host in plan.hosts:
        if host.side == "lan":
            continue
        near, address = cables(plan)[host.name].near, plan.address6(host)
        lines += [
            f"route add {address} dev {near}",
            f"neigh add {address} lladdr {host.mac} dev {near}",
        ]
    gateway = plan.gateway
    uplink = cables(plan)[gateway.name].near
    return [
        *lines,
        f"route add {plan.prefix6}:1::/64 via {plan.address6(gateway)} dev {uplink}",
    ]


def configure_host(plan: Plan, host: Host) -> None:
    """Address, route and stack of a LAN or WAN host, in its own namespace."""
    interface = cables(plan)[host.name].far
    stack = host.stack
    _set("net/ipv4/ip_default_ttl", host.ttl)
    _set("net/ipv4/tcp_timestamps", int(stack.timestamps))
    _set("net/ipv4/tcp_sack", int(stack.sack))
    _set("net/ipv4/tcp_window_scaling", int(stack.window_scaling))
    _set("net/ipv4/tcp_rmem", f"4096 {stack.receive_bytes} {max(stack.receive_bytes, 1 << 20)}")
    _set("net/ipv4/tcp_syncookies", int(stack.syncookies))
    # 2 repeats end a SYN-ACK that nobody acknowledges within 7 s instead of 63.
    _set("net/ipv4/tcp_synack_retries", 2)
    _set("net/ipv4/ping_group_range", "0 0")
    _no_reverse_path_filter()
    lines = ["link set lo up", f"link set {interface} address {host.mac} mtu {stack.mtu} up"]
    if host.side == "lan":
        lines += [
            f"addr add {host.address}/{_length(plan)} dev {interface}",
            f"route add default via {plan.gateway.address}",
        ]
    else:
        lines += [
            f"addr add {host.address}/32 dev {interface}",
            f"route add {plan.isp} dev {interface} scope link",
            f"route add default via {plan.isp} dev {interface} onlink",
        ]
    if plan.ipv6 and host.ipv6:
        lines += _addresses6(plan, host, interface)
    _ip(lines)


def _addresses6(plan: Plan, host: Host, interface: str) -> list[str]:
    _set(f"net/ipv6/conf/{interface}/hop_limit", host.ttl)
    if host.side == "lan":
        return [
            f"addr add {plan.address6(host)}/64 dev {interface} nodad",
            f"route add default via {plan.address6(plan.gateway)} dev {interface}",
        ]
    return [
        f"addr add {plan.address6(host)}/128 dev {interface} nodad",
        f"route add {_isp6(plan)} dev {interface}",
        f"neigh add {_isp6(plan)} lladdr {ISP_MAC} dev {interface}",
        f"route add default via {_isp6(plan)} dev {interface}",
    ]


def set_blackhole(address: str, *, on: bool) -> None:
    """Makes the caller's host mute towards an address (it answers nothing), or talk again."""
    _ip([f"route {'add' if on else 'del'} blackhole {address}/32"])


def _length(plan: Plan) -> int:
    return int(plan.lan.partition("/")[2])


def _ip(lines: list[str]) -> None:
    done = subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HostError(f"ip {lines[0]} …: {done.stderr.strip()}")


def _set(name: str, value: int | str) -> None:
    """Sets a sysctl of the caller's network namespace."""
    Path("/proc/sys", name).write_text(f"{value}\n", encoding="ascii")


def _no_reverse_path_filter() -> None:
    for name in ("all", "default"):
        _set(f"net/ipv4/conf/{name}/rp_filter", 0)
    for path in Path("/proc/sys/net/ipv4/conf").glob(f"{_PREFIX}*/rp_filter"):
        path.write_text("0\n", encoding="ascii")


def _quiet_ipv6(interface: str) -> None:
    """A bridge's port has no IPv6 address of its own; a kernel without IPv6 needs nothing."""
    with contextlib.suppress(FileNotFoundError):
        _set(f"net/ipv6/conf/{interface}/disable_ipv6", 1)


def _offloads_off(interface: str) -> None:
    """What `ethtool -K IFACE tx off tso off gso off gro off` does: frames look as on a wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOAD_COMMANDS:
            value = array.array("B", struct.pack("=II", command, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):  # an offload that the device does not have
                fcntl.ioctl(control, _SIOCETHTOOL, request.ljust(40, b"\0"))
