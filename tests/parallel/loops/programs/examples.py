"""The examples of docs/library.md on two learners, each with a synchronous, a block and a gossip strategy."""

import json
import os
import sys
from pathlib import Path

from ranks import RANK, comm

folder, programs = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
for number, program in enumerate(programs):
    for name in ("ssgd", "bmuf", "adpsgd"):
        place = folder / f"{number}_{name}"
        if RANK == 0:
            place.mkdir()
        comm.barrier()
        os.chdir(place)
        text = program if name == "bmuf" else program.replace('"bmuf", {"sync_steps": 8}', f'"{name}"')
        names = {"__name__": "__main__"}
        exec(compile(text, f"example_{number}.py", "exec"), names)
        if "right" in names:
            (place / f"right.{RANK}").write_text(str(names["right"]))
        comm.barrier()
