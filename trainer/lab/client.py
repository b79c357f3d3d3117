"""What every benign activity stands on: sockets that keep clear of attacks, and rounds.

A flow that fits an attack's claim would be labelled as the attack. So every socket is asked for
here, with its destination, and refused while a claim on it stands.
"""

import ipaddress
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from trainer.lab.plan import Activity, Attack, Claim, Host, Plan
from trainer.lab.service_accounts import Session

BEFORE_S = 1.5
AFTER_S = 4.0
"""A claim stands from before an attack's start until its last echoes have gone."""

Clock = Callable[[], float]
"""Seconds since the recording's start."""


class Paused(Exception):  # noqa: N818 — nothing is wrong
    """An attack claims this destination at the moment."""


def claims_at(plan: Plan, now_s: float) -> list[Claim]:
    """The claims that stand at a time."""

    def stands(attack: Attack) -> bool:
        return attack.start_s - BEFORE_S <= now_s <= attack.start_s + attack.seconds + AFTER_S

    return [claim for attack in plan.attacks if stands(attack) for claim in attack.claims]


class Client:
    """One activity of one host, while it runs.

    Attributes:
        settings: the activity's options as drawn.
        counts: rounds, failures (refused, reset, timed out: ordinary) and pauses for an attack.
        sessions: what it has done of which every connection has a class.
    """

    def __init__(self, plan: Plan, host: Host, activity: Activity, clock: Clock) -> None:
        self.plan = plan
        self.host = host
        self.activity = activity
        self.settings: dict[str, Any] = activity.settings
        self.rng = random.Random(activity.seed)
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self.sessions: list[Session] = []

    def run(self, perform: Callable[["Client"], None]) -> None:
        """Repeats rounds until the recording ends; meant for a thread."""
        time.sleep(max(0.0, self.activity.first_s - self.clock()))
        while self.clock() < self.plan.duration_s:
            self.counts["rounds"] += 1
            try:
                perform(self)
            except Paused:
                self.counts["pauses"] += 1
            except OSError:
                self.counts["failures"] += 1
            self.wait(self.settings["every_s"])

    def wait(self, mean_s: float) -> None:
        """Sleeps for half to one and a half of the mean."""
        time.sleep(mean_s * self.rng.uniform(0.5, 1.5))

    def target(self) -> str:
        """One of the activity's targets."""
        return self.rng.choice(self.activity.targets)

    def address(self, address: str) -> str:
        """The address at which the activity reaches a host: IPv6 if it says so and both have it."""
        host = self.plan.host(address)
        if self.settings.get("ip", "4") == "4" or not host or not (host.ipv6 and self.host.ipv6):
            return address
        return self.plan.address6(host)

    def connect(self, address: str, port: int, timeout_s: float = 5.0) -> socket.socket:
        """A TCP connection.

        Raises:
            Paused: an attack claims it.
            OSError: it was refused or timed out.
        """
        self.check(address, port, "tcp")
        return socket.create_connection((self.address(address), port), timeout_s)

    def datagrams(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        """A UDP socket for datagrams to one destination, which may be a multicast group.

        Raises:
            Paused: an attack claims it.
        """
        self.check(address, port, "udp")
        sends_to = self.address(address)
        family = socket.AF_INET6 if ":" in sends_to else socket.AF_INET
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.settimeout(timeout_s)
        if ipaddress.ip_address(address).is_multicast:
            interface = socket.inet_aton(self.host.address)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
        else:
            sender.connect((sends_to, port))
        return sender

    def check(self, address: str, port: int, proto: str) -> None:
        """Refuses a destination that an attack claims.

        Raises:
            Paused: one does.
        """
        claims = claims_at(self.plan, self.clock())
        if proto == "icmp":
            # All echoes of a pair are one flow, however long before a scan's they were.
            claims = [claim for attack in self.plan.attacks for claim in attack.claims]
        for claim in claims:
            if claim.fits(self.host.address, 0, address, port, proto):
                raise Paused

    def in_parallel(self, count: int, work: Callable[[random.Random], None]) -> None:
        """Runs the work in so many threads, each with randomness of its own."""
        seeds = [self.rng.getrandbits(32) for _ in range(count)]

        def one(seed: int) -> None:
            try:
                work(random.Random(seed))
            except Paused:
                self.counts["pauses"] += 1
            except OSError:
                self.counts["failures"] += 1

        threads = [threading.Thread(target=one, args=(seed,), daemon=True) for seed in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
