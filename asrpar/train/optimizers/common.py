"""What all local optimizers can be set to."""

from dataclasses import dataclass

from asrpar.rules import not_negative, positive


@dataclass
class OptimizerSettings:
    """Settings of all local optimizers.

    Attributes:
        lr: peak learning rate γ.
        weight_decay: decoupled for AdamW, L2 for SGD.
        clip_norm: greatest norm of the mean gradient per frame; 0 never clips.
    """

    lr: float = 1e-3
    weight_decay: float = 1e-2
    clip_norm: float = 0.0

    def validate(self) -> None:
        positive(self, "lr")
        not_negative(self, "weight_decay", "clip_norm")

    def plain(self) -> bool:
        """Whether a step is the gradient times the rate and no more: some algorithms hold for that alone."""
        return False
