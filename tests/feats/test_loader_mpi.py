"""The learners' shares on real MPI ranks."""

from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import sys
import torch
from mpi4py import MPI
from asrpar.feats.batches import BatchLoader, eval_batches
from asrpar.feats.config import AugmentConfig, BatchConfig
from asrpar.feats.store import FeatureStore

feats, ranks = sys.argv[1], int(sys.argv[2])
world = MPI.COMM_WORLD
assert world.size == ranks, (world.size, ranks)
everything = sorted(u.id for u in FeatureStore(feats, "train").utterances)
configs = [
    BatchConfig(size=1500, augment=AugmentConfig(time_warp=3)),
    BatchConfig(size=700, per="learner", max_frames_per_learner=400),
    BatchConfig(unit="utterances", size=4),
]
for config in configs:
    def loader():
        return BatchLoader(feats, "train", config, 11, world.size, world.rank)

    for epoch in (0, 1):
        batches = list(loader().epoch(epoch))
        ids = world.allgather([i for b in batches for i in b.ids])
        assert sorted(sum(ids, [])) == everything, "each utterance exactly once"
        assert len(set(world.allgather(len(batches)))) == 1, "as many steps on each rank"
        for batch in batches:
            assert world.allreduce(batch.num_frames) == batch.global_frames
        for start in (1, len(batches) // 2):
            rest = list(loader().epoch(epoch, start))
            assert len(rest) == len(batches) - start
            for a, b in zip(rest, batches[start:], strict=True):
                assert a.ids == b.ids and a.step == b.step and torch.equal(a.features, b.features)
ids = world.allgather([i for b in eval_batches(feats, "dev", 200, world.size, world.rank) for i in b.ids])
assert sorted(sum(ids, [])) == sorted(u.id for u in FeatureStore(feats, "dev").utterances)
print("rank", world.rank, "of", world.size, "is content", flush=True)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_shares_are_disjoint_complete_and_resumable(feats: Path, mpirun: Callable, ranks: int):
    done = mpirun(ranks, PROGRAM, feats, ranks)
    assert done.stdout.count("is content") == ranks
