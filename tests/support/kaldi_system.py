"""A small system as Kaldi's recipes leave one: data folders, compressed features, alignments, tree, model, lexicon.

All is written here, byte by byte where Kaldi's form is not text, so that readers are held against Kaldi's formats.
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from kaldiio import matio

RATE = 8000
WIDTH = 8
PHONES = ["<eps>", "SIL", "A", "B", "C", "#0", "#1"]
SIL, A, B, C = range(1, 5)
LEXICON = {"AB": (A, B), "CA": (C, A), "BC": (B, C), "A": (A,)}
# A biphone tree: one state and pdf of SIL, three states of the others, two of which ask for the phone on the left.
TREE = """ContextDependency 2 1 ToPdf TE 1 5 ( NULL TE -1 1 ( CE 0 )
TE -1 3 ( SE 0 [ 0 1 ]
{ CE 1
CE 2
}
CE 3 CE 4 )
TE -1 3 ( CE 5 CE 6 CE 7 )
TE -1 3 ( CE 8 CE 9 SE 0 [ 2 3 ]
{ CE 10
CE 11
}
)
)
EndContextDependency """
# Phone, state, pdf: transition state n has the transition-ids 2n + 1, to stay, and 2n + 2.
TRIPLES = [
    *((SIL, 0, 0), (A, 0, 1), (A, 0, 2), (A, 1, 3), (A, 2, 4)),
    *((B, 0, 5), (B, 1, 6), (B, 2, 7), (C, 0, 8), (C, 1, 9), (C, 2, 10), (C, 2, 11)),
]
THREE = "".join(
    f"<State> {i} <PdfClass> {i} <Transition> {i} 0.75 <Transition> {i + 1} 0.25 </State>\n" for i in range(3)
)
MODEL = (
    f"<TransitionModel>\n<Topology>\n<TopologyEntry>\n<ForPhones>\n2 3 4\n</ForPhones>\n{THREE}<State> 3 </State>\n"
    "</TopologyEntry>\n<TopologyEntry>\n<ForPhones>\n1\n</ForPhones>\n<State> 0 <PdfClass> 0 <Transition> 0 0.5 "
    "<Transition> 1 0.5 </State>\n<State> 1 </State>\n</TopologyEntry>\n</Topology>\n"
    f"<Triples> {len(TRIPLES)}\n" + "".join(f"{p} {s} {d}\n" for p, s, d in TRIPLES) + "</Triples>\n<LogProbs>\n [ 0"
    " -0.6931472 -0.6931472" + " -0.2876821 -1.386294" * (len(TRIPLES) - 1) + " ]\n</LogProbs>\n</TransitionModel>\n"
    "<DIMENSION> 8 <NUMPDFS> 12\n"
)


def pdf(left: int, phone: int, state: int) -> int:
    """What the tree says, said again."""
    if (phone, state) == (A, 0):
        return 1 if left in (0, SIL) else 2
    if (phone, state) == (C, 2):
        return 10 if left in (A, B) else 11
    return {SIL: 0, A: 2, B: 5, C: 8}[phone] + state


@dataclass
class Utterance:
    """With what its alignment should be read as."""

    text: str
    phones: list[int]
    lengths: list[int]
    ids: list[int]
    pdfs: list[int]
    features: np.ndarray


def speak(draw: np.random.Generator) -> Utterance:
    """Words with silence around them, now and then between them."""
    words = draw.choice(list(LEXICON), size=3).tolist()
    phones = [SIL]
    for word in words:
        phones += [*LEXICON[word], *([SIL] if draw.random() < 0.3 else [])]
    phones += [SIL] if phones[-1] != SIL else []
    lengths, ids, pdfs = [], [], []
    for left, phone in zip([0, *phones], phones, strict=False):
        states = 1 if phone == SIL else 3
        frames = draw.integers(1, 5, size=states).tolist()
        lengths.append(sum(frames))
        for state, count in enumerate(frames):
            here = pdf(left, phone, state)
            first = 2 * TRIPLES.index((phone, state, here)) + 1
            ids += [first + 1, *[first] * (count - 1)]  # the way on, and loops behind it
            pdfs += [here] * count
    means = np.arange(12 * WIDTH).reshape(12, WIDTH) % 7
    features = means[pdfs] + draw.normal(scale=0.5, size=(len(pdfs), WIDTH))
    return Utterance(" ".join(words), phones, lengths, ids, pdfs, features.astype(np.float32))


def write_system(folder: Path, sizes: dict[str, int]) -> dict[str, dict[str, Utterance]]:
    """``data_SET`` and ``ali_SET`` for each set, ``lexicon.txt`` and ``phones.txt``; returns the utterances by set."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(4)
    (folder / "phones.txt").write_text("".join(f"{p} {i}\n" for i, p in enumerate(PHONES)))
    entries = (f"{word} {' '.join(PHONES[p] for p in phones)}\n" for word, phones in LEXICON.items())
    (folder / "lexicon.txt").write_text("".join(entries))
    made = {}
    for split, size in sizes.items():
        made[split] = {f"s{i % 2}-{split}-{i:02d}": speak(draw) for i in range(size)}
        made[split] = dict(sorted(made[split].items()))
        _data(folder / f"data_{split}", made[split], draw)
        _ali(folder / f"ali_{split}", made[split])
    return made


def _data(folder: Path, utterances: dict[str, Utterance], draw: np.random.Generator) -> None:
    """One recording for each speaker, of which the utterances are segments; features in a compressed archive."""
    folder.mkdir()
    segments, at = {}, {"s0": 0.1, "s1": 0.1}
    for name, utterance in utterances.items():
        speaker, seconds = name[:2], (len(utterance.pdfs) + 2) * 0.01  # snip_edges leaves two frames out
        segments[name] = f"{speaker}-rec {at[speaker]:.2f} {at[speaker] + seconds:.2f}"
        at[speaker] += seconds + 0.1
    for speaker, end in at.items():
        samples = 0.1 * draw.standard_normal(round((end + 0.1) * RATE))
        soundfile.write(folder / f"{speaker}.wav", samples, RATE, subtype="PCM_16")
    of = {s: [name for name in utterances if name.startswith(s)] for s in at}
    tables = {
        "wav.scp": {f"{s}-rec": folder / f"{s}.wav" for s in at},
        "segments": segments,
        "text": {name: u.text for name, u in utterances.items()},
        "utt2spk": {name: name[:2] for name in utterances},
        "spk2utt": {s: " ".join(names) for s, names in of.items()},
        "feats.scp": {},
    }
    with (folder / "raw.ark").open("wb") as ark:
        for name, utterance in utterances.items():
            ark.write(f"{name} ".encode())
            tables["feats.scp"][name] = f"{folder / 'raw.ark'}:{ark.tell()}"
            matio.write_array(ark, utterance.features, compression_method=2)
    for name, rows in tables.items():
        (folder / name).write_text("".join(f"{key} {value}\n" for key, value in rows.items()))


def _ali(folder: Path, utterances: dict[str, Utterance]) -> None:
    folder.mkdir()
    (folder / "tree").write_text(TREE)
    (folder / "final.mdl").write_text(MODEL)
    (folder / "phones.txt").write_text("".join(f"{p} {i}\n" for i, p in enumerate(PHONES)))
    (folder / "num_jobs").write_text("2\n")
    names = list(utterances)
    for job, part in ((1, names[: len(names) // 2]), (2, names[len(names) // 2 :])):
        with gzip.open(folder / f"ali.{job}.gz", "wb") as file:
            for name in part:
                ids = utterances[name].ids
                vector = b"".join(b"\4" + struct.pack("<i", i) for i in ids)
                file.write(f"{name} ".encode() + b"\0B\4" + struct.pack("<i", len(ids)) + vector)
