"""Kill a training at each step around an epoch's end, a dev set and a checkpoint, and in them, and go on each time.

    kill_steps.py FEATS LANG EXP [--few] STRATEGY[:KEY=VALUE...]...

The learners are those of the virtual cluster, with real checkpoints, all in one process that SIGKILL ends. Each start
goes on from what the one before has left, and comes a little further. The training must end as one that nobody
disturbed: weights and losses bit for bit. With ``--few`` the kills are shared out among the strategies. Exits 1 on the
first failure.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo
import torch.utils.tensorboard  # with what takes long to import: once, not in each child

from asrpar.config import load_config
from asrpar.parallel import rank_files
from asrpar.parallel.virtual.cluster import Cluster, Compute
from asrpar.simulate import parts, training
from asrpar.simulate.learner import VirtualLearner
from asrpar.simulate.parts import NoWatchdog, VirtualParts
from asrpar.train import final
from asrpar.train.checkpoint import Checkpoints
from asrpar.train.config import TrainConfig
from asrpar.train.evaluate import DevSet
from asrpar.train.experiment import prepare

LEARNERS = 2
DEV, SAVE = 7, 5  # steps


class Death:
    """SIGKILL to this process at a place, at a step: ``step`` after it was taken, ``dev`` in a dev set, and so on."""

    place, at, steps = "", 0, 0

    @classmethod
    def comes(cls, place: str) -> None:
        """To whoever is there."""
        if (place, cls.steps) == (cls.place, cls.at):
            os.kill(os.getpid(), signal.SIGKILL)


class Beats(NoWatchdog):
    """Sees each step that a learner takes."""

    def beat(self, steps: int | None = None) -> None:
        if steps:
            Death.steps = max(Death.steps, steps)
            Death.comes("step")


class Learner(VirtualLearner):
    """Its random numbers are its own, where those of a real learner are its process's."""

    def state_dict(self) -> dict:
        return super().state_dict() | {"random": self.random}

    def load_state_dict(self, state: dict) -> None:
        self.random = state["random"]
        super().load_state_dict({name: value for name, value in state.items() if name != "random"})


class MortalParts(VirtualParts):
    """Parts of a simulation that leaves checkpoints."""

    def checkpoints(self, comm):
        return Checkpoints(Path(self.config.exp) / "checkpoints", comm, keep=2)

    def watchdog(self, comm, timing, strategy):
        return Beats()


def before_and_after(owner: object, name: str, before: str = "", after: str = "") -> None:
    """Let death come there."""
    call = getattr(owner, name)

    def watched(*args, **options):
        Death.comes(before)
        found = call(*args, **options)
        Death.comes(after)
        return found

    setattr(owner, name, watched)


before_and_after(DevSet, "evaluate", after="dev")
before_and_after(rank_files, "_write", before="unwritten", after="written")  # of the first rank; of its file
before_and_after(Checkpoints, "save", after="saved")
before_and_after(final.FinalModels, "save", before="final", after="model")
training.VirtualParts, parts.VirtualLearner = MortalParts, Learner


def start(config: TrainConfig, place: str = "", at: int = 0) -> bool:
    """The training, in a process of its own; whether it came to its end."""
    child = os.fork()
    if child == 0:
        Death.place, Death.at = place, at
        try:
            cluster = Cluster("x", devices_per_node=LEARNERS, compute=Compute(frames_per_second=2e4))
            training.run_all(Path(config.exp), config, cluster, prepare(config), LEARNERS)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status not in (0, signal.SIGKILL):
        sys.exit(f"{config.exp} ended with {status}")
    return status == 0


def outcome(exp: Path) -> list[object]:
    """All that must be the same."""
    found = json.loads((exp / "train.json").read_text())
    weights = torch.load(exp / "final.pt", weights_only=True)["weights"]
    losses = [[entry[name] for name in ("frames", "train_loss", "dev_loss")] for entry in found["history"]]
    return [found["complete"], found["checksum"], {name: x.tolist() for name, x in weights.items()}, losses]


def deaths(epoch: int) -> list[tuple[str, int]]:
    """Where, in the order in which a training comes there; ``epoch`` is its last step of the first epoch."""
    found = []
    for step in sorted({e + i for e in (DEV, SAVE, epoch) for i in range(-2, 3)}):
        found.append(("step", step))
        if step % DEV == 0 or step == epoch:
            found.append(("dev", step))
        if step % SAVE == 0 or step == epoch:
            found += [("unwritten", step), ("written", step), ("saved", step)]
    return [*found, ("final", 2 * epoch), ("model", 2 * epoch)]


def main() -> None:
    feats, lang, out = sys.argv[1:4]
    torch.set_num_threads(1)
    specs = [word for word in sys.argv[4:] if word != "--few"]
    for i, spec in enumerate(specs):
        name, *own = spec.split(":")
        settings = [
            f"data.feats={feats}", f"data.lang={lang}", f"strategy={name}", "threads=1", "epochs=2", "device=cpu",
            "models.tdnn.channels=16", "models.tdnn.dilations=[1]", "models.tdnn.conv_maps=4", "batch.size=320",
            "optimizers.adamw.lr=0.01", "autocast=none", "ema.enabled=true", f"dev_every_steps={DEV}",
            f"checkpoint.every_steps={SAVE}", *(f"strategies.{name}.{setting}" for setting in own),
        ]  # fmt: skip
        whole, killed = (Path(out, f"{name}-{kind}") for kind in ("whole", "killed"))
        config = load_config(TrainConfig, None, [*settings, f"exp={whole}"])
        assert start(config)
        epoch = json.loads((whole / "train.json").read_text())["steps"] // 2
        assert epoch > max(DEV, SAVE) + 2, epoch
        config.exp, kills = str(killed), 0
        for place, step in deaths(epoch)[i :: len(specs)] if "--few" in sys.argv else deaths(epoch):
            if start(config, place, step):
                sys.exit(f"{name}: nobody came to {place} of step {step}")
            kills += 1
        assert start(config)
        if outcome(whole) != outcome(killed):
            sys.exit(f"{name}: a training that was killed {kills} times ended otherwise than one that was not")
        print(f"ok {name} {kills} kills, epochs of {epoch} steps", flush=True)


main()
