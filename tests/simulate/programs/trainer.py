"""Run under mpirun: FOLDER STRATEGY ... -- KEY=VALUE ...; trains with each strategy, in FOLDER/STRATEGY."""

import sys
from pathlib import Path

from asrpar.config import load_config
from asrpar.parallel.comm import world
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train

at = sys.argv.index("--")
folder, names, options = Path(sys.argv[1]), sys.argv[2:at], sys.argv[at + 1 :]
comm = world()
for name in names:
    config = load_config(TrainConfig, None, [*options, f"strategy={name}", f"exp={folder / name}"])
    assert train(config, comm) == 0
print(f"rank {comm.rank} passed")
