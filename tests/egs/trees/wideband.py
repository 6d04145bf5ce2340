"""The same calls at 16 kHz: ``python -m trees.wideband MANIFESTS OUTPUT --corpora DIR --everything --fisher 0``.

MANIFESTS are those of stage 1 on the tree that ``python -m trees`` made with the same options. OUTPUT gets the same
utterances, texts, speakers and references, but recordings of 16 kHz and 16 bits instead of mu-law at 8 kHz. With OUTPUT
as DATA/manifests, ``egs/swbd/s5/run.sh --stage 2 --data-dir DATA --feats-config conf/feats_16k.yaml`` goes on.
"""

import argparse
import shutil
from pathlib import Path

import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSet
from lhotse.utils import fastcopy

from trees.calls import Call, Plan
from trees.hub5 import HUB5, RT03, named
from trees.swbd import numbered

RATE = 16000


def calls_of(corpora: Path | None, everything: bool, fisher: float) -> dict[str, Call]:
    """Name of a recording, as in manifests → the call; of Switchboard and the test sets."""
    plan = Plan(corpora, everything, fisher)
    found = {f"sw0{number}": call for number, call in numbered(plan.calls("swbd")).items()}
    tests = Plan(corpora, everything)
    return found | named(tests.calls("hub5"), *HUB5) | named(tests.calls("rt03"), *RT03)


def widen(manifests: Path, output: Path, calls: dict[str, Call]) -> None:
    """Manifests of 16 kHz like those of 8 kHz; the recordings go to ``output/audio``."""
    audio = output / "audio"
    audio.mkdir(parents=True)
    for path in sorted(manifests.glob("recordings_*.jsonl.gz")):
        name = path.name.removeprefix("recordings_").removesuffix(".jsonl.gz")
        recordings = {}
        for old in RecordingSet.from_file(path):
            if old.id not in calls or abs(calls[old.id].seconds - old.duration) > 0.01:
                raise SystemExit(f"{path}: {old.id} is another call: give the options that the tree was made with")
            wav = audio / f"{old.id}.wav"
            if not wav.exists():
                soundfile.write(wav, calls[old.id].samples(RATE).T, RATE, subtype="PCM_16")
            recordings[old.id] = Recording.from_file(wav, recording_id=old.id)
        RecordingSet.from_recordings(recordings.values()).to_file(output / path.name)
        shutil.copy(manifests / f"supervisions_{name}.jsonl.gz", output)
        old_cuts = CutSet.from_file(manifests / f"cuts_{name}.jsonl.gz")
        cuts = [fastcopy(cut, recording=recordings[cut.recording.id]) for cut in old_cuts]
        CutSet.from_cuts(cuts).to_file(output / f"cuts_{name}.jsonl.gz")
        assert len(SupervisionSet.from_file(output / f"supervisions_{name}.jsonl.gz")) == len(cuts)
    for path in [*manifests.glob("stm_*"), *manifests.glob("glm_*"), *manifests.glob("hubscr_*")]:
        shutil.copy(path, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="trees.wideband", description="The same calls at 16 kHz.")
    parser.add_argument("manifests", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--corpora", type=Path)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--fisher", type=float, default=0.4)
    chosen = parser.parse_args()
    widen(chosen.manifests, chosen.output, calls_of(chosen.corpora, chosen.everything, chosen.fisher))
