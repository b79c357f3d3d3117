"""Debian with a systemd of its own, booted in a container that leaves nothing behind.

The root is made once by debootstrap and only read from then on: what a container writes lies in
memory and is gone with it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 120
PACKAGES = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "iproute2", "procps")
"""Beside Debian's minimum; a person's installation has all of them."""


def debian(
    folder: Path,
    packages: Sequence[str] = (),
    suite: str = "bookworm",
    architecture: str | None = None,
) -> Path:
    """A root in a folder, made if it is not there yet.

    Args:
        folder: where roots are kept.
        packages: installed beside `PACKAGES`.
        suite: of Debian.
        architecture: as Debian calls it; None is that of this machine. Others are not booted, and
            get nothing but `packages`.
    """
    root = folder / "-".join([suite, *([architecture] if architecture else []), *packages])
    complete = root / "etc/multa-proof-root"
    if not complete.exists():
        shutil.rmtree(root, ignore_errors=True)
        included = ",".join([*([] if architecture else PACKAGES), *packages])
        mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
        options = ["--variant=minbase", f"--include={included}"]
        options += [f"--arch={architecture}"] if architecture else []
        _done("debootstrap", *options, suite, root, mirror)
        # Neither asks the network for anything, nor a person.
        for unit in ("systemd-networkd", "systemd-resolved", "systemd-timesyncd"):
            (root / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")
        (root / "etc/hostname").write_text("gateway\n")
        complete.write_text("")
    return root


class Container:
    """One that runs.

    Attributes:
        leader: the process id of its systemd, as seen from outside.
    """

    def __init__(self, root: Path, namespace: str | None, binds: Sequence[str] = ()) -> None:
        """Boots it.

        Args:
            root: see `debian`.
            namespace: name of the network namespace that it lives in; None is the machine's.
            binds: what it sees of the machine beside, read-only: ``PATH`` or ``FROM:TO``.
        """
        name = f"multa-{os.getpid()}"
        command = ["systemd-nspawn", "--quiet", "-D", str(root), "-b", "-M", name]
        command += ["--volatile=overlay", "--register=no", "--keep-unit", "--console=pipe"]
        command += [f"--bind-ro={each}" for each in binds]
        if namespace:
            command += [f"--network-namespace-path=/run/netns/{namespace}", "--resolv-conf=off"]
            command += ["--capability=CAP_NET_ADMIN"]
        else:
            command += ["--resolv-conf=copy-host"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            self.leader = self._await_leader()
            self.until("systemctl is-system-running | grep -qE 'running|degraded'")
        except BaseException:
            self.close()
            raise

    def run(
        self, script: str, *, check: bool = True, timeout_s: float = 900
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a shell script in it, as root, with a clean environment."""
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        clean += ["HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        clean += [f"{key}={value}" for key, value in os.environ.items() if key.startswith("PIP_")]
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", *clean, "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if check and done.returncode:
            raise RuntimeError(f"{script}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def tell(self, script: str) -> str:
        """What a script writes, less white space at the ends."""
        return self.run(script).stdout.strip()

    def holds(self, script: str) -> bool:
        """Whether a script ends well."""
        return self.run(script, check=False).returncode == 0

    def until(self, script: str, patience_s: float = PATIENCE_S) -> float:
        """Waits until a script ends well; returns how many seconds that took."""
        began = time.monotonic()
        while not self.holds(script):
            if time.monotonic() - began > patience_s:
                raise TimeoutError(
                    f"{script}\n{self.run('journalctl -n 12 -o cat', check=False).stdout}"
                )
            time.sleep(0.05)
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.communicate()

    def _await_leader(self) -> int:
        """The child of systemd-nspawn is its systemd, once that has come up."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            if self._process.poll() is not None:
                assert self._process.stderr
                raise RuntimeError(self._process.stderr.read().decode())
            for child in children.read_text().split():
                command = Path(f"/proc/{child}/comm").read_text().strip()
                if command == "systemd" and self._answers(int(child)):
                    return int(child)
            time.sleep(0.05)
        raise TimeoutError("the container does not boot")

    @staticmethod
    def _answers(leader: int) -> bool:
        ask = ["nsenter", "-t", str(leader), "-a", "systemctl", "is-system-running"]
        told = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        return bool(told.strip()) and "offline" not in told


def _done(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
