"""Acoustic models and losses. They know nothing of MPI."""

from asrpar.nn.losses.ctc import CtcLoss, LossConfig
from asrpar.nn.models import MODELS, ModelConfig, build_model

__all__ = ["MODELS", "CtcLoss", "LossConfig", "ModelConfig", "build_model"]
