"""Features: extraction, statistics, augmentation, and batches for learners.

Whoever imports this can load the features of stage 2 with plain Lhotse, too (``cut.load_features()``).
"""

from asrpar.feats.batches import Batch, BatchLoader, BatchPlan, eval_batches
from asrpar.feats.storages import register

__all__ = ["Batch", "BatchLoader", "BatchPlan", "eval_batches"]

register()
