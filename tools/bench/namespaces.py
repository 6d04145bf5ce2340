"""Hosts that are network namespaces of this machine, behind a switch with limited rates. Needs root and iproute2.

Each host has a name, an address, a device ``eth0`` and processes of its own that see only these; host names go with
them (``unshare --uts``), so that MPI takes hosts for different machines and sends everything over TCP. The switch, a
bridge, lies in a namespace as well: nothing of the machine's own network is touched, and all is gone with the
namespaces.

    with Hosts(4) as hosts:
        hosts.set_rate(100e6)
        subprocess.run([*hosts.inside(0), "mpirun", "--host", ",".join(hosts.names), ...],
                       env=os.environ | hosts.environment())
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Starts a command on another host, as mpirun would with ssh: AGENT HOST WORD...
AGENT = """#!/bin/sh
host=$1
shift
exec ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec sh -c "$1"' "$host" "$*"
"""
# Bytes of a TCP segment's data, of its Ethernet frame as the rate counts it.
PAYLOAD = 1448 / 1514
# Bytes that TCP gives to a device at once.
SEGMENT = 4096


def missing() -> str | None:
    """Why there can be no such hosts here; None if there can."""
    for program in ("ip", "tc", "unshare", "hostname"):
        if shutil.which(program) is None:
            return f"no {program} on PATH (Debian: apt-get install iproute2 util-linux hostname)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"asrpar{os.getpid()}x"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if done.returncode:
        return f"no network namespaces can be made here: {done.stderr.strip()}"
    _run("ip", "netns", "delete", probe)
    return None


class Hosts:
    """So many hosts; a context, at whose end they are gone, with what runs in them left to whoever started it.

    Attributes:
        names: of the hosts.
    """

    def __init__(self, number: int) -> None:
        self.names = [f"asrpar{os.getpid()}h{i}" for i in range(number)]
        self.switch = f"asrpar{os.getpid()}s"

    def __enter__(self) -> "Hosts":
        _clean_after_the_dead()
        self.folder = tempfile.mkdtemp(prefix="hosts-")
        self.agent = Path(self.folder) / "agent"
        self.agent.write_text(AGENT, encoding="utf-8")
        self.agent.chmod(0o755)
        try:
            _run("ip", "netns", "add", self.switch)
            _run("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge")
            _run("ip", "-n", self.switch, "link", "set", "bridge", "up")
            for i, name in enumerate(self.names):
                _run("ip", "netns", "add", name)
                ends = ["eth0", "type", "veth", "peer", "name", f"port{i}", "netns", self.switch]
                _run("ip", "-n", name, "link", "add", *ends)
                _run("ip", "-n", self.switch, "link", "set", f"port{i}", "master", "bridge", "up")
                _run("ip", "-n", name, "address", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
                for device in ("eth0", "lo"):
                    _run("ip", "-n", name, "link", "set", device, "up")
                # As a network card does it: a socket has little in its queue, so that the short messages of MPI, and
                # TCP's acknowledgements, do not wait behind all the data that goes the same way.
                _run("ip", "-n", name, "link", "set", "eth0", "gso_max_size", str(SEGMENT))
                queue = f"echo {4 * SEGMENT} > /proc/sys/net/ipv4/tcp_limit_output_bytes"
                _run("ip", "netns", "exec", name, "sh", "-c", queue)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*self.names, self.switch]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def set_rate(self, bits: float) -> None:
        """Each host sends, and receives, so many bits a second at most (`set_rate` of this file)."""
        set_rate(self.switch, self.names, bits)

    def inside(self, host: int) -> list[str]:
        """What comes before a command that is to run on a host."""
        name = self.names[host]
        return ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]

    def environment(self) -> dict[str, str]:
        """Variables with which Open MPI 5 starts its daemons on the hosts, and sends over their network alone."""
        return {
            "PRTE_MCA_plm_ssh_agent": str(self.agent),
            "PRTE_MCA_prte_if_include": "eth0",
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "tcp,self",
            "OMPI_MCA_btl_tcp_if_include": "eth0",
            "OMPI_MCA_mpi_yield_when_idle": "1",  # each host believes to have the cores for itself
        }


def set_rate(switch: str, names: list[str], bits: float) -> None:
    """Give the links another rate, in both directions; from anywhere on this machine.

    A token bucket has its own at each end: of what a host sends, and of what the switch sends to it.
    """
    # The bucket holds what comes in two milliseconds, and one large segment at least; the queue takes 0.4 seconds.
    burst = max(65536, int(bits / 8 * 0.002))
    bucket = ["tbf", "rate", f"{bits:.0f}bit", "burst", str(burst), "limit", str(burst + int(bits / 8 * 0.4))]
    for i, name in enumerate(names):
        for namespace, device in ((name, "eth0"), (switch, f"port{i}")):
            _run("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", *bucket)


def _clean_after_the_dead() -> None:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        found = re.match(r"(asrpar(\d+)(?:h\d+|s|x))\b", line)
        if found and not Path("/proc", found[2]).exists():
            subprocess.run(["ip", "netns", "delete", found[1]], capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
