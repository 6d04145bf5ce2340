"""A real Slurm on this machine, started without systemd: munged, slurmctld, and a slurmd for each node.

Needs Debian's slurm-wlm and munge, and root. Everything that the daemons write lies in a folder of the test's, and only
the processes started here are ended. The nodes have names of their own, and this machine for a host.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

CONF = """
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
SlurmdTimeout=6
SlurmdParameters=config_overrides
GresTypes=gpu
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
# A requeued job waits until the credential of its earlier start has expired: 120 s by default, here cred_expire.
# In the environment of a node's slurmd and its slurmstepd, which jobs do not inherit.
NODE = "TEST_SLURM_NODE"


class Cluster:
    """A running Slurm. ``env``: the environment in which its commands find it; ``folder``: where its logs are."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *command: str) -> None:
        """Start a daemon; ``name`` is that of its node, or of the program."""
        env = self.env | {NODE: name}
        with open(self.folder / f"{name}.out", "a") as out:
            self.daemons[name] = subprocess.Popen(
                [*command], env=env, stdout=out, stderr=out, start_new_session=True, cwd=self.folder
            )

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node."""
        self.start(name, "slurmd", "-D", "-N", name, "-f", self.env["SLURM_CONF"])

    def say(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def states(self) -> dict[str, str]:
        """The state of each node."""
        return dict(line.split() for line in self.say("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait, and fail with the daemons' logs if it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{p}:\n{p.read_text()[-2000:]}" for p in sorted(self.folder.glob("*.[lo]*")))
                pytest.fail(f"nothing came of it in {seconds} s\n{logs}", pytrace=False)
            time.sleep(0.1)

    def lose_node(self, name: str) -> None:
        """What a power cut does: slurmd and all processes of the node's jobs end by SIGKILL."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()
        # First what would still report the end of a job's processes.
        self.kill_all(f"{NODE}={name}\0".encode())
        self.kill_all(f"SLURMD_NODENAME={name}\0".encode())

    def kill_all(self, mark: bytes = b"") -> None:
        """End what was started by this Slurm, with this in its environment."""
        here = f"SLURM_CONF={self.env['SLURM_CONF']}\0".encode()
        for _ in range(3):  # they may have started others meanwhile
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    environment = (process / "environ").read_bytes()
                    if here in environment and mark in environment:
                        os.kill(int(process.name), signal.SIGKILL)
            time.sleep(0.1)

    def stop(self) -> None:
        """End what jobs a failed test has left, then the daemons, and last what still waits for these."""
        if "slurmctld" in self.daemons and self.say("squeue", "-h"):
            self.say("scancel", "--state=PENDING")
            self.say("scancel", "--state=RUNNING")
            time.sleep(3)
        for daemon in reversed(list(self.daemons.values())):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.kill_all()


@contextmanager
def cluster(folder: Path, nodes: dict[str, str]) -> Iterator[Cluster]:
    """Slurm with these nodes: names, and what slurm.conf says of each. Skips where it is not installed."""
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
            pytest.skip(f"no {program} on this machine (Debian: apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    ports = _free_ports(len(nodes) + 1)
    lines = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} State=UNKNOWN {more}"
        for (name, more), port in zip(nodes.items(), ports[1:], strict=True)
    ]
    conf.write_text(CONF.format(host=host, folder=folder, port=ports[0]) + "\n".join(lines) + "\n")
    # Any four devices will do to be counted and handed out; nothing touches them.
    devices = ("null", "zero", "full", "random")
    with_gpus = [name for name, more in nodes.items() if "gpu" in more]
    gpus = [f"NodeName={node} Name=gpu File=/dev/{name}\n" for node in with_gpus for name in devices]
    (folder / "gres.conf").write_text("".join(gpus))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
    env |= {"SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + ":/usr/sbin"}
    slurm = Cluster(folder, env)
    munged = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
    try:
        slurm.start("munged", "munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *munged)
        slurm.wait_for((folder / "munge" / "socket").exists)
        slurm.start("slurmctld", "slurmctld", "-D", "-c", "-f", str(conf))
        for name in nodes:
            slurm.start_node(name)
        slurm.wait_for(lambda: slurm.states() == dict.fromkeys(nodes, "idle"))
        yield slurm
    finally:
        slurm.stop()


def _free_ports(count: int) -> list[int]:
    """So many, of which none is given twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
