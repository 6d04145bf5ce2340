"""A training on a virtual cluster: the trainer of `asrpar train`, once for each learner, in one process."""

import logging
from pathlib import Path

import torch

from asrpar.config import load_config, save_config
from asrpar.errors import ConfigError, TrainingError
from asrpar.files.json_files import read_json
from asrpar.files.lock import reading
from asrpar.files.paths import require_file
from asrpar.log import get_logger, setup_logging
from asrpar.parallel.comm import Invitation, LocalComm
from asrpar.parallel.record import Entry, read_recording
from asrpar.parallel.virtual.clock import Scheduler
from asrpar.parallel.virtual.cluster import Cluster
from asrpar.parallel.virtual.comm import VirtualComm, virtual_learners, virtual_newcomer
from asrpar.parallel.virtual.group import Shared
from asrpar.parallel.virtual.network import Network
from asrpar.simulate.parts import VirtualParts
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import prepare, run
from asrpar.train.folder import claim, finished, look
from asrpar.train.precision import decide_autocast

log = get_logger(__name__)


class FirstLearner(logging.Filter):
    """Of all learners in this process only the first one tells what it does; all may warn, of the same thing once.

    Args:
        shared: what learners share.
    """

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.shared, self.warned = shared, ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        import greenlet

        members = self.shared.crew.members
        first = 0 if members is None else members.ranks[0]
        if getattr(greenlet.getcurrent(), "rank", first) == first:
            self.warned = record.getMessage()
            return True
        before, self.warned = self.warned, record.getMessage()
        return record.levelno >= logging.WARNING and self.warned != before


def simulate(config: TrainConfig, cluster: Cluster, learners: int, recorded: list[list[Entry]] | None = None) -> None:
    """Train in ``config.exp`` with ``learners`` learners on ``cluster``; leaves what `train` leaves there.

    Args:
        config: settings of the training.
        cluster: where.
        learners: how many.
        recorded: events of each rank that are to happen in their recorded order.

    Raises:
        AsrparError: settings or data that cannot be used; training that cannot go on.
    """
    check_simulated(config, learners)
    cluster.check_size(learners)
    settings, exp = prepare(config), Path(config.exp)
    logger = setup_logging(exp / "log" / "train.0.log")
    shared_memory = any(entry.event == "pool" for entries in recorded or () for entry in entries)
    shared = Shared(Scheduler(), Network(cluster), shared_memory=shared_memory)
    for handler in logger.handlers:
        handler.addFilter(FirstLearner(shared))
    torch.set_num_threads(config.threads or 1)
    with reading(config.data.feats), claim(exp, LocalComm()):
        decide_autocast(config, LocalComm())
        done, error = look(exp, config)
        if finished(exp, done, error or other_cluster(exp, cluster, learners)):
            return
        save_config(cluster, exp / "cluster.yaml")
        run_all(exp, config, cluster, settings, learners, shared, recorded)


def replay(recorded: Path, exp: Path) -> None:
    """Let the training in ``recorded``, which was recorded under MPI, happen once more in ``exp``, in the same order.

    Raises:
        AsrparError: nothing was recorded; or the same order led to other weights, or could not be kept.
    """
    require_file(recorded / "record" / "rank-0.tsv", "asrpar train --set record=true")
    config = load_config(TrainConfig, recorded / "config.yaml")
    first, _ = read_recording(recorded / "record" / "rank-0.tsv")
    ranks = [read_recording(recorded / "record" / f"rank-{rank}.tsv") for rank in range(first["learners"])]
    nodes = [facts["node"] for facts, _ in ranks]
    cluster = Cluster("replay", nodes=max(nodes) + 1, devices_per_node=max(map(nodes.count, nodes)))
    cluster.compute.frames_per_second = 1e6
    config.exp, config.record = str(exp), False
    simulate(config, cluster, len(ranks), [entries for _, entries in ranks])
    was, now = (read_json(folder / "train.json") for folder in (recorded, exp))
    if not was["complete"]:
        log.warning("%s is not complete: its weights cannot be compared", recorded)
    elif was["checksum"] != now["checksum"]:
        raise TrainingError(f"the replay of {recorded} ended with other weights: another machine, library or program?")
    else:
        log.info("the same weights as in %s, bit for bit (SHA-256 %s)", recorded, now["checksum"])


def run_all(
    exp: Path,
    config: TrainConfig,
    cluster: Cluster,
    settings: object,
    learners: int,
    shared: Shared | None = None,
    recorded: list[list[Entry]] | None = None,
) -> None:
    """All learners, in virtual time."""
    shared = shared or Shared(Scheduler(), Network(cluster))
    scheduler = shared.scheduler
    parts = VirtualParts(config, cluster, recorded)
    log.info("%d learners on virtual cluster '%s'", learners, cluster.name)

    def begin(comm: VirtualComm) -> None:
        scheduler.begin(lambda: run(exp, config, settings, comm, False, parts), comm.seat, "learner")

    shared.crew.start = lambda seat, brief: begin(virtual_newcomer(shared, Invitation(seat, brief)))
    for comm in virtual_learners(shared, learners):
        begin(comm)
    scheduler.run()


def check_simulated(config: TrainConfig, learners: int) -> None:
    """`ConfigError` for what there is no use for, or no way to do, in virtual time."""
    if learners < 1:
        raise ConfigError(f"{learners} learners: it takes at least one")
    for name in ("die_rank", "hang_rank"):
        if getattr(config.faults, name):
            raise ConfigError(f"faults.{name} ends or stops a process: a simulated learner has none of its own")


def other_cluster(exp: Path, cluster: Cluster, learners: int) -> str:
    """Why ``exp`` holds another simulation than the one that is asked for; empty if it does not."""
    if not (exp / "train.json").exists():
        return ""
    before = read_json(exp / "train.json")
    known = exp / "cluster.yaml"
    if not before.get("virtual") or not known.exists():
        return f"{exp} holds a training that was not simulated: choose another exp folder"
    if before["learners"] != learners or load_config(Cluster, known) != cluster:
        return f"{exp} holds a simulation of another cluster or number of learners: choose another exp folder"
    return ""
