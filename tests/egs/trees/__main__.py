"""All telephone corpora in one folder: ``PYTHONPATH=tests/egs python -m trees FOLDER [--corpora DIR --everything]``."""

import argparse
from pathlib import Path

from trees.fisher import make_fisher
from trees.hub5 import make_hub5, make_rt03
from trees.swbd import make_swbd

parser = argparse.ArgumentParser(prog="trees", description="Miniature telephone corpora.")
parser.add_argument("folder", type=Path)
parser.add_argument("--corpora", type=Path, help="AN4 and mini_librispeech; without it espeak-ng speaks")
parser.add_argument("--everything", action="store_true", help="all of their speech, and not some minutes")
parser.add_argument("--fisher", type=float, default=0.4, help="share of the training speakers who are in Fisher")
chosen = parser.parse_args()
chosen.folder.mkdir(parents=True)
share = {"everything": chosen.everything, "fisher": chosen.fisher}
make_swbd(chosen.folder, chosen.corpora, **share)
if chosen.fisher:
    make_fisher(chosen.folder, chosen.corpora, **share)
for make in (make_hub5, make_rt03):
    make(chosen.folder, chosen.corpora, everything=chosen.everything)
