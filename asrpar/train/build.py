"""What a trainer is made of: device, batches, model, and who looks after it."""

import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import torch

from asrpar.errors import ConfigError, TrainingError
from asrpar.feats import BatchLoader
from asrpar.feats.store import FeatureStore
from asrpar.files.lock import busy, try_lock
from asrpar.files.paths import require_file
from asrpar.hmm.alignments import Alignments
from asrpar.hmm.tree import FILE as TREE
from asrpar.lang.lang import Lang
from asrpar.launch.rank import local_rank, survives
from asrpar.nn.models import MODELS, build_model
from asrpar.nn.objective import Objective
from asrpar.parallel.comm import Comm, LocalComm
from asrpar.parallel.compress import COMPRESSIONS
from asrpar.parallel.contract import Strategy
from asrpar.parallel.faults import with_faults
from asrpar.parallel.record import Recording, witnessed
from asrpar.parallel.strategies import make_strategy
from asrpar.train.checkpoint import Checkpoints
from asrpar.train.compiling import check_compiler
from asrpar.train.config import TrainConfig
from asrpar.train.dealing import OnDemand
from asrpar.train.epochs import EqualShares, Intervals
from asrpar.train.fit import check_set
from asrpar.train.identity import Identity
from asrpar.train.labels import check_alignments, frame_labels, open_alignments
from asrpar.train.learner import AcousticLearner
from asrpar.train.objective import context, make_objective, subsampling
from asrpar.train.optimizers import OPTIMIZERS
from asrpar.train.phone_graphs import tree_of
from asrpar.train.rounds import Rounds
from asrpar.train.signals import StopRequest
from asrpar.train.timing import Timing
from asrpar.train.watchdog import Watchdog

# Seconds in which the kernel closes the files of a process that has died.
DYING = 5.0


class Parts:
    """Makes the parts of a trainer; another class makes those of a simulated one.

    Args:
        config: of the training.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.recording: Recording | None = None
        self.lock: IO[str] | None = None

    @cached_property
    def lang(self) -> Lang:
        """The language folder."""
        return Lang.load(self.config.data.lang)

    @cached_property
    def alignments(self) -> Alignments | None:
        """The ALI folder, where there are to be labels of frames."""
        return open_alignments(self.config.data)

    @cached_property
    def objective(self) -> Objective:
        """What is trained towards."""
        config, found = self.config, self.alignments
        labels = frame_labels(found, config.data, subsampling(config)) if found else None
        return make_objective(config, self.lang, labels)

    def loader(self, workers: int, rank: int) -> BatchLoader:
        """See `make_loader`."""
        return make_loader(self.config, self.objective, workers, rank)

    def examine(self, loader: BatchLoader, comm: Comm) -> Identity:
        """What is trained on, after a look whether a loss can be computed of it."""
        data = self.config.data
        stores = [loader.store]
        if data.dev != data.train:
            stores.append(FeatureStore(data.feats, data.dev, inputs=self.config.input))
        if self.alignments is not None:
            check_alignments(self.alignments, data, self.lang, stores)
        for store in stores:
            if store.inputs:
                store.inputs.check(store.utterances)
            check_set(store.utterances, store.split, self.objective, self.lang, self.config, comm.rank == 0)
        found = Identity.of(data, self.lang, stores, self.alignments)
        found.inputs = loader.store.inputs.state() if loader.store.inputs else {}
        found.classes, found.tree = list(self.objective.classes), self.objective.tree
        return found

    def write_tree(self, exp: Path) -> None:
        """Put the tree whose leaves the classes are, if there is one, beside the model, for graphs and alignments."""
        if self.objective.tree:
            tree_of(self.config.data, self.lang).write(exp / TREE)

    def learner(self, num_features: int, comm: Comm) -> AcousticLearner:
        """See `make_learner`. Collective."""
        device = pick_device(self.config.device, comm.rank)
        return make_learner(self.config, self.objective, num_features, comm, device)

    def checkpoints(self, comm: Comm) -> Checkpoints:
        """Where states are kept."""
        return Checkpoints(Path(self.config.exp) / "checkpoints", comm, self.config.checkpoint.keep)

    def stop(self, comm: Comm) -> StopRequest:
        """Who notices that the run is to stop."""
        return StopRequest(comm, self.config.time_limit_minutes)

    def take_over(self) -> None:
        """This learner is the first by now: it holds the experiment's folder, which the lost one did.

        Raises:
            TrainingError: another training has begun in it meanwhile.
        """
        exp = Path(self.config.exp)
        deadline = time.monotonic() + DYING
        while (lock := try_lock(exp)) is None:
            if time.monotonic() > deadline:
                raise TrainingError(busy(exp))
            time.sleep(0.02)
        self.lock = lock

    def reshared(self, loader: BatchLoader, workers: int, rank: int) -> BatchLoader:
        """The same data, dealt to another number of learners; ``loader`` is not used any more."""
        return loader.share(workers, min(rank, workers - 1), ahead=True)

    def shares(self, strategy: Strategy, comm: Comm, workers: int) -> EqualShares | OnDemand:
        """How the first ``workers`` ranks get their batches: what ``batch.deal`` says. Collective.

        Raises:
            ConfigError: the strategy cannot do with it.
        """
        deal = self.config.batch.deal
        if deal == "on_demand" and not strategy.own_pace:
            raise ConfigError(
                "batch.deal is on_demand, but with this strategy learners take their steps together: set it to equal"
            )
        if workers == 1 or deal == "equal" or not strategy.own_pace:
            return Rounds(comm) if strategy.lockstep and survives() and workers > 1 else EqualShares(self.loader)
        return OnDemand(comm, workers, Intervals.of(self.config))

    def watchdog(self, comm: Comm, timing: Timing, strategy: Strategy) -> Watchdog:
        """Who notices that the run stands still."""
        return Watchdog(
            Path(self.config.exp) / "log",
            comm,
            timing.trace,
            self.config.watchdog.timeout_seconds,
            lockstep=strategy.lockstep,
            on_stall=timing.flush,
            survives=survives(),
        )

    def strategy(self, settings: Any, learner: AcousticLearner, comm: Comm) -> tuple[Strategy, Comm]:
        """The algorithm of the settings, and the learners as it sees them: with their faults, and recorded. Collective.

        Args:
            settings: the strategy's.
            learner: of this rank.
            comm: all learners.
        """
        config = self.config
        wire = COMPRESSIONS.make(config, learner.shapes, learner.weights)
        if comm.invitation is not None:
            # What the others follow by now, without what went wrong for the one that was here before.
            return comm.invitation.brief.algorithm(settings, learner, comm, wire), comm
        seen = self.witness(*with_faults(learner, comm, config.faults))
        return make_strategy(config.strategy, settings, *seen, wire), seen[1]

    def witness(self, learner: Any, comm: Any) -> tuple[Any, Any]:
        """The learner and the transport for the strategy, with somebody who writes down what happens if asked to."""
        if not self.config.record:
            return learner, comm
        exp = Path(self.config.exp)
        if any(exp.glob("checkpoints/*")):
            raise ConfigError(f"record is on, but {exp} holds a training that has begun: choose another exp folder")
        facts = {"learners": comm.size, "rank": comm.rank, "node": comm.node(), "strategy": self.config.strategy}
        self.recording = Recording(exp / "record" / f"rank-{comm.rank}.tsv", facts)
        return witnessed(learner, comm, self.recording)

    def close(self, rank: int) -> None:
        """The training of this rank is over."""
        if self.recording is not None:
            self.recording.close()

    def facts(self) -> dict[str, Any]:
        """What ``train.json`` is to say besides."""
        return {}


def make_loader(config: TrainConfig, objective: Objective, workers: int, rank: int) -> BatchLoader:
    """The batches of one rank; ranks from ``workers`` on take every step with nothing in it."""
    feats = Path(config.data.feats)
    loader = BatchLoader(
        feats,
        config.data.train,
        config.batch,
        seed=config.seed,
        num_learners=workers,
        rank=min(rank, workers - 1),
        objective=objective,
        stride=subsampling(config),
        context=context(config) if config.batch.pieces == "frames" else None,
        inputs=config.input,
        pinned=pick_device(config.device, rank).type == "cuda",
    )
    require_file(feats / f"cuts_{config.data.dev}.jsonl.gz", "stage 2 (asrpar extract-features)")
    return loader


def make_learner(
    config: TrainConfig,
    objective: Objective,
    num_features: int,
    comm: Comm,
    device: torch.device,
    kind: Callable[..., AcousticLearner] = AcousticLearner,
) -> AcousticLearner:
    """The model of one rank, and its learner of some ``kind``. Collective."""
    if config.compile:
        check_compiler(device)
    settings = MODELS.of(config)
    module = build_model(config.model, settings, num_features, objective.num_classes).to(device)
    return kind(
        module,
        objective,
        partial(OPTIMIZERS.make, config),
        clip_norm=OPTIMIZERS.of(config).clip_norm,
        autocast=config.autocast == "bf16",
        max_nonfinite=config.max_nonfinite,
        zeros=comm.zeros,
        compiled=config.compile,
    )


def choose_transport(config: TrainConfig, comm: Comm) -> Comm:
    """The learners of ``comm`` on the transport of the settings. Collective.

    Raises:
        ConfigError: it does not serve these learners.
    """
    if config.transport == "mpi" or isinstance(comm, LocalComm):
        return comm
    from asrpar.parallel.comm.nccl import joined

    windows = config.transport == "windows"
    return joined(comm, "nccl" if windows else config.transport, pick_device(config.device, comm.rank), windows)


def pick_device(name: str, rank: int) -> torch.device:
    """The device of one learner; ranks of a node share its GPUs round-robin."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch finds no GPU: use --set device=cpu")
    device = torch.device("cuda", local_rank(rank) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
