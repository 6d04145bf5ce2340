"""The local optimizer by name: one of torch's over one flat vector, one file each with `Settings` and `make`."""

from asrpar.choices import Family

OPTIMIZERS = Family("asrpar.train.optimizers", "optimizer", "make")
