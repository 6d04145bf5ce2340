"""A study of formulas instead of trainings: `fake_asrpar.py` runs its cells."""

import sys
from pathlib import Path

from asrpar.study.config import load_study
from asrpar.study.folder import CellFolder, Places
from asrpar.study.grid import cells
from asrpar.study.run import run_study

FAKE = Path(__file__).resolve().parent / "fake_asrpar.py"

STUDY = """
name: formulas
question: Which one?
base: {set: {epochs: 3}}
cluster: {preset: v100_ethernet}
grid:
  strategy: [single, ssgd, adpsgd]
  learners: [1, 4, 8]
  batch: [8000, {label: 32k, set: {batch.size: 32000, optimizers.adamw.lr: 0.01}}]
  seed: [0, 1]
only:
  - {strategy: single, learners: 1, batch: 8000}
  - {strategy: [ssgd, adpsgd], learners: [4, 8]}
margin: 0.2
decode: true
timelines: {cells: [{learners: 4, batch: 8000}], ranks: 3}
"""


class Study:
    """A study in a folder, run by the fake."""

    def __init__(self, folder):
        self.folder = folder
        self.exp, self.file, self.calls = folder / "exp", folder / "study.yaml", folder / "calls"
        self.places = Places(folder, folder, folder, None)
        self.said = []

    def load(self, text=STUDY):
        self.file.write_text(text)
        self.study = load_study(self.file)
        self.folders = [CellFolder(self.study, cell, self.exp) for cell in cells(self.study)]
        return self

    def run(self, jobs=2, reuse=()):
        self.calls.write_text("")
        program = (sys.executable, str(FAKE))
        return run_study(self.folders, self.places, self.exp, jobs, self.said.append, program, reuse)

    def called(self, command="simulate"):
        return [line for line in self.calls.read_text().splitlines() if line.startswith(command)]
