"""What models are trained towards: each module has ``Settings`` and ``Loss`` (see `asrpar.nn.objective`)."""

from asrpar.choices import Family

LOSSES = Family("asrpar.nn.losses", "loss", "Loss", "losses")
