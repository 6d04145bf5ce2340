"""Features: extraction, statistics, augmentation, and batches for learners.

Whoever imports this can load the features of stage 2 with plain Lhotse, too (``cut.load_features()``).
"""

import asrpar.feats.storage  # noqa: F401 - tells Lhotse how to read the files
from asrpar.feats.batches import Batch, BatchLoader, BatchPlan, eval_batches

__all__ = ["Batch", "BatchLoader", "BatchPlan", "eval_batches"]
