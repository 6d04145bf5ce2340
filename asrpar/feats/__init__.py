"""Features: extraction, statistics, augmentation, and batches for learners."""

from asrpar.feats.batches import Batch, BatchLoader, BatchPlan, eval_batches

__all__ = ["Batch", "BatchLoader", "BatchPlan", "eval_batches"]
