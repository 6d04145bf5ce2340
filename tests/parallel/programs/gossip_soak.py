"""Run under mpirun: ADPSGD for a long time with random stragglers, jitter and partners; no deadlock, nothing lost.

Arguments: EXCHANGES SECONDS SEED. Ends when both are reached. Σ x_i = N x_0 + Σ updates is checked whenever all have
synchronised.
"""

import random
import sys
import time

import torch
from toy import ToyLearner, data

from asrpar.parallel.comm import world
from asrpar.parallel.strategies import make_strategy, settings_class

exchanges, seconds, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
comm = world()
common = random.Random(seed)  # the same on all ranks
slow = [common.choice([1, 1, 3, 10]) for _ in range(comm.size)][comm.rank]
neighbours = common.choice(["fixed", "random"])
steps = common.choice([50, 200])
own = random.Random(f"{seed} {comm.rank}")


class Learner(ToyLearner):
    """Adds up its own updates; each takes a random time, longer on a straggler."""

    def gradient(self, batch):
        comm.sleep(slow * own.expovariate(2000.0))
        return super().gradient(batch)

    def apply(self, frames):
        before = self.weights.clone()
        done = super().apply(frames)
        self.added += self.weights - before
        return done


learner = Learner(seed=0)
learner.added = torch.zeros_like(learner.weights)
first = learner.weights.clone()
settings = settings_class("adpsgd")(neighbours=neighbours, seed=seed)
strategy = make_strategy("adpsgd", settings, learner, comm)
strategy.start()
batches = data(steps, 4, seed=comm.rank)
began, epochs, worst = time.monotonic(), 0, 0.0
while True:
    for batch in batches:
        strategy.step(batch)
    strategy.finish()
    epochs += 1
    sums = torch.stack([learner.weights, learner.added])
    comm.allreduce(sums)
    expected = comm.size * first + sums[1]
    worst = max(worst, ((sums[0] - expected).abs().max() / expected.abs().max()).item())
    if worst > 1e-9:
        print(f"rank {comm.rank}: the sum is off by {worst:.2e} after {epochs} epochs", flush=True)
        sys.exit(1)
    progress = torch.tensor([float(strategy.exchanges), 0.0])
    comm.allreduce(progress)
    progress[1] = time.monotonic() - began if comm.rank == 0 else 0.0
    comm.broadcast(progress)
    if comm.rank == 0 and epochs == 1:
        print(f"seed {seed}: {neighbours} neighbours, {steps} steps an epoch", flush=True)
    # Each exchange was counted on both sides.
    if progress[0].item() / 2 >= exchanges and progress[1].item() >= seconds:
        break
if comm.rank == 0:
    print(f"{progress[0].item() / 2:.0f} exchanges in {epochs} epochs, greatest relative error {worst:.1e}", flush=True)
print(f"rank {comm.rank} passed", flush=True)
